"""Which stages of a net stay float where int8 as a whole is hardly faster, or slower.

A net that gains little in int8 often gains much in its last stages and loses in its first ones:
thin layers on large pictures, depthwise convolutions and gates move memory, which float kernels
fuse better. So the stages are tried one after the other: what is faster with a stage in float is
kept so. Every trial is one file and one paired measurement of about a second; five at most.

The file of each mix is the same in every run; which one is taken was measured. A stage must bring
3 %, so that it takes more than noise to change the choice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.progress import Progress
from resnet_deploy.quantization.quantized import Quantized
from resnet_deploy.quantization.stages import Stage

logger = logging.getLogger(__name__)

GAIN = 1.03
"""How many times as fast a stage must make the net to stay float."""


@dataclass(frozen=True)
class Mix:
    """The fastest file that was found; ``stages`` of it are float."""

    made: Quantized
    stages: tuple[Stage, ...]


def find_mix(
    made: Quantized,
    stages: tuple[Stage, ...],
    write: Callable[[tuple[Stage, ...]], Quantized],
    faster: Callable[[Quantized, Quantized], float],
    progress: Progress,
) -> Mix:
    """Return the fastest mix of float and int8 stages that trying each stage once leads to.

    Args:
        made: the file with all stages in int8.
        stages: all of the net's, in order.
        write: makes the file with the given stages in float.
        faster: tells how many times as fast as the first file the second one is.
        progress: told about every trial.
    """
    best = Mix(made, ())
    for number, stage in enumerate(stages):
        chosen = (*best.stages, stage)
        if len(chosen) == len(stages):
            break  # that is the fp32 file
        try:
            trial = write(chosen)
        except ResnetDeployError as error:
            logger.info("%s can't stay float: %s", stage, error)
            continue
        gain = faster(best.made, trial)
        logger.info("%s in float: %.2f times as fast", stage, gain)
        if gain >= GAIN:
            best = Mix(trial, chosen)
        progress("looking for the best mix", number + 1, len(stages))
    return best
