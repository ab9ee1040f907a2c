"""Small nets of every design of the family."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.spec import (
    Attention,
    BlockKind,
    Design,
    Downsample,
    HeadKind,
    HeadLayer,
    Order,
    uniform_design,
)

BASIC = uniform_design(BlockKind.BASIC, (1, 2, 1, 1), base=8, num_classes=5)
BOTTLENECK = uniform_design(BlockKind.BOTTLENECK, (1, 2, 1, 1), base=8, num_classes=5)
GROUPED = uniform_design(BlockKind.BOTTLENECK, (1, 2, 1, 1), base=8, num_classes=5, groups=4)
WIDE = uniform_design(BlockKind.BOTTLENECK, (2, 1), base=8, num_classes=5, width=2)
DEEP = (4, 6, 8)


def attended(design: Design, kind: Attention, squeezed: int = 3) -> Design:
    stages = tuple(replace(stage, squeezed=squeezed) for stage in design.stages)
    return replace(design, attention=kind, stages=stages)


def pruned(design: Design) -> Design:
    stages = tuple(
        replace(stage, widths=tuple((3 + i, 5 + i) for i in range(len(stage.widths))))
        for stage in design.stages
    )
    return replace(design, stages=stages)


PRE = {"order": Order.PRE, "stem_norm": False, "last_norm": True}

DESIGNS = {
    "basic": BASIC,
    "bottleneck": BOTTLENECK,
    "grouped": GROUPED,
    "wide": WIDE,
    "deep-stem": replace(BOTTLENECK, stem=DEEP),
    "d": replace(BASIC, stem=DEEP, downsample=Downsample.AVG),
    "d-bottleneck": replace(GROUPED, stem=DEEP, downsample=Downsample.AVG),
    "avg-7x7": replace(BOTTLENECK, downsample=Downsample.AVG),
    "se": attended(BASIC, Attention.SE),
    "se-grouped-d": attended(replace(GROUPED, stem=DEEP, downsample=Downsample.AVG), Attention.SE),
    "eca": attended(BOTTLENECK, Attention.ECA),
    "rs": attended(
        replace(BOTTLENECK, stem=DEEP, downsample=Downsample.AVG, stem_conv_pool=True),
        Attention.SE,
    ),
    "senet": attended(pruned(replace(BOTTLENECK, projection_kernel=3)), Attention.SE),
    "pruned": pruned(BOTTLENECK),
    "v2": replace(BASIC, **PRE),  # type: ignore[arg-type]
    "v2-bottleneck": replace(BOTTLENECK, **PRE),  # type: ignore[arg-type]
    "v2-d": replace(BOTTLENECK, stem=DEEP, downsample=Downsample.AVG, **PRE),  # type: ignore[arg-type]
    "v2-without-last-norm": replace(BASIC, order=Order.PRE, stem_norm=False),
    "v2-se": attended(replace(BASIC, **PRE), Attention.SE),  # type: ignore[arg-type]
    "backbone": replace(BASIC, head=()),
    "concat-pool": replace(
        BASIC,
        concat_pool=True,
        head=(
            HeadLayer(path="0", kind=HeadKind.BATCHNORM, outputs=2 * BASIC.stages[-1].channels),
            HeadLayer(path="1", kind=HeadKind.LINEAR, outputs=5),
        ),
    ),
    "faces": replace(BASIC, order=Order.IRESNET, head=(), embedding=6),
}
