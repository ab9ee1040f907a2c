"""Nets of other packages by their names there: ``timm:NAME``, ``torchvision:NAME``, ``hf:FOLDER``.

The package builds them, untrained; nothing is downloaded, and no code of a folder is run. Sources:
``timm.create_model`` of https://github.com/huggingface/pytorch-image-models,
``torchvision.models.get_model`` of https://github.com/pytorch/vision, and
``AutoModelForImageClassification`` of https://github.com/huggingface/transformers.
"""

from __future__ import annotations

import difflib
import importlib
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from resnet_deploy.errors import MissingDependencyError, SpecError, one_line
from resnet_deploy.paths import resolved

PACKAGES = {
    "timm": ("timm", "pip install 'resnet-deploy[timm]'"),
    "torchvision": ("torchvision", "pip install 'resnet-deploy[timm]'"),
    "hf": ("transformers", "pip install transformers"),
}
"""What stands in front of the colon, the package that it means, and how that is installed."""

_NAME = re.compile(r"[\w.\-]{1,100}", re.ASCII)
_MOST_NAMED = 4
_RGB = 3


@dataclass(frozen=True)
class PackagedNet:
    """``prefix:name`` of ``--model``: a name of timm's or torchvision's, or a folder."""

    prefix: str
    name: str

    @property
    def model(self) -> str:
        """As ``--model`` has it."""
        return f"{self.prefix}:{self.name}"

    def build(self, *, num_classes: int = 0, in_channels: int = 0) -> Any:
        """Return the net with weights that PyTorch's random state makes; 0 means its own number.

        Raises:
            SpecError: the package has no such net, or it can't be built so.
            MissingDependencyError: the package is not installed.
        """
        package = self._package()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # packages announce what they will change
            match self.prefix:
                case "timm":
                    own: dict[str, Any] = {"pretrained": False}
                    own |= {"num_classes": num_classes} if num_classes else {}
                    own |= {"in_chans": in_channels} if in_channels not in (0, _RGB) else {}
                    _check_known(self, package.list_models(), package.is_model(_bare(self.name)))
                    return self._made(package.create_model, self.name, **own)
                case "torchvision":
                    if in_channels not in (0, _RGB):
                        raise SpecError(
                            f"torchvision's nets take 3 channels, not {in_channels}: use timm's, "
                            f"as --model timm:{self.name}"
                        )
                    own = {"num_classes": num_classes} if num_classes else {}
                    models = package.models
                    known = models.list_models(module=models)
                    _check_known(self, known, self.name in known)
                    return self._made(models.get_model, self.name, weights=None, **own)
                case _:
                    return self._of_folder(package, num_classes, in_channels)

    @property
    def usual_size(self) -> int | None:
        """Side of the pictures that it is made for, in pixels; None: the package does not say.

        Raises:
            MissingDependencyError: the package is not installed.
        """
        package = self._package()
        if self.prefix == "timm":
            recipe = self._made(package.get_pretrained_cfg, self.name)
            sizes = getattr(recipe, "input_size", None)
            return None if not sizes else int(min(sizes[1:]))
        crops = {recipe.crop_size[0] for recipe in self.recipes()}
        return int(crops.pop()) if len(crops) == 1 else None

    def recipes(self) -> list[Any]:
        """Return how torchvision prepares pictures for each of its trained weights of this net."""
        if self.prefix != "torchvision":
            return []
        models = self._package().models
        if self.name not in models.list_models(module=models):
            return []
        return [weights.transforms() for weights in models.get_model_weights(self.name)]

    def sized_as(self, state: Mapping[str, Tensor], module: nn.Module) -> tuple[int, int]:
        """Return the numbers of classes and of channels that ``state`` differs in from ``module``.

        0 is the same number. Told from the shapes that differ: a first dimension where all others
        agree is that of the classes, a second one that of the channels.
        """
        classes, channels = set(), set()
        for key, expected in named_tensors(module).items():
            found = state.get(key)
            if found is None or found.shape == expected.shape or found.ndim != expected.ndim:
                continue
            if found.ndim and found.shape[1:] == expected.shape[1:]:
                classes.add(int(found.shape[0]))
            elif found.ndim == 4 and _but_second(found) == _but_second(expected):
                channels.add(int(found.shape[1]))
        return (
            classes.pop() if len(classes) == 1 else 0,
            channels.pop() if len(channels) == 1 else 0,
        )

    def _package(self) -> ModuleType:
        package, install = PACKAGES[self.prefix]
        try:
            module = importlib.import_module(package)
            if self.prefix == "torchvision":
                importlib.import_module("torchvision.models")
        except Exception as error:  # one that does not fit its torch raises RuntimeError
            missing = isinstance(error, ModuleNotFoundError) and error.name == package
            reason = "" if missing else f", which can't be imported here ({one_line(error)})"
            raise MissingDependencyError(
                f"--model {self.model} needs the package {package}{reason}: {install}"
            ) from error
        return module

    def _made(self, make: Any, *arguments: Any, **own: Any) -> Any:
        try:
            return make(*arguments, **own)
        except Exception as error:  # any of a thousand nets may refuse any of these
            raise SpecError(f"{self.model} can't be built: {one_line(error)}") from error

    def _of_folder(self, package: ModuleType, num_classes: int, in_channels: int) -> Any:
        """Build what ``config.json`` describes, by transformers' own classes alone."""
        folder = Path(self.name)
        if not (folder / "config.json").is_file():
            raise SpecError(
                f"--model {self.model}: {folder} is not a folder with a config.json, as "
                "transformers' save_pretrained writes it"
            )
        own: dict[str, Any] = {"num_labels": num_classes} if num_classes else {}
        own |= {"num_channels": in_channels} if in_channels else {}
        try:
            config = package.AutoConfig.from_pretrained(
                str(resolved(folder)), local_files_only=True, trust_remote_code=False, **own
            )
            net = package.AutoModelForImageClassification.from_config(
                config, trust_remote_code=False
            )
        except Exception as error:  # config.json may hold anything
            raise SpecError(f"{self.model} can't be built: {one_line(error)}") from error
        return LogitsOf(net)


class LogitsOf(nn.Module):
    """A net of transformers' that returns its logits alone, ``(N, classes)``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(pixel_values=x).logits


def packaged(model: str | None) -> PackagedNet | None:
    """Return the net that ``--model`` names in another package; None: it names none.

    Raises:
        SpecError: it is not a name.
    """
    prefix, colon, name = (model or "").partition(":")
    if not colon or prefix not in PACKAGES:
        return None
    if prefix == "hf" and name:
        return PackagedNet(prefix, name)
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"--model {one_line(str(model))}: {prefix} has no such name; write {prefix}:resnet50"
        )
    return PackagedNet(prefix, name)


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of ``module`` by the names that its package saves them under."""
    return dict(trained(module).state_dict())


def trained(module: nn.Module) -> nn.Module:
    """Return the module whose tensors a file of the package holds."""
    return module.net if isinstance(module, LogitsOf) else module


def _but_second(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.shape[0], *tensor.shape[2:])


def _bare(name: str) -> str:
    """Return a name of timm's without its tag: ``resnet50`` for ``resnet50.a1_in1k``."""
    return name.partition(".")[0]


def _check_known(net: PackagedNet, known: Iterable[str], found: bool) -> None:
    if found:
        return
    near = difflib.get_close_matches(_bare(net.name), list(known), n=_MOST_NAMED, cutoff=0.6)
    hint = f"the nearest are {', '.join(near)}" if near else "see its list_models()"
    raise SpecError(f"{net.prefix} has no model {net.name!r}: {hint}")
