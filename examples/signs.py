"""Draw the pictures of the tutorials: four kinds of road signs, in class folders.

``python examples/signs.py images`` writes ``images/train/<class>/*.jpg``, 100 of each class, and
``images/test/<class>/*.jpg``, 25 of each, of 40x32 pixels. The same command draws the same again.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = (40, 32)
SCALE = 4
SIGNS = {
    "give-way": (3, (210, 40, 45)),
    "no-entry": (40, (200, 35, 40)),
    "parking": (4, (30, 80, 190)),
    "priority": (4, (240, 190, 30)),
}
"""Corners and colour of each."""


def draw(sign: str, chance: random.Random) -> Image.Image:
    """Return a picture of one ``sign`` in front of a speckled ground, by day or at dusk."""
    light = chance.uniform(0.5, 1)
    speckles = [int(value * light) for value in chance.randbytes(SIZE[0] * SIZE[1] * 3)]
    large = (SIZE[0] * SCALE, SIZE[1] * SCALE)
    picture = Image.frombytes("RGB", SIZE, bytes(speckles)).resize(large)
    corners, colour = SIGNS[sign]
    x, y = (length * chance.uniform(0.4, 0.6) for length in large)
    # A parking sign stands on its side, one of priority on its corner.
    turned = math.pi / 4 * (sign == "parking") + math.pi / 2 + chance.uniform(-0.15, 0.15)
    radius = min(large) * chance.uniform(0.3, 0.45)
    for share, paint in ((1.0, colour), (0.5, (235, 235, 235))):
        outline = [
            (
                x + share * radius * math.cos(turned + math.tau * corner / corners),
                y + share * radius * math.sin(turned + math.tau * corner / corners),
            )
            for corner in range(corners)
        ]
        shade = tuple(min(255, int(light * level + chance.randint(-12, 12))) for level in paint)
        ImageDraw.Draw(picture).polygon(outline, fill=shade)
    return picture.resize(SIZE, Image.Resampling.BOX)


def main(folder: Path) -> None:
    """Write all pictures below ``folder``."""
    for part, number in (("train", 100), ("test", 25)):
        for sign in SIGNS:
            (folder / part / sign).mkdir(parents=True, exist_ok=True)
            for index in range(number):
                picture = draw(sign, random.Random(f"{part} {sign} {index}"))
                picture.save(folder / part / sign / f"{index:03}.jpg", quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
