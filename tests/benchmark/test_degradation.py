"""What ``bench/degradation.py`` says and draws, from synthetic runs."""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield importlib.import_module("degradation")


def nets(**last: tuple[float, float]) -> dict[str, Any]:
    """Runs of two epochs that end with these training and test errors, in percent."""
    return {
        name: {
            "plain": name.startswith("plain"),
            "depth": int(name[-2:]),
            "parameters": 272_474,
            "seconds": 90.0,
            "epochs": [
                {"steps": 10, "train_top1": 0.25, "test_top1": 0.36},
                {"steps": 20, "train_top1": 1 - train / 100, "test_top1": 1 - test / 100},
            ],
        }
        for name, (train, test) in last.items()
    }


PAPERS = {"plain56": (25, 27), "resnet56": (12, 15), "plain20": (20, 22), "resnet20": (14, 16)}


def record(script: Any) -> dict[str, Any]:
    found = nets(**PAPERS)
    return {
        "recipe": {"epochs": 2, "schedule": "one-cycle"},
        "paper": script.PAPER,
        "precision": "float32",
        "reduced": ["steps: 20, in the paper 64000"],
        "nets": found,
        "verdicts": script.verdicts(found),
    }


@pytest.mark.parametrize(
    ("name", "errors", "holds"),
    [
        ("plain56", (25, 27), [True, True, True]),
        ("plain56", (19, 27), [False, True, True]),
        ("plain56", (25, 21), [True, False, True]),
        ("resnet56", (15, 15), [True, True, False]),
        ("resnet56", (14, 18), [True, True, True]),
    ],
)
def test_verdicts_follow_the_last_errors(script, name, errors, holds):
    found = script.verdicts(nets(**{**PAPERS, name: errors}))

    assert [claim["holds"] for claim in found] == holds
    assert found[0]["claim"] == "plain56 ends above plain20 in training error"


def test_training_error_stands_in_the_middle_of_its_epoch(script):
    plot = importlib.import_module("degradation_plot")

    found = plot.curves(nets(plain20=(20, 22))["plain20"]["epochs"])

    assert [x for x, _ in found["training"]] == [5, 15]
    assert [x for x, _ in found["test"]] == [10, 20]
    assert [y for _, y in found["test"]] == pytest.approx([64, 22])


def test_figure_has_a_curve_of_both_errors_of_every_net(script):
    root = ET.fromstring(script.draw(record(script)))

    curves = [path.get("class", "") for path in root.iter(f"{SVG}path")]
    words = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert sorted(curves) == sorted(
        f"line {kind} {depth}"
        for kind in ("training", "test")
        for depth in ("shallow", "deep")
        for _ in range(2)
    )
    assert "plain56, test: 27.00 %" in words
    assert "resnet20, training: 14.00 %" in words


def test_a_finding_that_does_not_show_ends_with_1(script, tmp_path, monkeypatch, capsys):
    found = record(script)
    found["verdicts"] = script.verdicts(nets(**{**PAPERS, "resnet56": (15, 15)}))
    file = tmp_path / "degradation.json"
    file.write_text(script.json.dumps(found))
    figure = tmp_path / "figure.svg"
    words = ["degradation.py", "--draw", "-o", str(file), "--svg", str(figure)]
    monkeypatch.setattr("sys.argv", words)

    with pytest.raises(SystemExit) as ended:
        script.main()

    assert ended.value.code == 1
    assert "NO (15.00 %, 14.00 %)" in capsys.readouterr().out
    assert figure.is_file()


def test_runs_are_dealt_so_that_two_processes_have_as_much_to_do(script):
    words = {"epochs": 3, "batch_size": None, "limit": None, "seed": 0}
    given = script.argparse.Namespace(
        **words, data=Path("cifar"), runs=Path("runs"), depths=(20, 56)
    )

    asked = script.requests(given)

    assert [options.out.name for options in asked] == ["plain56", "resnet56", "plain20", "resnet20"]
    assert {options.recipe for options in asked} == {asked[0].recipe}
    assert asked[0].recipe.epochs == 3
    assert asked[0].resume
