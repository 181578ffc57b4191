"""Makes the golden files beside it from diffusers and transformers: `python make.py PACK`.

`tiny/` is a randomly initialised model with every convention of Stable Diffusion 1.5 (4 latent channels, convolutions as
outer projections, 8 heads, PNDM's schedule) and what it computes; `tiny_inpaint/` is the same with a UNet for inpainting, and
`inpaint.safetensors` what diffusers' pipelines make of a picture with both; `pack.safetensors` is what PACK's models compute. Run
it again when the pack's weights change. The Rust tests read these files and need no Python.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL, ControlNetModel, DDIMScheduler, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline, StableDiffusionPipeline, UNet2DConditionModel,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img, pipeline_stable_diffusion_inpaint
from diffusers.schedulers import scheduling_euler_discrete
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).parent
GUIDANCE = 3.0
PROMPT = "close shot of a woman, light skin, long red hair, round glasses, at night"
NEGATIVE = "a man with a beard"
TEXTS = [
    "",
    PROMPT,
    "  A Man,\n  SMILING;\t42 freckles... don't they've I'm we'll  ",
    "naïve café — «Straße» 東京 Ωmega ½ 🙂 e\u0301",
    "<|startoftext|> in the middle <|endoftext|> of it",
    "moustache " * 80,
]


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def encoded(pipe, *prompts):
    padded = pipe.tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="pt")
    return pipe.text_encoder(padded.input_ids).last_hidden_state


def golden(pipe, adapter, height, width):
    """Every part's output on fixed inputs, and one short guided run."""
    channels = pipe.unet.config.in_channels
    text = encoded(pipe, NEGATIVE, PROMPT)
    latent = noise(1, 1, channels, height, width)
    out = {"text": text, "latent": latent, "unet": pipe.unet(latent, 341, text[1:]).sample}

    picture = noise(2, 1, 3, 8 * 6, 8 * 4).clamp(-1, 1)
    small = noise(3, 1, channels, 6, 4)
    out["picture"], out["small"] = picture, small
    factor = pipe.vae.config.scaling_factor
    out["encoded"] = pipe.vae.encode(picture).latent_dist.mean * factor
    out["decoded"] = pipe.vae.decode(small / factor).sample

    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(4)
    out["times"] = scheduler.timesteps.to(torch.float32)
    run = latent
    for i, time in enumerate(scheduler.timesteps):
        without, with_ = pipe.unet(torch.cat([run, run]), time, text).sample.chunk(2)
        run = scheduler.step(without + GUIDANCE * (with_ - without), time, run).prev_sample
        out[f"run.{i}"] = run
    out["noised"] = scheduler.add_noise(latent, noise(4, *latent.shape), scheduler.timesteps[1:2])
    out["noise"] = noise(4, *latent.shape)
    euler(pipe, text, out)

    if adapter:
        pipe.load_ip_adapter(str(adapter.parent), subfolder="", weight_name=adapter.name, image_encoder_folder=None)
        pipe.set_ip_adapter_scale(0.8)
        size = next(pipe.unet.encoder_hid_proj.image_projection_layers[0].parameters()).shape[1]
        face = torch.nn.functional.normalize(noise(5, size), dim=0)
        other = torch.nn.functional.normalize(noise(6, size), dim=0)
        condition = {"image_embeds": [face.view(1, 1, size)]}
        out["face"], out["face.other"] = face, other
        out["unet.identity"] = pipe.unet(latent, 341, text[1:], added_cond_kwargs=condition).sample
        out |= people(pipe, latent, face, other, out["unet.identity"])
    return {name: value.detach().float().contiguous() for name, value in out.items()}


LEFT, RIGHT, FRAME = (0.0, 0.0, 0.45, 1.0), (0.3, 0.2, 1.0, 0.8), (0.0, 0.0, 1.0, 1.0)
OTHER = "wide shot of an old man, at the beach"


def people(pipe, latent, face, other, alone):
    """Two people in regions that meet and leave some of the frame, guided, then with their regions exchanged."""
    project = pipe.unet.encoder_hid_proj.image_projection_layers[0]
    tokens = lambda face: project(face.view(1, 1, -1)).reshape(1, -1, pipe.unet.config.cross_attention_dim)
    one, two = (encoded(pipe, NEGATIVE, prompt) for prompt in (PROMPT, OTHER))
    base = encoded(pipe, NEGATIVE, "wide shot")
    processors = pipe.unet.attn_processors

    def seen(latent, contexts):
        regional = {
            name: Regional(contexts, latent.shape[2:], processor) if "attn2" in name else processor
            for name, processor in processors.items()
        }
        pipe.unet.set_attn_processor(regional)
        # The text that is handed over is not looked at; diffusers wants some.
        nobody = {"image_embeds": [torch.zeros(len(latent), 1, face.numel())]}
        return pipe.unet(latent, 341, base[:1].repeat(len(latent), 1, 1), added_cond_kwargs=nobody).sample

    def two_people(first, second):
        contexts = [(FRAME, base, None, 0.0), (second, two, tokens(other), 0.6), (first, one, tokens(face), 0.8)]
        return seen(latent.repeat(2, 1, 1, 1), contexts)

    # The reference itself: one person over the frame is what diffusers computes.
    whole = [(FRAME, base[1:], None, 0.0), (FRAME, one[1:], tokens(face), 0.8)]
    assert torch.allclose(seen(latent, whole), alone, atol=1e-5)
    out = {"unet.people": two_people(LEFT, RIGHT), "unet.people.exchanged": two_people(RIGHT, LEFT)}
    pipe.unet.set_attn_processor(processors)
    return out


