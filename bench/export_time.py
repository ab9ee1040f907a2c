"""How long ``export`` takes, all of the command: from its start to two proven files and a verdict.

    python bench/export_time.py [--before TREE] [--depth 34 50] [--rounds 5]

``TREE`` is another working tree of this repository, such as ``git worktree add TREE COMMIT`` makes.
Both run with the packages of this interpreter, in turn, with random weights; nothing is taken from
a calibration cache. The record is ``results/export_time.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from whole_commands import HERE, in_turn, show

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment

RESULT = Path(__file__).parent / "results" / "export_time.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, metavar="TREE")
    parser.add_argument("--depth", type=int, nargs="+", default=[34, 50])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    trees = {"now": HERE}
    if asked.before:
        trees = {"before": asked.before.resolve(), **trees}
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        options = ["--no-calibration-cache", "--keep-slow", "--force", "-q", "-o", folder]
        commands = {
            f"export --depth {depth}": ["export", "--depth", str(depth), *options]
            for depth in asked.depth
        }
        runs = in_turn(trees, commands, asked.rounds)
    show(runs, tuple(trees), tuple(commands))
    record = {
        "environment": to_dict(environment("python bench/export_time.py")),
        "rounds": asked.rounds,
        "runs": runs,
    }
    write_atomically(RESULT, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
