import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.spec import OutputKind, OutputSpec


@pytest.mark.parametrize("name", ["logits", "softmax", "top-5", "embedding", "features"])
def test_a_name_comes_back(name: str) -> None:
    assert OutputSpec.parse(name).name == name
    assert OutputSpec.parse(name.upper(), stride=8).stride == 8


@pytest.mark.parametrize("name", ["", "top-k", "top-0", "top--1", "top-", "logit", "top-1.5"])
def test_other_names(name: str) -> None:
    with pytest.raises(SpecError, match="there is no output"):
        OutputSpec.parse(name)


def test_names_of_tensors() -> None:
    assert OutputSpec.parse("top-3").tensor_names() == ("probabilities", "classes")
    assert OutputSpec.parse("features").tensor_names() == ("c2", "c3", "c4", "c5")


def test_k_is_of_top_k_alone() -> None:
    with pytest.raises(SpecError, match="top-k, and only it"):
        OutputSpec(kind=OutputKind.SOFTMAX, k=3)
    with pytest.raises(SpecError, match="top-k, and only it"):
        OutputSpec(kind=OutputKind.TOP_K)
    with pytest.raises(SpecError, match="no output stride 4"):
        OutputSpec(stride=4)
