"""pack.toml: every file with its digest, a vocabulary that speaks the caption's language, and figures that make sense."""
import hashlib
import re
import shutil
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from puppet import pack
from puppet.identity import BEARDS, EYES, GLASSES, HAIR_STYLES, HAIRS, SKINS
from puppet.situation import COLOURS, EXPRESSIONS, GARMENTS, PLACES, SHOTS, TIMES

PACK = Path(__file__).parents[2]
TOML = tomllib.loads((PACK / "pack.toml").read_text())
SLOTS = TOML["vocabulary"]["slots"]


def test_pack_toml_is_what_the_generator_writes():
    assert pack.render(pack.TEMPLATE.read_text(), PACK) == (PACK / "pack.toml").read_text()


def test_every_model_file_has_its_digest_and_size():
    for model in TOML["model"]:
        content = (PACK / model["file"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (model["sha256"], model["size"])


def test_every_file_of_the_models_is_listed():
    listed = {m["file"] for m in TOML["model"]}
    folders = ("tokenizer", "text_encoder", "unet", "vae", "scheduler", "ip_adapter", "controlnet")
    there = {f.relative_to(PACK).as_posix() for folder in folders for f in (PACK / folder).iterdir()}
    assert listed == there | {"model_index.json", "detector.onnx", "embedder.onnx", "attributes.onnx", "impostors.safetensors"}


def test_no_file_tells_where_it_was_made():
    for config in PACK.glob("*/config.json"):
        assert "_name_or_path" not in config.read_text()


def test_the_pack_stays_small():
    sizes = [m["size"] for m in TOML["model"]]
    assert max(sizes) <= 16 << 20 and sum(sizes) <= 40_000_000


def test_weights_are_readable_and_half_precision():
    for model in TOML["model"]:
        if model["file"].endswith(".safetensors"):
            with safe_open(PACK / model["file"], "numpy") as f:
                assert {f.get_slice(k).get_dtype() for k in f.keys()}  # noqa: SIM118 - safe_open is no mapping <= {"F16", "F32", "I64"}


def test_the_strangers_are_a_thousand_and_of_this_embedder(tmp_path):
    with safe_open(PACK / "impostors.safetensors", "numpy") as f:
        e, yaw = f.get_tensor("embedding").astype(np.float32), f.get_tensor("yaw")
    assert len(e) == len(yaw) >= 1000 and np.allclose(np.linalg.norm(e, axis=1), 1, atol=1e-2)
    likeness = e @ e.T - 2 * np.eye(len(e))
    assert (likeness.max(1) > 0.95).mean() < 0.01, "one row for each person"
    pack.check_impostors(PACK)
    for file in ("impostors.safetensors", "detector.onnx"):
        shutil.copy(PACK / file, tmp_path)
    shutil.copy(PACK / "detector.onnx", tmp_path / "embedder.onnx")
    with pytest.raises(SystemExit, match="another embedder; run python -m puppet.impostors"):
        pack.check_impostors(tmp_path)


def test_a_missing_role_is_told(tmp_path):
    with pytest.raises(SystemExit, match="no file for the role index"):
        pack.write(tmp_path)


def test_the_curve_rises():
    anchors = TOML["identity"]["calibration"]["anchors"]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(anchors))
    assert [idr for _, idr in anchors] == [0.0, 0.5, 0.75, 0.85, 1.0]


def test_every_placeholder_is_a_slot():
    for part in (p for parts in TOML["vocabulary"]["parts"] for p in parts):
        assert set(re.findall(r"{(\w+)}", part)) <= {*SLOTS, "a"}


@pytest.mark.parametrize(
    ("slot", "known"),
    [
        ("framing", SHOTS), ("expression", EXPRESSIONS), ("place", PLACES), ("time", TIMES), ("hair_colour", HAIRS), ("skin", SKINS),
        ("eyes", EYES), ("beard", set(BEARDS) - {"none"}), ("glasses", set(GLASSES) - {"none"}),
        ("hair_style", set(HAIR_STYLES) - {"bald"}), ("garment_colour", COLOURS), ("shirt_colour", COLOURS),
        ("age", ["young", "adult", "old"]), ("sex", ["man", "woman"]), ("looking", ["looking left", "looking right"]),
    ],
)
def test_a_slot_has_exactly_the_words_that_the_models_know(slot, known):
    assert set(SLOTS[slot]["words"]) == set(known)


def test_all_garments_can_be_said():
    assert {*SLOTS["garment"]["words"], *SLOTS["outerwear"]["words"]} == set(GARMENTS)


@pytest.mark.parametrize("slot", SLOTS)
def test_no_phrase_means_two_things(slot):
    phrases = [p for word, means in SLOTS[slot]["words"].items() for p in {word, *means}]
    assert len(phrases) == len(set(phrases)), sorted(p for p in phrases if phrases.count(p) > 1)


@pytest.mark.parametrize("slot", SLOTS)
def test_a_default_is_a_word_of_its_slot(slot):
    assert SLOTS[slot].get("default") in {None, *SLOTS[slot]["words"]}
