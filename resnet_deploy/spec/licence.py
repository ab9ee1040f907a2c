"""Licences by their SPDX expression."""

from __future__ import annotations

import re

from resnet_deploy.errors import SpecError

_SPDX = re.compile(r"\(*[A-Za-z0-9.+:-]+\)*( (AND|OR|WITH) \(*[A-Za-z0-9.+:-]+\)*)*")


def check_licence(text: str) -> None:
    """Refuse a licence that is not an SPDX expression, such as ``Apache-2.0 OR MIT``; empty: none.

    Raises:
        SpecError: it isn't.
    """
    if text and not _SPDX.fullmatch(text):
        raise SpecError(
            f"--licence {text[:60]!r} is not an SPDX expression: name it as Apache-2.0, MIT or "
            "LicenseRef-MyTerms, joined by AND, OR and WITH"
        )
