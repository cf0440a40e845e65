"""The errors that functions raise.

    FlowqueryError
    ├── InvalidInput        the event cannot be used; no request was sent
    ├── Throttled           the service asked to slow down; retried
    ├── TransientFault      the service or the network failed; retried
    ├── UnclearOutcome      the reply to a start was lost: a query may be running; retried rarely
    ├── AccessDenied        the credentials or the policy do not allow the call
    ├── CredentialsExpired  there are no credentials, or they have expired
    ├── QuotaExceeded       the account is at a limit of the service
    ├── InvalidRequest      the service refused the request
    ├── MalformedReply      a whole reply is not what the service model says
    ├── ResultsExpired      the service has no results for the query
    └── ResultsTooLarge     the results do not fit the function's disk or time

A class name is what Lambda reports as `errorType`, and what Retry and Catch of the state machines match on. So these
names are a contract: see `schemas/errors.json`.
"""


class FlowqueryError(Exception):
    """Base of every error below; never raised itself."""


class InvalidInput(FlowqueryError):
    """The event cannot be used. No request was sent. Never retried."""


class Throttled(FlowqueryError):
    """The service asked to slow down. Retried."""


class TransientFault(FlowqueryError):
    """A timeout, a broken connection, or a 5xx of the service. Retried."""


class UnclearOutcome(FlowqueryError):
    """The reply to a start was lost or cannot be read. A query may be running whose id nobody knows."""


class AccessDenied(FlowqueryError):
    """The credentials or the policy do not allow the call, or the scope belongs to another account."""


class CredentialsExpired(FlowqueryError):
    """There are no credentials, or they have expired. Functions get new ones by themselves; a laptop has to sign in."""


class QuotaExceeded(FlowqueryError):
    """The account is at a limit of the service, such as the number of concurrent queries."""


class InvalidRequest(FlowqueryError):
    """The service refused the request.

    `is_unknown_query` says that the service does not know the query's id, which may be so just after the start.
    """

    is_unknown_query = False


class MalformedReply(FlowqueryError):
    """A whole reply lacks what the service model requires, or holds what cannot be true. Nothing of it is used."""


class ResultsExpired(FlowqueryError):
    """The service has no results for this query, or no longer has them."""


class ResultsTooLarge(FlowqueryError):
    """The results do not fit the function's disk or time. Nothing was stored."""
