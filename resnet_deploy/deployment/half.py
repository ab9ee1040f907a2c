"""The float16 file of a deployment: what values are seen, the graph, and its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import make
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.fp32_baseline import quiet_session
from resnet_deploy.progress import ImageStage, Progress
from resnet_deploy.rewrites.half_precision import half_precision, watched
from resnet_deploy.runners.base import filled
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import QuantSpec
from resnet_deploy.spec.deploy import DeploySpec

_MOST_IMAGES = 64
"""Values are seen on so many images, spread over the classes; the largest are needed, no shape."""

NOTICE = (
    "fp16 is for CPUs that compute in it, such as ARM64 with fp16 arithmetic; elsewhere ONNX "
    "Runtime converts to float32 and back around every operator, which is slower than fp32"
)

STEP = "half_precision"
"""Its name in a card."""


def check_half(source: Artifact | None, spec: DeploySpec) -> None:
    """Refuse what float16 can't be made of, and options of int8.

    Args:
        source: the file that it is made from; None for a network.
        spec: what is asked for.

    Raises:
        SpecError: two things that are asked for contradict each other.
        UnsupportedGraphError: the file is in another precision already.
    """
    if source is not None and source.precision != "fp32":
        raise UnsupportedGraphError(
            f"{source.path} is {source.precision} already: give the fp32 file for --precision fp16"
        )
    taken = spec.export.input if source is None else spec.input or source.preprocess.format
    if not taken.is_float:
        raise SpecError(
            f"--precision fp16 takes normalised floats, not {taken.value}: ask for --input "
            "float-nchw, of a file that takes floats"
        )
    quant = spec.quant
    usual = replace(
        QuantSpec(),
        **{name: getattr(quant, name) for name in ("samples", "seed", "workers", "target_isa")},
        calibration_cache=quant.calibration_cache,
    )
    if quant != usual or spec.sensitivity or spec.budget is not None or spec.keep_slow:
        raise SpecError(
            "--precision fp16 quantizes nothing: drop --effort, --exclude, --sensitivity, "
            "--max-drop, --min-agreement and whatever else is for int8 (--calibration goes)"
        )


def half_file(
    fp32: Artifact, images: CalibrationImages, name: str, *, threads: int, progress: Progress
) -> tuple[Artifact, tuple[str, ...]]:
    """Return ``fp32`` in float16 as a file called ``name``, not saved yet, and what to say of it.

    A layer whose values on ``images`` float16 can't hold stays float32.

    Raises:
        UnsupportedGraphError: no layer can be float16.
    """
    assert fp32.card is not None, "what is deployed has a card"
    few = replace(images, indices=images.indices[:_MOST_IMAGES])
    graph = read_model(fp32.plain)
    largest = _largest(fp32, few, watched(graph), threads=threads, progress=progress)
    try:
        made = half_precision(graph, largest)
    except UnsupportedGraphError as error:
        raise UnsupportedGraphError(f"{fp32.path.name}: {error}") from error
    facts = {
        "layers": made.layers,
        "kept_in_float32": made.kept,
        "seen_on": {"data": images.name, "images": len(few), "synthetic": images.synthetic},
    }
    card = fp32.card.remade().with_step(STEP, facts)
    return make(made.model, card, name), (NOTICE, *_notices(images, made.kept))


def _notices(images: CalibrationImages, kept: Mapping[str, str]) -> Iterator[str]:
    """Yield what was seen on no picture, and what stays float32."""
    if images.synthetic:
        yield (
            "whether values fit into float16 was seen on synthetic images alone: --calibration DIR "
            "shows it on yours"
        )
    if kept:
        layer, reason = next(iter(kept.items()))
        more = f" and {len(kept) - 1} more layers" * (len(kept) > 1)
        yield f"in float32 stay {layer} ({reason}){more}; the card names them"


def _largest(
    fp32: Artifact,
    images: CalibrationImages,
    tensors: tuple[str, ...],
    *,
    threads: int,
    progress: Progress,
) -> dict[str, float]:
    """Return the largest magnitude of each of ``tensors`` on ``images``, and of the input."""
    found: dict[str, float] = {}
    size = fp32.input.shape[0]
    with closing(OrtRunner(fp32.plain, quiet_session(threads))) as runner:
        done = 0
        for batch in images:
            # What fixes its batch gets whole ones, the last one filled.
            step = size or len(batch)
            whole = filled(batch, step)
            for start in range(0, len(whole), step):
                part = whole[start : start + step]
                for name, value in {fp32.input.name: part, **runner.trace(part, tensors)}.items():
                    most = float(np.abs(value).max(initial=0.0))
                    known = found.get(name, 0.0)
                    # Whatever is not a number stays: nothing compares with it.
                    found[name] = known if most <= known or np.isnan(known) else most
            done += len(batch)
            progress(ImageStage("looking at values"), done, len(images))
    return found
