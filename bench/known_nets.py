"""Write ``loading/known_nets.txt``: the fingerprints of timm's and torchvision's nets.

Usage: python bench/known_nets.py, where both packages are installed; it takes ten minutes.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
import torchvision

from resnet_deploy.loading.known_nets import fingerprint
from resnet_deploy.models.architectures import timm_architecture

TABLE = Path("resnet_deploy/loading/known_nets.txt")
OURS = re.compile(r"(?:wide_)?resne(?:x)?t\d+\w*|vgg19")


def nets() -> Iterator[tuple[str, bool, torch.nn.Module]]:
    """Yield what ``--model`` takes, whether the net is built here, and the net."""
    for name in timm.list_models():
        with torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
            try:
                net = timm.create_model(name, pretrained=False)
            except Exception as error:
                print(f"timm:{name}: {error}")
                continue
        yield f"timm:{name}", timm_architecture(name) is not None, net
    for name in torchvision.models.list_models(module=torchvision.models):
        own = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        net = torchvision.models.get_model(name, weights=None, **own)
        yield f"torchvision:{name}", OURS.fullmatch(name) is not None, net


def main() -> None:
    """Build them all; those with the fingerprint of one that is built here are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    built = set()
    for model, ours, net in nets():
        shapes = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
        found[fingerprint(shapes)].append(model)
        if ours:
            built.add(fingerprint(shapes))
    lines = [
        " ".join((digest, *sorted(models, key=lambda model: (len(model), model))))
        for digest, models in sorted(found.items())
        if digest not in built
    ]
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
