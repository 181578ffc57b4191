"""Makes what the tests of greenroom-identity compare with. From the repository's root:

    pip install insightface==2.1 onnxruntime==1.31.1 onnx opencv-python-headless scikit-image skia-python pillow
    python farm/identity/tests/golden/make.py

pictures/*.png are drawn with the pack's recipe; golden.json holds what insightface finds in them with the pack's models;
models/*.onnx are tiny detectors and embedders of other shapes. When the pack gets another detector or embedder, only what
they find is to be recorded again, from the pictures that are there (skia and pillow are not needed):

    python farm/identity/tests/golden/make.py --record

attributes.py (attribute classifiers) and shapes.py (models of the shapes that people have) look at the same pictures: run both
after this one where it drew pictures anew.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils import face_align
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
PACK = HERE.parents[3] / "packaging/packs/puppet"
SIZE, SCORE = 256, 0.5
HELD_OUT = 1_000_000


def drawn() -> dict[str, np.ndarray]:
    """Small pictures by name, RGB uint8 (H, W, 3): one face, two, none, and awkward sizes."""
    sys.path.insert(0, str(PACK / "recipe"))
    from puppet.identity import identity
    from puppet.picture import draw, sample
    from puppet.situation import Scene

    who = [identity(HELD_OUT + i) for i in range(4)]
    close, medium = sample(11, who[0], 128, 128, "close")[0], sample(12, who[0], 192, 112, "medium")[0]
    wide, other = sample(13, who[1], 192, 112, "wide")[0], sample(14, who[2], 128, 128, "close")[0]
    turn = cv2.getRotationMatrix2D((64, 64), 25, 1.0)
    return {
        "close": close,
        "medium": medium,
        "wide": wide,
        "background": draw(128, 128, Scene("beach", "day", 5), [])[0],
        "two": np.concatenate([close, other], 1),
        "odd": np.ascontiguousarray(sample(15, who[3], 131, 131, "medium")[0][7:104]),
        "turned": cv2.warpAffine(close, turn, (128, 128)),
        "large": sample(16, who[1], 301, 288, "close")[0],
        "strip": medium[50:51].copy(),
    }


def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(PACK / name), options, providers=["CPUExecutionProvider"])


def draw_pictures() -> None:
    from PIL import Image

    (HERE / "pictures").mkdir(exist_ok=True)
    for name, rgb in drawn().items():
        Image.fromarray(rgb).save(HERE / f"pictures/{name}.png", optimize=True)


def golden() -> dict:
    """What insightface finds: best first, in pixels of the picture."""
    detector, embedder = SCRFD(session=session("detector.onnx")), ArcFaceONNX(str(PACK / "embedder.onnx"), session("embedder.onnx"))
    detector.prepare(0, input_size=(SIZE, SIZE), det_thresh=SCORE)
    found = {}
    for file in sorted((HERE / "pictures").glob("*.png")):
        name, bgr = file.stem, cv2.imread(str(file))
        # A strip that would be less than a pixel high has no answer there.
        boxes, points = detector.detect(bgr, input_size=(SIZE, SIZE)) if len(bgr) > 1 else (np.zeros((0, 5)), [])
        found[name] = []
        for box, landmarks in zip(boxes, points):
            embedding = embedder.get_feat(face_align.norm_crop(bgr, landmarks, 112))[0]
            embedding = embedding / np.linalg.norm(embedding)
            rounded = lambda v, n: np.round(np.asarray(v, float), n).tolist()
            found[name].append({"box": rounded(box[:4], 3), "score": round(float(box[4]), 6),
                                "landmarks": rounded(landmarks, 3), "embedding": rounded(embedding, 6)})
    digests = {n: hashlib.sha256((PACK / n).read_bytes()).hexdigest() for n in ("detector.onnx", "embedder.onnx")}
    return {"made_with": "insightface 2.1, onnxruntime " + onnxruntime.__version__, "size": SIZE, "score": SCORE, "models": digests, "pictures": found}


def constant_model(file: str, shape: list, outputs: list[np.ndarray], kind: int = TensorProto.FLOAT) -> None:
    """A model that answers every input of `shape` with the same outputs."""
    nodes, values, weights = [], [], []
    for i, output in enumerate(outputs):
        weights.append(numpy_helper.from_array(output.astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Identity", [f"w{i}"], [f"o{i}"]))
        values.append(helper.make_tensor_value_info(f"o{i}", TensorProto.FLOAT, output.shape))
    save(file, nodes, [helper.make_tensor_value_info("input.1", kind, shape)], values, weights)


def save(file, nodes, inputs, outputs, weights=()) -> None:
    graph = helper.make_graph(nodes, "golden", inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(HERE / "models" / file))


def maps(side: int, strides, anchors: int, values, face_at: int = 0) -> list[np.ndarray]:
    """Outputs of an input of side × side: one face of score 0.9 at row `face_at` of the first stride."""
    out = []
    for v in values:
        for i, stride in enumerate(strides):
            m = np.zeros(((-(-side // stride)) ** 2 * anchors, v), np.float32)
            if i == 0:
                m[face_at] = 0.9 if v == 1 else 1.5 if v == 4 else np.arange(10) / 10
            out.append(m)
    return out


def models() -> None:
    three, five, fixed = (8, 16, 32), (8, 16, 32, 64, 128), [1, 3, 32, 32]
    nine = maps(32, three, 2, (1, 4, 10), face_at=2 * (4 + 2))
    constant_model("detector-batch-axis.onnx", fixed, [m[None] for m in nine])
    constant_model("detector-other-order.onnx", fixed, nine[::-1])
    constant_model("detector-15.onnx", fixed, maps(32, five, 1, (1, 4, 10), face_at=4 + 2))
    constant_model("detector-10.onnx", fixed, maps(32, five, 1, (1, 4), face_at=4 + 2))
    constant_model("detector-6.onnx", fixed, maps(32, three, 2, (1, 4), face_at=2 * (4 + 2)))
    constant_model("detector-5-outputs.onnx", fixed, nine[:5])
    constant_model("detector-one-anchor.onnx", fixed, maps(32, three, 1, (1, 4, 10)))
    constant_model("detector-fixed-100.onnx", [1, 3, 100, 100], nine)
    constant_model("detector-made-for-32.onnx", [1, 3, "height", "width"], nine)
    constant_model("detector-whole-numbers.onnx", fixed, nine, TensorProto.INT64)
    constant_model("embedder-grey.onnx", ["n", 1, 112, 112], [np.ones((1, 4))])
    constant_model("embedder-rank-3.onnx", [1, 3, 112, 112], [np.ones((1, 1, 4))])
    constant_model("embedder-zero.onnx", [1, 3, 112, 112], [np.zeros((1, 64))])
    # What lies beside detector and embedder in the folders that people have.
    constant_model("landmarks.onnx", ["n", 3, 192, 192], [np.ones((1, 212))])
    constant_model("genderage.onnx", ["n", 3, 96, 96], [np.ones((1, 3))])
    constant_model("mask.onnx", [1, 3, 112, 112], [np.ones((1, 2))])
    mean = helper.make_node("ReduceMean", ["input.1"], ["mean"], axes=[2, 3], keepdims=0)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("input.1", [1, 3, 64, 64]), ("mean", [1, 3]))]
    save("embedder-one-at-a-time.onnx", [mean], values[:1], values[1:])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--record", action="store_true", help="only what insightface finds with the pack's models")
    if not arguments.parse_args().record:
        random.seed(0)
        draw_pictures()
        (HERE / "models").mkdir(exist_ok=True)
        models()
    (HERE / "golden.json").write_text(json.dumps(golden(), separators=(",", ":")) + "\n")
