"""``--report FILE.html``: which verbs write a page, and what it may replace."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.report import write
from resnet_deploy.results import ModelSummary
from tests.support.cli import refused, run
from tests.support.html_reading import read
from tests.support.tiny_model import COLOURS, save_colour_model


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """``evaluate`` on a class whose name is not HTML."""
    for colour in (*COLOURS[:2], "blue"):
        folder = tmp_path / "data" / colour
        folder.mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (9, 9), colour).save(folder / f"{index}.png")
    model = save_colour_model(tmp_path / "a<b>.onnx").path
    return ["evaluate", str(model), "--data", str(tmp_path / "data")]


def test_evaluate(arguments, tmp_path):
    target = tmp_path / "new/page.html"
    result = run(*arguments, "--report", target)
    assert result.exit_code == 0, result.output
    found = read(target.read_text(encoding="utf-8"))
    assert found.texts["h1"] == ["a<b>.onnx"]
    first = target.read_bytes()
    assert run(*arguments, "--report", target).exit_code == 0
    assert target.read_bytes()[:1000] == first[:1000]


def test_verify(tiny_export, tmp_path):
    target = tmp_path / "page.html"
    against = tiny_export / "resnet8.onnx"
    model = tiny_export / "resnet8.int8.onnx"
    result = run("verify", model, "--against", against, "--per-layer", "--report", target)
    assert result.exit_code == 0, result.output
    found = read(target.read_text(encoding="utf-8"))
    assert "Layer by layer" in found.texts["h2"]
    assert "layer1" in found.texts["h3"]


def test_verify_saturation(tiny_export, tmp_path):
    target = tmp_path / "page.html"
    run("verify", tiny_export / "resnet8.int8.onnx", "--saturation", "--report", target)
    assert read(target.read_text(encoding="utf-8")).texts["h1"] == ["resnet8.int8.onnx"]


def test_bench_and_its_comparison(tiny_export, tmp_path):
    target, measured = tmp_path / "page.html", tmp_path / "bench.json"
    models = (tiny_export / "resnet8.onnx", tiny_export / "resnet8.int8.onnx")
    limits = ("--runner", "ort", "--rounds", 6, "--runs", 3, "--time-limit", 4)
    result = run("bench", *models, *limits, "--json", measured, "--report", target)
    assert result.exit_code == 0, result.output
    assert "Latency" in read(target.read_text(encoding="utf-8")).texts["h2"]
    run("bench", "--compare", measured, measured, "--report", target)
    assert read(target.read_text(encoding="utf-8")).texts["h1"] == ["bench.json against bench.json"]


def test_quantize_has_a_page_for_its_ranking_only(tiny_export, tmp_path):
    result = run("quantize", tiny_export / "resnet8.onnx", "--report", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "add --sensitivity" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><p>mine", b"", b"\x08\x07onnx"])
def test_nothing_else_is_replaced(arguments, tmp_path, content):
    target = tmp_path / "mine.html"
    target.write_bytes(content)
    result = run(*arguments, "--report", target)
    assert result.exit_code == 2
    assert "is not a page of resnet-deploy: choose another name" in result.stderr
    assert target.read_bytes() == content


def test_the_same_command_replaces_its_own_tables(arguments, tmp_path):
    """With --against there are several tables, each below its caption."""
    target = tmp_path / "tables.csv"
    model = Path(arguments[1])
    other = save_colour_model(tmp_path / "other.onnx").path
    target.touch()  # what a result without tables, such as that of quantize --no-verify, leaves
    for options in ((), ("--against", other)):
        for _ in range(2):
            result = run(*arguments, *options, "--csv", target)
            assert result.exit_code == 0, result.stderr
    assert model.name in target.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    ["def f(a, b):\n    return a\n", "Dear Ann,\nhello\n", "\n", "a\n\nb,c\n", 'a,"b\n'],
)
def test_what_is_no_table_is_not_replaced_by_one(arguments, tmp_path, content):
    target = tmp_path / "mine.txt"
    target.write_text(content, encoding="utf-8")
    result = run(*arguments, "--csv", target)
    assert result.exit_code == 2
    assert "is not a CSV file: choose another name" in result.stderr
    assert target.read_text(encoding="utf-8") == content


def test_a_folder_is_no_page(arguments, tmp_path):
    result = run(*arguments, "--report", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_name_that_is_no_unicode_does_not_cost_the_page(tmp_path):
    summary = ModelSummary(name="\udcff.onnx", stages=())
    write(summary, tmp_path / "page.html")
    assert rb"\udcff.onnx" in (tmp_path / "page.html").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--json", "same", "--report", "same"), "is where --json is written"),
        (("--csv", "same", "--markdown", "./same"), "is where --csv is written"),
    ],
)
def test_two_results_in_one_file_are_refused(
    options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(run("doctor", *options), said)
    assert list(tmp_path.iterdir()) == []


def test_pages_are_written_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    refused(run("doctor", "--json", "a.json", "--csv", "file/b.csv"), "cannot write file/b.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
