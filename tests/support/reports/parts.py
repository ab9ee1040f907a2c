"""What the synthetic results share."""

from __future__ import annotations

from resnet_deploy.results import Environment, OutputDiff

ENVIRONMENT = Environment(
    command="resnet-deploy bench artifacts/resnet34.onnx --report resnet34.html",
    cpu="Example Processor 9000 @ 2.80GHz",
    isa=("avx2", "avx512f", "avx512_vnni"),
    cores=2,
    os="Linux 6.1",
    python="3.11.7",
    versions={"onnxruntime": "1.31.1", "onnx": "1.23.2", "torch": "2.13.0", "numpy": "2.3.1"},
)


def modules() -> list[str]:
    """The modules of ResNet-34 in graph order."""
    names = ["conv1"]
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            names += [f"layer{stage}.{block}.{part}" for part in ("conv1", "conv2")]
            if block == 0 and stage > 1:
                names.append(f"layer{stage}.0.downsample.0")
    return [*names, "fc"]


def diff(name: str, noise: float, *, samples: int = 128) -> OutputDiff:
    return OutputDiff(
        name=name,
        samples=samples,
        max_abs=noise,
        max_reference=30.0,
        signal_power=1000.0,
        noise_power=noise,
        dot=1000.0,
        candidate_power=1000.0 + noise,
    )
