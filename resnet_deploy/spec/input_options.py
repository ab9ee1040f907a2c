"""What one source, such as the user, says of the input contract."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import TypeVar

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.input_contract import (
    InputContract,
    usual_values,
)
from resnet_deploy.spec.input_words import (
    INTERPOLATIONS,
    LARGEST_SIDE,
    ChannelOrder,
    InputFormat,
    Layout,
    Learned,
    Numbers,
    Pair,
    ResizeMode,
    check_numbers,
    listed,
    pair_of,
    range_of,
    share_of,
)

E = TypeVar("E", bound=enum.Enum)

_LARGEST_STD = 2.0
"""Of values from 0 to 1 or -1 to 1 none is larger."""

_SAME_LEVEL = 0.51
"""Grey levels by which published numbers differ from what they round."""


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What one source, such as the user, says of the input contract; None: it does not say.

    Args:
        mean: Mean of the input, one number a channel in the net's channel order, or one for all;
            on the scale of range (numbers above 1 mean 0-255).
        std: Its standard deviation, likewise.
        range: What black and white become before mean and std: 0-1, 0-255, -1-1, …; alone, nothing
            is subtracted or divided by.
        channel_order: RGB, BGR, grey (one channel), RGBA, or bands (any number of channels).
        layout: Of the input: NCHW or NHWC.
        resize: Size before the crop, in pixels: N, the shorter side, or HEIGHTxWIDTH.
        resize_mode: crop keeps proportions and cuts, squash gives them up, pad adds black.
        interpolation: Filter of the resize: nearest, box, bilinear, bicubic or lanczos.
        crop: Share of the resized picture that the crop keeps, instead of resize: 0.875, 1.0, ….
        image_size: Height and width in pixels, where the file takes any: N or HEIGHTxWIDTH.

    Raises:
        SpecError: one of them is something else, or two contradict each other.
    """

    mean: Numbers | float | None = None
    std: Numbers | float | None = None
    range: tuple[float, float] | str | None = None
    channel_order: ChannelOrder | str | None = None
    layout: Layout | str | None = None
    resize: Pair | int | str | None = None
    resize_mode: ResizeMode | str | None = None
    interpolation: str | None = None
    crop: float | None = None
    image_size: Pair | int | str | None = None

    def __post_init__(self) -> None:
        # Frozen, but a user may write 0.5, "0-255" or "BGR": each becomes its one form.
        put = object.__setattr__
        put(self, "mean", check_numbers("mean", self.mean))
        put(self, "std", check_numbers("std", self.std))
        put(self, "range", range_of(self.range))
        put(self, "resize", pair_of("resize", self.resize))
        put(self, "image_size", pair_of("image-size", self.image_size))
        for name, kind in (
            ("channel_order", ChannelOrder),
            ("layout", Layout),
            ("resize_mode", ResizeMode),
        ):
            put(self, name, _member(kind, name, getattr(self, name)))
        if self.std is not None and not min(self._numbers("std")) > 0:
            raise SpecError(f"--std must be positive, not {min(self._numbers('std')):g}")
        if self.interpolation not in (None, *INTERPOLATIONS):
            raise SpecError(
                f"--interpolation {self.interpolation!r} is unknown: use "
                f"{', '.join(INTERPOLATIONS)}"
            )
        put(self, "crop", share_of(self.crop))
        if self.crop is not None and not 1 / LARGEST_SIDE <= self.crop <= 1:
            raise SpecError(
                f"--crop {self.crop:g} must be a share of the resized picture, from above "
                f"{1 / LARGEST_SIDE:.4f} to 1; for pixels use --resize"
            )
        if self.crop is not None and self.resize is not None:
            raise SpecError("--crop and --resize both set the size before the crop: give one")

    def over(self, usual: InputContract, source: Learned) -> InputContract:
        """Return ``usual`` with what was said in place of its own, as learned from ``source``.

        Raises:
            SpecError: what was said does not fit the rest.
        """
        contract = self._geometry_over(usual, source)
        contract = self._layout_over(contract, source)
        return self._values_over(contract, source)

    def _geometry_over(self, contract: InputContract, source: Learned) -> InputContract:
        said: list[str] = []
        if self.resize_mode is not None:
            mode = ResizeMode(self.resize_mode)
            changed = mode is not contract.resize_mode
            contract = replace(contract, resize_mode=mode)
            if changed:  # the usual resize is another
                contract = contract.with_size(contract.height, contract.width)
            said.append("resize_mode")
            if mode is not ResizeMode.CROP:  # straight to the size
                said.append("resize")
        if self.image_size is not None:
            height, width = _pair(self.image_size)
            if (height, width) != (contract.height, contract.width):
                contract = contract.with_size(height, width)
            said.append("size")
        if self.resize is not None:
            contract = replace(contract, resize=_pair(self.resize))
            said.append("resize")
        elif self.crop is not None:
            rows, columns = (math.floor(n / self.crop) for n in (contract.height, contract.width))
            contract = replace(contract, resize=(rows, columns))
            said.append("resize")
        if self.interpolation is not None:
            contract = replace(contract, interpolation=self.interpolation)
            said.append("interpolation")
        return contract.learned_from(source, said)

    def _layout_over(self, contract: InputContract, source: Learned) -> InputContract:
        if self.layout is None:
            return contract
        last = self.layout is Layout.NHWC
        if contract.format is not InputFormat.UINT8_S2D:
            kinds = {
                (True, False): InputFormat.FLOAT_NCHW,
                (True, True): InputFormat.FLOAT_NHWC,
                (False, False): InputFormat.UINT8_NCHW,
                (False, True): InputFormat.UINT8_NHWC,
            }
            contract = replace(contract, format=kinds[contract.format.is_float, last])
        return contract.learned_from(source, ["layout"])

    def _values_over(self, contract: InputContract, source: Learned) -> InputContract:
        """What a pixel becomes: order, range, mean and std, which depend on each other."""
        said = [name for name in ("channel_order", "range", "mean", "std") if self._says(name)]
        order = ChannelOrder(self.channel_order or contract.channel_order)
        scale, mean, std = contract.range, contract.mean, contract.std
        count = self._count(order, contract)
        if order is ChannelOrder.BANDS:
            self._check_counts(count)
        if count != contract.channels:
            usual = usual_values(order, count)
            mean, std = usual if scale == (0.0, 1.0) else ((0.0,), (1.0,))
        elif order is not contract.channel_order:  # they belong to the colours, not to the places
            mean, std = mean[::-1], std[::-1]
        own = range_of(self.range)
        if own is None and (implied := self._implied_range()) is not None:
            own = implied
            said.append("range")
        if own is not None and own != scale:
            scale, mean, std = own, (0.0,), (1.0,)
        if self.range is not None:
            # A range alone is all there is: what takes 0 to 255 is not normalised besides.
            mean, std = (0.0,), (1.0,)
            said += ["mean", "std"]
        mean = self._numbers("mean") if self.mean is not None else mean
        std = self._numbers("std") if self.std is not None else std
        found = replace(
            contract,
            channel_order=order,
            range=scale,
            mean=mean * count if len(mean) == 1 else mean,
            std=std * count if len(std) == 1 else std,
        )
        if self.range is None and (self.mean is not None or self.std is not None):
            _check_against_known(contract, found)
        return found.learned_from(source, said)

    def _check_counts(self, count: int) -> None:
        """Refuse numbers for another count of bands, which would say that there are as many."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if isinstance(numbers, tuple) and len(numbers) not in (1, count):
                raise SpecError(
                    f"--{name} has {len(numbers)} numbers, and the input {count} bands: give "
                    f"{count}, or one for all"
                )

    def _count(self, order: ChannelOrder, contract: InputContract) -> int:
        """Return the number of channels; that of bands is the contract's, or that of the means."""
        if order.channels is not None:
            return order.channels
        if contract.channel_order is ChannelOrder.BANDS:
            return contract.channels
        said = [self._numbers(name) for name in ("mean", "std") if self._says(name)]
        return max((len(numbers) for numbers in said), default=contract.channels)

    def _says(self, name: str) -> bool:
        return getattr(self, name) is not None

    def _numbers(self, name: str) -> Numbers:
        numbers = check_numbers(name, getattr(self, name))
        assert numbers is not None, "the caller asked"
        return numbers

    def _implied_range(self) -> tuple[float, float] | None:
        """The scale that mean and std are on: above 1, or 2, they are of grey levels.

        Raises:
            SpecError: they are on two scales.
        """
        mean = 0.0 if self.mean is None else max(map(abs, self._numbers("mean")))
        std = 1.0 if self.std is None else max(self._numbers("std"))
        if std > _LARGEST_STD and 0 < mean <= 1:
            raise SpecError(
                f"--mean {mean:g} is of values from 0 to 1 and --std {std:g} of grey levels: "
                "give both on one scale, or say --range"
            )
        if mean > 1 or std > _LARGEST_STD:
            return (0.0, 255.0)
        return (0.0, 1.0) if mean > 0 else None

    @property
    def says_something(self) -> bool:
        """Whether any of it is said."""
        return self != InputOptions()


