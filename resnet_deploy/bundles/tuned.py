"""What ``tune`` found of a file: how it runs best, and how much faster than the default file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card, Step
from resnet_deploy.bundles.contract import one_line
from resnet_deploy.errors import ArtifactError
from resnet_deploy.results import Trial, read_tuning
from resnet_deploy.spec.bounds import MOST_AT_ONCE
from resnet_deploy.spec.tuning import TUNED_OPTIONS

EVIDENCE: Final = "tune.json"

_LAST: Final = ("verdict", "witness")
"""Steps that leave a file as it is; behind any other one, ``tune`` measured another file."""

_LONGEST: Final = 100
"""Characters of a CPU's name."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How a file runs best, as ``tune`` wrote it into its card.

    ``ratio`` is how many times faster that is than the default file on ONNX Runtime, on ``cpu``,
    and ``interval`` its confidence interval; None and empty where the card does not say.
    """

    runner: str
    threads: int
    instances: int = 1
    batch_size: int = 1
    options: tuple[tuple[str, str], ...] = ()
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    cpu: str = ""


def finding_of(artifact: Artifact) -> Finding | None:
    """Return what ``tune`` found of ``artifact``; None: it has not looked at this file.

    Raises:
        ArtifactError: the card says it in a way that no ``tune`` writes.
    """
    step = _tune_step(artifact.card)
    if step is None:
        return None
    said = step.options
    try:
        runner = str(said["runner"])
        return Finding(
            runner=runner,
            threads=_count(said, "threads"),
            instances=_count(said, "instances"),
            batch_size=_count(said, "batch_size"),
            options=_options(said.get("options", {}), runner),
            ratio=_ratio(said.get("ratio")),
            interval=_interval(said.get("ratio_interval")),
            cpu=_cpu(str(said.get("cpu", ""))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"the card of {artifact.path} says in another way than tune does how the file runs "
            f"best ({error}): tune it again"
        ) from error


def tuned_file(folder: Path) -> Path:
    """Return the best file in ``folder``, which ``tune`` wrote.

    Raises:
        ArtifactError: there is none, or there are several.
    """
    found = sorted(folder.glob("*.tuned.onnx"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ArtifactError(
            f"{folder} has no NAME.tuned.onnx: name a file, or the folder that resnet-deploy tune "
            "wrote"
        )
    raise ArtifactError(
        f"{folder} has {len(found)} files called NAME.tuned.onnx: name one of them, such as "
        f"{found[0]}"
    )


def with_evidence(
    finding: Finding | None, artifact: Artifact, evidence: Path
) -> tuple[Finding | None, str]:
    """Return ``finding`` with the ratio that ``evidence`` has for it, and what is wrong with that.

    A ``tune.json`` that can't be read, or whose best trial is not this file, is not used; the
    second value says so in a sentence.
    """
    if not evidence.exists():
        return finding, ""
    try:
        report = read_tuning(evidence)
    except ArtifactError as error:
        return finding, f"{error}: its figures are not used"
    best = report.best
    if finding is None or best is None or not _is_of(best, finding, artifact.card):
        return finding, f"{evidence} is of another file than {artifact.path.name}: it is not used"
    return (
        replace(
            finding,
            ratio=None if best.measured is None else best.measured[0],
            interval=None if best.measured is None else best.measured[1],
            cpu=_cpu(report.environment.cpu),
        ),
        "",
    )


def _is_of(best: Trial, finding: Finding, card: Card | None) -> bool:
    """Return whether ``finding`` is what a card says of the trial ``best``."""
    step = _tune_step(card)
    setting = best.setting
    same = (finding.runner, finding.threads, finding.instances, finding.batch_size) == (
        setting.runner,
        setting.threads,
        setting.instances,
        setting.batch_size,
    )
    # Cards of earlier versions don't name the trial.
    named = None if step is None else step.options.get("trial_sha256", best.sha256)
    return same and dict(finding.options) == dict(setting.options) and named == best.sha256


def _tune_step(card: Card | None) -> Step | None:
    for step in reversed(card.steps if card is not None else ()):
        if step.name == "tune":
            return step
        if step.name not in _LAST:
            return None
    return None


def _count(said: dict[str, Any], name: str) -> int:
    value = said.get(name, 1)
    if type(value) is not int or not 1 <= value <= MOST_AT_ONCE:
        raise ValueError(f"{name} is {value!r:.40}")
    return value


def _options(said: dict[str, Any], runner: str) -> tuple[tuple[str, str], ...]:
    known = TUNED_OPTIONS[runner]
    for key, value in said.items():
        if key not in known or not isinstance(value, str):
            raise ValueError(f"option {key!r:.60}")
    return tuple(said.items())


def _interval(said: object) -> tuple[float, float] | None:
    if said is None:
        return None
    if not isinstance(said, list) or len(said) != 2:
        raise ValueError(f"ratio_interval is {said!r:.40}")
    low, high = map(_ratio, said)
    if low is None or high is None or low > high:
        raise ValueError(f"ratio_interval is {said!r:.40}")
    return low, high


def _cpu(said: str) -> str:
    return one_line(said)[:_LONGEST]


def _ratio(said: object) -> float | None:
    if said is None:
        return None
    if not isinstance(said, int | float) or not (math.isfinite(said) and said > 0):
        raise ValueError(f"ratio is {said!r:.40}")
    return float(said)
