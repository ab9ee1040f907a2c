"""Files in buckets and on web servers, read by fsspec: https://filesystem-spec.readthedocs.io.

Credentials come from where each server's own tools look for them, never from here: ``AWS_*`` and
the files of AWS, ``GOOGLE_APPLICATION_CREDENTIALS``, ``HF_TOKEN``. Requests that fail for a while
are repeated in one place, :func:`asked`; the libraries' own repeats are off.

A little long: it is one class with what the rest of the package asks a ``Path`` for.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Literal
from urllib.parse import quote, unquote

from resnet_deploy.data.asking import Absent, asked, status_of
from resnet_deploy.data.server_lists import (
    Entry,
    behind_page_of_s3,
    etag_of,
    listed,
    on_page_of_s3,
    understood,
)
from resnet_deploy.data.web import LARGEST_PAGE, names_in, part_of
from resnet_deploy.errors import DatasetError, MissingDependencyError
from resnet_deploy.visible import without_secrets

INSTALL = "pip install 'resnet-deploy[remote]'"

SCHEMES = {
    "s3": INSTALL,
    "gs": "pip install fsspec gcsfs",
    "hf": "pip install fsspec huggingface_hub",
    "http": INSTALL,
    "https": INSTALL,
}
"""Kinds of URLs, and the command that installs what reads them."""

_PIECE = 16 << 20
"""Bytes of one request: nearly every picture comes in one."""

_MOST_BYTES = 1 << 30
"""Of a file that is read whole."""

_BUFFER = 1 << 20
"""Bytes that are read ahead in a file of which parts are wanted."""

_PAGE = 1000
"""Names that S3 lists at once, its most."""

_DEEPEST = 32
"""Folders in folders: a web server may make them up without end."""

_SETTINGS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 1}}},
    "http": {"client_kwargs": {"trust_env": True}},
}
"""Of fsspec's classes; ``trust_env``: proxies are those of the environment."""


_PORT = re.compile(r"[^:]*(?::\d{0,5})?")
"""Of a host and its port; what stands in brackets is before it."""


@dataclass(frozen=True)
class Status:
    """What a server says of a file."""

    st_size: int
    etag: str = ""
    is_folder: bool = False


