"""From the tensors of a file to torchvision's names: the layout, the prefix, the classifier.

A net is found by the keys of its layers, whatever stands in front of them; what lies beside them is
the classifier, or known to be no part of what the net computes, or an error.

Long because each step from a file's names to the net's is a function here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.bystanders import (
    Prefixed,
    beside_the_net,
    counters_dropped,
    self_supervised,
    without_training,
)
from resnet_deploy.loading.computed_weights import neutral_norm
from resnet_deploy.loading.structure import by_structure
from resnet_deploy.models.layouts import LAYOUTS, Layout, State, renamed, strip_prefixes
from resnet_deploy.spec.model_request import OWN_CODE


@dataclass(frozen=True)
class Reading:
    """A state dict with torchvision's keys, and how it was read.

    Args:
        state: the net's tensors; what no rule knows keeps its name.
        layout: the name of the row; empty: none, the keys are as they were.
        notices: what was left out, chosen or moved.
        assumed: what the layout leaves open, by topic, in words.
        mean: of the pictures' channels, from a buffer of the net; empty: not told.
        std: their standard deviation, likewise.
        trouble: why a net that looks like a residual one can't be read; empty: none.
    """

    state: State
    layout: str = ""
    notices: tuple[str, ...] = ()
    assumed: dict[str, str] = field(default_factory=dict)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    trouble: str = ""


def to_torchvision(state: State) -> Reading:
    """Rename the keys of a residual net or VGG as torchvision has them.

    Raises:
        CheckpointError: several nets lie side by side, or layers that are not the net's.
    """
    state, notices = counters_dropped(_unwrapped(state))
    for layout in LAYOUTS:
        if found := _prefixes(state, layout):
            return _read(state, layout, found, notices)
    bare, left_out = without_training(state)
    structure = by_structure(bare)
    if structure is None:
        return Reading(strip_prefixes(state), notices=notices)
    return Reading(
        structure.state if structure.trouble else _absorbed(structure.state),
        layout="structure",
        notices=(*notices, *left_out, *structure.notices),
        assumed=structure.assumed,
        trouble=structure.trouble,
    )


_WRAPPED = re.compile(
    r"(?:^|(?<=\.))(?:_fsdp_wrapped_module|_checkpoint_wrapped_module|_orig_mod)\."
)


def _unwrapped(state: State) -> State:
    """Return ``state`` without the names that PyTorch's wrappers put into those of layers."""
    result = {_WRAPPED.sub("", key): tensor for key, tensor in state.items()}
    return result if len(result) == len(state) else state


_MOST_NETS = 64
"""More than any ensemble in one file; a file may claim any number."""


def _prefixes(state: State, layout: Layout) -> list[str]:
    """Return what stands in front of the keys of each net of this ``layout``."""
    anchor = re.compile(rf"(|.*[.])(?:{layout.anchor})")
    prefixes = [match[1] for match in map(anchor.fullmatch, state) if match]
    if len(prefixes) > _MOST_NETS:
        raise CheckpointError(
            f"the checkpoint holds {len(prefixes)} nets in the layout of {layout.name}: save one "
            "of them alone"
        )

    def has(prefix: str, pattern: str) -> bool:
        wanted = re.compile(pattern)
        return any(key.startswith(prefix) and wanted.fullmatch(key, len(prefix)) for key in state)

    return [
        prefix
        for prefix in prefixes
        if all(has(prefix, mark) for mark in layout.marks) and not has(prefix, layout.absent)
    ]


def _read(state: State, layout: Layout, prefixes: list[str], notices: tuple[str, ...]) -> Reading:
    split = beside_the_net(state, prefixes)
    if layout.name == "VGG":
        whole = {**split.inner, **split.outer}
        return Reading(whole, layout.name, (*notices, *split.notices))
    inner = {renamed(key, layout): key for key in split.inner}
    net = {new: split.inner[old] for new, old in inner.items()}
    if len(inner) != len(split.inner):
        raise CheckpointError(
            f"two layers of the checkpoint would both be {_doubled(layout, split.inner)!r} in "
            f"the layout of {layout.name}: {OWN_CODE}"
        )
    projected = self_supervised(state)
    split, lone = (split, "") if projected else _lone_head(net, layout, split)
    net, head_notices = _with_head(net, layout, split, projected)
    net = _absorbed(_squeezed(_behind_pools(net)))
    unfolded = _unfolded(net)
    folded = "that BatchNorms were folded into the convolutions, each with ReLU behind it as usual"
    return Reading(
        net if unfolded is None else unfolded,
        layout.name,
        (*notices, *split.notices, *head_notices),
        assumed={
            **({} if unfolded is None else {"folded": folded}),
            **({"classifier": f"{lone!r} as the classifier"} if lone else {}),
            **({"head-bias": _NO_BIAS} if _lacks_bias(net) else {}),
        },
        mean=split.mean,
        std=split.std,
    )


