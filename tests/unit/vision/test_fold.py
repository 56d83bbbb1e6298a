from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from countenance.vision.fold import fold

RANDOM = np.random.default_rng(7)


def network(scale: np.ndarray, zero: np.ndarray, **attributes: int) -> bytes:
    """y = x @ transpose(reshape(dequantize(w))), quantised the way the attributes say."""
    weights = RANDOM.integers(-128, 127, (6, 8), dtype=np.int8)
    constants = {"w": weights, "scale": scale, "zero": zero, "shape": np.array([8, 6], np.int64)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["d"], **attributes),
        helper.make_node("Reshape", ["d", "shape"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((), {}),
        ((6,), {"axis": 0}),
        ((8,), {"axis": 1}),
        ((2, 8), {"axis": 0, "block_size": 3}),
        ((6, 2), {"axis": 1, "block_size": 4}),
    ],
)
def test_a_folded_network_computes_the_same(shape: tuple[int, ...], attributes: dict[str, int]) -> None:
    scale = RANDOM.uniform(0.01, 0.1, shape).astype(np.float32)
    zero = RANDOM.integers(-5, 5, shape, dtype=np.int8) if shape else np.array(3, np.int8)
    original = network(scale, zero, **attributes)
    folded = fold(original)
    x = RANDOM.standard_normal((2, 6)).astype(np.float32)
    [expected] = ReferenceEvaluator(onnx.load_from_string(original)).run(None, {"x": x})
    [found] = ReferenceEvaluator(onnx.load_from_string(folded)).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_nothing_quantised_is_left_and_folding_again_changes_nothing() -> None:
    folded = fold(network(np.array(0.1, np.float32), np.array(0, np.int8)))
    graph = onnx.load_from_string(folded).graph
    assert [node.op_type for node in graph.node] == ["MatMul"]
    assert [each.name for each in graph.input] == ["x"]
    assert fold(folded) == folded
