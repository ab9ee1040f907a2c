"""Templates, and what they need: text that is safe inside C, JavaScript, HTML, Markdown, YAML."""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """Return ``templates/<template>`` with ``values`` filled in, as UTF-8.

    A name that is missing in ``values`` is an error. Filters: ``c_string`` (a C or C++ literal with
    its quotes), ``js`` (a JSON value, which JavaScript, YAML and protobuf text read as well),
    ``escape`` (HTML), ``markdown``.
    """
    return _environment().get_template(template).render(**values).encode()


def templates_in(folder: str) -> tuple[str, ...]:
    """Return the names of the templates below ``folder``, as they are called from there."""
    start = f"{folder}/"
    names = _environment().list_templates()
    return tuple(name.removeprefix(start) for name in names if name.startswith(start))


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Nothing is escaped unasked: most templates are code, where HTML's rules would do harm.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("resnet_deploy.bundles"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["c_string"] = c_string
    environment.filters["js"] = js
    environment.filters["markdown"] = markdown
    return environment


def c_string(text: str) -> str:
    """Return ``text`` as a C string literal of UTF-8 bytes.

    Everything but letters, digits, spaces and plain marks is an octal escape, which ends after
    three digits and can't join what follows, nor spell a trigraph.
    """
    plain = set(b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:;/()[]+=@#%*")
    body = "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
    return f'"{body}"'


def js(value: Any) -> str:
    """Return ``value`` as JSON in ASCII that is safe inside an HTML script as well."""
    return json.dumps(value, sort_keys=True).replace("<", "\\u003c")


def markdown(text: str) -> str:
    """Return ``text`` as one line of Markdown that reads as it stands, of 200 characters at most.

    Marks become HTML entities, so it does not belong between backticks.
    """
    line = " ".join(text.split())
    plain = "".join(letter for letter in line if letter.isprintable())[:200]
    return re.sub(r"[\\`*_{}\[\]|~]", lambda mark: f"&#{ord(mark[0])};", html.escape(plain))
