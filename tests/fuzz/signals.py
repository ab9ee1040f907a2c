"""Kill every verb at random moments: ``python -m tests.fuzz.signals [VERB …] [--kills 1000]``.

Half of the signals come by the clock, between the start and the usual end; the others when a file
is about to be opened for writing, moved or removed, or a process to be started, and a moment
later. What a run leaves is a finding unless every file is the old one or a whole one, nothing
unfinished is left (SIGKILL may leave files, which the next run of the same command removes), the
exit code and the one line on stderr are right, all processes have ended, and the same command then
ends as if nothing had been. Long, as the process that is killed and the one that looks at what it
left are read together.
"""

from __future__ import annotations

import argparse
import atexit
import collections
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.victims import VICTIMS, Victim, make_inputs, processes_of
from tests.support.forks import FORKS, write_into
from tests.support.whole_files import halves, remains

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
"""Those that are sent; the reader of stdout goes away as often as each of them comes."""

NO_READER = "SIGPIPE"

PRELOADED = [
    *("resnet_deploy.training.run", "resnet_deploy.exporter", "torch._dynamo"),
    *("resnet_deploy.api", "resnet_deploy.report", "onnx", "PIL.Image", "rich.console"),
    *("resnet_deploy.deployment", "resnet_deploy.bundles", "resnet_deploy.tuning"),
    *("resnet_deploy.cli.main", "onnxruntime"),
]
"""What the server of the processes has imported: a kill then takes no seconds of imports."""

_SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_PATIENCE = 120.0
"""Seconds until a process that does not end is a finding."""

_MOMENT = 0.003
_TOUCHING = frozenset(
    ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "subprocess.Popen")
)


@dataclass(frozen=True)
class Trap:
    """A signal that a process sends itself ``later`` seconds after its ``event``-th touch."""

    number: int
    event: int
    later: float


class _Touches:
    """Counts what is done to files and processes; springs the trap."""

    def __init__(self, trap: Trap | None) -> None:
        self.count = 0
        self._trap = trap

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            flags = arguments[2]
            if not flags & (os.O_WRONLY | os.O_RDWR) or str(arguments[0]).startswith("/dev/"):
                return
        elif event not in _TOUCHING:
            return
        self.count += 1
        if self._trap is not None and self.count == self._trap.event:
            number = self._trap.number
            if self._trap.later:
                threading.Timer(self._trap.later, os.kill, (os.getpid(), number)).start()
            else:
                os.kill(os.getpid(), number)


def _work(arguments: Sequence[str], cwd: Path, trap: Trap | None, said: Path) -> None:
    """Be ``resnet-deploy`` from its first line to the end of the interpreter."""
    os.setsid()
    os.environ.update(
        TMPDIR=str(cwd / "tmp"), HOME=str(cwd / "home"), RESNET_DEPLOY_CACHE=str(cwd / "cache")
    )
    tempfile.tempdir = None
    os.chdir(cwd)
    write_into(said / "stdout", said / "stderr")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one where it was started by nohup
    touches = _Touches(trap)
    (said / "begun").touch()
    sys.addaudithook(touches.hear)

    from resnet_deploy.cli.main import main

    sys.argv = ["resnet-deploy", *arguments]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    (said / "touches").write_text(str(touches.count))
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)


@dataclass
class Ended:
    """How a run ended, and what it said."""

    code: int
    stderr: str
    landed: bool
    seconds: float
    touches: int
    left: list[int]


