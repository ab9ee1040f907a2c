"""The usual names of residual nets, such as ``seresnext26d_32x4d``, and the designs they stand for.

As timm composes them, with or without underscores and hyphens: attention, kind, what filters,
depth, stem, cardinality. Sources: timm's ``models/resnet.py``, ``resnetv2.py`` and ``senet.py``;
insightface's ``iresnet.py``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from resnet_deploy.spec.residual import (
    PAPER_BLOCKS,
    Attention,
    BlockKind,
    Design,
    Downsample,
    Order,
    Stage,
    uniform_design,
)

_BASIC, _BOTTLENECK = BlockKind.BASIC, BlockKind.BOTTLENECK

_BLOCKS: dict[str, tuple[BlockKind, tuple[int, ...]]] = {
    "10": (_BASIC, (1, 1, 1, 1)),
    "14": (_BOTTLENECK, (1, 1, 1, 1)),
    "26": (_BOTTLENECK, (2, 2, 2, 2)),
    **{str(depth): blocks for depth, blocks in PAPER_BLOCKS.items()},
    "200": (_BOTTLENECK, (3, 24, 36, 3)),
    "201": (_BOTTLENECK, (3, 24, 36, 4)),
    "269": (_BOTTLENECK, (3, 30, 48, 8)),
    "rs270": (_BOTTLENECK, (4, 29, 53, 4)),
    "rs350": (_BOTTLENECK, (4, 36, 72, 4)),
    "rs420": (_BOTTLENECK, (4, 44, 87, 4)),
    "v2-164": (_BOTTLENECK, (18, 18, 18)),
    "i18": (_BASIC, (2, 2, 2, 2)),
    "i34": (_BASIC, (3, 4, 6, 3)),
    "i50": (_BASIC, (3, 4, 14, 3)),
    "i100": (_BASIC, (3, 13, 30, 3)),
    "i200": (_BASIC, (6, 26, 60, 6)),
}
"""By depth, which names round: ResNet-201 has 203 layers."""

_STEMS: dict[str, tuple[tuple[int, ...], Downsample]] = {
    "": ((64,), Downsample.STRIDE),
    "c": ((32, 32, 64), Downsample.STRIDE),
    "s": ((64, 64, 128), Downsample.STRIDE),
    "d": ((32, 32, 64), Downsample.AVG),
    "e": ((64, 64, 128), Downsample.AVG),
    "t": ((24, 32, 64), Downsample.AVG),
}

_NAME = re.compile(
    r"(?P<legacy>legacy[-_]?)?(?P<attention>eca|se)?[-_]?(?:(?P<wide>wide[-_]?)?"
    r"(?P<kind>i?resnet|resnext|senet)(?P<v2>v2[-_]?)?(?P<pool>aa|blur)?(?P<rs>rs)?[-_]?"
    r"(?P<depth>\d{1,4})(?P<stem>[cdest]?)(?:[-_](?P<groups>\d{1,3})x(?P<width>\d{1,3})d)?"
    r"(?:[-_](?P<factor>\d{1,2}))?|(?P<light>resnet[-_]?light))",
    re.ASCII,
)

_OF_OTHERS = ("legacy", "attention", "wide", "v2", "pool", "rs", "stem", "groups", "factor")
"""Parts of a name that the paper's nets don't have."""

_CALLED_OTHERWISE = {
    "seresnext26tn_32x4d": "seresnext26t_32x4d",
    "seresnextaa201d_32x8d": "seresnextaa201e_32x8d",  # and this one a stem of twice the width
}


@dataclass(frozen=True, kw_only=True)
class NamedDesign:
    """What a name says.

    Args:
        name: without tags, as it was given.
        design: for 1000 classes; an iResNet has none.
        pool: ``blur``, ``aa`` (the mean), or empty.
        legacy: one of Cadene's, which pools and strides as Caffe's nets.
        paper: whether the paper's own depths and options say as much.
    """

    name: str
    design: Design
    pool: str = ""
    legacy: bool = False
    paper: bool = False


def design_named(name: str) -> NamedDesign | None:
    """Return what ``name`` stands for; None: it is none of this family."""
    given = name.lower()
    found = _NAME.fullmatch(_CALLED_OTHERWISE.get(given, given))
    if found is None:
        return None
    legacy = found["legacy"] is not None
    if found["light"]:
        if found["attention"] != "eca" or legacy:
            return None
        light = uniform_design(_BOTTLENECK, (1, 1, 11, 3))
        light = replace(light, downsample=Downsample.AVG)
        return NamedDesign(name=name, design=_attended(light, Attention.ECA, 1 / 16))
    design = _built(found)
    if design is None:
        return None
    paper = found["kind"] == "resnet" and not any(found[part] for part in _OF_OTHERS)
    paper = paper and (int(found["depth"]) in PAPER_BLOCKS or len(design.stages) == 3)
    return NamedDesign(
        name=name, design=design, pool=found["pool"] or "", legacy=legacy, paper=paper
    )


def usual_depth(block: BlockKind, blocks: tuple[int, ...]) -> int | None:
    """Return the depth that a net of these blocks is called by; None: it has no usual name."""
    known = (name for name, net in _BLOCKS.items() if net == (block, blocks) and name.isdigit())
    return next(map(int, known), None)


def _built(found: re.Match[str]) -> Design | None:
    if found["kind"] == "iresnet":
        return None if any(found[part] for part in _OF_OTHERS) else _iresnet(found["depth"])
    if found["kind"] == "senet":
        legacy = found["legacy"] is not None
        return _senet154(legacy=legacy) if found["depth"] == "154" else None
    design = _of_numbers(found)
    if design is None:
        return None
    stem, downsample = _STEMS["d" if found["rs"] else found["stem"]]
    if stem != (64,):
        # As narrow as the net: a CIFAR net's stem gives 16 channels.
        stem = tuple(channels * design.stem[0] // 64 for channels in stem)
        design = replace(design, stem=stem, downsample=downsample)
    if found["v2"]:
        design = replace(design, order=Order.PRE, stem_norm=False, last_norm=True)
    if found["rs"]:
        return _attended(replace(design, stem_conv_pool=True), Attention.SE, 1 / 4)
    kinds = {"se": Attention.SE, "eca": Attention.ECA}
    attention = kinds.get(found["attention"] or "", Attention.NONE)
    if found["legacy"]:
        basic = design.block is _BASIC
        attention = Attention.SE_RELU if basic else Attention.SE
    return _attended(design, attention, 1 / 16, multiple=1 if found["legacy"] else 8)


def _of_numbers(found: re.Match[str]) -> Design | None:
    """Return the net of that depth, cardinality and width; None: the parts don't fit."""
    depth, grouped = found["depth"], found["groups"] is not None
    kind = "rs" if found["rs"] else "v2-" if found["v2"] else ""
    known = _BLOCKS.get(f"{kind}{depth}")
    block, blocks = known or _BLOCKS.get(depth) or _small(depth)
    if found["wide"] and block is _BASIC:
        return _wide(int(depth), int(found["factor"] or 0))
    wide = (found["wide"] is None, found["factor"] is None)
    if not blocks or grouped is not (found["kind"] == "resnext") or wide[0] is not wide[1]:
        return None
    groups = int(found["groups"] or 1)
    width = int(found["width"]) * groups / 64 if grouped else float(found["factor"] or 1)
    # The small nets of ResNeXt's paper begin as wide as its large ones (section 5.3).
    base = 64 if len(blocks) == 4 or grouped else 16
    odd = groups < 1 or not 0 < width <= 64 or base * width % groups
    if odd or (block is _BASIC and grouped) or (found["legacy"] and found["attention"] != "se"):
        return None
    return uniform_design(block, blocks, groups=groups, width=width, base=base)


