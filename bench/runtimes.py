"""One inference runtime or three? The cards' networks in OpenVINO, ONNX Runtime and LiteRT, one thread each.

pip install onnxruntime==1.31.1 ai-edge-litert==2.3.0 && python bench/runtimes.py

Prints, per network, the largest difference between the outputs and the median milliseconds of thirty runs.
"""

from __future__ import annotations

import io
import statistics
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

from countenance.vision import zoo
from countenance.vision.runtime import Session

RUNS = 30
Run = Callable[[np.ndarray], list[np.ndarray]]


def milliseconds(run: Run, array: np.ndarray) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run(array)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def onnx_runtime(model: bytes) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options)
    name = session.get_inputs()[0].name
    return lambda array: list(session.run(None, {name: array}))


def litert(model: bytes) -> Run:
    interpreter: Any = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()

    def run(array: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]

    return run


def main() -> None:
    random = np.random.default_rng(0)
    task = zipfile.ZipFile(io.BytesIO(zoo.load(zoo.card("mediapipe-face-landmarker"))))
    networks: list[tuple[str, bytes, tuple[int, ...], float, Callable[[bytes], Run]]] = [
        ("YuNet 640 x 640", zoo.load(zoo.card("yunet-2023mar")), (1, 3, 640, 640), 255, onnx_runtime),
        ("SFace", zoo.load(zoo.card("sface-2021dec")), (1, 3, 112, 112), 255, onnx_runtime),
        ("face landmarks", task.read("face_landmarks_detector.tflite"), (1, 256, 256, 3), 1, litert),
        ("blendshapes", task.read("face_blendshapes.tflite"), (1, 146, 2), 1, litert),
    ]
    print(f"{'network':18} {'peer':14} {'apart by':>9} {'of at most':>11} {'peer ms':>8} {'ours ms':>8}")
    for name, model, shape, scale, peer in networks:
        array = (random.random(shape) * scale).astype(np.float32)
        ours = Session(name, lambda model=model: model, 1).run
        theirs = peer(model)
        pairs = list(zip(ours(array), theirs(array), strict=True))
        apart = max(float(np.abs(a.ravel() - b.ravel()).max()) for a, b in pairs)
        size = max(float(np.abs(b).max()) for _, b in pairs)
        took = milliseconds(theirs, array), milliseconds(ours, array)
        print(f"{name:18} {peer.__name__:14} {apart:9.1e} {size:11.3g} {took[0]:8.1f} {took[1]:8.1f}")


if __name__ == "__main__":
    main()
