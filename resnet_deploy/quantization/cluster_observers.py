"""Calibration on a cluster: every worker counts the activations of its share of the images.

Histograms merge exactly, so it is no matter who counted which image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.loader import prepared
from resnet_deploy.data.shards import PictureShard, picture_shards
from resnet_deploy.processes.ray_cluster import connected
from resnet_deploy.quantization.histogram import ActivationHistograms
from resnet_deploy.quantization.observers import Observer, pieces
from resnet_deploy.runners.alike import Machine
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import ClusterSpec, InputContract, SessionSpec


@dataclass(frozen=True, kw_only=True)
class CalibrationJob:
    """Implements ``Job``: what counts the activations of a shard of pictures.

    ``model`` is a serialised fp32 graph that has ``tensors`` among its inputs and outputs. A shard
    becomes histograms as ``ActivationHistograms.to_bytes`` writes them.
    """

    model: bytes
    tensors: tuple[str, ...]
    preprocess: InputContract
    machine: Machine = field(default_factory=Machine.here)

    def open(self) -> Callable[[PictureShard], bytes]:
        """See ``Job.open``.

        Raises:
            RunnerError: ONNX Runtime refuses the model, or computes otherwise here.
        """
        self.machine.check_here()
        session = open_session(self.model, SessionSpec(threads=1, spin=False))
        observer = Observer(session, self.tensors)
        size = session.get_inputs()[0].shape[0]
        fixed = size if isinstance(size, int) else None

        def count(shard: PictureShard) -> bytes:
            observer.take()  # what a shard left that failed halfway
            shard.check()
            for places, _ in shard.batches():
                batch = prepared(shard.dataset, places, self.preprocess)
                for piece in pieces(batch, fixed):
                    observer.work(piece)
            return observer.take().to_bytes()

        return count


def observed_on_cluster(
    cluster: ClusterSpec,
    model: bytes,
    tensors: Sequence[str],
    images: CalibrationImages,
    threads: int,
) -> Iterator[ActivationHistograms]:
    """Yield histograms of ``tensors`` over one share of ``images`` after the other, in order.

    Raises:
        DatasetError: an image can't be read, or an activation is NaN or infinite.
        RunnerError: ONNX Runtime can't run the model, or the cluster can't be used.
    """
    job = CalibrationJob(model=model, tensors=tuple(tensors), preprocess=images.preprocess)
    with connected(cluster, threads) as connection:
        shards = picture_shards(
            images.dataset,
            images.indices,
            batch_size=images.batch_size,
            pixels=images.preprocess.pixels,
            workers=connection.workers,
        )
        with closing(connection.map(job, shards)) as counted:
            for data in counted:
                yield ActivationHistograms.from_bytes(data)
