"""Sphinx roles of the docstrings, as links of the site.

Docstrings name things as ``:class:`~resnet_deploy.errors.SpecError```, which editors understand.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

import resnet_deploy

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([\w.]+)`")
_CODE = re.compile(r"``([^`\n]+)``")


def _link(match: re.Match[str]) -> str:
    name = match[1].rpartition(".")[2]
    if name in resnet_deploy.__all__:
        return f"[`{name}`][resnet_deploy.{name}]"
    return f"`{name}`"


class Roles(griffe.Extension):
    """Rewrites the docstrings of all that is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Replace the roles in the docstring of ``obj``."""
        if obj.docstring is not None:
            obj.docstring.value = _CODE.sub(r"`\1`", _ROLE.sub(_link, obj.docstring.value))
