"""What every test may use: deterministic property tests and the real data, where it is present."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests run side by side, and so do the commands they start: two processes of two threads each take
# 1.7 times the time of both. It must be said before PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where more threads are asked for, those that wait must not keep the other process from working:
# OpenMP's spin at the end of every operator, and a small net then takes 15 times the CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import HealthCheck, settings

# Of the hundreds of processes that tests start, each would compile this project's modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts what runs in the background with Ctrl-C ignored, and the commands that tests stop
# would inherit that.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


_TESTS = Path(__file__).parent
_LONGEST = ("e2e", "test_exporter.py", "models", "training", "tuning", "world", "quantization")
"""What takes longer than the usual second a file: two workers end together when it comes first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the tests of one keep their order."""
    items.sort(key=lambda item: item.path.relative_to(_TESTS).parts[0] not in _LONGEST)


def pytest_collection_finish() -> None:
    _settle()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is not None and nextitem.path != item.path:
        _settle()


def _settle() -> None:
    """Let the collector look no more at what is alive now: libraries, fixtures, other tests.

    It runs in every export and every quantization, and takes a second when it looks at everything
    that thousands of tests left.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def as_talkative_as_before() -> Iterator[None]:
    """Undo the ``-q`` or ``-v`` of a command that ran in this process: it stays until it ends."""
    logger = logging.getLogger("resnet_deploy")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Leave it to the system when a file reaches the disk: no test cuts the power.

    A test of what happens then, when the disk is full for instance, puts its own in the place.
    """

    def fsync(file: int) -> None:
        os.fstat(file)  # an error where there is no such file, as before

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


@pytest.fixture(scope="session", autouse=True)
def torch_export() -> Iterator[Callable[..., object]]:
    """Let a process trace the same net once; return the ``torch.onnx.export`` that always does."""
    import torch

    from tests.support.traced_once import operators_once, traced_once

    export = torch.onnx.export
    with pytest.MonkeyPatch.context() as patch:
        operators_once(patch)
        patch.setattr(torch.onnx, "export", traced_once(export))
        yield export


@pytest.fixture
def traced_anew(torch_export: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace every time, where tracing itself is what a test looks at."""
    monkeypatch.setattr("torch.onnx.export", torch_export)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real checkpoints and images; tests that need it are skipped without it."""
    folder = Path(os.environ.get("RESNET_DEPLOY_TEST_DATA", SHARED_DATA))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder} (set RESNET_DEPLOY_TEST_DATA)")
    return folder


Maker = Callable[[Path], object]
"""Fills a folder that does not exist yet."""

Extractor = Callable[..., Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Maker], Path]:
    """Return the folder NAME as a maker filled it, once for all workers of a run.

    Tests must not change it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Maker) -> Path:
        target = shared / name
        with Path(f"{target}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                unfinished = Path(f"{target}.unfinished")
                make(unfinished)
                unfinished.rename(target)
        return target

    return made


@pytest.fixture(scope="session")
def extracted(shared_data: Path, made_once: Callable[[str, Maker], Path]) -> Extractor:
    """Return the folder with the files of an archive of ``shared_data`` that end as wanted."""

    def extract(archive: str, ending: str = "") -> Path:
        def make(folder: Path) -> None:
            with tarfile.open(shared_data / archive) as tar:
                wanted = (member for member in tar if member.name.endswith(ending))
                tar.extractall(folder, wanted, filter="data")

        return made_once(archive.replace("/", "-"), make)

    return extract


@pytest.fixture(scope="session")
def cifar10_test(extracted: Extractor) -> Path:
    """Image folder with the 5,000 CIFAR-10 test images: ``<class>/NNNN.jpg``."""
    return extracted("cifar10/test.tar.xz") / "test"


@pytest.fixture(scope="session")
def cifar10_train(extracted: Extractor) -> Path:
    """Image folder with 5,000 of the CIFAR-10 training images: ``<class>/NNN0.jpg``."""
    return extracted("cifar10/train.tar.xz", "0.jpg") / "train"


@pytest.fixture(scope="session")
def photos(extracted: Extractor) -> Path:
    """A folder with 125 photos of ImageNet classes, of many sizes, a few of them grey."""
    return extracted("imagenet-sample/images.tar")


@pytest.fixture(scope="session")
def tiny_export(made_once: Callable[[str, Maker], Path]) -> Path:
    """A folder with ``resnet8.onnx`` and ``resnet8.int8.onnx``, as ``export`` writes them.

    Random weights, 10 classes, 32 pixels. Tests must not change it: copy what they change.
    """

    def make(folder: Path) -> None:
        from resnet_deploy import api

        api.deploy(api.load(depth=8), folder).check()

    return made_once("tiny", make)


@pytest.fixture(scope="session")
def output_exports(made_once: Callable[[str, Maker], Path]) -> Path:
    """A folder with ``NAME.onnx`` and ``NAME.int8.onnx`` of ResNet-8, as ``tiny_export`` else.

    NAME is ``softmax``, ``top-3``, ``embedding`` and ``features``. Tests must not change it.
    """

    def make(folder: Path) -> None:
        from resnet_deploy import api

        network = api.load(depth=8)
        for name in ("softmax", "top-3", "embedding", "features"):
            api.deploy(network, folder, name=name, output=name, simplify=name == "features").check()

    return made_once("outputs", make)
