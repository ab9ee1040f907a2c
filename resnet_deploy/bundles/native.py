"""The C++ core that targets in native code share: headers, C interface, self-test, constants."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.kit import LABELS_FILE, Kit, Network
from resnet_deploy.spec import InputFormat

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
        interpolation=spec.interpolation,
        format=spec.format.value.replace("-", "_"),
        output_kind=contract.output_kind.value.replace("-", "_"),
        # Rounded from double to float by the compiler, as NumPy does it.
        mean=", ".join(f"static_cast<float>({value!r})" for value in spec.mean),
        deviation=", ".join(f"static_cast<float>({value!r})" for value in spec.std),
        labels_file=LABELS_FILE,
        api_version=int(kit.min_onnxruntime.split(".")[1]),
    )


def preparation(contract: Contract) -> str:
    """Return how an image is prepared, for a sentence: "resized so that …"."""
    spec = contract.preprocess
    if spec.resize_in_graph:
        return "given to the network as it is, which resizes it itself"
    size = f"{spec.height}x{spec.width}"
    normalised = spec.format is InputFormat.FLOAT_NCHW
    return (
        f"resized so that its shorter side has {spec.resize[0]} pixels ({spec.interpolation}, "
        f"antialiased), and cropped to the {size} in the middle"
        + (", then normalised" if normalised else "; the network normalises it itself")
    )


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
