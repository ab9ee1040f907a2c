"""What is asked for: frozen requests, with the paper's and the field's names."""

from resnet_deploy.spec.bench import BenchSpec
from resnet_deploy.spec.budget import Budget
from resnet_deploy.spec.bundle import (
    DEFAULT_REAL_PICTURES,
    MOST_REAL_PICTURES,
    BundleRuntime,
    BundleTarget,
)
from resnet_deploy.spec.cluster import ClusterSpec
from resnet_deploy.spec.input_contract import (
    CENTER_CROP_RATIO,
    FIELDS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    InputContract,
)
from resnet_deploy.spec.input_options import InputOptions
from resnet_deploy.spec.input_words import (
    BLOCK,
    EXPORTED_FORMATS,
    ChannelOrder,
    InputFormat,
    Layout,
    Learned,
    ResizeMode,
)
from resnet_deploy.spec.model import (
    BATCHNORM_EPS,
    CHANNEL_COUNTS,
    IMAGENET_DEPTHS,
    Family,
    ModelSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
    residual_spec,
    resnet_spec,
    vgg19_spec,
)
from resnet_deploy.spec.output import LABEL_THRESHOLD, OutputKind, OutputSpec
from resnet_deploy.spec.quant import (
    CalibrationMethod,
    Effort,
    FirstConv,
    Overflow,
    QuantSpec,
    ResidualStream,
    Runtime,
    TargetIsa,
)
from resnet_deploy.spec.residual import (
    PAPER_BLOCKS,
    Attention,
    BlockKind,
    Design,
    Downsample,
    HeadKind,
    HeadLayer,
    Order,
    Stage,
    uniform_design,
)
from resnet_deploy.spec.session import Optimization, SessionSpec
from resnet_deploy.spec.told import NOTHING_TOLD, Told
from resnet_deploy.spec.tolerance import (
    ENOUGH_FOR_AGREEMENT,
    FP16_MIN_AGREEMENT,
    FP16_TOLERANCE,
    FP32_TOLERANCE,
    INT8_MIN_AGREEMENT,
    INT8_TOLERANCE,
    Tolerance,
)
from resnet_deploy.spec.tuning import FileOptions, Objective, RunOptions, TuneSpec
