"""What the server of ``tests.support.forks`` does once for all the processes that it starts.

It imports what they would and exports a small net: PyTorch's exporter then has parsed the functions
of all its operators and filled its tables, which takes longer than to trace one of the nets. Only
``forks`` imports it, by name, into a process that has one thread. Nothing here may start another.
"""

import importlib

import pytest

from tests.support.traced_once import operators_once

for name in (
    *("onnxscript", "PIL.Image", "rich.console", "torch._dynamo"),
    *("resnet_deploy.api", "resnet_deploy.bundles", "resnet_deploy.cli.main"),
    *("resnet_deploy.deployment", "resnet_deploy.exporter", "resnet_deploy.report"),
    *("resnet_deploy.training.run", "resnet_deploy.tuning"),
):
    importlib.import_module(name)

operators_once(pytest.MonkeyPatch())


def _export() -> None:
    from resnet_deploy.exporter import export_graph
    from resnet_deploy.models.fold import fold_batchnorm
    from resnet_deploy.models.registry import build
    from resnet_deploy.spec import resnet_spec

    export_graph(fold_batchnorm(build(resnet_spec(8)))[0].eval(), image_size=32, opset=17)


_export()
