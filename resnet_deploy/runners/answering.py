"""What files answer to pictures, batch by batch: asked by threads here, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

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
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import ClusterSpec, SessionSpec

Ask = Callable[[Artifact, Runner, Array], Array]
"""Returns what a file that is open answers to a batch; a function that can be pickled."""

ONE_CORE = SessionSpec(threads=1, spin=False)
"""How a file is opened that several threads or processes run, each on images of its own."""

Answered = list[tuple[Mapped[tuple[Array, ...]] | None, Left]]


@dataclass(frozen=True, kw_only=True)
class AnswerJob:
    """Implements ``Job``: asks files about the pictures of a shard, one batch after the other.

    ``models`` are the bytes of what is run of ``artifacts``.
    """

    artifacts: tuple[Artifact, ...]
    models: tuple[bytes, ...]
    ask: Ask
    machine: Machine = field(default_factory=Machine.here)

    @classmethod
    def of(cls, artifacts: Sequence[Artifact], ask: Ask) -> AnswerJob:
        """Return what asks ``artifacts``, whose files are read now."""
        return cls(
            artifacts=tuple(replace(each, copy=None, scratch=None) for each in artifacts),
            models=tuple(bytes_with_weights(each.plain) for each in artifacts),
            ask=ask,
        )

    def open(self) -> Callable[[PictureShard], Answered]:
        """See ``Job.open``.

        Raises:
            RunnerError: ONNX Runtime refuses a model, or computes otherwise here.
        """
        self.machine.check_here()
        opened: list[tuple[Artifact, Runner]] = []
        for artifact, model in zip(self.artifacts, self.models, strict=True):
            with scratch_folder() as folder:
                path = folder / artifact.path.name
                path.write_bytes(model)
                opened.append((artifact, OrtRunner(path, ONE_CORE)))

        def work(batch: Batch) -> tuple[Array, ...]:
            return _asked(self.ask, opened, batch)

        specs = [input_preprocess(artifact) for artifact in self.artifacts]

        def answer(shard: PictureShard) -> Answered:
            shard.check()
            one = MapBatch(shard.dataset, specs, work, tolerant=shard.tolerant)
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
    job = AnswerJob.of(artifacts, ask)
    with connected(cluster, workers) as connection:
        shards = picture_shards(
            dataset,
            indices,
            batch_size=batch_size_for(specs, batch_size),
            pixels=max(spec.pixels for spec in specs),
            workers=connection.workers,
            tolerant=leave_out is not None,
        )
        with closing(connection.map(job, shards)) as answered:
            yield from read_ones(chain.from_iterable(answered), leave_out)


def _asked(ask: Ask, opened: Sequence[tuple[Artifact, Runner]], batch: Batch) -> tuple[Array, ...]:
    asked = zip(opened, batch.inputs, strict=True)
    return tuple(ask(artifact, runner, inputs) for (artifact, runner), inputs in asked)
