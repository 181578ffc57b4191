"""Writes pack.toml: the template plus one [[model]] entry for every file of the pack, with its digest and size.

    python pack.py [PACK]          PACK is the folder above this one unless given
"""
from __future__ import annotations

import hashlib
import sys
from pathlib import Path

RECIPE = Path(__file__).resolve().parent
MARK = "# {models}"

# Which file plays which role, in the order of pack.toml.
ROLES = (
    ("index", "model_index.json"),
    ("tokenizer", "tokenizer/*"),
    ("text-encoder", "text_encoder/*"),
    ("unet", "unet/*"),
    ("vae", "vae/*"),
    ("scheduler", "scheduler/*"),
    ("ip-adapter", "ip_adapter/*"),
    ("detector", "detector.onnx"),
    ("embedder", "embedder.onnx"),
)


def entries(pack: Path):
    """Yields (role, path inside the pack, SHA-256, bytes) of every model file, and fails where a role has none."""
    for role, pattern in ROLES:
        files = sorted(f for f in pack.glob(pattern) if f.is_file())
        if not files:
            raise SystemExit(f"write pack.toml: {pack}: no file for the role {role} ({pattern}); export the models first")
        for file in files:
            content = file.read_bytes()
            yield role, file.relative_to(pack).as_posix(), hashlib.sha256(content).hexdigest(), len(content)


def render(template: str, pack: Path) -> str:
    """The text of pack.toml for the files that lie in `pack`."""
    if template.count(MARK) != 1:
        raise SystemExit(f"write pack.toml: the template needs one line `{MARK}`")
    models = "\n".join(
        f'[[model]]\nrole = "{role}"\nfile = "{file}"\nsha256 = "{digest}"\nsize = {size}\n' for role, file, digest, size in entries(pack)
    )
    first, rest = template.split("\n", 1)
    head = "# Written by recipe/pack.py from recipe/pack.template.toml: change that one, then run it again.\n"
    return head + (rest if first.startswith("#") else template).replace(MARK, models.rstrip())


def write(pack: Path) -> Path:
    """Writes PACK/pack.toml and returns its path."""
    target = pack / "pack.toml"
    target.write_text(render((RECIPE / "pack.template.toml").read_text(), pack))
    return target


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else RECIPE.parent))
