"""What every AWS call shares: timeouts, attempts, and a named error for everything that can go wrong."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore import exceptions as sdk
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from flowquery.core.errors import (
    AccessDenied,
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


@cache
def service_model(service: str) -> ServiceModel:
    """Return the botocore service model, without a client."""
    return _session.get_service_model(service)


_ERROR_BY_CODE: dict[str, type[FlowqueryError]] = {
    "AccessDeniedException": AccessDenied,
    "InternalServerException": TransientFault,
    "ResourceNotFoundException": ResultsExpired,
    "ServiceQuotaExceededException": QuotaExceeded,
    "ThrottlingException": Throttled,
    "ValidationException": InvalidRequest,
}
_ERROR_BY_HTTP_STATUS: dict[int, type[FlowqueryError]] = {
    401: AccessDenied,
    402: QuotaExceeded,
    403: AccessDenied,
    408: TransientFault,
    429: Throttled,
}


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
    except (sdk.NoCredentialsError, sdk.CredentialRetrievalError, sdk.TokenRetrievalError) as error:
        raise AccessDenied(str(error)) from error
    # A ResponseParserError comes of an error without a body only, such as a load balancer's 503.
    except (sdk.HTTPClientError, sdk.ConnectionError, OSError, ResponseParserError) as error:
        raise TransientFault(f"{type(error).__name__}: {error}") from error
    except (sdk.BotoCoreError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # What botocore's parsers raise on a reply that is not what the model says is not only its own exceptions.
        raise MalformedReply(f"{type(error).__name__}: {error}"[:500]) from error


def http_status(error: BaseException | None) -> int:
    """Return the HTTP status that an SDK error carries, or 0."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(error, sdk.ClientError) else 0


def _name_client_error(error: sdk.ClientError) -> FlowqueryError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = http_status(error)
    named = _ERROR_BY_CODE.get(code) or _ERROR_BY_HTTP_STATUS.get(status)
    if "Throttl" in code or "TooManyRequests" in code:
        named = Throttled
    if named is None:
        named = TransientFault if status >= 500 else InvalidRequest if status >= 400 else MalformedReply
    if named is ResultsExpired and not error.operation_name.startswith("GetQueryResults"):
        named = InvalidRequest
    return named(f"{error.operation_name}: {code or 'no error code'} (HTTP {status}): {error}"[:1000])
