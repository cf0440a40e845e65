"""The errors that functions raise.

A class name is what Lambda reports as `errorType` and what Retry and Catch of the state machines match on, so these
names are a contract: see `schemas/errors.json`.
"""


class FlowqueryError(Exception):
    """Base of every error below; never raised itself."""


class InvalidInput(FlowqueryError):
    """The event cannot be used; no request was sent. Never retried."""


class Throttled(FlowqueryError):
    """The service asked to slow down. Retried."""


class TransientFault(FlowqueryError):
    """A timeout, a broken connection or a 5xx of the service. Retried."""


class AccessDenied(FlowqueryError):
    """The credentials or the policy do not allow the call, or the scope belongs to somebody else."""


class QuotaExceeded(FlowqueryError):
    """The account is at a limit of the service, such as the number of queries at once."""


class InvalidRequest(FlowqueryError):
    """The service refused the request, such as an unknown query id."""


class MalformedReply(FlowqueryError):
    """A reply without what the service model requires, or with what cannot be true; nothing of it is used."""


class ResultsExpired(FlowqueryError):
    """The service has no results for this query (any more)."""


class ResultsTooLarge(FlowqueryError):
    """The results do not fit the function's disk or time; nothing was stored."""
