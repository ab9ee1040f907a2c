"""Quantization-aware training: a network that computes what its int8 file will, with gradients.

:func:`prepare_qat` exports the network and lets ``quantize`` plan it, as ``resnet-deploy export``
does; the module then runs the operators of that plan on codes (``fake_quant.py``). BatchNorm is
folded from the start. Ranges come from calibration and stay; the scales of weights follow the
weights. No pair of products overflows int16, as in the file: all CPUs give the trained answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from resnet_deploy.data.calibration import CalibrationImages, calibration_batch_size
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.exporter import export_graph
from resnet_deploy.models.fold import (
    FoldedNorm,
    fold_batchnorm,
    folded_norms,
    pair_batchnorms,
    unfold,
)
from resnet_deploy.models.layouts import State
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.plan import make_plan
from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.rewrites.opset import DEFAULT_OPSET
from resnet_deploy.rewrites.pixel_input import PIXELS_KEY
from resnet_deploy.spec import FirstConv, InputContract, InputFormat, ModelSpec, QuantSpec
from resnet_deploy.training.data import LabelledImages
from resnet_deploy.training.fake_quant import Step
from resnet_deploy.training.quant_graph import steps_of


class QatNet(nn.Module):
    """A network with fake quantization, in train and eval mode alike.

    Takes normalised images, float32 ``(N, C, H, W)``, and returns logits, float32 ``(N, classes)``:
    those of the int8 file, bit by bit as long as no sum exceeds 2^24. Dropout does nothing. The
    parameters are weights and biases of the folded network under its paths
    (``layer1.0.conv1.bias``); the buffers ``scales`` and ``zero_points`` do not change.

    Args:
        folded: the network without BatchNorms; its layers become those of this one.
        steps: what to compute.
        parameters: scale and zero point of every tensor with a range, by its name in the graph.
        pixels: which of these tensors holds pixels, if any: its range is known without training.
        original: state of the network with its BatchNorms.
        norms: the BatchNorms that were folded.
    """

    scales: Tensor
    zero_points: Tensor

    def __init__(
        self,
        folded: nn.Module,
        steps: Sequence[Step],
        parameters: dict[str, QuantizationParameters],
        pixels: frozenset[str],
        original: State,
        norms: tuple[FoldedNorm, ...],
    ) -> None:
        super().__init__()
        for name, child in folded.named_children():
            self.add_module(name, child)
        self._steps = tuple(steps)
        self._tensors = tuple(parameters)
        self._pixels = pixels
        self._original = original
        self._norms = norms
        last = {name: index for index, step in enumerate(steps) for name in step.reads}
        self._done = tuple(
            tuple(name for name in set(step.reads) if last[name] == index and name != step.gives)
            for index, step in enumerate(steps)
        )
        scales = np.array([tensor.scale for tensor in parameters.values()], np.float32)
        zeros = np.array([tensor.zero_point for tensor in parameters.values()], np.uint8)
        self.register_buffer("scales", torch.from_numpy(scales))
        self.register_buffer("zero_points", torch.from_numpy(zeros))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images``; always in float32, which autocast would not keep."""
        parameters = self._quantization()
        with torch.autocast(images.device.type, enabled=False):
            values = {self._steps[0].reads[0]: images.float()}
            for step, done in zip(self._steps, self._done, strict=True):
                values[step.gives] = step.run([values[name] for name in step.reads], parameters)
                for name in done:
                    del values[name]
        return values[self._steps[-1].gives]

    def float_state(self) -> State:
        """Return the trained float weights under the keys of the network with its BatchNorms.

        Folding its BatchNorms gives exactly the trained weights; see
        :func:`resnet_deploy.models.fold.unfold`.
        """
        return unfold(self._original, dict(self.named_parameters()), self._norms)

    def activation_ranges(self) -> dict[str, tuple[float, float]]:
        """Return the lowest and highest number that the codes of each tensor stand for.

        Parameters made from both are the same again. Pixels are left out: theirs are known.
        """
        return {
            name: tensor.covered
            for name, tensor in self._quantization().items()
            if name not in self._pixels
        }

    def _quantization(self) -> dict[str, QuantizationParameters]:
        scales, zeros = self.scales.numpy(), self.zero_points.numpy()
        return {
            name: QuantizationParameters(scale, zero)
            for name, scale, zero in zip(self._tensors, scales, zeros, strict=True)
        }


def calibration_sample(data: LabelledImages, seed: int) -> CalibrationImages:
    """Return the images that set the ranges: as many as ``export --calibration`` takes."""
    return CalibrationImages(
        dataset=data.dataset,
        indices=spread_sample(data.dataset, QuantSpec().samples_of(data.preprocess.pixels), seed),
        preprocess=data.preprocess,
        batch_size=calibration_batch_size(data.preprocess),
    )


def prepare_qat(
    module: nn.Module,
    spec: ModelSpec,
    preprocess: InputContract,
    calibration: CalibrationImages,
    *,
    threads: int = 0,
    progress: Progress = silent,
) -> QatNet:
    """Return ``module`` with fake quantization, its weights copied.

    Args:
        module: a trained network.
        spec: of the network.
        preprocess: how images become its input.
        calibration: images that set the ranges; preprocessed by ``preprocess``.
        threads: of the calibration; 0 means the physical cores allowed here.
        progress: told about the calibration.

    Raises:
        UnsupportedGraphError: a BatchNorm can't be folded, or a layer has no fake-quantized form.
        ExportError: PyTorch's exporter can't read the network.
        DatasetError: the images can't be read.
    """
    folded, left = fold_batchnorm(module)
    if left:
        raise UnsupportedGraphError(f"--qat needs every BatchNorm folded: {left[0]}")
    pairs, _ = pair_batchnorms(module)
    graph = export_graph(
        folded, image_size=spec.image_size, in_channels=spec.in_channels, opset=DEFAULT_OPSET
    )
    floats = replace(preprocess, format=InputFormat.FLOAT_NCHW, resize_in_graph=False)
    net = quantize_static(
        graph,
        # The kernel as it is: other layouts of its memory have the same sums.
        QuantSpec(first_conv=FirstConv.PLAIN),
        calibration,
        images=len(calibration),
        preprocess=floats,
        threads=threads,
        progress=progress,
    )
    prepared = ir.from_proto(net.prepared)
    plan = make_plan(prepared)
    ranged = [(str(value.name), value.producer()) for value in plan.ranged]
    return QatNet(
        folded.requires_grad_(True),
        steps_of(prepared, plan, folded, floats),
        {name: net.parameters[name] for name, _ in ranged},
        frozenset(
            name
            for name, producer in ranged
            if producer is not None and PIXELS_KEY in producer.metadata_props
        ),
        {name: value.detach().clone() for name, value in module.state_dict().items()},
        folded_norms(module, pairs),
    )
