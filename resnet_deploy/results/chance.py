"""Whether answers are any better than if they had nothing to do with the images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from resnet_deploy.spec import InputContract

FEWEST_SAMPLES = 20
"""Of fewer images nothing can be said."""

_SIGNIFICANCE = 0.001
_Z = 3.090232306167813
"""The standard normal's 99.9 % quantile."""

_MOST_SKILL = 0.4
"""Where images are so few that a model of more skill could be meant, nothing is said."""

_NEAR = 3.0
_NEAR_SKILL = 0.05
"""Near chance: less than three times its share, and less than a twentieth of the way to 100 %."""


def chance_share(truth: Sequence[int], predicted: Sequence[int], classes: int) -> float:
    """Return which share is right by chance, of ``classes`` that can be answered.

    That is what the same answers get that are given to the images in any other order, such as the
    share of its class for a model that always says the same, but not less than one in ``classes``.
    Of images of one class the order says nothing.

    Source: the expected agreement of J. Cohen, A coefficient of agreement for nominal scales,
    Educational and Psychological Measurement 20 (1960).
    """
    labels, said = Counter(truth), Counter(predicted)
    agreed = sum(count * said[label] for label, count in labels.items()) / max(1, len(truth)) ** 2
    return max(1 / max(1, classes), agreed if len(labels) > 1 else 0.0)


def is_at_chance(right: int, samples: int, chance: float) -> bool:
    """Return whether ``right`` of ``samples`` can't be told from ``chance``, or is next to it.

    It can't where so many or more are right by chance in at least one of 1000 trials, and the
    images are enough for a model of use to be told from it.
    """
    if samples < FEWEST_SAMPLES or not 0 < chance < 1:
        return False
    skill = (right / samples - chance) / (1 - chance)
    if right / samples < _NEAR * chance and skill < _NEAR_SKILL:
        return _most_skill(right, samples, chance) < _MOST_SKILL
    if binomial_tail(right, samples, chance) < _SIGNIFICANCE:
        return False
    return _most_skill(right, samples, chance) < _MOST_SKILL


def chance_text(right: int, samples: int, chance: float, contract: InputContract | None) -> str:
    """Return what to think of ``right`` answers at chance level, in one line."""
    found = (
        f"the model is at chance level: right on {right / samples:.1%} of {samples:,} images "
        f"({chance:.1%} by chance)"
    )
    assumed = () if contract is None else contract.assumed
    if not assumed:
        return f"{found}; nothing of its input is assumed: are its classes those of the images?"
    names = ", ".join(name.replace("_", " ") for name in assumed)
    return f"{found}; of its input is assumed: {names}; say {' '.join(map(_option, assumed))}"


def _option(name: str) -> str:
    return "--image-size" if name == "size" else f"--{name.replace('_', '-')}"


def _most_skill(right: int, samples: int, chance: float) -> float:
    """Return Cohen's kappa at the upper end of the one-sided 99.9 % Wilson interval."""
    share, weight = right / samples, _Z**2 / samples
    half = _Z * math.sqrt(share * (1 - share) / samples + weight / (4 * samples))
    upper = (share + weight / 2 + half) / (1 + weight)
    return (upper - chance) / (1 - chance)


def binomial_tail(right: int, samples: int, chance: float) -> float:
    """Return the probability of ``right`` or more of ``samples``, each right by ``chance``."""
    if right <= samples * chance:
        return 1.0
    log_chance, log_rest = math.log(chance), math.log1p(-chance)
    whole = math.lgamma(samples + 1)
    return sum(
        math.exp(
            whole
            - math.lgamma(count + 1)
            - math.lgamma(samples - count + 1)
            + count * log_chance
            + (samples - count) * log_rest
        )
        for count in range(right, samples + 1)
    )
