"""Makes `tiny_xl/`, a random model with every convention of Stable Diffusion XL, and what diffusers computes with it
(`tiny_xl.safetensors`), and `samplers.json`, what its stochastic and multistep samplers do: `python make_xl.py`. The Rust tests
read these files and need no Python."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler,
    StableDiffusionXLPipeline, UNet2DConditionModel,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

HERE = Path(__file__).parent
PROMPT = "close shot of a woman, light skin, long red hair, round glasses, at night"
NEGATIVE = "a man with a beard"


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tiny_xl(folder):
    torch.manual_seed(11)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(HERE / "tiny/tokenizer", folder / name, dirs_exist_ok=True)
    shutil.copytree(HERE / "tiny/vae", folder / "vae", dirs_exist_ok=True)
    vocabulary = len(json.loads((folder / "tokenizer/vocab.json").read_text()))
    ends = {"bos_token_id": vocabulary - 2, "pad_token_id": vocabulary - 1}

    def config(hidden, layers, act, **more):
        return CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers,
            num_attention_heads=2, max_position_embeddings=24, initializer_factor=4.0, hidden_act=act, **ends, **more,
        )

    first = CLIPTextModel(config(16, 2, "quick_gelu", eos_token_id=vocabulary - 1, projection_dim=16))
    second = CLIPTextModelWithProjection(config(24, 3, "gelu", eos_token_id=2, projection_dim=20))
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2), attention_head_dim=(2, 4), use_linear_projection=True,
        cross_attention_dim=40, norm_num_groups=8, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=20 + 6 * 8,
    )
    for model, name in ((first, "text_encoder"), (second, "text_encoder_2"), (unet, "unet")):
        model.eval().half().save_pretrained(folder / name)
        model.float()
    schedule = {
        "_class_name": "EulerDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1, "timestep_spacing": "leading",
    }
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(schedule, indent=1))
    index = {
        "_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    vae = AutoencoderKL.from_config(json.loads((folder / "vae/config.json").read_text()))
    schedule.pop("_class_name")
    return StableDiffusionXLPipeline(
        vae=vae, text_encoder=first, text_encoder_2=second, tokenizer=tokenizer, tokenizer_2=tokenizer, unet=unet,
        scheduler=EulerDiscreteScheduler(**schedule), add_watermarker=False,
    )


def golden(pipe):
    out = {"latent": noise(1, 1, 4, 6, 10)}
    with_, without, pooled, negative = pipe.encode_prompt(PROMPT, negative_prompt=NEGATIVE, do_classifier_free_guidance=True)
    out |= {"text": torch.cat([without, with_]), "pooled": torch.cat([negative, pooled])}
    _, empty, _, empty_pooled = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=True)
    out |= {"empty": empty, "empty.pooled": empty_pooled}
    assert not empty.any()
    ids = torch.tensor([[48.0, 80, 0, 0, 48, 80]])
    told = {"text_embeds": pooled, "time_ids": ids}
    out["unet"] = pipe.unet(out["latent"], 341, with_, added_cond_kwargs=told).sample
    pipe.scheduler.set_timesteps(4)
    size = [(float(s) ** 2 + 1) ** 0.5 for s in pipe.scheduler.sigmas[:-1]] + [1.0]
    run = out["latent"].double() * size[0]
    for i, time in enumerate(pipe.scheduler.timesteps):
        scaled = (run / size[i]).float()
        pipe.scheduler._step_index = i
        told = {"text_embeds": out["pooled"], "time_ids": ids.repeat(2, 1)}
        a, b = pipe.unet(torch.cat([scaled, scaled]), time, out["text"], added_cond_kwargs=told).sample.chunk(2)
        prediction = (a + 3.0 * (b - a)).double()
        sigma, after = (float(s) for s in pipe.scheduler.sigmas[i : i + 2])
        run = run + prediction * (after - sigma)  # what Euler's step is for a prediction of noise
        out[f"run.{i}"] = run / size[i + 1]
    return {name: value.detach().float().contiguous() for name, value in out.items()}


def samplers():
    """Whole runs over two numbers with made-up predictions, latents brought to unit variance."""
    given = iter(())
    scheduling_euler_ancestral_discrete.randn_tensor = lambda *_, **__: next(given)
    cases = []
    for spacing in ("leading", "trailing", "linspace"):
        for prediction in ("epsilon", "v_prediction"):
            for kind in (EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler):
                config = {"timestep_spacing": spacing, "beta_schedule": "scaled_linear", "prediction_type": prediction}
                config |= {"steps_offset": 1, "beta_start": 0.00085, "beta_end": 0.012}
                more = {"final_sigmas_type": "zero"} if kind is DPMSolverMultistepScheduler else {}
                scheduler = kind(**config, **more)
                for count in (2, 5, 20):
                    scheduler.set_timesteps(count)
                    if kind is EulerAncestralDiscreteScheduler:
                        scheduler.sigmas = scheduler.sigmas.double()
                    noises = [[round(0.3 * (i % 3) - 0.2, 3), round(0.9 - 0.25 * (i % 5), 3)] for i in range(count)]
                    given = iter([torch.tensor(n).double() for n in noises])
                    ancestral = kind is EulerAncestralDiscreteScheduler
                    size = [(float(s) ** 2 + 1) ** 0.5 if ancestral else 1.0 for s in scheduler.sigmas[:-1]] + [1.0]
                    run = torch.tensor([0.4, 1.1]).double() * size[0]
                    latents = []
                    for i, time in enumerate(scheduler.timesteps):
                        scheduler.scale_model_input(run, time)
                        unit = run / size[i]
                        guess = torch.stack([0.7 * unit[0] - 0.3, 0.2 - 0.5 * unit[1]])
                        run = scheduler.step(guess, time, run).prev_sample
                        latents.append((run / size[i + 1]).tolist())
                    cases.append({
                        "config": {"_class_name": kind.__name__} | config, "count": count, "noise": noises,
                        "times": [float(t) for t in scheduler.timesteps], "latents": latents,
                        "first": float(scheduler.init_noise_sigma) / size[0],
                    })
    return cases


@torch.no_grad()
def main():
    torch.use_deterministic_algorithms(True)
    pipe = tiny_xl(HERE / "tiny_xl")
    save_file(golden(pipe), HERE / "tiny_xl.safetensors")
    (HERE / "samplers.json").write_text(json.dumps(samplers()) + "\n")


if __name__ == "__main__":
    main()
