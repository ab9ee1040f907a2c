"""A few of the kills of ``python -m tests.fuzz.signals``; the judge sees what it is for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from resnet_deploy.bundles.manifest import MANIFEST_FILE
from tests.fuzz.signals import killed
from tests.support.whole_files import halves, remains

VERBS = ("predict", "evaluate", "bundle cpp", "train")


def test_kills_leave_whole_files_and_nothing_else(tmp_path: Path) -> None:
    tallies = list(killed(VERBS, tmp_path, kills=5 * len(VERBS), seed=0))
    assert [tally.kills.total() for tally in tallies] == [5] * len(VERBS)
    assert [(tally.verb, tally.findings) for tally in tallies if tally.findings] == []


@pytest.mark.parametrize("name", ["x.onnx", "x.json", "metrics.jsonl", "page.html", "x.pt"])
def test_half_a_file_is_seen(name: str, tmp_path: Path, tiny_export: Path) -> None:
    import torch

    path = tmp_path / name
    if name == "x.onnx":
        shutil.copy(tiny_export / "resnet8.onnx", path)
    elif name == "x.pt":
        torch.save({"a": torch.zeros(100)}, path)
    else:
        path.write_text({"x.json": '{"a": 1}', "page.html": "<html></html>\n"}.get(name, "{}\n"))
    assert list(halves(tmp_path)) == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert len(list(halves(tmp_path))) == 1


def test_two_bundles_in_one_are_seen(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("new")
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({"files": {"code": "0" * 64, "gone": ""}}))
    assert len(list(halves(tmp_path))) == 2


def test_what_is_not_finished_is_seen(tmp_path: Path) -> None:
    (tmp_path / ".resnet-deploy-0123456789abcdef.tmp").write_bytes(b"")
    assert len(remains(tmp_path)) == 1
