"""The calls of a sweep, each sent once: throttles have to be seen where the pace is kept."""

from functools import partial

from flowquery import nfm
from flowquery.advance import Calls
from flowquery.sweep_results import Pages

nfm.client(nfm.ONE_ATTEMPT)
CALLS = Calls(
    start=nfm.start_query,
    look=partial(nfm.get_query_status, config=nfm.ONE_ATTEMPT),
    stop=partial(nfm.stop_query, config=nfm.ONE_ATTEMPT),
)
PAGES = Pages(all=nfm.results_pages, one=partial(nfm.results_page, config=nfm.ONE_ATTEMPT))
