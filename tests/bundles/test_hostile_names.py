"""Bundles of nets with hostile names, read by the parsers of every format that they are in."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from google.protobuf import text_format

from resnet_deploy.artifact.card import CARD_KEY, Card
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.contract import one_line
from resnet_deploy.errors import ArtifactError, UnsupportedGraphError
from resnet_deploy.spec import BundleTarget
from resnet_deploy.visible import visible
from tests.conftest import Maker
from tests.support.hostile import IN_JAVASCRIPT, NAMES, classes_model, tensors_model
from tests.support.html_reading import read
from tests.support.markdown import blocks
from tests.support.tiny_model import save_colour_model
from tests.support.triton_models import resizing_model

_STEERS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_NAMED = {
    "README.md",
    "contract.hpp",
    "contract.mjs",
    "contract.js",
    "config.pbtxt",
    "index.html",
    "labels.txt",
    "manifest.json",
    "model.onnx",
    "model.ort",
    "selftest.html",
}
"""The files of a bundle that names of a model are in."""


@pytest.fixture(scope="session")
def bundles(made_once: Callable[[str, Maker], Path]) -> Path:
    """A folder of bundles: ``classes-cpp``, ``tensors-web`` and so on."""

    def make(folder: Path) -> None:
        folder.mkdir()
        models = {
            "classes": classes_model(folder / "classes.onnx").path,
            "tensors": tensors_model(folder / "tensors.onnx", IN_JAVASCRIPT).path,
        }
        for kind, model in models.items():
            for target in BundleTarget:
                pack(model, target, folder / f"{kind}-{target.value}")

    return made_once("hostile-names", make)


every = pytest.mark.parametrize("target", list(BundleTarget))
each = pytest.mark.parametrize("kind", ["classes", "tensors"])


@each
@every
def test_names_are_in_no_other_file(bundles: Path, kind: str, target: BundleTarget) -> None:
    folder = bundles / f"{kind}-{target.value}"
    held = {path.name for path in folder.rglob("*") if path.is_file() and has_names(path)}
    assert held <= _NAMED
    assert not list(bundles.rglob("OWNED"))


def has_names(path: Path) -> bool:
    data = path.read_bytes()
    return b"OWNED" in data or b"xxxxxxxx" in data


@each
@every
def test_the_manifest_has_the_very_names(bundles: Path, kind: str, target: BundleTarget) -> None:
    folder = bundles / f"{kind}-{target.value}"
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    assert not _STEERS.search(text)
    manifest = json.loads(text)
    (network,) = manifest["networks"]
    (card,) = (
        prop.value
        for prop in onnx.load(bundles / f"{kind}.onnx").metadata_props
        if prop.key == CARD_KEY
    )
    assert Card.from_json(json.dumps(network["card"])) == Card.from_json(card)
    if kind == "tensors":
        assert manifest["input"]["name"] == "".join(NAMES)
        assert manifest["output"]["names"] == list(IN_JAVASCRIPT)
        return
    labels = (folder / manifest["labels"]).read_text(encoding="utf-8").removesuffix("\n")
    # Not splitlines(): other programs know fewer ends of lines.
    assert labels.split("\n") == [
        one_line(name) or f"class {index}" for index, name in enumerate(NAMES)
    ]
    assert labels.splitlines() == labels.split("\n")
    assert {answer["label"] for case in manifest["golden"] for answer in case["answers"]} <= set(
        labels.split("\n")
    )


@each
@every
def test_a_readme_is_text_and_its_commands_are_commands(
    bundles: Path, kind: str, target: BundleTarget, tmp_path: Path
) -> None:
    readme = bundles / f"{kind}-{target.value}" / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert not _STEERS.search(text)
    for block in blocks(readme, "sh"):
        checked = subprocess.run(
            ["bash", "-n"], input=block, text=True, capture_output=True, cwd=tmp_path, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")
        assert "OWNED" not in block
    # Outside of code, no mark of a name means anything: what is left are the template's.
    prose = html.unescape(re.sub(r"&#\d+;", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    assert not re.search(r"<script|<img|javascript:alert|\]\(javascript|\$\(|\*\*c\*\*", prose)
    assert max(map(len, text.splitlines())) < 6_000


def test_a_shell_gets_the_very_name(tmp_path: Path) -> None:
    everything = "".join(NAMES)
    model = resizing_model(tmp_path / "net.onnx", name=everything)
    pack(model, BundleTarget.TRITON, tmp_path / "b")
    (line,) = (
        line
        for block in blocks(tmp_path / "b/README.md", "sh")
        for line in block.splitlines()
        if "perf_analyzer" in line
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    script = f"perf_analyzer() {{ printf '%s\\0' \"$@\"; }}\n{line}\n"
    said = subprocess.run(
        ["bash"], input=script.encode(), capture_output=True, cwd=empty, check=True
    )
    words = said.stdout.decode().split("\0")
    assert words[:5] == ["-m", "net", "--concurrency-range", "1:16", "--shape"]
    assert words[5:] == [f"{everything}:8,8,3", ""]
    assert said.stderr == b""
    assert list(empty.iterdir()) == []


@each
def test_web_pages_hold_text(bundles: Path, kind: str) -> None:
    folder = bundles / f"{kind}-web"
    for name in ("index.html", "selftest.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not _STEERS.search(text)
        found = read(text)
        assert found.tags.count("script") == 1
        assert "img" not in found.tags
        assert not [key for key, _ in found.attributes if key.startswith("on")]
        if kind == "tensors" and name == "index.html":
            shown = visible(", ".join(IN_JAVASCRIPT))
            assert any(line.startswith(f"Gives {shown}. Runs in") for line in found.texts["p"])


@each
@pytest.mark.parametrize("target", [BundleTarget.NODE, BundleTarget.WEB])
def test_packages_are_json(bundles: Path, kind: str, target: BundleTarget) -> None:
    folder = bundles / f"{kind}-{target.value}"
    for name in ("package.json", "package-lock.json"):
        assert not has_names(folder / name)
        assert json.loads((folder / name).read_text(encoding="utf-8"))


@each
def test_triton_reads_the_very_names(bundles: Path, kind: str, schema: Any) -> None:
    folder = bundles / f"{kind}-triton"
    (repository,) = (folder / "model_repository").iterdir()
    text = (repository / "config.pbtxt").read_text(encoding="ascii")
    config = text_format.Parse(text, schema.ModelConfig())
    service = yaml.safe_load((folder / "kserve.yaml").read_text(encoding="utf-8"))
    assert service["metadata"]["name"] == repository.name == kind
    compile((folder / "client.py").read_text(encoding="utf-8"), "client.py", "exec")
    if kind == "tensors":
        everything = "".join(NAMES)
        assert [one.name for one in config.input] == [everything]
        assert [one.name for one in config.output] == list(IN_JAVASCRIPT)
        assert [list(one.inputs) for one in config.model_warmup] == [[everything]] * 2


def renamed(folder: Path, name: str) -> Path:
    """A net with an input of that name."""
    path = save_colour_model(folder / "net.onnx").path
    model = onnx.load(path)
    model.graph.input[0].name = name
    for node in model.graph.node:
        node.input[:] = [name if one == "input" else one for one in node.input]
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("name", "targets", "error", "said"),
    [
        (
            "a\0b",
            (BundleTarget.CPP, BundleTarget.TRITON),
            ArtifactError,
            r"^the name 'a\\x00b' holds NUL, where C ends a name: rename it in the file$",
        ),
        (
            "__proto__",
            (BundleTarget.NODE, BundleTarget.WEB),
            UnsupportedGraphError,
            "^net.onnx calls a tensor __proto__, which ONNX Runtime loses in JavaScript: rename",
        ),
    ],
)
def test_a_name_that_a_language_can_not_hold_is_refused(
    name: str, targets: tuple[BundleTarget, ...], error: type[Exception], said: str, tmp_path: Path
) -> None:
    model = renamed(tmp_path, name)
    for target in targets:
        with pytest.raises(error, match=said):
            pack(model, target, tmp_path / "b")
    assert not (tmp_path / "b").exists()
