"""TensorFlow.js graph models as ONNX. Pure.

A model is a model.json (the graph, the outputs' names, a manifest of weights) and a file of weights laid end
to end. TensorFlow keeps pictures as (N, H, W, C), ONNX as (N, C, H, W). The picture is turned once, where it
comes in, and every step after is written for ONNX's order: turning it back and forth at each step takes half
of the time (FaceRes-deep in OpenVINO, one thread: 14.5 ms of processor time, against 34).

Known are the steps that small face networks are made of; another one is a ModelError, not a guess.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from countenance.errors import ModelError

Weights = dict[str, npt.NDArray[np.generic]]
Node = Mapping[str, Any]

_OPSET: Final = 18
_PLAIN: Final = {
    "Add": "Add",
    "AddV2": "Add",
    "BiasAdd": "Add",
    "Identity": "Identity",
    "MatMul": "MatMul",
    "Maximum": "Max",
    "Minimum": "Min",
    "Mul": "Mul",
    "Relu": "Relu",
    "Sigmoid": "Sigmoid",
    "Softmax": "Softmax",
    "Sub": "Sub",
    "Tanh": "Tanh",
}


def to_onnx(model: bytes, weights: bytes, *, inner: Sequence[str] = (), outputs: Sequence[str] = ()) -> bytes:
    """The ONNX model that a model.json and its weights describe, for one picture at a time.

    inner: steps whose results are given as well, after the outputs; of pictures, as (1, C, H, W). outputs:
    steps whose results are given instead of those the model is published to give; what none of them needs
    is left out, known or not.
    Raises ModelError where the two do not fit together or the graph has a step that is not known here.
    """
    try:
        description = json.loads(model)
        graph = _Graph(tensors(description["weightsManifest"], weights))
        nodes = description["modelTopology"]["node"]
        for node in _needed(nodes, [*outputs, *inner]) if outputs else nodes:
            graph.add(node)
        proto = graph.model([*(outputs or _outputs(description, graph.last)), *inner])
        onnx.checker.check_model(proto)
    except (KeyError, ValueError, IndexError, TypeError, onnx.checker.ValidationError) as odd:
        raise ModelError(f"this is no TensorFlow.js graph model that can be read: {odd!r}") from odd
    return bytes(proto.SerializeToString())


def tensors(manifest: Sequence[Mapping[str, Any]], data: bytes) -> Weights:
    """The tensors a manifest lists, laid end to end in `data`; packed ones as the numbers they stand for.

    Raises ValueError where the lengths differ, KeyError or TypeError where it is no manifest.
    """
    weights: Weights = {}
    place = 0
    for entry in (each for group in manifest for each in group["weights"]):
        packing = entry.get("quantization", {})
        stored = np.dtype(packing.get("dtype", entry["dtype"]))
        shape = entry["shape"]
        raw = np.frombuffer(data, stored, int(np.prod(shape, dtype=int)), place).reshape(shape)
        place += raw.nbytes
        if "scale" in packing:
            raw = raw.astype(np.float32) * np.float32(packing["scale"]) + np.float32(packing["min"])
        weights[entry["name"]] = raw.astype(entry["dtype"])
    if place != len(data):
        raise ValueError(f"{len(data)} bytes of weights where the manifest lists {place}")
    return weights


def _outputs(description: Mapping[str, Any], last: str) -> list[str]:
    """The names the model is published to give; the last step's where it does not say."""
    signature = description.get("signature") or description.get("userDefinedMetadata", {}).get("signature")
    named = (signature or {}).get("outputs", {})
    return [_source(each["name"]) for each in named.values()] or [last]


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The steps that those outputs come of, in the order of the file, where a step follows what it takes."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if node["name"] in wanted:
            wanted |= {_source(each.removeprefix("^")) for each in node.get("input", [])}
            kept.append(node)
    return kept[::-1]


def _source(name: str) -> str:
    """The step that a reference such as `scores:0` points to. Only first outputs occur in these networks."""
    step, _, index = name.partition(":")
    if index not in {"", "0"}:
        raise ValueError(f"{name} is a second output")
    return step


