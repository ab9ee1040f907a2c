"""The pretrained ResNet-20 of CIFAR-10 in this package: ``--weights cifar10``."""

from __future__ import annotations

from pathlib import Path

from resnet_deploy.errors import CheckpointError

_CIFAR10 = "resnet20-cifar10.safetensors"


def pretrained_cifar10() -> Path:
    """Return the path of the ResNet-20 that comes with the package, with its card inside.

    Raises:
        CheckpointError: the installation lacks it.
    """
    path = Path(__file__).with_name(_CIFAR10)
    if not path.is_file():
        raise CheckpointError(
            f"the weights of --weights cifar10 are missing ({path}): install resnet-deploy again"
        )
    return path
