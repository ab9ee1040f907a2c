"""What is asked for: frozen requests, with the paper's and the field's names."""

from resnet_deploy.spec.bench import BenchSpec
from resnet_deploy.spec.budget import Budget
from resnet_deploy.spec.bundle import DEFAULT_REAL_PICTURES, BundleTarget
from resnet_deploy.spec.model import (
    BATCHNORM_EPS,
    IMAGENET_DEPTHS,
    Family,
    ModelSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
    resnet_spec,
    vgg19_spec,
)
from resnet_deploy.spec.output import LABEL_THRESHOLD, OutputKind, OutputSpec
from resnet_deploy.spec.preprocess import (
    CENTER_CROP_RATIO,
    IMAGENET_MEAN,
    IMAGENET_STD,
    InputFormat,
    Preprocess,
    PreprocessOverrides,
)
from resnet_deploy.spec.quant import CalibrationMethod, Effort, FirstConv, QuantSpec, TargetIsa
from resnet_deploy.spec.session import Optimization, SessionSpec
from resnet_deploy.spec.tolerance import (
    ENOUGH_FOR_AGREEMENT,
    FP32_TOLERANCE,
    INT8_MIN_AGREEMENT,
    INT8_TOLERANCE,
    Tolerance,
)
from resnet_deploy.spec.tuning import FileOptions, Objective, RunOptions, TuneSpec
