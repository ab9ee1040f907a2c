"""What was learned of a file after it was made goes into its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.onnx_file import load, with_card
from resnet_deploy.errors import ArtifactError


def recorded(artifact: Artifact, change: Callable[[Card], Card]) -> Artifact:
    """Return the network of ``artifact``, as it was measured, with a changed card, not saved yet.

    Raises:
        ArtifactError: the file has no card, or is another one by now.
    """
    card = check_recordable(artifact)
    path = artifact.path
    if load(path).sha256 != artifact.sha256:
        raise ArtifactError(f"{path} was replaced meanwhile, nothing is recorded: run this again")
    whole = replace(artifact, copy=None)  # all of its outputs
    return with_card(whole, replace(change(card), made_sha256=artifact.made_sha256))


def check_recordable(artifact: Artifact) -> Card:
    """Return the card of a file, to record something in; refuse one that has none.

    Raises:
        ArtifactError: another tool wrote it.
    """
    if artifact.card is None:
        raise ArtifactError(
            f"{artifact.path} has no card to record in: another tool wrote it; quantize or export "
            "it with resnet-deploy"
        )
    return artifact.card
