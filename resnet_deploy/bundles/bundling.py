"""Packing a network with the code that runs it and with the golden cases that prove it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path
from typing import Final

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.external_data import tensors_of
from resnet_deploy.artifact.made_for import is_for_openvino
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load_beside, opened_file, with_card
from resnet_deploy.bundles import cpp, mobile, node, triton, web
from resnet_deploy.bundles.contract import Contract, contract_of
from resnet_deploy.bundles.golden import GoldenCase, answers, golden_cases
from resnet_deploy.bundles.kit import ALTERNATIVE_FILE, MODEL_FILE, Kit, Network
from resnet_deploy.bundles.licences import licence_files
from resnet_deploy.bundles.manifest import (
    MANIFEST_FILE,
    Content,
    check_folder,
    manifest,
    size,
    write_folder,
)
from resnet_deploy.bundles.runtime import Runtime, check_runtime, chosen
from resnet_deploy.bundles.soundness import check_answers, check_is_same_network, untold
from resnet_deploy.bundles.third_party import shipped
from resnet_deploy.bundles.tolerances import tolerance
from resnet_deploy.bundles.tuned import finding_of, with_evidence
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.errors import ArtifactError, SpecError, UnsupportedGraphError
from resnet_deploy.graph.releases import min_onnxruntime, release_numbers
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import BundledRuntime, BundleReport
from resnet_deploy.spec import (
    DEFAULT_REAL_PICTURES,
    MOST_REAL_PICTURES,
    NOTHING_TOLD,
    BundleRuntime,
    BundleTarget,
    Told,
)

_RENDERERS = {
    BundleTarget.CPP: cpp.render,
    BundleTarget.MOBILE: mobile.render,
    BundleTarget.NODE: node.render,
    BundleTarget.WEB: web.render,
    BundleTarget.TRITON: triton.render,
}


_OWN_RUNTIMES: Final = {
    BundleTarget.MOBILE: "is that for the phone, which Gradle and CocoaPods bring",
    BundleTarget.NODE: "comes with npm ci",
    BundleTarget.WEB: "comes with npm ci",
    BundleTarget.TRITON: "is a part of the server",
}
"""What the library of this machine is of no use to."""


def pack(
    path: Path | Artifact,
    target: BundleTarget,
    folder: Path,
    *,
    runtime: BundleRuntime = BundleRuntime.AUTO,
    evidence: Path | None = None,
    alternative: Path | None = None,
    dataset: Dataset | None = None,
    count: int = DEFAULT_REAL_PICTURES,
    told: Told = NOTHING_TOLD,
    seed: int = 0,
    with_runtime: bool = False,
    runtime_headers: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> BundleReport:
    """Write the bundle of the network ``path`` into ``folder``: same input, same bytes.

    Golden cases are synthetic images, and ``count`` of ``dataset``. ``alternative`` is the same
    network in another precision, which a web page may find faster. ``told`` is what the user says
    of both files. ``evidence`` is the ``tune.json`` of a file that ``tune`` wrote. ``with_runtime``
    puts the installed runtimes into the bundle, with the headers of ONNX Runtime in the folder
    ``runtime_headers`` (None: those of Debian's package).

    Raises:
        ArtifactError: a file can't be read, or the folder holds files that are not a bundle's.
        UnsupportedGraphError: the network takes no images, or gives what bundles do not hold.
        SpecError: ``count`` is out of bounds; ``runtime`` or ``alternative`` is not for this
            target, or ``alternative`` is another network; a runtime can't come along.
        MissingDependencyError: the bundle takes OpenVINO, and that is not installed; or the runtime
            that should come along is not available.
        DatasetError: an image can't be read.
        RunnerError: the network can't be run, or answers on this CPU what it should not.
    """
    check_runtime(target, runtime)
    if not 1 <= count <= MOST_REAL_PICTURES:
        raise SpecError(f"pictures is {count}: say 1 to {MOST_REAL_PICTURES}")
    check_folder(folder, force=force)
    _check_with_runtime(target, runtime_headers, with_runtime=with_runtime)
    artifact = _described(opened_file(path, told))
    contract = contract_of(artifact)
    finding, warning = finding_of(artifact), ""
    if evidence is not None:
        finding, warning = with_evidence(finding, artifact, evidence)
    artifacts = [artifact]
    if alternative is not None:
        artifacts.append(_alternative(alternative, artifact, contract, target, told))
    progress("bundling", 0, 3)
    cases = golden_cases(contract, dataset, count, seed)
    oldest = max(
        (min_onnxruntime(read_model(file.plain)) for file in artifacts), key=release_numbers
    )
    choice = chosen(
        target,
        runtime,
        finding,
        name=artifact.path.name,
        min_onnxruntime=oldest,
        for_openvino=is_for_openvino(artifact),
    )
    networks = tuple(
        _network(file, name, cases, choice.runtimes, target)
        for file, name in zip(artifacts, (MODEL_FILE, ALTERNATIVE_FILE), strict=False)
    )
    for other in networks[1:]:
        check_is_same_network(other.artifact, artifact, other.answers[0], networks[0].answers[0])
    kit = Kit(
        target=target,
        contract=contract,
        networks=networks,
        cases=cases,
        min_onnxruntime=oldest,
        max_onnxruntime=importlib.metadata.version("onnxruntime"),
        why=choice.why,
        ratio=choice.ratio,
        shipped=shipped(choice.runtimes, runtime_headers) if with_runtime else (),
    )
    progress("bundling", 1, 3)
    made = _RENDERERS[target](kit)
    listed: dict[str, Content] = {**made.files, **licence_files(kit), **kit.shipped_files()}
    files = {**listed, MANIFEST_FILE: manifest(kit, listed)}
    progress("bundling", 2, 3)
    write_folder(folder, files, force=force)
    progress("bundling", 3, 3)
    same = untold(kit.network.answers[0], kit.network.tolerances[0])
    return BundleReport(
        target=target.value,
        folder=str(folder),
        model=artifact.path.name,
        precision=artifact.precision,
        sha256=kit.network.sha256,
        sizes={name: size(content) for name, content in sorted(files.items())},
        cases=len(cases),
        real_pictures=0 if dataset is None else min(count, len(dataset)),
        runtimes=_described_runtimes(kit),
        why=kit.why,
        ratio=kit.ratio,
        commands=made.commands,
        notes=(
            *(note for note in (warning, same) if note),
            *(runtime.words for runtime in kit.shipped),
            *made.notes,
        ),
    )


def _described_runtimes(kit: Kit) -> tuple[BundledRuntime, ...]:
    return tuple(
        BundledRuntime(
            name=runtime.title,
            made_with=runtime.made_with,
            min_version=runtime.min_version,
            threads=runtime.threads,
            spin=runtime.spin,
            options=runtime.options,
            tolerance=bound,
        )
        for runtime, bound in zip(kit.runtimes, kit.network.tolerances, strict=True)
    )


def _described(artifact: Artifact) -> Artifact:
    """Return ``artifact`` as a file whose card says what its user does, if it has a card."""
    own = opened_file(artifact.plain).card
    if artifact.card is None or own is None or artifact.card.to_json() == own.to_json():
        return artifact
    return with_card(artifact, artifact.card)


def _network(
    artifact: Artifact,
    name: str,
    cases: tuple[GoldenCase, ...],
    runtimes: tuple[Runtime, ...],
    target: BundleTarget,
) -> Network:
    try:
        # Weights in a second file become part of the one file that is shipped.
        model = read_model(artifact.plain)
        data = artifact.plain.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {artifact.path}: {error.strerror}") from error
    if any(tensor.HasField("data_location") for tensor in tensors_of(model.graph)):
        data = model.SerializeToString(deterministic=True)
    rows = tuple(
        answers(artifact, cases, runtime.options, kind=runtime.kind) for runtime in runtimes
    )
    tolerances = tuple(tolerance(artifact, runtime, target) for runtime in runtimes)
    check_answers(artifact, cases, runtimes, rows, tolerances)
    return Network(
        file=name,
        data=data,
        artifact=artifact,
        runtimes=runtimes,
        answers=rows,
        tolerances=tolerances,
    )


def _check_with_runtime(target: BundleTarget, headers: Path | None, *, with_runtime: bool) -> None:
    if with_runtime and target in _OWN_RUNTIMES:
        raise SpecError(
            f"--with-runtime is for programs that are compiled here, not for {target.value}, whose "
            f"runtime {_OWN_RUNTIMES[target]}: leave it out"
        )
    if headers is not None and not with_runtime:
        raise SpecError("--runtime-headers go with --with-runtime: add it")


def _alternative(
    path: Path, beside: Artifact, contract: Contract, target: BundleTarget, told: Told
) -> Artifact:
    if target is not BundleTarget.WEB:
        raise SpecError(
            f"--alternative is for the page that measures which file is faster, not for "
            f"{target.value}: leave it out"
        )
    artifact = _described(load_beside(path, beside, told))
    found = contract_of(artifact)
    # What is left to differ is the precision.
    if replace(found, name=contract.name, precision=contract.precision) != contract:
        raise UnsupportedGraphError(
            f"{path} has another input or output than {contract.name}.onnx: name the same "
            "network, exported with the same --input and --output"
        )
    return artifact
