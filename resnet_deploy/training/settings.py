"""What decides the result of a run, as plain values: equal settings, equal weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.training.loop import Training
from resnet_deploy.training.recipe import to_values

_LONGEST = 40
"""Characters of a value in a message."""


def settings_of(request: TrainRequest, training: Training) -> dict[str, Any]:
    """Return the settings of ``training`` as JSON values."""
    loaded = training.trainable.loaded
    settings = {
        "network": asdict(training.trainable.spec),
        "weights": None if loaded is None else loaded.source.sha256,
        "data": training.data.fingerprint,
        "classes": list(training.data.classes),
        "preprocessing": asdict(training.data.train.preprocess),
        "recipe": to_values(training.recipe),
        "precision": training.precision.value,
        "seed": request.seed,
        "qat": request.qat,
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return each setting of ``now`` that ``before`` has otherwise, in words."""
    found = []
    for name, value in now.items():
        earlier = before.get(name)
        if isinstance(earlier, dict) and isinstance(value, dict):
            found += [f"{name} {inner}" for inner in differences(earlier, value)]
        elif earlier != value:
            found.append(f"{name} {_short(earlier)}, not {_short(value)}")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
