"""What every result can do, whatever verb it comes from."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_deploy.errors import CheckFailed
from resnet_deploy.results.serialize import to_dict

if TYPE_CHECKING:
    from typing import Self


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
        """Return the page that a notebook shows."""
        html: str = _renderers().html(self)
        return html

    def _failure(self) -> str:
        """Return what failed, in one line; asked for where :attr:`passed` is False."""
        return "a check failed"


def _renderers() -> Any:
    # A renderer knows every result, so all of them live in a layer above this one, which must not
    # be imported from here: it is found when somebody wants to look.
    return importlib.import_module("resnet_deploy.report")
