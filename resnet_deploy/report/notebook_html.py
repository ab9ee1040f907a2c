"""Values as a notebook shows them: results as their page in a frame, files and networks as facts.

What Jupyter puts into its own document is neither scripted nor styled by a file: a page has rules
for ``body`` and its own headings, so it stands in a frame that is a document of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from resnet_deploy.visible import visible_line

if TYPE_CHECKING:
    from resnet_deploy.artifact.artifact import Artifact
    from resnet_deploy.models.network import Network

_FRAME = Markup(
    '<iframe sandbox="" title="{title}" srcdoc="{page}" '
    'style="width: 100%; height: 34em; border: 0; resize: vertical"></iframe>'
)
_FACTS = Markup("<table><caption>{title}</caption>{rows}</table>")
_FACT = Markup('<tr><th scope="row">{name}</th><td style="text-align: left">{value}</td></tr>')


def frame(title: str, page: str) -> str:
    """Return the whole document ``page`` as a frame without scripts, forms or an origin."""
    # An attribute that is escaped is one document again when it is read; a plain string is escaped.
    return _FRAME.format(title=visible_line(title), page=str(page))


def artifact(file: Artifact) -> str:
    """Return what ``file`` is: precision, input, outputs, how pictures are fed."""
    return _facts(
        file.path.name,
        {
            "precision": file.precision,
            "opset": str(file.opset),
            "input": str(file.input),
            "outputs": ", ".join(map(str, file.outputs)),
            "answers": file.output_kind.value,
            "classes": _some(file.class_names),
            "pictures": file.preprocess.sentence,
            "SHA-256": file.sha256,
        },
    )


def network(net: Network) -> str:
    """Return what ``net`` is, where its weights came from, and what of it is assumed."""
    return _facts(
        net.spec.name,
        {
            "weights": f"{net.source.kind} {net.source.file or ''}",
            "parameters": f"{sum(one.numel() for one in net.module.parameters()):,}",
            "classes": _some(net.labels),
            "pictures": net.preprocess.sentence,
            "assumed": net.assumption,
        },
    )


def _facts(title: str, facts: dict[str, str]) -> str:
    rows = (
        _FACT.format(name=name, value=visible_line(value.strip()))
        for name, value in facts.items()
        if value.strip()
    )
    return _FACTS.format(title=visible_line(title), rows=Markup("").join(rows))


def _some(names: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names)})" if len(names) > most else "")