def _doubled(layout: Layout, inner: Iterable[str]) -> str:
    seen: set[str] = set()
    for key in inner:
        new = renamed(key, layout)
        if new in seen:
            return new
        seen.add(new)
    return ""


_HEAD = re.compile(
    r"(fc|linear|classifier|last_linear|head\.fc|cls_head\.fc|cls_head|head|logits|output|out"
    r"|outlayer|out_layer|output_layer|final|top_layer|predictions|probs|fc1000)"
    r"((?:\.\d+)*\.[a-z_]+)"
)
"""What classifiers are called, and what is behind: a place in a Sequential, the tensor."""


_NO_BIAS = "a linear classifier without a bias (of cosines: --model package.module:factory)"


def _lacks_bias(net: State) -> bool:
    heads = [key for key, tensor in net.items() if key.startswith("fc.") and tensor.ndim == 2]
    return bool(heads) and f"{heads[-1].removesuffix('weight')}bias" not in net


_OF_NET = re.compile(r"(?:conv1|bn1|maxpool|layer\d+|norm|prelu|bn2|features)\..+")


def _lone_head(net: State, layout: Layout, split: Prefixed) -> tuple[Prefixed, str]:
    """Rename the classifier in place where it has a name that none of :data:`_HEAD` is.

    It is the one layer that is not of the net, and linear. Returns its name; empty: there is none.
    """
    tensors = {**net, **split.outer}
    others = {key for key in tensors if not _OF_NET.fullmatch(key)}
    paths = {key.rpartition(".")[0] for key in others}
    path = next(iter(paths), "")
    weight = tensors.get(f"{path}.weight")
    if len(paths) != 1 or weight is None or weight.ndim != 2 or _is_head(f"{path}.weight", layout):
        return split, ""
    if not others <= {f"{path}.weight", f"{path}.bias"}:
        return split, ""
    outer = {}
    for key, tensor in split.outer.items():
        outer[f"fc.{key.rpartition('.')[2]}" if key in others else key] = tensor
    for key in others & net.keys():
        net[f"fc.{key.rpartition('.')[2]}"] = net.pop(key)
    return replace(split, outer=outer), path


def _is_head(key: str, layout: Layout) -> bool:
    own = re.fullmatch(rf"({layout.head})(\..+)", key) if layout.head else None
    return own is not None or _HEAD.fullmatch(key) is not None


def _with_head(
    net: State, layout: Layout, split: Prefixed, projected: bool
) -> tuple[State, tuple[str, ...]]:
    """Name the classifier ``fc``, whether it lies within the net's prefix or beside it.

    Raises:
        CheckpointError: there are two, or something beside the net is neither a classifier nor
            known to be no part of what the net computes.
    """
    own = re.compile(rf"({layout.head})(\..+)") if layout.head else _HEAD

    def heads_of(tensors: State) -> dict[str, re.Match[str]]:
        matches = ((key, own.fullmatch(key) or _HEAD.fullmatch(key)) for key in tensors)
        return {key: match for key, match in matches if match is not None}

    inner = heads_of(net)
    outer = {} if inner or projected else heads_of(split.outer)
    beside = {key: tensor for key, tensor in split.outer.items() if key not in outer}
    if beside:
        first = next(iter(beside))
        more = f" and {len(beside) - 1} more" if len(beside) > 1 else ""
        kind = "self-supervised" if projected else "residual"
        raise CheckpointError(
            f"the checkpoint holds a {kind} net and beside it {first!r}{more}, which may change "
            f"what it computes: {OWN_CODE}, or save the net alone"
        )
    names = {match[1]: None for match in (*inner.values(), *outer.values())}
    if len(names) > 1:
        raise CheckpointError(
            f"the checkpoint holds several heads ({', '.join(names)}), and nothing says how they "
            f"follow each other: {OWN_CODE}"
        )
    result = {key: tensor for key, tensor in net.items() if key not in inner}
    if projected and inner:
        told = f"the projection head ({next(iter(inner))}, …) is left out: it is not a classifier"
        return result, (told,)
    for tensors, heads in ((net, inner), (split.outer, outer)):
        result |= {f"fc{match[2]}": tensors[key] for key, match in heads.items()}
    return result, ()


