//! What a caller sees: pictures that repeat, that start from others, that break off, and errors that name their cause.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod refused;

use greenroom_diffusion::{
    Control, Device, GenerateError, IdentityTokens, Inpaint, Person, Region, Request, Sampler, StableDiffusion, Start,
    StepDone,
};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
fn a_control_picture_changes_the_picture_only_as_far_as_its_scale() {
    let model = tiny();
    let net = Arc::new(model.open_control(&golden("tiny/controlnet")).unwrap());
    let with = |shade: u8, scale| {
        let picture = image::RgbImage::from_fn(80, 48, |x, _| image::Rgb([(x as u8).wrapping_mul(shade); 3]));
        let control = Some(Control { net: Arc::clone(&net), picture, scale });
        make(&model, &Request { control, ..request() })
    };
    assert_eq!(with(1, 0.0), make(&model, &request()));
    assert_ne!(with(1, 1.0), make(&model, &request()));
    assert_ne!(with(1, 1.0), with(3, 1.0));
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
fn what_the_mask_leaves_out_stays_and_what_it_covers_is_new() {
    let model = pack();
    let picture = make(&model, &Request { width: 64, height: 64, steps: 6, ..request() });
    let mask = image::GrayImage::from_fn(64, 64, |x, _| image::Luma([if x < 32 { 255 } else { 0 }]));
    let inpaint = Some(Inpaint { picture: picture.clone(), mask });
    let painted = make(&model, &Request { width: 64, height: 64, steps: 6, seed: 9, inpaint, ..request() });
    let part = |x| distance(&crop(&picture, x), &crop(&painted, x));
    // One cell beside the edge is left out: the VAE's decoder looks that far.
    let (new, stays) = (part(8), part(40));
    assert!(stays < 12.0 && new > 2.0 * stays, "{new} and {stays}");
}

#[test]
fn a_model_for_inpainting_makes_whole_pictures_too() {
    let model = StableDiffusion::open(&golden("tiny_inpaint"), None, &Device::Cpu).unwrap();
    let whole = make(&model, &request());
    let mask = |value| image::GrayImage::from_pixel(80, 48, image::Luma([value]));
    let over = |value| Some(Inpaint { picture: image::RgbImage::new(80, 48), mask: mask(value) });
    assert_eq!(make(&model, &Request { inpaint: over(255), ..request() }), whole);
    assert_ne!(make(&model, &Request { inpaint: over(0), ..request() }), whole);
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
fn a_model_can_be_handed_to_another_thread() {
    let model = tiny();
    let here = make(&model, &request());
    assert_eq!(std::thread::spawn(move || make(&model, &request())).join().unwrap(), here);
}

/// The vectors that words have anyway, given to a new word, say the same; others say something else.
#[test]
fn a_learned_word_stands_for_its_vectors_in_every_prompt() {
    let weights = candle_core::safetensors::load(golden("tiny/text_encoder/model.safetensors"), &Device::Cpu).unwrap();
    let known = &weights["text_model.embeddings.token_embedding.weight"];
    let mut model = tiny();
    let ids = |word: &str| {
        let vocabulary: serde_json::Value =
            serde_json::from_slice(&std::fs::read(golden("tiny/tokenizer/vocab.json")).unwrap()).unwrap();
        vocabulary[word].as_u64().unwrap() as u32
    };
    let folder = std::env::temp_dir().join(format!("greenroom-word-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, ids: &[u32]| {
        let rows = known.index_select(&candle_core::Tensor::new(ids, &Device::Cpu).unwrap(), 0).unwrap();
        let path = folder.join(name);
        candle_core::safetensors::save(&[("emb_params", rows)].into(), &path).unwrap();
        path
    };
    let said = |model: &StableDiffusion, text: &str| -> Vec<f32> {
        model.encode_texts(&[text]).unwrap().hidden.flatten_all().unwrap().to_vec1().unwrap()
    };
    let plain = said(&model, "a man hair");
    assert_eq!(model.add_word("<him>", &file("him", &[ids("man</w>"), ids("hair</w>")])).unwrap(), 2);
    assert_eq!(model.add_word("<a>", &file("a", &[ids("a</w>")])).unwrap(), 1);
    assert_eq!(said(&model, "a <him>"), plain);
    assert_eq!(said(&model, "<A> <Him>"), plain);
    assert_ne!(said(&model, "<him> <a>"), plain);
    let again = model.add_word("<him>", &folder.join("a")).unwrap_err().to_string();
    assert!(again.ends_with("the word `<him>` is empty or stands for something already; choose another"), "{again}");
    let wide = candle_core::Tensor::zeros((2, 99), candle_core::DType::F32, &Device::Cpu).unwrap();
    candle_core::safetensors::save(&[("x", wide)].into(), folder.join("wide")).unwrap();
    let wrong = model.add_word("<wide>", &folder.join("wide")).unwrap_err();
    assert!(matches!(wrong, greenroom_diffusion::LoadError::TensorShape { .. }), "{wrong}");
    std::fs::remove_dir_all(folder).unwrap();
}

fn request() -> Request {
    Request { guidance: 3.0, ..Request::new("a man and hair", 1, (80, 48), 4) }
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

/// Sixteen columns of a picture.
fn crop(picture: &image::RgbImage, x: u32) -> image::RgbImage {
    image::imageops::crop_imm(picture, x, 0, 16, picture.height()).to_image()
}

/// Mean absolute difference of two pictures, 0 to 255.
fn distance(a: &image::RgbImage, b: &image::RgbImage) -> f32 {
    let pairs = a.as_raw().iter().zip(b.as_raw());
    pairs.map(|(&a, &b)| f32::from(a.abs_diff(b))).sum::<f32>() / a.as_raw().len() as f32
}
