"""Looks for the fastest (or smallest) file, and the best way to run it, within an accuracy budget.

The search goes from what promises most to what promises least: how the file is made, how it is
run, and layers in float where nothing else keeps the budget. Every candidate is run for its
accuracy and timed in turns with one reference; the best so far is on disk after each of them.
"""

from __future__ import annotations

from resnet_deploy.tuning.tuning import tune

__all__ = ["tune"]
