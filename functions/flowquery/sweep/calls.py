"""The calls of a sweep about its queries, each sent once: throttles have to be seen where the pace is kept."""

from functools import partial

from flowquery.aws import network_flow_monitor
from flowquery.sweep.round import Calls

network_flow_monitor.client(network_flow_monitor.ONE_ATTEMPT)
CALLS = Calls(
    start=network_flow_monitor.start_query,
    look=partial(network_flow_monitor.get_query_status, config=network_flow_monitor.ONE_ATTEMPT),
    stop=partial(network_flow_monitor.stop_query, config=network_flow_monitor.ONE_ATTEMPT),
)