def _run(
    arguments: Sequence[str],
    cwd: Path,
    *,
    trap: Trap | None = None,
    number: int | str | None = None,
    after: float = 0.0,
) -> Ended:
    """Run a command in ``cwd``; ``number`` comes ``after`` seconds, or a trap springs."""
    with tempfile.TemporaryDirectory(prefix="said-") as name:
        said, reader = Path(name), None
        for folder in ("tmp", "home", "cache"):
            (cwd / folder).mkdir(exist_ok=True)
        if number == NO_READER:
            os.mkfifo(said / "stdout")
            reader = os.open(said / "stdout", os.O_RDONLY | os.O_NONBLOCK)
        process = FORKS.Process(target=_work, args=(tuple(arguments), cwd, trap, said))
        process.start()
        while not (said / "begun").exists():
            time.sleep(0.001)
        begin = time.perf_counter()
        assert process.pid is not None
        landed = trap is not None
        if number is not None:
            process.join(after)
            landed = process.exitcode is None
            if reader is not None:
                os.close(reader)
            elif landed:
                os.kill(process.pid, int(number))
        process.join(_PATIENCE)
        seconds = time.perf_counter() - begin
        if process.exitcode is None:
            process.kill()
            process.join()
            seconds = _PATIENCE
        end = time.perf_counter() + 10
        while (left := processes_of(process.pid)) and time.perf_counter() < end:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert process.exitcode is not None
        touched = said / "touches"
        return Ended(
            code=process.exitcode,
            stderr=(said / "stderr").read_text("utf-8", "replace")
            if (said / "stderr").exists()
            else "",
            landed=landed,
            seconds=seconds,
            touches=int(touched.read_text() or 0) if touched.exists() else 0,
            left=left,
        )


def run_whole(arguments: Sequence[str], cwd: Path) -> int:
    """Run a command to its end, and return its exit code."""
    return _run(arguments, cwd).code


@dataclass
class Tally:
    """What came of the kills of one verb."""

    verb: str
    usual_seconds: float = 0.0
    touches: int = 0
    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    ended_before: int = 0
    with_remains: int = 0
    run_again: int = 0
    longest_end: float = 0.0
    findings: list[str] = field(default_factory=list)


class Killer:
    """Kills one verb again and again, in folders below ``root``.

    Args:
        name: of the verb in :data:`VICTIMS`.
        inputs: what its commands read.
        root: where it runs; made here.
        seed: of the moments.
    """

    def __init__(self, name: str, inputs: Path, root: Path, seed: int) -> None:
        self.tally = Tally(name)
        self._victim: Victim = VICTIMS[name]
        self._inputs, self._root = inputs, root
        self._chance = random.Random(f"{name} {seed}")
        self._older = root / "older"
        self._cwd = root / "run"
        self._cwd.mkdir(parents=True)
        self._empty(self._cwd)
        first = _run(self._victim.command(inputs, older=True), self._cwd)
        assert first.code == self._victim.code, (name, first)
        shutil.copytree(self._cwd / "out", self._older, symlinks=True)
        self._empty(self._cwd)
        usual = _run(self._victim.command(inputs), self._cwd)
        assert usual.code == self._victim.code, (name, usual)
        self.tally.usual_seconds, self.tally.touches = usual.seconds, usual.touches

    def _empty(self, cwd: Path) -> None:
        for path in cwd.iterdir():
            shutil.rmtree(path)
        (cwd / "out").mkdir()
        for name in self._victim.brings:
            shutil.copy(self._inputs / name, cwd / "out")

    def _state(self) -> None:
        """Choose what lies in the folder: nothing, older files, or what the last kill left."""
        choice = self._chance.random()
        if choice < 0.7:
            self._empty(self._cwd)
        if 0.3 < choice < 0.7:
            shutil.copytree(self._older, self._cwd / "out", dirs_exist_ok=True, symlinks=True)

    def kill(self) -> bool:
        """Kill it once; return whether the signal came before its end."""
        self._state()
        chance, tally = self._chance, self.tally
        number: int | str = chance.choice((*SIGNALS, NO_READER))
        command = self._victim.command(self._inputs)
        if number != NO_READER and chance.random() < 0.5:
            later = chance.choice((0.0, chance.uniform(0, _MOMENT)))
            trap = Trap(int(number), chance.randint(1, max(1, tally.touches)), later)
            ended = _run(command, self._cwd, trap=trap)
            # A trap behind the last touch of this run never springs.
            ended.landed = ended.touches == 0 or ended.touches >= trap.event
            where = f"touch {trap.event} of {tally.touches} + {later:.4f} s"
        else:
            after = chance.uniform(0, tally.usual_seconds)
            ended = _run(command, self._cwd, number=number, after=after)
            where = f"{after:.2f} s of {tally.usual_seconds:.2f}"
            if ended.landed:
                tally.longest_end = max(tally.longest_end, ended.seconds - after)
        if not ended.landed:
            tally.ended_before += 1
        said = signal.Signals(number).name if isinstance(number, int) else number
        tally.kills[said] += ended.landed
        found = list(self._problems(ended, number))
        left = remains(self._cwd / "out")
        tally.with_remains += bool(left)
        # What SIGKILL left in TMPDIR is not to be found where the next signal comes early.
        if found or left or self._scratch() or chance.random() < 0.1:
            found += self._next_run()
        tally.findings += [f"{said} at {where}: {one}" for one in found]
        return ended.landed

    def _problems(self, ended: Ended, number: int | str) -> Iterator[str]:
        yield from halves(self._cwd / "out")
        if ended.left:
            yield f"{len(ended.left)} processes go on"
        if ended.seconds >= _PATIENCE:
            yield "it does not end"
        killed = number == signal.SIGKILL
        if not killed:
            yield from (f"{name} is left in out" for name in remains(self._cwd / "out"))
            scratch = self._scratch()
            if scratch:
                yield f"{scratch} are left in TMPDIR"
        lines = [line for line in ended.stderr.splitlines() if line]
        if not ended.landed:
            return
        if isinstance(number, signal.Signals) and not killed:
            if ended.code not in (128 + number, self._victim.code):
                yield f"exit code {ended.code}: {lines[-1:]}"
            if ended.code == 128 + number:
                ours = [line for line in lines if _SAID[number] in line]
                if self._victim.arguments[0] != "train" and (len(lines) != 1 or not ours):
                    yield f"stderr: {lines[-3:]}"
        elif number == NO_READER and (ended.code not in (0, 1) or len(lines) > 1):
            yield f"exit code {ended.code}: {lines[-3:]}"

    def _next_run(self) -> Iterator[str]:
        self.tally.run_again += 1
        ended = _run(self._victim.command(self._inputs), self._cwd)
        if ended.code != self._victim.code:
            yield f"the next run ends with {ended.code}: {ended.stderr.splitlines()[-1:]}"
            self._empty(self._cwd)
        yield from (f"after the next run {one}" for one in halves(self._cwd / "out"))
        yield from (f"the next run leaves {name}" for name in remains(self._cwd / "out"))
        yield from (f"the next run leaves {name} in TMPDIR" for name in self._scratch())

    def _scratch(self) -> list[str]:
        """Return what lies in ``TMPDIR``: .ses is ONNX Runtime's own."""
        return [path.name for path in (self._cwd / "tmp").iterdir() if path.name != ".ses"]


