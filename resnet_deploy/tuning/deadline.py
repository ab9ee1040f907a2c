"""The time limit: work is stopped in the middle, and the least that it takes is told before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.fp32_baseline import quiet_session
from resnet_deploy.progress import Progress
from resnet_deploy.runners.classes import class_scores
from resnet_deploy.runners.ort_runner import OrtRunner

FEWEST_IMAGES = 500
"""On fewer accuracy is not measured for want of time."""

TIME = "seconds of the time limit"

_PROBED = 8
"""Images that are run for an estimate."""

_BATCHES = 4
"""So many of these are prepared: some of them are while the first one is taken."""

_CALIBRATING = 8.0
"""How many times as long as running it takes to collect the values of all layers of an image, and
to weigh them."""

_OVERHEAD = 5.0
"""Seconds that go into the graph of an int8 file and the processes of a race."""


class TimeIsUp(Exception):  # noqa: N818 - no error: what is stopped so is named as not tried
    """The time for what runs is over; nobody who skips what can't run may catch it."""


@dataclass
class Deadline:
    """A :class:`Progress` that stops what tells it where it is, once the time is up.

    ``begin`` and ``limit`` are in seconds, of the clock that never goes back.
    """

    progress: Progress
    limit: float
    begin: float
    _end: float | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """See :class:`Progress`.

        Raises:
            TimeIsUp: this happened within :meth:`stopping`, and its time is over.
        """
        spent = min(self.limit, time.monotonic() - self.begin)
        self.progress(TIME, int(spent), int(self.limit))
        self.progress(stage, done, total)
        if self._end is not None and time.monotonic() >= self._end:
            raise TimeIsUp

    @property
    def left(self) -> float:
        """Seconds; negative when the limit has passed."""
        return self.limit - (time.monotonic() - self.begin)

    @contextmanager
    def stopping(self, reserve: float) -> Iterator[None]:
        """Let what runs inside be stopped ``reserve`` seconds before the limit."""
        self._end = self.begin + self.limit - reserve
        try:
            yield
        finally:
            self._end = None


@dataclass(frozen=True)
class Costs:
    """Seconds that an image takes: to be read and prepared, and to be run in fp32."""

    prepared: float
    run: float

    def images_within(self, seconds: float, available: int) -> int:
        """Return on how many images accuracy can be measured, the first time, in ``seconds``.

        Every other file takes less then: the images are there, and fp32's answers.
        """
        fitting = int(seconds / (self.prepared + 2 * self.run))
        return min(available, max(FEWEST_IMAGES, fitting))

    def least(self, images: int, *, calibrated: int, race: float) -> float:
        """Return about how many seconds the first trial takes, which others are measured against.

        That is to run the fp32 file and the int8 one on ``images``, to calibrate on ``calibrated``
        others, and a race of ``race`` seconds.
        """
        accuracy = images * (self.prepared + 2 * self.run)
        calibration = calibrated * (self.prepared + _CALIBRATING * self.run)
        return accuracy + calibration + race + _OVERHEAD


def probe(fp32: Artifact, images: CalibrationImages, *, threads: int) -> Costs:
    """Prepare and run a few of ``images``, and return what one takes."""
    count = fp32.input.shape[0] or _PROBED
    few = replace(images, indices=images.indices[: _BATCHES * count], batch_size=count)
    batches = iter(few)
    batch = next(batches)  # opens what there is to open
    begin = time.perf_counter()
    others = sum(map(len, batches))
    prepared = (time.perf_counter() - begin) / max(1, others)
    with closing(OrtRunner(fp32.plain, quiet_session(threads))) as runner:
        class_scores(fp32, runner, batch)  # the first run allocates
        begin = time.perf_counter()
        class_scores(fp32, runner, batch)
    return Costs(prepared, (time.perf_counter() - begin) / len(batch))
