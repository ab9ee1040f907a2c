"""What every target is made from: the network, its contract, golden cases and tolerances."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.golden import Answer, GoldenCase
from resnet_deploy.bundles.outputs import Output, outputs_of
from resnet_deploy.bundles.rendering import render, templates_in
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.bundles.third_party import Shipped
from resnet_deploy.bundles.wording import (
    assumption,
    described_outputs,
    preparation,
    role,
    title,
    weights,
)
from resnet_deploy.spec import BundleTarget
from resnet_deploy.version import __version__

MODEL_FILE = "model.onnx"
ALTERNATIVE_FILE = "alternative.onnx"
LABELS_FILE = "labels.txt"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One model file in a bundle, and what it answers to the golden cases.

    ``file`` is its name in the bundle. ``runtimes`` are what it runs on, in the order in which a
    program tries them; ``answers`` has a row for each of them, with an answer for each case, and
    ``tolerances`` bounds max |difference| / max |score| for each of them.
    """

    file: str
    data: bytes
    artifact: Artifact
    runtimes: tuple[Runtime, ...]
    answers: tuple[tuple[Answer, ...], ...]
    tolerances: tuple[float, ...]

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.data).hexdigest()

    def scores_file(self, case: GoldenCase, runtime: Runtime) -> str:
        """Return the file of this network's scores for ``case`` on one of its runtimes.

        It holds little-endian float32; of features what is recorded of each output, one after the
        other. Those of the first runtime don't name it.
        """
        named = "" if runtime == self.runtimes[0] else f".{runtime.kind.value}"
        return f"golden/{case.name}.{self.file.rpartition('.')[0]}{named}.scores"

    def top1_is_decided(self, runtime: int, case: int) -> bool:
        """Return whether no difference within the tolerance can change the best class.

        ``runtime`` and ``case`` are indices into ``answers``.
        """
        answer = self.answers[runtime][case]
        if answer.top1 is None:
            return False
        return answer.margin > 2 * self.tolerances[runtime] * float(abs(answer.scores).max())


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a target made: all files but the manifest, by name.

    ``commands``, run one after the other in the folder, make the self-test and run it. ``notes``
    are sentences that the receiver should know.
    """

    files: dict[str, bytes]
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Everything a target needs.

    ``networks`` is the model, and behind it the alternative where there is one: the same network in
    another precision, with the same input. ``why`` says why it runs on the first of ``runtimes``,
    and ``ratio`` how many times faster that was than the default file, where ``tune`` measured it.
    ``shipped`` are the runtimes that come along.
    """

    target: BundleTarget
    contract: Contract
    networks: tuple[Network, ...]
    cases: tuple[GoldenCase, ...]
    min_onnxruntime: str
    max_onnxruntime: str
    why: str = ""
    ratio: float | None = None
    shipped: tuple[Shipped, ...] = ()

    @property
    def network(self) -> Network:
        """The model that the bundle was asked for."""
        return self.networks[0]

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """What the bundle runs on, in the order in which a program tries them."""
        return self.network.runtimes

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The float32 outputs of all networks, in order.

        Raises:
            UnsupportedGraphError: they have another shape for some picture or network.
        """
        rows = (row for network in self.networks for row in network.answers)
        return outputs_of(self.contract, [answer for row in rows for answer in row])

    @property
    def labels_file(self) -> str | None:
        """The file of the labels; None where the networks name no classes."""
        return LABELS_FILE if self.contract.has_classes else None

    def common_files(self) -> dict[str, bytes]:
        """Return what most bundles hold: networks, labels and golden cases, by name."""
        files = {network.file: network.data for network in self.networks}
        if self.labels_file is not None:
            labels = "".join(f"{label}\n" for label in self.contract.labels)
            files[self.labels_file] = labels.encode()
        every = [output.every for output in self.outputs]
        for index, case in enumerate(self.cases):
            files.update(case.files())
            for network in self.networks:
                for runtime, answers in zip(network.runtimes, network.answers, strict=True):
                    files[network.scores_file(case, runtime)] = answers[index].to_bytes(every)
        return files

    def shipped_files(self) -> dict[str, bytes | Path]:
        """Return what the bundle holds of runtimes, by name: files, and files to copy."""
        found: dict[str, bytes | Path] = {}
        for runtime in self.shipped:
            found.update(runtime.files)
            found.update(runtime.copies)
        return found

    def render(self, template: str, **more: Any) -> bytes:
        """Return a template filled in with the kit's fields and ``more``."""
        values = {
            "target": self.target.value,
            "contract": self.contract,
            "preprocess": self.contract.preprocess,
            "preparation": preparation(self.contract.preprocess),
            "assumption": assumption(self.contract.preprocess),
            "network": self.network,
            "networks": self.networks,
            "runtimes": self.runtimes,
            "why": self.why,
            "outputs": self.outputs,
            "labels_file": self.labels_file,
            "role": role(self.contract),
            "title": title(self.contract),
            "described_outputs": described_outputs(self.contract, self.outputs),
            "cases": self.cases,
            # An alternative is the same network in another precision.
            "weights": weights(self.network.artifact.card),
            "real_pictures": any(case.is_real for case in self.cases),
            "shipped": self.shipped,
            "version": __version__,
            "min_onnxruntime": self.min_onnxruntime,
            "max_onnxruntime": self.max_onnxruntime,
            **more,
        }
        return render(template, values)

    def render_folder(self, folder: str, *, under: str = "", **more: Any) -> dict[str, bytes]:
        """Return every template of ``folder`` filled in, by its name ``under`` a path or prefix."""
        return {
            f"{under}{name}": self.render(f"{folder}/{name}", **more)
            for name in templates_in(folder)
        }
