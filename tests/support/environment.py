"""A machine for results that were not measured."""

from __future__ import annotations

from resnet_deploy.results import Environment

HERE = Environment(
    command="test",
    cpu="a CPU",
    isa=("avx2", "avx512_vnni"),
    cores=2,
    os="an OS",
    python="3.11",
    versions={},
)
"""An x86 CPU whose int8 kernels can't overflow."""
