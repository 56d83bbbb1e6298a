"""Undo weight quantisation: int8 blocks and their scales become the float32 weights they stand for.

opencv_zoo's int8bq files keep each weight as int8 with one scale per block of 64 (ONNX opset 21, with
leftovers no runtime accepts). The network computes in float32 either way; folding only does the
multiplication once, ahead of time. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Weights = dict[str, npt.NDArray[np.generic]]


def fold(model: bytes) -> bytes:
    """The ONNX model with every DequantizeLinear, Reshape and Transpose of constants done."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    weights: Weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    kept = [node for node in graph.node if not _folded(node, weights)]
    needed = {name for node in kept for name in node.input}
    constants = [numpy_helper.from_array(weights[name], name) for name in sorted(needed & weights.keys())]
    inputs = [each for each in graph.input if each.name not in weights and each.name in needed]
    inputs = [each for each in inputs if each.name not in {name for node in kept for name in node.output}]
    for repeated, items in ((graph.node, kept), (graph.initializer, constants), (graph.input, inputs)):
        del repeated[:]
        repeated.extend(items)
    del graph.value_info[:]
    return bytes(proto.SerializeToString())


def _folded(node: onnx.NodeProto, weights: Weights) -> bool:
    """Whether the node works on constants alone; its result is then added to `weights`."""
    if node.op_type not in {"DequantizeLinear", "Reshape", "Transpose", "Constant"}:
        return False
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Constant":
        weights[node.output[0]] = numpy_helper.to_array(attributes["value"])
        return True
    if node.input[0] not in weights:
        return False
    first, *rest = (weights[name] for name in node.input if name)
    result: npt.NDArray[np.generic]
    if node.op_type == "DequantizeLinear":
        result = _dequantized(first, rest, attributes.get("axis", 1), attributes.get("block_size", 0))
    elif node.op_type == "Reshape":
        result = first.reshape(rest[0].astype(int).tolist())
    else:
        result = first.transpose(attributes["perm"])
    weights[node.output[0]] = np.ascontiguousarray(result)
    return True


def _dequantized(
    quantised: npt.NDArray[np.generic], rest: list[npt.NDArray[np.generic]], axis: int, block: int
) -> npt.NDArray[np.float32]:
    """(q - zero) * scale, with one scale in all, one per slice of `axis`, or one per `block` slices of it."""

    def spread(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        wide = values.astype(np.float32)
        if block:
            return np.repeat(wide, block, axis).take(np.arange(quantised.shape[axis]), axis)
        if wide.ndim == 1 and wide.size > 1:
            return wide.reshape([-1 if i == axis else 1 for i in range(quantised.ndim)])
        return wide

    scale, *zero = (spread(values) for values in rest)
    shifted = quantised.astype(np.float32) - (zero[0] if zero else np.float32(0))
    return (shifted * scale).astype(np.float32)
