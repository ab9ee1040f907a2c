"""Web servers: parts of files, and pages of links as lists of a folder.

fsspec's own reader takes whatever a server sends; here nothing is read beyond what was asked for.
"""

from __future__ import annotations

import importlib
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin

from resnet_deploy.data.asking import UnreachableError
from resnet_deploy.errors import one_line
from resnet_deploy.visible import without_secrets

LARGEST_PAGE = 64 << 20
"""Bytes of a page of links: half a million names."""

_CHUNK = 1 << 16


def part_of(system: Any, url: str, where: str, start: int, stop: int) -> bytes:
    """Return bytes ``start`` to ``stop`` of a file, fewer where it ends.

    ``system`` is fsspec's of web servers, ``where`` what messages call the file.

    Raises:
        UnreachableError: the server sends whole files only, and this is not the beginning.
        Exception: of the libraries underneath, if the server refuses or the connection is lost.
    """
    asyn = importlib.import_module("fsspec.asyn")

    async def read() -> bytes:
        session = await system.set_session()
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        async with session.get(system.encode_url(url), headers=headers) as answer:
            answer.raise_for_status()
            if start and answer.status != 206:
                raise UnreachableError(
                    f"{where}: the server sends whole files and no parts of them: copy it first"
                )
            told = answer.headers.get("Content-Range", "")
            if answer.status == 206 and told and not told.startswith(f"bytes {start}-"):
                raise UnreachableError(
                    f"{where}: the server sends another part of it than asked for: copy it first"
                )
            found = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                found += chunk
                if len(found) >= stop - start:
                    break
            return bytes(found[: stop - start])

    data: bytes = asyn.sync(system.loop, read)
    return data


def names_in(page: bytes, folder: str) -> dict[str, bool]:
    """Return the names that a page of links lists, and whether each is a folder.

    Links that lead elsewhere than directly into ``folder``, a URL with a slash at its end, are left
    out, and so are those that sort the page.

    Raises:
        UnreachableError: it is no page.
    """
    links = _Links()
    try:
        links.feed(page.decode("utf-8", "replace"))
    except AssertionError as error:  # Python's parser raises it for odd declarations
        raise UnreachableError(
            f"{without_secrets(folder)}: its page of links can't be read ({one_line(error, 80)}): "
            "copy the pictures first"
        ) from error
    found: dict[str, bool] = {}
    for link in links.found:
        try:
            url = urljoin(folder, link)
        except ValueError:  # brackets that are not an address
            continue
        if not url.startswith(folder) or "?" in url or "#" in url:
            continue
        name = unquote(url[len(folder) :], errors="surrogateescape")  # as Python names files
        is_folder = name.endswith("/")
        name = name.removesuffix("/")
        if name not in ("", ".", "..") and "/" not in name and "\0" not in name:
            found[name] = is_folder or found.get(name, False)
    return found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]
