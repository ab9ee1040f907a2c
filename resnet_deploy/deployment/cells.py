"""The cells of a matrix as shards of work: what a process makes of one, whichever process it is."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.cell_identity import cell_identity
from resnet_deploy.errors import RunnerError, verdict_on
from resnet_deploy.models.network import Network
from resnet_deploy.processes.interrupts import Interrupts
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import BundleReport, Deployment, Environment
from resnet_deploy.results.matrix import CellResult, CellState
from resnet_deploy.runners.alike import Machine
from resnet_deploy.spec.matrix import CellOptions, MatrixCell
from resnet_deploy.visible import without_secrets

logger = logging.getLogger(__name__)

BUNDLE_FOLDER = "bundle"

_SHIPPED = ("int8", "fp16", "fp32")
"""Of the files of a deployment, the first that there is goes into the bundle."""


class Verbs(Protocol):
    """What a cell calls, with the words of its options; it is pickled."""

    def load(self, options: CellOptions) -> Network | Artifact:
        """Return the network, or the ONNX file, that ``options`` name."""

    def pictures(self, options: CellOptions) -> tuple[Data | None, Data | None, Data | None]:
        """Return where pictures of the calibration, the measuring and the bundle are."""

    def deploy(
        self,
        source: Network | Artifact,
        options: CellOptions,
        out: Path,
        *,
        threads: int,
        environment: Environment,
        progress: Progress,
    ) -> Deployment:
        """Make the files."""

    def bundle(self, path: Path, options: CellOptions, out: Path) -> BundleReport:
        """Pack one of them."""


@dataclass(frozen=True, kw_only=True)
class CellShard:
    """Implements ``Shard``: one cell.

    ``folder`` is where its files will lie, and ``known`` the identity of what lies there whole.
    ``doom`` says why it ends whatever process works on it.
    """

    cell: MatrixCell
    folder: str
    known: str = ""
    doom: str = ""

    @property
    def name(self) -> str:
        """The network and the target."""
        return self.cell.name

    def halves(self) -> Sequence[CellShard]:
        """See ``Shard.halves``: it is one thing."""
        return ()

    def without(self, culprit: CellShard, why: str) -> CellShard:
        """See ``Shard.without``: what is left says that it failed."""
        return replace(self, doom=why)

    def result(self, state: CellState, **words: Any) -> CellResult:
        """Return what became of it."""
        cell = self.cell
        return CellResult(
            net=cell.net,
            target=cell.target,
            folder=self.folder,
            state=state,
            timed=cell.options.timed,
            **words,
        )

    def failed(self, error: BaseException, **words: Any) -> CellResult:
        """Return that it could not be made."""
        code, reason = verdict_on(error)
        return self.result(CellState.FAILED, reason=reason, code=code, **words)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a cell, its identity, and its files by their names below its folder."""

    shard: CellShard
    result: CellResult
    identity: str = ""
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """Implements ``Job``: makes cells, one after the other.

    Args:
        verbs: what makes them.
        environment: where the command runs.
        threads: of ONNX Runtime.
        folder: where the command runs, from which paths start; None: this process is the command's.
        timed: whether the times of this process count: nothing else keeps the machine busy.
        machine: whose bits the results have.
        progress: told about every stage, here.
    """

    verbs: Verbs
    environment: Environment
    threads: int
    folder: str | None = None
    timed: bool = False
    machine: Machine = field(default_factory=Machine.here)
    progress: Progress = silent

    def open(self) -> Callable[[CellShard], Outcome]:
        """See ``Job.open``.

        Raises:
            RunnerError: this machine computes otherwise, or lacks the folder.
        """
        self.machine.check_here()
        if self.folder is not None:
            try:
                os.chdir(self.folder)
            except OSError as error:
                raise RunnerError(
                    f"cannot work in {self.folder}: {error.strerror}; every machine of the cluster "
                    "must have the nets and pictures at the same place"
                ) from error
        return self.work

    def work(self, shard: CellShard) -> Outcome:
        """Return what became of ``shard``: an error is one of its results.

        A signal is none: torch swallows its exception while it imports itself, and what it fails
        with later is no fault of the cell.
        """
        if self.folder is not None:
            return self._tried(shard)
        outcome, interrupts = None, Interrupts()
        try:
            with interrupts:
                outcome = self._tried(shard)
        except KeyboardInterrupt:
            if interrupts.seen is None:
                raise
        if interrupts.seen is not None:
            signal.raise_signal(interrupts.seen)  # for who handles it around this
        if outcome is None:
            raise KeyboardInterrupt
        return outcome

    def _tried(self, shard: CellShard) -> Outcome:
        began = time.perf_counter()
        with _heard() as notices:
            try:
                outcome = self._made(shard)
            except Exception as error:  # one cell's fault is no other's
                logger.info("%s failed", shard.name, exc_info=True)
                outcome = Outcome(shard=shard, result=shard.failed(error))
        told = dict.fromkeys((*notices, *outcome.result.notices))
        seconds = time.perf_counter() - began
        return replace(
            outcome, result=replace(outcome.result, notices=tuple(told), seconds=seconds)
        )

    def _made(self, shard: CellShard) -> Outcome:
        if shard.doom:
            raise RunnerError(
                f"{shard.name} ends whatever process works on it ({shard.doom}); use fewer "
                "--workers if memory is short"
            )
        options = shard.cell.options
        source = self.verbs.load(options)
        calibration, data, bundle_data = self.verbs.pictures(options)
        identity = cell_identity(
            source,
            options,
            calibration=calibration,
            data=data,
            bundle_data=bundle_data,
            threads=self.threads,
            environment=self.environment,
        )
        if identity == shard.known:
            result = shard.result(CellState.UNCHANGED)
            return Outcome(shard=shard, result=result, identity=identity)
        with scratch_folder() as scratch:
            (folder := scratch / "cell").mkdir()
            deployment = self.verbs.deploy(
                source,
                options,
                folder,
                threads=self.threads,
                environment=self.environment,
                progress=self.progress,
            )
            bundle = None
            if options.bundle is not None and deployment.passed:
                shipped = next(kind for kind in _SHIPPED if kind in deployment.files)
                path = Path(deployment.files[shipped])
                bundle = self.verbs.bundle(path, options, folder / BUNDLE_FOLDER)
            found = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
            state = CellState.DONE if deployment.passed else CellState.FAILED
            result = shard.result(
                state,
                reason=deployment.reason or "",
                code=0 if deployment.passed else 1,
                notices=tuple(map(_moved(folder, shard.folder), deployment.notices)),
                deployment=self._deployment(deployment, folder, shard.folder),
                bundle=None
                if bundle is None
                else replace(bundle, folder=f"{shard.folder}/{BUNDLE_FOLDER}"),
            )
        return Outcome(shard=shard, result=result, identity=identity, files=files)

    def _deployment(self, made: Deployment, folder: Path, home: str) -> Deployment:
        """Return ``made`` as if it had been made in ``home``, without times that say nothing."""
        moved = _moved(folder, home)
        return replace(
            made,
            files={kind: moved(path) for kind, path in made.files.items()},
            notices=tuple(map(moved, made.notices)),
            verdict=made.verdict if self.timed else None,
        )


def _moved(folder: Path, home: str) -> Callable[[str], str]:
    return lambda text: text.replace(str(folder), home)


class _Collected(logging.Handler):
    """Keeps warnings, of which a worker has nobody to tell them; the rest goes where it went."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.said.append(without_secrets(record.getMessage()))
        else:
            logging.getLogger().handle(record)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what the package warns of in the block; it is told with the result."""
    package = logging.getLogger("resnet_deploy")
    handler, passing, level = _Collected(), package.propagate, package.level
    package.addHandler(handler)
    package.propagate = False
    package.setLevel(min(level or logging.WARNING, logging.WARNING))  # --quiet changes no result
    try:
        yield handler.said
    finally:
        package.setLevel(level)
        package.propagate = passing
        package.removeHandler(handler)
