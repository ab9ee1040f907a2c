"""What servers say of a folder, read with distrust: they may be anybody's, or no server at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from resnet_deploy.data.asking import UnreachableError
from resnet_deploy.errors import one_line


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or a folder that was listed; ``name`` is relative to where it was listed.

    ``size`` is in bytes, -1 if the server does not tell, ``etag`` is empty then.
    """

    name: str
    is_folder: bool = False
    size: int = -1
    etag: str = ""


@contextlib.contextmanager
def understood(where: str) -> Iterator[None]:
    """Turn whatever is missing in a list, or odd in it, into one line; ``where`` is its folder."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreachableError(
            f"{where}: the server's list of this folder can't be read ({type(error).__name__}: "
            f"{one_line(error, 80)}): copy the pictures first"
        ) from error


def listed(found: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    """Yield what fsspec lists in a folder; what no file is called is left out."""
    for entry in found:
        size = entry.get("size")
        name = str(entry["name"]).rstrip("/").rpartition("/")[2]
        is_folder = entry["type"] == "directory"
        if _is_name(name):
            yield Entry(
                name=name,
                is_folder=is_folder,
                size=-1 if size is None else int(size),
                etag=etag_of(entry),
            )


def on_page_of_s3(page: Mapping[str, Any], prefix: str) -> Iterator[Entry]:
    """Yield what a page of S3's list holds below ``prefix``; an empty object may mean a folder."""
    for folder in page.get("CommonPrefixes", ()):
        name = _behind(folder["Prefix"], prefix).rstrip("/")
        if _is_name(name):
            yield Entry(name=name, is_folder=True)
    for found in page.get("Contents", ()):
        name, size = _behind(found["Key"], prefix), int(found["Size"])
        if _is_name(name) and not name.endswith("/"):
            yield Entry(name=name, size=size, etag=etag_of(found))


def behind_page_of_s3(page: Mapping[str, Any]) -> dict[str, str]:
    """Return what to ask for the next page with; nothing, if this was the last."""
    if not page.get("IsTruncated"):
        return {}
    return {"ContinuationToken": page["NextContinuationToken"]}


def etag_of(found: Mapping[str, Any]) -> str:
    """Return what changes with the content, as the server of each kind calls it."""
    for key in ("ETag", "etag", "blob_id", "md5Hash", "crc32c"):
        if found.get(key):
            return str(found[key]).strip('"').replace("\0", "")
    return ""


def _behind(name: str, prefix: str) -> str:
    return name[len(prefix) :] if name.startswith(prefix) else ""


def _is_name(name: str) -> bool:
    """Whether a file below the folder could be called so."""
    try:
        name.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return name != "" and "\0" not in name and not {".", ".."} & set(name.split("/"))
