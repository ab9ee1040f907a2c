"""What a user says of an ONNX file that does not say it itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from resnet_deploy.spec.input_options import InputOptions
from resnet_deploy.spec.output import OutputKind


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a file answers, and how its pictures are prepared; the rest is read from the file.

    ``output_name`` is which of its outputs is meant, where it has several.
    """

    output_name: str | None = None
    output_kind: OutputKind | None = None
    input_options: InputOptions = field(default_factory=InputOptions)


NOTHING_TOLD = Told()
