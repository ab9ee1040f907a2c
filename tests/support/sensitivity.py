"""Results of the search for float layers, in numbers that can be worked out by hand."""

from __future__ import annotations

from resnet_deploy.results import Fidelity, LayerSensitivity, PairedTimes, PairedTop1


def fidelity(
    noise: float = 1.0, *, agreeing: int = 90, wrong: int | None = None, right: int = 0
) -> Fidelity:
    paired = None
    if wrong is not None:
        paired = PairedTop1(samples=100, newly_right=right, newly_wrong=wrong)
    return Fidelity(
        data="test",
        samples=100,
        agreeing=agreeing,
        signal_power=1000.0,
        noise_power=noise,
        paired=paired,
    )


def times(slowdown: float = 1.1) -> PairedTimes:
    int8 = (2_000_000,) * 10
    return PairedTimes(int8_ns=int8, mixed_ns=tuple(round(one * slowdown) for one in int8))


def layer(name: str, noise: float, slowdown: float = 1.1) -> LayerSensitivity:
    return LayerSensitivity(
        name=name,
        modules=(name,),
        int8=fidelity(wrong=3),
        mixed=fidelity(noise, agreeing=95, wrong=1),
        times=times(slowdown),
    )


def same_turns(*_: object, **__: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stand in for ``take_turns``: on a busy machine layers would come in another order each time.

    Every layer costs the same.
    """
    found = times()
    return found.int8_ns, found.mixed_ns
