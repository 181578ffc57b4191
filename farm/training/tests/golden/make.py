"""Makes the golden files beside it from diffusers and peft: `python make.py`.

For the tiny random models of `farm/diffusion/tests/golden` (Stable Diffusion 1.5 and XL) and for `puppet/`, one of the shape of
the bundled pack, each `NAME.lora.safetensors` is an adapter as diffusers saves it, and `NAME.safetensors` one training step
with it (what goes in, the loss, the gradient of every factor) and the losses of a few steps of AdamW. The Rust tests read
these files and need no Python.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.schedulers import DDPMScheduler
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

HERE = Path(__file__).parent
TINY = HERE / "../../../diffusion/tests/golden"
TEXTS = ["a man and hair", ""]
LINEAR = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
GAMMA = 5.0


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def puppet(folder):
    """A random model with the conventions of the bundled pack: 12 latent channels, velocity, matrices as projections."""
    torch.manual_seed(21)
    shutil.copytree(TINY / "tiny/tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    vocabulary = len(json.loads((folder / "tokenizer/vocab.json").read_text()))
    ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=24, initializer_factor=20.0, projection_dim=16, **ends,
    ))
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=12, out_channels=12, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(4, 4), use_linear_projection=True, cross_attention_dim=16, norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), latent_channels=12, layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=64,
    )
    for model, name in ((text, "text_encoder"), (unet, "unet"), (vae, "vae")):
        model.half().save_pretrained(folder / name)
    schedule = {
        "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "v_prediction", "clip_sample": False, "timestep_spacing": "trailing",
    }
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(schedule, indent=1))
    (folder / "model_index.json").write_text((TINY / "tiny/model_index.json").read_text())
    return folder


def loaded(folder, kind, file):
    """transformers no longer reads every name that a text encoder's file may have."""
    model = kind(kind.config_class.from_pretrained(folder))
    weights = load_file(folder / file)
    own = model.state_dict()
    found = {k: next(w for n, w in weights.items() if n == k or n.removeprefix("text_model.") == k.removeprefix("text_model.")) for k in own}
    model.load_state_dict(found)
    return model.float().eval()


def prompt(folder, ending, encoder):
    tokenizer = CLIPTokenizer.from_pretrained(folder / f"tokenizer{ending}")
    ids = tokenizer(TEXTS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return encoder(ids, output_hidden_states=True), ids


def randomised(model, seed):
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=draw) * 0.1


def step(name, folder, is_xl, convolutions, with_text):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval().requires_grad_(False)
    first = loaded(folder / "text_encoder", CLIPTextModel, "model.safetensors").requires_grad_(False)
    encoders = [first]
    if is_xl:
        encoders.append(loaded(folder / "text_encoder_2", CLIPTextModelWithProjection, "model.safetensors").requires_grad_(False))
    unet.add_adapter(LoraConfig(r=3, lora_alpha=2, target_modules=LINEAR + (CONVOLUTIONS if convolutions else [])))
    randomised(unet, 1)
    if with_text:
        for i, encoder in enumerate(encoders):
            encoder.add_adapter(LoraConfig(r=3, lora_alpha=2, target_modules=TEXT))
            randomised(encoder, 2 + i)

    schedule = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    known = {k: schedule[k] for k in ("beta_start", "beta_end", "beta_schedule", "prediction_type") if k in schedule}
    scheduler = DDPMScheduler(num_train_timesteps=1000, **known)
    channels = unet.config.in_channels
    latents, drawn, times = noise(5, 2, channels, 6, 4), noise(6, 2, channels, 6, 4), torch.tensor([341, 22])
    noisy = scheduler.add_noise(latents, drawn, times)
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, drawn, times) if is_velocity else drawn
    kept = scheduler.alphas_cumprod[times].double()
    snr = kept / (1 - kept)
    weights = (snr.clamp(max=GAMMA) / (snr + 1 if is_velocity else snr)).float()
    sizes = torch.tensor([[48.0, 32, 0, 0, 48, 32], [60, 40, 6, 2, 48, 32]])

    def loss():
        seen = [prompt(folder, "_2" if i else "", encoder) for i, encoder in enumerate(encoders)]
        more = {}
        if is_xl:
            shown = torch.tensor([1.0, 0.0]).view(2, 1)  # an empty text is seen as zeros
            hidden = torch.cat([out.hidden_states[-2] for out, _ in seen], -1) * shown[:, :, None]
            more = {"added_cond_kwargs": {"text_embeds": seen[1][0].text_embeds * shown, "time_ids": sizes}}
        else:
            hidden = seen[0][0].last_hidden_state
        prediction = unet(noisy, times, hidden, **more).sample
        return (weights * (prediction - target).square().mean((1, 2, 3))).mean(), prediction

    value, prediction = loss()
    value.backward()
    # The last layer of XL's first encoder is never looked at and has no gradient.
    out = {"latents": latents, "noise": drawn, "times": times.float(), "sizes": sizes, "loss": value, "prediction": prediction}
    parts = [("unet", unet), *((f"text_encoder{'_2' if i else ''}", encoder) for i, encoder in enumerate(encoders))]
    parameters = []
    states, metadata = {}, {}
    for part, model in parts:
        own = [p for n, p in model.named_parameters() if "lora_" in n]
        if not own:
            continue
        state = convert_state_dict_to_diffusers(get_peft_model_state_dict(model)) if part != "unet" else get_peft_model_state_dict(model)
        gradients = {id(p): p.grad for p in own}
        by_name = {n.replace(".default", ""): p for n, p in model.named_parameters() if "lora_" in n}
        for key in get_peft_model_state_dict(model):
            plain = part == "unet" or key.startswith("text_model.")
            out[f"grad.{part}.{key if plain else 'text_model.' + key}"] = gradients[id(by_name[key])]
        states[part] = state
        metadata[f"{part}_lora_adapter_metadata"] = model.peft_config["default"].to_dict()
        parameters += own
    pipeline = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    layers = {"unet_lora_layers": states["unet"]}
    for part in states:
        if part != "unet":
            layers[f"{part}_lora_layers"] = states[part]
    pipeline.save_lora_weights(HERE, weight_name=f"{name}.lora.safetensors", **layers, **metadata)

    optimizer = torch.optim.AdamW(parameters, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        value, _ = loss()
        losses.append(value.item())
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    out["losses"] = torch.tensor(losses)
    save_file({k: v.detach().float().contiguous() for k, v in out.items() if v is not None}, HERE / f"{name}.safetensors")
    print(name, losses)


def main():
    torch.use_deterministic_algorithms(True)
    step("tiny", TINY / "tiny", is_xl=False, convolutions=True, with_text=True)
    step("puppet", puppet(HERE / "puppet"), is_xl=False, convolutions=False, with_text=True)
    step("tiny_xl", TINY / "tiny_xl", is_xl=True, convolutions=False, with_text=True)


if __name__ == "__main__":
    main()
