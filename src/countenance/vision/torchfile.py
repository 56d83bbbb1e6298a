"""PyTorch's older files of weights, read without PyTorch. Pure.

Such a file is five pickles (a number to know it by, a version, the maker's machine, the tensors, the names of
what holds their numbers) and then the numbers. A pickle can name any function of any package, to be called as
it is read: here four names mean something, and any other is an error before anything is called.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from countenance.errors import ModelError

Weights = dict[str, npt.NDArray[np.generic]]

MAGIC: Final = 0x1950A86A20F9469CFC6C
_KINDS: Final[Mapping[str, npt.DTypeLike]] = {"FloatStorage": np.float32, "LongStorage": np.int64}


def tensors(data: bytes) -> Weights:
    """The tensors of a state_dict, by name. Raises ModelError where the file is anything else."""
    stream = io.BytesIO(data)
    try:
        if _read(stream) != MAGIC:
            raise ValueError("it does not begin with PyTorch's number")
        _version, _machine, listed, names = (_read(stream) for _ in range(4))
        kinds = {storage[2]: storage[1] for storage, *_ in listed.values()}
        held = {name: _numbers(stream, kinds[name]) for name in names}
        if stream.read(1):
            raise ValueError("something follows the last numbers")
        return {name: _tensor(held, *tensor) for name, tensor in listed.items()}
    except (pickle.UnpicklingError, struct.error, EOFError, ValueError, TypeError, KeyError, AttributeError,
            IndexError) as odd:  # fmt: skip
        raise ModelError(f"this is no file of PyTorch's weights that can be read: {odd!r}") from odd


def _numbers(stream: io.BytesIO, kind: str) -> npt.NDArray[np.generic]:
    """A count of eight bytes, and so many numbers."""
    [count] = struct.unpack("<q", stream.read(8))
    dtype = np.dtype(_KINDS[kind])
    return np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)


def _tensor(
    held: Weights, storage: tuple[Any, ...], offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> npt.NDArray[np.generic]:
    """A tensor out of the numbers that hold it. stride: of each axis, in numbers."""
    numbers = held[storage[2]]
    reach = sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or any(step < 0 for step in stride) or not 0 <= offset + reach < max(numbers.size, 1):
        raise ValueError("a tensor reaches beyond its numbers")
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _kept(
    storage: tuple[Any, ...], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_rest: object
) -> tuple[Any, ...]:
    """What stands for a tensor until its numbers are read."""
    return storage, offset, size, stride


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known: Mapping[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _kept,
            **{("torch", kind): kind for kind in _KINDS},
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return known[module, name]

    def persistent_load(self, identity: Any) -> Any:
        return identity


def _read(stream: io.BytesIO) -> Any:
    return _Reader(stream).load()
