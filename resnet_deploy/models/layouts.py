"""Every key layout that residual nets are saved in, turned into torchvision's and timm's.

A layout is a row of :data:`LAYOUTS`: its name, the key of the first convolution of the first block,
by which it is recognised whatever stands in front (``module.``, ``backbone.``, ``student.``), keys
that must be there too, and the rules that rename what follows. :data:`_IN_BLOCKS` renames what
layouts share. What no row names is read by structure (:mod:`resnet_deploy.loading.structure`), if
that leaves no choice. Unknown keys stay, so that they are an error later, never a guess.

Long because every layout has its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

State = dict[str, Tensor]
Rule = tuple[str, "str | Callable[[re.Match[str]], str]"]


@dataclass(frozen=True)
class Layout:
    """How one project names the layers of its residual nets.

    Args:
        name: whose it is.
        anchor: pattern of the key by which it is recognised, without the prefix of the net.
        rules: pattern and replacement of keys without that prefix, applied in order.
        marks: patterns of keys that have to be there, too.
        absent: pattern of a key that must not.
        head: pattern of the name of the classifier, where it is special; ``fc``, ``linear``, … are
            known.
    """

    name: str
    anchor: str
    rules: tuple[Rule, ...] = ()
    marks: tuple[str, ...] = ()
    absent: str = r"(?!)"
    head: str = ""


def _stage(offset: int) -> Callable[[re.Match[str]], str]:
    """Number stages from 1 where a layout numbers them otherwise."""
    return lambda match: f"layer{int(match[1]) + offset}."


def _layer(match: re.Match[str]) -> str:
    kinds = {"convolution": "conv", "normalization": "bn"}
    return f".{kinds[match[2]]}{int(match[1]) + 1}."


def _triple(match: re.Match[str]) -> str:
    """Name the place in a Sequential of convolution, BatchNorm, ReLU, and so on."""
    place = int(match[1])
    kind = {0: "conv", 1: "bn"}.get(place % 3, "relu")
    return f".{kind}{place // 3 + 1}."


_TORCHVISION = r"layer1\.0\.conv1\.weight"
_DEEP_STEM: tuple[Rule, ...] = (
    (r"^conv1\.", "conv1.0."),
    (r"^conv2\.", "conv1.3."),
    (r"^conv3\.", "conv1.6."),
    (r"^bn1\.", "conv1.1."),
    (r"^bn2\.", "conv1.4."),
    (r"^bn3\.", "bn1."),
)

LAYOUTS = (
    Layout(
        "timm's legacy and Cadene's SENet",
        _TORCHVISION,
        (
            (r"^layer0\.(conv|bn)", r"\1"),
            (r"^conv(\d)\.", lambda m: f"conv1.{3 * int(m[1]) - 3}."),
            (r"^bn(\d)\.", lambda m: f"conv1.{3 * int(m[1]) - 2}."),
            (r"^conv1\.7\.", "bn1."),
        ),
        marks=(r"layer0\.conv3\.weight",),
    ),
    Layout(
        "timm's legacy and Cadene's SE-ResNet and SE-ResNeXt",
        _TORCHVISION,
        ((r"^layer0\.", ""),),
        marks=(r"layer0\.conv1\.weight",),
    ),
    Layout("CSAIL's deep stem", _TORCHVISION, _DEEP_STEM, marks=(r"conv3\.weight",)),
    Layout(
        "MMPretrain's deep stem",
        _TORCHVISION,
        (
            (r"^stem\.([012])\.conv\.", lambda m: f"conv1.{3 * int(m[1])}."),
            (r"^stem\.([01])\.bn\.", lambda m: f"conv1.{3 * int(m[1]) + 1}."),
            (r"^stem\.2\.bn\.", "bn1."),
            (r"^stem\.7\.", "bn1."),
            (r"^stem\.", "conv1."),
        ),
        marks=(r"stem\.(?:6|2\.conv)\.weight",),
    ),
    Layout(
        "Sequential stem",
        _TORCHVISION,
        ((r"^(?:conv1|stem|pre)\.0\.", "conv1."), (r"^(?:conv1|stem|pre)\.1\.", "bn1.")),
        marks=(r"(?:conv1|stem|pre)\.1\.running_mean",),
        absent=r"(?:conv1|stem|pre)\.3\.weight",
    ),
    Layout(
        "kuangliu's pre-activation nets, with a BatchNorm behind the last block",
        _TORCHVISION,
        ((r"^(?:bn|bn_final|final_bn|norm)\.", "norm."),),
        marks=(r"(?:bn|bn_final|final_bn)\.running_mean", r"layer1\.0\.bn1\.running_mean"),
        absent=r"bn1\.running_mean",
    ),
    Layout("torchvision, timm, He-style CIFAR nets, MMPretrain", _TORCHVISION),
    Layout(
        "Hugging Face",
        r"encoder\.stages\.0\.layers\.0\.layer\.0\.convolution\.weight",
        (
            (r"^embedder\.embedder\.convolution\.", "conv1."),
            (r"^embedder\.embedder\.normalization\.", "bn1."),
            (r"^encoder\.stages\.(\d+)\.layers\.", _stage(1)),
            (r"\.shortcut\.convolution\.", ".downsample.0."),
            (r"\.shortcut\.normalization\.", ".downsample.1."),
            (r"\.layer\.(\d)\.(convolution|normalization)\.", _layer),
        ),
        head=r"classifier\.1",
    ),
    Layout(
        "weiaicunzai's CIFAR nets",
        r"conv2_x\.0\.residual_function\.0\.weight",
        (
            (r"^conv1\.0\.", "conv1."),
            (r"^conv1\.1\.", "bn1."),
            (r"^conv(\d)_x\.", _stage(-1)),
            (r"\.residual_function\.(\d)\.", _triple),
        ),
    ),
    Layout(
        "blocks of left and right, or shortcut",
        r"layer1\.0\.left\.0\.weight",
        (
            (r"^(?:conv1|pre)\.0\.", "conv1."),
            (r"^(?:conv1|pre)\.1\.", "bn1."),
            (r"\.left\.(\d)\.", _triple),
            (r"\.right\.", ".downsample."),
        ),
    ),
    Layout(
        "Sequential(*children) of torchvision's, fastai",
        r"4\.0\.conv1\.weight",
        (
            (r"^0\.", "conv1."),
            (r"^1\.", "bn1."),
            (r"^([4-7])\.", _stage(-3)),
            (r"^9\.", "fc."),
        ),
        marks=(r"0\.weight",),
        head="1",
    ),
    Layout(
        "fastai's xresnet",
        r"4\.0\.convpath\.0\.0\.weight",
        (
            (r"^([01])\.0\.", lambda m: f"conv1.{3 * int(m[1])}."),
            (r"^([01])\.1\.", lambda m: f"conv1.{3 * int(m[1]) + 1}."),
            (r"^2\.0\.", "conv1.6."),
            (r"^2\.1\.", "bn1."),
            (r"^([4-7])\.", _stage(-3)),
            (r"\.convpath\.(\d)\.0\.", lambda m: f".conv{int(m[1]) + 1}."),
            (r"\.convpath\.(\d)\.1\.", lambda m: f".bn{int(m[1]) + 1}."),
            (r"\.convpath\.\d\.layers\.([12])\.0\.", r".se.fc\1."),
            (r"\.idpath\.[01]\.0\.", ".downsample.1."),
            (r"\.idpath\.[01]\.1\.", ".downsample.2."),
            (r"^11\.", "fc."),
        ),
        head="1",
    ),
    Layout(
        "Detectron2's deep stem",
        r"res2\.0\.conv1\.weight",
        (
            (r"^stem\.conv(\d)\.norm\.", r"bn\1."),
            (r"^stem\.", ""),
            *_DEEP_STEM,
            (r"^res(\d)\.", _stage(-1)),
            (r"\.conv(\d)\.norm\.", r".bn\1."),
            (r"\.shortcut\.norm\.", ".downsample.1."),
            (r"\.shortcut\.", ".downsample.0."),
        ),
        marks=(r"stem\.conv3\.weight",),
    ),
    Layout(
        "Detectron2",
        r"res2\.0\.conv1\.weight",
        (
            (r"^stem\.conv1\.norm\.", "bn1."),
            (r"^stem\.conv1\.", "conv1."),
            (r"^res(\d)\.", _stage(-1)),
            (r"\.conv(\d)\.norm\.", r".bn\1."),
            (r"\.shortcut\.norm\.", ".downsample.1."),
            (r"\.shortcut\.", ".downsample.0."),
        ),
    ),
    Layout(
        "timm's pre-activation nets with a deep stem",
        r"stages[._]0\.blocks\.0\.conv1\.weight",
        (
            (r"^stem[._]norm(\d)\.", r"bn\1."),
            (r"^stem[._]", ""),
            *_DEEP_STEM,
            (r"^stages[._](\d+)\.blocks\.", _stage(1)),
            (r"\.norm(\d)\.", r".bn\1."),
            (r"\.downsample\.conv\.", ".downsample.0."),
        ),
        marks=(r"stem[._]conv3\.weight",),
        head=r"head\.fc",
    ),
    Layout(
        "timm's pre-activation nets",
        r"stages[._]0\.blocks\.0\.conv1\.weight",
        (
            (r"^stem[._]conv\.", "conv1."),
            (r"^stages[._](\d+)\.blocks\.", _stage(1)),
            (r"\.norm(\d)\.", r".bn\1."),
            (r"\.downsample\.conv\.", ".downsample.0."),
            (r"\.downsample\.norm\.", ".downsample.1."),
        ),
        head=r"head\.fc",
    ),
    Layout(
        "xternalz's wide residual nets",
        r"block1\.layer\.0\.conv1\.weight",
        (
            (r"^block(\d)\.layer\.", _stage(0)),
            (r"\.convShortcut\.", ".downsample.0."),
            (r"^bn1\.", "norm."),
        ),
    ),
    Layout(
        "NVIDIA's DeepLearningExamples",
        r"layers\.0\.0\.conv1\.weight",
        (
            (r"^layers\.(\d+)\.", _stage(1)),
            (r"\.squeeze\.squeeze\.", ".se.fc1."),
            (r"\.squeeze\.expand\.", ".se.fc2."),
        ),
    ),
    Layout(
        "Keras' names",
        r"conv2_block1_1_conv\.weight",
        (
            (r"^conv1_(conv|bn)\.", lambda m: f"{m[1]}1."),
            (
                r"^conv(\d)_block(\d+)_([1-3])_(conv|bn)\.",
                lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}.{m[4]}{m[3]}.",
            ),
            (
                r"^conv(\d)_block(\d+)_0_(conv|bn)\.",
                lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}.downsample.{'cb'.index(m[3][0])}.",
            ),
        ),
        head=r"predictions|probs|fc1000",
    ),
    Layout("VGG", r"features\.0\.weight"),
)
"""Searched in this order; the first whose keys are there is taken."""

_IN_BLOCKS: tuple[Rule, ...] = (
    (r"\.(?:shortcut|downsample)\.conv\.", ".downsample.0."),
    (r"\.(?:shortcut|downsample)\.bn\.", ".downsample.1."),
    (r"\.(?:shortcut|extra|skip)\.([01])\.", r".downsample.\1."),
    (r"\.se_module\.", ".se."),
    (r"\.se_layer\.conv([12])\.conv\.", r".se.fc\1."),
    (r"\.se\.fc\.0\.", ".se.fc1."),
    (r"\.se\.fc\.2\.", ".se.fc2."),
    (r"^(layer\d+\.\d+)\.fc([12])\.", r"\1.se.fc\2."),
    (r"\.eca\.conv\.", ".se.conv."),
)
"""Shortcuts and attention; whole nets differ in these alone. After the rules of the layout."""


_PREFIX = re.compile(r"(?:module|_orig_mod|model|backbone)\.")


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
    if "n_averaged" not in known:
        stripped.pop("n_averaged", None)
    return stripped


def is_hugging_face(state: Iterable[str]) -> bool:
    """True for the keys of Hugging Face's ResNets."""
    return any(key.endswith("embedder.embedder.convolution.weight") for key in state)


def renamed(key: str, layout: Layout) -> str:
    """Return torchvision's name of a tensor; ``key`` is without the prefix of the net."""
    for pattern, replacement in (*layout.rules, *_IN_BLOCKS):
        key = re.sub(pattern, replacement, key)
    return key
