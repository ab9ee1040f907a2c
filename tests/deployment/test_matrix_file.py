"""The file of ``deploy --matrix``: which cells it means, and what is refused in one line."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from resnet_deploy import api
from resnet_deploy.deployment import matrix_file
from resnet_deploy.deployment.matrix_file import read_matrix
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import BundleTarget, InputFormat, InputOptions, Stem
from resnet_deploy.spec.matrix import CellOptions, Matrix
from tests.support.markdown import ROOT, blocks

TWO_BY_TWO = """
[defaults]
calibration = "photos"
seed = 3
[nets.a]
depth = 18
seed = 4
[nets.b]
weights = "b.pth"
mean = 0.5
std = [0.2, 0.3, 0.4]
resize = 256
[targets.web]
bundle = "web"
input = "uint8-nhwc"
[targets.server]
resize = "48x64"
"""


def read(tmp_path: Path, text: str) -> Matrix:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    return read_matrix(path)


def test_options_are_those_of_load_and_deploy() -> None:
    verbs = {*inspect.signature(api.load).parameters, *inspect.signature(api.deploy).parameters}
    asked = verbs | {field.name for field in fields(InputOptions)}
    of_the_command = {"source", "out", "input_options", "workers", "cluster", "threads", "force"}
    of_the_command |= {"environment", "progress", "dry_run", "download", "calibration_cache"}
    words = {field.name for field in fields(CellOptions)}
    assert words == (asked - of_the_command) | {"bundle", "bundle_data"}


def test_there_is_a_cell_for_each_pair(tmp_path: Path) -> None:
    include = '[[include]]\nnet = "b"\ntarget = "server"\nresize = 7\n'
    matrix = read(tmp_path, TWO_BY_TWO + include)
    assert [cell.place for cell in matrix.cells] == ["a/web", "a/server", "b/web", "b/server"]
    first, second, _, last = (cell.options for cell in matrix.cells)
    assert first == CellOptions(
        depth=18,
        seed=4,
        calibration="photos",
        bundle=BundleTarget.WEB,
        input=InputFormat.UINT8_NHWC,
    )
    assert (second.resize, second.seed, last.seed) == ("48x64", 4, 3)
    assert (last.mean, last.std, last.resize) == (0.5, (0.2, 0.3, 0.4), 7)


def test_pairs_are_left_out_and_taken_in_again(tmp_path: Path) -> None:
    rest = '[[exclude]]\ntarget = "s*"\n[[include]]\nnet = "b"\ntarget = "server"\nresize = 7'
    matrix = read(tmp_path, TWO_BY_TWO + rest)
    assert [cell.place for cell in matrix.cells] == ["a/web", "b/web", "b/server"]


@pytest.mark.parametrize("page", ["matrix", "tour"])
def test_what_pages_show_is_a_matrix(page: str, tmp_path: Path) -> None:
    (shown,) = blocks(ROOT / "docs" / "how-to" / f"{page}.md", "toml")
    assert read(tmp_path, shown).cells


ONE = "[nets.a]\n[targets.t]\n"
PAIR = "[[include]]\nnet = 'a'\ntarget = 't'\n"

REFUSED = {
    "net = 1": "the matrix has no 'net': the nearest is 'nets'",
    "zzz = 1": "no 'zzz': there are defaults, nets, targets, exclude, include",
    "nets = 3\n[targets.t]": "there are no nets: name at least one, as [nets.net1]",
    "[nets.a]": "there are no targets",
    "[nets.a]\ncalibration_samples = 3\n[targets.t]": (
        "[nets.a] has no 'calibration_samples': the nearest is 'calibration-samples'"
    ),
    "[nets.a]\ndepht = 3\n[targets.t]": "[nets.a] has no 'depht': the nearest is 'depth'",
    "[nets.a]\nworkers = 3\n[targets.t]": "[nets.a] has no 'workers'",
    "[defaults]\ncalibration-cache = '/etc'": "[defaults] says 'calibration-cache': where it lies",
    "[nets.a]\ncalibration-cache = '/etc'\n[targets.t]": "by RESNET_DEPLOY_CACHE: drop it",
    "[nets.a]\ndepth = '18'\n[targets.t]": "[nets.a] 'depth': '18' is not a whole number",
    "[nets.a]\nkeep-slow = 1\n[targets.t]": "[nets.a] 'keep-slow': 1 is neither true nor false",
    "[nets.a]\nstem = 'x'\n[targets.t]": f"'stem': 'x' is none of {next(iter(Stem)).value}",
    "[nets.a]\nresize = true\n[targets.t]": "'resize': true is not a whole number",
    "[nets.a]\nresize = [1]\n[targets.t]": "'resize': a list of 1 is not text",
    "[nets.a]\nmean = 'x'\n[targets.t]": "'mean': 'x' is not a list",
    "[nets.a]\nweights = ''\n[targets.t]": "[nets.a] 'weights' is empty: say what, or leave it out",
    f"{ONE}[defaults]\ncalibration = ''": "[defaults] 'calibration' is empty",
    "[nets]\na = 3\n[targets.t]": "[nets.a] is not a table of options",
    "[nets.'../a']\n[targets.t]": "the name '../a', which becomes the name of a folder",
    "[nets.'a.']\n[targets.t]": "the name 'a.'",
    "[nets.Con]\n[targets.t]": "the name 'Con'",
    f"[nets.{'a' * 65}]\n[targets.t]": "becomes the name of a folder",
    "[nets.a]\n[nets.A]\n[targets.t]": "'a' and 'A', which are one folder",
    "[nets.a]\nseed = 1\n[targets.t]\nseed = 2": "[nets.a] and [targets.t] both say 'seed'",
    f"{ONE}[[exclude]]\n": "[[exclude]] 1 says neither 'net' nor 'target'",
    f"{ONE}[[exclude]]\nnet = 'b'\n": "[[exclude]] 1 matches no cell: there is no b x *",
    f"{ONE}[[exclude]]\nnet = 3\n": "[[exclude]] 1 'net' is not text",
    f"{ONE}[[exclude]]\nnets = 'a'\n": "[[exclude]] 1 has no 'nets': the nearest is 'net'",
    f"{ONE}[[exclude]]\nnet = 'a'\n": "takes all cells away",
    f"{ONE}[exclude]\nnet = 'a'\n": "'exclude' is not a list of tables: write [[exclude]]",
    f"{ONE}[[include]]\nnet = 'a'\n": "[[include]] 1 says no 'target'",
    f"{ONE}[[include]]\nnet = 'a'\ntarget = 'tt'\n": "no target is called 'tt': the nearest is 't'",
    f"{ONE}[[include]]\nnet='a'\ntarget='t'\nx=1\n": "[[include]] 1 has no 'x'",
    f"{ONE}{PAIR}{PAIR}": "[[include]] 2: a x t is there twice",
    "a = ": "is not TOML",
    "[nets.a]\n[nets.a]": "is not TOML",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_no_matrix_says(text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    assert REFUSED[text] in str(caught.value)
    assert str(tmp_path / "m.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_file, "MOST_CELLS", 3)
    with pytest.raises(SpecError, match="2 nets for 2 targets are more than 3 cells"):
        read(tmp_path, TWO_BY_TWO)
    with pytest.raises(SpecError, match=r"4 times \[\[exclude\]\]"):
        read(tmp_path, ONE + 4 * "[[exclude]]\n")
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        read(tmp_path, "#" * (1 << 20) + "\n")
    with pytest.raises(SpecError, match=r"cannot read the matrix .*none\.toml: No such file"):
        read_matrix(tmp_path / "none.toml")
