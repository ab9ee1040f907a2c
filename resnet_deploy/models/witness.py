"""BatchNorm as a witness: how a trained net wants its pictures, and how it is built.

Tensors don't tell the channel order, the scaling, where zeros are padded or where a bottleneck
strides. But each BatchNorm remembers the mean and variance of what training gave it. Real pictures
give it the same only where they are fed as then, through the same layers; so each answer is tried,
and the one clearly closest is taken. How clearly is measured by ``bench/witness.py``, and described
in ``docs/witness.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import SpecError
from resnet_deploy.models.batchnorm_inputs import divergences, witnesses
from resnet_deploy.models.hypotheses import (
    Guess,
    TrainingCrop,
    answer_of,
    answers,
    fed,
    scalings,
    training_crops,
)
from resnet_deploy.models.registry import skeleton
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results.witness import Candidate, Question, WitnessReport, floor_of, times_worse
from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat, Learned, ModelSpec

FEWEST_PICTURES = 16
ENOUGH_PICTURES = 64
"""Pictures from which on channel orders and similar scalings are told apart."""

MARGIN = 2.0
"""How many times worse the second-best answer has to fit. Wrong answers reach 1.4 on pictures like
the training's."""

MARGIN_OF_OTHERS = 8.0
"""The same for how pictures are fed, where they are unlike the training's: sky and sea alone are
closer to swapped channels than to their own, by up to 5 times."""

CLOSE, ALIKE = 0.01, 0.03
"""The divergence of the first layers, and the median of all, of pictures like the training's."""

CREDIBLE = 0.1
"""The divergence above which even the best answer is not believed."""

_FIRST = 3
"""BatchNorms in which the way of feeding shows; further on it drowns."""

_FAR = 30.0
"""How many times worse than the best an answer fits in the first layer to be dropped there."""

_REACH = 8
"""BatchNorms in which a stem and an activation show."""

_FOR_SIEVE, _FOR_STRUCTURE = 32, 64
"""Pictures by which what is far off is dropped, and on which other structures are tried: what they
do shows clearly, and takes the whole net."""

_BATCH_PIXELS, _LARGEST_BATCH = 8 * 224 * 224, 64


@dataclass(frozen=True)
class _Feeding:
    """How pictures become the input."""

    order: ChannelOrder
    scaling: str
    crop: TrainingCrop


def witness(
    module: nn.Module,
    images: CalibrationImages,
    contract: InputContract,
    spec: ModelSpec | None = None,
    *,
    name: str = "the net",
    stated: frozenset[str] = frozenset(),
    rebuild: Callable[[ModelSpec], nn.Module] | None = None,
    progress: Progress = silent,
) -> WitnessReport:
    """Return what the BatchNorms of ``module`` say of ``contract`` and ``spec``.

    Args:
        module: in eval mode, with its BatchNorms as they were trained; also one of
            :func:`resnet_deploy.interpreter.module.module_from_onnx`.
        images: real pictures, 64 to 512 of them, as those of the training.
        contract: how pictures are fed. What its ``learned`` calls assumed is, the rest is stated.
        spec: how the net is built; None, or a custom one: as the module is.
        name: of the net, for the report.
        stated: the questions about ``spec`` (``stem``, ``shortcut``, ``variant``, …) whose answer
            somebody said.
        rebuild: makes the net of another spec, with the same weights; by default as
            :func:`rebuilt`.
        progress: called as ``progress(stage, done, total)``.
    """
    judge = _Judge(module, images, contract, spec, stated, rebuild or rebuilt(module), progress)
    return judge.report(name)


def rebuilt(module: nn.Module) -> Callable[[ModelSpec], nn.Module]:
    """Return what makes nets of other specs with the weights of ``module``, which they share."""

    def build(spec: ModelSpec) -> nn.Module:
        other = skeleton(spec)
        other.load_state_dict(module.state_dict(), strict=False, assign=True)
        return other.eval()

    return build


def why_silent(module: nn.Module, images: CalibrationImages) -> str:
    """Return why there is no witness, in words; empty: there is one."""
    if images.synthetic:
        return "synthetic pictures tell nothing of the training: give real ones"
    if len(images) < FEWEST_PICTURES:
        return f"{len(images)} pictures are too few: give {ENOUGH_PICTURES} or more"
    if not witnesses(module):
        return "no BatchNorm remembers its training: folded, never trained, or none is there"
    return ""


