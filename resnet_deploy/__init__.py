"""ResNets from a PyTorch checkpoint to the fastest correct ONNX file for CPUs."""

from __future__ import annotations

__version__ = "0.1.0"
