"""Session options by ONNX Runtime's own names, refused when they don't exist.

ONNX Runtime ignores a session config entry that it does not know, and takes ``true`` for ``0``:
a misspelt option would be measured as one that makes no difference. So all are listed here: the
keys of ``onnxruntime_session_options_config_keys.h`` that ONNX Runtime 1.31 has for CPUs, and the
attributes of its ``SessionOptions``. Keys that begin with ``ep.`` belong to an execution provider.
OpenVINO's properties, in capitals, go to the runners of OpenVINO, which know them all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from resnet_deploy.errors import SpecError

_SWITCHES = (
    "mlas.disable_kleidiai",
    "mlas.enable_gemm_fastmath_arm64_bfloat16",
    "mlas.qnbit.force_fp32",
    "mlas.use_lut_gemm",
    "optimization.enable_cast_chain_elimination",
    "optimization.enable_gelu_approximation",
    "session.allow_released_opsets_only",
    "session.debug_layout_transformation",
    "session.disable_aot_function_inlining",
    "session.disable_cpu_ep_fallback",
    "session.disable_double_qdq_remover",
    "session.disable_prepacking",
    "session.disable_qdq_constant_folding",
    "session.disable_quant_qdq",
    "session.enable_dq_matmulnbits_fusion",
    "session.enable_quant_qdq_cleanup",
    "session.enable_saved_runtime_optimizations",
    "session.force_spinning_stop",
    "session.inter_op.allow_spinning",
    "session.intra_op.allow_spinning",
    "session.prepack.enable_parallel",
    "session.qdqisint8allowed",
    "session.record_ep_graph_assignment_info",
    "session.save_external_prepacked_constant_initializers",
    "session.set_denormal_as_zero",
    "session.strict_shape_type_inference",
    "session.use_device_allocator_for_initializers",
    "session.use_env_allocators",
    "session.use_ort_model_bytes_directly",
    "session.use_ort_model_bytes_for_initializers",
    "session.x64quantprecision",
)
"""Config entries that are 0 or 1."""

_NUMBERS = (
    "mlas.kleidiai.conv_igemm_max_work",
    "mlas.nchwc_pointwise_conv_max_input_channel_batch",
    "optimization.constant_folding_max_output_size_in_bytes",
    "session.dynamic_block_base",
    "session.graph_optimizations_loop_level",
    "session.inter_op.spin_backoff_max",
    "session.inter_op.spin_duration_us",
    "session.intra_op.spin_backoff_max",
    "session.intra_op.spin_duration_us",
    "session.optimized_model_external_initializers_min_size_in_bytes",
    "session.qdq_matmulnbits_accuracy_level",
    "session.qdq_matmulnbits_block_size",
)
"""Config entries that are whole numbers."""

_TEXTS = (
    "mlas.nchwc_depthwise_sliding",
    "optimization.disable_specified_optimizers",
    "optimization.minimal_build_optimizations",
    "session.collect_node_memory_stats_to_file",
    "session.intra_op_thread_affinities",
    "session.load_model_format",
    "session.optimized_model_external_initializers_file_name",
    "session.save_model_format",
)
"""Config entries with a syntax of their own."""

CONFIG_KEYS = _SWITCHES + _NUMBERS + _TEXTS
"""Every session config entry that is let through, besides ``ep.``."""

ATTRIBUTES: dict[str, type[bool | int | str] | dict[str, int]] = {
    "enable_cpu_mem_arena": bool,
    "enable_mem_pattern": bool,
    "enable_mem_reuse": bool,
    "enable_profiling": bool,
    "execution_mode": {"SEQUENTIAL": 0, "PARALLEL": 1},
    "execution_order": {"DEFAULT": 0, "PRIORITY_BASED": 1, "MEMORY_EFFICIENT": 2},
    "graph_optimization_level": {
        "DISABLE_ALL": 0,
        "ENABLE_BASIC": 1,
        "ENABLE_EXTENDED": 2,
        "ENABLE_LAYOUT": 3,
        "ENABLE_ALL": 99,
    },
    "inter_op_num_threads": int,
    "intra_op_num_threads": int,
    "log_severity_level": int,
    "log_verbosity_level": int,
    "logid": str,
    "optimized_model_filepath": str,
    "profile_file_prefix": str,
    "use_deterministic_compute": bool,
    "use_per_session_threads": bool,
}
"""Attributes of ``onnxruntime.SessionOptions``: their type, or ORT's names (``ORT_`` left out)."""

_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_PROPERTY = re.compile(r"[A-Z][A-Z0-9_]*")


def parse_session_options(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the (key, value) of each ``KEY=VALUE``, for ``SessionSpec.options``.

    Raises:
        SpecError: a text has no ``=``, a key comes twice, or as :func:`check_option`.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"session option {text!r} has no value: write KEY=VALUE")
        if key in found:
            raise SpecError(f"session option {key!r} is given twice: choose one value")
        check_option(key, value)
        found[key] = value
    return tuple(found.items())


def is_openvino_property(key: str) -> bool:
    """Return whether ``key`` looks like a property of OpenVINO: all capitals."""
    return _PROPERTY.fullmatch(key) is not None


def check_option(key: str, value: str) -> None:
    """Refuse a session option that ONNX Runtime would ignore or misunderstand.

    Properties of OpenVINO are let through: its runners ask OpenVINO itself.

    Raises:
        SpecError: there is no such key, or it can't have this value.
    """
    if key in ATTRIBUTES:
        attribute_value(key, value)
    elif key in _SWITCHES:
        if value not in ("0", "1"):
            raise _bad(key, value, "0 or 1")
    elif key in _NUMBERS:
        _whole(key, value)
    elif key not in _TEXTS and not key.startswith("ep.") and not is_openvino_property(key):
        raise SpecError(f"there is no session option {key!r}: {_hint(key)}")


def attribute_value(key: str, value: str) -> bool | int | str:
    """Return what the text ``value`` means for attribute ``key``; an enumeration's number.

    Raises:
        SpecError: it means nothing.
    """
    kind = ATTRIBUTES[key]
    if isinstance(kind, dict):
        name = value.upper().removeprefix("ORT_")
        if name in kind:
            return kind[name]
        if value in map(str, kind.values()):
            return int(value)
        raise _bad(key, value, f"one of {', '.join(kind)}")
    if kind is bool:
        if value.lower() not in _FLAGS:
            raise _bad(key, value, "0 or 1")
        return _FLAGS[value.lower()]
    return _whole(key, value) if kind is int else value


def _whole(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise _bad(key, value, "a whole number") from None


def _bad(key: str, value: str, wanted: str) -> SpecError:
    return SpecError(f"session option {key} can't be {value!r}: use {wanted}")


def _hint(key: str) -> str:
    close = difflib.get_close_matches(key, [*CONFIG_KEYS, *ATTRIBUTES], n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "docs/how-to/runners.md lists all of them"
