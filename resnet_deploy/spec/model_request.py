"""Which network a user asks for; what is left open is read from the checkpoint.

Nothing here imports torch, so the command line can build a request at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from resnet_deploy.errors import SpecError
from resnet_deploy.spec import (
    CHANNEL_COUNTS,
    Design,
    Family,
    ModelSpec,
    Order,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
    residual_spec,
    resnet_spec,
    vgg19_spec,
)
from resnet_deploy.spec.model import check_bn_eps
from resnet_deploy.spec.names import NamedDesign, design_named

_FOR_RESNETS = ("depth", "variant", "shortcut", "stem", "plain", "bn_eps", "padding", "pool")
"""What VGG-19 and factories can't be asked for."""

_RESNET_NAME = re.compile(r"(?P<kind>resnet|plain)[-_]?(?P<depth>\d{1,4})", re.ASCII)

OWN_CODE = "load it with --model package.module:factory"
"""What a refusal of a net that is not built here ends in."""

POOLS = {"blur": Pool.BLUR, "aa": Pool.AVG, "": Pool.PLAIN}
"""By what names of nets say of it."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A network by its properties; None leaves one open.

    ``model`` is ``vgg19``, a name such as ``resnet34`` or ``plain34``, or
    ``package.module:factory`` for any callable that returns an image classifier; ``timm:NAME``,
    ``torchvision:NAME`` and ``hf:FOLDER`` are nets of these packages. ``design`` is that of a file
    which the checkpoint has to fit, where it is not the paper's own.
    """

    depth: int | None = None
    model: str | None = None
    variant: Variant | None = None
    shortcut: Shortcut | None = None
    stem: Stem | None = None
    plain: bool = False
    num_classes: int | None = None
    image_size: int | None = None
    in_channels: int | None = None
    bn_eps: float | None = None
    padding: Padding | None = None
    pool: Pool | None = None
    design: Design | None = None

    @property
    def is_custom(self) -> bool:
        """True when ``model`` names a factory."""
        return self.model is not None and ":" in self.model

    @property
    def is_vgg(self) -> bool:
        """True when ``model`` is VGG-19."""
        return self.model is not None and self.model.lower() in ("vgg19", "vgg-19")

    @property
    def resnet_depth(self) -> int | None:
        """The depth that ``depth`` or ``model`` names, None when neither does.

        Raises:
            SpecError: the two differ.
        """
        named = self._named_resnet()
        depth = self.depth if named is None else int(named["depth"])
        if self.depth not in (None, depth):
            raise SpecError(f"--model {self.model} and --depth {self.depth} differ: give one")
        return depth

    @property
    def named(self) -> NamedDesign | None:
        """What ``model`` names beyond the paper's own nets; None: nothing."""
        if self.model is None or self.is_custom or self.is_vgg:
            return None
        named = design_named(self.model)
        return None if named is None or named.paper else named

    @property
    def is_plain(self) -> bool:
        """True for the paper's nets without shortcuts."""
        named = self._named_resnet()
        return self.plain or (named is not None and named["kind"] == "plain")

    def check(self) -> None:
        """Refuse contradictions.

        Raises:
            SpecError: the model's name is unknown, options that only a ResNet has were given
                for another net, or a shortcut was chosen for a plain net.
        """
        for option, value in (("classes", self.num_classes), ("image size", self.image_size)):
            if value is not None and value < 1:
                raise SpecError(f"the {option} must be at least 1, not {value}")
        if self.in_channels not in (None, *CHANNEL_COUNTS):
            raise SpecError(
                f"--in-channels {self.in_channels} is none of 1 (grey), 3 (RGB) and 4 (RGBA)"
            )
        if self.is_vgg or self.is_custom:
            options = {**vars(self), "plain": self.plain or None}
            for option in _FOR_RESNETS:
                if options[option] is not None:
                    raise SpecError(
                        f"--{option.replace('_', '-')} is for ResNets: drop it, or drop --model "
                        f"{self.model}"
                    )
        elif self.named is not None:
            if self.depth is not None:
                raise SpecError(f"--model {self.model} says the depth: drop --depth")
        elif self.model is not None and self._named_resnet() is None:
            raise SpecError(
                f"no model is called {self.model!r}: use resnet18 to resnet152, a name such as "
                "resnet50d, resnext50_32x4d, seresnet50 or resnetv2_50, vgg19, or "
                "package.module:factory for a model of your own"
            )
        if self.bn_eps is not None:
            check_bn_eps(self.bn_eps)
        if self.is_plain and self.shortcut is not None:
            raise SpecError("a plain net has no shortcuts: drop --shortcut or --plain")

    def spec(self) -> ModelSpec:
        """Return the network's spec with everything left open at its default.

        The spec of a factory has ``num_classes`` and ``in_channels`` 0 until the module has been
        run, where they are not asked for.

        Raises:
            SpecError: the request names no network, or contradicts itself.
        """
        self.check()
        if self.is_custom:
            return ModelSpec(
                family=Family.CUSTOM,
                num_classes=self.num_classes or 0,
                image_size=self.image_size or 224,
                in_channels=self.in_channels or 0,
                factory=self.model,
            )
        if self.is_vgg:
            return vgg19_spec(
                num_classes=self.num_classes,
                image_size=self.image_size,
                in_channels=self.in_channels,
            )
        if self.named is not None:
            return self._named_spec(self.named)
        depth = self.resnet_depth
        if depth is None:
            raise SpecError(
                "no network was named: use --depth 34, --model vgg19, "
                "--model package.module:factory, or --weights FILE"
            )
        return resnet_spec(
            depth,
            num_classes=self.num_classes,
            image_size=self.image_size,
            in_channels=self.in_channels,
            variant=self.variant or Variant.V1_5,
            shortcut=self.shortcut,
            stem=self.stem,
            plain=self.is_plain,
            bn_eps=self.bn_eps,
            padding=self.padding,
            pool=self.pool,
        )

    def _named_resnet(self) -> re.Match[str] | None:
        if self.model is None or self.named is not None:
            return None
        return _RESNET_NAME.fullmatch(self.model.lower())

    def _named_spec(self, named: NamedDesign) -> ModelSpec:
        design, faces = named.design, named.design.order is Order.IRESNET
        stem = self.stem or (Stem.IMAGENET if len(design.stages) == 4 else Stem.CIFAR)
        if faces:
            if self.num_classes is not None or self.stem is not None:
                raise SpecError(
                    f"{named.name} gives an embedding of {design.embedding} values and has a stem "
                    "of its own: drop --num-classes and --stem"
                )
            stem = Stem.CIFAR
        elif stem is not Stem.IMAGENET:
            # One 3x3 for small pictures; the max-pool is the stem's.
            design = replace(design, stem=design.stem[-1:], stem_conv_pool=False)
        if not faces:
            small = 1000 if len(design.stages) == 4 else 10
            design = design.with_classes(self.num_classes or small)
        caffe = Padding.CAFFE if named.legacy else Padding.TORCH
        return residual_spec(
            design,
            image_size=self.image_size,
            variant=self.variant or named_variant(named),
            shortcut=self.shortcut or Shortcut.B,
            stem=stem,
            plain=self.plain,
            bn_eps=self.bn_eps,
            padding=self.padding or caffe,
            pool=self.pool or POOLS[named.pool],
            in_channels=self.in_channels or 3,
        )


def named_variant(named: NamedDesign) -> Variant:
    """Return where a bottleneck of that name strides: Cadene's SE-ResNets follow the paper."""
    grouped = any(stage.groups > 1 for stage in named.design.stages)
    return Variant.V1 if named.legacy and not grouped else Variant.V1_5
