"""Progress on a fake terminal, by a fake clock: what is shown, and what is not."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest
from rich.console import Console

from resnet_deploy.cli.main import _LogOnStderr
from resnet_deploy.cli.pace import Pace, clock_time
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.progress import ImageStage, phase
from tests.support.hostile import NAMES


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """A progress bar, and what its lines say."""

    def __init__(self, stream: io.StringIO | None = None) -> None:
        self.clock = Clock()
        self.stream = Terminal() if stream is None else stream
        self.bar = ProgressBar(self.stream, self.clock)

    def after(self, seconds: float, stage: str, done: int, total: int) -> str:
        self.clock.now += seconds
        self.bar(stage, done, total)
        return self.text

    @property
    def text(self) -> str:
        console = Console(width=120, color_system=None)
        with console.capture() as captured:
            console.print(self.bar.table())
        lines = (re.sub(r"[━╸╺ ]{2,}", " | ", line.rstrip()) for line in captured.get().split("\n"))
        return "\n".join(lines).strip()


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("TTY_COMPATIBLE", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_estimated_before_it_was_measured() -> None:
    shown = Shown()
    stage = ImageStage("calibrating")
    assert shown.after(0, stage, 0, 100) == "calibrating | 0/100 | 0:00 …"
    shown.clock.now += 7
    assert shown.text == "calibrating | 0/100 | 0:07 …"
    assert shown.after(3, stage, 20, 100) == "calibrating | 20/100 2.0 images/s 0:40 left"
    shown.clock.now += 15
    assert shown.text.endswith("0:25 left")  # it counts down between two reports
    shown.clock.now += 25
    assert shown.text.endswith("0:50 …")  # what was estimated has passed: no other figure is known
    assert shown.after(50, stage, 100, 100) == "calibrating | 100/100 1.0 images/s 1:40"


def test_what_an_earlier_run_did_was_not_measured() -> None:
    shown = Shown()
    assert shown.after(0, ImageStage("training"), 5000, 6000).endswith("0:00 …")
    text = shown.after(10, ImageStage("training"), 5100, 6000)
    assert text == "training | 5100/6000 10.0 images/s 1:30 left"


def test_a_stage_that_begins_again_is_measured_anew() -> None:
    shown = Shown()
    for seconds, done in ((0, 0), (1, 10)):
        shown.after(seconds, "evaluating", done, 10)
    assert shown.text.endswith("10/10 | 0:01")
    assert shown.after(60, "evaluating", 0, 10) == "evaluating | 0/10 | 0:00 …"
    assert shown.after(4, "evaluating", 5, 10).endswith("5/10 | 0:04 left")


def test_images_alone_have_a_rate_per_second() -> None:
    shown = Shown()
    shown.after(0, "rounding weights", 0, 4)
    assert "images" not in shown.after(1, "rounding weights", 1, 4)


def test_a_phase_that_can_not_be_counted_shows_the_time_so_far() -> None:
    shown = Shown()
    with phase(shown.bar, "tracing"):
        shown.clock.now += 75
        assert shown.text == "tracing | 1:15 …"
    shown.clock.now += 5
    assert shown.text == "tracing | 1:15"


def test_a_headline_begins_a_new_list_and_lines_are_few() -> None:
    shown = Shown()
    for number in range(20):
        shown.after(1, f"stage {number}", 0, 1)
    lines = shown.text.splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith("stage 19")
    assert shown.after(1, "trying int8", 3, 0) == "trying int8 | 0:00 …"
    assert shown.after(1, "stage 3", 1, 2).splitlines()[0].startswith("trying int8")


def test_names_do_not_steer_the_terminal() -> None:
    shown = Shown()
    with shown.bar:
        for number, name in enumerate(NAMES):
            shown.after(1, name, 1, 2 + number)
            assert "\x1b]" not in shown.text
            assert "\x07" not in shown.text
    written = shown.stream.getvalue()
    assert written  # something was drawn
    assert "\x1b]" not in written
    assert "\x07" not in written


@pytest.mark.parametrize("forced", [True, False])
def test_a_pipe_gets_nothing(monkeypatch: pytest.MonkeyPatch, forced: bool) -> None:
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    shown = Shown(io.StringIO())
    with shown.bar as progress:
        progress("exporting", 0, 1)
        progress("exporting", 1, 1)
    assert shown.stream.getvalue() == ""


def test_a_terminal_that_can_not_move_its_cursor_gets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    shown = Shown()
    with shown.bar as progress:
        progress("exporting", 0, 1)
    assert shown.stream.getvalue() == ""


def test_quiet_means_no_bar_either() -> None:
    logger = logging.getLogger("resnet_deploy")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        shown = Shown()
        with shown.bar as progress:
            progress("exporting", 0, 1)
        assert shown.stream.getvalue() == ""
    finally:
        logger.setLevel(before)


def test_a_warning_gets_a_line_of_its_own_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = _LogOnStderr()
    with ProgressBar() as progress:
        progress("exporting", 0, 1)
        handler.emit(logging.makeLogRecord({"msg": "mean and std are assumed"}))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).splitlines()
    assert "mean and std are assumed" in [line.split("\r")[-1].strip() for line in lines]


def test_times() -> None:
    assert [clock_time(s) for s in (0.4, 59.6, 750, 3723)] == ["0:00", "1:00", "12:30", "1:02:03"]


def test_a_total_that_turns_out_smaller_is_believed() -> None:
    pace = Pace(0, 100, 0.0)
    pace.tell(50, 50, 10.0)
    assert pace.finished
    assert pace.left(10.0) is None