class _Graph:
    """The ONNX graph as it grows, step by step in the order of the file.

    The methods in _STEPS and their like write one step and say whether its result is a picture.
    """

    def __init__(self, weights: Weights) -> None:
        self.last = ""
        self._weights = weights
        self._pictures: set[str] = set()  # values of (N, C, H, W); all others are of two axes
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, node: Node) -> None:
        kind, name = node["op"], node["name"]
        ins = [_source(each) for each in node.get("input", []) if not each.startswith("^")]
        if kind == "Const":
            return
        if kind == "Placeholder":
            picture = self._placeholder(node)
        elif kind in _PLAIN:
            picture = self._plain(_PLAIN[kind], ins)
        elif kind in _STEPS:
            picture = _STEPS[kind](self, node, ins)
        else:
            raise ValueError(f"the step {kind} ({name}) is not known")
        self._nodes[-1].output[0] = self.last = name
        if picture:
            self._pictures.add(name)

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self._nodes, "tfjs", self._inputs, results, list(self._constants.values()))
        opset = [helper.make_opsetid("", _OPSET)]
        return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opset, ir_version=9))

    def convolution(self, node: Node, ins: list[str], *, depthwise: bool) -> bool:
        kernel = self._weights[ins[1]]  # (H, W, in, out), or (H, W, in, times) where channels stay apart
        height, width, channels, _ = kernel.shape
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
        if depthwise:
            kernel = kernel.reshape(-1, 1, height, width)
        result = self._step(
            "Conv",
            ins[0],
            self._constant(kernel),
            kernel_shape=[height, width],
            strides=_integers(node, "strides")[1:3],
            dilations=_integers(node, "dilations")[1:3],
            auto_pad=_padding(node),
            group=channels if depthwise else 1,
        )
        self._fused(node, result, ins[2:], picture=True)
        return True

    def dense(self, node: Node, ins: list[str]) -> bool:
        if _flag(node, "transpose_a") or _flag(node, "transpose_b"):
            raise ValueError(f"{node['name']} multiplies a transposed matrix")
        product = self._step("MatMul", ins[0], self._constant(self._weights[ins[1]]))
        self._fused(node, product, ins[2:], picture=False)
        return False

    def max_pool(self, node: Node, ins: list[str]) -> bool:
        window = {"kernel_shape": _integers(node, "ksize")[1:3], "strides": _integers(node, "strides")[1:3]}
        self._step("MaxPool", ins[0], auto_pad=_padding(node), **window)
        return True

    def mean(self, node: Node, ins: list[str]) -> bool:
        axes = sorted(self._weights[ins[1]].reshape(-1).tolist())
        if ins[0] not in self._pictures or axes != [1, 2]:
            raise ValueError(f"{node['name']} is a mean over something else than height and width")
        keep = _flag(node, "keep_dims")
        self._step("ReduceMean", ins[0], self._constant(np.array([2, 3])), keepdims=int(keep))
        return keep

    def concat(self, node: Node, ins: list[str]) -> bool:
        *parts, axis = ins
        if not self._pictures.issuperset(parts) or int(self._weights[axis].reshape(-1)[0]) not in {3, -1}:
            raise ValueError(f"{node['name']} joins something else than the channels of pictures")
        self._step("Concat", *parts, axis=1)
        return True

    def enlarge(self, node: Node, ins: list[str]) -> bool:
        """Bilinear, to a fixed size; how TensorFlow places the pixels, it says in two flags."""
        modes = {(False, False): "asymmetric", (True, False): "align_corners", (False, True): "half_pixel"}
        mode = modes[_flag(node, "align_corners"), _flag(node, "half_pixel_centers")]
        shape = self._step("Shape", ins[0], end=2)
        size = self._step("Concat", shape, self._constant(self._weights[ins[1]].astype(np.int64)), axis=0)
        attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
        self._step("Resize", ins[0], "", "", size, **attributes)
        return True

    def relu6(self, _node: Node, ins: list[str]) -> bool:
        self._six(ins[0])
        return ins[0] in self._pictures

    def _six(self, value: str) -> str:
        low, high = (self._constant(np.array(each, np.float32)) for each in (0, 6))
        return self._step("Clip", value, low, high)

    def _placeholder(self, node: Node) -> bool:
        sides = [int(each["size"]) for each in node["attr"]["shape"]["shape"]["dim"]]
        _, height, width, channels = sides
        shape = [1, height, width, channels]
        self._inputs.append(helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape))
        self._step("Transpose", "picture", perm=[0, 3, 1, 2])
        return True

    def _plain(self, kind: str, ins: list[str]) -> bool:
        """A step between values of one shape, or with a constant that is the same all over the picture."""
        picture = bool(self._pictures & set(ins))
        if picture and kind in {"MatMul", "Softmax"}:
            raise ValueError(f"{kind} over a picture")
        self._step(kind, *(self._operand(each, picture=picture) for each in ins))
        return picture

    def _fused(self, node: Node, result: str, extras: list[str], *, picture: bool) -> None:
        """What TensorFlow folded into a step: a bias first, then what bends it."""
        for name in _texts(node, "fused_ops"):
            if name == "BiasAdd":
                result = self._step("Add", result, self._operand(extras[0], picture=picture))
            elif name in {"Relu", "Sigmoid", "Tanh"}:
                result = self._step(name, result)
            elif name == "Relu6":
                result = self._six(result)
            else:
                raise ValueError(f"{node['name']} ends in {name}, which is not known")

    def _operand(self, name: str, *, picture: bool) -> str:
        """A step's result as it is; a tensor of the file, one number a channel where it meets a picture."""
        if name not in self._weights:
            return name
        values = self._weights[name]
        if not picture:
            return self._constant(values)
        if values.ndim > 1 and values.shape[:-1] != (1,) * (values.ndim - 1):
            raise ValueError(f"{name} differs from place to place of a picture")
        return self._constant(values.reshape(-1, 1, 1) if values.ndim else values)

    def _step(self, kind: str, *ins: str, **attributes: Any) -> str:
        name = f"step {len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(ins), [name], **attributes))
        return name

    def _constant(self, values: npt.NDArray[np.generic]) -> str:
        name = f"constant {len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name


