"""The runtimes that a bundle runs on: which ones, how each opens the model, and why."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Final

from resnet_deploy.bundles.rendering import Written
from resnet_deploy.bundles.tuned import Finding
from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.runners.openvino_runner import import_openvino
from resnet_deploy.spec import BundleRuntime, BundleTarget

TITLES: Final = {
    BundleRuntime.ORT: Written("ONNX Runtime"),
    BundleRuntime.OPENVINO: Written("OpenVINO"),
}

_RUNNERS: Final = {"ort": BundleRuntime.ORT, "openvino": BundleRuntime.OPENVINO}
"""What tune calls them."""

_ALONE: Final = {
    BundleTarget.NODE: "Node.js has ONNX Runtime alone",
    BundleTarget.WEB: "a web page has ONNX Runtime alone",
    BundleTarget.MOBILE: "phones have ONNX Runtime alone",
}
"""Where ONNX Runtime is what runs a bundle, whatever is faster here."""

_SPINNING: Final = "session.intra_op.allow_spinning"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A runtime that a bundle runs on, and how it opens the model.

    ``kind`` is ONNX Runtime or OpenVINO alone. ``threads`` are as ``tune`` found them, 0 where the
    machine that runs it decides; ``spin``: idle threads wait actively. ``options`` are further
    session options by the runtime's own names, as those of ``SessionSpec``. ``min_version`` is the
    first release that runs the files, ``made_with`` the installed one whose answers are recorded.
    """

    kind: BundleRuntime
    threads: int = 0
    spin: bool = True
    options: tuple[tuple[str, str], ...] = ()
    min_version: str
    made_with: str

    @property
    def title(self) -> Written:
        """Its name, as people write it."""
        return TITLES[self.kind]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The runtimes of a bundle, in the order in which a program tries them, and why.

    ``why`` says why the first one is that. ``ratio`` is how many times faster than the default file
    that was, as ``tune`` measured; None where it did not.
    """

    runtimes: tuple[Runtime, ...]
    why: str
    ratio: float | None = None


def check_runtime(target: BundleTarget, wanted: BundleRuntime) -> None:
    """Refuse a runtime that ``target`` does not have.

    Raises:
        SpecError: so it is.
    """
    if target is BundleTarget.TRITON and wanted is BundleRuntime.BOTH:
        raise SpecError(
            "--runtime both is not for triton: one backend of the server runs a model; choose ort "
            "or openvino, or make a bundle of each"
        )
    if target in _ALONE and wanted in (BundleRuntime.OPENVINO, BundleRuntime.BOTH):
        if target is not BundleTarget.MOBILE:
            raise SpecError(f"--runtime {wanted.value} is not for {target.value}: {_ALONE[target]}")
        if wanted is BundleRuntime.OPENVINO:
            raise SpecError(
                f"--runtime openvino is not for mobile: {_ALONE[target]}; --runtime both puts "
                "OpenVINO beside it for the desktop"
            )


def chosen(
    target: BundleTarget,
    wanted: BundleRuntime,
    finding: Finding | None,
    *,
    name: str,
    min_onnxruntime: str,
    for_openvino: bool = False,
) -> Choice:
    """Return what a bundle for ``target`` runs on.

    Args:
        target: what the bundle is for.
        wanted: as the user said it.
        finding: what ``tune`` found of the file.
        name: of the file, for messages.
        min_onnxruntime: the first release of ONNX Runtime that loads the files.
        for_openvino: the file is laid out for OpenVINO.

    Raises:
        MissingDependencyError: it takes OpenVINO, and OpenVINO is not installed.
        SpecError: as :func:`check_runtime`.
    """
    check_runtime(target, wanted)
    found = _RUNNERS.get(finding.runner) if finding is not None else None
    kinds = _kinds(target, wanted, found or (BundleRuntime.OPENVINO if for_openvino else None))
    if BundleRuntime.OPENVINO in kinds:
        _check_openvino(name, asked=wanted is not BundleRuntime.AUTO, tuned=found is not None)
    first = kinds[0]
    return Choice(
        runtimes=tuple(
            _runtime(kind, finding if kind is found else None, min_onnxruntime) for kind in kinds
        ),
        why=_why(target, wanted, first, finding, found)
        if finding is not None or not for_openvino
        else _why_of_layout(wanted, first),
        ratio=finding.ratio if finding is not None and first is found else None,
    )


def _kinds(
    target: BundleTarget, wanted: BundleRuntime, found: BundleRuntime | None
) -> tuple[BundleRuntime, ...]:
    best = BundleRuntime.ORT if found is None or target in _ALONE else found
    if wanted is BundleRuntime.BOTH:
        return (best, *(kind for kind in TITLES if kind is not best))
    return (best if wanted is BundleRuntime.AUTO else wanted,)


def _check_openvino(name: str, *, asked: bool, tuned: bool) -> None:
    try:
        import_openvino()
    except MissingDependencyError as error:
        found = "tune found {name} fastest on" if tuned else "{name} is laid out for"
        why = "--runtime" if asked else f"{found.format(name=name)} OpenVINO, and the bundle"
        other = "" if asked else "; --runtime ort does without"
        raise MissingDependencyError(
            f"{why} needs OpenVINO: pip install 'resnet-deploy[openvino]'{other}"
        ) from error


def _runtime(kind: BundleRuntime, finding: Finding | None, min_onnxruntime: str) -> Runtime:
    package = "onnxruntime" if kind is BundleRuntime.ORT else "openvino"
    installed = importlib.metadata.version(package)
    options = dict(finding.options) if finding is not None else {}
    spin = options.pop(_SPINNING, "1") != "0"
    return Runtime(
        kind=kind,
        threads=finding.threads if finding is not None else 0,
        spin=spin,
        options=tuple(options.items()),
        min_version=min_onnxruntime
        if kind is BundleRuntime.ORT
        else ".".join(installed.split(".")[:2]),
        made_with=installed,
    )


def _why(
    target: BundleTarget,
    wanted: BundleRuntime,
    first: BundleRuntime,
    finding: Finding | None,
    found: BundleRuntime | None,
) -> str:
    asked = "" if wanted in (BundleRuntime.AUTO, BundleRuntime.BOTH) else "as asked for"
    if finding is None:
        return asked or "tune has not looked at this file"
    if first is found:
        return _measured(finding)
    elsewhere = TITLES[found] if found is not None else f"the runner {finding.runner}"
    # Without a ratio nothing else was measured, or not against the default file.
    than = f"tune found it faster on {elsewhere}" if finding.ratio else f"tune chose {elsewhere}"
    if asked:
        return f"{asked}, though {than}"
    reason = _ALONE[target] if found is not None else "bundles do not have that"
    return f"{than}, but {reason}"


def _why_of_layout(wanted: BundleRuntime, first: BundleRuntime) -> str:
    """Return why of a file that is laid out for OpenVINO, at which ``tune`` has not looked."""
    if first is BundleRuntime.OPENVINO:
        return (
            "the file is laid out for it; its float parts are computed in float32 "
            "(INFERENCE_PRECISION_HINT=f32), which OpenVINO must be told on CPUs with bfloat16"
        )
    asked = "as asked for, though" if wanted is BundleRuntime.ORT else "there is no other here, but"
    return (
        f"{asked} the file is laid out for OpenVINO: ONNX Runtime gives the same answers except "
        "for rounding, slowly"
    )


def _measured(finding: Finding) -> str:
    if finding.ratio is None:
        return "as tune found"
    where = f" on {finding.cpu}" if finding.cpu else ""
    if finding.instances > 1 or finding.batch_size > 1:
        where += f", with {finding.instances} at once and batches of {finding.batch_size}"
    if finding.interval is None:
        return f"as tune measured: {finding.ratio:.2f} times the default file's speed{where}"
    low, high = finding.interval
    if low <= 1 <= high:
        return (
            "as tune found, where no difference in speed to the default file could be told "
            f"({low:.2f} to {high:.2f} times{where})"
        )
    return (
        f"as tune measured: {finding.ratio:.2f} times the default file's speed ({low:.2f} to "
        f"{high:.2f}){where}"
    )
