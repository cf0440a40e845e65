"""networkflowmonitor base URL and path."""

from .responses import NetworkFlowMonitorResponse

url_bases = [
    # boto3 calls api.aws, although its client prints amazonaws.com
    r"https?://networkflowmonitor\.(.+)\.(?:amazonaws\.com|api\.aws)",
]

url_paths = {
    "{0}/(?P<path>.+)$": NetworkFlowMonitorResponse.dispatch,
}
