"""What can go wrong, as one tree.

::

    ResnetDeployError
    ├── SpecError                the request contradicts itself or asks for what does not exist
    ├── CheckpointError          weights that can't be read or don't fit the model
    ├── DatasetError             images or labels that can't be read
    ├── ArtifactError            an ONNX file that can't be read, or a path that may not be written
    ├── UnsupportedGraphError    a graph that this tool can't work on
    ├── ExportError              a PyTorch module that can't become a correct ONNX file
    ├── TrainingError            a loss that is not a number, a lost process
    │   └── ToldError            another process of the same training failed first, and tells why
    ├── CheckFailed              the verdict of a result is no, and somebody asked
    ├── RunnerError              a runtime that refused or lost a model
    └── MissingDependencyError   an optional package is not installed

Every message is one line: what is wrong, where, and what to do. A failed check (parity,
accuracy, float operators left) is a result, not an exception, unless its ``check()`` is called.
"""

from __future__ import annotations

import re

from resnet_deploy.visible import visible_line, without_secrets

UNEXPECTED = 70
"""EX_SOFTWARE of sysexits.h: neither a check that failed nor the user's doing."""

_LONGEST = 2000
"""Letters of an error: what it repeats of a file is a stranger's."""

_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_RUNNING = re.compile(
    r"Non-zero status code returned while running (\w+) node\."
    r"(?: ?Name:'([^']*)')? ?Status Message: "
)
_PLACE = re.compile(r"\S*\.(?:cc|h|cpp|hpp):\d+ ")
"""Of a line of C++ in ONNX Runtime's source."""

_ASSERTION = re.compile(r".*? was false\.?\s*")
_SHORT_NAME = re.compile(r"(?:operator\(\)|\w+) ")


class ResnetDeployError(Exception):
    """Base of every error that the user can act on.

    Its text is one line whatever the names in it are, and what is secret is left out.
    """

    def __str__(self) -> str:
        return visible_line(without_secrets(super().__str__()))


class SpecError(ResnetDeployError):
    """The request contradicts itself or asks for what does not exist."""


class CheckpointError(ResnetDeployError):
    """Weights that can't be read, or that don't fit the requested model."""


class DatasetError(ResnetDeployError):
    """Images or labels that can't be read."""


class ArtifactError(ResnetDeployError):
    """An ONNX file that can't be read, or a path that may not be written."""


class UnsupportedGraphError(ResnetDeployError):
    """A graph that this tool can't work on."""


class ExportError(ResnetDeployError):
    """A PyTorch module that can't become a correct ONNX file."""


class TrainingError(ResnetDeployError):
    """A training that can't go on; what was saved before is whole."""


class ToldError(TrainingError):
    """Another process of the same training failed first, and tells why."""


class CheckFailed(ResnetDeployError):  # noqa: N818 - the check worked, and found something
    """The verdict of a result is no; the message says what failed."""


class RunnerError(ResnetDeployError):
    """A runtime that refused a model, or a runner process that died."""


class MissingDependencyError(ResnetDeployError):
    """An optional package is not installed; the message names the install command."""


def verdict_on(error: BaseException) -> tuple[int, str]:
    """Return the exit code that ``error`` means, and what is said of it in one line.

    It may be written into a result, so what is secret is left out.
    """
    code, said = _said_of(error)
    return code, without_secrets(said)


def _said_of(error: BaseException) -> tuple[int, str]:
    if isinstance(error, CheckFailed):
        return 1, str(error)
    if isinstance(error, MissingDependencyError):
        return 3, str(error)
    if isinstance(error, ResnetDeployError):
        return 2, one_line(error, _LONGEST)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return 2, f"{error.strerror or error}{where}"
    return UNEXPECTED, (
        f"internal error: {type(error).__name__}: {one_line(error)}; this is a fault of "
        "resnet-deploy: report it with the command and what -v shows"
    )


def one_line(error: BaseException | str, most: int = 300) -> str:
    """Return what ``error`` says in one line of at most ``most`` characters.

    Libraries underneath raise pages of text, or nothing at all: then the kind of error is named.
    What is secret is left out.
    """
    return _cut(" ".join(str(error).split()), most) or type(error).__name__


def _cut(text: str, most: int) -> str:
    """Return the beginning of ``text`` without what is secret: half of it would be no URL."""
    return without_secrets(text[: 4 * most])[:most]


def runtime_reason(error: BaseException | str, most: int = 300) -> str:
    """Return what an ``error`` of ONNX Runtime says in one line, without the C++ that it quotes.

    Its messages hold codes, places in its source, signatures of functions and assertions.
    """
    text = _CODE.sub("", one_line(error, 10 * most))
    text = _RUNNING.sub(_node, text)
    while place := _PLACE.search(text):
        behind = text[place.end() :]
        said, asserted = _ASSERTION.subn("", behind, count=1)
        if not asserted:
            said = _behind_signature(behind)
        text = text[: place.start()] + (said or "a check of its own failed")
    return one_line(text, most)


def _node(found: re.Match[str]) -> str:
    """Return which node failed: it has a name, or none."""
    return f"{found[1]} node {found[2]!r}: " if found[2] else f"a {found[1]} node: "


def _behind_signature(text: str) -> str:
    """Return ``text`` without the C++ function that it begins with."""
    name, opened, rest = text.partition("(")
    if "::" not in name or not opened:
        return _SHORT_NAME.sub("", text, count=1)
    depth = 1
    for index, letter in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if not depth:
            return rest[index + 1 :].strip().removeprefix("const ")
    return ""


def last_line(text: str, otherwise: str = "", most: int = 300) -> str:
    """Return the last line of ``text`` that says something, or ``otherwise``.

    That is where a process that died says why.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _cut(lines[-1], most) if lines else otherwise
