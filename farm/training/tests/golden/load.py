"""Loads what `cargo run --example interop FOLDER` wrote in diffusers and peft, and makes the same pictures: `python load.py
FOLDER`. Fails on a key that matches nothing and on a latent that differs by more than a thousandth of its size. Opt-in: the
Rust tests need no Python. Last run with diffusers 0.42.1 and peft 0.21.2: no key unmatched, latents within 2e-5 of 20.
"""

import logging
import sys
from pathlib import Path

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file

from make import HERE, TINY, loaded
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from diffusers import AutoencoderKL, UNet2DConditionModel
import json


class Heard(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


def pipeline(name, folder):
    is_xl = name == "tiny_xl"
    config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    kind = EulerDiscreteScheduler if is_xl else DDIMScheduler
    known = {k: v for k, v in config.items() if k not in ("_class_name", "skip_prk_steps")}
    parts = {
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32),
        "vae": None, "scheduler": kind(**known), "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        "text_encoder": loaded(folder / "text_encoder", CLIPTextModel, "model.safetensors"),
    }
    if is_xl:
        vae = AutoencoderKL.from_config(json.loads((folder / "vae/config.json").read_text()))
        second = loaded(folder / "text_encoder_2", CLIPTextModelWithProjection, "model.safetensors")
        return StableDiffusionXLPipeline(**parts | {"vae": vae}, text_encoder_2=second, tokenizer_2=parts["tokenizer"], add_watermarker=False)
    vae = AutoencoderKL.from_config(json.loads((folder / "vae/config.json").read_text()))
    return StableDiffusionPipeline(**parts | {"vae": vae}, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


@torch.no_grad()
def main():
    given = Path(sys.argv[1])
    heard = Heard()
    for library in ("diffusers", "peft"):
        logging.getLogger(library).addHandler(heard)
    for name, folder in (("tiny", TINY / "tiny"), ("puppet", HERE / "puppet"), ("tiny_xl", TINY / "tiny_xl")):
        latents = load_file(given / f"{name}.latents.safetensors")
        for naming in ("kohya", "peft"):
            pipe = pipeline(name, folder)
            pipe.set_progress_bar_config(disable=True)
            heard.said.clear()
            pipe.load_lora_weights(given, weight_name=f"{name}.{naming}.safetensors")
            complaints = [text for text in heard.said if "key" in text.lower() or "lora" in text.lower()]
            parts = pipe.get_list_adapters()
            count = len(load_file(given / f"{name}.{naming}.safetensors"))
            made = pipe(
                "a man and hair", negative_prompt=None if name == "tiny_xl" else "", latents=latents["noise"].clone(), num_inference_steps=6,
                guidance_scale=3.0, height=48, width=80, output_type="latent",
            ).images
            size = latents["latent"].abs().max().item()
            difference = (made - latents["latent"]).abs().max().item()
            print(f"{name} {naming}: {count} keys, {parts}, latent differs by {difference:.1e} of {size:.2f}; {complaints}")
            assert complaints == [] and difference <= 1e-3 * max(size, 1.0)


if __name__ == "__main__":
    main()
