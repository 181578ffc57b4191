"""Makes what the tests of the attribute classifier compare with. From the repository's root:

    pip install onnxruntime==1.31.1 onnx opencv-python-headless pillow
    python farm/identity/tests/golden/attributes.py

models/attributes*.onnx are tiny random classifiers; attributes.json holds what the first of them says of boxes in pictures/*.png,
each cut and scaled by OpenCV: smaller, larger, to a half, over the edge and outside.
"""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HERE = Path(__file__).parent
HOW = {"size": 16, "crop": 2.6, "down": 0.25, "mean": 127.5, "std": 127.5}
LABELS = {"beard": ["none", "full"], "glasses": ["none", "round", "square"], "hair_colour": ["red", "black", "brown", "grey", "blue"]}
BOXES = {
    "close": [[40.2, 38.7, 88.1, 99.4], [60.0, 60.0, 65.0, 64.0], [54.0, 50.0, 66.0, 62.3]],
    "large": [[-30.5, -12.0, 80.0, 120.25], [250.0, 200.0, 330.0, 300.0], [700.0, 700.0, 760.0, 770.0]],
}


def square(rgb: np.ndarray, box: list[float]) -> np.ndarray:
    """The square around a box, scaled to the model's input, black outside the picture."""
    longer = max(box[2] - box[0], box[3] - box[1])
    side = round(HOW["crop"] * longer)
    x0, y0 = round((box[0] + box[2]) / 2 - side / 2), round((box[1] + box[3]) / 2 + HOW["down"] * longer - side / 2)
    padded = cv2.copyMakeBorder(rgb, *[side + 1000] * 4, cv2.BORDER_CONSTANT)
    cut = padded[y0 + side + 1000 :, x0 + side + 1000 :][:side, :side]
    return cv2.resize(cut, (HOW["size"],) * 2, interpolation=cv2.INTER_AREA if side > HOW["size"] else cv2.INTER_LINEAR)


def model(file: str, labels: dict[str, int], batch: int | str = "n", size: int = HOW["size"]) -> None:
    """A random linear classifier of means of 4 × 4 pixels, with outputs of these names and numbers of labels."""
    rng = np.random.default_rng(5)
    nodes = [helper.make_node("AveragePool", ["input.1"], ["mean"], kernel_shape=[4, 4], strides=[4, 4]), helper.make_node("Flatten", ["mean"], ["flat"])]
    weights, values = [], []
    for name, count in labels.items():
        weights += [numpy_helper.from_array(rng.normal(0, 1, (3 * (size // 4) ** 2, count)).astype(np.float32), f"{name}.weight")]
        nodes += [helper.make_node("MatMul", ["flat", f"{name}.weight"], [name])]
        values += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, count])]
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [batch, 3, size, size])]
    graph = helper.make_graph(nodes, "golden", inputs, values, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    onnx.save(made, str(HERE / "models" / file))


def main() -> None:
    counts = {name: len(labels) for name, labels in LABELS.items()}
    # The outputs stand in another order than the labels of a pack, which are sorted by name.
    model("attributes.onnx", dict(reversed(counts.items())))
    model("attributes-one-at-a-time.onnx", dict(reversed(counts.items())), batch=1)
    model("attributes-one-less.onnx", {"beard": 2, "glasses": 3})
    model("attributes-other-labels.onnx", counts | {"glasses": 4})
    model("attributes-small.onnx", counts, size=8)
    session = onnxruntime.InferenceSession(str(HERE / "models/attributes.onnx"), providers=["CPUExecutionProvider"])
    faces = []
    for name, boxes in BOXES.items():
        rgb = np.asarray(Image.open(HERE / f"pictures/{name}.png").convert("RGB"))
        for box in boxes:
            x = (square(rgb, box).astype(np.float32).transpose(2, 0, 1)[None] - HOW["mean"]) / HOW["std"]
            shown = {}
            for attribute, logits in zip((o.name for o in session.get_outputs()), session.run(None, {"input.1": x})):
                powers = np.exp(logits[0] - logits[0].max())
                shown[attribute] = np.round((powers / powers.sum()).astype(float), 6).tolist()
            faces.append({"picture": name, "box": box, "probabilities": shown})
    golden = {"made_with": f"OpenCV {cv2.__version__}, onnxruntime {onnxruntime.__version__}", "how": HOW | {"labels": LABELS}, "faces": faces}
    (HERE / "attributes.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
