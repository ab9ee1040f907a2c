"""What a bundle is for."""

from __future__ import annotations

import enum

DEFAULT_REAL_PICTURES = 8
"""How many of a dataset become golden cases."""

MOST_REAL_PICTURES = 200


class BundleTarget(str, enum.Enum):
    """``cpp``: C++17 and C; ``mobile``: Android and iOS; ``node``: Node.js.

    ``web``: a static page; ``triton``: a model repository for a server.
    """

    CPP = "cpp"
    MOBILE = "mobile"
    NODE = "node"
    WEB = "web"
    TRITON = "triton"


class BundleRuntime(str, enum.Enum):
    """What runs the network of a bundle.

    ``auto``: the one that ``tune`` found fastest for this file, ONNX Runtime where it never looked.
    ``both``: that one, and the other where a host lacks it.
    """

    AUTO = "auto"
    ORT = "ort"
    OPENVINO = "openvino"
    BOTH = "both"
