"""How fast images went through, and which part of the work took how long."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What some images cost, in seconds of one core: to decode, to resize, and to run on.

    Resizing stands for all that makes an input of a decoded image; ``images`` counts those that
    could be read.
    """

    images: int = 0
    decoding: float = 0.0
    resizing: float = 0.0
    inference: float = 0.0

    @property
    def seconds(self) -> float:
        """Of one core, in all."""
        return self.decoding + self.resizing + self.inference

    def __add__(self, other: Spent) -> Spent:
        return replace(
            self,
            images=self.images + other.images,
            decoding=self.decoding + other.decoding,
            resizing=self.resizing + other.resizing,
            inference=self.inference + other.inference,
        )


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Images that went through in ``seconds`` of wall time, by ``workers`` threads of one core."""

    spent: Spent
    seconds: float
    workers: int

    @property
    def images_per_second(self) -> float:
        """Of all workers together."""
        return self.spent.images / self.seconds if self.seconds else 0.0

    @property
    def busy(self) -> float:
        """Share of the time in which a worker had a core and something to do, at most 1."""
        return min(1.0, self.spent.seconds / (self.seconds * self.workers)) if self.seconds else 0.0

    def __str__(self) -> str:
        cores = "1 core" if self.workers == 1 else f"{self.workers} cores"
        stages = {
            "decodes": self.spent.decoding,
            "resizes": self.spent.resizing,
            "infers": self.spent.inference,
        }
        rates = [
            f"{name} {self.spent.images / seconds:.4g}"
            for name, seconds in stages.items()
            if seconds
        ]
        return (
            f"{self.images_per_second:.4g} images/s on {cores}, which were busy {self.busy:.0%} of "
            f"the time; one core alone {', '.join(rates) or 'did nothing'} images/s"
        )
