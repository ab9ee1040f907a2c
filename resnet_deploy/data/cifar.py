"""CIFAR-10 and CIFAR-100 in their "python version", which is pickles.

A pickle can run any program; these are read by :mod:`resnet_deploy.pickles`, which calls nothing.
Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.arrays import ArrayDataset, array_dataset
from resnet_deploy.errors import DatasetError
from resnet_deploy.paths import resolved
from resnet_deploy.pickles.bounds import Budget, Damaged, Refused
from resnet_deploy.pickles.numpy_arrays import NumpyArray, numpy_builders
from resnet_deploy.pickles.stand_ins import Named, StandIn
from resnet_deploy.pickles.unpickler import Unpickler

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_SUBFOLDERS = ("cifar-10-batches-py", "cifar-100-python")

_MOST_CLASSES = 100
"""Of CIFAR-100; CIFAR-10's batches have the same form."""


def is_cifar_folder(folder: Path) -> bool:
    """Whether ``folder`` holds CIFAR batches, or the folder their archive unpacks to."""
    return _batch_folder(folder) is not None


def open_cifar(path: Path, *, train: bool = False) -> ArrayDataset:
    """Open a folder of CIFAR batches (the test images, or the training images), or one batch.

    Raises:
        DatasetError: a batch is missing or damaged, or holds more than arrays.
    """
    if path.is_dir():
        folder = _batch_folder(path) or path
        files = _batches(folder, train=train)
        name = f"{resolved(folder).name}/{'train' if train else 'test'}"
    else:
        folder, files, name = path.parent, [path], path.name
    parts = [_read_batch(file) for file in files]
    fine = any(is_fine for _, _, is_fine in parts)
    images = np.concatenate([images for images, _, _ in parts])
    labels = np.concatenate([labels for _, labels, _ in parts])
    return array_dataset(name, images, labels, _class_names(folder, fine=fine))


def _batch_folder(folder: Path) -> Path | None:
    for candidate in (folder, *(folder / name for name in _SUBFOLDERS)):
        cifar10 = any((candidate / name).is_file() for name in ("test_batch", "data_batch_1"))
        cifar100 = all((candidate / name).is_file() for name in ("train", "test", "meta"))
        if cifar10 or cifar100:
            return candidate
    return None


def _batches(folder: Path, *, train: bool) -> list[Path]:
    names = [f"data_batch_{number}" for number in range(1, 6)] if train else ["test_batch"]
    if (folder / "meta").is_file():
        names = ["train" if train else "test"]
    for name in names:
        if not (folder / name).is_file():
            raise DatasetError(f"{folder} has no {name}: unpack the archive again")
    return [folder / name for name in names]


def _read_batch(path: Path) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """Return images ``(N, 32, 32, 3)``, labels ``(N,)``, and whether these are CIFAR-100's."""
    batch = _unpickle(path)
    fine = "fine_labels" in batch
    data, labels = batch.get("data"), batch.get("fine_labels" if fine else "labels")
    if isinstance(labels, np.ndarray) and not labels.ndim:
        labels = None  # one number is none for each image
    if not isinstance(data, np.ndarray) or not isinstance(labels, list | np.ndarray):
        raise DatasetError(f"{path} is not a CIFAR batch: it has no data and labels")
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise DatasetError(
            f"{path} holds {data.dtype} data of shape {list(data.shape)}: a CIFAR batch has "
            "uint8 (N, 3072)"
        )
    if len(labels) != len(data):
        raise DatasetError(f"{path} has {len(data)} images but {len(labels)} labels")
    images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, _class_indices(path, labels), fine


def _class_indices(path: Path, labels: list[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Return ``labels`` as they are: NumPy would make 0 of 0.7, and 1 of ``"1"`` and of True."""
    if isinstance(labels, list):
        whole = all(isinstance(label, int) and not isinstance(label, bool) for label in labels)
    else:
        whole = labels.dtype.kind in "iu" and labels.ndim == 1
    if not whole or not all(0 <= int(label) < _MOST_CLASSES for label in labels):
        raise DatasetError(f"{path} has labels that are not a class index (0, 1, 2, …)")
    return np.array(labels, dtype=np.int64)


def _class_names(folder: Path, *, fine: bool) -> tuple[str, ...]:
    meta = folder / ("meta" if fine else "batches.meta")
    if not meta.is_file():
        return () if fine else CIFAR10_CLASSES
    names = _unpickle(meta).get("fine_label_names" if fine else "label_names")
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise DatasetError(f"{meta} holds no class names: unpack the archive again")
    return tuple(_text(name) for name in names)


def _unpickle(path: Path) -> dict[str, Any]:
    try:
        content = _content(path.read_bytes())
    except Refused as refusal:
        raise DatasetError(f"{path} {refusal}") from refusal
    except Exception as error:  # damaged pickles raise almost anything
        raise DatasetError(
            f"{path} is not a CIFAR batch, or it was cut short: unpack the archive again"
        ) from error
    if not isinstance(content, dict):
        raise DatasetError(
            f"{path} is not a CIFAR batch, whose pickle is a dictionary: name a folder of images"
        )
    return content


def _content(data: bytes) -> Any:
    budget = Budget(len(data))
    table = numpy_builders(budget)
    content = Unpickler(data, builders=table, persistent=_nothing, budget=budget).load()
    if not isinstance(content, dict):
        return content
    found = {}
    for key, value in content.items():
        array = value.array() if isinstance(value, NumpyArray) else value
        if array is None or isinstance(array, StandIn | Named):
            asked = "an array of no numbers" if array is None else repr(array)
            raise Refused(
                f"is a pickle that asks for {asked}: refused, as a CIFAR batch holds arrays only"
            )
        found[_text(key)] = array
    return found


def _nothing(identity: Any) -> Any:
    raise Damaged("a persistent id")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
