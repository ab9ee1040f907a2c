"""Where the sums of an int8 file overflow on x86 CPUs without VNNI."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.environment import Environment


@dataclass(frozen=True, kw_only=True)
class LayerSaturation:
    """One layer whose kernel adds up pairs of products in int16.

    ``name`` is the torch module. Of its ``weight_pairs``, ``risky`` could overflow with some
    activations. Counted over all images: ``sums`` of pairs, of which ``overflows`` do not fit,
    into ``outputs`` values, of which ``touched`` have at least one such sum. ``largest`` is the
    sum of a risky pair that is farthest from zero. A layer without risky pairs is not counted.
    """

    DERIVED = ("touched_share", "overflow_share")

    name: str
    weight_pairs: int
    risky: int
    sums: int = 0
    overflows: int = 0
    outputs: int = 0
    touched: int = 0
    largest: int = 0

    @property
    def touched_share(self) -> float:
        """Share of the output values that an overflow changes, before their rounding to u8."""
        return self.touched / self.outputs if self.outputs else 0.0

    @property
    def overflow_share(self) -> float:
        """Share of the sums that overflow."""
        return self.overflows / self.sums if self.sums else 0.0


@dataclass(frozen=True, kw_only=True)
class SaturationReport(Result):
    """All such layers of an int8 file in graph order, counted over ``images`` images of ``data``.

    ``images`` is 0 when no weights are risky: then there was nothing to count.
    """

    DERIVED = ("always_safe", "safe")

    model: str
    data: str
    images: int
    layers: tuple[LayerSaturation, ...]
    environment: Environment | None = None

    @property
    def always_safe(self) -> bool:
        """True when no image whatever makes any sum overflow."""
        return not any(layer.risky for layer in self.layers)

    @property
    def safe(self) -> bool:
        """True when no sum overflowed on the images."""
        return not any(layer.overflows for layer in self.layers)

    @property
    def passed(self) -> bool:
        """The same as :attr:`safe`."""
        return self.safe

    def _failure(self) -> str:
        names = ", ".join(layer.name for layer in self.unsafe_layers)
        return f"{self.model}: sums of products overflow without VNNI in {names}"

    @property
    def unsafe_layers(self) -> tuple[LayerSaturation, ...]:
        """The layers with overflows, the most touched first."""
        found = [layer for layer in self.layers if layer.overflows]
        return tuple(sorted(found, key=lambda layer: -layer.touched_share))
