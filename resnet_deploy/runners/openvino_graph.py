"""What OpenVINO makes of a file: the kernels of its compiled graph, with their precisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_deploy.errors import RunnerError
from resnet_deploy.runners.openvino_runner import import_openvino, properties, reason
from resnet_deploy.spec import SessionSpec

_NO_WORK = frozenset({"Const", "Input", "Output"})


@dataclass(frozen=True)
class CompiledNode:
    """One node of a compiled graph.

    ``kernel`` ends with the precision it computes in, ``I8`` for int8. ``precisions`` are those
    that go in and come out, ``shape`` that of the result; ``layers`` are the operators of the file
    that it computes, with commas between.
    """

    operator: str
    kernel: str
    precisions: str
    shape: tuple[int, ...]
    layers: str

    @property
    def kind(self) -> tuple[str, str, str]:
        """What nodes are counted by."""
        return self.operator, self.kernel, self.precisions

    @property
    def is_int8(self) -> bool:
        """Whether it multiplies in int8."""
        return self.kernel.upper().endswith("I8")


def compiled_nodes(path: Path, threads: int) -> list[CompiledNode]:
    """Compile the file at ``path`` for one image and return what runs, in order.

    Raises:
        MissingDependencyError: openvino is not installed.
        RunnerError: OpenVINO refuses the file.
    """
    openvino = import_openvino()
    try:
        core = openvino.Core()
        model = core.read_model(str(path))
        shape = model.inputs[0].partial_shape
        model.reshape([1, *(size.get_length() for size in list(shape)[1:])])
        compiled = core.compile_model(model, "CPU", properties(SessionSpec(threads=threads)))
        return [
            CompiledNode(
                operator=operator,
                kernel=_fact(node, "primitiveType"),
                precisions=f"{','.join(precisions)} -> {_fact(node, 'outputPrecisions')}",
                shape=tuple(node.output(0).shape),
                layers=_fact(node, "originalLayersNames"),
            )
            for node in compiled.get_runtime_model().get_ordered_ops()
            for operator, precisions in [(_fact(node, "layerType"), _input_precisions(node))]
            # What reads constants alone was done when compiling.
            if operator not in _NO_WORK
            and not all(_fact(source, "layerType") == "Const" for source in _sources(node))
        ]
    except RuntimeError as error:
        raise RunnerError(f"OpenVINO refuses {path}: {reason(error)}") from error


def _sources(node: Any) -> list[Any]:
    return [port.get_source_output().get_node() for port in node.inputs()]


def _input_precisions(node: Any) -> list[str]:
    """Return those of what ``node`` reads; a node says those of all its outputs at once."""
    outputs = [port.get_source_output() for port in node.inputs()]
    named = [_fact(output.get_node(), "outputPrecisions").split(",") for output in outputs]
    return [
        names[output.get_index()] if output.get_index() < len(names) else names[-1]
        for names, output in zip(named, outputs, strict=True)
    ]


def _fact(node: Any, key: str) -> str:
    facts = node.get_rt_info()
    return str(facts[key].value) if key in facts else ""
