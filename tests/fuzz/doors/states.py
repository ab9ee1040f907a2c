"""Seeds of nets by names and shapes: the words of several projects, and nets that are none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
    ]


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
