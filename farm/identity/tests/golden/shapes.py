"""Makes models of the shapes that people have, with random weights and few channels, and records what insightface finds with
them. From the repository's root, after make.py, whose pictures it looks at, and with torch besides what make.py needs:

    python farm/identity/tests/golden/shapes.py

It writes models/shape-*.onnx and models/shapes.json. With `--full DIR` it writes the same to DIR with as many channels as the
real ones have (some 500 MiB); then

    GREENROOM_SHAPES=DIR cargo nextest run -p greenroom-identity --test shapes

compares those. Random weights are of use because batch normalisation is set from pictures: outputs spread, so a pixel that is
off shows. Detectors are drawn anew until no score lies near the threshold and no overlap near the one that makes two boxes
one: there a rounding error would decide.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils import face_align
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
SIZE = 256
PICTURES = ("close", "two", "odd", "large")
EMBEDDED = 2
FEW, FULL = dict(stem=8, stages=(8, 8, 12, 16), neck=8, head=8), dict(stem=56, stages=(56, 88, 88, 224), neck=56, head=80)


class ConvBn(nn.Sequential):
    def __init__(self, a: int, b: int, k: int = 3, s: int = 1, groups: int = 1, act: bool = True):
        super().__init__(nn.Conv2d(a, b, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(b), *([nn.ReLU()] if act else []))


class Basic(nn.Module):
    """ResNet's basic block with an averaged shortcut, as in SCRFD's backbones."""

    def __init__(self, a: int, b: int, s: int):
        super().__init__()
        self.a, self.b = ConvBn(a, b, 3, s), ConvBn(b, b, act=False)
        pool = [nn.AvgPool2d(s, s, ceil_mode=True, count_include_pad=False)] if s > 1 else []
        self.short = nn.Sequential(*pool, ConvBn(a, b, 1, act=False)) if s > 1 or a != b else nn.Identity()

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.short(x))


class Scrfd(nn.Module):
    """Backbone, path aggregation neck and heads of SCRFD-10G (arXiv:2105.04714); `five` adds strides 64 and 128."""

    def __init__(self, width: dict, anchors: int, five: bool, points: bool, batch_axis: bool, group_norm: bool):
        super().__init__()
        stem, stages, neck, head = width["stem"], width["stages"], width["neck"], width["head"]
        self.batch_axis, self.points, self.anchors = batch_axis, points, anchors
        self.stem = nn.Sequential(ConvBn(3, stem // 2, 3, 2), ConvBn(stem // 2, stem // 2), ConvBn(stem // 2, stem), nn.MaxPool2d(3, 2, 1))
        self.layers, last = nn.ModuleList(), stem
        for count, channels, stride in zip((3, 4, 2, 3), stages, (1, 2, 2, 2)):
            self.layers.append(nn.Sequential(*[Basic(last if i == 0 else channels, channels, stride if i == 0 else 1) for i in range(count)]))
            last = channels
        self.lateral = nn.ModuleList(nn.Conv2d(c, neck, 1) for c in stages[1:])
        self.smooth, self.down, self.out = (nn.ModuleList(nn.Conv2d(neck, neck, 3, s, 1) for _ in range(n)) for s, n in ((1, 3), (2, 2), (1, 2)))
        self.extra = nn.ModuleList(nn.Conv2d(neck, neck, 3, 2, 1) for _ in range(2 if five else 0))
        norm = (lambda: nn.GroupNorm(head // 4, head)) if group_norm else (lambda: nn.BatchNorm2d(head))
        self.tower = nn.Sequential(*[m for i in range(3) for m in (nn.Conv2d(neck if i == 0 else head, head, 3, 1, 1, bias=False), norm(), nn.ReLU())])
        self.heads = nn.ModuleList(nn.Conv2d(head, n * anchors, 3, 1, 1) for n in ((1, 4, 10) if points else (1, 4)))
        count = 5 if five else 3
        self.scale, self.shift = (nn.ParameterList(nn.Parameter(torch.full((len(self.heads),), v)) for _ in range(count)) for v in (1.0, 0.0))

    def maps(self, x):
        """For each stride the heads' raw outputs."""
        x, levels = self.stem(x), []
        for layer in self.layers:
            x = layer(x)
            levels.append(x)
        levels = [lateral(x) for lateral, x in zip(self.lateral, levels[1:])]
        for i in (1, 0):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
        levels = [smooth(x) for smooth, x in zip(self.smooth, levels)]
        for i in (0, 1):
            levels[i + 1] = levels[i + 1] + self.down[i](levels[i])
        levels = [levels[0], *(out(x) for out, x in zip(self.out, levels[1:]))]
        for extra in self.extra:
            levels.append(extra(levels[-1]))
        return [[head(y) for head in self.heads] for y in map(self.tower, levels)]


