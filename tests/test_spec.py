import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.spec import (
    Family,
    InputContract,
    ModelSpec,
    Shortcut,
    Stem,
    Variant,
    resnet_spec,
    vgg19_spec,
)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_imagenet_depths(depth: int) -> None:
    spec = resnet_spec(depth)
    assert (spec.family, spec.num_classes, spec.image_size) == (Family.IMAGENET, 1000, 224)
    assert spec.shortcut is Shortcut.B


@pytest.mark.parametrize("depth", [8, 20, 32, 44, 56, 110, 1202])
def test_cifar_depths(depth: int) -> None:
    spec = resnet_spec(depth)
    assert (spec.family, spec.num_classes, spec.image_size) == (Family.CIFAR, 10, 32)
    assert (spec.shortcut, spec.stem) == (Shortcut.A, Stem.CIFAR)


@pytest.mark.parametrize("depth", [-1, 0, 2, 19, 33, 100])
def test_no_such_depth(depth: int) -> None:
    with pytest.raises(SpecError, match=f"no ResNet has depth {depth}"):
        resnet_spec(depth)


@pytest.mark.parametrize(
    ("family", "depth"), [(Family.IMAGENET, 33), (Family.CIFAR, 18), (Family.VGG, 16)]
)
def test_a_spec_has_a_depth_of_its_family(family: Family, depth: int) -> None:
    with pytest.raises(SpecError, match=f"no {family.value} net has depth {depth}"):
        ModelSpec(family=family, depth=depth)


@pytest.mark.parametrize("spec", [vgg19_spec(), ModelSpec(family=Family.CUSTOM, factory="a:net")])
def test_only_residual_nets_have_a_design(spec: ModelSpec) -> None:
    with pytest.raises(SpecError, match=f"{spec.name} is not a residual net"):
        _ = spec.residual


def test_a_cifar_stem_takes_small_images() -> None:
    assert resnet_spec(18, stem=Stem.CIFAR, num_classes=10).image_size == 32
    assert resnet_spec(18, stem=Stem.CIFAR, image_size=64).image_size == 64


def test_sizes_must_be_positive() -> None:
    with pytest.raises(SpecError, match="must be positive"):
        resnet_spec(18, num_classes=0)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (resnet_spec(34), "resnet34"),
        (resnet_spec(50), "resnet50"),
        (resnet_spec(50, variant=Variant.V1), "resnet50-v1"),
        (resnet_spec(18, variant=Variant.V1), "resnet18"),
        (resnet_spec(34, plain=True), "plain34"),
        (resnet_spec(20), "resnet20"),
        (vgg19_spec(), "vgg19"),
        (ModelSpec(family=Family.CUSTOM, factory="nets.mine:tiny_net"), "tiny_net"),
        (ModelSpec(family=Family.CUSTOM), "model"),
    ],
)
def test_names_of_files(spec: ModelSpec, name: str) -> None:
    assert spec.name == name


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (32, 32), (28, 28), (64, 73), (299, 342)])
def test_usual_preprocessing(size: int, resize: int) -> None:
    spec = InputContract.for_size(size)
    assert (spec.height, spec.width, spec.resize) == (size, size, (resize, resize))
