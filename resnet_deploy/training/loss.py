"""What is made smaller: the cross entropy, of mixed images too."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from resnet_deploy.training.batches import TrainingBatch


def mixed_cross_entropy(logits: Tensor, batch: TrainingBatch, label_smoothing: float) -> Tensor:
    """Return the mean loss of ``logits``, float32 ``(N, classes)``.

    A mixed image counts as its own class by ``batch.mix`` and as its partner's by the rest
    (arXiv:1710.09412, which this equals as the loss is linear in the target).
    """
    loss = F.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)
    if batch.partners is None:
        return loss
    other = F.cross_entropy(logits, batch.partners, label_smoothing=label_smoothing)
    return batch.mix * loss + (1 - batch.mix) * other
