"""A file as PyTorch's older versions wrote it, made here without PyTorch."""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any

import numpy as np
import pytest

from countenance.errors import ModelError
from countenance.vision import torchfile

VALUES = np.arange(12, dtype=np.float32)


class Tensor:
    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> None:
        self.size, self.stride, self.offset = size, stride, offset


def written(calls: str = "_rebuild_tensor_v2", **tensors: Tensor) -> bytes:
    """By hand, opcode by opcode: `calls` of torch._utils over a persistent storage."""
    parts = [pickle.dumps(torchfile.MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps({}, 2)]
    body = b"\x80\x02}("
    for name, tensor in tensors.items():
        body += b"X" + struct.pack("<I", len(name)) + name.encode()
        body += b"ctorch._utils\n" + calls.encode() + b"\n("
        body += b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu")
        body += b"K" + bytes([len(VALUES)]) + b"NtQ"
        body += b"K" + bytes([tensor.offset]) + _tuple(tensor.size) + _tuple(tensor.stride) + b"\x89NtR"
    parts += [body + b"u.", pickle.dumps(["0"], 2)]
    return b"".join(parts) + struct.pack("<q", len(VALUES)) + VALUES.tobytes()


def _text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def _tuple(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"K" + bytes([each]) for each in values) + b"t"


def test_tensors_come_back_whatever_their_layout() -> None:
    data = written(plain=Tensor((3, 4), (4, 1)), turned=Tensor((4, 3), (1, 4)), part=Tensor((2,), (1,), 5))
    weights = torchfile.tensors(data)
    assert np.array_equal(weights["plain"], VALUES.reshape(3, 4))
    assert np.array_equal(weights["turned"], VALUES.reshape(3, 4).T)
    assert weights["part"].tolist() == [5, 6]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        pickle.dumps(7, 2),
        written(plain=Tensor((3, 4), (4, 1)))[:-1],
        written(plain=Tensor((3, 4), (4, 1))) + b"x",
        written(plain=Tensor((4, 4), (4, 1))),
        written(plain=Tensor((1,), (1,), 12)),
    ],
    ids=["empty", "zip", "other", "short", "long", "beyond", "past"],
)
def test_anything_else_is_an_error(data: bytes) -> None:
    with pytest.raises(ModelError, match="no file of PyTorch's weights"):
        torchfile.tensors(data)


def test_nothing_of_the_file_is_called(tmp_path: Any) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "harm"), "w"))

    stream = io.BytesIO()
    contents: list[Any] = [torchfile.MAGIC, 1001, {}, Harm(), []]
    for each in contents:
        pickle.dump(each, stream, 2)
    with pytest.raises(ModelError, match=r"it calls io\.open|_io\.open|builtins"):
        torchfile.tensors(stream.getvalue())
    with pytest.raises(ModelError, match=r"it calls torch\._utils\.load"):
        torchfile.tensors(written("load", plain=Tensor((3, 4), (4, 1))))
    assert not list(tmp_path.iterdir())
