"""Input contracts of small nets."""

from __future__ import annotations

from resnet_deploy.spec import InputContract, InputFormat


def square(
    crop: int,
    resize: int | None = None,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    form: InputFormat = InputFormat.FLOAT_NCHW,
) -> InputContract:
    """Return the contract of a net with square inputs; mean and std are ImageNet's by default."""
    usual = InputContract()
    area = crop if resize is None else resize
    return InputContract(
        height=crop,
        width=crop,
        resize=(area, area),
        mean=usual.mean if mean is None else mean,
        std=usual.std if std is None else std,
        format=form,
    )
