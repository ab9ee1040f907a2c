"""Who takes part: what is made, by whom, and how each of it is run."""

from __future__ import annotations

from dataclasses import dataclass

IMAGENET_DEPTHS = (18, 34, 50)
CIFAR_DEPTHS = (20, 32)


@dataclass(frozen=True, kw_only=True)
class Product:
    """A file that ``module`` makes in the environment ``venv``; empty for our own command.

    ``per_batch``: the file holds for one batch size only. ``missing``: why it can't be made.
    ``given``: the attribute of ``Net`` that has it without any making.
    """

    key: str
    venv: str = ""
    module: str = ""
    options: tuple[str, ...] = ()
    per_batch: bool = False
    missing: str = ""
    given: str = ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A row of the table: ``product`` run by ``runner``; without ``module`` by our own child.

    ``runner`` is the name that it gets.
    """

    key: str
    label: str
    product: str
    precision: str
    runner: str = "ort"
    venv: str = ""
    module: str = ""


PRODUCTS = (
    Product(key="ours", options=("--target-isa", "auto")),
    Product(key="portable", options=("--target-isa", "portable")),
    Product(key="bytes", options=("--target-isa", "auto", "--input", "uint8-nhwc")),
    Product(key="bytes-portable", options=("--target-isa", "portable", "--input", "uint8-nhwc")),
    Product(key="plain", options=("--target-isa", "portable", "--first-conv", "plain")),
    Product(
        key="bytes-plain",
        options=("--target-isa", "portable", "--first-conv", "plain", "--input", "uint8-nhwc"),
    ),
    Product(key="fp32", given="fp32"),
    Product(key="pytorch", venv="torch", given="weights"),
    Product(key="torchao", venv="torch", module="peers.torchao", per_batch=True),
    Product(key="quantize_static", venv="ort", module="peers.quantize_static"),
    Product(key="olive", venv="olive", module="peers.olive"),
    Product(key="optimum", venv="optimum", module="peers.optimum"),
    Product(key="inc", venv="inc", module="peers.inc"),
    Product(key="openvino", venv="openvino", module="peers.openvino"),
    Product(key="nncf", venv="openvino", module="peers.nncf"),
    Product(key="mnn", venv="mnn", module="peers.mnn"),
    Product(key="mnn-int8", venv="mnn", module="peers.mnn_int8"),
    Product(key="ncnn", venv="ncnn", module="peers.ncnn"),
    Product(key="ncnn-int8", missing="ncnn2table and ncnn2int8 are in none of its packages"),
)


def _openvino(key: str, label: str, product: str, precision: str, hint: str) -> Subject:
    return Subject(
        key=key,
        label=label,
        product=product,
        precision=precision,
        runner=f"openvino:{hint}",
        venv="openvino",
        module="peers.openvino",
    )


def _torch(key: str, label: str, product: str, precision: str, runner: str) -> Subject:
    return Subject(
        key=key,
        label=label,
        product=product,
        precision=precision,
        runner=runner,
        venv="torch",
        module="peers.pytorch",
    )


def _own(key: str, label: str, precision: str) -> Subject:
    """A subject that has its runtime in its own environment and module."""
    return Subject(
        key=key,
        label=label,
        product=key,
        precision=precision,
        runner=key,
        venv=key.removesuffix("-int8"),
        module=f"peers.{key.replace('-', '_')}",
    )


SUBJECTS = (
    Subject(key="ours", label="resnet-deploy", product="ours", precision="int8"),
    Subject(key="portable", label="resnet-deploy, portable", product="portable", precision="int8"),
    Subject(key="bytes", label="resnet-deploy, byte input", product="bytes", precision="int8"),
    Subject(
        key="bytes-portable",
        label="resnet-deploy, byte input, portable",
        product="bytes-portable",
        precision="int8",
    ),
    _openvino("ours-ov", "resnet-deploy, portable, OpenVINO", "portable", "int8", "dynamic"),
    _openvino(
        "bytes-ov", "resnet-deploy, byte input, OpenVINO", "bytes-portable", "int8", "dynamic"
    ),
    _openvino("plain-ov", "resnet-deploy, plain stem, OpenVINO", "plain", "int8", "dynamic"),
    _openvino(
        "bytes-plain-ov",
        "resnet-deploy, byte input, plain stem, OpenVINO",
        "bytes-plain",
        "int8",
        "dynamic",
    ),
    _openvino("nncf", "NNCF on OpenVINO", "nncf", "int8", "dynamic"),
    _torch("torchao", "torchao PT2E, X86 Inductor", "torchao", "int8", "exported"),
    Subject(key="optimum", label="Optimum avx512_vnni static", product="optimum", precision="int8"),
    Subject(
        key="quantize_static",
        label="quantize_static, defaults",
        product="quantize_static",
        precision="int8",
    ),
    Subject(key="olive", label="Olive, defaults", product="olive", precision="int8"),
    Subject(key="inc", label="Intel Neural Compressor", product="inc", precision="int8"),
    _own("mnn-int8", "MNN", "int8"),
    _own("ncnn-int8", "ncnn", "int8"),
    _openvino("openvino-bf16", "OpenVINO", "openvino", "bf16", "bf16"),
    _openvino("openvino-f32", "OpenVINO", "openvino", "fp32", "f32"),
    Subject(key="ort-fp32", label="ONNX Runtime", product="fp32", precision="fp32"),
    _own("mnn", "MNN", "fp32"),
    _own("ncnn", "ncnn", "fp32"),
    _torch("compile", "PyTorch, compiled", "pytorch", "fp32", "compile"),
    _torch("eager", "PyTorch, eager", "pytorch", "fp32", "eager"),
)
"""Int8 first, then fp32; the first is what all are compared with."""

ON_LESSER_CPUS = (
    "portable",
    "bytes-portable",
    "ours-ov",
    "bytes-ov",
    "plain-ov",
    "bytes-plain-ov",
    "nncf",
    "torchao",
    "optimum",
    "quantize_static",
    "olive",
    "inc",
    "openvino-f32",
    "ort-fp32",
)
"""What is measured once more as on a lesser CPU; the others are compared with the first."""
