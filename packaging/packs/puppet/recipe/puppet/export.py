"""Writes a trained generator into the pack, in the layouts that other programs read, and pack.toml anew: one command.

    python -m puppet.export PACK [--generator GEN/ema.pt] [--control CTL/ema.pt] [--vae VAE] [--detector X.onnx] [--embedder X.onnx]
        [--attributes X.onnx]

PACK is a Stable Diffusion folder of diffusers (fp16 safetensors) with an IP-Adapter-FaceID file and three ONNX files beside it.
What is not given stays as it is; tokenizer and configs of a new pack come with --tokenizer. A new embedder, detector or VAE
sees the strangers of impostors.py anew, which takes some minutes.
"""
from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from safetensors.torch import save_file

from . import impostors, pack
from .generator import EMBEDDING_SCALE, SCHEDULE, Model
from .initialisers import halve
from .tokenizer import Tokenizer

INDEX = {
    "_class_name": "StableDiffusionPipeline", "feature_extractor": [None, None], "image_encoder": [None, None],
    "requires_safety_checker": False, "safety_checker": [None, None], "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}
SCHEDULER = {"_class_name": "DDIMScheduler", "beta_start": 1e-4, "beta_end": 0.02, **SCHEDULE}


def adapter(model: Model) -> dict[str, torch.Tensor]:
    """The IP-Adapter's weights under IP-Adapter-FaceID's names; its projection takes unit embeddings."""
    out = {}
    for i, processor in enumerate(model.unet.attn_processors.values()):
        for k in ("to_k_ip", "to_v_ip"):
            if hasattr(processor, k):
                out[f"ip_adapter.{i}.{k}.weight"] = getattr(processor, k).weight
    image = dict(model.image.state_dict())
    image["proj.0.weight"] = image["proj.0.weight"] * EMBEDDING_SCALE
    out |= {f"image_proj.{k}": v for k, v in image.items()}
    return {k: v.detach().half().contiguous() for k, v in out.items()}


def write_generator(target: Path, checkpoint: Path) -> None:
    """UNet, text encoder and IP-Adapter of a checkpoint, with the pipeline's configs."""
    model = Model(len(Tokenizer(target / "tokenizer")))
    model.load_state_dict(torch.load(checkpoint, map_location="cpu"))
    (target / "ip_adapter").mkdir(exist_ok=True)
    save_file(adapter(model), target / "ip_adapter/ip-adapter-faceid.safetensors")
    model.unet.set_attn_processor(AttnProcessor2_0())
    model.unet.half().save_pretrained(target / "unet", variant="fp16")
    model.text.half().save_pretrained(target / "text_encoder")
    plain = target / "text_encoder/model.safetensors"
    if plain.exists():
        plain.replace(plain.with_name("model.fp16.safetensors"))
    (target / "scheduler").mkdir(exist_ok=True)
    (target / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=1))
    (target / "model_index.json").write_text(json.dumps(INDEX, indent=1))


def write_vae(target: Path, folder: Path) -> None:
    """The VAE in half precision."""
    from .vae import load

    load(folder).half().save_pretrained(target / "vae", variant="fp16")
    forget_origin(target / "vae/config.json")


def write_control(target: Path, checkpoint: Path) -> None:
    """The ControlNet in half precision."""
    from .control import empty

    net = empty()
    net.load_state_dict(torch.load(checkpoint, map_location="cpu"))
    net.half().save_pretrained(target / "controlnet", variant="fp16")
    forget_origin(target / "controlnet/config.json")


def forget_origin(config: Path) -> None:
    """Where a model was trained is nobody's business."""
    said = json.loads(config.read_text())
    said.pop("_name_or_path", None)
    config.write_text(json.dumps(said, indent=2))


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("pack", type=Path)
    for name in ("generator", "control", "vae", "detector", "embedder", "attributes", "tokenizer"):
        a.add_argument(f"--{name}", type=Path)
    a = a.parse_args()
    a.pack.mkdir(parents=True, exist_ok=True)
    if a.tokenizer:
        shutil.copytree(a.tokenizer, a.pack / "tokenizer", dirs_exist_ok=True)
    if a.generator:
        write_generator(a.pack, a.generator)
    if a.control:
        write_control(a.pack, a.control)
    if a.vae:
        write_vae(a.pack, a.vae)
    for name in ("detector", "embedder", "attributes"):
        if getattr(a, name):
            shutil.copyfile(getattr(a, name), a.pack / f"{name}.onnx")
            halve(a.pack / f"{name}.onnx")
    if a.embedder or a.detector or a.vae or not (a.pack / impostors.FILE).exists():
        impostors.write(a.pack)
    print(pack.write(a.pack))


if __name__ == "__main__":
    main()
