"""onnxsim, in a child process because it can crash, and only kept if it did no harm."""

from __future__ import annotations

import logging
import sys
from collections import Counter

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from resnet_deploy.artifact.model_file import TensorSpec, tensor_spec
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.errors import RunnerError, one_line
from resnet_deploy.graph.module_names import restore_modules
from resnet_deploy.graph.simple import is_simple
from resnet_deploy.processes import one_shot
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import SessionSpec

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 300
_MAX_RELATIVE = 1e-5
_CHILD = """
import sys
sys.modules["torch"] = sys.modules["sympy"] = None
import onnx, onnxsim
model, checked = onnxsim.simplify(onnx.load(sys.argv[1]), skipped_optimizers=sys.argv[3:])
onnx.save(model, sys.argv[2])
"""
"""onnxsim imports torch and SymPy, which takes longer than its work, and does without them here."""


_FOLDING = ("fuse_bn_into_conv",)


def simplify(model: onnx.ModelProto, *, fold_batchnorm: bool = True) -> tuple[onnx.ModelProto, str]:
    """Return ``model`` simplified by onnxsim, and what became of it in a few words.

    The result is dropped, with a warning in the log, when onnxsim fails or crashes, changes the
    inputs or outputs, adds nodes, or moves any value by more than 1e-5 of its output's largest.
    Where there is nothing that it could simplify, it is not started.
    """
    if is_simple(model):
        return model, "nothing to simplify"
    try:
        simplified = run_onnxsim(model, () if fold_batchnorm else _FOLDING)
        _restore(model, simplified)
        _check(model, simplified)
    except (RunnerError, TimeoutError) as error:
        logger.warning("onnxsim's result is not used: %s", error)
        return model, f"onnxsim not used: {error}"
    removed = len(model.graph.node) - len(simplified.graph.node)
    return simplified, f"onnxsim removed {removed} nodes"


def run_onnxsim(model: onnx.ModelProto, skipped: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Return what onnxsim makes of ``model`` without its ``skipped`` passes, as it is.

    Raises:
        RunnerError: it crashed, failed or wrote nothing.
        TimeoutError: it did not end.
    """
    with scratch_folder() as folder:
        source, target = folder / "in.onnx", folder / "out.onnx"
        source.write_bytes(model.SerializeToString())
        ended = one_shot.run(
            [sys.executable, "-c", _CHILD, str(source), str(target), *skipped],
            folder=folder,
            timeout=_TIMEOUT_SECONDS,
        )
        if ended.failure:
            raise RunnerError(f"it {'crashed' if ended.code < 0 else 'failed'} ({ended.failure})")
        simplified = onnx.ModelProto()
        try:
            simplified.ParseFromString(target.read_bytes())
        except (OSError, DecodeError) as error:
            raise RunnerError("it wrote no model") from error
        return simplified


def _restore(model: onnx.ModelProto, simplified: onnx.ModelProto) -> None:
    """Put back the torch modules, which onnxsim drops; drop the notes that it leaves."""
    restore_modules(model, simplified)
    del simplified.metadata_props[:]
    simplified.metadata_props.extend(model.metadata_props)
    simplified.producer_name = model.producer_name
    simplified.producer_version = model.producer_version


def _check(model: onnx.ModelProto, simplified: onnx.ModelProto) -> None:
    """Refuse what is worse than ``model``.

    Raises:
        RunnerError: ``simplified`` is; says why.
    """
    if _ends(model.graph) != _ends(simplified.graph):
        raise RunnerError("it changed an input or output (a dynamic batch size made fixed?)")
    if len(simplified.graph.node) > len(model.graph.node):
        raise RunnerError("it added nodes")
    known = Counter(node.op_type for node in model.graph.node)
    new = Counter(node.op_type for node in simplified.graph.node) - known
    if new:
        raise RunnerError(f"it added {', '.join(new)}")
    try:
        onnx.checker.check_model(simplified)
    except onnx.checker.ValidationError as error:
        raise RunnerError(f"it is not valid ONNX ({one_line(error)})") from error
    difference = _max_relative(model, simplified)
    if not difference <= _MAX_RELATIVE:
        raise RunnerError(f"it moved the output by {difference:.2g} of the largest value")


def _ends(graph: onnx.GraphProto) -> list[list[TensorSpec]]:
    return [[tensor_spec(value) for value in values] for values in (graph.input, graph.output)]


def _max_relative(model: onnx.ModelProto, simplified: onnx.ModelProto) -> float:
    """Return max |difference| over max |output|, of the worst output, on the same noise."""
    spec = tensor_spec(model.graph.input[0])
    shape = [2 if size is None else size for size in spec.shape]
    feed = np.random.default_rng(0).standard_normal(shape).astype(spec.dtype)
    before, after = (
        open_session(graph.SerializeToString(), SessionSpec(spin=False)).run(
            None, {spec.name: feed}
        )
        for graph in (model, simplified)
    )
    differences = [
        np.abs(expected - got).max() / (np.abs(expected).max() or 1.0)
        for expected, got in zip(before, after, strict=True)
        # Class numbers change where two are a tie.
        if np.issubdtype(expected.dtype, np.floating)
    ]
    return float(np.max(differences, initial=0.0))  # of all: max() would lose a NaN
