"""What every result can do, whatever verb it comes from."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from resnet_deploy.errors import CheckFailed
from resnet_deploy.parsing import strict_converter, structured

if TYPE_CHECKING:
    from typing import Self

R = TypeVar("R")

_converter = strict_converter()


class Result:
    """What a verb found out: it can be checked, written as JSON and shown.

    A result with a verdict says so by :attr:`passed`, and what failed by :attr:`reason`.
    """

    DERIVED: ClassVar[tuple[str, ...]] = ()

    @property
    def passed(self) -> bool | None:
        """Whether every check holds; None where there was nothing to judge."""
        return None

    @property
    def written(self) -> Mapping[str, str]:
        """Paths of the files that it is about and that its verb wrote, with their SHA-256."""
        return {}

    @property
    def reason(self) -> str | None:
        """What failed, in one line; None where nothing did."""
        return self._failure() if self.passed is False else None

    def check(self) -> Self:
        """Return this result if its verdict is not no.

        Raises:
            CheckFailed: it is; the message is :attr:`reason`.
        """
        if self.reason is not None:
            raise CheckFailed(self.reason)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: every field, and the figures derived from them."""
        return to_dict(self)

    def report(self, path: str | Path) -> None:
        """Write a page that shows everything; its format is that of the suffix of ``path``."""
        _renderers().write(self, Path(path))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the page of :meth:`report`, in a frame."""
        html: str = _renderers().notebook(self)
        return html

    def _failure(self) -> str:
        """Return what failed, in one line; asked for where :attr:`passed` is False."""
        return "a check failed"


def _renderers() -> Any:
    # The reports know every result, so they are a layer above this one, which must not import it.
    return importlib.import_module("resnet_deploy.report")


def to_dict(result: Any) -> dict[str, Any]:
    """Return ``result`` as plain JSON values; infinities become None.

    Those are every field, and the properties named in the class's ``DERIVED``.
    """
    data: dict[str, Any] = _finite(_converter.unstructure(result))
    _add_derived(result, data)
    return data


def from_dict(kind: type[R], data: Mapping[str, Any]) -> R:
    """Return the result of class ``kind`` that :func:`to_dict` wrote.

    Raises:
        ValueError: ``data`` is none; the message says where, and what is wrong there.
    """
    return structured(_converter, data, kind)


def _add_derived(result: Any, data: dict[str, Any]) -> None:
    for name in getattr(result, "DERIVED", ()):
        data[name] = _finite(_converter.unstructure(getattr(result, name)))
    for name, value in data.items():
        child = getattr(result, name)
        if isinstance(value, dict) and hasattr(child, "DERIVED"):
            _add_derived(child, value)
        elif isinstance(value, list | tuple):
            for grandchild, item in zip(child, value, strict=True):
                if isinstance(item, dict):
                    _add_derived(grandchild, item)


def _finite(value: Any) -> Any:
    """JSON has no infinity: an SQNR of identical outputs is written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