def _attribute(node: Node, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = node.get("attr", {}).get(name, {})
    return found


def _integers(node: Node, name: str) -> list[int]:
    return [int(each) for each in _attribute(node, name)["list"]["i"]]


def _texts(node: Node, name: str) -> list[str]:
    return [base64.b64decode(each).decode() for each in _attribute(node, name).get("list", {}).get("s", [])]


def _flag(node: Node, name: str) -> bool:
    return bool(_attribute(node, name).get("b", False))


def _padding(node: Node) -> str:
    if base64.b64decode(_attribute(node, "data_format").get("s", "TkhXQw==")) != b"NHWC":
        raise ValueError(f"{node['name']} has its channels first")
    return {b"SAME": "SAME_UPPER", b"VALID": "VALID"}[base64.b64decode(_attribute(node, "padding")["s"])]


_STEPS: Final[Mapping[str, Callable[[_Graph, Node, list[str]], bool]]] = {
    "ConcatV2": _Graph.concat,
    "Conv2D": lambda graph, node, ins: graph.convolution(node, ins, depthwise=False),
    "_FusedConv2D": lambda graph, node, ins: graph.convolution(node, ins, depthwise=False),
    "DepthwiseConv2dNative": lambda graph, node, ins: graph.convolution(node, ins, depthwise=True),
    "FusedDepthwiseConv2dNative": lambda graph, node, ins: graph.convolution(node, ins, depthwise=True),
    "MaxPool": _Graph.max_pool,
    "Mean": _Graph.mean,
    "Relu6": _Graph.relu6,
    "ResizeBilinear": _Graph.enlarge,
    "_FusedMatMul": _Graph.dense,
}
