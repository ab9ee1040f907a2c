"""Files that are out there keep their cards, wherever the code that reads them moves."""

from __future__ import annotations

from resnet_deploy.artifact.card import CARD_KEY
from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY
from resnet_deploy.graph.layers import LAYOUT_KEY
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.rewrites.pixel_input import PIXELS_KEY


def test_the_keys_of_metadata_are_part_of_the_format() -> None:
    assert CARD_KEY == WEIGHTS_CARD_KEY == "resnet_deploy.card"
    assert MODULE_KEY == "resnet_deploy.module"
    assert LAYOUT_KEY == "resnet_deploy.layout"
    assert COPIES_KEY == "resnet_deploy.copies"
    assert PIXELS_KEY == "resnet_deploy.pixels"
