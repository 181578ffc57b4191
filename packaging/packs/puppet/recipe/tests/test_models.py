"""Training goes on from what is shipped: the pack's files come back as networks, and go out again as the same files.

Needs requirements.txt; skipped where only requirements-test.txt is installed.
"""
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.numpy import load_file

from puppet import classifier, detector, embedder, export, initialisers, lookalikes, prepare, vae
from puppet.faces import Faces, letterbox
from puppet.generator import Model
from puppet.identity import identity
from puppet.picture import SQUARE, WIDE, sample
from puppet.tokenizer import Tokenizer

PACK = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def faces():
    return Faces(PACK)


def test_the_embedder_comes_back_from_its_onnx_file(faces):
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    assert np.allclose(embedder.embed(embedder.load(PACK), crops).numpy(), faces.embed(crops), atol=1e-4)


def test_the_detector_comes_back_from_its_onnx_file(faces):
    net = detector.Detector()
    initialisers.restore(net, PACK / "detector.onnx")
    square, _ = letterbox(sample(1, identity(1), *WIDE).rgb, 256)
    x = (square.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 128
    with torch.no_grad():
        ours = net.eval()(torch.from_numpy(x))
    for a, b in zip(ours, faces.detector.run(None, {"input.1": x})):
        assert np.allclose(a.numpy(), b, atol=1e-3)


def test_the_classifier_comes_back_from_its_onnx_file():
    import onnxruntime

    net = classifier.Classifier()
    assert initialisers.resume(net, PACK / "attributes.onnx") is False
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 128, 128)).astype(np.float32)
    with torch.no_grad():
        ours = net.eval()(torch.from_numpy(x))
    for a, b in zip(ours, onnxruntime.InferenceSession(PACK / "attributes.onnx").run(None, {"input": x})):
        assert np.allclose(a.numpy(), b, atol=1e-3)


def test_look_alikes_are_told_apart_by_what_they_do_not_share():
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(200, 1, 1, 8)), 0.4 * rng.normal(size=(200, 2, 1, 8))
    e = np.concatenate([shared.repeat(2, 1).repeat(5, 2), own.repeat(5, 2)], -1) + 0.05 * rng.normal(size=(200, 2, 5, 16))

    def alike(e):
        a, b = (e[:, i, 0] / np.linalg.norm(e[:, i, 0], axis=1, keepdims=True) for i in (0, 1))
        return (a * b).sum(1).mean()

    weigh, mean = lookalikes.weighing(e, 0.45)
    assert alike(e) > 0.7
    assert alike((e - mean) @ weigh.T) < 0.2


def test_a_pack_written_from_its_own_weights_is_the_same_pack(tmp_path):
    shutil.copytree(PACK / "tokenizer", tmp_path / "tokenizer")
    model = Model(len(Tokenizer(PACK / "tokenizer")))
    model.load_pack(PACK)
    torch.save(model.state_dict(), tmp_path / "ema.pt")
    export.write_generator(tmp_path, tmp_path / "ema.pt")
    files = [
        "unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/model.fp16.safetensors", "ip_adapter/ip-adapter-faceid.safetensors",
    ]
    for file in files:
        shipped, again = load_file(PACK / file), load_file(tmp_path / file)
        assert shipped.keys() == again.keys()
        for name, values in shipped.items():
            assert np.allclose(values, again[name], rtol=2e-3, atol=1e-6), name


def test_the_tokenizer_agrees_with_transformers():
    from transformers import CLIPTokenizer

    theirs, ours = CLIPTokenizer.from_pretrained(PACK / "tokenizer"), Tokenizer(PACK / "tokenizer")
    for seed in range(20):
        text = sample(seed, identity(seed), *SQUARE).captions[0]
        assert theirs(text, padding="max_length", truncation=True)["input_ids"] == ours.encode(text)


def test_the_detector_finds_a_drawn_face(faces):
    s = sample(5, identity(1_000_005), *WIDE)
    rgb, box, landmarks = s.rgb, s.boxes[0], s.landmarks[0]
    face = faces.find(rgb)[0]
    assert np.abs(face.box - box).max() < 0.25 * (box[2] - box[0])
    assert np.linalg.norm(face.landmarks - landmarks, axis=1).mean() < 0.25 * np.linalg.norm(landmarks[0] - landmarks[1])


def test_a_puppet_is_closer_to_itself_than_to_another(faces):
    def seen(seed, picture):
        return faces.best(sample(picture, identity(seed), *SQUARE, "close").rgb)[1]

    assert seen(1_000_001, 1) @ seen(1_000_001, 2) > seen(1_000_001, 1) @ seen(1_000_002, 2) + 0.3


def test_folding_gives_unit_latents_and_the_same_pictures():
    net = vae.build().eval()
    rgb = np.stack([sample(n, identity(n), *SQUARE).rgb for n in range(4)])
    x = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        z = net.encode(x).latent_dist.mean
        before = net.decode(z).sample
        prepare.fold(net, z.mean((0, 2, 3)), z.std((0, 2, 3)))
        folded = net.encode(x).latent_dist.mean
        assert torch.allclose(folded.std((0, 2, 3)), torch.ones(12), atol=1e-3)
        assert torch.allclose(net.decode(folded).sample, before, atol=1e-3)


def test_the_face_grid_cuts_what_alignment_cuts():
    from puppet.align import align

    s = sample(2, identity(2), *WIDE, "close")
    rgb, landmarks = s.rgb, s.landmarks[0]
    x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
    grid = vae.face_grid(landmarks[None], x.shape)
    cut = torch.nn.functional.grid_sample(x, grid, align_corners=False)[0].permute(1, 2, 0).numpy()
    assert np.abs(cut - align(rgb, landmarks).astype(float))[10:90, 20:92].mean() < 2
