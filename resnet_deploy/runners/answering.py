"""What files answer to pictures, batch by batch: asked by threads here, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import bytes_with_weights
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.loader import (
    Batch,
    LeaveOut,
    Left,
    MapBatch,
    Mapped,
    batch_size_for,
    image_name,
    map_batches,
    read_ones,
)
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.data.shards import PictureShard, picture_shards
from resnet_deploy.errors import DatasetError
from resnet_deploy.processes.ray_cluster import connected
from resnet_deploy.runners.alike import Machine
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import ClusterSpec, InputContract, SessionSpec

Ask = Callable[[Artifact, Runner, Array], Array]
"""Returns what a file that is open answers to a batch; a function that can be pickled."""

ONE_CORE = SessionSpec(threads=1, spin=False)
"""How a file is opened that several threads or processes run, each on images of its own."""

Answered = list[tuple[Mapped[tuple[Array, ...]] | None, Left]]


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A file, and how it is opened; ``artifact`` is what is known of it."""

    artifact: Artifact
    path: Path
    runner: str = "ort"
    session: SessionSpec = ONE_CORE


@dataclass(frozen=True, kw_only=True)
class AnswerJob:
    """Implements ``Job``: asks files about the pictures of a shard, one batch after the other.

    ``models`` are the bytes of the files of ``openings``; pictures are prepared for each of them as
    ``specs`` say.
    """

    openings: tuple[Opening, ...]
    models: tuple[bytes, ...]
    specs: tuple[InputContract, ...]
    ask: Ask
    machine: Machine = field(default_factory=Machine.here)

    @classmethod
    def of(cls, openings: Sequence[Opening], ask: Ask, specs: Sequence[InputContract]) -> AnswerJob:
        """Return what asks the files of ``openings``, which are read now."""
        return cls(
            openings=tuple(
                replace(each, artifact=replace(each.artifact, copy=None, scratch=None))
                for each in openings
            ),
            models=tuple(bytes_with_weights(each.path) for each in openings),
            specs=tuple(specs),
            ask=ask,
        )

    def open(self) -> Callable[[PictureShard], Answered]:
        """See ``Job.open``.

        Raises:
            ResnetDeployError: a runtime refuses a model or is missing, or computes otherwise here.
        """
        self.machine.check_here()
        opened: list[tuple[Artifact, Runner]] = []
        for opening, model in zip(self.openings, self.models, strict=True):
            with scratch_folder() as folder:
                path = folder / opening.path.name
                path.write_bytes(model)
                runner = open_runner(opening.runner, path, opening.session)
                opened.append((opening.artifact, runner))

        def work(batch: Batch) -> tuple[Array, ...]:
            return _asked(self.ask, opened, batch)

        def answer(shard: PictureShard) -> Answered:
            shard.check()
            one = MapBatch(shard.dataset, self.specs, work, tolerant=shard.tolerant)
            index_of = dict(zip(shard.places, shard.indices, strict=True))
            answered: Answered = []
            for places, gone in shard.batches():
                found, bad = one(places)
                bad += [(place, _ends_processes(shard.dataset, place)) for place in gone]
                if found is not None:
                    indices = tuple(index_of[place] for place in found.indices)
                    found = replace(found, indices=indices)
                answered.append((found, sorted((index_of[at], why) for at, why in bad)))
            return answered

        return answer


def _ends_processes(dataset: Dataset, place: int) -> DatasetError:
    return DatasetError(f"{image_name(dataset, place)} ends whatever process reads it")


def answers_to(
    dataset: Dataset,
    indices: Sequence[int],
    opened: Sequence[tuple[Artifact, Runner]],
    ask: Ask,
    *,
    batch_size: int,
    workers: int,
    cluster: ClusterSpec | None = None,
    leave_out: LeaveOut | None = None,
) -> Generator[Mapped[tuple[Array, ...]], None, None]:
    """Yield what files answer to the images ``indices`` of ``dataset``, in order, batch by batch.

    Args:
        dataset: where the images come from.
        indices: which images to take.
        opened: the files, and what has them open here, which several threads may ask at once.
        ask: how they are asked.
        batch_size: images per batch; the last one may be smaller.
        workers: how many images are decoded and run at a time, each on one core.
        cluster: where that happens instead, in the same batches.
        leave_out: told of images that can't be read, in order.

    Raises:
        DatasetError: an image can't be read, and ``leave_out`` is None.
        RunnerError: a file can't be run, or the cluster can't be used.
    """
    artifacts = [artifact for artifact, _ in opened]
    specs = [input_preprocess(artifact) for artifact in artifacts]

    def work(batch: Batch) -> tuple[Array, ...]:
        return _asked(ask, opened, batch)

    if cluster is None:
        yield from map_batches(
            dataset,
            indices,
            specs,
            work,
            batch_size=batch_size,
            workers=workers,
            leave_out=leave_out,
        )
        return
    openings = [Opening(artifact=artifact, path=artifact.plain) for artifact in artifacts]
    yield from answers_on_cluster(
        dataset,
        indices,
        AnswerJob.of(openings, ask, specs),
        cluster,
        batch_size=batch_size,
        threads=workers,
        leave_out=leave_out,
    )


def answers_on_cluster(
    dataset: Dataset,
    indices: Sequence[int],
    job: AnswerJob,
    cluster: ClusterSpec,
    *,
    batch_size: int,
    threads: int,
    leave_out: LeaveOut | None = None,
) -> Generator[Mapped[tuple[Array, ...]], None, None]:
    """Yield what the files of ``job`` answer to the images ``indices``, as :func:`answers_to` does.

    Raises:
        DatasetError: an image can't be read, and ``leave_out`` is None.
        RunnerError: a file can't be run, or the cluster can't be used.
    """
    with connected(cluster, threads) as connection:
        shards = picture_shards(
            dataset,
            indices,
            batch_size=batch_size_for(job.specs, batch_size),
            pixels=max(spec.pixels for spec in job.specs),
            workers=connection.workers,
            tolerant=leave_out is not None,
        )
        with closing(connection.map(job, shards)) as answered:
            yield from read_ones(chain.from_iterable(answered), leave_out)


def _asked(ask: Ask, opened: Sequence[tuple[Artifact, Runner]], batch: Batch) -> tuple[Array, ...]:
    asked = zip(opened, batch.inputs, strict=True)
    return tuple(ask(artifact, runner, inputs) for (artifact, runner), inputs in asked)
