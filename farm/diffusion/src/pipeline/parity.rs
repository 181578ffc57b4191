//! Equality with diffusers and transformers, on golden files that `tests/golden/make.py` made with them.

use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::StableDiffusion;
use super::conditions::{Conditions, Told};
use crate::attention::{Attention, Sight};
use crate::scheduler::Walk;
use crate::{Inpaint, Region, Request, Sampler, Start};

/// The greatest difference that counts as equal, f32 against f32, of the largest number or of 1 where that is more.
const TOLERANCE: f32 = 1e-4;

struct Golden {
    model: StableDiffusion,
    expected: HashMap<String, Tensor>,
}

impl Golden {
    fn tiny() -> Self {
        Self::open(&golden("tiny"), Some(&golden("tiny/ip_adapter.safetensors")), "tiny.safetensors")
    }

    fn pack() -> Self {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet");
        let adapter = pack.join("ip_adapter/ip-adapter-faceid.safetensors");
        Self::open(&pack, Some(&adapter), "pack.safetensors")
    }

    fn open(folder: &Path, adapter: Option<&Path>, expected: &str) -> Self {
        let model = StableDiffusion::open(folder, adapter, &Device::Cpu).unwrap();
        Self { model, expected: candle_core::safetensors::load(golden(expected), &Device::Cpu).unwrap() }
    }

    fn get(&self, name: &str) -> Tensor {
        self.expected[name].clone()
    }

