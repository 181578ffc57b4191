//! What a caller sees: pictures that repeat, that start from others, that break off, and errors that name their cause.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use greenroom_diffusion::{
    Device, GenerateError, IdentityTokens, LoadError, Person, Region, Request, Sampler, StableDiffusion, Start,
    StepDone,
};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[test]
fn the_same_request_gives_the_same_bytes_and_another_seed_another_picture() {
    let model = tiny();
    let (first, again) = (make(&model, &request()), make(&model, &request()));
    let other = make(&model, &Request { seed: 2, ..request() });
    assert_eq!(first, again);
    assert_eq!(first.dimensions(), (80, 48));
    assert_ne!(first, other);
}

#[test]
fn the_prompt_the_negative_prompt_the_guidance_and_the_sampler_each_change_the_picture() {
    let model = tiny();
    let plain = make(&model, &request());
    for changed in [
        Request { prompt: "hair".into(), ..request() },
        Request { negative: "hair".into(), ..request() },
        Request { guidance: 1.0, ..request() },
        Request { sampler: Some(Sampler::Euler), ..request() },
    ] {
        assert_ne!(make(&model, &changed), plain, "{changed:?}");
    }
}

#[test]
fn identity_tokens_change_the_picture_only_as_far_as_their_scale() {
    let model = pack();
    let with = |scale| make(&model, &Request { identity: Some(unit(512, scale)), ..request() });
    let without = make(&model, &request());
    assert_eq!(with(0.0), without);
    assert_ne!(with(1.0), without);
}

#[test]
fn one_person_in_the_whole_frame_is_the_same_picture_as_one_without_a_region() {
    for (model, size) in [(tiny_with_adapter(), 8), (pack(), 512)] {
        let identity = Some(unit(size, 0.8));
        for guidance in [1.0, 3.0] {
            let plain = Request { identity: identity.clone(), guidance, ..request() };
            let person = Person { prompt: plain.prompt.clone(), identity: identity.clone(), region: Region::FRAME };
            let regional = Request { prompt: "hair".into(), identity: None, people: vec![person], ..plain.clone() };
            assert_eq!(make(&model, &regional), make(&model, &plain));
        }
    }
}

#[test]
fn a_picture_that_starts_from_another_stays_near_it_at_low_strength() {
    let model = pack();
    let first = model.generate(&request(), &mut go_on).unwrap();
    let from = |strength| {
        let start = Some(Start { latent: first.latent.clone(), strength });
        make(&model, &Request { start, seed: 9, ..request() })
    };
    assert_eq!(from(0.0), first.picture);
    let (near, far) = (distance(&from(0.5), &first.picture), distance(&from(1.0), &first.picture));
    assert!(0.0 < near && near < 0.7 * far, "{near} against {far}");
}

#[test]
fn only_the_last_share_of_the_steps_is_run_from_a_start_and_each_is_told() {
    let model = tiny();
    let latent = model.generate(&request(), &mut go_on).unwrap().latent;
    let mut told = Vec::new();
    let asked = Request { steps: 8, start: Some(Start { latent, strength: 0.25 }), ..request() };
    model
        .generate(&asked, &mut |done| {
            told.push(done);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(told, [StepDone { step: 1, of: 2 }, StepDone { step: 2, of: 2 }]);
}

#[test]
fn a_caller_can_break_off() {
    let mut steps = 0;
    let result = tiny().generate(&request(), &mut |_| {
        steps += 1;
        if steps == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result, Err(GenerateError::Cancelled)));
    assert_eq!(steps, 2);
}

#[test]
fn a_picture_survives_the_way_through_the_latent_space() {
    let model = pack();
    let made = make(&model, &Request { width: 192, height: 112, steps: 6, ..request() });
    let back = model.decode(&model.encode(&made).unwrap()).unwrap();
    let lost = distance(&made, &back);
    assert!(lost < 12.0, "lost {lost} of 255");
}

#[test]
fn latents_mix_in_a_straight_line_and_only_with_their_like() {
    let model = tiny();
    let [a, b] = [1, 2].map(|seed| model.generate(&Request { seed, ..request() }, &mut go_on).unwrap().latent);
    assert_eq!(model.decode(&a.lerp(&b, 0.0).unwrap()).unwrap(), model.decode(&a).unwrap());
    assert_eq!(model.decode(&a.lerp(&b, 1.0).unwrap()).unwrap(), model.decode(&b).unwrap());
    let wider = model.generate(&Request { width: 96, ..request() }, &mut go_on).unwrap().latent;
    let error = a.lerp(&wider, 0.5).unwrap_err();
    assert_eq!(error.to_string(), "latents differ in shape: [4, 6, 10] and [4, 6, 12]");
}

#[test]
fn requests_that_do_not_fit_the_model_are_refused_with_the_reason() {
    let model = tiny();
    let latent = model.generate(&request(), &mut go_on).unwrap().latent;
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

#[test]
fn a_model_can_be_handed_to_another_thread() {
    let model = tiny();
    let here = make(&model, &request());
    assert_eq!(std::thread::spawn(move || make(&model, &request())).join().unwrap(), here);
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

fn request() -> Request {
    Request {
        prompt: "a man and hair".into(),
        negative: String::new(),
        seed: 1,
        width: 80,
        height: 48,
        steps: 4,
        sampler: None,
        guidance: 3.0,
        start: None,
        identity: None,
        people: Vec::new(),
    }
}

fn go_on(_: StepDone) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn make(model: &StableDiffusion, request: &Request) -> image::RgbImage {
    model.generate(request, &mut go_on).unwrap().picture
}

fn tiny() -> StableDiffusion {
    StableDiffusion::open(&golden("tiny"), None, &Device::Cpu).unwrap()
}

fn tiny_with_adapter() -> StableDiffusion {
    StableDiffusion::open(&golden("tiny"), Some(&golden("tiny/ip_adapter.safetensors")), &Device::Cpu).unwrap()
}

/// A face of so many numbers.
fn unit(size: usize, scale: f32) -> IdentityTokens {
    IdentityTokens { embedding: [vec![1.0], vec![0.0; size - 1]].concat(), scale }
}

fn pack() -> StableDiffusion {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet");
    let adapter = pack.join("ip_adapter/ip-adapter-faceid.safetensors");
    StableDiffusion::open(&pack, Some(&adapter), &Device::Cpu).unwrap()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Mean absolute difference of two pictures, 0 to 255.
fn distance(a: &image::RgbImage, b: &image::RgbImage) -> f32 {
    let pairs = a.as_raw().iter().zip(b.as_raw());
    pairs.map(|(&a, &b)| f32::from(a.abs_diff(b))).sum::<f32>() / a.as_raw().len() as f32
}

fn copy_of_tiny(name: &str) -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tiny-{}-{}", std::process::id(), name.len()));
    for part in ["", "unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
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
