"""Every layout, prefix and bystander, as the project in question writes it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.reading import to_torchvision
from resnet_deploy.models.layouts import State
from tests.support.layouts import canonical, preactivated, prefixed, without_head
from tests.support.states import renamed

Rename = Callable[[re.Match[str]], str]

BASIC = canonical()
BOTTLENECK = canonical(bottleneck=True)
DEEP = canonical(deep=True, bottleneck=True)
SE = canonical(se=True)


def is_read_as(state: State, expected: State) -> None:
    read = to_torchvision(state).state
    assert set(read) == set(expected)
    for key, tensor in expected.items():
        assert torch.equal(read[key].reshape(tensor.shape), tensor), key


def edit(state: State, *rules: tuple[str, str | Rename]) -> State:
    result = {}
    for key, tensor in state.items():
        name = key
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


def stage(offset: int, form: str) -> tuple[str, Rename]:
    return r"^layer(\d)\.", lambda m: form.format(int(m[1]) + offset)


def place(inner: str) -> tuple[str, Rename]:
    """Layers of a block by their place in a Sequential."""
    return (
        r"\.(conv|bn)(\d)\.",
        lambda m: f".{inner}.{3 * int(m[2]) - 3 + (m[1] == 'bn')}.",
    )


SEQUENTIAL_STEM = ((r"^conv1\.", "conv1.0."), (r"^bn1\.", "conv1.1."))
CSAIL = (
    (r"^bn1\.", "bn3."),
    (r"^conv1\.0\.", "conv1."),
    (r"^conv1\.1\.", "bn1."),
    (r"^conv1\.3\.", "conv2."),
    (r"^conv1\.4\.", "bn2."),
    (r"^conv1\.6\.", "conv3."),
)
DETECTRON2 = (
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    stage(1, "res{}."),
)
CHILDREN = ((r"^conv1\.", "0."), (r"^bn1\.", "1."), stage(3, "{}."))


@pytest.mark.parametrize(
    ("state", "rules"),
    [
        (BASIC, ((r"^fc", "linear"), (r"downsample", "shortcut"))),
        (BASIC, ((r"^fc", "head.fc"), (r"^(?!head)", "backbone."))),
        (BASIC, ((r"^fc", "last_linear"),)),
        (DEEP, CSAIL),
        (DEEP, (*CSAIL, (r"^(conv|bn)(\d)", r"layer0.\1\2"))),
        (
            DEEP,
            (
                (r"^conv1\.(\d)\.", lambda m: f"stem.{int(m[1])}."),
                (r"^bn1\.", "stem.7."),
            ),
        ),
        (
            DEEP,
            (
                (r"^conv1\.([036])\.", lambda m: f"backbone.stem.{int(m[1]) // 3}.conv."),
                (r"^conv1\.([14])\.", lambda m: f"backbone.stem.{int(m[1]) // 3}.bn."),
                (r"^bn1\.", "backbone.stem.2.bn."),
                (r"^layer", "backbone.layer"),
                (r"^fc\.", "head.fc."),
            ),
        ),
        (SE, ((r"\.se\.fc(\d)\.", r".se_layer.conv\1.conv."),)),
        (SE, ((r"\.se\.", ".se_module."), (r"^(conv|bn)1\.", r"layer0.\g<1>1."))),
        (SE, ((r"\.se\.fc1\.", ".se.fc.0."), (r"\.se\.fc2\.", ".se.fc.2."))),
        (SE, ((r"\.se\.fc", ".fc"), (r"downsample", "shortcut"), (r"^fc", "linear"))),
        (
            SE,
            (
                (r"\.se\.fc1\.", ".squeeze.squeeze."),
                (r"\.se\.fc2\.", ".squeeze.expand."),
                stage(-1, "layers.{}."),
            ),
        ),
        (
            BOTTLENECK,
            (
                *SEQUENTIAL_STEM,
                place("residual_function"),
                stage(1, "conv{}_x."),
                (r"downsample", "shortcut"),
            ),
        ),
        (
            BASIC,
            (
                (r"^conv1\.", "pre.0."),
                (r"^bn1\.", "pre.1."),
                place("left"),
                (r"downsample", "right"),
            ),
        ),
        (BASIC, (*SEQUENTIAL_STEM, (r"downsample", "extra"), (r"^fc", "outlayer"))),
        (BASIC, (*CHILDREN, (r"^fc\.", "9."))),
        (BOTTLENECK, (*CHILDREN, (r"^(?!fc)", "0."), (r"^fc\.", "1.8."))),
        (
            canonical(deep=True, avg_down=True),
            (
                (r"^bn1\.", "2.1."),
                (r"^conv1\.(\d)\.", lambda m: f"{int(m[1]) // 3}.{int(m[1]) % 3}."),
                (
                    r"\.(conv|bn)(\d)\.",
                    lambda m: f".convpath.{int(m[2]) - 1}.{'cb'.index(m[1][0])}.",
                ),
                (r"\.downsample\.(\d)\.", lambda m: f".idpath.1.{int(m[1]) - 1}."),
                stage(3, "{}."),
                (r"^fc\.", "11."),
            ),
        ),
        (
            BOTTLENECK,
            (
                *DETECTRON2,
                (r"^conv1\.", "stem.conv1."),
                (r"^bn1\.", "stem.conv1.norm."),
                (r"^fc\.", "linear."),
                ("^", "backbone.bottom_up."),
            ),
        ),
        (
            BOTTLENECK,
            (
                (r"^conv1\.", "conv1_conv."),
                (r"^bn1\.", "conv1_bn."),
                (
                    r"^layer(\d)\.(\d)\.(conv|bn)(\d)\.",
                    lambda m: f"conv{int(m[1]) + 1}_block{int(m[2]) + 1}_{m[4]}_{m[3]}.",
                ),
                (
                    r"^layer(\d)\.(\d)\.downsample\.(\d)\.",
                    lambda m: (
                        f"conv{int(m[1]) + 1}_block{int(m[2]) + 1}_0_{('conv', 'bn')[int(m[3])]}."
                    ),
                ),
                (r"^fc\.", "predictions."),
            ),
        ),
        (
            preactivated(),
            (
                (r"^layer(\d)\.", r"block\1.layer."),
                (r"\.downsample\.0\.", ".convShortcut."),
                (r"^norm\.", "bn1."),
            ),
        ),
        (
            preactivated(),
            (
                (r"\.bn(\d)\.", r".norm\1."),
                (r"^layer(\d)\.", lambda m: f"stages.{int(m[1]) - 1}.blocks."),
                (r"^conv1\.", "stem.conv."),
                (r"\.downsample\.0\.", ".downsample.conv."),
                (r"^fc\.", "head.fc."),
            ),
        ),
    ],
    ids=range(22),
)
def test_layouts(state: State, rules: tuple[tuple[str, str | Rename], ...]) -> None:
    there = edit(state, *rules)
    assert set(there) != set(state)
    expected = state
    if any(key.startswith("1.8.") for key in there):  # fastai's head stays a Sequential
        expected = renamed(state, (r"^fc\.", "fc.8."))
    is_read_as(there, expected)
    is_read_as(prefixed(there, "net.module."), expected)


def test_a_place_that_mmpretrain_leaves_out_behind_average_pools() -> None:
    expected = canonical(deep=True, bottleneck=True, avg_down=True)
    first = r"^(layer1\.0\.downsample)\.(\d)"
    is_read_as(edit(expected, (first, lambda m: f"{m[1]}.{int(m[2]) - 1}")), expected)


def test_a_last_batchnorm_of_a_preactivation_net_by_its_names() -> None:
    expected = preactivated()
    for name in ("bn", "bn_final", "norm"):
        projections = (r"\.downsample\.", ".shortcut.")
        is_read_as(edit(expected, (r"^norm\.", f"{name}."), projections), expected)


def test_timms_preactivation_nets_that_give_maps() -> None:
    names = ((r"^layer(\d)\.", lambda m: f"stages_{int(m[1]) - 1}.blocks."), (r"\.bn", ".norm"))
    backbone = without_head(preactivated())
    theirs = edit(
        backbone, (r"^conv1\.", "stem_conv."), *names, (r"downsample\.0", "downsample.conv")
    )
    is_read_as(theirs, backbone)


def test_attention_of_fastais_xresnets() -> None:
    expected = canonical(deep=True, bottleneck=True, avg_down=True, se=True)
    parts = {"conv": "0", "bn": "1"}
    theirs = edit(
        expected,
        (r"^conv1\.([03])\.", lambda m: f"{int(m[1]) // 3}.0."),
        (r"^conv1\.([14])\.", lambda m: f"{int(m[1]) // 3}.1."),
        (r"^conv1\.6\.", "2.0."),
        (r"^bn1\.", "2.1."),
        (r"^layer(\d)\.", lambda m: f"{int(m[1]) + 3}."),
        (r"\.(conv|bn)(\d)\.", lambda m: f".convpath.{int(m[2]) - 1}.{parts[m[1]]}."),
        (r"\.se\.fc([12])\.", r".convpath.3.layers.\1.0."),
        (r"\.downsample\.([12])\.", lambda m: f".idpath.1.{int(m[1]) - 1}."),
        (r"^fc\.", "11."),
    )
    is_read_as(theirs, expected)


def test_linear_squeezes_become_convolutions() -> None:
    flat = {k: v.flatten(1) if ".se." in k and v.ndim == 4 else v for k, v in SE.items()}
    read = to_torchvision(flat).state
    assert read["layer1.0.se.fc1.weight"].shape == (2, 4, 1, 1)


def test_a_bias_in_front_of_batchnorm_moves_into_its_mean() -> None:
    biases = {
        key.replace(".weight", ".bias"): torch.rand(len(tensor))
        for key, tensor in BASIC.items()
        if tensor.ndim == 4
    }
    read = to_torchvision({**BASIC, **biases}).state
    assert set(read) == set(BASIC)
    for conv, norm in (
        ("conv1", "bn1"),
        ("layer2.0.conv2", "layer2.0.bn2"),
        ("layer3.0.downsample.0", "layer3.0.downsample.1"),
    ):
        mean = f"{norm}.running_mean"
        assert torch.equal(read[mean], BASIC[mean] - biases[f"{conv}.bias"])
    # Behind the last convolution of a pre-activation block nothing could take it.
    state = preactivated()
    read = to_torchvision({**state, "layer2.0.conv2.bias": torch.rand(8)}).state
    assert "layer2.0.conv2.bias" in read


BACKBONE = without_head(BASIC)
FC = {key: BASIC[key] for key in ("fc.weight", "fc.bias")}
OTHER = {key: tensor + 1 for key, tensor in BACKBONE.items()}


def put(state: State, prefix: str, **more: torch.Tensor) -> State:
    return {**prefixed(state, prefix), **{k.replace("__", "."): v for k, v in more.items()}}


W = torch.ones(3, 3)


@pytest.mark.parametrize(
    ("state", "expected", "words"),
    [
        (put(BASIC, "resnet."), BASIC, ()),
        (put(BASIC, "student.module."), BASIC, ()),
        ({**put(BACKBONE, "model.encoder."), **put(FC, "model.")}, BASIC, ()),
        (
            put(BASIC, "", criterion__weight=W[0], n_averaged=W[0, 0]),
            BASIC,
            ("criterion.weight, n_averaged",),
        ),
        (
            put(BASIC, "model.", train_acc__total=W[0], loss_fn__weight=W[0]),
            BASIC,
            ("train_acc.total",),
        ),
        (
            put(BASIC, "", layer1__0__total_ops=W[0], total_params=W[0]),
            BASIC,
            ("layer1.0.total_ops",),
        ),
        (
            put(
                BACKBONE,
                "module.",
                module__projection_head__0__weight=W,
                module__prototypes__weight=W,
            ),
            BACKBONE,
            ("prototypes",),
        ),
        (
            {
                **put(
                    BACKBONE,
                    "module.encoder_q.",
                    module__encoder_q__fc__0__weight=W,
                    module__queue=W,
                ),
                **put(OTHER, "module.encoder_k.", module__encoder_k__fc__0__weight=W),
            },
            BACKBONE,
            (
                "module.encoder_q is used, not module.encoder_k",
                "module.queue",
                "projection head (fc.0.weight",
            ),
        ),
        (
            {
                **put(OTHER, "student.backbone.", student__head__mlp__0__weight=W),
                **put(BACKBONE, "teacher.backbone.", teacher__head__mlp__0__weight=W),
            },
            BACKBONE,
            ("teacher.backbone is used, not student.backbone",),
        ),
        (
            {
                **put(BACKBONE, "online_encoder.net.", online_predictor__net__0__weight=W),
                **put(OTHER, "target_encoder.net."),
            },
            BACKBONE,
            ("online_encoder.net is used", "online_predictor.net.0.weight"),
        ),
        (
            {**put(OTHER, "model."), **put(BACKBONE, "ema.module.")},
            BACKBONE,
            ("ema.module is used, not model",),
        ),
        (
            {**put(OTHER, "online_model."), **put(BACKBONE, "ema_model.")},
            BACKBONE,
            ("ema_model is used, not online_model",),
        ),
        (
            {**put(BOTTLENECK, "teacher."), **put(BACKBONE, "student.")},
            BACKBONE,
            ("student is used, not teacher",),
        ),
        (
            {
                **put(BASIC, "model."),
                "class_weights": torch.ones(5),
                "val_f1.tp": torch.ones(5),
                "kappa.confmat": W,
                "dummy": torch.ones(0),
                "step": torch.tensor(3),
            },
            BASIC,
            ("class_weights, val_f1.tp and 3 more",),
        ),
        (
            put(
                BACKBONE,
                "module.backbone.",
                module__projector__0__weight=W,
                module__bn__running_mean=W[0],
            ),
            BACKBONE,
            ("module.projector.0.weight, bn.running_mean",),
        ),
        (edit(BASIC, (r"^(layer\d\.0)\.", r"\1._fsdp_wrapped_module._orig_mod.")), BASIC, ()),
    ],
    ids=range(16),
)
def test_prefixes_and_bystanders(state: State, expected: State, words: tuple[str, ...]) -> None:
    is_read_as(state, expected)
    told = " ".join(to_torchvision(state).notices)
    assert all(word in told for word in words)
    assert bool(told) is bool(words)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({**put(BASIC, "a."), **put(BASIC, "b.")}, ("holds 2 nets", "'a.', 'b.'", "startswith")),
        (put(BASIC, "backbone.", neck__conv__weight=W), ("'neck.conv.weight'", "--model")),
        (put(BASIC, "model.", model__std=W[0]), ("the other is missing",)),
        ({**BACKBONE, "linear.weight": W, "fc.weight": W}, ("several heads (linear, fc)",)),
        (put(BASIC, "net.", temperature=W[0]), ("'temperature'", "may change")),
    ],
)
def test_what_may_change_the_answer_is_refused(state: State, words: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError) as caught:
        to_torchvision(state)
    assert all(word in str(caught.value) for word in words)


def test_a_crowd_of_nets_is_refused() -> None:
    crowd = {f"{n}.layer1.0.conv1.weight": W for n in range(65)}
    with pytest.raises(CheckpointError, match="holds 65 nets"):
        to_torchvision(crowd)


def test_an_unknown_layer_within_a_net_stays() -> None:
    read = to_torchvision(put(BASIC, "net.", net__layer1__0__gate__weight=W))
    assert "layer1.0.gate.weight" in read.state


def test_own_normalisation_tells_how_pictures_are_prepared() -> None:
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.2, 0.25])
    read = to_torchvision(put(BASIC, "1.", **{"0__mean": mean[:, None, None], "0__std": std}))
    assert set(read.state) == set(BASIC)
    assert read.mean == tuple(mean.tolist())
    assert read.std == tuple(std.tolist())
    assert "normalises its pictures itself" in read.notices[0]


@pytest.mark.parametrize("name", ["dense", "my.classes", "fc1"])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_the_one_linear_layer_of_an_unknown_name_is_the_classifier(name: str, prefix: str) -> None:
    head = {key.replace("fc", name): BASIC[key] for key in ("fc.weight", "fc.bias")}
    state = {**prefixed(without_head(BASIC), prefix), **head}
    is_read_as(state, BASIC)
    assert to_torchvision(state).assumed == {"classifier": f"{name!r} as the classifier"}


def test_a_classifier_without_a_bias_may_be_of_cosines() -> None:
    state = {key: tensor for key, tensor in BASIC.items() if key != "fc.bias"}
    assert "of cosines" in to_torchvision(state).assumed["head-bias"]
