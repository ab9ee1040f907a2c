"""``deploy --matrix``: many networks for many targets, each in a folder of its own.

A cell is made by whatever process has time for it, and comes back as files, which are written here
and nowhere else: all of them, the manifest last, or none. A cell in which something is timed is
made in this process, when the others are done; its calibration is spread instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from resnet_deploy.artifact.claim import Claim
from resnet_deploy.artifact.files import check_folder, check_within
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.bundles import manifest
from resnet_deploy.deployment.cells import CellJob, CellShard, Outcome, Verbs
from resnet_deploy.errors import ArtifactError, ResnetDeployError
from resnet_deploy.plain_values import read_text, strict_json
from resnet_deploy.processes.local_pool import LocalPool
from resnet_deploy.processes.ray_cluster import connected, kept_connected
from resnet_deploy.processes.shards import in_shards
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import Environment
from resnet_deploy.results.matrix import CellResult, CellState, MatrixReport
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec import ClusterSpec
from resnet_deploy.spec.matrix import Matrix, MatrixCell
from resnet_deploy.version import __version__
from resnet_deploy.visible import visible_json

logger = logging.getLogger(__name__)

STAGE = "cells"

_FORMAT = 1


def deploy_matrix(
    matrix: Matrix,
    out: Path,
    verbs: Callable[[int | None, ClusterSpec | None], Verbs],
    *,
    workers: int | None = None,
    cluster: ClusterSpec | None = None,
    threads: int = 0,
    force: bool = False,
    dry_run: bool = False,
    environment: Environment,
    progress: Progress = silent,
    on_result: Callable[[CellResult], None] | None = None,
) -> MatrixReport:
    """Make every cell of ``matrix`` that is not there already, of the same.

    Args:
        matrix: the cells.
        out: where each has its folder, ``NET/TARGET``.
        verbs: gives what makes a cell whose calibration so many workers share, or a cluster.
        workers: processes that make cells; None is this one alone.
        cluster: where they are.
        threads: of ONNX Runtime in this process; 0 means the physical cores allowed here.
        force: replace files that this tool did not write.
        dry_run: list the cells, and make none.
        environment: where this runs.
        progress: told how many cells are done.
        on_result: called with what became of each, when it is known.

    Raises:
        ResnetDeployError: the folder can't be written, the cluster can't be used, or workers end
            whatever they do. What is wrong with one cell is a result.
    """
    began = time.perf_counter()
    check_folder(out)
    check_within(out, [f"{cell.place}/file" for cell in matrix.cells])
    found: dict[str, CellResult] = {}

    def finish(outcome: Outcome) -> None:
        result = outcome.result if dry_run else _kept(outcome, force=force)
        found[outcome.shard.cell.place] = result
        if on_result is not None:
            on_result(result)
        progress(STAGE, len(found), len(matrix.cells))

    notices = _spread_notices(matrix, spread=workers is not None or cluster is not None)
    if dry_run:
        for cell in matrix.cells:
            shard = _shard(cell, out)
            there = _files_of(Path(shard.folder)) if shard.known else {}
            finish(Outcome(shard=shard, result=shard.result(CellState.PLANNED, files=there)))
    else:
        with _claimed(out), kept_connected():
            for notice in notices:
                logger.warning("%s", notice)
            _make(
                matrix,
                out,
                verbs,
                workers=workers,
                cluster=cluster,
                threads=threads,
                force=force,
                environment=environment,
                progress=progress,
                finish=finish,
            )
    return MatrixReport(
        matrix=matrix.file,
        folder=str(out),
        cells=tuple(found[cell.place] for cell in matrix.cells),
        seconds=time.perf_counter() - began,
        environment=environment,
        notices=notices,
    )


def _make(
    matrix: Matrix,
    out: Path,
    verbs: Callable[[int | None, ClusterSpec | None], Verbs],
    *,
    workers: int | None,
    cluster: ClusterSpec | None,
    threads: int,
    force: bool,
    environment: Environment,
    progress: Progress,
    finish: Callable[[Outcome], None],
) -> None:
    shards: list[CellShard] = []
    for cell in matrix.cells:
        shard = _shard(cell, out)
        try:
            check_folder(Path(shard.folder))
            manifest.check_folder(Path(shard.folder), force=force)
        except (ResnetDeployError, OSError) as error:  # before the work, not after it
            finish(Outcome(shard=shard, result=shard.failed(error)))
        else:
            shards.append(shard)
    here = CellJob(
        verbs=verbs(workers, cluster),
        environment=environment,
        threads=threads,
        timed=True,
        progress=progress,
    )
    job = replace(here, verbs=verbs(None, None), timed=False)
    spread = [shard for shard in shards if not shard.cell.options.timed]
    for outcome in _outcomes(job, spread, workers=workers, cluster=cluster, threads=threads):
        finish(outcome)
    work = here.open()
    for shard in shards:
        if shard.cell.options.timed:
            finish(work(shard))


def _outcomes(
    job: CellJob,
    shards: Sequence[CellShard],
    *,
    workers: int | None,
    cluster: ClusterSpec | None,
    threads: int,
) -> Iterator[Outcome]:
    """Yield what becomes of ``shards``, each as soon as it is known."""
    threads = threads or default_threads()
    away = replace(job, folder=str(Path.cwd()), threads=1, progress=silent)
    if not shards:
        return
    if cluster is not None:
        with (
            connected(cluster, threads) as connection,
            closing(connection.map(away, shards, ordered=False)) as found,
        ):
            yield from found
    elif workers is not None:
        count = min(workers, len(shards))
        each = max(1, threads // count)
        with (
            scratch_folder() as folder,
            LocalPool(replace(away, threads=each), count, each, folder) as pool,
        ):
            yield from in_shards(pool, shards, ordered=False)
    else:
        yield from map(job.open(), shards)


def _spread_notices(matrix: Matrix, *, spread: bool) -> tuple[str, ...]:
    """Return what of the matrix can't be spread, and why."""
    timed = [cell for cell in matrix.cells if cell.options.timed]
    if not (timed and spread):
        return ()
    whys = dict.fromkeys(cell.options.timed for cell in timed)
    return (
        f"{len(timed)} of {len(matrix.cells)} cells are made in this process, one after the other, "
        f"with their calibration alone spread: {' or '.join(whys)}, and times of busy or other "
        "machines say nothing (keep-slow = true asks for none)",
    )


