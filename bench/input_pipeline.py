"""Whether training waits for its pictures: the input pipeline beside a training step.

    python bench/input_pipeline.py --data DIR [--depth 20] [--recipe cifar] [--json FILE]

DIR holds ``train/`` and ``test/``. Three things take turns: the pipeline alone, which nothing
waits for; the training step alone, on one batch again and again; and both together as ``train``
runs them, where the time that the loop waits for its next batch counts. The first round warms up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec import InputContract
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Recipe
from resnet_deploy.training.batches import TrainingBatch, training_batches
from resnet_deploy.training.data import TrainingData, open_training_data
from resnet_deploy.training.loop import Training
from resnet_deploy.training.memory import keep_freed_memory
from resnet_deploy.training.network import new_network
from resnet_deploy.training.recipe import read_recipe


def pipeline_alone(data: TrainingData, recipe: Recipe, epoch: int, steps: int) -> dict[str, float]:
    """Return seconds per batch, on the clock and of all cores together."""
    start, cores, done = time.perf_counter(), time.process_time(), 0
    with closing(training_batches(data.train, recipe, seed=0, epoch=epoch)) as batches:
        for done, _ in enumerate(batches, 1):
            if done == steps:
                break
    return {
        "pipeline_seconds": (time.perf_counter() - start) / done,
        "pipeline_core_seconds": (time.process_time() - cores) / done,
    }


def step_alone(training: Training, batch: TrainingBatch, steps: int) -> dict[str, float]:
    """Return seconds per step of forward, loss, backward and update."""
    network, optimizer = training.network, training.optimizer
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(batch.images), batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {"step_seconds": (time.perf_counter() - start) / steps}


def together(training: Training, steps: int) -> dict[str, float]:
    """Return seconds per step of the real loop, and how many of them it waits for pictures."""
    position = training.position
    position.step, position.waited, position.seconds = 0, 0.0, 0.0
    training.train_epoch(lambda: position.step >= steps)
    return {
        "loop_seconds": position.seconds / position.step,
        "waited_seconds": position.waited / position.step,
    }


def show(result: dict[str, Any]) -> None:
    """Print medians of all rounds."""
    size, middle = result["batch_size"], result["medians"]
    pipeline, step, loop = (middle[f"{of}_seconds"] for of in ("pipeline", "step", "loop"))
    table = Table("", "images/s", "ms a batch", "of a step")
    for name, seconds in (
        ("pipeline alone", pipeline),
        ("step alone", step),
        ("both, as train runs them", loop),
    ):
        table.add_row(
            name, f"{size / seconds:.0f}", f"{1e3 * seconds:.2f}", f"{seconds / step:.1%}"
        )
    waited = middle["waited_seconds"]
    table.add_row(
        "… of which waiting for pictures", "", f"{1e3 * waited:.2f}", f"{waited / step:.1%}"
    )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--recipe", default="cifar")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 is one per core")
    parser.add_argument("--limit", type=int, help="take this many pictures of each part")
    parser.add_argument("--steps", type=int, default=30, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all rounds into this file")
    asked = parser.parse_args()
    try:
        result = measure(asked)
    except ResnetDeployError as problem:
        parser.error(str(problem))
    show(result)
    if asked.json:
        write_atomically(asked.json, (json.dumps(result, indent=1) + "\n").encode())


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return what was seen in all rounds, and the medians."""
    torch.set_num_threads(asked.threads or default_threads())
    keep_freed_memory()  # as train() does
    recipe = read_recipe(asked.recipe)
    data = open_training_data(
        asked.data, InputContract.for_size(asked.image_size), limit=asked.limit
    )
    request = ModelRequest(depth=asked.depth, image_size=asked.image_size)
    trainable = new_network(request, data.classes, recipe, seed=0)
    # The time of a step does not depend on the rate; a rate near 0 keeps the loss a number.
    training = Training(trainable=trainable, data=data, recipe=replace(recipe, lr=1e-9))
    batch = next(training_batches(data.train, recipe, seed=0, epoch=0))
    steps = min(asked.steps, training.steps_per_epoch - 1)  # a whole epoch would evaluate as well
    if steps < 1:
        raise SystemExit(
            f"{asked.data} has too few pictures for two batches of {recipe.batch_size}"
        )

    rounds = [
        {
            **pipeline_alone(data, recipe, epoch, steps),
            **step_alone(training, batch, steps),
            **together(training, steps),
        }
        for epoch in range(asked.rounds + 1)
    ][1:]
    return {
        "depth": asked.depth,
        "image_size": asked.image_size,
        "recipe": asked.recipe,
        "batch_size": recipe.batch_size,
        "pictures": len(data.train),
        "in_memory": data.train.kept is not None,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "steps": steps,
        "medians": {key: statistics.median(times[key] for times in rounds) for key in rounds[0]},
        "rounds": rounds,
    }


if __name__ == "__main__":
    main()
