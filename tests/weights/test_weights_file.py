from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY, WeightsCard
from resnet_deploy.errors import ArtifactError, CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.network import Network
from resnet_deploy.models.registry import build
from resnet_deploy.spec import InputContract, ModelSpec, Shortcut, Variant, resnet_spec
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.weights.weights_file import CARD_ENTRY, write_weights
from tests.support.cards import full_card
from tests.support.states import State, same_logits, state_of

TINY = resnet_spec(8, num_classes=3, image_size=16)


def card_for(spec: ModelSpec) -> WeightsCard:
    return WeightsCard(model=spec, preprocess=InputContract.for_size(spec.image_size))


def load(path: Path, **request: Any) -> Network:
    return resolve(ModelRequest(**request), str(path))


def refusal(path: Path, **request: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(path, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def state() -> State:
    return state_of(TINY)


@pytest.fixture(scope="module")
def written(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with the weights of ``TINY`` and a full card; tests must not change it."""
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    write_weights(path, state, full_card())
    return path


def test_weights_and_card_come_back(written: Path, state: State) -> None:
    loaded = load(written)
    assert (loaded.spec, loaded.card) == (TINY, full_card())
    assert loaded.labels == full_card().labels
    assert loaded.notices == ()
    assert same_logits(loaded.module, build(TINY, seed=1), 16)
    with safe_open(written, framework="pt") as file:
        assert set(file.keys()) == set(state)


def test_a_runs_folder_stands_for_its_weights(written: Path) -> None:
    loaded = load(written.parent)
    assert (loaded.source.file, loaded.card) == ("model.safetensors", full_card())


def test_another_image_size_is_the_users_to_choose(written: Path) -> None:
    loaded = load(written, image_size=32)
    assert loaded.spec.image_size == 32
    assert loaded.notices == ("model.safetensors was trained on images of 16 pixels, not 32",)


def test_the_same_weights_give_the_same_bytes(written: Path, state: State, tmp_path: Path) -> None:
    unusual = {
        key: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
        for key, value in reversed(state.items())
    }
    assert not unusual["conv1.weight"].is_contiguous()
    write_weights(tmp_path / "again.safetensors", unusual, full_card())
    assert (tmp_path / "again.safetensors").read_bytes() == written.read_bytes()


def test_floats_of_all_kinds_are_stored_in_32_bits(tmp_path: Path) -> None:
    tensor = torch.tensor([0.5, 2.0])
    shared = {"a": tensor.double(), "b": tensor.bfloat16(), "c": tensor, "d": tensor}
    path = tmp_path / "w.safetensors"
    write_weights(path, {**shared, "count": torch.tensor(3)}, full_card())
    with safe_open(path, framework="pt") as file:
        assert all(torch.equal(file.get_tensor(key), tensor) for key in shared)
        assert file.get_tensor("count").dtype == torch.int64


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, state: State) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_weights(tmp_path / "file/model.safetensors", state, full_card())


@pytest.mark.parametrize("averaged", [False, True])
def test_a_training_checkpoint(averaged: bool, state: State, tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "model": state_of(TINY, 2) if averaged else state,
        "optimizer": {"state": {}, "lr": 0.1},
        "card": full_card().to_json(),
        "rng": torch.get_rng_state(),
    }
    torch.save({**content, **({"ema": state} if averaged else {})}, tmp_path / "last.pt")
    loaded = load(tmp_path / "last.pt")
    assert loaded.card == full_card()
    assert same_logits(loaded.module, build(TINY, seed=1), 16)


@pytest.mark.parametrize(
    "spec",
    [
        resnet_spec(8, num_classes=3, image_size=16, plain=True),
        resnet_spec(50, num_classes=3, image_size=32, variant=Variant.V1),
        resnet_spec(18, num_classes=3, image_size=32),
        resnet_spec(8, num_classes=3, shortcut=Shortcut.C),
    ],
    ids=lambda spec: spec.name,
)
def test_the_card_settles_what_tensors_cannot_tell(spec: ModelSpec, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, state_of(spec), card_for(spec))
    assert load(path).spec == spec


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (card_for(resnet_spec(8, image_size=16)), "is of a resnet8 of 10 classes (shortcut A, st"),
        (card_for(resnet_spec(14, num_classes=3)), "the tensors are of a resnet8 of 3 classes"),
        (card_for(resnet_spec(8, num_classes=3, shortcut=Shortcut.B)), "(shortcut B, stem cifar)"),
        (card_for(resnet_spec(18, num_classes=3)), "is of a resnet18 of 3 classes"),
    ],
    ids=range(4),
)
def test_a_card_of_another_net_is_refused(
    card: WeightsCard, message: str, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, state, card)
    assert message in refusal(path)
    assert "one of them is another file's" in refusal(path)


def test_a_plain_card_on_projections_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, state_of(resnet_spec(18)), card_for(resnet_spec(18, plain=True)))
    assert "has projection shortcuts, so it is not plain" in refusal(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the weights card is damaged"),
        ("{}", "the weights card is damaged"),
        (full_card().to_json().replace('"format": 2', '"format": 9'), "has format 9"),
    ],
    ids=["empty", "bare", "format"],
)
def test_damaged_metadata(text: str, message: str, state: State, tmp_path: Path) -> None:
    save_file(state, tmp_path / "w.safetensors", {WEIGHTS_CARD_KEY: text})
    torch.save({"model": state, CARD_ENTRY: text}, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        found = refusal(tmp_path / name)
        assert message in found
        assert name in found


@pytest.mark.parametrize("metadata", [3, {WEIGHTS_CARD_KEY: 3}, {WEIGHTS_CARD_KEY: None}])
def test_metadata_that_is_no_text(metadata: Any, tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": metadata}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert "is damaged" in refusal(path)


def test_other_metadata_is_nobodys_card(state: State, tmp_path: Path) -> None:
    save_file(state, tmp_path / "w.safetensors", {"format": "pt"})
    assert load(tmp_path / "w.safetensors").card is None