def _shard(cell: MatrixCell, out: Path) -> CellShard:
    folder = out / cell.net / cell.target
    return CellShard(cell=cell, folder=str(folder), known=_known(folder))


def _known(folder: Path) -> str:
    """Return the identity of the cell that lies in ``folder`` whole; empty: there is none."""
    try:
        record = strict_json(read_text(folder / manifest.MANIFEST_FILE))
        identity, whole = record["identity"], record["passed"] is True
        listed = manifest.listed_files(folder) or {}
        whole &= all(manifest.is_as_listed(folder, *each) for each in listed.items())
    except (OSError, ValueError, KeyError, TypeError, ArtifactError):
        return ""
    unfinished = (folder / manifest.UNFINISHED_FILE).exists()
    return identity if isinstance(identity, str) and whole and not unfinished else ""


def _kept(outcome: Outcome, *, force: bool) -> CellResult:
    """Write the files of ``outcome``; return its result, with what lies in its folder now."""
    folder, result = Path(outcome.shard.folder), outcome.result
    if outcome.files:
        try:
            files = {**outcome.files, manifest.MANIFEST_FILE: _record(outcome)}
            manifest.write_folder(folder, files, force=force)
        except (ResnetDeployError, OSError) as error:
            return outcome.shard.failed(error, seconds=result.seconds, notices=result.notices)
    elif result.state is not CellState.UNCHANGED:
        return result
    return replace(result, files=_files_of(folder))


def _files_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of the cell that lies in ``folder``, by its path."""
    listed = manifest.listed_files(folder) or {}
    return {str(folder / name): min(digests) for name, digests in sorted(listed.items())}


def _record(outcome: Outcome) -> bytes:
    """Return the manifest of a cell: nothing in it depends on time or place."""
    cell = outcome.shard.cell
    data = {
        "format": _FORMAT,
        "tool": {"name": manifest.TOOL, "version": __version__},
        "net": cell.net,
        "target": cell.target,
        "options": cell.options.content,
        "identity": outcome.identity,
        "passed": outcome.result.state is CellState.DONE,
        "files": manifest.digests(outcome.files),
    }
    return visible_json(data, indent=1, sort_keys=True)


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder in the block; one that stays empty is removed again."""
    missing = [path for path in (out, *out.parents) if not path.exists()]
    with Claim(out) as claim:
        try:
            claim.take()
            yield
        finally:
            with suppress(OSError):  # it holds something, as most do
                for path in missing:
                    path.rmdir()
