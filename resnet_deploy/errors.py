"""What can go wrong, as one tree.

::

    ResnetDeployError
    ├── SpecError                the request contradicts itself or asks for what does not exist
    ├── CheckpointError          weights that can't be read or don't fit the model
    ├── DatasetError             images or labels that can't be read
    ├── ArtifactError            an ONNX file that can't be read, or a path that may not be written
    ├── UnsupportedGraphError    a graph that this tool can't work on
    ├── ExportError              a PyTorch module that can't become a correct ONNX file
    ├── TrainingError            a loss that is no number, a lost process
    │   └── ToldError            another process of the same training failed first, and tells why
    ├── CheckFailed              the verdict of a result is no, and somebody asked
    ├── RunnerError              a runtime that refused or lost a model
    └── MissingDependencyError   an optional package is not installed

Every message is one line: what is wrong, where, and what to do. A failed check (parity,
accuracy, float operators left) is a result, not an exception, unless its ``check()`` is called.
"""

from __future__ import annotations


class ResnetDeployError(Exception):
    """Base of every error that the user can act upon."""


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


def one_line(error: BaseException | str, most: int = 300) -> str:
    """Return what ``error`` says in one line of at most ``most`` characters.

    Libraries underneath raise pages of text, or nothing at all: then the kind of error is named.
    """
    text = " ".join(str(error).split())[:most]
    return text or type(error).__name__


def last_line(text: str, otherwise: str = "", most: int = 300) -> str:
    """Return the last line of ``text`` that says something, or ``otherwise``.

    That is where a process that died says why.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:most] if lines else otherwise
