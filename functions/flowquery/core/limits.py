"""Every bound and default of an input, stated once. A test holds the template and the schemas to these."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """The least and the greatest value that is allowed, and the default of the stack's parameter or of the input."""

    least: float
    most: float
    default: float


HOLD_SECONDS = Bounds(0, 840, 600)  # a Lambda function runs for 900 s at most
TIMEOUT_SECONDS = Bounds(1, 86_400, 1_800)
RANKING_LIMIT = Bounds(1, 500, 10)  # the service model's bounds of `limit`
RANKED_PEAKS = Bounds(0, 20, 3)
REQUESTS_PER_SECOND = Bounds(0.1, 100, 5)
WINDOW_MINUTES = Bounds(5, 44_640, 15)
DELAY_MINUTES = Bounds(0, 1_440, 10)
BACKFILL_WINDOW_MINUTES = Bounds(5, 44_640, 1_440)
MAX_CONCURRENCY = Bounds(1, 100, 1)
TOLERATED_FAILURE_PERCENTAGE = Bounds(0, 100, 0)

SWEEP_QUERIES = 165  # five windows of 33: their state fits the 256 KiB of Step Functions
BACKFILL_WINDOWS = 100_000  # a day's listing of the bucket for each 288 of them, and 13 MB that the Map reads
BACKFILL_HOURS = 2_160  # TimeoutSeconds of the state machine
POLL_STATUSES = 12  # different names in `poll.observed`

ID_LENGTH = 128
STATUS_LENGTH = 64
LABEL_LENGTH = 100  # of a peak; an object's metadata takes 2 KB in all
