"""Seeds of nets by names and shapes: the words of several projects, and nets that are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.support.states import State


def nets() -> list[State]:
    """Return nets as several projects save them, whole ones."""
    from tests.support.layouts import canonical, preactivated, prefixed
    from tests.support.states import hugging_face

    whole = canonical()
    deep, wide = canonical(deep=True, avg_down=True), canonical(bottleneck=True, se=True)
    return [
        *(whole, deep, wide, preactivated()),
        *(hugging_face(whole), prefixed(whole, "module."), prefixed(wide, "encoder.")),
        *(_by_other_words(whole), _folded(whole), _biased(whole), _with_a_pool_less(wide)),
        _renamed(whole, r"^fc\.", "my_answer."),
        _renamed(whole, r"^fc\.", "_orig_mod.fc."),
        {key: tensor for key, tensor in whole.items() if key != "fc.bias"},
        _self_supervised(whole),
        *(_in_parts(whole, form) for form in _PARTS),
        *_heads(whole),
        *_beside(whole),
    ]


def narrow() -> list[State]:
    """Return nets with numbers of eight and sixteen bits, of which something is computed."""
    import torch

    from tests.support.layouts import canonical

    whole = canonical()
    computed = [_in_parts(whole, form) for form in _PARTS[:3]]
    found = [
        {
            key: tensor.to(torch.float8_e4m3fn) if tensor.is_floating_point() else tensor
            for key, tensor in state.items()
        }
        for state in (_folded(whole), _biased(whole), *computed)
    ]
    of_two = {key: tensor.half() if "_" in key else tensor for key, tensor in computed[1].items()}
    return [*found, of_two]


def puzzles() -> list[State]:
    """Return what looks like a net: several of them, heads too many, layers too few."""
    from tests.support.layouts import canonical, prefixed, without_head

    whole, wide = canonical(), canonical(bottleneck=True, se=True)
    bare, head = without_head(whole), whole["fc.weight"]
    anchor = {"layer1.0.conv1.weight": whole["layer1.0.conv1.weight"]}
    many: State = {}
    for number in range(70):
        many |= prefixed(anchor, f"net{number}.")
    return [
        {**prefixed(whole, "a."), **prefixed(whole, "b.")},
        {**prefixed(bare, "backbone."), "head.weight": head},
        {**bare, "head.0.weight": head, "head.0.bias": whole["fc.bias"]},
        {**whole, "mean": whole["conv1.weight"][0, :, :1, :1], "loss.weight": head},
        {**whole, "layer1.0.se_module.fc1.weight": head, "layer1.0.se.fc1.weight": head},
        {**whole, "head.weight": head},
        {**prefixed(whole, "backbone."), "other.weight": head, "other.bias": head},
        {key: value for key, value in whole.items() if "bn" not in key},
        {key: value for key, value in whole.items() if "downsample" not in key},
        {**whole, "layer1.0.conv1.weight": whole["bn1.weight"]},
        {**wide, "layer1.0.conv2.weight": whole["bn1.weight"]},
        {**whole, "conv1.weight": whole["conv1.weight"][:, :1].expand(4, 2, 7, 7)},
        {**whole, "conv1.weight": whole["conv1.weight"][..., :5, :5]},
        many,
    ]


_PARTS: Final = (
    ("{}_g", "{}_v"),
    ("{}_orig", "{}_u", "{}_v"),
    ("{}_orig", "{}_mask"),
    ("parametrizations.{}.original0", "parametrizations.{}.original1"),
    ("parametrizations.{}.original", "parametrizations.{}.0._u", "parametrizations.{}.0._v"),
    ("{}_orig", "{}_other"),
    ("{}_g", "{}_u"),
)
"""What layers keep instead of a weight that is computed from it; the last two are unknown."""


def _in_parts(state: State, form: Sequence[str]) -> State:
    import torch

    layer = "layer2.0.conv1."
    weight = state[f"{layer}weight"]
    shapes = {
        "_u": (len(weight),),
        "_v": weight.shape if len(form) == 2 else (weight[0].numel(),),
        "_g": (len(weight), 1, 1, 1),
        "0": (len(weight), 1, 1, 1),
    }
    parts = {
        layer + name.format("weight"): torch.ones(shapes.get(name[-2:], shapes.get(name[-1], ())))
        if name[-2:] in shapes or name[-1] in shapes
        else weight
        for name in form
    }
    return {key: tensor for key, tensor in state.items() if key != f"{layer}weight"} | parts


def _heads(state: State) -> list[State]:
    """Return nets with heads of several layers, right ones and others."""
    import torch

    from tests.support.layouts import without_head

    bare, inputs = without_head(state), state["fc.weight"].shape[1]

    def linear(place: str, outputs: int, width: int) -> State:
        return {f"{place}weight": torch.ones(outputs, width), f"{place}bias": torch.ones(outputs)}

    def norm(place: str, width: int) -> State:
        leaves = ("weight", "bias", "running_mean", "running_var")
        return {f"{place}{leaf}": torch.ones(width) for leaf in leaves}

    return [
        {**bare, **linear("fc.0.", 6, inputs), **linear("fc.2.", 5, 6)},
        {**bare, **norm("fc.0.", inputs), **linear("fc.2.", 6, inputs), **linear("fc.5.", 5, 6)},
        {**bare, **norm("fc.2.", 2 * inputs), **linear("fc.4.", 5, 2 * inputs)},
        {**bare, **linear("fc.0.", 5, inputs), **norm("fc.1.", 5)},
        {**bare, "fc.weight": state["fc.weight"][..., None, None], "fc.bias": state["fc.bias"]},
        {**bare, "fc.1.weight": state["fc.weight"]},
        {**bare, "fc.1.weight": torch.ones(inputs)},
        {**bare, "fc.inner.layer.weight": state["fc.weight"]},
    ]


def _beside(state: State) -> list[State]:
    """Return nets beside what training leaves: counters, teachers, predictors, buffers."""
    import torch

    from tests.support.layouts import canonical, prefixed

    other, few = canonical(bottleneck=True), torch.ones(1)
    bare = {key: tensor for key, tensor in state.items() if not key.startswith("bn1.")}
    mean = {f"bn1.{leaf}": state[f"bn1.{leaf}"] for leaf in ("running_mean", "running_var")}
    return [
        {
            **state,
            "total_ops": few,
            "layer1.total_params": few,
            "n_averaged": few,
            "device": few[:0],
        },
        {**state, "mean": torch.ones(3)},
        {**state, "normalize.mean": torch.ones(3), "normalize.std": torch.ones(3)},
        {**prefixed(state, "backbone."), "projector.0.weight": few, "bn.weight": few},
        {**prefixed(state, "encoder."), "predictor.0.weight": few, "metric.confmat": few},
        {**prefixed(state, "student."), **prefixed(other, "teacher.")},
        {**prefixed(state, "student."), **prefixed(state, "teacher.")},
        {**bare, **mean},
    ]


def _renamed(state: State, pattern: str, replacement: str) -> State:
    return {re.sub(pattern, replacement, key): tensor for key, tensor in state.items()}


def _by_other_words(state: State) -> State:
    """Return names that no layout has, so that the structure has to tell."""
    words = {"conv": "kernel", "bn": "scale", "downsample": "way", "fc": "answer"}
    result = {}
    for key, tensor in state.items():
        name = re.sub(r"^layer(\d)\.(\d)", r"trunk.part\1.unit\2", key)
        for old, new in words.items():
            name = name.replace(old, new)
        result[name] = tensor
    return result


def _folded(state: State) -> State:
    """Return a net whose BatchNorms are in its convolutions, which have biases."""
    result = {}
    for key, tensor in state.items():
        if re.search(r"bn\d\.|downsample\.1\.", key):
            continue
        result[key] = tensor
        if tensor.ndim == 4:
            result[key.replace("weight", "bias")] = tensor.flatten()[: len(tensor)].clone()
    return result


def _biased(state: State) -> State:
    """Return a net with biases in front of its BatchNorms, in the stem and the shortcuts too."""
    biases = {
        key.replace("weight", "bias"): tensor.flatten()[: len(tensor)].clone()
        for key, tensor in state.items()
        if tensor.ndim == 4
    }
    return {**state, **biases}


def _with_a_pool_less(state: State) -> State:
    """Return MMPretrain's pooled shortcuts: the first one, which strides nowhere, has no pool."""
    result = {}
    for key, tensor in state.items():
        later = re.fullmatch(r"(layer[2-4]\.0\.downsample\.)([01])(\..+)", key)
        result[f"{later[1]}{int(later[2]) + 1}{later[3]}" if later else key] = tensor
    return result


def _self_supervised(state: State) -> State:
    """Return MoCo's two encoders, whose heads are thrown away."""
    from tests.support.layouts import prefixed

    return {**prefixed(state, "encoder_q."), **prefixed(state, "encoder_k.")}
