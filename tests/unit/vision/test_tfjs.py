"""The converter against numpy, on a graph made here: two convolutions, a pool, a mean and a dense layer."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import numpy as np
import pytest

from countenance.errors import ModelError
from countenance.vision import tfjs
from countenance.vision.runtime import Session

RNG = np.random.default_rng(7)
WEIGHTS = {
    "kernel": RNG.normal(size=(3, 3, 2, 4)).astype(np.float32),
    "bias": RNG.normal(size=4).astype(np.float32),
    "depth": RNG.normal(size=(1, 1, 4, 1)).astype(np.float32),
    "scale": RNG.normal(size=4).astype(np.float32),
    "six": np.array(6, np.float32),
    "axes": np.array([1, 2], np.int32),
    "matrix": RNG.normal(size=(4, 3)).astype(np.float32),
    "shift": RNG.normal(size=3).astype(np.float32),
}


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def window(strides: int, padding: str) -> dict[str, Any]:
    return {
        "strides": {"list": {"i": ["1", str(strides), str(strides), "1"]}},
        "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
        "padding": {"s": text(padding)},
    }


def step(name: str, kind: str, *ins: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": kind, "input": list(ins), "attr": attributes}


def description() -> dict[str, Any]:
    shape = {"shape": {"dim": [{"size": each} for each in ("-1", "6", "5", "2")]}}
    ksize = {"list": {"i": ["1", "2", "2", "1"]}}
    fused = {"list": {"s": [text("BiasAdd"), text("Relu")]}}
    bias = {"list": {"s": [text("BiasAdd")]}}
    return {
        "signature": {"outputs": {"b": {"name": "mean:0"}, "a": {"name": "chances:0"}}},
        "weightsManifest": [
            {
                "weights": [
                    {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
                    for name, values in WEIGHTS.items()
                ]
            }
        ],
        "modelTopology": {
            "node": [
                *(step(name, "Const") for name in WEIGHTS),
                step("in", "Placeholder", shape=shape),
                step("conv", "_FusedConv2D", "in", "kernel", "bias", fused_ops=fused, **window(1, "SAME")),
                step("pool", "MaxPool", "conv", ksize=ksize, **window(2, "VALID")),
                step("apart", "DepthwiseConv2dNative", "pool", "depth", **window(1, "SAME")),
                step("scaled", "Mul", "apart", "scale"),
                step("capped", "Minimum", "scaled", "six"),
                step("mean", "Mean", "capped", "axes", keep_dims={"b": False}),
                step("dense", "_FusedMatMul", "mean", "matrix", "shift", fused_ops=bias),
                step("chances", "Softmax", "dense"),
            ]
        },
    }


def data() -> bytes:
    return b"".join(values.tobytes() for values in WEIGHTS.values())


def by_hand(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same network in numpy."""
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))  # (6, 5, 2, 3, 3)
    conv = np.maximum(np.einsum("hwcij,ijco->hwo", views, WEIGHTS["kernel"]) + WEIGHTS["bias"], 0)
    pool = conv[:6, :4].reshape(3, 2, 2, 2, 4).max((1, 3))
    capped = np.minimum(pool * WEIGHTS["depth"][0, 0, :, 0] * WEIGHTS["scale"], 6)
    mean = capped.mean((0, 1))
    raised = np.exp(mean @ WEIGHTS["matrix"] + WEIGHTS["shift"])
    return mean, raised / raised.sum()


def test_a_graph_computes_what_it_says_and_gives_its_outputs_in_their_order() -> None:
    model = tfjs.to_onnx(json.dumps(description()).encode(), data())
    picture = RNG.normal(size=(6, 5, 2)).astype(np.float32)
    outputs = Session("made here", lambda: model, 1).run(picture[None])
    for found, expected in zip(outputs, by_hand(picture), strict=True):
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


def test_weights_kept_small_are_read_as_what_they_stand_for() -> None:
    packed = [
        {
            "name": "bytes",
            "shape": [2],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1},
        },
        {
            "name": "halves",
            "shape": [1],
            "dtype": "float32",
            "quantization": {"dtype": "float16", "original_dtype": "float32"},
        },
    ]
    raw = np.array([0, 4], np.uint8).tobytes() + np.array([0.25], np.float16).tobytes()
    found = tfjs.tensors([{"weights": packed}], raw)
    np.testing.assert_array_equal(found["bytes"], np.array([-1, 1], np.float32))
    np.testing.assert_array_equal(found["halves"], np.array([0.25], np.float32))


def unknown(broken: dict[str, Any]) -> None:
    broken["modelTopology"]["node"][-1]["op"] = "FFT"


def no_weight(broken: dict[str, Any]) -> None:
    broken["weightsManifest"][0]["weights"].pop()


def over_channels(broken: dict[str, Any]) -> None:
    broken["modelTopology"]["node"][-1] = step("chances", "Softmax", "capped")


def channels_first(broken: dict[str, Any]) -> None:
    [conv] = [each for each in broken["modelTopology"]["node"] if each["name"] == "conv"]
    conv["attr"]["data_format"] = {"s": text("NCHW")}


def second_output(broken: dict[str, Any]) -> None:
    broken["modelTopology"]["node"][-1]["input"] = ["dense:1"]


@pytest.mark.parametrize("spoil", [unknown, no_weight, over_channels, channels_first, second_output])
def test_what_is_not_understood_is_refused(spoil: Any) -> None:
    broken = copy.deepcopy(description())
    spoil(broken)
    with pytest.raises(ModelError, match="can be read"):
        tfjs.to_onnx(json.dumps(broken).encode(), data())


@pytest.mark.parametrize("model", [b"", b"[]", b"{}", b"\xff"])
def test_other_files_are_refused(model: bytes) -> None:
    with pytest.raises(ModelError):
        tfjs.to_onnx(model, b"")
