"""What the statistics that training left in BatchNorms say of how a net is fed and built."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.environment import Environment


def floor_of(pictures: int) -> float:
    """Return what is added to divergences before they are compared: less is chance.

    Pictures like the training's differ from it by about 0.1 over their number, and by 0.0005 for
    what the running averages of the last steps miss.
    """
    return max(0.25 / pictures, 0.0005)


class Finding(str, enum.Enum):
    """What the witness says of a question."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


def times_worse(better: Sequence[float], worse: Sequence[float], floor: float) -> float:
    """Return how many times larger the divergences ``worse`` are: geometric mean over layers."""
    logs = [math.log((w + floor) / (b + floor)) for b, w in zip(better, worse, strict=True)]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One answer, and the divergence in front of each BatchNorm that is evidence."""

    name: str
    divergences: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing that weights can't tell.

    Args:
        name: ``channel order``, ``scaling``, ``shortcut``, ….
        held: what was stated or assumed.
        stated: whether somebody said it.
        layers: the BatchNorms that are evidence, in the order in which they run.
        pictures: how many were fed.
        candidates: the answers that were tried, the one that fits best first.
        margin: how many times worse the second one fits.
        needed: how large the margin has to be.
        credible: whether the best one fits well enough to be believed at all.
    """

    DERIVED = ("finding", "winner", "sentence")

    name: str
    held: str
    stated: bool
    layers: tuple[str, ...]
    pictures: int
    candidates: tuple[Candidate, ...]
    margin: float
    needed: float
    credible: bool

    @property
    def finding(self) -> Finding:
        """Whether pictures confirm what was held."""
        if not self.credible:
            return Finding.UNDECIDED
        if self.winner is not None:
            return Finding.CONFIRMED if self.winner == self.held else Finding.CONTRADICTED
        excess = self.excess(self.held)
        return Finding.CONTRADICTED if excess >= self.needed else Finding.UNDECIDED

    @property
    def winner(self) -> str | None:
        """The answer that fits clearly better than all others."""
        clear = self.credible and self.margin >= self.needed
        return self.candidates[0].name if clear else None

    @property
    def rivals(self) -> tuple[str, ...]:
        """The answers that can't be told apart from the best one, with it."""
        return tuple(
            candidate.name
            for candidate in self.candidates
            if self._times_worse(candidate) < self.needed
        )

    def excess(self, answer: str) -> float:
        """Return how many times worse an answer fits than the best one; infinite: it can't run."""
        asked = next((c for c in self.candidates if c.name == answer), None)
        return math.inf if asked is None else self._times_worse(asked)

    @property
    def sentence(self) -> str:
        """The finding with its evidence, in words."""
        said = f"{self.held} ({'stated' if self.stated else 'assumed'})"
        if self.finding is Finding.UNDECIDED:
            why = "nothing that was tried fits"
            if self.credible:
                others = [name for name in self.rivals if name != self.held]
                why = f"{', '.join(others)} would fit as well"
            return f"{self.name}: {said} stays: {why}"
        if self.finding is Finding.CONFIRMED:
            other = self.candidates[1]
            return f"{self.name}: {said}: {self._evidence(self.held, other.name)}"
        better = self.winner or " or ".join(self.rivals)
        return f"{self.name}: {better}, not {said}: " + self._evidence(
            self.candidates[0].name, self.held
        )

    def _evidence(self, better: str, worse: str) -> str:
        """Name the layer that tells two answers apart best."""
        known = {candidate.name: candidate.divergences for candidate in self.candidates}
        pairs = zip(self.layers, known[better], known[worse], strict=True)
        floor = floor_of(self.pictures)
        layer, low, high = max(pairs, key=lambda pair: (pair[2] + floor) / (pair[1] + floor))
        return f"{layer} differs by {low:.2g} with {better}, by {high:.2g} with {worse}"

    def _times_worse(self, candidate: Candidate) -> float:
        best = self.candidates[0].divergences
        return times_worse(best, candidate.divergences, floor_of(self.pictures))


@dataclass(frozen=True, kw_only=True)
class WitnessReport(Result):
    """What the BatchNorms of a net say, on real pictures.

    Divergences are Kullback-Leibler's, in nats, of the Gaussian of what a BatchNorm is given and
    the one that it remembers, mean over channels.

    Args:
        model: what was asked.
        data: the pictures.
        pictures: how many.
        silent: why there is no witness; empty: there is.
        layers: the BatchNorms that remember something, in the order in which they run.
        divergences: theirs, with the best answer to everything.
        crop: how the pictures had to be cropped to fit best, as training crops them.
        alike: whether the pictures are like those of the training.
        questions: each with its answers.
        hints: what the evidence is too weak for.
    """

    DERIVED = ("passed",)

    model: str
    data: str
    pictures: int
    silent: str = ""
    layers: tuple[str, ...] = ()
    divergences: tuple[float, ...] = ()
    crop: str = ""
    alike: bool = False
    questions: tuple[Question, ...] = ()
    hints: tuple[str, ...] = ()
    environment: Environment | None = None

    @property
    def passed(self) -> bool | None:
        """False where something is contradicted; None where nothing could be judged."""
        if any(question.finding is Finding.CONTRADICTED for question in self.questions):
            return False
        decided = any(question.winner for question in self.questions)
        return True if decided else None

    @property
    def contradicted(self) -> tuple[Question, ...]:
        """The questions whose held answer does not fit."""
        return tuple(q for q in self.questions if q.finding is Finding.CONTRADICTED)

    def winner(self, question: str) -> str | None:
        """Return the clear answer to a question; None where it was not asked or has none."""
        return next((asked.winner for asked in self.questions if asked.name == question), None)

    def _failure(self) -> str:
        return f"{self.model}: " + "; ".join(q.sentence for q in self.contradicted)