def _squeezed(net: State) -> State:
    """Give the two layers of SE, linear in some code, the shape of 1x1 convolutions."""
    return {
        key: tensor[:, :, None, None]
        if re.fullmatch(r"layer\d+\.\d+\.se\.fc[12]\.weight", key) and tensor.ndim == 2
        else tensor
        for key, tensor in net.items()
    }


def _behind_pools(net: State) -> State:
    """Give the first stage's projection the place that those behind an average pool have.

    MMPretrain leaves the pool out where nothing strides, and with it its place; timm does not.
    """
    if not any(
        re.fullmatch(r"layer\d+\.0\.downsample\.1\.weight", key) and tensor.ndim == 4
        for key, tensor in net.items()
    ):
        return net
    first = net.get("layer1.0.downsample.0.weight")
    if first is None or first.ndim != 4:
        return net
    place = re.compile(r"(layer1\.0\.downsample\.)([01])(\..+)")
    return {
        f"{match[1]}{int(match[2]) + 1}{match[3]}" if (match := place.fullmatch(key)) else key: t
        for key, t in net.items()
    }


def _absorbed(net: State) -> State:
    """Move the bias of a convolution in front of a BatchNorm into its running mean, which it is.

    ``(x + b - mean) = x - (mean - b)``. Only where the BatchNorm certainly reads the convolution:
    in blocks that normalise behind it (BatchNorm 1 of a block has the size of what conv1 gives, and
    none of its input's), and the stem.
    """
    if _is_preactivated(net):
        return net
    result = dict(net)
    for key, bias in net.items():
        norm = _norm_behind(key, net)
        mean = None if norm is None else result.get(f"{norm}.running_mean")
        if mean is None or mean.shape != bias.shape or not mean.is_floating_point():
            continue
        result[f"{norm}.running_mean"] = mean.float() - bias.float()
        del result[key]
    return result


def _unfolded(net: State) -> State | None:
    """Return a net whose BatchNorms were folded into its convolutions with some that do nothing.

    None: it is none. Folding gives every convolution a bias.
    """
    if any(key.endswith((".running_mean", ".running_var")) for key in net):
        return None
    biases = {key: norm for key in net if (norm := _norm_behind(key, net)) is not None}
    convolutions = {
        key for key, tensor in net.items() if tensor.ndim == 4 and re.match("conv1|layer", key)
    }
    if not biases or {key.replace(".bias", ".weight") for key in biases} != convolutions:
        return None
    result = {key: tensor for key, tensor in net.items() if key not in biases}
    for key, norm in biases.items():
        result |= {f"{norm}.{leaf}": value for leaf, value in neutral_norm(net[key]).items()}
    return result


def _is_preactivated(net: State) -> bool:
    """Whether a block's first BatchNorm has the size of its input where sizes tell it."""
    for key, weight in net.items():
        if re.fullmatch(r"layer\d+\.0\.conv1\.weight", key) and weight.ndim == 4:
            norm = net.get(key.replace("conv1", "bn1"))
            if norm is not None and norm.ndim == 1 and len(norm) != len(weight):
                return True
    return False


def _norm_behind(key: str, net: State) -> str | None:
    """Return the BatchNorm that reads the convolution whose bias ``key`` is; None: not known."""
    if match := re.fullmatch(r"(layer\d+\.\d+\.)conv(\d)\.bias", key):
        return f"{match[1]}bn{match[2]}"
    if match := re.fullmatch(r"(layer\d+\.\d+\.downsample\.)([01])\.bias", key):
        conv = net.get(f"{match[1]}{match[2]}.weight")
        return f"{match[1]}{int(match[2]) + 1}" if conv is not None and conv.ndim == 4 else None
    if key == "conv1.bias":
        return "bn1"
    if match := re.fullmatch(r"conv1\.([036])\.bias", key):
        return "bn1" if match[1] == "6" else f"conv1.{int(match[1]) + 1}"
    return None
