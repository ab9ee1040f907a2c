"""Trainings side by side, each in a process of one thread: two such are faster than two threads."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing import connection
from typing import Any

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.report.views.training import epoch_line
from resnet_deploy.results import from_dict, to_dict
from resnet_deploy.results.training import Epoch, TrainingResult
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec.train_request import TrainRequest

RESULT_FILE = "result.json"


def train_all(requests: Sequence[TrainRequest], command: str, *, jobs: int) -> list[TrainingResult]:
    """Train all ``requests`` in ``jobs`` processes, dealt out in turn; return them in order.

    However this process ends, the trainings save their state and end as well. Where a training
    fails or is stopped, the others are stopped too, and ``SystemExit`` says what to do.
    """
    context = multiprocessing.get_context("spawn")
    children = [
        context.Process(target=_train_some, args=(requests[first::jobs], command, os.getpid()))
        for first in range(min(jobs, len(requests)))
    ]
    for child in children:
        child.start()
    running = {child.sentinel: child for child in children}
    try:
        while running:
            for sentinel in connection.wait(list(running)):
                assert isinstance(sentinel, int)
                ended = running.pop(sentinel)
                ended.join()
                if ended.exitcode:
                    raise SystemExit("stopped; the same command goes on from the last checkpoints")
    finally:
        for child in running.values():
            child.terminate()  # SIGTERM: a training saves before it ends
        for child in running.values():
            child.join()
    files = [request.out / RESULT_FILE for request in requests]
    return [from_dict(TrainingResult, json.loads(file.read_bytes())) for file in files]


def _train_some(requests: Sequence[TrainRequest], command: str, parent: int) -> None:
    # Ctrl-C is for the parent, which passes it on: a second signal would end a run unsaved.
    os.setpgrp()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()

    from resnet_deploy.training.run import train

    for request in requests:
        name = request.out.name

        def tell(epoch: Epoch, epochs: int, name: str = name) -> None:
            print(f"{name}: {epoch_line(epoch, epochs)}", file=sys.stderr, flush=True)

        try:
            result = train(request, environment(command), on_epoch=tell)
        except ResnetDeployError as error:
            raise SystemExit(f"{name}: {error}") from error
        if result.interrupted:
            raise SystemExit(f"{name}: saved in {request.out}")
        values: dict[str, Any] = to_dict(result)
        write_atomically(request.out / RESULT_FILE, (json.dumps(values) + "\n").encode())


def _end_with(parent: int) -> None:
    """Stop this process as Ctrl-C would once its parent was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
