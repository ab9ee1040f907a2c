"""Every runner, those that can't run on this machine marked as skipped."""

from __future__ import annotations

import pytest

from resnet_deploy.diagnose import runners_here

RUNNERS_HERE = [
    pytest.param(
        status.name,
        marks=pytest.mark.skipif(bool(status.problem), reason=f"{status.name}: {status.problem}"),
    )
    for status in runners_here()
]
"""For ``pytest.mark.parametrize``."""
