"""Networks deployed as a user does it, without what only takes time."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from resnet_deploy import api
from resnet_deploy.results import Deployment


def exported(out: Path, **words: Any) -> Deployment:
    """Deploy a network into the folder ``out``; by default a ResNet-8 with random weights.

    Each word goes to ``load``, to ``deploy``, or to both. Unless it is asked for, onnxsim does not
    run and no calibration is kept.
    """
    if not words.keys() & {"weights", "model", "depth"}:
        words["depth"] = 8
    words = {"simplify": False, "no_calibration_cache": True, **words}
    loading, deploying = (inspect.signature(verb).parameters for verb in (api.load, api.deploy))
    unknown = words.keys() - loading.keys() - deploying.keys()
    assert not unknown, f"neither load nor deploy takes {', '.join(unknown)}"
    network = api.load(**{key: value for key, value in words.items() if key in loading})
    return api.deploy(
        network, out, **{key: value for key, value in words.items() if key in deploying}
    )
