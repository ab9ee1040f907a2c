from __future__ import annotations

import pytest

from resnet_deploy.dependencies import require
from resnet_deploy.errors import MissingDependencyError


def test_a_missing_package_is_named_with_its_command():
    with pytest.raises(MissingDependencyError, match=r"drawing needs .*pip install"):
        require("no_such_package", "drawing")
