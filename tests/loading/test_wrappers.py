"""Which tensors of a checkpoint are the net's, under whatever names scripts save them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.wrappers import unwrap
from resnet_deploy.models.layouts import State
from tests.support.layouts import canonical, prefixed

STATE = canonical()
OTHER = {key: tensor + 1 for key, tensor in STATE.items()}
PARAMETERS = {
    key: tensor
    for key, tensor in STATE.items()
    if not key.endswith(("running_mean", "running_var", "num_batches_tracked"))
}
SHADOW = [tensor + 2 for tensor in PARAMETERS.values()]
MOMENTUM = {"state": {0: {"momentum_buffer": torch.ones(3, 3)}}, "param_groups": [{"lr": 0.1}]}


def same(state: State, other: State) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[k], other[k]) for k in other)


@pytest.mark.parametrize(
    "wrap",
    [
        *(
            lambda s, w=name: {w: s, "epoch": 3, "optimizer": MOMENTUM}
            for name in (
                "weights",
                "MODEL",
                "state",
                "params_ema",
                "net_dict",
                "odd name",
                "teacher",
            )
        ),
        lambda s: [s],
        lambda s: (s, 3),
        lambda s: {"a": {"b": [{"c": s}]}},
        lambda s: {**s, "epoch": 3, "args": object()},
        lambda s: {"best": {"state_dict": s}, "optimizer": {"exp_avg": dict(OTHER)}},
        lambda s: {"state_dict": s, "criterion": {"weight": torch.ones(5, 5)}},
        lambda s: {0: s, 1: 3},
        lambda s: {"net_a": s, "net_b": {key: tensor.clone() for key, tensor in s.items()}},
        lambda s: {"weights_of": s, "exp_avg": dict(OTHER), "gradients": dict(OTHER)},
        lambda s: {**s, "epoch.bias": 3, "fc.best": 0.5},
    ],
)
def test_wrappers_under_any_name(wrap: Callable[[State], Any]) -> None:
    found = unwrap(wrap(STATE))
    assert same(found.state, STATE)
    assert found.notices == ()


@pytest.mark.parametrize(
    ("content", "expected", "words"),
    [
        ({"model": OTHER, "ema": STATE}, STATE, "averaged weights (ema) beside model: ema is used"),
        ({"student": OTHER, "teacher": STATE}, STATE, "teacher is used"),
        ({"model": STATE, "ema": {"decay": 0.9}}, STATE, "ema in the checkpoint is no state dict"),
        ({"model": STATE, "model_ema": None}, STATE, "model_ema in the checkpoint is empty"),
        ({"model": STATE, "net_b": OTHER}, STATE, "several nets: model is used, not net_b"),
        (
            {"model": STATE, "ema": {"shadow_params": SHADOW, "decay": 0.9}},
            {**STATE, **dict(zip(PARAMETERS, SHADOW, strict=True))},
            "ema.shadow_params",
        ),
        ({"model": STATE, "ema": {"shadow_params": SHADOW[:-1]}}, STATE, "model is used"),
        (
            {"model": OTHER, "ema": {"shadow": PARAMETERS}},
            {**OTHER, **PARAMETERS},
            "ema.shadow is used",
        ),
        (
            {"model": prefixed(OTHER, "module."), "ema": PARAMETERS},
            prefixed({**OTHER, **PARAMETERS}, "module."),
            "ema is used",
        ),
        (
            {"model": OTHER, "ema": {"shadow_params": list(STATE.values())}},
            STATE,
            "ema.shadow_params",
        ),
        (  # the teacher of a distillation
            {"student": STATE, "teacher": canonical(bottleneck=True)},
            STATE,
            "student is used",
        ),
        ({"model": STATE, "ema": {"layer.weight": torch.ones(3, 3, 1, 1)}}, STATE, "model is used"),
    ],
    ids=range(12),
)
def test_what_was_chosen_is_told(content: Any, expected: State, words: str) -> None:
    found = unwrap(content)
    assert same(found.state, expected)
    assert len(found.notices) == 1
    assert words in found.notices[0]


def test_two_nets_without_a_usual_name_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"holds 2 nets \(left_net, right_net\)"):
        unwrap({"left_net": STATE, "right_net": OTHER})


def test_the_way_out_is_an_expression_that_works() -> None:
    with pytest.raises(CheckpointError, match=r"torch\.save\(checkpoint\['nets'\]\[0\], 'net"):
        unwrap({"nets": [STATE, OTHER]})


def test_a_layer_with_something_else_than_a_tensor_is_refused() -> None:
    """Without its bias, the classifier would be one that has none."""
    with pytest.raises(CheckpointError, match=r"'fc.bias' is not a tensor"):
        unwrap({"state_dict": {**STATE, "fc.bias": [0.0] * 5}})


def test_tensors_of_a_copy_in_the_state_dict_are_no_wrapper() -> None:
    state = {**prefixed(OTHER, "model."), **prefixed(STATE, "ema_model."), "n_averaged": SHADOW[0]}
    assert unwrap(state).notices == ()


def test_dicts_of_layers_are_one_net() -> None:
    nested: dict[str, Any] = {}
    for key, tensor in STATE.items():
        *parts, leaf = key.split(".")
        inner = nested
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[leaf] = tensor
    assert same(unwrap({"net": nested, "epoch": 3}).state, prefixed(STATE, "net."))


def test_endless_nesting_ends() -> None:
    endless: dict[str, Any] = {"epoch": 1}
    endless["again"] = endless["more"] = endless
    assert unwrap(endless).state == {}
    many: list[Any] = []
    many.extend([many] * 9)
    assert unwrap(many).state == {}


@pytest.mark.parametrize(
    "meta",
    [
        {"meta": {"CLASSES": ("cat", "dog")}},
        {"meta": {"dataset_meta": {"classes": ["cat", "dog"]}}},
        {"class_names": ["cat", "dog"]},
    ],
)
def test_class_names_among_the_tensors(meta: dict[str, Any]) -> None:
    assert unwrap({"state_dict": STATE, **meta}).labels == ("cat", "dog")
    assert unwrap({"state_dict": STATE, "meta": {"CLASSES": [1, 2]}}).labels == ()
