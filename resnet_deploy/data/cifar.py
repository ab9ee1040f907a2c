"""CIFAR-10 and CIFAR-100 in their "python version", which is pickles.

A pickle can run any program, so these are read by :class:`_ArrayOnlyUnpickler`, which knows six
globals. Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.arrays import ArrayDataset, array_dataset
from resnet_deploy.errors import DatasetError

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
_DTYPES = frozenset(("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"))


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
        name = f"{folder.resolve().name}/{'train' if train else 'test'}"
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
    if (folder / "meta").is_file():
        return [folder / ("train" if train else "test")]
    names = [f"data_batch_{number}" for number in range(1, 6)] if train else ["test_batch"]
    for name in names:
        if not (folder / name).is_file():
            raise DatasetError(f"{folder} has no {name}: unpack the CIFAR-10 archive again")
    return [folder / name for name in names]


def _read_batch(path: Path) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """Return images ``(N, 32, 32, 3)``, labels ``(N,)``, and whether these are CIFAR-100's."""
    batch = _unpickle(path)
    fine = "fine_labels" in batch
    data, labels = batch.get("data"), batch.get("fine_labels" if fine else "labels")
    if not isinstance(data, np.ndarray) or not isinstance(labels, list | np.ndarray):
        raise DatasetError(f"{path} is no CIFAR batch: it has no data and labels")
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise DatasetError(
            f"{path} holds {data.dtype} data of shape {list(data.shape)}: a CIFAR batch has "
            "uint8 (N, 3072)"
        )
    if len(labels) != len(data):
        raise DatasetError(f"{path} has {len(data)} images but {len(labels)} labels")
    images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    try:
        return images, np.array(labels, dtype=np.int64), fine
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path} has labels that are no class index (0, 1, 2, …)") from error


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
        with path.open("rb") as stream:
            content = _ArrayOnlyUnpickler(stream, encoding="bytes").load()
    except DatasetError as error:
        raise DatasetError(f"{path} {error}") from error
    except Exception as error:  # damaged pickles raise almost anything
        raise DatasetError(
            f"{path} is no CIFAR batch, or it was cut short: unpack the archive again"
        ) from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is no CIFAR batch: it holds no dictionary")
    return {
        _text(key): value.array if isinstance(value, _Array) else value
        for key, value in content.items()
    }


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _Dtype:
    """Stands for ``numpy.dtype``: an integer type and its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = _text(code), "|"
        if self.code not in _DTYPES:
            raise DatasetError(f"holds numbers of type {self.code!r}: refused")

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def __call__(self) -> np.dtype[Any]:
        """Return the numpy type."""
        return np.dtype(("" if self.order == "|" else self.order) + self.code)


class _Array:
    """Stands for ``numpy.ndarray``: numpy's own reader trusts the sizes a file claims."""

    def __init__(self, *_: Any) -> None:
        self.array: NDArray[Any] = np.empty(0, dtype=np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        raw = data.encode("latin-1") if isinstance(data, str) else data
        flat = np.frombuffer(raw, dtype=dtype())
        self.array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _array_from_buffer(data: Any, dtype: _Dtype, shape: Any, order: Any) -> _Array:
    """Stand for numpy's ``_frombuffer``, which pickle protocol 5 uses."""
    result = _Array()
    result.__setstate__((1, shape, dtype, _text(order) == "F", bytes(data)))
    return result


def _latin1(text: Any, encoding: Any) -> bytes:
    """Stand for ``_codecs.encode``: how Python 3 writes bytes into old pickles."""
    if not isinstance(text, str) or _text(encoding) != "latin1":
        raise DatasetError("encodes text in an unusual way: refused")
    return text.encode("latin-1")


def _no_bytes(*arguments: Any) -> bytes:
    """Stand for ``bytes``: how Python 3 writes empty bytes into old pickles."""
    if arguments:
        raise DatasetError("builds bytes in an unusual way: refused")
    return b""


class _ArrayOnlyUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, text and numpy arrays; refuses everything else.

    Nothing a file names is ever imported: each allowed name maps to a stand-in of this module,
    so no constructor of numpy meets untrusted values either.
    """

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the stand-in for a global of the pickle.

        Raises:
            DatasetError: the pickle asks for anything else.
        """
        module = module_name.replace("numpy._core", "numpy.core")
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy.core.numeric", "_frombuffer"): _array_from_buffer,
            ("numpy", "ndarray"): None,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _latin1,
            ("__builtin__", "bytes"): _no_bytes,
        }
        if (module, global_name) not in allowed:
            raise DatasetError(
                f"is a pickle that asks for {module_name}.{global_name}: refused, as a CIFAR "
                "batch holds arrays only"
            )
        return allowed[module, global_name]
