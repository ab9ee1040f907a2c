"""MatMul with constant weights and Add of a constant bias  =>  Gemm.

Other exporters write a linear layer as two operators. ONNX Runtime has one int8 kernel for both,
and it takes Gemm.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import constant
from resnet_deploy.passes.result import PassResult, rewrite_each


def matmul_to_gemm(model: ir.Model) -> PassResult:
    """Replace every MatMul of a matrix by a constant matrix, with the bias that follows if any.

    Refuses inputs of other than two dimensions (Gemm takes matrices only), and a second factor that
    is computed at run time.
    """
    return rewrite_each(model, ("MatMul",), _replace)


def _reason_against(node: ir.Node) -> str | None:
    x, weight = node.inputs[0], constant(node.inputs[1])
    if weight is None:
        return "its second factor is computed at run time"
    if x is None or x.shape is None or len(x.shape) != 2 or weight.ndim != 2:
        return "its factors are not known to be matrices"
    return None if constant(x) is None else "both of its factors are constant"


def _replace(graph: ir.Graph, matmul: ir.Node) -> str | None:
    if (reason := _reason_against(matmul)) is not None:
        return reason
    inputs, last = [*matmul.inputs], matmul
    add = _bias_add(matmul)
    if add is not None:
        bias = next(value for value in add.inputs if value is not matmul.outputs[0])
        inputs, last = [*inputs, bias], add
    gemm = ir.node("Gemm", inputs, name=matmul.name, metadata_props=dict(matmul.metadata_props))
    old = [matmul] if last is matmul else [last, matmul]
    ir.convenience.replace_nodes_and_values(graph, last, old, [gemm], last.outputs, gemm.outputs)
    return None


def _bias_add(matmul: ir.Node) -> ir.Node | None:
    """Return the Add of one constant per output that is the only reader of ``matmul``."""
    y, weight = matmul.outputs[0], constant(matmul.inputs[1])
    uses = list(y.uses())
    if y.is_graph_output() or len(uses) != 1 or uses[0].node.op_type != "Add" or weight is None:
        return None
    biases = [constant(value) for value in uses[0].node.inputs if value is not y]
    fits = len(biases) == 1 and biases[0] is not None and biases[0].shape == weight.shape[1:]
    return uses[0].node if fits else None