def killed(names: Sequence[str], root: Path, *, kills: int, seed: int) -> Iterator[Tally]:
    """Yield the tally of each verb after its share of ``kills`` signals that came in time."""
    inputs = root / "inputs"
    make_inputs(inputs, run_whole, names)
    for place, name in enumerate(names):
        killer = Killer(name, inputs, root / name.replace(" ", "_"), seed)
        wanted = kills // len(names) + (place < kills % len(names))
        while killer.tally.kills.total() < wanted:
            killer.kill()
        yield killer.tally


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.signals", description=__doc__)
    parser.add_argument("verbs", nargs="*", choices=[*VICTIMS, []], metavar="VERB")
    parser.add_argument("--kills", type=int, default=1000, help="of all verbs together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    asked = parser.parse_args()
    FORKS.set_forkserver_preload(PRELOADED)
    tallies = []
    with tempfile.TemporaryDirectory(prefix="signals-") as name:
        for tally in killed(
            asked.verbs or list(VICTIMS), Path(name), kills=asked.kills, seed=asked.seed
        ):
            tallies.append(tally)
            for finding in tally.findings:
                _say(f"{tally.verb}: {finding}")
            _say(
                f"{tally.verb}: {tally.kills.total()} kills {dict(tally.kills)}, "
                f"{tally.with_remains} with remains, {tally.run_again} run again, "
                f"{len(tally.findings)} findings, {tally.usual_seconds:.2f} s"
            )
    if asked.json is not None:
        asked.json.write_text(json.dumps([vars(tally) for tally in tallies], indent=1) + "\n")
    sys.exit(1 if any(tally.findings for tally in tallies) else 0)


if __name__ == "__main__":
    main()
