"""What every AWS call shares: timeouts, attempts, and a named error for everything that can go wrong.

One question decides the name: may the same call succeed if it is sent again? Refusals are the list here. What is not on
it is a TransientFault, which is retried within bounds.
"""

from __future__ import annotations

import base64
import re
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore import exceptions as sdk
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from botocore.utils import parse_timestamp

from flowquery.core.errors import (
    AccessDenied,
    CredentialsExpired,
    FlowqueryError,
    InvalidInput,
    InvalidRequest,
    MalformedReply,
    QuotaExceeded,
    ResultsExpired,
    Throttled,
    TransientFault,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import ServiceModel

# The SDK makes two attempts at most. The state machine's Retry does the rest, where it is visible and bounded.
CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
    user_agent_extra="flowquery",
)

# All series of a window have the same timestamps, and parsing one takes longer than all else that a row needs. The SDK
# makes a parser for each reply. One with a blob parser of its own is a reference cycle, which stays until a collection.
_session = botocore.session.get_session()
_session.get_component("response_parser_factory").set_parser_defaults(
    timestamp_parser=lru_cache(4096)(parse_timestamp), blob_parser=base64.b64decode
)
boto3.setup_default_session(botocore_session=_session)

# The SDK's own lists of what is worth another attempt.
_THROTTLES = frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)  # type: ignore[attr-defined]  # no public name
_TRANSIENT = frozenset(TransientRetryableChecker._TRANSIENT_ERROR_CODES)  # type: ignore[attr-defined]
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationError",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "KMSAccessDenied",
        "KMSAccessDeniedException",
        "MissingAuthenticationToken",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_QUOTAS = frozenset({"ServiceQuotaExceededException", "ExecutionLimitExceeded"})
# What an unknown query id answers is not documented: 404, or a 400 whose message says so.
_UNKNOWN = re.compile(r"not (be )?(found|exist|known)|does ?n.t exist|unknown|no such", re.IGNORECASE)
_REFUSED_STATUSES = frozenset({400, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 422})
# Of the SDK: credentials that are gone, by sign-on, role or process.
_CREDENTIAL_ERRORS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.TokenRetrievalError,
    sdk.UnauthorizedSSOTokenError,
    sdk.SSOError,
    sdk.LoginError,
)


@cache
def service_model(service: str) -> ServiceModel:
    """Return the botocore service model, without a client."""
    return _session.get_service_model(service)


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn everything that a call can raise into one of the named errors."""
    try:
        yield
    except FlowqueryError:
        raise
    except sdk.ClientError as error:
        raise _name_client_error(error) from error
    except sdk.ParamValidationError as error:
        raise InvalidInput(str(error)) from error
    except _CREDENTIAL_ERRORS as error:
        raise CredentialsExpired(str(error)) from error
    # A ResponseParserError comes of an error without a body only, such as a load balancer's 503.
    except (sdk.HTTPClientError, sdk.ConnectionError, OSError, ResponseParserError) as error:
        raise TransientFault(f"{type(error).__name__}: {error}") from error
    except Exception as error:
        # botocore's parsers raise many kinds of exceptions on a member that cannot be parsed, such as a timestamp.
        raise MalformedReply(f"{type(error).__name__}: {error}"[:500]) from error


def http_status(error: BaseException | None) -> int:
    """Return the HTTP status that an SDK error carries, or 0."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(error, sdk.ClientError) else 0


def was_never_sent(error: BaseException | None) -> bool:
    """Tell whether an SDK error says that no connection was made, so that the service has not seen the request."""
    return isinstance(error, (sdk.EndpointConnectionError, sdk.ConnectTimeoutError, sdk.ProxyConnectionError))


def _name_client_error(error: sdk.ClientError) -> FlowqueryError:
    code, status = str(error.response.get("Error", {}).get("Code", "")), http_status(error)
    message = str(error.response.get("Error", {}).get("Message") or "no message")
    named = _error_of(code, status, error.operation_name)
    # The service's own words come first, since a cause may be cut.
    refusal = named(f"{message} ({error.operation_name}: {code or 'no error code'}, HTTP {status})"[:1000])
    if isinstance(refusal, InvalidRequest):
        refusal.is_unknown_query = status == 404 or _UNKNOWN.search(message) is not None
    return refusal


def _error_of(code: str, status: int, operation: str) -> type[FlowqueryError]:
    expired = code == "ResourceNotFoundException" and operation.startswith("GetQueryResults")
    rules = (
        (code in _THROTTLES or "Throttl" in code or status == 429, Throttled),
        (code in _TRANSIENT, TransientFault),
        (code in _EXPIRED, CredentialsExpired),
        (code in _DENIED or status in (401, 403), AccessDenied),
        (code in _QUOTAS or status == 402, QuotaExceeded),
        (expired, ResultsExpired),
        (status in _REFUSED_STATUSES, InvalidRequest),
    )
    return next((error for applies, error in rules if applies), TransientFault)
