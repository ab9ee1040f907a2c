"""The doors that files of strangers come in by: what each reads, and valid files to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.fuzz.doors import graphs, images, nets, records, weights
from tests.fuzz.doors.surface import Surface as Surface

SURFACES: Final[Mapping[str, Surface]] = {
    surface.name: surface
    for kind in (weights, nets, graphs, images, records)
    for surface in kind.SURFACES
}
"""By name; a new door is a line in one of these modules."""
