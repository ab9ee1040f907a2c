"""How well a network does on the test images."""

from __future__ import annotations

from contextlib import closing

import torch
import torch.nn.functional as F
from torch import nn

from resnet_deploy.training.batches import evaluation_batches
from resnet_deploy.training.data import LabelledImages
from resnet_deploy.training.distributed import Crew

_BATCH = 250


def evaluate(
    network: nn.Module, data: LabelledImages, crew: Crew, *, channels_last: bool
) -> tuple[float, float]:
    """Return mean loss and top-1, as a share, of ``network``, which is left in eval mode.

    In float32 whatever the training computes in: this is what the exported file will do. All
    processes of ``crew`` must call it.

    Raises:
        DatasetError: an image can't be read.
    """
    loss = right = count = 0.0
    network.eval()
    batches = evaluation_batches(
        data,
        batch_size=_BATCH,
        rank=crew.rank,
        world=crew.world,
        channels_last=channels_last,
    )
    with torch.no_grad(), closing(batches):
        for batch in batches:
            logits = network(batch.images)
            loss += float(F.cross_entropy(logits, batch.labels, reduction="sum"))
            right += float((logits.argmax(1) == batch.labels).sum())
            count += len(batch.labels)
    loss, right, count = crew.total(loss, right, count)
    return loss / count, right / count
