"""How often a peer's file picks the class that fp32 picks, on trained nets and real images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from peers.catalog import Subject
from peers.environments import last_line
from peers.nets import Net
from peers.timing import Products, logits_of
from resnet_deploy.arrays import Array
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.runners.compare import difference_and_top1

BATCH = 50


def agree_all(
    subjects: Sequence[Subject], net: Net, products: Products, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return agreement and signal to noise of every subject, against ONNX Runtime in fp32."""
    rows: dict[str, Any] = {}
    reference = next(subject for subject in subjects if subject.key == "ort-fp32")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = logits_of(reference, net, str(net.fp32), BATCH, folder)
        for subject in subjects:
            made = products[subject.product]
            if "error" in made:
                rows[subject.key] = {"error": made["error"]}
                continue
            say(f"{net.name} {subject.key}: agreement")
            try:
                got = logits_of(subject, net, made["model"], BATCH, folder)
                rows[subject.key] = _row(expected, got)
            except ResnetDeployError as error:
                rows[subject.key] = {"error": last_line(str(error))}
    return {"net": net.name, "images": len(expected), "subjects": rows}


def _row(expected: Array, got: Array) -> dict[str, Any]:
    found, same = difference_and_top1("logits", expected, got.reshape(expected.shape))
    noise = found.sqnr_db
    return {"agreement": sum(same) / len(same), "sqnr_db": noise if np.isfinite(noise) else None}
