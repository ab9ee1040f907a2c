"""What a run tells about an int8 file: notices for its user, facts for its card."""

from __future__ import annotations

from typing import Any

from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.isa.instruction_sets import ISAS, is_native
from resnet_deploy.results import BudgetReport, Verdict


def int8_notices(
    calibration: CalibrationImages, *, amx: bool, data_free: bool = False, trained: bool = False
) -> list[str]:
    """Return what the user of an int8 file must know about how it was made."""
    notices = []
    if trained and not calibration.synthetic:
        notices.append(
            "int8 ranges are those of quantization-aware training: the images of --calibration "
            "set none"
        )
    elif data_free and not trained:
        notices.append(
            "no calibration images: int8 ranges come from the BatchNorm statistics, which costs "
            "1 to 2 dB (ResNet-20 and -32 on CIFAR-10); --calibration DIR is better"
        )
    elif calibration.synthetic and not trained:
        notices.append(
            "no calibration images: int8 ranges come from synthetic images, which measures speed, "
            "not accuracy; use --calibration DIR before you ship"
        )
    if amx:
        notices.append(
            "the int8 kernels are those for CPUs with AMX; other CPUs with VNNI or ARM's dot "
            "product give the same answers, but faster from a file made with --target-isa portable"
        )
    return notices


def rounded(value: float) -> float:
    """Keep three digits: a card must not change with the last bit of a sum."""
    return float(f"{min(value, 999.0):.3g}")


def proven_isas(verdict: Verdict) -> tuple[str, ...]:
    """Return the ISAs that a file proved right on: this CPU's, and where nothing can overflow."""
    here = tuple(name for name, isa in ISAS.items() if is_native(isa))
    safe = verdict.saturation is not None and verdict.saturation.always_safe
    return (*here, "x86-avx2") if safe else here


def budget_figures(budget: BudgetReport) -> dict[str, Any]:
    """Return what the card says about an accuracy budget."""
    reached = budget.best.fidelity
    return {
        "max_drop": budget.max_drop,
        "min_agreement": budget.min_agreement,
        "float_layers": list(budget.float_layers),
        "budget_data": reached.data,
        "budget_samples": reached.samples,
        "drop": None if reached.drop is None else round(reached.drop, 4),
        "agreement": round(reached.agreement, 6),
    }
