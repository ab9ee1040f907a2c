"""The runner without its emulator: the guest on this CPU, the cache, and what can go wrong."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.errors import RunnerError
from resnet_deploy.isa import emulated
from resnet_deploy.isa.emulated import emulate
from resnet_deploy.isa.instruction_sets import ISAS
from resnet_deploy.isa.tools import Tools, host_site, isa_folder
from resnet_deploy.progress import ImageStage
from resnet_deploy.runners.base import filled
from resnet_deploy.runners.ort_runner import OrtRunner
from tests.support.runner_graphs import cnn, random

HERE = replace(ISAS["arm64"], features=frozenset())
"""An ISA that asks nothing of the CPU."""


@pytest.fixture(autouse=True)
def no_emulator(monkeypatch, tmp_path):
    """This Python takes the place of the emulated one, and the cache is empty."""
    monkeypatch.setenv("RESNET_DEPLOY_CACHE", str(tmp_path / "cache"))
    tools = Tools(command=(sys.executable, "-I", "-S", "-B"), site=host_site())
    monkeypatch.setattr(emulated, "find_tools", lambda isa: tools)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return cnn(tmp_path_factory.mktemp("cnn") / "cnn.onnx")


@pytest.fixture
def images(model) -> np.ndarray:
    shape = OrtRunner(model).input.shape[1:]
    return random(5, *[size or 1 for size in shape])


def test_logits_are_those_of_onnx_runtime_and_are_kept(model, images):
    seen = []
    first = emulate(
        HERE, model, images, batch_size=2, progress=lambda *arguments: seen.append(arguments)
    )
    starting, running = [seen[:2], seen[2:]]
    assert starting == [("starting arm64 in QEMU", 0, 1), ("starting arm64 in QEMU", 1, 1)]
    assert running == [("arm64", done, 6) for done in (0, 2, 4, 6)]
    assert isinstance(running[0][0], ImageStage)
    assert first.logits.tobytes() == OrtRunner(model).infer(images).tobytes()
    assert not first.cached
    again = emulate(HERE, model, images, batch_size=2)
    assert again.cached
    assert again.logits.tobytes() == first.logits.tobytes()


def test_a_fixed_batch_size_is_kept(tmp_path, images):
    fixed = cnn(tmp_path / "fixed.onnx", batch=3)
    found = emulate(HERE, fixed, images, batch_size=3)
    with pytest.raises(RunnerError):
        OrtRunner(fixed).infer(images)
    assert found.logits.shape[0] == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"x" * 99,
        lambda data: b"x" + hashlib.sha256(b"x").digest(),
    ],
)
def test_a_damaged_entry_is_made_again(model, images, damage):
    first = emulate(HERE, model, images, batch_size=5)
    (entry,) = (isa_folder() / "logits").iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    again = emulate(HERE, model, images, batch_size=5)
    assert not again.cached
    assert again.logits.tobytes() == first.logits.tobytes()
    assert emulate(HERE, model, images, batch_size=5).cached


def test_other_images_cpus_and_files_have_entries_of_their_own(model, images, tmp_path):
    emulate(HERE, model, images, batch_size=5)
    other = cnn(tmp_path / "other.onnx", scale=2.0)
    assert not emulate(HERE, model, images[::-1], batch_size=5).cached
    assert not emulate(HERE, other, images, batch_size=5).cached
    assert not emulate(replace(HERE, emulated_cpu="max"), model, images, batch_size=5).cached
    assert not emulate(HERE, model, images, batch_size=1).cached


def test_an_emulator_that_shows_another_cpu_proves_nothing(model, images):
    wanted = replace(HERE, features=frozenset({"NO_SUCH_FEATURE"}))
    with pytest.raises(RunnerError, match="NO_SUCH_FEATURE"):
        emulate(wanted, model, images, batch_size=5)
    assert not (isa_folder() / "logits").exists()


def test_a_file_that_does_not_run_is_named_with_the_reason(tmp_path, images):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(RunnerError, match=r"broken\.onnx does not run on an emulated arm64: .+"):
        emulate(HERE, broken, images, batch_size=5)


def test_an_emulator_that_says_nothing(monkeypatch, model, images):
    tools = Tools(command=(sys.executable, "-c", "raise SystemExit(7)"), site=())
    monkeypatch.setattr(emulated, "find_tools", lambda isa: tools)
    with pytest.raises(RunnerError, match="exit code 7"):
        emulate(HERE, model, images, batch_size=5)


def test_nothing_to_run(model, images):
    with pytest.raises(RunnerError, match="no images"):
        emulate(HERE, model, images[:0], batch_size=5)


@given(count=st.integers(1, 40), batch_size=st.integers(1, 9))
def test_filled_batches_are_whole_and_begin_with_the_images(count, batch_size):
    images = np.arange(count, dtype=np.float32).reshape(count, 1, 1, 1)
    whole = filled(images, batch_size)
    assert len(whole) % batch_size == 0
    assert 0 <= len(whole) - count < batch_size
    assert np.array_equal(whole[:count], images)
    assert np.all(whole[count:] == images[-1])
