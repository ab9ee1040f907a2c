"""The pages on the Python API: all names of ``resnet_deploy.__all__``, in three pages.

mkdocstrings fills them from the docstrings; a name that is added there is on a page by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import resnet_deploy
from resnet_deploy import errors

_FUNCTIONS = """\
# Functions

Every verb of the command line as a function. [The Python API](api.md) shows how they go together.
Words that mean the same everywhere:

- `data` and `calibration`: a path (image folder, CIFAR batches, IDX, `.npz` or parquet files), or
  an open dataset.
- an artifact: an `Artifact`, or the path of an ONNX file.
- `threads`: 0 means the physical cores that this process may use.
- `environment`: recorded in the result; by default what is found here.
- `progress`: called as `progress(stage, done, total)`.
"""

_VALUES = """\
# Values

What the [functions](api-functions.md) take and return. All are frozen: what was learned does not
change.
"""

_ERRORS = """\
# Errors

Everything that a user can act on is a `ResnetDeployError` with one line: what is wrong, where,
what to do.
"""


def pages() -> Mapping[str, str]:
    """Return the Markdown of every page, by its place in the site."""
    names = [name for name in resnet_deploy.__all__ if not name.startswith("_")]
    functions = [name for name in names if name.islower()]
    failures = [name for name in names if hasattr(errors, name)]
    values = [name for name in names if name not in {*functions, *failures}]
    return {
        "reference/api-functions.md": _page(_FUNCTIONS, functions),
        "reference/api-values.md": _page(_VALUES, values),
        "reference/api-errors.md": _page(_ERRORS, failures),
    }


def _page(head: str, names: Sequence[str]) -> str:
    return head + "".join(f"\n::: resnet_deploy.{name}\n" for name in names)
