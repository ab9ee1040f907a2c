"""Options that are keywords of the API: names, defaults and help texts come from its functions.

A little long: all verbs share these, and a value has one way to be read.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import re
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, TypeVar

import click

from resnet_deploy import api
from resnet_deploy.cli.completion import listed
from resnet_deploy.cli.verbosity import together
from resnet_deploy.paths import url_scheme
from resnet_deploy.spec import (
    EXPORTED_FORMATS,
    CalibrationMethod,
    ChannelOrder,
    Effort,
    FirstConv,
    InputOptions,
    Layout,
    OutputKind,
    Padding,
    Pool,
    ResidualStream,
    ResizeMode,
    Runtime,
    Shortcut,
    Stem,
    TargetIsa,
    Variant,
)
from resnet_deploy.spec.bounds import MOST_AT_ONCE
from resnet_deploy.spec.deploy import SmallPrecision
from resnet_deploy.spec.input_words import INTERPOLATIONS

F = TypeVar("F", bound=Callable[..., Any])


class PathType(click.Path):
    """A path that the library checks, so that every bad file gets the library's one line.

    A URL is none: as one it would name a folder ``https:``, with whatever password stands in it.
    Neither is nothing, as a variable of a shell has it that was never set: to Python that is the
    folder in which the command runs.
    """

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path."""
        if value == "":
            self.fail("it is empty: name a path, or leave the option out", param, ctx)
        if isinstance(value, str) and url_scheme(value):
            self.fail(
                f"{value} is a URL, and only pictures are read from elsewhere (--data, "
                "--calibration): copy the file here first, and name its path",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


PATH = PathType(path_type=Path)


class DataType(PathType):
    """A path as :data:`PATH` is one, or a URL, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or the URL."""
        if isinstance(value, str) and url_scheme(value):
            return value
        return super().convert(value, param, ctx)


DATA = DataType(path_type=Path)

MOST_WORKERS = 256
"""Each has the model in memory."""

_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)
_OTHERS = re.compile(r"The other words are those of (.*?)\.(?:\n|$)", re.DOTALL)
_FUNCTION = re.compile(r":func:`(\w+)`")
_MARKUP = re.compile(r":\w+:`(\w+)`|``([^`]*)``")


class Words:
    """A function of the API, as the source of options.

    ``words("--top-k", type=…)`` is a decorator that adds the option of its keyword ``top_k``. A
    keyword that does not exist is refused at once, so no option can mean what the API can't do.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        self._document = inspect.getdoc(function) or ""
        self._help = {
            name: _plain(text)
            for name, text in _ARGUMENT.findall(self._document.partition("\nArgs:\n")[2])
        }

    @property
    def keywords(self) -> Container[str]:
        """The names of what the function takes."""
        return self._signature.parameters

    @property
    def help(self) -> str:
        """What the function does, as the verb's help; paragraphs are kept."""
        text = _OTHERS.sub("", self._document.partition("\nArgs:\n")[0])
        return _MARKUP.sub(_bare, text).strip()

    def help_of(self, keyword: str) -> str:
        """Return the description of ``keyword``, here or in a function that this one refers to.

        Raises:
            KeyError: there is none.
        """
        if keyword in self._help:
            return self._help[keyword]
        others = _OTHERS.search(self._document)
        for name in _FUNCTION.findall(others[1] if others else ""):
            function = getattr(api, name)
            if keyword in inspect.signature(function).parameters:
                return Words(function).help_of(keyword)
        raise KeyError(keyword)

    def __call__(self, *flags: str, **settings: Any) -> Callable[[F], F]:
        """Return a decorator that adds an option; ``settings`` are click's."""
        keyword = _keyword(flags)
        parameter = self._signature.parameters[keyword]
        default = parameter.default
        usual: dict[str, Any] = {"help": self.help_of(keyword)}
        if default is inspect.Parameter.empty:
            usual["required"] = True
        elif isinstance(default, bool):
            usual |= {"default": default} if default else {"is_flag": True}
        elif default not in (None, (), ""):
            usual |= {"default": default, "show_default": True}
        elif default == ():
            usual["multiple"] = True
        elif default == "":
            usual["default"] = ""
        usual |= settings
        if "metavar" in usual and "type" not in usual:  # a type completes its values itself
            usual["shell_complete"] = listed(usual["metavar"])
        if usual.get("multiple"):
            usual["help"] = f"{usual['help'].removesuffix('.')}; may be repeated."
        return click.option(*flags, **usual)


def _keyword(flags: tuple[str, ...]) -> str:
    """Return the keyword that click makes of ``flags``: a name of its own, or the long flag."""
    own = [flag for flag in flags if not flag.startswith("-")]
    if own:
        return own[0]
    long = next(flag for flag in flags if flag.startswith("--"))
    return long.partition("/")[0].removeprefix("--").replace("-", "_")


def _plain(text: str) -> str:
    return _MARKUP.sub(_bare, " ".join(text.split()))


def _bare(match: re.Match[str]) -> str:
    return match[1] or match[2]


class NumbersType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Comma-separated numbers, one a channel or one for all, such as ``0.485,0.456,0.406``."""

    name = "R,G,B"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers."""
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not one number or three such as 0.5,0.5,0.5", param, ctx)


def choice(kind: type[enum.Enum], *, case_sensitive: bool = True) -> click.Choice[str]:
    """Return a choice of the values of ``kind``."""
    return click.Choice([str(member.value) for member in kind], case_sensitive=case_sensitive)


