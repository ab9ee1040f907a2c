"""Templates, and what they need: text that is safe inside C, JavaScript, HTML, Markdown, YAML.

Names of tensors, classes and files, and most of a card, are a stranger's. So a template may only
print what one of :data:`ESCAPES` made harmless where it stands: any other ``{{ … }}`` is an error
of the template itself, whatever its values are.
"""

from __future__ import annotations

import functools
import html
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from resnet_deploy.errors import ArtifactError

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")


class Written(str):
    """Text that this project wrote: what of it came from elsewhere was escaped for its place."""

    __slots__ = ()


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """Return ``templates/<template>`` with ``values`` filled in, as UTF-8.

    A name that is missing in ``values`` is an error.

    Raises:
        ArtifactError: a value that has to be a plain word or a number is none.
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
    environment.filters.update(ESCAPES)
    return environment


def check_template(parsed: nodes.Template, name: str) -> None:
    """Refuse a template that prints a value which nothing made harmless.

    Raises:
        TemplateAssertionError: so it is; the message says where.
    """
    from jinja2 import nodes
    from jinja2.exceptions import TemplateAssertionError

    for output in parsed.find_all(nodes.Output):
        for printed in output.nodes:
            if not _is_harmless(printed):
                raise TemplateAssertionError(
                    f"what is printed here needs one of the filters {', '.join(ESCAPES)}",
                    printed.lineno,
                    name,
                )


def _is_harmless(printed: nodes.Node) -> bool:
    """Return whether an expression can print only text of the template, or what was escaped."""
    from jinja2 import nodes

    if isinstance(printed, nodes.Filter):
        return printed.name in ESCAPES
    if isinstance(printed, nodes.CondExpr):
        choices = (printed.expr1, printed.expr2)
        return all(choice is None or _is_harmless(choice) for choice in choices)
    return isinstance(printed, nodes.TemplateData | nodes.Const)


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


def escape(text: object) -> str:
    """Return ``text`` as HTML, in an element or a quoted attribute."""
    return html.escape(str(text))


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


ESCAPES: Final[Mapping[str, Callable[..., str]]] = {
    "c_string": c_string,
    "escape": escape,
    "js": js,
    "markdown": markdown,
    "number": number,
    "numbers": numbers,
    "word": word,
    "words": words,
    "written": written,
}
"""What makes a value harmless, by the name of the filter: ``js`` is for JavaScript, YAML and
protobuf text."""
