"""What the tests of training share: one thread, synthetic images, a finished run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.training_runs import made_up, request, run


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # Tiny nets are slower on two threads, and a run sets the number for the whole process.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("data") / "made-up.npz")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    run(request(data, out))
    return out
