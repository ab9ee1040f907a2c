"""Small files with bytes changed, cut and doubled: one clear line or the tensors, nothing else."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from resnet_deploy.errors import CheckpointError
from resnet_deploy.pickles import bounds
from resnet_deploy.weights import tensors
from resnet_deploy.weights.weights_file import read_weights

MOST_BYTES = 40 << 20
"""Eight times a few kilobytes, and what is free."""


def _files() -> Iterator[bytes]:
    state = {"conv1.weight": torch.ones(2, 3, 1, 1), "bn1.weight": torch.ones(2)}
    beside = {"state_dict": state, "array": np.arange(3.0), "list": [1, (2.0, "x")]}
    for content in (beside, nn.Linear(2, 2)):
        for legacy in (False, True):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
            yield buffer.getvalue()
    for protocol in (0, 2, 5):
        yield pickle.dumps({key: value.numpy() for key, value in state.items()}, protocol)
    yield pickle.dumps(state, 4)
    yield save(state)


FILES = tuple(_files())

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["byte", "cut", "double", "remove"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from(list(b"\x00\xff.RtQ\x81b()}]\x8a\x8e")), st.integers(0, 255)),
    ),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits: list[tuple[str, float, int]]) -> bytes:
    changed = bytearray(data)
    for what, where, value in edits:
        place = int(where * max(len(changed) - 1, 0))
        if what == "byte" and changed:
            changed[place] = value
        elif what == "cut":
            del changed[place:]
        elif what == "double":
            changed[place:place] = changed[place : place + value]
        else:
            del changed[place : place + value % 8 + 1]
    return bytes(changed)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every allocation that a file asks for."""
    asked: list[int] = []
    pay = bounds.Budget.storage

    def storage(budget: bounds.Budget, count: int) -> None:
        pay(budget, count)
        asked.append(count)

    monkeypatch.setattr(bounds.Budget, "storage", storage)
    return asked


def outcome(path: Path) -> Any:
    try:
        return read_weights(path)
    except CheckpointError as error:
        return None if "\n" not in str(error) else pytest.fail(str(error))


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(number=st.integers(0, len(FILES) - 1), edits=EDITS)
def test_damage_is_told_or_harmless(
    number: int, edits: list[tuple[str, float, int]], tmp_path: Path, counted: list[int]
) -> None:
    counted.clear()
    path = tmp_path / "w.pt"
    path.write_bytes(edited(FILES[number], edits))
    outcome(path)
    assert sum(counted) < MOST_BYTES


@pytest.mark.parametrize("number", range(len(FILES)))
def test_every_cut_of_every_file(number: int, tmp_path: Path) -> None:
    whole = FILES[number]
    path = tmp_path / "w.pt"
    path.write_bytes(whole)
    assert outcome(path) is not None
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        assert outcome(path) is None


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (2**40,), (0,)),
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (-1, (1,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (-1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2**63, 0), (0, 0)),
        (0, (1,), ()),
        (0, [1], [1]),
        (0, (True,), (1,)),
        (0.0, (1,), (1,)),
    ],
)
def test_tensors_stay_inside_their_storage(offset: Any, size: Any, stride: Any) -> None:
    storage = tensors.Storage(torch.float32, torch.zeros(16, dtype=torch.uint8))
    with pytest.raises((bounds.Damaged, bounds.Refused)):
        storage.tensor(offset, size, stride, bounds.Budget(16))


def test_half_a_character_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(b"(dp0\nV\\ud83d\\ude00\\ud800x\nI1\ns.")
    assert read_weights(path) == {"\U0001f600\ufffdx": 1}
