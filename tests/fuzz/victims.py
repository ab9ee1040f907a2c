"""What is killed: every verb that writes or runs something, on nets of a few milliseconds.

Each command writes into ``out/`` below the folder that it runs in, and finds what it reads in
``inputs`` beside that.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.tiny_model import save_colour_model
from tests.support.training_images import folder as labelled_folder
from tests.support.training_runs import made_up

Run = Callable[..., int]
"""Runs the command in a folder to its end, and returns its exit code."""


@dataclass(frozen=True)
class Victim:
    """A command.

    Args:
        arguments: after ``resnet-deploy``; ``{inputs}`` stands for the folder of what is read.
        older: options of a command whose files the killed one replaces; None: the same command.
        same: whether the same command writes the same bytes.
        code: of a run that nothing stops.
        brings: files of ``inputs`` that lie in ``out/`` before, because they are replaced there.
    """

    arguments: tuple[str, ...]
    older: tuple[str, ...] | None = None
    same: bool = False
    code: int = 0
    brings: tuple[str, ...] = ()

    def command(self, inputs: Path, *, older: bool = False) -> list[str]:
        """Return the arguments, by default of the command itself."""
        words = (*self.arguments, *((self.older or ()) if older else ()))
        return [word.format(inputs=inputs) for word in words]


_QUICK = ("-q", "--threads", "1", "--report", "out/page.html", "--json", "out/result.json")
_NET = ("--depth", "8", "--image-size", "16", "--num-classes", "3")
_TRAIN = (
    *("train", *_NET, "--recipe", "cifar-fast", "--epochs", "1", "--batch-size", "8"),
    *("--precision", "float32", "--save-seconds", "0", "--data", "{inputs}/made-up.npz"),
    *("-o", "out", *_QUICK),
)
_BUNDLE = ("bundle", "{inputs}/colours.onnx", "-o", "out", "-q", "--pictures", "2")
_OTHER = ("--seed", "1")

_MATRIX = """
[defaults]
depth = 8
image-size = 16
num-classes = 3
simplify = false
int8 = false
[nets.one]
[nets.two]
seed = 1
[targets.any]
bundle = "cpp"
"""

VICTIMS: dict[str, Victim] = {
    "export": Victim(
        (
            *("export", *_NET, "-o", "out", "--calibration-samples", "8", "--keep-slow"),
            *("--calibration-cache", "out/cache", *_QUICK),
        ),
        older=_OTHER,
    ),
    "deploy": Victim(
        ("deploy", "--matrix", "{inputs}/matrix.toml", "-o", "out", *_QUICK), same=False
    ),
    "quantize": Victim(
        (
            *("quantize", "{inputs}/resnet8.onnx", "-o", "out", "--calibration-samples", "8"),
            *("--calibration-cache", "out/cache", "--keep-slow", "-q", "--threads", "1"),
            *("--json", "out/result.json"),
        ),
        older=_OTHER,
    ),
    "verify": Victim(
        ("verify", "{inputs}/resnet8.int8.onnx", "--against", "{inputs}/resnet8.onnx", *_QUICK)
    ),
    "bench": Victim(
        (
            *("bench", "{inputs}/colours.onnx", "--runner", "ort", "--rounds", "3", "--runs", "3"),
            *("--time-limit", "2", *_QUICK),
        )
    ),
    "evaluate": Victim(
        ("evaluate", "out/colours.onnx", "--data", "{inputs}/data/test", "--record", *_QUICK),
        brings=("colours.onnx",),
    ),
    "predict": Victim(("predict", "{inputs}/colours.onnx", "{inputs}/data/test/a/0.png", *_QUICK)),
    "summary": Victim(("summary", "{inputs}/resnet8.int8.onnx", *_QUICK[3:])),
    "doctor": Victim(("doctor", *_QUICK[3:])),
    "bundle cpp": Victim((*_BUNDLE, "--target", "cpp"), older=_OTHER, same=True),
    "bundle web": Victim((*_BUNDLE, "--target", "web"), older=_OTHER, same=True),
    "bundle triton": Victim((*_BUNDLE, "--target", "triton"), older=_OTHER, same=True),
    "train": Victim((*_TRAIN, "--force"), older=_OTHER),
    "train --resume": Victim((*_TRAIN, "--resume")),
    "tune": Victim(
        (
            *("tune", "{inputs}/resnet8.onnx", "--data", "{inputs}/data/test", "-o", "out"),
            *("--min-agreement", "0.1", "--time-limit", "2s", "--seed", "0", "-q"),
        )
    ),
}


def make_inputs(inputs: Path, run: Run, names: Iterable[str]) -> None:
    """Fill ``inputs`` with what the commands of ``names`` read."""
    inputs.mkdir()
    labelled_folder(inputs / "data")
    made_up(inputs / "made-up.npz")
    save_colour_model(inputs / "colours.onnx", labels=("a", "b", "c"))
    (inputs / "matrix.toml").write_text(_MATRIX, encoding="utf-8")
    if not any("resnet8" in word for name in names for word in VICTIMS[name].arguments):
        return
    words = VICTIMS["export"].command(inputs)
    assert run(words, cwd=inputs) == 0
    for path in (inputs / "out").glob("*.onnx"):
        shutil.move(path, inputs)
    shutil.rmtree(inputs / "out")


def processes_of(session: int) -> list[int]:
    """Return the processes of a session that are not just waiting to be collected."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found