class Regional(torch.nn.Module):
    """Cross-attention over contexts (region, text, identity tokens, their scale). A cell sees the last context whose
    region holds its centre; the first row of a batch of two sees no identity."""

    def __init__(self, contexts, size, identity):
        super().__init__()
        self.contexts, self.size = contexts, size
        self.to_k, self.to_v = identity.to_k_ip[0], identity.to_v_ip[0]

    def __call__(self, attn, hidden_states, *_, **__):
        query = attn.to_q(hidden_states)
        height, width = self.size
        while height * width > query.shape[1]:
            height, width = -(-height // 2), -(-width // 2)
        assert height * width == query.shape[1]
        out = torch.zeros_like(query)
        for (x0, y0, x1, y1), text, tokens, scale in self.contexts:
            own = self.attend(attn, query, attn.to_k(text), attn.to_v(text))
            if tokens is not None:
                identity = self.attend(attn, query, self.to_k(tokens), self.to_v(tokens))
                identity[:-1] = 0
                own = own + scale * identity
            y, x = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
            inside = ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))[None, :]
            out = torch.where(inside.reshape(1, -1, 1), own, out)
        return attn.to_out[0](out)

    def attend(self, attn, query, key, value):
        split = lambda t: t.reshape(*t.shape[:2], attn.heads, -1).transpose(1, 2)
        key, value = (t.expand(len(query), -1, -1) for t in (key, value))
        out = torch.nn.functional.scaled_dot_product_attention(split(query), split(key), split(value))
        return out.transpose(1, 2).reshape(query.shape)


def tiny_adapter(unet, file):
    """A random IP-Adapter in the layout of IP-Adapter-FaceID: embeddings of 8 numbers become 3 tokens."""
    torch.manual_seed(1)
    context = unet.config.cross_attention_dim
    weights = {}
    for name, *shape in (("proj.0", 16, 8), ("proj.2", 3 * context, 16), ("norm", context)):
        weights[f"image_proj.{name}.weight"] = torch.randn(shape) * 0.5 + (name == "norm")
        weights[f"image_proj.{name}.bias"] = torch.randn(shape[:1]) * 0.1
    attentions = [name for name in unet.attn_processors if "attn2" in name]
    for i, name in enumerate(attentions):
        width = unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
        for to in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * i + 1}.{to}.weight"] = torch.randn(width, context) * 0.5
    save_file({name: weight.half() for name, weight in weights.items()}, file, metadata={"format": "pt"})


def control(pipe, folder, kind, **changes):
    """A random ControlNet and what the UNet computes with it, guided."""
    torch.manual_seed(2)
    config = dict(ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(4, 8, 8, 12)).config)
    config = {k: v for k, v in config.items() if not k.startswith("_")} | changes
    net = ControlNetModel(**config).eval()
    for name, parameter in net.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding.conv_out")):
            torch.nn.init.normal_(parameter, std=0.2)
    net.to(kind).save_pretrained(folder)
    net.float()
    latent, picture = noise(7, 2, 4, 6, 10), noise(8, 1, 3, 48, 80).sigmoid()
    text = encoded(pipe, NEGATIVE, PROMPT)
    condition = {"controlnet_cond": picture.repeat(2, 1, 1, 1), "conditioning_scale": 0.7, "return_dict": False}
    skips, mid = net(latent, 341, text, **condition)
    seen = pipe.unet(latent, 341, text, down_block_additional_residuals=skips, mid_block_additional_residual=mid)
    out = {"latent": latent, "picture": picture, "unet": seen.sample, "mid": mid, "skip": skips[-1]}
    return {f"{folder.name}.{name}": value.detach() for name, value in out.items()}


