"""The tutorials as a reader follows them: every line of their ``sh`` blocks, in order, then Python.

So are the README and the pages on single tasks that work on the files of the second lesson. All run
in one folder, in the order of the lessons, since each begins where another ended; a line that
stands in an earlier one as well is not run again. What the first lesson downloads is replaced by a
folder of the same form, and what it takes for granted is there: photos.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.forks import run_forked, script_forked
from tests.support.markdown import PAGES, ROOT, blocks

LESSONS = [
    ROOT / "docs" / "tutorials" / f"{name}.md"
    for name in ("own-checkpoint", "int8", "web-page", "hub-to-cpp")
]
README = ROOT / "README.md"
TASKS = [
    ROOT / "docs" / "how-to" / f"{name}.md"
    for name in ("grey", "embeddings", "detection", "phones", "every-cpu", "paper-nets", "reports")
]


def lines(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    # A block may be indented, below a numbered step.
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", text, re.S | re.M)
    every = [line.strip() for _, block in found for line in block.splitlines()]
    return [line for line in every if line and not line.startswith("make ")]


COMMANDS = list(dict.fromkeys(line for page in (*LESSONS, *TASKS, README) for line in lines(page)))


def make_hub_folder(folder: Path) -> None:
    """Write a ResNet-18 as transformers saves one, untrained, for small pictures."""
    from safetensors.torch import save_file

    import resnet_deploy as rd
    from resnet_deploy.models.network import Network
    from tests.support.states import hugging_face

    net = rd.load(depth=18, num_classes=10)
    assert isinstance(net, Network)
    state = hugging_face(net.module.state_dict())
    folder.mkdir()
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors"
    )
    config = {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "layer_type": "basic",
        "depths": [2, 2, 2, 2],
        "hidden_sizes": [64, 128, 256, 512],
        "embedding_size": 64,
        "hidden_act": "relu",
        "num_channels": 3,
        "downsample_in_first_stage": False,
        "id2label": {str(number): f"kind {number}" for number in range(10)},
    }
    preparing = {
        "image_processor_type": "ConvNextImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 64},
        "crop_pct": 0.875,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(preparing), encoding="utf-8")


def take_photos(folder: Path) -> None:
    """Write pictures with edges and shades at many scales, as photos have them."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = np.zeros((96, 128, 3))
        for size in (2, 4, 8, 16, 32):
            grid = random.uniform(0, 51, (96 // size + 1, 128 // size + 1, 3))
            pixels += grid.repeat(size, 0).repeat(size, 1)[:96, :128]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tutorials")
    (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    take_photos(folder / "photos")
    make_hub_folder(folder / "resnet-18")
    return folder


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line; what is this project's starts where PyTorch is."""
    if command.startswith("resnet-deploy "):
        return run_forked(*command.split()[1:], cwd=folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )


def test_every_lesson_has_commands() -> None:
    assert {page.name for page in LESSONS} | {"index.md"} == {
        path.name for path in LESSONS[0].parent.glob("*.md") if ".zh" not in path.name
    }
    assert all(lines(page) for page in (*LESSONS, *TASKS))


def test_every_page_with_commands_to_run_is_run() -> None:
    """A block without a prompt promises that it was run; the tour has a module of its own."""
    promised = {page for page in PAGES if lines(page) and ".zh" not in page.name}
    assert promised == {*LESSONS, *TASKS, README, ROOT / "docs" / "how-to" / "tour.md"}


@pytest.mark.parametrize("page", [README, LESSONS[-1]], ids=lambda page: page.name)
def test_the_chinese_page_has_the_same_commands(page: Path) -> None:
    assert lines(page.with_suffix(".zh.md")) == lines(page)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_line_runs(command: str, folder: Path) -> None:
    done = run(command, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_net_of_the_second_lesson_reads_signs_and_says_how_it_was_trained(folder: Path) -> None:
    """What the page tells of the output is so."""
    done = run_forked(
        *["predict", "deployed/resnet8.int8.onnx", "images/test/parking", "--json"], cwd=folder
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    best = [image["classes"][0]["label"] for image in found["predictions"]]
    assert best.count("parking") > 20
    export = "export --weights signs.pth --calibration images/train --no-int8 -o told"
    told = run_forked(*shlex.split(export), cwd=folder)
    assert "scaling: -1 to 1, not ImageNet's mean and std (assumed)" in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("page", "language", "file"),
    [
        ("hub-to-cpp", "cpp", "cpp/main.cpp"),
        ("hub-to-cpp", "cmake", "cpp/CMakeLists.txt"),
        ("web-page", "js", "web/main.js"),
        ("web-page", "html", "web/index.html"),
    ],
)
def test_a_lesson_shows_the_example_that_is_run(page: str, language: str, file: str) -> None:
    text = (ROOT / "examples" / file).read_text(encoding="utf-8")
    assert blocks(ROOT / "docs" / "tutorials" / f"{page}.md", language) == [text]


@pytest.mark.parametrize("page", [README, *(page for page in LESSONS if blocks(page, "python"))])
def test_python_runs(page: Path, folder: Path) -> None:
    """The README's is started as a user does, the others where PyTorch is."""
    script = "\n".join(blocks(page, "python"))
    if page == README:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        done = script_forked(script, folder)
    assert done.returncode == 0, done.stdout + done.stderr