class Exported(nn.Module):
    """The outputs as insightface's exports have them: all scores, then all boxes, then all landmarks."""

    def __init__(self, net: Scrfd):
        super().__init__()
        self.net = net
        # Five points of a face around the cell, in strides.
        face = [(x - 56.0) / 25.0 for x in (38.3, 51.7, 73.5, 51.5, 56.0, 71.7, 41.5, 92.4, 70.7, 92.2)]
        centre = torch.tensor([v - (16.0 / 25.0 if i % 2 else 0.0) for i, v in enumerate(face)])
        self.register_buffer("face", centre.repeat(net.anchors).view(1, -1, 1, 1))

    def forward(self, x):
        net, levels, out = self.net, self.net.maps(x), []
        for at, values in enumerate((1, 4, 10)[: len(net.heads)]):
            for i, level in enumerate(levels):
                y = level[at] * net.scale[i][at] + net.shift[i][at]
                y = torch.sigmoid(y) if values == 1 else y + self.face if values == 10 else y
                if net.batch_axis:
                    out.append(y.permute(0, 2, 3, 1).reshape(1, -1, values))
                else:
                    out.append(y.permute(2, 3, 0, 1).reshape(-1, values))
        return tuple(out)


class IBlock(nn.Module):
    """ArcFace's residual block (arXiv:1801.07698)."""

    def __init__(self, a: int, b: int, s: int):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(a), nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.PReLU(b), nn.Conv2d(b, b, 3, s, 1, bias=False), nn.BatchNorm2d(b))
        self.short = nn.Sequential(nn.Conv2d(a, b, 1, s, bias=False), nn.BatchNorm2d(b)) if s > 1 else nn.Identity()
        # Trained blocks add little each. At full strength a hundred random layers make much of one pixel's last bit.
        nn.init.constant_(self.body[-1].weight, 0.3)

    def forward(self, x):
        return self.body(x) + self.short(x)


