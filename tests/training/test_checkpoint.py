import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_deploy.errors import ArtifactError, CheckpointError
from resnet_deploy.results.training import Epoch
from resnet_deploy.training.checkpoint import (
    Best,
    Checkpoint,
    Position,
    load_checkpoint,
    save_checkpoint,
)

EPOCH = Epoch(
    number=1,
    steps=3,
    lr=0.1,
    train_loss=1.0,
    train_top1=0.5,
    test_loss=1.1,
    test_top1=0.4,
    images=24,
    seconds=0.5,
    waited=0.1,
)


def checkpoint(value: float = 1.0, *, ema: bool = True) -> Checkpoint:
    state = {"fc.weight": torch.full((2, 2), value), "n": torch.tensor(3)}
    return Checkpoint(
        settings={"seed": 0, "recipe": {"lr": 0.1}},
        card="{}",
        position=Position(epoch=1, step=2, loss=0.5, right=3.0, images=16, seconds=1.5),
        network=state,
        model=state,
        optimizer={"state": {0: {"momentum_buffer": state["fc.weight"]}}, "param_groups": []},
        average=state if ema else None,
        ema=state if ema else None,
        best=Best(epoch=1, top1=0.4, state=state) if ema else None,
        crew=(2, 1),
        epochs=[EPOCH],
    )


@pytest.mark.parametrize("ema", [True, False])
def test_everything_comes_back(ema: bool, tmp_path: Path) -> None:
    saved = checkpoint(ema=ema)
    save_checkpoint(tmp_path / "last.pt", saved)
    found = load_checkpoint(tmp_path / "last.pt")
    assert (found.settings, found.card, found.crew) == (saved.settings, "{}", (2, 1))
    assert found.position == saved.position
    assert found.epochs == [EPOCH]
    assert torch.equal(found.rng, saved.rng)
    assert torch.equal(found.network["fc.weight"], saved.network["fc.weight"])
    assert (found.average is None, found.ema is None, found.best is None) == (not ema,) * 3
    if found.best is not None:
        assert (found.best.epoch, found.best.top1) == (1, 0.4)


def test_the_file_is_a_checkpoint_like_any_other(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", checkpoint())
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert set(content["ema"]) == {"fc.weight", "n"}


def test_a_full_disk_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint(1.0))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match=r"cannot write .*last\.pt: No space left on device"):
        save_checkpoint(path, checkpoint(2.0))
    assert load_checkpoint(path).network["fc.weight"][0, 0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_every_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"is damaged|is empty"):
            load_checkpoint(path)


class _Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch bombed",)


def test_no_code_is_run(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": 1, "settings": _Command()}, path)
    with pytest.raises(CheckpointError, match="holds code, not only data"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["nowhere.pt", "."])
def test_what_can_not_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not exist|is a folder"):
        load_checkpoint(tmp_path / name)
