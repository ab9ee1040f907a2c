"""Seeds from one valid file: the same with something in it changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any


def varied(valid: bytes, *changes: Mapping[str, Any]) -> list[bytes]:
    """Return JSON as it is in ``valid``, once for each of ``changes``, with that changed.

    A change names places, as ``trials.0.file``, and says what is there. What has not been there
    is added.
    """
    whole = json.loads(valid)
    found = []
    for change in changes:
        content = copy.deepcopy(whole)
        for place, value in change.items():
            *above, last = place.split(".")
            inner = content
            for part in above:
                inner = inner[int(part) if isinstance(inner, list) else part]
            inner[int(last) if isinstance(inner, list) else last] = value
        found.append(json.dumps(content).encode())
    return found
