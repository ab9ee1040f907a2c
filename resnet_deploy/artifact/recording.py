"""Writing into a card what was learned after its file was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.onnx_file import Artifact, load, read_model, save
from resnet_deploy.errors import ArtifactError


def record(path: Path, sha256: str, change: Callable[[Card], Card]) -> Artifact:
    """Change the card of the file at ``path`` and nothing else, whole or not at all.

    Args:
        path: a file with a card.
        sha256: of the file that the change is about.
        change: returns the new card.

    Raises:
        ArtifactError: the file has no card, is another one by now, or can't be written.
    """
    path = path.resolve()  # a link stays one
    artifact = load(path)
    check_recordable(artifact)
    assert artifact.card is not None
    if artifact.sha256 != sha256:
        raise ArtifactError(f"{path} was replaced meanwhile, nothing is recorded: run this again")
    card = replace(change(artifact.card), made_sha256=artifact.made_sha256)
    return save(read_model(path), path, card)


def check_recordable(artifact: Artifact) -> None:
    """Refuse a file that has no card to record something in.

    Raises:
        ArtifactError: another tool wrote it.
    """
    if artifact.card is None:
        raise ArtifactError(
            f"{artifact.path} has no card to record in: another tool wrote it; quantize or export "
            "it with resnet-deploy"
        )
