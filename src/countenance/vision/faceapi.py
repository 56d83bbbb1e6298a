"""face-api.js's networks for expressions and for ages as ONNX. Pure.

Their makers publish weights without a graph: the graph is their program. It is written here anew from
github.com/vladmandic/face-api. Expressions (src/faceFeatureExtractor): four dense blocks of separable
convolutions, each the sum of all that came before it. Ages (src/xception): three blocks that halve the
picture beside a shortcut that halves it too, two more between them that keep its size. Then, in both, the
mean over the picture and linear layers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from countenance.errors import ModelError
from countenance.vision.tfjs import Weights, tensors

SIDE: Final = 112
MEAN_RGB: Final = (122.782, 117.001, 104.298)  # face-api, faceFeatureExtractor/FaceFeatureExtractor.ts
_OPSET: Final = 18


def to_onnx(manifest: bytes, weights: bytes) -> bytes:
    """The network over (1, 3, 112, 112) RGB from 0 to 255, giving (1, 7) probabilities.

    manifest: face_expression_model-weights_manifest.json. weights: face_expression_model.bin. Raises
    ModelError where the two do not fit together.
    """
    try:
        return _Graph(tensors(json.loads(manifest), weights)).expressions()
    except (KeyError, IndexError, TypeError, ValueError, onnx.checker.ValidationError) as odd:
        raise ModelError(f"these are not face-api's expression weights: {odd!r}") from odd


def ages_to_onnx(manifest: bytes, weights: bytes) -> bytes:
    """The network over (1, 3, 112, 112) RGB from 0 to 255, giving (1, 1) years and (1, 2) logits, male first.

    manifest: age_gender_model-weights_manifest.json. weights: age_gender_model.bin. Raises ModelError where
    the two do not fit together.
    """
    try:
        return _Graph(tensors(json.loads(manifest), weights)).ages()
    except (KeyError, IndexError, TypeError, ValueError, onnx.checker.ValidationError) as odd:
        raise ModelError(f"these are not face-api's weights for ages: {odd!r}") from odd


class _Graph:
    """The ONNX graph as it grows. Every step gives the name of its result."""

    def __init__(self, weights: Weights) -> None:
        self._weights = {name: np.asarray(values, np.float32) for name, values in weights.items()}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def expressions(self) -> bytes:
        picture = self._normal()
        for number in range(4):
            picture = self._block(picture, f"dense{number}", plain=number == 0)
        scores = self._linear(self._pooled(picture), "fc")
        self._nodes.append(helper.make_node("Softmax", [scores], ["chances"], axis=1))
        return self._model("face-api expressions", {"chances": 7})

    def ages(self) -> bytes:
        picture = self._step("Relu", self._convolved(self._normal(), "entry_flow/conv_in", 2))
        picture = self._halved(picture, "entry_flow/reduction_block_0", bent=True)
        picture = self._halved(picture, "entry_flow/reduction_block_1")
        for number in range(2):
            picture = self._kept(picture, f"middle_flow/main_block_{number}")
        picture = self._halved(picture, "exit_flow/reduction_block")
        picture = self._step("Relu", self._separable(picture, "exit_flow/separable_conv", 1))
        pooled = self._pooled(picture)
        for name in ("age", "gender"):
            self._linear(pooled, f"fc/{name}")
            self._nodes[-1].output[0] = name
        return self._model("face-api ages", {"age": 1, "gender": 2})

    def _model(self, name: str, outputs: Mapping[str, int]) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("faces", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, [1, n]) for key, n in outputs.items()],
            self._constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
        onnx.checker.check_model(proto)
        return bytes(proto.SerializeToString())

    def _normal(self) -> str:
        mean = self._constant(np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1))
        return self._step("Div", self._step("Sub", "faces", mean), self._constant(np.float32(255)))

    def _pooled(self, picture: str) -> str:
        return self._step("Flatten", self._step("GlobalAveragePool", picture), axis=1)

    def _linear(self, features: str, name: str) -> str:
        scores = self._step("MatMul", features, self._constant(self._weights[f"{name}/weights"]))
        return self._step("Add", scores, self._constant(self._weights[f"{name}/bias"]))

    def _halved(self, picture: str, name: str, *, bent: bool = False) -> str:
        """Two convolutions, half the sides; plus the picture, mixed and halved. bent: none is below 0."""
        first = self._separable(
            picture if bent else self._step("Relu", picture), f"{name}/separable_conv0", 1
        )
        second = self._separable(self._step("Relu", first), f"{name}/separable_conv1", 1)
        window = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
        shortcut = self._convolved(picture, f"{name}/expansion_conv", 2)
        return self._step("Add", self._step("MaxPool", second, **window), shortcut)

    def _kept(self, picture: str, name: str) -> str:
        """Three convolutions, plus the picture itself."""
        result = picture
        for number in range(3):
            result = self._separable(self._step("Relu", result), f"{name}/separable_conv{number}", 1)
        return self._step("Add", result, picture)

    def _block(self, picture: str, name: str, *, plain: bool) -> str:
        """Half the picture's sides, then three convolutions, each of the sum of what came before it."""
        first = self._convolved if plain else self._separable
        total = self._step("Relu", first(picture, f"{name}/conv0", 2))
        for number in (1, 2, 3):
            bent = self._step("Relu", total)
            total = self._step("Add", total, self._separable(bent, f"{name}/conv{number}", 1))
        return self._step("Relu", total)

    def _convolved(self, picture: str, name: str, stride: int) -> str:
        kernel = self._weights[f"{name}/filters"].transpose(3, 2, 0, 1)  # (H, W, in, out)
        bias = self._constant(self._weights[f"{name}/bias"])
        return self._step(
            "Conv", picture, self._constant(kernel), bias, strides=[stride, stride], auto_pad="SAME_UPPER"
        )

    def _separable(self, picture: str, name: str, stride: int) -> str:
        """Each channel by itself, then a mixture of channels in every place."""
        deep = self._weights[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)  # (H, W, channels, 1)
        wide = self._weights[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1)
        apart = self._step(
            "Conv",
            picture,
            self._constant(deep),
            strides=[stride, stride],
            auto_pad="SAME_UPPER",
            group=deep.shape[0],
        )
        return self._step("Conv", apart, self._constant(wide), self._constant(self._weights[f"{name}/bias"]))

    def _step(self, kind: str, *ins: str, **attributes: Any) -> str:
        name = f"step {len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(ins), [name], **attributes))
        return name

    def _constant(self, values: npt.NDArray[np.float32] | np.float32) -> str:
        name = f"constant {len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name
