"""BatchNorm over a batch that several processes share.

The state is that of ``nn.BatchNorm2d``, key for key. PyTorch's own SyncBatchNorm refuses tensors
on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class WholeBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm whose statistics are those of the whole batch, over all processes.

    Every process must have an equal share of it. In evaluation it is ``nn.BatchNorm2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``, ``(N, C, H, W)``, N being this process's share of the batch."""
        if not self.training:
            return super().forward(x)
        mean, var = _whole_statistics(x)
        self._update(mean, var, x.numel() // x.shape[1] * dist.get_world_size())
        weight = torch.ones_like(mean) if self.weight is None else self.weight
        bias = torch.zeros_like(mean) if self.bias is None else self.bias
        normalised: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            x, weight, bias, mean, var, self.eps
        )
        return normalised

    @torch.no_grad()
    def _update(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics as ``nn.BatchNorm2d`` does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(var * (count / (count - 1)), momentum)


def synchronize_batchnorm(module: nn.Module) -> None:
    """Let every BatchNorm of ``module`` see the whole batch, in place."""
    for layer in module.modules():
        if type(layer) is nn.BatchNorm2d:
            # As PyTorch's lazy layers become what they stand for: all that refers to it stays.
            layer.__class__ = WholeBatchNorm2d


@torch.no_grad()
def _whole_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel over all processes, float32 ``(C,)``."""
    # Running statistics in float32 make those of bfloat16 input float32 as well.
    wide = torch.zeros(x.shape[1], dtype=torch.float32)
    mine = torch.stack(
        torch.batch_norm_update_stats(x, running_mean=wide, running_var=wide.clone(), momentum=0.0)
    )
    every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(every, mine)
    means, variances = torch.stack(every, 1)
    # Shares are equal. Sums of squares would lose digits where the mean is large.
    var, mean = torch.var_mean(means, 0, correction=0)
    return mean, variances.mean(0) + var


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(var + eps) * weight + bias``, where all processes made the statistics."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps = eps
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; those of weight and bias are this process's part of them.

        arXiv:1502.03167, section 3: with fixed statistics first, then what flows through them.
        """
        x, weight, mean, var = ctx.saved_tensors
        fixed, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack((d_weight, d_bias))
        dist.all_reduce(sums)
        sums /= x.numel() // x.shape[1] * dist.get_world_size()
        rstd = torch.rsqrt(var + ctx.eps)
        slope = sums[0] * rstd * rstd * weight
        offset = sums[1] * rstd * weight - slope * mean
        through = x * slope[:, None, None] + offset[:, None, None]
        return (fixed - through).to(x.dtype), d_weight, d_bias, None, None, None
