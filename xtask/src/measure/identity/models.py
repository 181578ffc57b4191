"""Models of buffalo_l's shape with random weights: what an insightface pack costs, without its licence.

    python models.py FOLDER

writes FOLDER/det_10g.onnx (SCRFD-10G with landmarks, arXiv:2105.04714: nine outputs, any size) and FOLDER/w600k_r50.onnx
(ArcFace's iresnet50, arXiv:1801.07698: any number of faces), each laid out as those files are: normalisation folded into the
detector's convolutions, and into the embedder's but for the one at the head of each block. The same bytes on every run.

Random weights cost what trained ones do. Only the detector's last layer is set by hand, from what it says of noise: the scores
of few cells lie above a half, and boxes and landmarks are about as large as faces.
"""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = 640
# Scores (before the sigmoid), box distances and landmark offsets (in strides): mean and deviation over the cells.
HEADS = {"score": (-9.0, 3.0), "box": (4.0, 0.4), "points": (0.0, 0.3)}
# A face's landmarks around its cell, in strides.
FACE = [(v - (72.0 if i % 2 else 56.0)) / 14.0 for i, v in enumerate((38.3, 51.7, 73.5, 51.5, 56.0, 71.7, 41.5, 92.4, 70.7, 92.2))]


class Graph:
    """Nodes and weights of a model that is being written."""

    def __init__(self, seed: int):
        self.chance = np.random.Generator(np.random.PCG64(seed))
        self.nodes, self.weights = [], []

    def weight(self, values) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op: str, *inputs: str, **attributes) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x: str, a: int, b: int, k: int = 3, s: int = 1, gain: float = 2.0, bias: bool = True) -> str:
        """He's initialisation (arXiv:1502.01852), so that values neither grow nor vanish."""
        deviation = (gain / (a * k * k)) ** 0.5
        inputs = [x, self.weight((self.chance.standard_normal((b, a, k, k)) * deviation).astype(np.float32))]
        inputs += [self.weight((self.chance.standard_normal(b) * 0.1).astype(np.float32))] if bias else []
        return self.node("Conv", *inputs, kernel_shape=[k, k], strides=[s, s], pads=[k // 2] * 4)

    def relu(self, x: str) -> str:
        return self.node("Relu", x)

    def norm(self, x: str, channels: int, variance: float) -> str:
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        near = self.chance.uniform(0.8, 1.2, channels).astype(np.float32)
        arguments = (near, zero, zero, one * np.float32(variance))
        return self.node("BatchNormalization", x, *map(self.weight, arguments), epsilon=1e-5)

    def save(self, file: Path, shape: list, outputs: list[str], shapes: list) -> None:
        tensor = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, file.stem, [tensor("input.1", shape)], list(map(tensor, outputs, shapes)), self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
        onnx.checker.check_model(model)
        onnx.save(model, str(file))


def detector(file: Path, heads: dict | None) -> None:
    """With `heads` none, the last layers' raw values; with their means and deviations, those set to HEADS."""
    g = Graph(1)
    x = g.relu(g.conv("input.1", 3, 28, 3, 2))
    x = g.relu(g.conv(g.relu(g.conv(x, 28, 28)), 28, 56))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    levels, last = [], 56
    for count, channels, stride in zip((3, 4, 2, 3), (56, 88, 88, 224), (1, 2, 2, 2)):
        for i in range(count):
            s = stride if i == 0 else 1
            y = g.conv(g.relu(g.conv(x, last, channels, 3, s)), channels, channels, gain=0.2)
            if s > 1:
                x = g.node("AveragePool", x, kernel_shape=[s, s], strides=[s, s], ceil_mode=1)
            if s > 1 or last != channels:
                x = g.conv(x, last, channels, 1, gain=1.0)
            x, last = g.relu(g.node("Add", y, x)), channels
        levels.append(x)
    levels = [g.conv(x, c, 56, 1, gain=1.0) for x, c in zip(levels[1:], (88, 88, 224))]
    nowhere, twice = g.weight(np.zeros(0, np.float32)), g.weight(np.array([1, 1, 2, 2], np.float32))
    for i in (1, 0):
        up = g.node("Resize", levels[i + 1], nowhere, twice, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        levels[i] = g.node("Add", levels[i], up)
    levels = [g.conv(x, 56, 56, gain=1.0) for x in levels]
    for i in (0, 1):
        levels[i + 1] = g.node("Add", levels[i + 1], g.conv(levels[i], 56, 56, 3, 2, gain=1.0))
    levels = [levels[0], *(g.conv(x, 56, 56, gain=1.0) for x in levels[1:])]
    found: dict[str, list[str]] = {kind: [] for kind in HEADS}
    for level, x in enumerate(levels):
        for i in range(3):
            x = g.relu(g.conv(x, 56 if i == 0 else 80, 80))
        for kind, values in zip(HEADS, (1, 4, 10)):
            y = g.conv(x, 80, 2 * values, gain=1.0, bias=False)
            if heads:
                (mean, deviation), (seen, spread) = HEADS[kind], heads[f"{kind}{level}"]
                shift = np.array(FACE * 2 if kind == "points" else [0.0] * 2 * values, np.float32) + mean
                scale = np.float32(deviation / spread)
                y = g.node("Add", g.node("Mul", y, g.weight(scale)), g.weight((shift - seen * scale).astype(np.float32).reshape(1, -1, 1, 1)))
            y = g.node("Reshape", g.node("Transpose", y, perm=[2, 3, 0, 1]), g.weight(np.array([-1, values], np.int64)))
            found[kind].append(g.node("Sigmoid", y) if kind == "score" and heads else y)
    outputs = [name for kind in HEADS for name in found[kind]]
    shapes = [[f"rows{i % 3}", (1, 4, 10)[i // 3]] for i in range(9)]
    g.save(file, [1, 3, "height", "width"], outputs, shapes)


def spread(file: Path) -> dict[str, tuple[float, float]]:
    """Mean and deviation of each of the last layers on a picture of blurred noise."""
    chance = np.random.Generator(np.random.PCG64(2))
    coarse = chance.standard_normal((3, SIZE // 16, SIZE // 16)).astype(np.float32)
    picture = np.clip(np.kron(coarse, np.ones((16, 16), np.float32)) * 0.5, -1, 1)[None]
    outputs = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, {"input.1": picture})
    return {f"{kind}{i}": (float(outputs[3 * at + i].mean()), float(outputs[3 * at + i].std())) for at, kind in enumerate(HEADS) for i in range(3)}


def embedder(file: Path) -> None:
    g = Graph(3)
    slope = lambda channels: g.weight(g.chance.uniform(0.1, 0.4, (channels, 1, 1)).astype(np.float32))
    x, last, variance = g.node("PRelu", g.conv("input.1", 3, 64), slope(64)), 64, 1.0
    for count, channels in zip((3, 4, 14, 3), (64, 128, 256, 512)):
        for i in range(count):
            s = 2 if i == 0 else 1
            y = g.conv(g.norm(x, last, variance), last, channels, gain=1.9)
            # Trained blocks add little each.
            y = g.conv(g.node("PRelu", y, slope(channels)), channels, channels, 3, s, gain=0.1)
            if s > 1:
                x = g.conv(x, last, channels, 1, s, gain=1.0)
            x, last, variance = g.node("Add", y, x), channels, variance + 0.1
    x = g.node("Flatten", g.norm(x, last, variance))
    matrix = g.chance.standard_normal((512, 49 * last)) / (49 * last) ** 0.5
    x = g.node("Gemm", x, g.weight(matrix.astype(np.float32)), g.weight(np.zeros(512, np.float32)), transB=1)
    x = g.norm(x, 512, 1.0)
    g.save(file, ["None", 3, 112, 112], [x], [["None", 512]])


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "det_10g.onnx"
    detector(file, None)
    detector(file, spread(file))
    embedder(folder / "w600k_r50.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
