"""Files and folders with hostile names on the command line: shown and handed on as text."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from resnet_deploy.bundles.manifest import MANIFEST_FILE
from resnet_deploy.cli.main import cli
from resnet_deploy.visible import visible_line
from tests.support.hostile import classes_model
from tests.support.html_reading import read

NAME = "-\x1b]0;OWNED\x07\nPASS $(touch OWNED) `touch OWNED` ; touch OWNED #'\"\u202e<b>|"

STEERS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of that name, with a net and a picture of that name in it."""
    made = tmp_path_factory.mktemp("named") / NAME
    made.mkdir()
    classes_model(made / f"{NAME}.onnx")
    Image.new("RGB", (9, 9), (9, 99, 199)).save(made / f"{NAME}.png")
    return made


def said(*arguments: str | Path, code: int = 0) -> Result:
    found = CliRunner().invoke(cli, [*map(str, arguments)])
    assert found.exit_code == code, found.output
    for text in (found.stdout, found.stderr):
        assert not STEERS.search(text)
        assert not [line for line in text.splitlines() if line.startswith("PASS")]
    return found


def test_a_net_and_a_picture(folder: Path) -> None:
    model, picture = folder / f"{NAME}.onnx", folder / f"{NAME}.png"
    assert visible_line(NAME) in "".join(said("summary", model).stdout.split("\n"))
    files = {suffix: folder / f"{NAME}.{suffix}" for suffix in ("html", "csv", "md", "json")}
    reports = ("--report", "--csv", "--markdown", "--json")
    options = [word for pair in zip(reports, files.values(), strict=True) for word in pair]
    said("predict", model, picture, *options)
    page = files["html"].read_text("utf-8")
    found = read(page)
    assert {"b", "script", "img"}.isdisjoint(found.tags)
    (row, *_) = csv.DictReader(files["csv"].read_text("utf-8").splitlines())
    assert row["image"].endswith(f"{visible_line(NAME)}.png")
    for suffix in ("html", "csv", "md"):
        assert not STEERS.search(files[suffix].read_text("utf-8"))
    (predicted,) = json.loads(files["json"].read_text("utf-8"))["predictions"]
    assert predicted["image"] == str(picture)


def test_a_bundle_and_the_commands_of_its_self_test(folder: Path) -> None:
    told = said("bundle", folder / f"{NAME}.onnx", "--target", "node", "-o", folder / "b\n c")
    (go,) = re.findall(r"^ *(cd .*)$", told.stdout, re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", f"{go} && cat {MANIFEST_FILE}"], cwd=folder, capture_output=True, check=True
    )
    manifest = json.loads(done.stdout)
    assert [network["source"] for network in manifest["networks"]] == [f"{NAME}.onnx"]
    assert not [path for path in folder.rglob("*") if path.name == "OWNED"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("summary", f"{NAME}/none.onnx"),
        ("predict", NAME, NAME),
        (f"x{NAME}",),
        ("summary", f"-{NAME}"),
        ("bundle", "x.onnx", "--target", NAME, "-o", "y"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...]) -> None:
    line = said(*arguments, code=2).stderr.splitlines()[-1]
    assert line.startswith(("resnet-deploy: error: ", "Error: "))
    assert "-\\x1b" in line


def test_a_path_that_is_no_unicode(folder: Path) -> None:
    path = folder / os.fsdecode(b"\xff.onnx")
    path.hardlink_to(folder / f"{NAME}.onnx")
    assert r"\udcff.onnx" in said("summary", path).stdout
    said("predict", path, folder / f"{NAME}.png")
    summary = json.loads(said("summary", path, "--json").stdout)
    assert summary["name"] == "?.onnx"
