"""A result as JSON: its fields and statistics, not the tables of its document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from resnet_deploy.results import Prediction, to_dict


def text(result: Any) -> str:
    """Return ``result`` as indented JSON; several are a list under the name of what they are."""
    data: Any
    if not isinstance(result, Sequence):
        data = to_dict(result)
    else:
        name = "predictions" if isinstance(result[0], Prediction) else "results"
        data = {name: [to_dict(single) for single in result]}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
