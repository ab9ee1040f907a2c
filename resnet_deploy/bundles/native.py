"""The C++ core that targets in native code share: headers, C interface, self-test, constants."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.bundles.kit import Kit, Network

_SATURATING = "x86-avx2"


def native_files(kit: Kit, models: Sequence[Network] = (), *, folder: str = "") -> dict[str, bytes]:
    """Return the core's files by name, all below ``folder`` (such as ``core/``).

    ``models`` are the files that it may open, the first by default; empty: the kit's networks.
    """
    contract, spec = kit.contract, kit.contract.preprocess
    return kit.render_folder(
        "native",
        under=folder,
        models=models or kit.networks,
        resize_mode=spec.resize_mode.value,
        interpolation=spec.interpolation,
        channel_order=spec.channel_order.value.lower(),
        format=spec.format.value.replace("-", "_"),
        divisor=_floats(spec.divisor),
        lowest=_floats(spec.range[0]),
        output_kind=contract.output_kind.value.replace("-", "_"),
        mean=_floats(*spec.mean),
        deviation=_floats(*spec.std),
        api_version=int(kit.min_onnxruntime.split(".")[1]),
    )


def _floats(*values: float) -> str:
    """Return a list in C++, rounded from double to float by the compiler, as NumPy does it."""
    return ", ".join(f"static_cast<float>({float(value)!r})" for value in values)


def cpus(artifact: Artifact) -> str:
    """Return sentences on the CPUs that a file gives the same answers on."""
    proven = artifact.card.proven_isas if artifact.card is not None else ()
    sentences = []
    if proven:
        sentences.append(f"The same answers were proven on {', '.join(proven)}.")
    if artifact.precision == "int8" and _SATURATING not in proven:
        sentences.append(
            "An x86 CPU without VNNI saturates when it adds int8 products, and may answer "
            f"something else: for it, export with --target-isa {_SATURATING}."
        )
    return " ".join(sentences)
