from __future__ import annotations

import numpy as np

from resnet_deploy.quantization.limited import keep_within
from resnet_deploy.quantization.rounding import Nearest, PairLimits, nearest_codes, usable


def test_few_scales_find_nearly_the_least_error() -> None:
    """Of the 17 scales of a deep layer nine are tried."""
    chance = np.random.default_rng(0)
    weight = chance.standard_normal((100, 1152)) * np.exp(0.3 * chance.standard_normal((100, 1)))
    importance = chance.random(1152) ** 2
    places = np.arange(1152)
    limits = PairLimits(first=places[::2], second=places[1::2], most=128, least=-128)
    first = usable(0.8 * np.abs(weight).max(axis=1) / 127)
    alone = Nearest(importance)
    safe = np.maximum(first, limits.safe_scale(weight))
    seven_bits = np.maximum(first, 2 * np.abs(weight).max(axis=1) / 126)
    every = usable(np.vstack([np.linspace(first.astype(np.float64), safe, 16), seven_bits]))
    least = alone.errors(weight, every, limits).min(axis=0)

    scale = first.copy()
    codes = nearest_codes(weight / scale[:, None])
    limited = limits.exceeded(codes)
    assert limited.mean() > 0.5
    keep_within(limits, weight, scale, codes, [alone])
    assert not limits.exceeded(codes).any()
    np.testing.assert_array_equal(scale[~limited], first[~limited])
    found = ((codes * scale.astype(np.float64)[:, None] - weight) ** 2) @ importance
    assert found[limited].sum() <= 1.01 * least[limited].sum()
    assert (found[limited] <= 1.2 * least[limited]).all()
