//! What cannot be used is refused with a sentence that names it.

use greenroom_diffusion::{
    Control, Device, IdentityTokens, Inpaint, LoadError, Person, Region, Request, StableDiffusion, Start,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{go_on, golden, pack, request, tiny, unit};

#[test]
fn a_control_that_does_not_fit_is_refused_with_the_reason() {
    let model = tiny();
    let net = Arc::new(model.open_control(&golden("tiny/controlnet")).unwrap());
    let control = |side| Some(Control { net: Arc::clone(&net), picture: image::RgbImage::new(side, 48), scale: 1.0 });
    let refused = |model: &StableDiffusion, side| {
        model.generate(&Request { control: control(side), ..request() }, &mut go_on).unwrap_err().to_string()
    };
    assert_eq!(refused(&model, 40), "the control picture is 40×48, the picture asked for 80×48");
    let sentence = refused(&pack(), 80);
    assert!(
        sentence.starts_with("the ControlNet does not fit this model: `in_channels` is 4, the UNet has"),
        "{sentence}"
    );
    for (from, to, cause) in [
        ("\"in_channels\": 4", "\"in_channels\": 8", "field `in_channels` is 8, the UNet has 4"),
        ("    24,", "    32,", "field `block_out_channels` is [16, 32, 32], the UNet has [16, 24, 32]"),
        ("r_block\": 2", "r_block\": 1", "field `layers_per_block` is [1, 1, 1], the UNet has [2, 2, 2]"),
        (
            "  8,\n    12",
            "  12",
            "field `conditioning_embedding_out_channels` makes a picture 4 times smaller, the VAE 8 times",
        ),
        ("\"rgb\"", "\"bgr\"", "field `controlnet_conditioning_channel_order` is \"bgr\"; only \"rgb\" is supported"),
        (
            "UNetMidBlock2DCrossAttn",
            "UNetMidBlock2D",
            "tensors have no place in this model, the first is `mid_block.att",
        ),
    ] {
        let folder = copy_of_tiny(&format!("control{from}{to}"));
        edit(&folder.join("controlnet/config.json"), from, to);
        let sentence = model.open_control(&folder.join("controlnet")).unwrap_err().to_string();
        assert!(sentence.contains(cause), "{sentence}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn requests_that_do_not_fit_the_model_are_refused_with_the_reason() {
    let model = tiny();
    let latent = model.generate(&request(), &mut go_on).unwrap().latent;
    let small = Inpaint { picture: image::RgbImage::new(80, 48), mask: image::GrayImage::new(80, 40) };
    let outside = Region { x0: 0.5, x1: 1.5, ..Region::FRAME };
    for (asked, sentence) in [
        (
            Request { width: 81, ..request() },
            "a picture of 81×48 cannot be made: both sides must be multiples of 8, from 8 to 2048",
        ),
        (Request { steps: 0, ..request() }, "0 steps cannot be run: this model's schedule has 1 to 999"),
        (Request { guidance: f32::NAN, ..request() }, "guidance is NaN, expected a number"),
        (
            Request { start: Some(Start { latent: latent.clone(), strength: 1.5 }), ..request() },
            "strength is 1.5, expected 0 to 1",
        ),
        (
            Request { start: Some(Start { latent, strength: 0.5 }), height: 56, ..request() },
            "latents differ in shape: [4, 6, 10] and [4, 7, 10]",
        ),
        (Request { inpaint: Some(small), ..request() }, "the mask is 80×40, the picture asked for 80×48"),
        (
            Request { people: vec![Person { prompt: String::new(), identity: None, region: outside }], ..request() },
            "the region of person 1 is Region { x0: 0.5, y0: 0.0, x1: 1.5, y1: 1.0 }, expected 0 ≤ x0 < x1 ≤ 1 and \
             0 ≤ y0 < y1 ≤ 1",
        ),
        (
            Request { identity: Some(unit(512, 1.0)), ..request() },
            "identity tokens were asked for, but the model was opened without an IP-Adapter file",
        ),
    ] {
        assert_eq!(model.generate(&asked, &mut go_on).unwrap_err().to_string(), sentence);
    }
    let error = pack().generate(&Request { identity: Some(unit(128, 1.0)), ..request() }, &mut go_on).unwrap_err();
    assert_eq!(error.to_string(), "the face embedding has 128 numbers, the IP-Adapter takes 512");
    let long = IdentityTokens { embedding: vec![1.0; 512], scale: 1.0 };
    let error = pack().generate(&Request { identity: Some(long), ..request() }, &mut go_on).unwrap_err();
    assert_eq!(error.to_string(), "the face embedding's length is 22.627417, expected 1");
}

#[test]
fn a_damaged_folder_is_refused_by_file_and_cause() {
    let unet = "unet/diffusion_pytorch_model.safetensors";
    for (file, damage, cause) in DAMAGES {
        let folder = copy_of_tiny(cause);
        damage(&folder.join(file));
        let error = StableDiffusion::open(&folder, None, &Device::Cpu).map(drop).unwrap_err();
        let sentence = error.to_string().replace(&format!("{}/", folder.display()), "");
        assert_eq!(&sentence, cause);
        std::fs::remove_dir_all(folder).unwrap();
    }
    let adapter = golden("tiny").join(unet);
    let error = StableDiffusion::open(&golden("tiny"), Some(&adapter), &Device::Cpu).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::MissingTensor { tensor, .. } if tensor == "image_proj.proj.0.weight"));
}

type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: &[Damage] = &[
    ("model_index.json", |f| std::fs::remove_file(f).unwrap(), "cannot read model_index.json"),
    ("unet/config.json", |f| std::fs::write(f, "{\"act").unwrap(), "unet/config.json is not a JSON object"),
    (
        "unet/config.json",
        |f| edit(f, "\"silu\"", "\"gelu\""),
        "unet/config.json: field `act_fn` is \"gelu\"; only \"silu\" is supported",
    ),
    (
        "unet/config.json",
        |f| edit(f, "\"UpBlock2D\"", "\"SimpleCrossAttnUpBlock2D\""),
        "unet/config.json: field `up_block_types` holds `SimpleCrossAttnUpBlock2D`; `CrossAttnUpBlock2D` and \
         `UpBlock2D` are supported",
    ),
    (
        "unet/config.json",
        |f| edit(f, "\"in_channels\": 4", "\"in_channels\": 8"),
        "unet/config.json: field `in_channels` is 8, expected 4 like out_channels, or 9 for a model that sees mask and \
         picture",
    ),
    (
        "model_index.json",
        |f| edit(f, "StableDiffusionPipeline", "FluxPipeline"),
        "model_index.json: field `_class_name` is \"FluxPipeline\"; only [\"StableDiffusionPipeline\", \
         \"StableDiffusionImg2ImgPipeline\", \"StableDiffusionInpaintPipeline\", \"StableDiffusionXLPipeline\", \
         \"StableDiffusionXLImg2ImgPipeline\", \"StableDiffusionXLInpaintPipeline\"] are supported",
    ),
    (
        "unet/config.json",
        |f| edit(f, "\"norm_num_groups\": 8", "\"norm_num_groups\": 7"),
        "unet/config.json: field `norm_num_groups` is 7, which does not divide 16 channels",
    ),
    (
        "unet/config.json",
        |f| edit(f, "\"layers_per_block\": 2", "\"layers_per_block\": 3"),
        "unet/diffusion_pytorch_model.safetensors: tensor `down_blocks.0.resnets.2.norm1.weight` is missing \
         (expected shape [16])",
    ),
    (
        "unet/config.json",
        |f| edit(f, "\"layers_per_block\": 2", "\"layers_per_block\": 1"),
        "unet/diffusion_pytorch_model.safetensors: tensor `up_blocks.0.resnets.1.norm1.weight` has shape [64], \
         expected [56]",
    ),
    (
        "vae/diffusion_pytorch_model.fp16.safetensors",
        |f| cut(f, 100_000),
        "vae/diffusion_pytorch_model.fp16.safetensors: not a whole safetensors file: its tensors should have 106494 \
         bytes, 81568 are there",
    ),
    (
        "vae/diffusion_pytorch_model.fp16.safetensors",
        |f| cut(f, 5),
        "vae/diffusion_pytorch_model.fp16.safetensors: not a whole safetensors file: it has 5 bytes",
    ),
    (
        "scheduler/scheduler_config.json",
        |f| edit(f, "scaled_linear", "sigmoid"),
        "scheduler/scheduler_config.json: field `beta_schedule` is `sigmoid`; supported are linear, scaled_linear, \
         squaredcos_cap_v2",
    ),
    (
        "tokenizer/tokenizer_config.json",
        |f| edit(f, "\"model_max_length\": 24", "\"model_max_length\": 77"),
        "tokenizer/tokenizer_config.json: field `model_max_length` is 77, the text encoder takes 2 to 24",
    ),
];

fn copy_of_tiny(name: &str) -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tiny-{}-{}", std::process::id(), name.len()));
    for part in ["", "unet", "vae", "text_encoder", "tokenizer", "scheduler", "controlnet"] {
        std::fs::create_dir_all(to.join(part)).unwrap();
        for entry in std::fs::read_dir(golden("tiny").join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, to.join(part).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    to
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn cut(file: &Path, length: u64) {
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}
