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


def test_same_bytes_on_every_machine():
    digest = hashlib.sha256()
    for name, image in golden_images(InputContract.for_size(32)).items():
        digest.update(name.encode() + image.tobytes())
    assert digest.hexdigest() == "5f49acb7a0ea64db0f76c0c96e0fb259c2baeadf22544705e8945e851575f044"
