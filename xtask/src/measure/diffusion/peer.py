"""The peer of `measure diffusion` and `measure lora`: diffusers and peft on random models.

    python peer.py make SHAPE FOLDER              a random model of a shape, and INPUTS for it (FOLDER/inputs.safetensors)
    python peer.py unet FOLDER REPEATS THREADS    predictions, timed
    python peer.py lora FOLDER REPEATS THREADS    LoRA steps of rank 16, timed

The peer at its best: float32, fused attention, no gradient of frozen weights, texts encoded beforehand.
"""
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

XL_ADDED = dict(addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
# What the UNet is made of, rows and size of the latents, tokens, widths of the text encoders.
SHAPES = {
    "puppet": (dict(
        in_channels=12, out_channels=12, block_out_channels=(128, 160), layers_per_block=1, attention_head_dim=(4, 4),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True, cross_attention_dim=192,
    ), (4, 16, 16), 56, (192,)),
    "sd15": (dict(
        in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768,
        attention_head_dim=8,
    ), (2, 32, 32), 77, (768,)),
    "sdxl": (dict(
        in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280), cross_attention_dim=2048,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(5, 10, 20),
        transformer_layers_per_block=(1, 2, 10), use_linear_projection=True, **XL_ADDED,
    ), (1, 32, 32), 77, (768, 1280)),
}
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]


def make(shape: str, folder: Path) -> None:
    torch.manual_seed(0)
    config, (rows, height, width), tokens, widths = SHAPES[shape]
    is_xl = len(widths) == 2
    with torch.no_grad():
        unet = UNet2DConditionModel(sample_size=height, **config).eval().half()
        unet.save_pretrained(folder / "unet")
        words = [chr(c) for c in range(33, 127)]
        words = words + [w + "</w>" for w in words] + ["<|startoftext|>", "<|endoftext|>"]
        for i, wide in enumerate(widths):
            kind = CLIPTextModelWithProjection if i else CLIPTextModel
            ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
            text = kind(CLIPTextConfig(
                vocab_size=len(words), hidden_size=wide, intermediate_size=2 * wide, num_hidden_layers=2,
                num_attention_heads=4, max_position_embeddings=tokens, projection_dim=wide, **ends,
            ))
            ending = "_2" if i else ""
            text.half().save_pretrained(folder / f"text_encoder{ending}")
            own = folder / f"tokenizer{ending}"
            own.mkdir(parents=True, exist_ok=True)
            (own / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
            (own / "merges.txt").write_text("#version: 0.2\n")
            (own / "tokenizer_config.json").write_text(json.dumps({"model_max_length": tokens, "do_lower_case": True}))
        levels = 4
        AutoencoderKL(
            block_out_channels=(8,) * levels, latent_channels=config["in_channels"], norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        ).half().save_pretrained(folder / "vae")
        (folder / "scheduler").mkdir(exist_ok=True)
        (folder / "scheduler/scheduler_config.json").write_text(json.dumps({
            "_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "clip_sample": False,
        }))
        parts = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"}
        if is_xl:
            parts |= {"text_encoder_2": "CLIPTextModelWithProjection", "tokenizer_2": "CLIPTokenizer"}
        index = {"_class_name": "StableDiffusionXLPipeline" if is_xl else "StableDiffusionPipeline"}
        (folder / "model_index.json").write_text(json.dumps(index | {k: ["", v] for k, v in parts.items()}))
        inputs = {
            "latents": torch.randn(rows, config["in_channels"], height, width), "times": torch.full((rows,), 341.0),
            "text": torch.randn(rows, tokens, config["cross_attention_dim"]),
        }
        if is_xl:
            inputs |= {"pooled": torch.randn(rows, 1280), "sizes": torch.tensor([[256.0, 256, 0, 0, 256, 256]] * rows)}
        inputs["unet"] = predict(unet.float(), inputs)
        save_file(inputs, folder / "inputs.safetensors")


def predict(unet, inputs):
    more = {}
    if "pooled" in inputs:
        more = {"added_cond_kwargs": {"text_embeds": inputs["pooled"], "time_ids": inputs["sizes"]}}
    return unet(inputs["latents"], inputs["times"], inputs["text"], **more).sample


def measured(what: str, folder: Path, repeats: int) -> None:
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval().requires_grad_(False)
    inputs = load_file(folder / "inputs.safetensors")
    if what == "lora":
        from peft import LoraConfig

        unet.add_adapter(LoraConfig(r=16, lora_alpha=8, target_modules=TARGETS))
        parameters = [p for p in unet.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-4)

        def once():
            noise = torch.randn_like(inputs["latents"])
            loss = (predict(unet, inputs | {"latents": 0.7 * inputs["latents"] + 0.7 * noise}) - noise).square().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
    else:

        @torch.inference_mode()
        def once():
            predict(unet, inputs)

    once()
    begun, busy = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        once()
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:")).split()[1]
    print(json.dumps({"per_second": repeats / seconds, "cpu_seconds": busy / repeats, "peak_rss_mib": int(peak) / 1024}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], Path(sys.argv[3]))
    else:
        torch.set_num_threads(int(sys.argv[4]))
        measured(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