class Wide:
    """torch for diffusers' Euler steps, which else round latents that are thousands of times larger than a picture."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def euler(pipe, text, out):
    """The same run by Euler steps, its latents brought to unit variance; that after the last step is as it is."""
    scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(4)
    out["euler.times"] = scheduler.timesteps
    size = deviations(scheduler)
    run = out["latent"].double() * scheduler.init_noise_sigma
    for i, time in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(run, time).float()
        without, with_ = pipe.unet(torch.cat([scaled, scaled]), time, text).sample.chunk(2)
        prediction = without + GUIDANCE * (with_ - without)
        run = scheduler.step(prediction.double(), time, run).prev_sample
        out[f"euler.run.{i}"] = run / size[i + 1]
    scheduler.set_timesteps(4)
    out["euler.noised"] = scheduler.add_noise(out["latent"], out["noise"], scheduler.timesteps[1:2]) / size[1]


def deviations(scheduler):
    """What Euler's latents must be divided by before each step, and after the last."""
    return [(float(sigma) ** 2 + 1) ** 0.5 for sigma in scheduler.sigmas[:-1]] + [1.0]


def tiny_tokenizer(folder):
    """CLIP's 256 byte letters, each also as a word's end, and a few merges."""
    letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + i for i in range(256 - len(letters))]
    base = [chr(c) for c in letters + others]
    merges = [("a", "n"), ("m", "an</w>"), ("an", "d</w>"), ("h", "a"), ("ha", "i"), ("hai", "r</w>"), ("'", "s</w>")]
    merges.insert(1, ("a", "n</w>"))
    words = base + [b + "</w>" for b in base] + [a + b for a, b in merges] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    end = {"__type": "AddedToken", "content": "<|endoftext|>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 24, "do_lower_case": True}
    config |= {"bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end, "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    return len(words)


def tiny(folder):
    """Writes a small random model as a diffusers folder, in float16."""
    torch.manual_seed(0)
    vocabulary = tiny_tokenizer(folder / "tokenizer")
    ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=24, projection_dim=16, initializer_factor=20.0, **ends,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 24, 32), layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16, attention_head_dim=8, norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 16), latent_channels=4, layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=64,
    )
    for model, name, old, new in (
        (text, "text_encoder", "model", "model"),
        (unet, "unet", "diffusion_pytorch_model", "diffusion_pytorch_model"),
        (vae, "vae", "diffusion_pytorch_model", "diffusion_pytorch_model.fp16"),
    ):
        model.eval().half().save_pretrained(folder / name)
        weights = load_file(folder / name / f"{old}.safetensors")
        (folder / name / f"{old}.safetensors").unlink()
        if name == "text_encoder":  # as Stable Diffusion's own files name them
            weights = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in weights.items()}
            weights["text_model.embeddings.position_ids"] = torch.arange(24).view(1, 24)
        if name == "vae":
            short = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
            for long, old_name in short.items():
                weights = {k.replace(f"attentions.0.{long}.", f"attentions.0.{old_name}."): v for k, v in weights.items()}
        save_file(weights, folder / name / f"{new}.safetensors", metadata={"format": "pt"})
    schedule = {
        "_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
        "steps_offset": 1,
    }
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(schedule, indent=1))
    index = {
        "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))
    parts = {
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"), "scheduler": DDIMScheduler(**kept(schedule)),
        "text_encoder": text.float(), "unet": unet.float(), "vae": vae.float(),
    }
    nothing = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return StableDiffusionPipeline(**parts, **nothing)


def kept(schedule):
    """The fields of PNDM's schedule that DDIM knows; a missing `clip_sample` must not become true."""
    return {k: v for k, v in schedule.items() if k not in ("_class_name", "skip_prk_steps")}


def tiny_inpaint(pipe, folder):
    """The tiny model with a random UNet that sees latent, mask and masked picture."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=9, out_channels=4, block_out_channels=(16, 24), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16, attention_head_dim=8, norm_num_groups=8,
    )
    for part in ("text_encoder", "tokenizer", "vae", "scheduler"):
        shutil.copytree(HERE / "tiny" / part, folder / part, dirs_exist_ok=True)
    unet.eval().half().save_pretrained(folder / "unet")
    index = json.loads((HERE / "tiny/model_index.json").read_text()) | {"_class_name": "StableDiffusionInpaintPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))
    return dict(pipe.components, unet=unet.float())


def pictures(pipe, wide):
    """What the pipelines make of a picture by given noise, as latents of unit variance. An encoded picture is the mean."""
    draw = torch.Generator().manual_seed(9)
    coarse = torch.rand(1, 3, 6, 10, generator=draw)
    picture = (torch.nn.functional.interpolate(coarse, size=(48, 80), mode="bilinear")[0] * 255).round().byte()
    mask = torch.zeros(48, 80, dtype=torch.uint8)
    mask[9:33, 20:61] = 255
    given = noise(10, 1, 4, 6, 10)
    out = {"picture": picture.float(), "mask": mask.float(), "noise": given}
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()
    for module in (pipeline_stable_diffusion_img2img, pipeline_stable_diffusion_inpaint):
        module.randn_tensor = lambda *_, **__: given
    picture = Image.fromarray(picture.permute(1, 2, 0).numpy())
    mask = Image.fromarray(mask.numpy())
    text = encoded(pipe, NEGATIVE, PROMPT)
    asked = {"prompt_embeds": text[1:], "negative_prompt_embeds": text[:1], "guidance_scale": GUIDANCE}
    asked |= {"num_inference_steps": 4, "output_type": "latent", "image": picture}
    painted = {"mask_image": mask, "height": 48, "width": 80}
    for sampler, kind in (("ddim", DDIMScheduler), ("euler", EulerDiscreteScheduler)):
        for name, parts, pipeline, more in (
            ("img2img", pipe.components, StableDiffusionImg2ImgPipeline, {}),
            ("inpaint", pipe.components, StableDiffusionInpaintPipeline, painted),
            ("wide", wide, StableDiffusionInpaintPipeline, painted),
        ):
            for strength in (0.5, 1.0):
                if name == "img2img" and strength == 1.0:
                    continue
                parts = dict(parts, scheduler=kind.from_config(pipe.scheduler.config))
                run = pipeline(**parts, requires_safety_checker=False)
                run.set_progress_bar_config(disable=True)
                out[f"{sampler}.{name}.{strength}"] = run(strength=strength, **asked, **more).images
    return {name: value.detach().float().contiguous() for name, value in out.items()}


def tokens(pipe):
    padded = pipe.tokenizer(TEXTS, padding="max_length", truncation=True)
    return [{"text": text, "ids": ids} for text, ids in zip(TEXTS, padded.input_ids)]


def schedules():
    """The steps that runs of several lengths visit, and one step of each prediction with clipping."""
    cases = []
    for spacing in ("leading", "trailing", "linspace"):
        for curve in ("linear", "scaled_linear", "squaredcos_cap_v2"):
            for prediction in ("epsilon", "v_prediction", "sample"):
                config = {"timestep_spacing": spacing, "beta_schedule": curve, "prediction_type": prediction}
                config |= {"steps_offset": 1}
                other = {"set_alpha_to_one": prediction == "sample", "clip_sample": curve == "linear"}
                cases.append(schedule(DDIMScheduler, config | other))
                other = {"final_sigmas_type": "sigma_min" if prediction == "sample" else "zero"}
                cases.append(schedule(EulerDiscreteScheduler, config | other))
    return cases


def schedule(kind, config):
    scheduler = kind(**config)
    runs = {}
    for count in (1, 3, 16, 50):
        scheduler.set_timesteps(count)
        at = count // 2
        time, size = scheduler.timesteps[at], [1.0] * (count + 1)
        if kind is EulerDiscreteScheduler:
            size = deviations(scheduler)
        sample = torch.tensor([0.4, 1.1]).double() * size[at]
        scheduler.scale_model_input(sample, time)
        step = scheduler.step(torch.tensor([0.7, -1.9]).double(), time, sample).prev_sample / size[at + 1]
        first = float(scheduler.init_noise_sigma) / size[0]
        runs[count] = {"times": scheduler.timesteps.tolist(), "step": step.tolist(), "first": first}
    return {"config": {"_class_name": kind.__name__} | config, "runs": runs}


@torch.no_grad()
def main():
    pack = Path(sys.argv[1])
    torch.use_deterministic_algorithms(True)
    scheduling_euler_discrete.torch = Wide()
    pipe = tiny(HERE / "tiny")
    tiny_adapter(pipe.unet, HERE / "tiny/ip_adapter.safetensors")
    out = control(pipe, HERE / "tiny/controlnet", torch.float16)
    blocks = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"), "mid_block_type": "UNetMidBlock2D"}
    out |= control(pipe, HERE / "tiny/controlnet_plain", torch.float32, **blocks)
    save_file(pictures(pipe, tiny_inpaint(pipe, HERE / "tiny_inpaint")), HERE / "inpaint.safetensors")
    out |= golden(pipe, HERE / "tiny/ip_adapter.safetensors", 6, 10)
    save_file(out, HERE / "tiny.safetensors")
    real = StableDiffusionPipeline.from_pretrained(pack, variant="fp16", torch_dtype=torch.float32)
    save_file(golden(real, pack / "ip_adapter/ip-adapter-faceid.safetensors", 14, 24), HERE / "pack.safetensors")
    both = {"tiny": tokens(pipe), "pack": tokens(real)}
    (HERE / "tokens.json").write_text(json.dumps(both, ensure_ascii=True, indent=1) + "\n")
    (HERE / "schedules.json").write_text(json.dumps(schedules()) + "\n")


if __name__ == "__main__":
    main()