@dataclass(frozen=True, repr=False)
class Remote:
    """A file or folder that a URL names, by the words of :class:`pathlib.Path`.

    ``path`` is what stands behind ``scheme://``, without a slash at its end; ``query``, such as the
    signature of a signed URL, is sent with every request.
    """

    scheme: str
    path: str
    query: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> Remote:
        """Return the place that ``url`` names.

        Raises:
            DatasetError: it names none, or holds a password that belongs into the environment.
        """
        scheme, _, path = url.partition("://")
        scheme, query = scheme.lower(), ""
        if scheme in ("http", "https"):
            path, mark, query = path.partition("#")[0].partition("?")
            query = mark + query
            if not _PORT.fullmatch(path.partition("/")[0].rpartition("@")[2].rpartition("]")[2]):
                raise DatasetError(
                    f"{without_secrets(url)} has a port that is not a number: in a user or a "
                    "password write / as %2F, ? as %3F, # as %23 and : as %3A"
                )
        elif "@" in path.partition("/")[0]:
            raise DatasetError(
                f"{without_secrets(url)} has a user or a key in it: credentials of {scheme}:// "
                "are read from the environment"
            )
        path = path.rstrip("/")
        if not path:
            raise DatasetError(f"{without_secrets(url)} names no place: write {scheme}://WHERE")
        return cls(scheme, path, query)

    def __str__(self) -> str:
        return without_secrets(f"{self.scheme}://{self.path}{self.query}")

    __repr__ = __str__

    def __truediv__(self, name: str, /) -> Remote:
        return Remote(self.scheme, f"{self.path}/{self._written(name)}", self.query)

    @property
    def name(self) -> str:
        """The last part, without a user or a password."""
        last = self.path.rpartition("/")[2]
        return self._read_name(last if "/" in self.path else last.rpartition("@")[2])

    @property
    def suffix(self) -> str:
        """Of :attr:`name`, with its dot."""
        return os.path.splitext(self.name)[1]  # noqa: PTH122 - a name, whatever system this is

    @property
    def stem(self) -> str:
        """Of :attr:`name`, without its suffix."""
        return os.path.splitext(self.name)[0]  # noqa: PTH122

    @property
    def parent(self) -> Remote:
        """The folder that this lies in; of a bucket or a server, itself."""
        above, slash, _ = self.path.rpartition("/")
        return Remote(self.scheme, above, self.query) if slash else self

    @property
    def parents(self) -> Sequence[Remote]:
        """The folders above, the nearest first."""
        found = [self]
        while found[-1].parent != found[-1]:
            found.append(found[-1].parent)
        return found[1:]

    def exists(self) -> bool:
        """Whether there is anything."""
        try:
            self.stat()
        except Absent:
            return False
        return True

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self.exists() and not self.stat().is_folder

    def is_dir(self) -> bool:
        """Whether a folder is there, or names that begin as one."""
        return self.exists() and self.stat().is_folder

    def stat(self) -> Status:
        """Return what the server says.

        Raises:
            DatasetError: nothing is there, or the server does not answer or refuses.
        """
        return _status(self, int(time.monotonic() // 60))

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop``, fewer where the file ends.

        Raises:
            DatasetError: as :meth:`stat`, or the server gives whole files only.
        """
        if stop <= start:
            return b""

        def request() -> bytes:
            system = _system(self)
            try:
                if self._is_web:
                    return part_of(system, self._target, str(self), start, stop)
                data: bytes = system.cat_file(self._target, start=start, end=stop)
            except Exception as error:
                if status_of(error) == 416:  # behind the end
                    return b""
                raise
            return data[: stop - start]

        return asked(str(self), request)

    def read_bytes(self) -> bytes:
        """Return the whole file, of a gibibyte at most.

        Raises:
            DatasetError: as :meth:`read`, or it is larger.
        """
        pieces: list[bytes] = []
        for start in range(0, _MOST_BYTES, _PIECE):
            pieces.append(self.read(start, start + _PIECE))
            if len(pieces[-1]) < _PIECE:
                return b"".join(pieces)
        raise DatasetError(f"{self} has more than {_MOST_BYTES >> 20} MiB: that is not a picture")

    def open(self, mode: Literal["rb"] = "rb", /) -> IO[bytes]:
        """Return a stream of which parts are requested as they are read."""
        del mode  # nothing is ever written
        return io.BufferedReader(_Stream(self), _BUFFER)

    def entries(self) -> Iterator[Entry]:
        """Yield what lies directly in this folder, page by page, in any order.

        Raises:
            DatasetError: as :meth:`stat`.
        """
        yield from _listed(self, "/") if self.scheme == "s3" else self._entries()

    def below(self) -> Iterator[Entry]:
        """Yield all files below, page by page or folder by folder, in any order.

        Raises:
            DatasetError: as :meth:`stat`, or folders lie in folders without an end.
        """
        if self.scheme == "s3":
            yield from _listed(self, "")
            return
        pending = [""]
        while pending:
            above = pending.pop()
            if above.count("/") > _DEEPEST:
                raise DatasetError(f"{self} has more than {_DEEPEST} folders in folders")
            for entry in (self / above.rstrip("/") if above else self)._entries():
                name = above + entry.name
                if entry.is_folder:
                    pending.append(f"{name}/")
                else:
                    yield Entry(name=name, size=entry.size, etag=entry.etag)

    def _entries(self) -> Iterator[Entry]:
        if self.query:
            raise DatasetError(f"{self}: a signed URL names one file, and no folder")
        if self._is_web:
            folder = Remote(self.scheme, f"{self.path}/")
            page = folder.read(0, LARGEST_PAGE)
            # Behind a user and a password, a server's links name neither.
            server, slash, path = self.path.partition("/")
            plain = f"{self.scheme}://{server.rpartition('@')[2]}{slash}{path}/"
            for name, is_folder in names_in(page, plain).items():
                yield Entry(name=name, is_folder=is_folder)
            return
        found = asked(str(self), lambda: _system(self).ls(self._target, detail=True))
        with understood(str(self)):
            entries = list(listed(found))
        yield from entries

    @property
    def _is_web(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def _target(self) -> str:
        """What fsspec calls it."""
        return f"{self.scheme}://{self.path}{self.query}"

    def _written(self, name: str) -> str:
        """Return a name as it stands in a URL: on the web, not every letter may."""
        return quote(name, errors="surrogateescape") if self._is_web else name

    def _read_name(self, name: str) -> str:
        return unquote(name, errors="surrogateescape") if self._is_web else name


class _Stream(io.RawIOBase):
    """A remote file of which parts are read."""

    def __init__(self, place: Remote) -> None:
        self._place = place
        self._at = 0
        self._size = place.stat().st_size
        if self._size < 0:
            raise DatasetError(f"{place}: the server does not tell its size: copy it to a folder")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size)
        data = self._place.read(self._at, stop)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _system(place: Remote) -> Any:
    """Return fsspec's file system of a place, one for each process and kind of URL."""
    return _systems(place.scheme, os.getpid())


@functools.cache
def _systems(scheme: str, process: int) -> Any:
    del process  # a fork can't use what its parent opened
    try:
        fsspec = importlib.import_module("fsspec")
        made = fsspec.filesystem(
            scheme,
            skip_instance_cache=True,
            use_listings_cache=False,
            **_SETTINGS.get(scheme.replace("https", "http"), {}),
        )
    except ImportError as error:
        raise MissingDependencyError(
            f"reading {scheme}:// needs a package that is not installed: {SCHEMES[scheme]}"
        ) from error
    if scheme == "s3":
        made.retries = 1
    return made


@functools.lru_cache(maxsize=4096)
def _status(place: Remote, minute: int) -> Status:
    """Ask once in a while: formats look at the same few files again and again."""
    del minute
    found = asked(str(place), lambda: _system(place).info(place._target))
    size = found.get("size")
    # A web server has no folders: what it sends for one is a page of links.
    page = place._is_web and str(found.get("mimetype", "")).startswith("text/html")
    return Status(
        st_size=-1 if size is None else int(size),
        etag=etag_of(found),
        is_folder=found.get("type") == "directory" or page,
    )


def _listed(place: Remote, delimiter: str) -> Iterator[Entry]:
    """Yield what S3 lists in a folder, a thousand at a time, without keeping it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    bucket, _, inside = place.path.partition("/")
    prefix = f"{inside}/" if inside else ""
    more: dict[str, str] = {}
    seen: set[str] = set()
    while True:
        request = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": _PAGE}
        page = asked(
            str(place),
            functools.partial(_system(place).call_s3, "list_objects_v2", **request, **more),
        )
        with understood(str(place)):
            entries = list(on_page_of_s3(page, prefix))
            more = behind_page_of_s3(page)
            if not seen.isdisjoint(more.values()):
                raise ValueError("the same page twice")
            seen.update(more.values())
        yield from entries
        if not more:
            return
