"""Every key layout that checkpoints come in, turned into torchvision's.

========================  =====================================  ===========================
origin                    theirs                                 torchvision's
========================  =====================================  ===========================
Hugging Face              resnet.embedder.embedder.convolution   conv1
                          encoder.stages.0.layers.1.layer.2      layer1.1.conv3 and .bn3
                          shortcut.convolution, .normalization   downsample.0, .1
                          classifier.1                           fc
He-style CIFAR nets       linear                                 fc
                          shortcut.0, shortcut.1                 downsample.0, .1
DataParallel, compile …   module., _orig_mod., model., backbone. (nothing)
========================  =====================================  ===========================

timm's ResNets have torchvision's keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

State = dict[str, Tensor]

_DEEPEST_WRAPPING = 8
"""More wrappers than any framework nests; a dict that holds itself has no end."""

_AVERAGED = ("state_dict_ema", "model_ema", "ema")
# In the order of preference: averaged weights are those that were evaluated.
_WRAPPERS = (*_AVERAGED, "state_dict", "model_state_dict", "model", "module", "net")

_PREFIX = re.compile(r"(?:module|_orig_mod|model|backbone)\.")

_HUGGING_FACE = (
    (re.compile(r"^resnet\."), ""),
    (re.compile(r"^embedder\.embedder\.convolution\."), "conv1."),
    (re.compile(r"^embedder\.embedder\.normalization\."), "bn1."),
    (re.compile(r"\.shortcut\.convolution\."), ".downsample.0."),
    (re.compile(r"\.shortcut\.normalization\."), ".downsample.1."),
    (re.compile(r"^classifier\.1\."), "fc."),
)
_HUGGING_FACE_BLOCK = re.compile(r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.")
_HUGGING_FACE_LAYER = re.compile(r"\.layer\.(\d+)\.(convolution|normalization)\.")

_CIFAR = (
    (re.compile(r"^linear\."), "fc."),
    (re.compile(r"\.shortcut\.([01])\."), r".downsample.\1."),
)


def unwrap(content: Any) -> tuple[State, tuple[str, ...]]:
    """Find the tensors in what a checkpoint holds; return them and what is worth telling.

    Wrappers may be nested. Entries beside the tensors (epoch, optimizer, …) are dropped. No
    tensors found gives an empty dict.
    """
    notices: list[str] = []
    for _ in range(_DEEPEST_WRAPPING):
        if not isinstance(content, Mapping):
            break
        inner = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping) and content[key]]
        if not inner:
            break
        chosen = inner[0]
        if chosen in _AVERAGED and len(inner) > 1:
            notices.append(
                f"the checkpoint holds averaged weights ({chosen}) beside {inner[1]}: "
                f"{chosen} is used"
            )
        content = content[chosen]
    if not isinstance(content, Mapping):
        return {}, ()
    state = {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    return state, tuple(notices)


def strip_prefixes(state: State, expected: Iterable[str] = ()) -> State:
    """Drop ``module.``, ``_orig_mod.``, ``model.`` and ``backbone.``, repeated and nested.

    Keys in ``expected`` are right as they are: a user's own net may have a ``backbone``. For
    other keys the shortest prefix that leads to an expected key is dropped, or all of it.
    """
    known = set(expected)
    stripped = {}
    for key, tensor in state.items():
        name = key
        while name not in known and (match := _PREFIX.match(name)):
            name = name[match.end() :]
        stripped[key if name in state else name] = tensor
    # torch.optim.swa_utils.AveragedModel counts its updates in here.
    stripped.pop("n_averaged", None)
    return stripped


def to_torchvision(state: State) -> State:
    """Rename the keys of a ResNet or VGG checkpoint as torchvision has them."""
    state = strip_prefixes(state)
    if is_hugging_face(state):
        return {_from_hugging_face(key): tensor for key, tensor in state.items()}
    return {_replace(key, _CIFAR): tensor for key, tensor in state.items()}


def is_hugging_face(state: Iterable[str]) -> bool:
    """True for the keys of Hugging Face's ResNets."""
    return any(key.endswith("embedder.embedder.convolution.weight") for key in state)


def _from_hugging_face(key: str) -> str:
    key = _replace(key, _HUGGING_FACE)
    key = _HUGGING_FACE_BLOCK.sub(lambda m: f"layer{int(m[1]) + 1}.{m[2]}.", key)
    kinds = {"convolution": "conv", "normalization": "bn"}
    return _HUGGING_FACE_LAYER.sub(lambda m: f".{kinds[m[2]]}{int(m[1]) + 1}.", key)


def _replace(key: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        key = pattern.sub(replacement, key)
    return key