def file_argument(keyword: str = "artifact", *, metavar: str = "MODEL.onnx") -> Callable[[F], F]:
    """The positional ``MODEL.onnx``, by the API's word for it."""
    return click.argument(keyword, metavar=metavar, type=PATH)


def data_option(words: Words, **settings: Any) -> Callable[[F], F]:
    """``--data``: where images are; ``--labels-file`` and ``--follow-links`` where they apply."""
    text = (
        "Image folder (DIR/<class>/*.jpg), CIFAR batches, IDX, .npz, parquet or .tar; folders, "
        "parquet and tar by URL, too (s3://, gs://, hf://, http://)."
    )
    options = [words("--data", **{"type": DATA, "help": text, **settings})]
    if "labels_file" in words.keywords:
        options.append(words("--labels-file", type=DATA))
    return together(*options, follow_links_option(words))


def follow_links_option(words: Words) -> Callable[[F], F]:
    """``--follow-links``: out of folders of images."""
    return words("--follow-links")


def seed_option(words: Words) -> Callable[[F], F]:
    """``--seed``: of everything random."""
    return words("--seed", type=click.IntRange(0, 2**63 - 1))


def threads_option(words: Words) -> Callable[[F], F]:
    """``--threads``: how many threads a runner may use."""
    return words(
        "--threads",
        type=click.IntRange(0, MOST_AT_ONCE),
        show_default="physical cores this process may use",
    )


def cluster_option(words: Words) -> Callable[[F], F]:
    """``--cluster``: where the work is spread over."""
    return words("--cluster", metavar="ray[://HOST:PORT]")


def network_options(words: Words) -> Callable[[F], F]:
    """``--depth`` to ``--image-size``: which network."""
    return together(
        words("--depth", type=int),
        words("--model", metavar="NAME"),
        words("--variant", type=choice(Variant)),
        words("--shortcut", type=choice(Shortcut, case_sensitive=False), metavar="[A|A-end|B|C]"),
        words("--stem", type=choice(Stem)),
        words("--plain"),
        words("--num-classes", type=click.IntRange(1)),
        words("--image-size", type=click.IntRange(1)),
        words("--in-channels", type=int, metavar="[1|3|4]"),
        words("--bn-eps", type=float),
        words("--padding", type=choice(Padding)),
        words("--pool", type=choice(Pool)),
    )


def quantization_options(words: Words) -> Callable[[F], F]:
    """``--calibration`` to ``--verify``: how int8 is made, and whether it is compared."""
    return together(
        words("--calibration", type=DATA, metavar="DIR|FILE|URL"),
        words("--calibration-method", type=choice(CalibrationMethod)),
        words("--calibration-samples", type=click.IntRange(1)),
        words("--workers", type=click.IntRange(1, MOST_WORKERS)),
        cluster_option(words),
        words(
            "--calibration-cache",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
        ),
        words("--no-calibration-cache"),
        words("--effort", type=choice(Effort)),
        words(
            "--target-isa",
            # The library checks it, which says what became of a word that is gone.
            metavar=f"[{'|'.join(member.value for member in TargetIsa)}]",
            show_default="this CPU's",
        ),
        words("--allow-overflow"),
        words("--first-conv", type=choice(FirstConv)),
        words("--residual-stream", type=choice(ResidualStream)),
        words("--runtime", type=choice(Runtime)),
        words("--exclude", metavar="GLOB"),
        words("--keep-slow"),
        words("--verify/--no-verify"),
        words("--witness/--no-witness"),
    )


def precision_option(words: Words) -> Callable[[F], F]:
    """``--precision``: of the file that is made beside the fp32 one."""
    return words("--precision", type=choice(SmallPrecision))


def input_option(words: Words) -> Callable[[F], F]:
    """``--input``: what the files take."""
    formats = click.Choice([str(form.value) for form in EXPORTED_FORMATS])
    return words("--input", type=formats)


def picture_options(*, size: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--mean`` to ``--crop``: how pictures become the input; commands get ``input_options``.

    Without ``size``, no ``--image-size``: that of a network is another option.
    """
    words = Words(InputOptions)
    options = [
        words("--mean", type=NumbersType()),
        words("--std", type=NumbersType()),
        words("--range", metavar="LOW-HIGH"),
        words("--channel-order", type=choice(ChannelOrder, case_sensitive=False)),
        words("--layout", type=choice(Layout, case_sensitive=False)),
        words("--resize", metavar="PIXELS"),
        words("--resize-mode", type=choice(ResizeMode)),
        words("--interpolation", type=click.Choice(INTERPOLATIONS)),
        words("--crop", type=float, metavar="SHARE"),
        *([words("--image-size", metavar="PIXELS")] if size else []),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def gathered(**given: Any) -> Any:
            names = [field.name for field in dataclasses.fields(InputOptions)]
            said = {name: given.pop(name) for name in names if size or name != "image_size"}
            spoken = InputOptions(**said)
            return function(**given, input_options=spoken if spoken.says_something else None)

        return together(*options)(gathered)

    return decorate


def answer_options(words: Words) -> Callable[[F], F]:
    """``--output-kind`` and ``--output-name``: what a file answers, and which of its outputs."""
    kinds = click.Choice([kind.word for kind in OutputKind])
    return together(words("--output-kind", type=kinds, metavar="KIND"), output_name_option(words))


def output_name_option(words: Words) -> Callable[[F], F]:
    """``--output-name``: which output of a file is meant."""
    return words("--output-name", metavar="NAME")


def without(words: dict[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Take the keywords of ``function`` out of ``words`` and return them."""
    names = inspect.signature(function).parameters.keys() & words.keys()
    return {name: words.pop(name) for name in names}