def _small(depth: str) -> tuple[BlockKind, tuple[int, ...]]:
    """Return the blocks of a CIFAR net: 6n+2 layers of basic blocks, else 9n+2 of bottlenecks."""
    layers = int(depth) - 2
    for block, of_each in ((_BASIC, 6), (_BOTTLENECK, 9)):
        if 0 < layers <= 1200 and layers % of_each == 0:
            return block, (layers // of_each,) * 3
    return _BASIC, ()


def _wide(depth: int, factor: int) -> Design | None:
    """Return a CIFAR net of Wide ResNet's paper: 6n+4 layers, pre-activated, its stem not wider."""
    count = (depth - 4) // 6
    if (depth - 4) % 6 or not 0 < count <= 200 or not 0 < factor <= 64:
        return None
    design = uniform_design(_BASIC, (count,) * 3, base=16 * factor)
    return replace(design, stem=(16,), order=Order.PRE, stem_norm=False, last_norm=True)


def _attended(design: Design, kind: Attention, share: float, *, multiple: int = 8) -> Design:
    """Return ``design`` with attention: SE through ``share`` of the channels, rounded as timm does.

    ECA's kernel grows with the logarithm of the channels (its paper, equation 12).
    """
    if kind is Attention.NONE:
        return design

    def squeezed(stage: Stage) -> int:
        if kind is Attention.ECA:
            kernel = int((math.log2(stage.channels) + 1) / 2)
            return max(kernel if kernel % 2 else kernel + 1, 3)
        return max(multiple, int(stage.channels * share + multiple / 2) // multiple * multiple)

    stages = tuple(replace(stage, squeezed=squeezed(stage)) for stage in design.stages)
    return replace(design, attention=kind, stages=stages)


def _iresnet(depth: str) -> Design | None:
    known = _BLOCKS.get(f"i{depth}")
    if known is None:
        return None
    design = uniform_design(*known)
    return replace(design, order=Order.IRESNET, head=(), embedding=512)


def _senet154(*, legacy: bool) -> Design:
    design = uniform_design(_BOTTLENECK, (3, 8, 36, 3), groups=64, width=4.0)
    halved = tuple(
        replace(stage, widths=tuple((first // 2, second) for first, second in stage.widths))
        for stage in design.stages
    )
    design = replace(design, stages=halved, stem=(64, 64, 128), projection_kernel=3)
    return _attended(design, Attention.SE, 1 / 16, multiple=1 if legacy else 8)


def design_name(design: Design, *, pool: str = "", small: bool = False) -> str:
    """Return the usual name of ``design``, as the stem of a file; where it has none, its numbers.

    Args:
        design: of a net.
        pool: as in :class:`NamedDesign`.
        small: its stem is for small pictures, so that it tells nothing.
    """
    first = design.stages[0]
    prefix = {Attention.NONE: "", Attention.ECA: "eca"}.get(design.attention, "se")
    if design.stem_conv_pool and prefix == "se":
        prefix = ""
    light = (design.blocks, design.downsample) == ((1, 1, 11, 3), Downsample.AVG)
    if light and prefix == "eca" and len(design.stem) == 1:
        return "ecaresnetlight"
    if design.order is Order.IRESNET:
        return f"{prefix}iresnet{_depth(design, 'i')}"
    if design.projection_kernel == 3:
        return f"{prefix or 'no-se'}net{design.depth + 2 if design.depth == 152 else design.depth}"
    rs = "rs" if design.stem_conv_pool else ""
    v2 = "v2-" if design.order is Order.PRE else ""
    depth = f"{rs}{_depth(design, rs or v2)}{_stem(design, small=small)}"
    base = first.channels // design.block.expansion
    usual = 16 if len(design.stages) == 3 and first.groups == 1 else 64
    width = "" if base == usual else f"-w{base}"
    inner = first.widths[0][-1]
    if first.groups > 1:
        of_each = inner * 64 // (base * first.groups) if base else 0
        return f"{prefix}resnext{v2}{pool}{depth}-{first.groups}x{of_each}d{width}"
    wide = _wide(design.depth + 2, base // 16)
    if base > 16 and wide is not None and replace(wide, head=design.head) == design:
        prefix, v2, depth, width = "wide-", "", str(design.depth + 2), f"-{base // 16}"
    elif design.block is _BOTTLENECK and inner != base and base and inner % base == 0:
        prefix, width = f"{prefix}wide-", f"-{inner // base}"
    return f"{prefix}resnet{v2}{pool}{depth}{width}"


def _depth(design: Design, kind: str) -> str:
    """Return the depth that a net of these blocks is called by, or its own and its blocks."""
    net = (design.block, design.blocks)
    for known in (kind, ""):
        for name, blocks in _BLOCKS.items():
            if blocks == net and name.removeprefix(known).isdigit() and name.startswith(known):
                return name.removeprefix(known)
    if _small(str(design.depth)) == net:
        return str(design.depth)
    return f"{design.depth}-{'-'.join(map(str, design.blocks))}"


def _stem(design: Design, *, small: bool) -> str:
    if design.stem_conv_pool and design.stem == (32, 32, 64):
        return ""
    average = design.downsample is Downsample.AVG
    if len(design.stem) == 1:
        return ("d" if small else "-avg") if average else ""
    first, scale = design.stages[0].channels // design.block.expansion, 64
    if len(design.stages) == 3 and first:
        scale = first
    scaled = tuple(channels * 64 // scale for channels in design.stem)
    for letter, known in _STEMS.items():
        if known == (scaled, design.downsample):
            return letter
    return f"-stem{'-'.join(map(str, design.stem))}{'-avg' if average else ''}"
