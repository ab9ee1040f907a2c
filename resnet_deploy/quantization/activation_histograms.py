"""What calibration has learned so far: a histogram per tensor, and over how many images.

The same images give the same histograms, whatever their order, and however they were divided
between processes. A range is chosen from them afterwards, by any method.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.quantization.histogram import BINS, Histogram


@dataclass
class ActivationHistograms:
    """Histograms by tensor name, over ``images`` images."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    images: int = 0

    @classmethod
    def of(cls, tensors: Sequence[str]) -> ActivationHistograms:
        """Return the histograms of no image at all."""
        return cls({name: Histogram() for name in tensors})

    def merge(self, other: ActivationHistograms) -> None:
        """Add what ``other`` has learned from other images about the same tensors."""
        for name, histogram in other.histograms.items():
            self.histograms[name].merge(histogram)
        self.images += other.images

    def to_bytes(self) -> bytes:
        """Return an ``.npz`` file that :meth:`from_bytes` reads."""
        found = list(self.histograms.values())
        stream = io.BytesIO()
        np.savez_compressed(
            stream,
            images=np.int64(self.images),
            names=np.array(list(self.histograms), np.str_),
            counts=np.array([one.counts for one in found], np.int64).reshape(-1, BINS),
            # NaN for a tensor that was always zero.
            exponents=np.array(
                [math.nan if one.exponent is None else one.exponent for one in found]
            ),
            zeros=np.array([one.zeros for one in found], np.int64),
            extremes=np.array([(one.low, one.high) for one in found]).reshape(-1, 2),
        )
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ActivationHistograms:
        """Return what was written by :meth:`to_bytes`; nothing in ``data`` is executed.

        Raises:
            ValueError: ``data`` is something else, or damaged.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            names = [str(name) for name in arrays["names"]]
            return cls(_histograms(names, arrays), int(arrays["images"]))
        except Exception as error:  # a damaged archive can make zipfile raise almost anything
            raise ValueError(f"no histograms: {error}") from error


def _histograms(names: list[str], arrays: dict[str, NDArray[np.generic]]) -> dict[str, Histogram]:
    counts, exponents = arrays["counts"], arrays["exponents"]
    zeros, extremes = arrays["zeros"], arrays["extremes"]
    if counts.shape != (len(names), BINS) or counts.dtype != np.int64:
        raise ValueError(f"counts are {counts.shape} {counts.dtype}")
    histograms = {}
    for row, name in enumerate(names):
        histogram = Histogram()
        histogram.counts = np.array(counts[row], np.int64)
        exponent = float(exponents[row])
        histogram.exponent = None if math.isnan(exponent) else int(exponent)
        histogram.zeros = int(zeros[row])
        histogram.low, histogram.high = (float(end) for end in extremes[row])
        histograms[name] = histogram
    return histograms
