"""Asking a server: what is repeated, and what an error of any library becomes.

fsspec stands on aiohttp, botocore and others, each with errors of its own; none is imported here.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from resnet_deploy.errors import DatasetError, ResnetDeployError, one_line

logger = logging.getLogger(__name__)

T = TypeVar("T")

_WAITS = (0.2, 0.6, 1.8, 5.4)
"""Seconds before a request is repeated, up to half as much again: many machines ask at once."""

_BUSY = (408, 429, 500, 502, 503, 504)
"""Status codes that say: later."""

_CODES = {
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "InvalidAccessKeyId": 403,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "Throttling": 503,
    "RequestTimeout": 408,
    "InternalError": 500,
    "InvalidRange": 416,
}
"""Of S3's answers."""

_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError")

_LOST = (
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectError",
    "FSTimeoutError",
    "HTTPClientError",
    "IncompleteRead",
    "ResponseStreamingError",
    "ServerDisconnectedError",
)
"""Classes of errors, of aiohttp, botocore and others, that a connection ends with."""


class UnreachableError(DatasetError):
    """What holds the pictures can't be read: no fault of one of them, so none is left out."""


class Absent(DatasetError):  # noqa: N818 - not a fault of itself
    """There is nothing of this name."""


def asked(where: str, request: Callable[[], T]) -> T:
    """Return what ``request`` gives; it is repeated while the server or the network may recover.

    Args:
        where: what messages call it.
        request: is called up to five times, within some ten seconds.

    Raises:
        Absent: there is no such thing.
        UnreachableError: it is not available.
    """
    for tries, wait in enumerate((*_WAITS, 0), 1):
        try:
            return request()
        except ResnetDeployError:
            raise
        except Exception as error:  # of whatever library
            if tries > len(_WAITS) or not _passes(error):
                raise _told(where, error, tries) from None
            logger.info("%s: %s; tried again", where, one_line(error))
        time.sleep(wait * random.uniform(1, 1.5))
    raise AssertionError("the last try returns or raises")


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error, or one that caused it, stands for, or None."""
    for each in _causes(error):
        for source in (each, getattr(each, "response", None)):
            for name in ("status", "status_code", "code"):
                value = getattr(source, name, None)
                if isinstance(value, int) and 400 <= value < 600:
                    return value
        response: Any = getattr(each, "response", None)
        if isinstance(response, dict):  # botocore's
            code = str(response.get("Error", {}).get("Code", ""))
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return _CODES.get(code) or (int(code) if code.isdigit() else found)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those behind it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _is(error: BaseException, names: tuple[str, ...]) -> bool:
    return any(kind.__name__ in names for each in _causes(error) for kind in type(each).__mro__)


def _is_lost(error: BaseException) -> bool:
    """Whether a connection could not be made, or ended."""
    return _is(error, _LOST) or any(
        isinstance(each, ConnectionError | TimeoutError) for each in _causes(error)
    )


def _passes(error: BaseException) -> bool:
    """Whether the same request may be answered in a while."""
    if _is(error, _NO_CREDENTIALS):
        return False
    return _is_lost(error) or status_of(error) in _BUSY


def _told(where: str, error: BaseException, tries: int) -> DatasetError:
    """Return the one line that an error becomes."""
    if _is(error, _NO_CREDENTIALS):
        return UnreachableError(
            f"{where} needs credentials, and the environment has none: set those of the server "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE; for a public bucket "
            "FSSPEC_S3_ANON=true)"
        )
    lost = _is_lost(error)
    status = None if lost else status_of(error)
    absent = isinstance(error, FileNotFoundError) and status is None and not lost
    again = f", {tries} times" if tries > 1 else ""
    if status == 404 or absent:
        return Absent(f"{where} does not exist: look at how its bucket, folder or file is called")
    if status in (401, 403) or isinstance(error, PermissionError):
        why = "access is denied: check the credentials in the environment, and what they allow"
    elif status in _BUSY:
        why = f"the server is busy or broken (status {status}){again}: try again later"
    elif lost:
        why = (
            f"the server can't be reached or the connection was lost{again}: check the network and "
            "the address"
        )
    else:
        why = f"it can't be read: {one_line(error)}"
    return UnreachableError(f"{where}: {why}")
