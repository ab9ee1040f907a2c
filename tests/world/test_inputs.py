"""What is not a file, or may not be read, where a file is asked for: one line, at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import refused, run
from tests.support.tiny_model import save_colour_model
from tests.support.training_images import folder as labelled_folder
from tests.support.world import ODD, no_hang, rights_of_any_user

NET = ("--depth", "8", "--image-size", "16", "--num-classes", "3")

PLACES: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "odd", "--against", "colours.onnx"),
    "verify --against": ("verify", "colours.onnx", "--against", "odd"),
    "verify --data": ("verify", "colours.onnx", "--against", "colours.onnx", "--data", "odd"),
    "quantize": ("quantize", "odd"),
    "quantize --calibration": ("quantize", "colours.onnx", "--calibration", "odd", "-o", "out"),
    "export --weights": ("export", *NET, "--weights", "odd", "-o", "out"),
    "export --labels": ("export", *NET, "--labels", "odd", "-o", "out"),
    "export --calibration": ("export", *NET, "--calibration", "odd", "-o", "out"),
    "evaluate": ("evaluate", "odd", "--data", "data/test"),
    "evaluate --data": ("evaluate", "colours.onnx", "--data", "odd"),
    "evaluate --against": ("evaluate", "colours.onnx", "--data", "data/test", "--against", "odd"),
    "evaluate --labels-file": (
        *("evaluate", "colours.onnx", "--data", "data/test/a", "--labels-file", "odd"),
    ),
    "predict": ("predict", "odd", "data/test/a/0.png"),
    "predict a picture": ("predict", "colours.onnx", "odd"),
    "bench": ("bench", "odd"),
    "bench --compare": ("bench", "--compare", "odd", "odd"),
    "summary": ("summary", "odd"),
    "bundle": ("bundle", "odd", "--target", "cpp", "-o", "out"),
    "bundle --data": ("bundle", "colours.onnx", "--target", "cpp", "-o", "out", "--data", "odd"),
    "bundle --alternative": (
        *("bundle", "colours.onnx", "--target", "web", "-o", "out", "--alternative", "odd"),
    ),
    "tune": ("tune", "odd", "--data", "data/test", "--max-drop", "1"),
    "tune --data": ("tune", "colours.onnx", "--data", "odd", "--max-drop", "1", "-o", "out"),
    "train --data": ("train", *NET, "--data", "odd", "-o", "out"),
    "train --recipe": ("train", *NET, "--data", "data", "--recipe", "odd.toml", "-o", "out"),
    "train --weights": ("train", *NET, "--data", "data", "--weights", "odd", "-o", "out"),
}


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("things")
    labelled_folder(folder / "data")
    save_colour_model(folder / "colours.onnx", labels=("a", "b", "c"))
    return folder


def ask(arguments: tuple[str, ...], make: Callable[[Path], object], things: Path) -> None:
    odd = things / ("odd.toml" if "odd.toml" in arguments else "odd")
    make(odd)
    words = [str(things / word) if Path(word).parts[0] in KNOWN else word for word in arguments]
    try:
        with no_hang(), rights_of_any_user():
            result = run(*words)
    finally:
        if odd.is_dir() and not odd.is_symlink():
            odd.chmod(0o700)
            shutil.rmtree(odd)
        else:
            odd.unlink(missing_ok=True)
    refused(result)
    assert not (things / "out").exists() or not any((things / "out").rglob("*.*"))


KNOWN = {"odd", "odd.toml", "data", "colours.onnx", "out"}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file(place: str, kind: str, things: Path) -> None:
    ask(PLACES[place], ODD[kind], things)


def _secret_folder(path: Path) -> None:
    path.mkdir()
    (path / "1.png").write_bytes(b"")
    path.chmod(0)


def _secret_file(path: Path) -> None:
    path.write_bytes(b"secret")
    path.chmod(0)


@pytest.mark.parametrize("make", [_secret_file, _secret_folder])
@pytest.mark.parametrize("place", PLACES)
def test_what_may_not_be_read(place: str, make: Callable[[Path], object], things: Path) -> None:
    ask(PLACES[place], make, things)
