from __future__ import annotations

import hashlib

import pytest

from resnet_deploy.bundles.golden import golden_images
from resnet_deploy.spec import InputContract


@pytest.mark.parametrize("size", [8, 32, 64, 224])
def test_sizes_exercise_resize_and_crop(size):
    spec = InputContract.for_size(size)
    images = golden_images(spec)
    shapes = {name: image.shape for name, image in images.items()}
    assert any(len(shape) == 2 for shape in shapes.values()), "one is grey"
    assert any(shape[0] > shape[1] for shape in shapes.values()), "one is upright"
    assert any(shape[0] < shape[1] for shape in shapes.values()), "one lies"
    assert shapes["as-is"] == (size, size, 3)
    assert all(image.std() > 0 for image in images.values()), "none is plain"


@pytest.mark.parametrize(("size", "resize"), [((48, 192), (48, 192)), ((64, 40), (1, 90))])
def test_sizes_follow_a_contract_that_is_no_square(size, resize):
    spec = InputContract(height=size[0], width=size[1], resize=resize)
    shapes = {name: image.shape for name, image in golden_images(spec).items()}
    assert shapes["as-is"] == (*size, 3)
    ratios = {name: shape[0] / resize[0] / (shape[1] / resize[1]) for name, shape in shapes.items()}
    assert ratios["gradient-upright"] > 2, "taller than the area"
    assert ratios["checkerboard-elongated"] < 0.8, "wider than the area"
    assert len(shapes["grey"]) == 2


def test_a_card_can_not_ask_for_pictures_that_fill_the_memory():
    spec = InputContract(height=8, width=8, resize=(1, 8192))
    assert max(image.size for image in golden_images(spec).values()) < 10_000_000


def test_same_bytes_on_every_machine():
    digest = hashlib.sha256()
    for name, image in golden_images(InputContract.for_size(32)).items():
        digest.update(name.encode() + image.tobytes())
    assert digest.hexdigest() == "5f49acb7a0ea64db0f76c0c96e0fb259c2baeadf22544705e8945e851575f044"
