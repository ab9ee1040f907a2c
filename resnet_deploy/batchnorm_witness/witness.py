"""BatchNorm as a witness: how a trained net wants its pictures, and how it is built.

Tensors don't tell the channel order, the scaling, where zeros are padded or where a bottleneck
strides. But each BatchNorm remembers the mean and variance of what training gave it. Real pictures
give it the same only where they are fed as then, through the same layers; so each answer is tried,
and the one clearly closest is taken. How clearly is measured by ``bench/witness.py``, and described
in ``docs/explanation/witness.md``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from torch import nn

from resnet_deploy.batchnorm_witness.batchnorm_inputs import witnesses
from resnet_deploy.batchnorm_witness.hypotheses import Guess, answer_of, answers, training_crops
from resnet_deploy.batchnorm_witness.trial import Feeding, Trial, rebuilt
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import SpecError
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results.witness import Candidate, Question, WitnessReport, floor_of, times_worse
from resnet_deploy.spec import ChannelOrder, InputContract, Learned, ModelSpec

FEWEST_PICTURES = 16
ENOUGH_PICTURES = 64
"""Pictures from which on channel orders and similar scalings are told apart."""

MARGIN = 1.6
"""How many times worse the second-best structure has to fit; wrong ones lead by 1.1 times."""

MARGIN_OF_FEEDING = 3.0
"""The same for how pictures like the training's are fed; wrong ways lead by up to 2.2 times."""

MARGIN_OF_OTHERS = 8.0
"""The same for anything on pictures unlike the training's: sky and sea alone are closer to swapped
channels than to their own, by up to 6 times."""

CLOSE, ALIKE = 0.01, 0.02
"""The divergence of the first layers, and the median of all, of pictures like the training's."""

CREDIBLE = 0.1
"""The divergence of the first layers above which even the best answer is not believed."""

_FIRST = 3
"""BatchNorms in which the way of feeding shows; further on it drowns."""

_REACH = 8
"""BatchNorms in which a stem and an activation show."""

_FOR_SIEVE, _FOR_STRUCTURE = 32, 64
"""Pictures by which what is far off is dropped, and on which other structures are tried: what they
do shows clearly, and takes the whole net."""

_FAR = 30.0
"""How many times worse than the best an answer fits in the first layer to be dropped there."""


