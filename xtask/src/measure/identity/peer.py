"""Finds and embeds the faces of a clip with python insightface, and prints how long it took and what was found.

    python peer.py CLIP MODELS CORES

The peer at its best: detection and recognition only, models that do not spin against each other, and of the ways that its users
have (one run for each face, or one for all faces of a frame; as many threads as cores, or one) the one that is the fastest on
the first frames. Every frame of the clip is looked at.
"""
from __future__ import annotations

import json
import logging
import subprocess
import sys
import time

import cv2
import numpy as np
import onnxruntime
from insightface.app import FaceAnalysis
from insightface.utils import face_align

TRIED = 6


def opened(models: str, threads: int) -> FaceAnalysis:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    app = FaceAnalysis(models, allowed_modules=["detection", "recognition"], providers=["CPUExecutionProvider"], sess_options=options)
    app.prepare(ctx_id=-1, det_thresh=0.5, det_size=(640, 640))
    return app


def one_by_one(app: FaceAnalysis, frame: np.ndarray) -> list:
    return [(face.bbox, face.det_score, face.embedding) for face in app.get(frame)]


def together(app: FaceAnalysis, frame: np.ndarray) -> list:
    boxes, points = app.det_model.detect(frame)
    if len(boxes) == 0:
        return []
    model = app.models["recognition"]
    crops = [face_align.norm_crop(frame, landmark=p, image_size=model.input_size[0]) for p in points]
    return [(box[:4], box[4], embedding) for box, embedding in zip(boxes, model.get_feat(crops))]


def looked(app: FaceAnalysis, way, clip: str, most: int | None = None) -> tuple[list, float]:
    started, video, frames = time.perf_counter(), cv2.VideoCapture(clip), []
    while most is None or len(frames) < most:
        there, frame = video.read()
        if not there:
            break
        frames.append(way(app, frame))
    return frames, time.perf_counter() - started


def measured(clip: str, models: str, threads: int, way: str, most: int | None) -> dict:
    app = opened(models, threads)
    looked(app, globals()[way], clip, TRIED)
    busy = time.process_time()
    frames, seconds = looked(app, globals()[way], clip, most)
    busy = time.process_time() - busy
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:")).split()[1]
    found = [[{"box": box.tolist(), "score": float(score), "embedding": e.tolist()} for box, score, e in faces] for faces in frames]
    return {"seconds": seconds, "cpu_seconds": busy, "peak_rss_mib": int(peak) / 1024, "frames": found, "way": f"{way}, {threads} threads"}


def main(clip: str, models: str, cores: int) -> None:
    """Each way in a process of its own, so that the one that is measured has no other's memory."""
    best = []
    for threads in sorted({1, cores}):
        for way in ("one_by_one", "together"):
            tried = subprocess.run([sys.executable, __file__, clip, models, str(threads), way, str(TRIED)], stdout=subprocess.PIPE, check=True)
            best.append((json.loads(tried.stdout)["seconds"], threads, way))
    _, threads, way = min(best)
    print(json.dumps(measured(clip, models, threads, way, None)))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    clip, models, threads, *rest = sys.argv[1:]
    if rest:
        print(json.dumps(measured(clip, models, int(threads), rest[0], int(rest[1]))))
    else:
        main(clip, models, int(threads))
