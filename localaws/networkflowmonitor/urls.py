"""networkflowmonitor base URLs and paths."""

from .responses import NetworkFlowMonitorResponse

# boto3 calls api.aws, although its client prints amazonaws.com.
url_bases = [r"https?://networkflowmonitor\.(.+)\.(?:amazonaws\.com|api\.aws)"]

url_paths = {"{0}/(?P<path>.+)$": NetworkFlowMonitorResponse.dispatch}
