"""Which subjects a benchmark has: files, and the runners on each."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load, load_beside
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.measure.affinity import reserve
from resnet_deploy.results import BenchSubject
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.registry import check_runner, options_for
from resnet_deploy.spec import BenchSpec, Told
from resnet_deploy.spec.bounds import check_batch

logger = logging.getLogger(__name__)

BFLOAT16 = "openvino-bf16"
"""The runner that computes float files in bfloat16."""

_RUNTIME_NAMES = {
    "torch": "PyTorch",
    "torch-channels-last": "PyTorch channels-last",
    "torch-compile": "PyTorch compiled",
    "ort": "ONNX Runtime",
    "ort-openvino": "ONNX Runtime on OpenVINO",
    "openvino": "OpenVINO",
    "openvino-bf16": "OpenVINO",
}
"""How the table calls a runner; another one goes by its own name."""


def open_models(models: Sequence[Path], output_name: str | None = None) -> list[Artifact]:
    """Return the artifacts at ``models``; beside a lone ``x.onnx`` also ``x.int8.onnx``, if any.

    ``output_name`` is which output of the first one is meant; of the others it is the same one.

    Raises:
        SpecError: there is no model.
        ArtifactError: one of the files is not an ONNX image classifier.
    """
    if not models:
        raise SpecError("there is nothing to measure: name at least one ONNX file")
    first = load(models[0], Told(output_name=output_name))
    if first.taken:
        logger.warning("%s: %s", first.path.name, first.taken)
    artifacts = [first, *(load_beside(path, first) for path in models[1:])]
    sibling = models[0].with_suffix(".int8.onnx")
    if len(models) == 1 and not artifacts[0].quantized and sibling.exists():
        artifacts.append(_made_from(load_beside(sibling, first), first))
    return artifacts


def _made_from(int8: Artifact, fp32: Artifact) -> Artifact:
    """Return ``int8`` if its card does not say that it was made from another file.

    Raises:
        ArtifactError: it was: a comparison would mean nothing.
    """
    steps = int8.card.steps if int8.card else ()
    sources = [step.options.get("fp32_sha256") for step in steps if step.name == "quantize"]
    if sources and sources[-1] != fp32.made_sha256:
        raise ArtifactError(
            f"{int8.path} was not made from {fp32.path}: quantize it again, or name the files "
            "to be measured one by one"
        )
    return int8


def natural_batch_size(artifacts: Sequence[Artifact]) -> int:
    """Return the batch size that the first fixed model needs, or 1 when all take any."""
    return next((a.input.shape[0] for a in artifacts if a.input.shape[0] is not None), 1)


def default_subjects(
    artifacts: Sequence[Artifact],
    runners: Sequence[str],
    spec: BenchSpec,
    session_options: tuple[tuple[str, str], ...] = (),
) -> tuple[BenchSubject, ...]:
    """Return what to measure: each of ``runners`` on each file that it is meant for.

    Without ``runners``: PyTorch on the first fp32 file, then ONNX Runtime on all of them. The
    torch runner emulates an int8 file slowly in float32, so it gets one only when there is no
    fp32 file; nor does an int8 file become faster in bfloat16. Each of ``session_options`` goes to
    the runners that know such keys: OpenVINO's are in capitals, all others ONNX Runtime's.

    Raises:
        SpecError: a runner does not exist, a model is fixed to another batch size, there are too
            few cores to pin to, or a session option is for none of the runners.
    """
    for name in runners:
        check_runner(name)
    floats = [artifact for artifact in artifacts if not artifact.quantized]
    pairs: list[tuple[str, Artifact]] = []
    for name in dict.fromkeys(runners or ("torch", "ort")):
        if not name.startswith("torch") and name != BFLOAT16:
            pairs += [(name, artifact) for artifact in artifacts]
        elif runners:
            pairs += [(name, artifact) for artifact in floats or artifacts]
        else:
            pairs += [(name, artifact) for artifact in floats[:1]]
    kinds = Counter((name, _computed(name, artifact)) for name, artifact in pairs)
    by_file = max(kinds.values()) > 1
    seen: Counter[str] = Counter()
    subjects = []
    for name, artifact in pairs:
        what = artifact.path.stem if by_file else _computed(name, artifact)
        what += " in bf16" if name == BFLOAT16 and not what.endswith("bf16") else ""
        label = f"{_RUNTIME_NAMES.get(name, name)} {what}"
        seen[label] += 1
        if seen[label] > 1:
            label += f" #{seen[label]}"
        options = options_for(name, session_options)
        subjects.append(_subject(label, name, artifact, spec, options))
    used = {entry for subject in subjects for entry in subject.session_options}
    if unused := [key for key, value in session_options if (key, value) not in used]:
        raise SpecError(
            f"--session-option {unused[0]}: no subject here takes it: add the --runner that does"
        )
    return tuple(subjects)


def _computed(runner: str, artifact: Artifact) -> str:
    """Return the precision that ``runner`` computes in.

    PyTorch rebuilds halves in float32, and a runner in bfloat16 rounds what is not int8.
    """
    if runner == BFLOAT16 and not artifact.quantized:
        return "bf16"
    widened = runner.startswith("torch") and not artifact.quantized
    return "fp32" if widened else artifact.precision


def _subject(
    label: str,
    runner: str,
    artifact: Artifact,
    spec: BenchSpec,
    session_options: tuple[tuple[str, str], ...],
) -> BenchSubject:
    fixed = artifact.input.shape[0]
    if fixed is not None and fixed != spec.batch_size:
        raise SpecError(
            f"{artifact.path} is fixed to batch size {fixed} and can't run {spec.batch_size}: "
            f"use --batch-size {fixed}, or export it without --batch-size"
        )
    check_batch(spec.batch_size, math.prod(artifact.image_shape))
    threads = spec.threads or max(1, default_threads() // spec.instances)
    return BenchSubject(
        label=label,
        runner=runner,
        model=str(artifact.plain),
        precision=_computed(runner, artifact),
        input_shape=artifact.image_shape,
        input_dtype=artifact.input.dtype,
        batch_size=spec.batch_size,
        threads=threads,
        session_options=session_options,
        instances=spec.instances,
        cpus=reserve(threads, spec.instances) if spec.pin else (),
    )