    fn check(&self, name: &str, found: &Tensor) {
        let expected = self.get(name);
        assert_eq!(found.dims(), expected.dims(), "{name}");
        let difference = (found - &expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        let difference: f32 = difference.to_scalar().unwrap();
        let size: f32 = expected.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap();
        println!("{name}: differs by {difference:e} of {size:.2}");
        assert!(
            difference <= TOLERANCE * size.max(1.0),
            "{name} differs by {difference}; if the pack is new, run make.py again"
        );
    }

    fn text(&self) -> Tensor {
        self.texts([NEGATIVE, PROMPT])
    }

    fn texts<const N: usize>(&self, texts: [&str; N]) -> Tensor {
        self.model.text.forward(&texts.map(|text| self.model.tokenizer.encode(text).unwrap())).unwrap()
    }

    /// Identity tokens of a face, for as many rows as there are scales.
    fn tokens(&self, face: &str, scales: &[f32]) -> (Tensor, Tensor) {
        let face: Vec<f32> = self.get(face).to_vec1().unwrap();
        let tokens = self.model.adapter.as_ref().unwrap().tokens(&face, &Device::Cpu).unwrap();
        let on = Tensor::new(scales, &Device::Cpu).unwrap().reshape(((), 1, 1)).unwrap();
        (tokens.repeat((scales.len(), 1, 1)).unwrap(), on)
    }

    fn time(&self) -> Tensor {
        let unet = &self.model.unet;
        unet.told(&unet.embed_times(&[341.0], &Device::Cpu).unwrap(), None).unwrap()
    }

    fn rows(&self, name: &str) -> Vec<f32> {
        self.get(name).flatten_all().unwrap().to_vec1().unwrap()
    }

    fn text_encoder_unet_and_vae_agree(&self) {
        let text = self.text();
        self.check("text", &text);
        let unet = &self.model.unet;
        let context = unet.context(&sight(&text.narrow(0, 1, 1).unwrap()), &[]).unwrap();
        let time = self.time();
        self.check("unet", &unet.forward(&self.get("latent"), &time, &context, None).unwrap());
        self.check("encoded", &self.model.vae.encode(&self.get("picture")).unwrap());
        self.check("decoded", &self.model.vae.decode(&self.get("small")).unwrap());
    }

    fn a_guided_run_agrees(&self, sampler: Sampler, name: &str) {
        let unet = &self.model.unet;
        let run = self.model.scheduler.run(sampler, 4);
        let times = run.times();
        assert_eq!(times, self.get(&format!("{name}times")).to_vec1::<f32>().unwrap());
        let context = unet.context(&sight(&self.text()), &[]).unwrap();
        let times_embedded = unet.embed_times(&times, &Device::Cpu).unwrap();
        let conditions = Conditions { times: times_embedded, context, added: None, steering: None, beside: None };
        let mut latent = (self.get("latent") * run.first()).unwrap();
        for i in 0..times.len() {
            let prediction = self.model.predict(&latent, &conditions, i, 3.0).unwrap();
            let no_noise = |_| panic!("no noise was asked for");
            latent = run.step(i, &prediction, &latent, &mut Walk::default(), &no_noise).unwrap();
            self.check(&format!("{name}run.{i}"), &latent);
        }
        self.check(&format!("{name}noised"), &run.add_noise(&self.get("latent"), &self.get("noise"), 1).unwrap());
    }
}

const PROMPT: &str = "close shot of a woman, light skin, long red hair, round glasses, at night";
const NEGATIVE: &str = "a man with a beard";

#[test]
fn the_packs_models_compute_what_diffusers_computes() {
    let pack = Golden::pack();
    pack.text_encoder_unet_and_vae_agree();
    pack.a_guided_run_agrees(Sampler::Ddim, "");
    pack.a_guided_run_agrees(Sampler::Euler, "euler.");
}

#[test]
fn a_folder_with_the_conventions_of_stable_diffusion_1_5_computes_what_diffusers_computes() {
    let tiny = Golden::tiny();
    tiny.text_encoder_unet_and_vae_agree();
    tiny.a_guided_run_agrees(Sampler::Ddim, "");
    tiny.a_guided_run_agrees(Sampler::Euler, "euler.");
}

#[test]
fn a_folder_of_stable_diffusion_xl_computes_what_diffusers_computes() {
    let golden = Golden::open(&golden("tiny_xl"), None, "tiny_xl.safetensors");
    let texts = golden.model.encode_texts(&[NEGATIVE, PROMPT]).unwrap();
    golden.check("text", &texts.hidden);
    golden.check("pooled", texts.pooled.as_ref().unwrap());
    let empty = golden.model.encode_texts(&["", PROMPT]).unwrap();
    golden.check("empty", &empty.hidden.narrow(0, 0, 1).unwrap());
    golden.check("empty.pooled", &empty.pooled.unwrap().narrow(0, 0, 1).unwrap());
    let (unet, size) = (&golden.model.unet, [48.0, 80.0, 0.0, 0.0, 48.0, 80.0]);
    let context = unet.context(&sight(&texts.hidden.narrow(0, 1, 1).unwrap()), &[]).unwrap();
    let added = unet.embed_added(&texts.pooled.as_ref().unwrap().narrow(0, 1, 1).unwrap(), &[size]).unwrap();
    let time = unet.told(&unet.embed_times(&[341.0], &Device::Cpu).unwrap(), added.as_ref()).unwrap();
    golden.check("unet", &unet.forward(&golden.get("latent"), &time, &context, None).unwrap());
    let asked = Request { guidance: 3.0, negative: NEGATIVE.into(), ..Request::new(PROMPT, 0, (80, 48), 4) };
    let made = golden.model.denoise(&asked, &golden.get("latent"), &mut |_| std::ops::ControlFlow::Continue(()));
    golden.check("run.3", &made.unwrap().tensor);
}

#[test]
fn identity_tokens_reach_the_same_attentions_as_in_diffusers() {
    for golden in [Golden::tiny(), Golden::pack()] {
        let unet = &golden.model.unet;
        let told = Told {
            text: golden.text().narrow(0, 1, 1).unwrap(),
            pooled: None,
            identity: Some(golden.tokens("face", &[0.8])),
        };
        let context = unet.context(&golden.model.sight(&told), &[]).unwrap();
        let seen = unet.forward(&golden.get("latent"), &golden.time(), &context, None).unwrap();
        golden.check("unet.identity", &seen);
        let moved = (&seen - golden.get("unet")).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(moved > 20.0 * TOLERANCE, "the identity moves the prediction by {moved} only");
    }
}

const LEFT: Region = Region { x0: 0.0, y0: 0.0, x1: 0.45, y1: 1.0 };
const RIGHT: Region = Region { x0: 0.3, y0: 0.2, x1: 1.0, y1: 0.8 };

#[test]
fn two_people_are_each_seen_in_their_region_as_in_the_reference() {
    for golden in [Golden::tiny(), Golden::pack()] {
        let told = |prompt| golden.texts([NEGATIVE, prompt]);
        let (base, one, two) = (told("wide shot"), told(PROMPT), told("wide shot of an old man, at the beach"));
        let one = Told { text: one, pooled: None, identity: Some(golden.tokens("face", &[0.0, 0.8])) };
        let two = Told { text: two, pooled: None, identity: Some(golden.tokens("face.other", &[0.0, 0.6])) };
        for (name, first, second) in [("unet.people", LEFT, RIGHT), ("unet.people.exchanged", RIGHT, LEFT)] {
            let people = [(first, golden.model.sight(&one)), (second, golden.model.sight(&two))];
            let context = golden.model.unet.context(&sight(&base), &people).unwrap();
            let latent = golden.get("latent").repeat((2, 1, 1, 1)).unwrap();
            golden.check(name, &golden.model.unet.forward(&latent, &golden.time(), &context, None).unwrap());
        }
        assert_ne!(golden.rows("unet.people"), golden.rows("unet.people.exchanged"));
    }
}

/// Where every cell asks the same, what it sees tells whose it is: exchanged regions mirror that, to the bit.
#[test]
fn exchanging_two_peoples_regions_mirrors_whose_tokens_a_cell_sees() {
    let tiny = Golden::tiny();
    let attention: &Attention = tiny.model.unet.cross_attentions().next().unwrap();
    let told =
        |prompt, face| Told { text: tiny.texts([prompt]), pooled: None, identity: Some(tiny.tokens(face, &[1.0])) };
    let (one, two) = (told("hair", "face"), told("a man", "face.other"));
    let cell = Tensor::arange(0f32, attention.width() as f32, &Device::Cpu).unwrap().affine(0.1, -0.5).unwrap();
    let cells = cell.reshape((1, 1, ())).unwrap().repeat((1, 2 * 6, 1)).unwrap();
    let columns = |first, second| {
        let people = [(first, tiny.model.sight(&one)), (second, tiny.model.sight(&two))];
        let memory = attention.memory(0, &sight(&one.text), &people).unwrap();
        let seen = attention.to_memory(&cells, &memory, (2, 6)).unwrap().squeeze(0).unwrap();
        seen.to_vec2::<f32>().unwrap()
    };
    let [left, right] = [0, 1].map(|i| Region::strip(i, 2));
    let (seen, exchanged) = (columns(left, right), columns(right, left));
    for (i, cell) in seen.iter().enumerate() {
        let mirrored = i / 6 * 6 + 5 - i % 6;
        assert_eq!(cell, &exchanged[mirrored]);
        assert_ne!(cell, &exchanged[i]);
    }
}

#[test]
fn a_controlnet_leaves_what_it_leaves_in_diffusers() {
    let tiny = Golden::tiny();
    let (unet, text) = (&tiny.model.unet, tiny.text());
    let context = unet.context(&sight(&text), &[]).unwrap();
    for name in ["controlnet", "controlnet_plain"] {
        let net = tiny.model.open_control(&golden("tiny").join(name)).unwrap();
        let get = |what: &str| tiny.get(&format!("{name}.{what}"));
        let picture = net.embed_tensor(&get("picture")).unwrap();
        let time = net.embed_times(&[341.0], &Device::Cpu).unwrap();
        let memories = net.memories(&text, &[]).unwrap();
        let left = net.forward(&get("latent"), &picture, &time, &memories, 0.7).unwrap();
        tiny.check(&format!("{name}.mid"), &left.mid);
        tiny.check(&format!("{name}.skip"), &left.skips[8]);
        let seen = |left| unet.forward(&get("latent"), &tiny.time(), &context, left).unwrap();
        tiny.check(&format!("{name}.unet"), &seen(Some(&left)));
        let moved = (seen(None) - get("unet")).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(moved > 20.0 * TOLERANCE, "the control moves the prediction by {moved} only");
    }
}

#[test]
fn a_picture_is_changed_and_painted_into_as_by_the_pipelines_of_diffusers() {
    let open = |folder| Golden::open(&golden(folder), None, "inpaint.safetensors");
    let (tiny, wide) = (open("tiny"), open("tiny_inpaint"));
    let (width, height) = (80, 48);
    let bytes = |values: Vec<f32>| values.into_iter().map(|v| v as u8).collect::<Vec<_>>();
    let planar = tiny.get("picture").permute((1, 2, 0)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let picture = image::RgbImage::from_raw(width, height, bytes(planar)).unwrap();
    let mask = image::GrayImage::from_raw(width, height, bytes(tiny.rows("mask"))).unwrap();
    let asked = Request { guidance: 3.0, negative: NEGATIVE.into(), ..Request::new(PROMPT, 0, (width, height), 4) };
    for (name, sampler) in [("ddim", Sampler::Ddim), ("euler", Sampler::Euler)] {
        let made = |golden: &Golden, inpaint: Option<Inpaint>, strength| {
            let start = || Start { latent: golden.model.encode(&picture).unwrap(), strength };
            let start = (strength < 1.0).then(start);
            let request = Request { sampler: Some(sampler), start, inpaint, ..asked.clone() };
            let go_on = &mut |_| std::ops::ControlFlow::Continue(());
            golden.model.denoise(&request, &golden.get("noise"), go_on).unwrap().tensor
        };
        let part = || Some(Inpaint { picture: picture.clone(), mask: mask.clone() });
        tiny.check(&format!("{name}.img2img.0.5"), &made(&tiny, None, 0.5));
        for strength in [0.5, 1.0] {
            tiny.check(&format!("{name}.inpaint.{strength:.1}"), &made(&tiny, part(), strength));
            wide.check(&format!("{name}.wide.{strength:.1}"), &made(&wide, part(), strength));
        }
    }
}

#[test]
fn texts_become_the_same_tokens_as_in_transformers() {
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("tokens.json")).unwrap()).unwrap();
    for (name, golden) in [("tiny", Golden::tiny()), ("pack", Golden::pack())] {
        for case in cases[name].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(golden.model.tokenizer.encode(text).unwrap(), ids, "{name}: {text:?}");
        }
    }
}

/// The layers of a network that is being trained give the same numbers as the fused ones, and pass gradients on.
#[test]
fn a_network_with_gradients_computes_the_same_and_reaches_its_input() {
    let tiny = Golden::tiny();
    let unet = &tiny.model.unet;
    let latent = candle_core::Var::from_tensor(&tiny.get("latent")).unwrap();
    let text = candle_core::Var::from_tensor(&tiny.text().narrow(0, 1, 1).unwrap()).unwrap();
    let time = tiny.time();
    let prediction =
        unet.forward(latent.as_tensor(), &time, &unet.context(&sight(text.as_tensor()), &[]).unwrap(), None).unwrap();
    tiny.check("unet", &prediction);
    let gradients = prediction.sqr().unwrap().mean_all().unwrap().backward().unwrap();
    for input in [latent, text] {
        let gradient = gradients.get(input.as_tensor()).unwrap().abs().unwrap().mean_all().unwrap();
        let gradient: f32 = gradient.to_scalar().unwrap();
        assert!(gradient.is_finite() && gradient > 0.0);
    }
}

fn sight(text: &Tensor) -> Sight<'_> {
    Sight { text, identity: Vec::new() }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}
