"""The C++ core that targets in native code share: headers, C interface, self-test, constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.bundles.kit import Kit, Network
from resnet_deploy.bundles.rendering import Written, markdown
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.errors import SpecError
from resnet_deploy.runners.session_options import is_openvino_property
from resnet_deploy.spec import BundleRuntime, Overflow

_WITHOUT_VNNI = "x86-avx2"

_FAST: Final = (
    "Int8 is fast on x86 CPUs with VNNI (AVX-512 VNNI, AVX-VNNI, AMX) and on ARM64 with the dot "
    "product"
)
_AS_RIGHT: Final = ", and as right, but slower, on all others"

_ATTRIBUTES: Final = (
    "enable_cpu_mem_arena",
    "enable_mem_pattern",
    "execution_mode",
    "graph_optimization_level",
    "inter_op_num_threads",
    "intra_op_num_threads",
)
"""Attributes of Python's ``SessionOptions`` that ``resnet/onnxruntime.hpp`` sets as well."""

_OPENVINO_FILES: Final = (
    "include/resnet/openvino.hpp",
    "include/resnet/openvino_table.h",
    "src/openvino_module.cpp",
)
_ONNXRUNTIME_FILES: Final = ("include/resnet/onnxruntime.hpp",)

KINDS: Final = {BundleRuntime.ORT: "onnxruntime", BundleRuntime.OPENVINO: "openvino"}
"""What C and C++ call a runtime."""


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A runtime in ``contract.hpp``; ``settings`` is the name of its array there, or empty."""

    runtime: Runtime
    kind: str
    settings: str
    api_version: int


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What ``golden.hpp`` says of one case; ``scores`` is a file's name, ``top1`` 0 of arrays."""

    scores: str
    top1: int
    is_decided: bool


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One model file on one runtime; a negative tolerance: it does not run there."""

    tolerance: float
    answers: tuple[_Answer, ...]


def native_files(kit: Kit, models: Sequence[Network] = (), *, folder: str = "") -> dict[str, bytes]:
    """Return the core's files by name, all below ``folder`` (such as ``core/``).

    ``models`` are the files that it may open, the first by default; empty: the kit's networks.

    Raises:
        SpecError: a runtime has an option that C++ can't set.
    """
    contract, spec = kit.contract, kit.contract.preprocess
    models = models or kit.networks
    choices = tuple(map(_choice, kit.runtimes))
    files = kit.render_folder(
        "native",
        under=folder,
        models=models,
        choices=choices,
        rows=[[_row(kit, model, runtime) for runtime in kit.runtimes] for model in models],
        resize_mode=spec.resize_mode.value,
        interpolation=spec.interpolation,
        channel_order=spec.channel_order.value.lower(),
        format=spec.format.value.replace("-", "_"),
        divisor=_floats(spec.divisor),
        lowest=_floats(spec.range[0]),
        output_kind=contract.output_kind.value.replace("-", "_"),
        mean=_floats(*spec.mean),
        deviation=_floats(*spec.std),
    )
    kinds = {choice.runtime.kind for choice in choices}
    unused = {
        *(() if BundleRuntime.OPENVINO in kinds else _OPENVINO_FILES),
        *(() if BundleRuntime.ORT in kinds else _ONNXRUNTIME_FILES),
    }
    return {name: data for name, data in files.items() if name.removeprefix(folder) not in unused}


def _choice(runtime: Runtime) -> _Choice:
    is_ort = runtime.kind is BundleRuntime.ORT
    for key, value in runtime.options:
        known = ("." in key or key in _ATTRIBUTES) if is_ort else is_openvino_property(key)
        if not known:
            raise SpecError(
                f"code in C++ can't set the session option {key}={value}: bundle a file that was "
                "tuned without it"
            )
    kind = KINDS[runtime.kind]
    return _Choice(
        runtime=runtime,
        kind=kind,
        settings=f"settings_of_{kind}" if runtime.options else "",
        api_version=int(runtime.min_version.split(".")[1]) if is_ort else 0,
    )


def _row(kit: Kit, model: Network, runtime: Runtime) -> _Row:
    if runtime not in model.runtimes:
        return _Row(
            tolerance=-1,
            answers=tuple(_Answer(scores="", top1=0, is_decided=False) for _ in kit.cases),
        )
    index = model.runtimes.index(runtime)
    return _Row(
        tolerance=model.tolerances[index],
        answers=tuple(
            _Answer(
                scores=model.scores_file(case, runtime),
                top1=model.answers[index][number].top1 or 0,
                is_decided=model.top1_is_decided(index, number),
            )
            for number, case in enumerate(kit.cases)
        ),
    )


def _floats(*values: float) -> Written:
    """Return a list in C++, rounded from double to float by the compiler, as NumPy does it."""
    return Written(", ".join(f"static_cast<float>({float(value)!r})" for value in values))


def cpus(artifact: Artifact, runtimes: Sequence[Runtime]) -> Written:
    """Return sentences in Markdown on the CPUs that a file gives the same answers on."""
    proven = artifact.card.proven_isas if artifact.card is not None else ()
    kinds = {runtime.kind for runtime in runtimes}
    sentences = []
    if proven and BundleRuntime.ORT in kinds:
        named = markdown(", ".join(proven))
        sentences.append(f"The same answers of ONNX Runtime were proven on {named}.")
    if artifact.precision != "int8":
        return Written(" ".join(sentences))
    overflow = Overflow.UNKNOWN if artifact.card is None else artifact.card.overflow
    never = overflow is Overflow.NEVER or _WITHOUT_VNNI in proven
    if BundleRuntime.ORT in kinds:
        sentences.append(f"{_FAST}{_AS_RIGHT if never else ''}.")
    saturates = "An x86 CPU without VNNI saturates when it adds int8 products"
    if BundleRuntime.ORT in kinds and not never:
        sentences.append(
            f"{saturates}, and may answer something else: for it, export without --allow-overflow."
        )
    if BundleRuntime.OPENVINO in kinds:
        # Measured: docs/reference/bundles.md.
        sentences.append(
            "Without VNNI OpenVINO rounds in other places: scores are as close to fp32, but differ "
            "by some hundredths of the largest, so the self-test fails; ONNX Runtime gives the "
            "same answers there."
            if overflow is Overflow.NEVER
            else f"{saturates}, and OpenVINO then answers something else: such a CPU needs ONNX "
            "Runtime and a file exported without --allow-overflow."
        )
    return Written(" ".join(sentences))
