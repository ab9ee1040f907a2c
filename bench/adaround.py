"""AdaRound on the objective of ``quantization/rounding.py``, for comparison.

Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020: each weight
is rounded down or up; a rectified sigmoid relaxes the choice, an annealed regulariser closes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_deploy.quantization.rounding import Nearest, PairLimits

ITERATIONS = 1000
_STRETCH = (-0.1, 1.1)
_WARM_UP = 0.2
_REGULARISER = 0.01


class AdaRound:
    """Takes the place of :class:`resnet_deploy.quantization.rounding.Compensation`."""

    def __init__(self, covariance: NDArray[Any]) -> None:
        self._covariance = torch.tensor(covariance / max(np.diagonal(covariance).mean(), 1e-30))

    @property
    def alone(self) -> Nearest:
        """What rounds each weight alone, by the variance of its input."""
        return Nearest(np.diagonal(self._covariance.numpy()))

    def codes(self, steps: NDArray[Any], limits: PairLimits | None = None) -> NDArray[Any]:
        """Return the codes of the weights ``(O, K)``, given in steps of their channel's scale.

        Pairs beyond ``limits`` give way after all is rounded.
        """
        exact = torch.tensor(np.asarray(steps, np.float64)).float()
        covariance = self._covariance.float()
        low, high = _STRETCH
        floor = exact.floor()
        rest = (exact - floor).clamp(0.01, 0.99)
        inside = (rest - low) / (high - low)
        variable = torch.log(inside / (1 - inside)).requires_grad_(True)
        optimiser = torch.optim.Adam([variable], lr=1e-2)
        for step in range(ITERATIONS):
            share = (torch.sigmoid(variable) * (high - low) + low).clamp(0, 1)
            error = floor + share - exact
            loss = ((error @ covariance) * error).sum(dim=1).mean()
            if step > _WARM_UP * ITERATIONS:
                left = 1 - (step / ITERATIONS - _WARM_UP) / (1 - _WARM_UP)
                beta = 2 + 18 * left
                closing = (1 - (2 * share - 1).abs() ** beta).sum(dim=1).mean()
                loss = loss + _REGULARISER * closing
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        share = (torch.sigmoid(variable) * (high - low) + low).clamp(0, 1).detach()
        rounded = (floor + share.round()).numpy()
        clipped: NDArray[Any] = np.clip(rounded, -127, 127)
        return clipped if limits is None else limits.nearest(clipped)

    def error(self, steps: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
        """Return the mean square error of the output ``(O,)``, in square steps."""
        errors = torch.tensor(np.asarray(codes - steps, np.float64))
        found: NDArray[Any] = ((errors @ self._covariance) * errors).sum(dim=1).numpy()
        return found
