"""The main jobs in one call each: ``export`` and ``quantize``.

Everything is built and checked in a temporary folder; files reach the output folder only when all
checks have passed, whole and both.
"""

from __future__ import annotations

from resnet_deploy.pipeline.export_job import deploy
from resnet_deploy.pipeline.quantize_job import quantize_file
from resnet_deploy.spec.export import ExportRequest

__all__ = ["ExportRequest", "deploy", "quantize_file"]
