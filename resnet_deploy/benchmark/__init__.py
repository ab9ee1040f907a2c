"""Measure files and runners side by side, so that the ratios can be trusted.

Each subject runs in a process of its own. They take turns in rounds, in an order shuffled for
each, while the others are stopped: a slow minute hits all, and ratios are formed within a round.
After a few rounds all processes are started anew: two processes of the same file differ by where
their memory lies, and only other processes average that out.
"""

from __future__ import annotations

from resnet_deploy.benchmark.compare import compare_runs, load_results
from resnet_deploy.benchmark.measure import Start, measure
from resnet_deploy.benchmark.schedule import FEWEST_ROUNDS
from resnet_deploy.benchmark.subjects import default_subjects, natural_batch_size, open_models
from resnet_deploy.benchmark.sweep import profile_subjects, sweep