_HINT = 1.5
"""How many times better another filter of the resize has to fit to be mentioned."""


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
            :func:`resnet_deploy.batchnorm_witness.trial.rebuilt`.
        progress: called as ``progress(stage, done, total)``.
    """
    if silence := why_silent(module, images):
        return WitnessReport(model=name, data=images.name, pictures=len(images), silent=silence)
    held = None if spec is None else Guess(spec)
    trial = Trial(module, images, contract, held, rebuild or rebuilt(module))
    return _Judge(trial, contract, held, stated, progress).report(name, images.name)


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
    """Asks question after question; ``_guess`` and ``_feeding`` are the best answers so far."""

    def __init__(
        self,
        trial: Trial,
        contract: InputContract,
        held: Guess | None,
        stated: frozenset[str],
        progress: Progress,
    ) -> None:
        self._trial, self._contract, self._stated = trial, contract, stated
        self._progress = progress
        self._held = self._guess = held
        self._feeding = trial.held
        self._layers = trial.layers(_FOR_SIEVE)

    def report(self, name: str, data: str) -> WitnessReport:
        fed_as = self._try_feedings()
        built_as = self._try_structures()
        if self._guess != self._held:  # what was built wrongly may have hidden how pictures are fed
            fed_as = self._try_feedings()
        best = self._trial.run(self._feeding, self._guess)
        alike = (
            statistics.fmean(best[:_FIRST]) <= CLOSE
            and statistics.median(best) <= ALIKE
            and self._trial.pictures >= ENOUGH_PICTURES
        )
        needed = MARGIN_OF_FEEDING if alike else MARGIN_OF_OTHERS
        return WitnessReport(
            model=name,
            data=data,
            pictures=self._trial.pictures,
            layers=self._layers,
            divergences=best,
            crop=self._feeding.crop.value,
            alike=alike,
            questions=(
                *self._questions_of_feeding(fed_as, needed),
                *(replace(q, needed=MARGIN if alike else needed) for q in built_as),
            ),
            hints=self._hints() if alike else (),
        )

    def _hints(self) -> tuple[str, ...]:
        """Return whether another filter fits better, which is too weak an evidence to be taken."""
        held, last = self._contract.interpolation, self._layers[:_FIRST][-1]
        if self._contract.learned.get("interpolation") is not Learned.ASSUMED:
            return ()
        now = self._trial.run(self._feeding, self._guess, last)
        for name in ("bilinear", "bicubic"):
            other = self._trial.with_filter(name) if name != held else None
            if other is not None:
                better = other.run(self._feeding, self._guess, last)
                times = times_worse(better, now, floor_of(self._trial.pictures))
                if times >= _HINT:
                    return (f"a hint: {name} fits {times:.1f} times better than {held} (assumed)",)
        return ()

    def _try_feedings(self) -> dict[Feeding, tuple[float, ...]]:
        """Try all orders, scalings and crops in the first layers; keep the best."""
        orders = [o for o in ChannelOrder if o.channels == self._contract.channels]
        tried = [
            Feeding(order, scaling, crop)
            for crop in training_crops(self._contract)
            for order in orders
            for scaling in self._trial.scalings
        ]
        run, held = self._trial.run, self._trial.held
        sieved = {f: run(f, self._guess, self._layers[0], _FOR_SIEVE)[0] for f in tried}
        far = _FAR * (min(sieved.values()) + floor_of(_FOR_SIEVE))
        near = {f for f in tried if sieved[f] < far or f == replace(held, crop=f.crop)}
        near |= _best_two(sieved, lambda feeding: feeding.order)
        near |= _best_two(sieved, lambda feeding: feeding.scaling)
        last = self._layers[:_FIRST][-1]
        found = {f: run(f, self._guess, last) for f in tried if f in near}
        self._feeding = min(found, key=lambda f: _score(found[f], self._trial.pictures))
        return found

    def _questions_of_feeding(
        self, found: Mapping[Feeding, tuple[float, ...]], needed: float
    ) -> Iterator[Question]:
        """Yield the questions of channel order and scaling; each takes the best of the other."""
        held = self._trial.held
        best_first = sorted(found, key=lambda f: _score(found[f], self._trial.pictures))
        for name, fields, answer in (
            ("channel order", ("channel_order",), held.order.value),
            ("scaling", ("range", "mean", "std"), held.scaling),
        ):
            best: dict[str, tuple[float, ...]] = {}
            for feeding in best_first:
                given = feeding.order.value if name == "channel order" else feeding.scaling
                best.setdefault(given, found[feeding])
            assumed = any(self._contract.learned.get(f) is Learned.ASSUMED for f in fields)
            if len(best) > 1:
                yield _question(
                    name,
                    answer,
                    not assumed,
                    self._layers[:_FIRST],
                    self._trial.pictures,
                    best,
                    needed,
                )

    def _try_structures(self) -> list[Question]:
        """Ask how the net is built, and follow the clearest answers until none changes."""
        if self._held is None or self._guess is None:
            return []
        asked = list(answers(self._held))
        found: dict[str, Question] = {}
        for _ in range(len(asked) + 1):
            for number, name in enumerate(asked):
                # What is clear stays so when another answer gets better.
                if name not in found or found[name].winner != answer_of(self._guess, name):
                    found[name] = self._ask(name, self._held, self._guess)
                self._progress("asking BatchNorm", number + 1, len(asked))
            # Even where two answers can't be told apart, what they both beat hides what is behind.
            beaten = {
                q.excess(answer_of(self._guess, q.name)): q for q in found.values() if q.credible
            }
            worst = max(beaten, default=0.0)
            if worst < MARGIN:
                break
            better = beaten[worst]
            self._guess = answers(self._guess)[better.name][better.candidates[0].name]
        return list(found.values())

    def _ask(self, name: str, held: Guess, guess: Guess) -> Question:
        """Try each answer to a question, with the rest as in ``guess``."""
        last = None
        if name in ("stem", "activation"):
            last = self._layers[min(_REACH, len(self._layers) - 1)]
        found: dict[str, tuple[float, ...]] = {}
        for answer, other in answers(guess)[name].items():
            with suppress(RuntimeError, SpecError):  # too small for one more pool
                found[answer] = self._trial.run(self._feeding, other, last, _FOR_STRUCTURE)
        reach = min(map(len, found.values()))
        differs = [len({round(v[i], 6) for v in found.values()}) > 1 for i in range(reach)]
        begins = differs.index(True) if True in differs else reach - 1
        return _question(
            name,
            answer_of(held, name),
            name in self._stated,
            self._layers[begins:reach],
            min(self._trial.pictures, _FOR_STRUCTURE),
            {answer: values[begins:reach] for answer, values in found.items()},
            MARGIN,
        )


def _best_two(sieved: Mapping[Feeding, float], key: Callable[[Feeding], object]) -> set[Feeding]:
    """Return the best feeding with each of the two best answers, so that there is a second one."""
    best: dict[object, Feeding] = {}
    for feeding in sorted(sieved, key=lambda f: sieved[f]):
        best.setdefault(key(feeding), feeding)
    return set(list(best.values())[:2])


def _score(values: Sequence[float], pictures: int) -> float:
    """Return what is smaller for what fits better."""
    return times_worse([0.0] * len(values), values, floor_of(pictures))


def _question(
    name: str,
    held: str,
    stated: bool,
    layers: tuple[str, ...],
    pictures: int,
    found: Mapping[str, tuple[float, ...]],
    needed: float,
) -> Question:
    ordered = sorted(found, key=lambda answer: _score(found[answer], pictures))
    best = found[ordered[0]]
    second = found[ordered[1]] if len(ordered) > 1 else best
    return Question(
        name=name,
        held=held,
        stated=stated,
        layers=layers,
        pictures=pictures,
        candidates=tuple(Candidate(name=a, divergences=found[a]) for a in ordered),
        margin=times_worse(best, second, floor_of(pictures)),
        needed=needed,
        credible=statistics.fmean(best[:_FIRST]) <= CREDIBLE,
    )
