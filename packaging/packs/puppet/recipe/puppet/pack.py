"""Writes pack.toml: the template plus one [[model]] entry for every file of the pack, with its digest and size,
and the labels of the attribute classifier.

    python -m puppet.pack [PACK]          PACK is the folder above the recipe unless given
"""
from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open

from .attributes import CROP, DOWN, OUTPUTS, SIZE

RECIPE = Path(__file__).resolve().parent.parent
TEMPLATE = RECIPE / "pack.template.toml"
MODELS, LABELS = "# {models}", "# {attributes}"
HEAD = "# Written by recipe/puppet/pack.py from recipe/pack.template.toml: change that one, then run it again.\n"

# Which file plays which role, in the order of pack.toml.
ROLES = (
    ("index", "model_index.json"),
    ("tokenizer", "tokenizer/*"),
    ("text-encoder", "text_encoder/*"),
    ("unet", "unet/*"),
    ("vae", "vae/*"),
    ("scheduler", "scheduler/*"),
    ("ip-adapter", "ip_adapter/*"),
    ("controlnet", "controlnet/*"),
    ("detector", "detector.onnx"),
    ("embedder", "embedder.onnx"),
    ("attributes", "attributes.onnx"),
    ("impostors", "impostors.safetensors"),
)


def entries(pack: Path) -> Iterator[tuple[str, str, str, int]]:
    """Role, path inside the pack, SHA-256 and bytes of every model file; fails where a role has none."""
    for role, pattern in ROLES:
        files = sorted(f for f in pack.glob(pattern) if f.is_file())
        if not files:
            raise SystemExit(f"write pack.toml: {pack}: no file for the role {role} ({pattern}); export the models first")
        for file in files:
            content = file.read_bytes()
            yield role, file.relative_to(pack).as_posix(), hashlib.sha256(content).hexdigest(), len(content)


def check_impostors(pack: Path) -> None:
    """Fails where the strangers were embedded by another embedder than the pack's: the farm would refuse them."""
    with safe_open(pack / "impostors.safetensors", "numpy") as f:
        made_with = (f.metadata() or {}).get("embedder")
    if made_with != hashlib.sha256((pack / "embedder.onnx").read_bytes()).hexdigest():
        raise SystemExit(f"write pack.toml: {pack}: impostors.safetensors is of another embedder; run python -m puppet.impostors {pack}")


def render(template: str, pack: Path) -> str:
    """The text of pack.toml for the files that lie in `pack`."""
    for mark in (MODELS, LABELS):
        if template.count(mark) != 1:
            raise SystemExit(f"write pack.toml: the template needs one line `{mark}`")
    models = "\n\n".join(
        f'[[model]]\nrole = "{role}"\nfile = "{file}"\nsha256 = "{digest}"\nsize = {size}' for role, file, digest, size in entries(pack)
    )
    check_impostors(pack)
    return HEAD + template.split("\n", 1)[1].replace(MODELS, models).replace(LABELS, attributes())


def attributes() -> str:
    """The [attributes] table: the square that the classifier sees, and the labels of its outputs."""
    table = {"size": SIZE, "crop": CROP, "down": DOWN, "mean": 127.5, "std": 127.5}
    lines = [f"{name} = {value}" for name, value in table.items()]
    labels = [f"{name} = {json.dumps(values)}" for name, values in OUTPUTS.items()]
    return "\n".join(["[attributes]", *lines, "", "[attributes.labels]", *labels])


def write(pack: Path) -> Path:
    """Writes PACK/pack.toml and returns its path."""
    target = pack / "pack.toml"
    target.write_text(render(TEMPLATE.read_text(), pack))
    return target


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else RECIPE.parent))
