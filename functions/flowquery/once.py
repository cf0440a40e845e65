"""The calls of a sweep about its queries, each sent once: throttles have to be seen where the pace is kept."""

from functools import partial

from flowquery import nfm
from flowquery.advance import Calls

nfm.client(nfm.ONE_ATTEMPT)
CALLS = Calls(
    start=nfm.start_query,
    look=partial(nfm.get_query_status, config=nfm.ONE_ATTEMPT),
    stop=partial(nfm.stop_query, config=nfm.ONE_ATTEMPT),
)