def iresnet(counts, channels, length: int = 512) -> nn.Module:
    layers, last = [nn.Conv2d(3, channels[0], 3, 1, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.PReLU(channels[0])], channels[0]
    for count, c in zip(counts, channels):
        layers += [IBlock(last if i == 0 else c, c, 2 if i == 0 else 1) for i in range(count)]
        last = c
    return nn.Sequential(*layers, nn.BatchNorm2d(last), nn.Flatten(), nn.Linear(49 * last, length), nn.BatchNorm1d(length))


def picture(name: str) -> np.ndarray:
    return cv2.imread(str(HERE / f"pictures/{name}.png"))


def settle(net: nn.Module, batch: torch.Tensor) -> None:
    """Sets batch normalisation from what passes through it."""
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.momentum = None
    with torch.no_grad():
        net.train()(batch)
    net.eval()


def export(net: nn.Module, shape, file: Path, dynamic: dict, outputs: int) -> None:
    names = [f"out{i}" for i in range(outputs)]
    torch.onnx.export(net, torch.zeros(shape), str(file), input_names=["input.1"], output_names=names, dynamic_axes=dynamic, opset_version=11, dynamo=False)


def detector(file: Path, seed: int, width: dict, fixed: bool, **kind) -> None:
    torch.manual_seed(seed)
    exported = Exported(Scrfd(width, **kind))
    net = exported.net
    blobs = [cv2.dnn.blobFromImage(cv2.resize(picture(n), (SIZE, SIZE)), 1 / 128, (SIZE, SIZE), (127.5,) * 3, swapRB=True) for n in PICTURES]
    batch = torch.from_numpy(np.concatenate(blobs))
    net.forward = net.maps
    settle(net, batch)
    with torch.no_grad():
        for i, level in enumerate(net.maps(batch)):
            # Few scores above a half, boxes of about two strides each way, points near their places.
            for at, (mean, std) in enumerate(((-7.0, 2.5), (2.0, 0.25), (0.0, 0.12))[: len(level)]):
                found_mean, found_std = level[at].mean(), level[at].std() + 1e-6
                net.scale[i][at] = std / found_std
                net.shift[i][at] = mean - found_mean * std / found_std
    shape, dynamic = ((1, 3, SIZE, SIZE), {}) if fixed else ((1, 3, 640, 640), {"input.1": {2: "height", 3: "width"}})
    export(exported, shape, file, dynamic, outputs=len(net.heads) * len(net.scale))


def decided(detector: SCRFD, threshold: float) -> bool:
    """Whether no rounding error can change which boxes are found, and each picture has some, but not many."""
    for name in PICTURES:
        low, _ = detector._detect_candidates(picture(name), (SIZE, SIZE), threshold - 0.05)
        if not 1 <= (low[:, 4] >= threshold).sum() <= 40 or (abs(low[:, 4] - threshold) < 0.01).any():
            return False
        for i, a in enumerate(low):
            for b in low[i + 1 :]:
                w, h = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
                both = max(0.0, w) * max(0.0, h)
                area = lambda r: (r[2] - r[0] + 1) * (r[3] - r[1] + 1)  # noqa: E731
                iou = both / (area(a) + area(b) - both)
                if abs(iou - 0.4) < 0.02 or (iou > 0.38 and a[4] - b[4] < 0.01):
                    return False
    return True


def embedder(file: Path, seed: int, net, raw: bool, one: bool) -> None:
    torch.manual_seed(seed)
    net = net()
    crops = [cv2.resize(picture(n)[y : y + 90, x : x + 90], (112, 112)) for n in PICTURES for y in (0, 7) for x in (0, 19, 38)]
    mean, std = (0.0, 1.0) if raw else (127.5, 127.5)
    settle(net, torch.from_numpy(cv2.dnn.blobFromImages(crops, 1 / std, (112, 112), (mean,) * 3, swapRB=True)))
    export(net, (1, 3, 112, 112), file, {} if one else {"input.1": {0: "None"}}, outputs=1)


def normalise_inside(file: Path) -> None:
    """Puts ArcFace's normalisation before the network as its first nodes, as exporters from MXNet write it."""
    model = onnx.load(str(file))
    graph, entry = model.graph, model.graph.input[0].name
    for node in graph.node:
        node.input[:] = ["scaled" if name == entry else name for name in node.input]
    graph.initializer.extend([numpy_helper.from_array(np.float32(127.5), "m"), numpy_helper.from_array(np.float32(1 / 127.5), "s")])
    first = [helper.make_node("Sub", [entry, "m"], ["shifted"], "_minusscalar0"), helper.make_node("Mul", ["shifted", "s"], ["scaled"], "_mulscalar0")]
    nodes = first + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(file))


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def rounded(values, digits: int) -> list:
    return [round(float(v), digits) for v in np.asarray(values).ravel()]