class _Judge:
    """Tries answers on one net; ``guess`` and ``feeding`` are the best ones so far."""

    def __init__(
        self,
        module: nn.Module,
        images: CalibrationImages,
        contract: InputContract,
        spec: ModelSpec | None,
        stated: frozenset[str],
        rebuild: Callable[[ModelSpec], nn.Module],
        progress: Progress,
    ) -> None:
        self._module, self._images, self._contract = module, images, contract
        self._stated, self._rebuild, self._progress = stated, rebuild, progress
        self._held = self._guess = None if spec is None else Guess(spec)
        self._scalings = scalings(contract)
        self._held_scaling = next(iter(self._scalings))
        self._feeding = _Feeding(contract.channel_order, self._held_scaling, TrainingCrop.NONE)
        self._seen: dict[Any, tuple[float, ...]] = {}

    def report(self, name: str) -> WitnessReport:
        silence = why_silent(self._module, self._images)
        if silence:
            return WitnessReport(
                model=name,
                data=self._images.name,
                pictures=len(self._images),
                silent=silence,
            )
        self._pixels = _pixels(self._images)
        batches = self._batches(self._feeding, _FOR_SIEVE)
        self._layers = tuple(divergences(self._module, batches))
        fed_as = self._try_feedings()
        built_as = self._try_structures()
        if self._guess != self._held:  # what was built wrongly may have hidden how pictures are fed
            fed_as = self._try_feedings()
        best = self._run(self._feeding, self._guess)
        first = best[:_FIRST]
        alike = (
            sum(first) / len(first) <= CLOSE
            and float(np.median(best)) <= ALIKE
            and len(self._images) >= ENOUGH_PICTURES
        )
        return WitnessReport(
            model=name,
            data=self._images.name,
            pictures=len(self._images),
            layers=self._layers,
            divergences=best,
            crop=self._feeding.crop.value,
            alike=alike,
            questions=(*self._questions_of_feeding(fed_as, alike=alike), *built_as),
        )

    def _try_feedings(self) -> dict[_Feeding, tuple[float, ...]]:
        """Try all orders, scalings and crops in the first layers; keep the best."""
        orders = (ChannelOrder.RGB, ChannelOrder.BGR)
        if self._contract.channels == 1:
            orders = (ChannelOrder.GREY,)
        tried = [
            _Feeding(order, scaling, crop)
            for crop in training_crops(self._contract)
            for order in orders
            for scaling in self._scalings
        ]
        sieved = {f: self._run(f, self._guess, self._layers[0], _FOR_SIEVE) for f in tried}
        least = min(sum(values) for values in sieved.values())
        held = (self._contract.channel_order, self._held_scaling)
        near = [
            feeding
            for feeding, values in sieved.items()
            if sum(values) < _FAR * (least + floor_of(_FOR_SIEVE))
            or (feeding.order, feeding.scaling) == held
        ]
        last = self._layers[:_FIRST][-1]
        found = {feeding: self._run(feeding, self._guess, last) for feeding in near}
        self._feeding = min(found, key=lambda feeding: self._score(found[feeding]))
        return found

    def _questions_of_feeding(
        self, found: Mapping[_Feeding, tuple[float, ...]], *, alike: bool
    ) -> Iterator[Question]:
        """Return the questions of channel order and scaling; each takes the best of the other."""
        for name, field, held in (
            ("channel order", "order", self._contract.channel_order.value),
            ("scaling", "scaling", self._held_scaling),
        ):
            best: dict[str, tuple[float, ...]] = {}
            for feeding, values in found.items():
                answer = feeding.order.value if field == "order" else feeding.scaling
                if answer not in best or self._score(values) < self._score(best[answer]):
                    best[answer] = values
            fields = ("channel_order",) if field == "order" else ("range", "mean", "std")
            assumed = any(self._contract.learned.get(f) is Learned.ASSUMED for f in fields)
            if len(best) > 1 and held in best:
                needed = MARGIN if alike else MARGIN_OF_OTHERS
                first, pictures = self._layers[:_FIRST], len(self._pixels)
                yield _question(name, held, not assumed, first, pictures, best, needed)

    def _try_structures(self) -> list[Question]:
        """Ask how the net is built, and follow the clearest answers until none changes."""
        if self._held is None or self._guess is None:
            return []
        found: dict[str, Question] = {}
        for _ in range(len(answers(self._held)) + 1):
            for name in answers(self._held):
                # What is clear stays so when another answer gets better.
                settled = name in found and found[name].winner == answer_of(self._guess, name)
                if not settled:
                    found[name] = self._ask(name, self._held, self._guess)
            wrong = [
                q for q in found.values() if q.winner not in (None, answer_of(self._guess, q.name))
            ]
            if not wrong:
                break
            clearest = max(wrong, key=lambda question: question.margin)
            self._guess = answers(self._guess)[clearest.name][str(clearest.winner)]
        return list(found.values())

    def _ask(self, name: str, held: Guess, guess: Guess) -> Question:
        """Try each answer to a question, with the rest as in ``guess``."""
        last = None
        if name in ("stem", "activation"):
            last = self._layers[min(_REACH, len(self._layers) - 1)]
        found: dict[str, tuple[float, ...]] = {}
        for answer, other in answers(guess)[name].items():
            with suppress(RuntimeError, SpecError):  # too small for one more pool
                found[answer] = self._run(self._feeding, other, last, _FOR_STRUCTURE)
            self._progress("asking BatchNorm", len(found), len(answers(guess)[name]))
        shortest = min(map(len, found.values()))
        begins = next(
            (i for i in range(shortest) if len({round(v[i], 6) for v in found.values()}) > 1),
            shortest - 1,
        )
        found = {answer: values[begins:shortest] for answer, values in found.items()}
        layers = self._layers[begins:shortest]
        pictures = min(len(self._pixels), _FOR_STRUCTURE)
        stated = name in self._stated
        return _question(name, answer_of(held, name), stated, layers, pictures, found, MARGIN)

    def _run(
        self,
        feeding: _Feeding,
        guess: Guess | None,
        last: str | None = None,
        pictures: int | None = None,
    ) -> tuple[float, ...]:
        """Return the divergences of the net of ``guess``, up to the BatchNorm ``last``.

        Raises:
            RuntimeError: it can't run.
        """
        key = (feeding, guess, last, pictures)
        if key not in self._seen:
            batches = self._batches(feeding, pictures)
            self._seen[key] = tuple(divergences(self._net(guess), batches, last=last).values())
        return self._seen[key]

    def _batches(self, feeding: _Feeding, pictures: int | None) -> Iterator[Tensor]:
        contract = self._scalings[feeding.scaling].over(self._contract, feeding.order)
        size = max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // contract.pixels))
        for batch in self._pixels[:pictures].split(size):
            yield fed(batch, contract, feeding.crop)

    def _score(self, values: Sequence[float]) -> float:
        """Return what is smaller for what fits better."""
        return times_worse([0.0] * len(values), values, floor_of(len(self._pixels)))

    def _net(self, guess: Guess | None) -> nn.Module:
        if guess is None or guess == self._held:
            return self._module
        return guess.build(self._rebuild)


def _question(
    name: str,
    held: str,
    stated: bool,
    layers: tuple[str, ...],
    pictures: int,
    found: Mapping[str, tuple[float, ...]],
    needed: float,
) -> Question:
    floor = floor_of(pictures)
    ordered = sorted(found, key=lambda a: times_worse([0.0] * len(layers), found[a], floor))
    best, second = found[ordered[0]], found[ordered[1]]
    first = best[:_FIRST]
    return Question(
        name=name,
        held=held,
        stated=stated,
        layers=layers,
        pictures=pictures,
        candidates=tuple(Candidate(name=a, divergences=found[a]) for a in ordered),
        margin=times_worse(best, second, floor),
        needed=needed,
        credible=sum(first) / len(first) <= CREDIBLE,
    )


def _pixels(images: CalibrationImages) -> Tensor:
    """Return the pictures as uint8 ``(N, C, H, W)`` in RGB or grey."""
    order = images.preprocess.channel_order
    plain = replace(
        images.preprocess,
        format=InputFormat.UINT8_NCHW,
        channel_order=ChannelOrder.RGB if order is ChannelOrder.BGR else order,
        resize_in_graph=False,
    )
    return torch.from_numpy(np.concatenate(list(replace(images, preprocess=plain))))
