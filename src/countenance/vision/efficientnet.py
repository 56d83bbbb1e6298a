"""EfficientNet-Lite, from PyTorch's weights to ONNX. Pure.

Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (ICML 2019); the Lite ones
have no squeeze-and-excitation and bend by ReLU6. The file has the weights and the names; what it does not say
are the strides, which are the same for all sizes, one for each run of blocks of equal width, and the padding,
which is TensorFlow's SAME.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from countenance.errors import ModelError
from countenance.vision import torchfile

Array = npt.NDArray[np.float32]

STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each of the seven stages
EPSILON: Final = 1e-3  # of its batch normalisation
_OPSET: Final = 18


def to_onnx(data: bytes) -> bytes:
    """The network: (1, 3, side, side), RGB, (value - 127) / 128, to (1, classes) probabilities and to the
    features under them, (1, features). Raises ModelError."""
    graph = _Graph(torchfile.tensors(data))
    try:
        graph.build()
    except KeyError as absent:
        raise ModelError(f"this is no EfficientNet-Lite: it has no {absent}") from absent
    return graph.model()


class _Graph:
    """The ONNX graph as it grows; `at` is the value that the last step gave."""

    def __init__(self, weights: torchfile.Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self.at = "picture"

    def build(self) -> None:
        self._convolve("_conv_stem", "_bn0", stride=2)
        width = stage = 0
        blocks = sum(name.endswith("_project_conv.weight") for name in self._weights)
        for number in range(blocks):
            block = f"_blocks.{number}."
            wide = self._weights[f"{block}_project_conv.weight"].shape[0]
            # A run of equal width is a stage; the first block of one does the shrinking.
            first, width = wide != width, wide
            stage += first
            self._block(block, STRIDES[stage - 1] if first else 1, joins=not first)
        self._convolve("_conv_head", "_bn1")
        self._step("ReduceMean", self._constant(np.array([2, 3])), keepdims=0)
        self._step("Identity", name="features")
        matrix = self._weights["_fc.weight"].T
        self._step("MatMul", self._constant(matrix))
        self._step("Add", self._constant(self._weights["_fc.bias"]))
        self._step("Softmax", axis=-1, name="probabilities")

    def model(self) -> bytes:
        sides = [1, 3, "side", "side"]
        picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, sides)
        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ("probabilities", "features")
        ]
        graph = helper.make_graph(self._nodes, "efficientnet", [picture], results, self._constants)
        opset = [helper.make_opsetid("", _OPSET)]
        proto = helper.make_model(graph, opset_imports=opset, ir_version=9)
        proto = onnx.shape_inference.infer_shapes(proto)
        onnx.checker.check_model(proto)
        return bytes(proto.SerializeToString())

    def _block(self, name: str, stride: int, *, joins: bool) -> None:
        """Widen, look at each channel alone, narrow; and add what came in where the shape is the same."""
        came = self.at
        if f"{name}_expand_conv.weight" in self._weights:
            self._convolve(f"{name}_expand_conv", f"{name}_bn0")
        self._convolve(f"{name}_depthwise_conv", f"{name}_bn1", stride=stride)
        self._convolve(f"{name}_project_conv", f"{name}_bn2", bent=False)
        if joins:
            self._step("Add", came)

    def _convolve(self, name: str, normal: str, *, stride: int = 1, bent: bool = True) -> None:
        """A convolution with the batch normalisation after it in its weights."""
        kernel, scale, shift, mean, spread = (
            self._weights[each].astype(np.float32)
            for each in (
                f"{name}.weight",
                *(f"{normal}.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
            )
        )
        factor = scale / np.sqrt(spread + EPSILON)
        self._step(
            "Conv",
            self._constant(kernel * factor[:, None, None, None]),
            self._constant(shift - mean * factor),
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride, stride],
            auto_pad="SAME_UPPER",
            group=kernel.shape[0] if name.endswith("_depthwise_conv") else 1,
        )
        if bent:
            low, high = (self._constant(np.array(each, np.float32)) for each in (0, 6))
            self._step("Clip", low, high)

    def _step(self, kind: str, *others: str, name: str = "", **attributes: object) -> None:
        result = name or f"step {len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, [self.at, *others], [result], **attributes))
        self.at = result

    def _constant(self, values: npt.NDArray[np.generic]) -> str:
        name = f"constant {len(self._constants)}"
        kept = values if values.dtype == np.int64 else values.astype(np.float32)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name