def _check_against_known(known: InputContract, found: InputContract) -> None:
    """Refuse a mean or std that is applied on top of what the net is known to take.

    The same written in another way is fine: mean and std 0.5 on 0 to 1 are -1 to 1.

    Raises:
        SpecError: it is something else.
    """
    sources = {known.learned.get(name) for name in ("range", "mean", "std")}
    if not sources & {Learned.GRAPH, Learned.METADATA}:
        return
    pairs = zip((*known.levels, *known.slopes), (*found.levels, *found.slopes), strict=False)
    if known.channels == found.channels and all(abs(a - b) < _SAME_LEVEL for a, b in pairs):
        return
    source = Learned.GRAPH if Learned.GRAPH in sources else Learned.METADATA
    low, high = known.range
    rest = f", mean {listed(known.mean)}, std {listed(known.std)}" if known.normalises else ""
    raise SpecError(
        f"by its {source.value} the net takes {low:g} to {high:g}{rest}, and --mean and --std say "
        "something else: drop them, or say --range as well to overrule it"
    )


def _pair(value: Pair | int | str) -> Pair:
    found = pair_of("resize", value)
    assert found is not None, "the caller asked"
    return found


def _member(kind: type[E], name: str, value: object) -> E | None:
    """Return the member of ``kind`` that ``value`` is or names, in any case; None stays None."""
    if value is None or isinstance(value, kind):
        return value
    by_name = {str(member.value).lower(): member for member in kind}
    found = by_name.get(str(value).lower().replace("gray", "grey"))
    if found is None:
        words = ", ".join(str(member.value) for member in kind)
        raise SpecError(f"--{name.replace('_', '-')} {str(value)[:60]!r} is unknown: use {words}")
    return found
