"""The paper's figures 1 and 6: what depth does to plain nets, and to residual ones.

Trains plain-20, plain-56, ResNet-20 and ResNet-56 on CIFAR-10 with one recipe, the paper's in fewer
epochs (``bench/degradation.toml``), two at a time with one thread each. Every net has a
folder in ``--runs``; started again, finished ones are taken as they are and others go on where they
stopped. Run it as ``python bench/degradation.py --data CIFAR`` with CIFAR-10 as ``resnet-deploy
train`` takes it. It prints the last errors, writes ``bench/results/degradation.json`` and
``docs/images/degradation.svg``, and exits with 1 where the paper's finding does not show.
``--draw`` only draws anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from degradation_plot import draw, error
from rich.console import Console
from rich.table import Table
from train_runs import train_all

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.results import to_dict
from resnet_deploy.results.training import TrainingResult
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.training.recipe import read_recipe

HERE = Path(__file__).parent
RECIPE = HERE / "degradation.toml"
RESULT = HERE / "results" / "degradation.json"
FIGURE = HERE.parent / "docs" / "images" / "degradation.svg"
COMMAND = "python bench/degradation.py --data CIFAR"

PAPER = {
    "steps": 64_000,
    "epochs": 164,
    "schedule": "steps",
    "train_images": 50_000,
    "test_images": 10_000,
    "precision": "float32",
}
"""Section 4.2 of arXiv:1512.03385."""


def requests(given: argparse.Namespace) -> list[TrainRequest]:
    """Return what to train, the longest first: dealt out in turn, two processes end together."""
    changes = {"epochs": given.epochs, "batch_size": given.batch_size}
    recipe = read_recipe(str(RECIPE), {key: value for key, value in changes.items() if value})
    return [
        TrainRequest(
            model=ModelRequest(depth=depth, plain=plain),
            data=given.data,
            out=given.runs / f"{'plain' if plain else 'resnet'}{depth}",
            recipe=recipe,
            limit=given.limit,
            seed=given.seed,
            threads=1,
            resume=True,
        )
        for depth in sorted(given.depths, reverse=True)
        for plain in (True, False)
    ]


def record(asked: list[TrainRequest], results: list[TrainingResult]) -> dict[str, Any]:
    """Return everything that was learned, as JSON has it."""
    first = results[0]
    nets = {
        result.model: {
            "plain": request.model.is_plain,
            "depth": request.model.resnet_depth,
            "parameters": result.parameters,
            "seconds": result.seconds,
            "epochs": [to_dict(epoch) for epoch in result.epochs],
        }
        for request, result in zip(asked, results, strict=True)
    }
    facts = {
        "steps": first.epochs[-1].steps,
        "epochs": len(first.epochs),
        "schedule": first.recipe["schedule"],
        "train_images": first.train_images,
        "test_images": first.test_images,
        "precision": first.precision,
    }
    return {
        "environment": to_dict(environment(COMMAND)),
        "recipe": first.recipe,
        "seed": asked[0].seed,
        "threads": first.threads,
        "precision": first.precision,
        "run": facts,
        "paper": PAPER,
        "reduced": [
            f"{name}: {facts[name]}, in the paper {value}"
            for name, value in PAPER.items()
            if facts[name] != value
        ],
        "nets": nets,
        "verdicts": verdicts(nets),
    }


def verdicts(nets: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the paper found, and whether it shows here: errors in percent at the end."""
    found = []
    for plain, kind, above in (
        (True, "train", True),
        (True, "test", True),
        (False, "train", False),
    ):
        pair = sorted((net["depth"], name) for name, net in nets.items() if net["plain"] is plain)
        shallow, deep = (name for _, name in pair)
        errors = {name: error(nets[name]["epochs"][-1][f"{kind}_top1"]) for name in (shallow, deep)}
        where = "above" if above else "not above"
        what = "training" if kind == "train" else "test"
        found.append(
            {
                "claim": f"{deep} ends {where} {shallow} in {what} error",
                "deep": errors[deep],
                "shallow": errors[shallow],
                "holds": (errors[deep] > errors[shallow]) is above,
            }
        )
    return found


def table(found: dict[str, Any]) -> Table:
    shown = Table(caption="; ".join(found["reduced"]))
    for number, column in enumerate(("net", "parameters", "training error", "test error", "min")):
        shown.add_column(column, justify="right" if number else "left")
    for name, net in found["nets"].items():
        last = net["epochs"][-1]
        shown.add_row(
            name,
            f"{net['parameters']:,}",
            f"{error(last['train_top1']):.2f} %",
            f"{error(last['test_top1']):.2f} %",
            f"{net['seconds'] / 60:.1f}",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="CIFAR-10, with a training and a test part")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--runs", type=Path, default=Path("runs/degradation"))
    parser.add_argument("-o", "--out", type=Path, default=RESULT, help="the JSON file")
    parser.add_argument("--svg", type=Path, default=FIGURE, help="the figure")
    parser.add_argument("--draw", action="store_true", help="only draw, from the JSON file")
    parser.add_argument("--depths", type=int, nargs=2, default=(20, 56), help="for a trial")
    parser.add_argument("--batch-size", type=int, help="for a trial")
    parser.add_argument("--limit", type=int, help="for a trial: this many pictures of each part")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.draw:
        found = json.loads(given.out.read_bytes())
    elif given.data is None:
        parser.error("--data is missing: name CIFAR-10's folder")
    else:
        try:
            asked = requests(given)
        except ResnetDeployError as problem:
            parser.error(str(problem))
        found = record(asked, train_all(asked, COMMAND, jobs=given.jobs))
        write_atomically(given.out, (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(given.svg, draw(found).encode())
    console = Console()
    console.print(table(found))
    for verdict in found["verdicts"]:
        answer = "yes" if verdict["holds"] else "NO"
        console.print(
            f"{verdict['claim']}: {answer} ({verdict['deep']:.2f} %, {verdict['shallow']:.2f} %)"
        )
    raise SystemExit(0 if all(verdict["holds"] for verdict in found["verdicts"]) else 1)


if __name__ == "__main__":
    main()
