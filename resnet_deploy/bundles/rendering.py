"""Templates, and what they need: text that is safe inside C, Java, JavaScript, HTML, Markdown, ….

Names of tensors, classes and files, and most of a card, are a stranger's. So a template may only
print what was made harmless for the language that it is in (:data:`LANGUAGES`), or is harmless
everywhere (:data:`PLAIN`): any other ``{{ … }}`` is an error of the template itself, whatever its
values are.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from resnet_deploy.errors import ArtifactError
from resnet_deploy.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_LITERAL: Final = frozenset(
    " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:;/()[]+=@#%*"
)
"""What string literals hold as it is: no ``?`` of a trigraph, no ``<`` of a tag."""

_MARKDOWN: Final = re.compile(r"[\\`*_{}\[\]|~#$&<>\"']")
_LONGEST: Final = 200
"""Characters of a name in a README."""


class Written(str):
    """Text that this project wrote: what of it came from elsewhere was escaped for its place."""

    __slots__ = ()


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """Return ``templates/<template>`` with ``values`` filled in, as UTF-8.

    A name that is missing in ``values`` is an error.

    Raises:
        ArtifactError: a value that has to be a plain word or a number is none.
    """
    return _environment().get_template(template).render(**values).encode(errors="replace")


def templates_in(folder: str) -> tuple[str, ...]:
    """Return the names of the templates below ``folder``, as they are called from there."""
    start = f"{folder}/"
    names = _environment().list_templates()
    return tuple(name.removeprefix(start) for name in names if name.startswith(start))


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    class Loader(PackageLoader):
        """Reads no template that could print what was not made harmless."""

        def get_source(self, environment: Environment, template: str) -> Any:
            source = super().get_source(environment, template)
            check_template(environment.parse(source[0], template), template)
            return source

    # Nothing is escaped unasked: most templates are code, where HTML's rules would do harm.
    environment = Environment(  # noqa: S701
        loader=Loader("resnet_deploy.bundles"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filters in (PLAIN, *LANGUAGES.values()):
        environment.filters.update(filters)
    return environment


def check_template(parsed: nodes.Template, name: str) -> None:
    """Refuse a template that prints a value which nothing made harmless in its language.

    Raises:
        TemplateAssertionError: so it is; the message says where.
    """
    from jinja2 import nodes
    from jinja2.exceptions import TemplateAssertionError

    filters = (*PLAIN, *LANGUAGES.get(PurePath(name).suffix, ()))
    for output in parsed.find_all(nodes.Output):
        for printed in output.nodes:
            if not _is_harmless(printed, filters):
                raise TemplateAssertionError(
                    f"what is printed here needs one of the filters {', '.join(filters)}",
                    printed.lineno,
                    name,
                )


def _is_harmless(printed: nodes.Node, filters: Collection[str]) -> bool:
    """Return whether an expression can print only text of the template, or what was escaped."""
    from jinja2 import nodes

    if isinstance(printed, nodes.Filter):
        return printed.name in filters
    if isinstance(printed, nodes.CondExpr):
        choices = (printed.expr1, printed.expr2)
        return all(choice is None or _is_harmless(choice, filters) for choice in choices)
    return isinstance(printed, nodes.TemplateData | nodes.Const)


def c_string(text: str) -> str:
    """Return ``text`` as a C string literal of UTF-8 bytes, which protobuf's text format has too.

    Everything but letters, digits, spaces and plain marks is an octal escape, which ends after
    three digits and can't join what follows.

    Raises:
        ArtifactError: it holds NUL, where C ends a string.
    """
    if "\0" in text:
        raise ArtifactError(
            f"the name {text[:40]!r} holds NUL, where C ends a name: rename it in the file"
        )
    body = (
        chr(byte) if chr(byte) in _LITERAL else f"\\{byte:03o}"
        for byte in text.encode(errors="replace")
    )
    return f'"{"".join(body)}"'


def java(text: str) -> str:
    r"""Return ``text`` as a Java string literal in ASCII.

    ``\uXXXX`` is read before there are literals, wherever it stands: one that is a quote or ends a
    line would end the literal. So ASCII becomes octal escapes, the backslash among them.
    """
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    body = (
        chr(code) if chr(code) in _LITERAL else f"\\{code:03o}" if code < 128 else f"\\u{code:04x}"
        for code in codes
    )
    return f'"{"".join(body)}"'


def python(text: str) -> str:
    """Return ``text`` as a Python string literal in ASCII."""
    return ascii(str(text))


def yaml(text: str) -> str:
    """Return ``text`` as a double-quoted scalar of YAML in ASCII, never a number, null or a tag."""
    body = (
        letter if letter in _LITERAL else f"\\U{ord(letter):08x}"  # of no pairs, as JSON has them
        for letter in text
    )
    return f'"{"".join(body)}"'


def js(value: Any) -> str:
    """Return ``value`` as JSON and JavaScript in ASCII, safe inside an HTML script as well."""
    return json.dumps(value, sort_keys=True).replace("<", "\\u003c")


def markdown(text: str) -> str:
    """Return ``text`` as one line of Markdown that reads as it stands.

    Marks become HTML entities, so it does not belong between backticks. What is longer than 200
    characters ends in an ellipsis.
    """
    line = " ".join(visible(text).split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    return _MARKDOWN.sub(lambda mark: f"&#{ord(mark[0])};", line)


def html(text: object) -> str:
    """Return ``text`` as HTML, in an element or a quoted attribute."""
    return escape(visible(str(text)))


def number(value: object) -> str:
    """Return an integer or a finite float, as Python, C and JavaScript write it.

    Raises:
        ArtifactError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArtifactError(f"a bundle needs a number where it would get {str(value)[:40]!r}")
    return str(value)


def numbers(values: Iterable[object]) -> str:
    """Return numbers with commas between them; see :func:`number`."""
    return ", ".join(map(number, values))


def word(text: object) -> str:
    """Return a word that means nothing anywhere: letters, digits, and marks of versions and paths.

    Raises:
        ArtifactError: it has others.
    """
    plain = str(text)
    if not _WORD.fullmatch(plain):
        raise ArtifactError(f"a bundle needs a plain word where it would get {plain[:40]!r}")
    return plain


def words(texts: Iterable[object]) -> str:
    """Return words with commas between them; see :func:`word`."""
    return ", ".join(map(word, texts))


def written(text: object) -> str:
    """Return a text that this project wrote, as it is.

    Raises:
        TypeError: nothing says that it is one.
    """
    if not isinstance(text, Written):
        raise TypeError(
            f"{str(text)[:40]!r} goes into a bundle as it is, and nothing says who wrote it"
        )
    return text


PLAIN: Final[Mapping[str, Callable[..., str]]] = {
    "number": number,
    "numbers": numbers,
    "word": word,
    "words": words,
    "written": written,
}
"""What refuses all that means anything anywhere, by the name of the filter."""

_C: Final = {"c_string": c_string}
_JS: Final = {"js": js}

LANGUAGES: Final[Mapping[str, Mapping[str, Callable[..., str]]]] = {
    **dict.fromkeys((".c", ".cpp", ".h", ".hpp", ".mm", ".pbtxt"), _C),
    **dict.fromkeys((".js", ".json", ".mjs", ".mts"), _JS),
    ".html": {"html": html},
    ".j2": {"python": python},
    ".java": {"java": java},
    ".md": {"markdown": markdown},
    ".yaml": {"yaml": yaml},
}
"""What makes any text harmless, by the suffix of the template and the name of the filter."""