def found_by(file: Path, threshold: float, points: bool) -> dict:
    detector, found = SCRFD(session=session(file)), {}
    detector.prepare(0, input_size=(SIZE, SIZE), det_thresh=threshold)
    for name in PICTURES:
        boxes, landmarks = detector.detect(picture(name), input_size=(SIZE, SIZE))
        faces = zip(boxes, landmarks if points else [[]] * len(boxes))
        found[name] = [{"box": rounded(b[:4], 3), "score": round(float(b[4]), 6), "landmarks": rounded(p, 3)} for b, p in faces]
    return found


def points_by(file: Path) -> dict:
    """The landmarks of each picture's best faces, not rounded."""
    detector = SCRFD(session=session(file))
    detector.prepare(0, input_size=(SIZE, SIZE), det_thresh=0.5)
    return {name: detector.detect(picture(name), input_size=(SIZE, SIZE))[1][:EMBEDDED] for name in PICTURES}


def embedded_by(file: Path, faces: dict, bgr: bool) -> dict:
    """Embeddings of the best faces; `bgr` feeds values as they are, blue first, which insightface cannot."""
    model, out = ArcFaceONNX(str(file), session(file)), {}
    for name in PICTURES:
        out[name] = []
        for points in faces[name]:
            crop = face_align.norm_crop(picture(name), points, 112)
            blob = cv2.dnn.blobFromImages([crop], 1.0, (112, 112), (0, 0, 0), swapRB=False)
            feature = model.session.run(None, {model.input_name: blob})[0] if bgr else model.get_feat(crop)
            out[name].append(rounded(feature / np.linalg.norm(feature), 6))
    return out


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--full", type=Path)
    full = arguments.parse_args().full
    folder, width = (full, FULL) if full else (HERE / "models", FEW)
    folder.mkdir(exist_ok=True, parents=True)
    three, five = dict(anchors=2, five=False), dict(anchors=1, five=True)
    kinds = {
        "buffalo-detector": dict(three, points=True, batch_axis=False, group_norm=True, fixed=False),
        "antelope-detector": dict(three, points=True, batch_axis=True, group_norm=False, fixed=False),
        "detector-15": dict(five, points=True, batch_axis=False, group_norm=False, fixed=True),
        "detector-6": dict(three, points=False, batch_axis=False, group_norm=False, fixed=True),
    }
    record = {"made_with": "insightface 2.1, onnxruntime " + onnxruntime.__version__, "size": SIZE, "detectors": {}, "embedders": {}}
    for name, kind in kinds.items():
        file = folder / f"shape-{name}.onnx"
        for seed in range(200):
            detector(file, seed, width, **kind)
            if decided(SCRFD(session=session(file)), 0.5):
                break
        else:
            raise SystemExit(f"{name}: no seed gives boxes that are decided")
        record["detectors"][name] = found_by(file, 0.5, kind["points"])
        print(name, "seed", seed, {k: len(v) for k, v in record["detectors"][name].items()}, file.stat().st_size, flush=True)
    faces = points_by(folder / "shape-buffalo-detector.onnx")
    few, fewer, many = (4, 4, 4, 2), (2, 2, 2, 2), (64, 128, 256, 512)
    nets = {
        "buffalo-embedder": (lambda: iresnet((3, 4, 14, 3), many if full else few), False),
        "antelope-embedder": (lambda: iresnet((3, 13, 30, 3), many if full else fewer), False),
        # SFace's input and output (arXiv:2205.12010).
        "embedder-128": (lambda: iresnet((1, 2, 2, 1), many if full else few, 128), True),
    }
    for name, (net, raw) in nets.items():
        file = folder / f"shape-{name}.onnx"
        embedder(file, 1, net, raw, one=raw)
        record["embedders"][name] = embedded_by(file, faces, bgr=raw)
        print(name, file.stat().st_size, flush=True)
    inside = folder / "shape-embedder-normalised-inside.onnx"
    embedder(inside, 2, lambda: iresnet((1, 2, 2, 1), many if full else few, 128), raw=False, one=True)
    normalise_inside(inside)
    record["embedders"]["embedder-normalised-inside"] = embedded_by(inside, faces, bgr=False)
    (folder / "shapes.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
