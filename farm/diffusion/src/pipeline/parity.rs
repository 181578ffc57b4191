//! Equality with diffusers and transformers, on golden files that `tests/golden/make.py` made with them.

use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::StableDiffusion;
use crate::Sampler;

/// The greatest difference that counts as equal, f32 against f32, of the largest number or of 1 where that is more.
const TOLERANCE: f32 = 1e-4;

struct Golden {
    model: StableDiffusion,
    expected: HashMap<String, Tensor>,
}

impl Golden {
    fn tiny() -> Self {
        Self::open(&golden("tiny"), None, "tiny.safetensors")
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
        let ids = [NEGATIVE, PROMPT].map(|text| self.model.tokenizer.encode(text).unwrap());
        self.model.text.forward(&ids).unwrap()
    }

    fn text_encoder_unet_and_vae_agree(&self) {
        let text = self.text();
        self.check("text", &text);
        let unet = &self.model.unet;
        let context = unet.context(&text.narrow(0, 1, 1).unwrap(), &[]).unwrap();
        let time = unet.embed_times(&[341.0], &Device::Cpu).unwrap();
        self.check("unet", &unet.forward(&self.get("latent"), &time, &context).unwrap());
        self.check("encoded", &self.model.vae.encode(&self.get("picture")).unwrap());
        self.check("decoded", &self.model.vae.decode(&self.get("small")).unwrap());
    }

    fn a_guided_run_agrees(&self, sampler: Sampler, name: &str) {
        let unet = &self.model.unet;
        let run = self.model.scheduler.run(sampler, 4);
        let times = run.times();
        assert_eq!(times, self.get(&format!("{name}times")).to_vec1::<f32>().unwrap());
        let context = unet.context(&self.text(), &[]).unwrap();
        let mut latent = (self.get("latent") * run.first()).unwrap();
        for (i, &time) in times.iter().enumerate() {
            let embedded = unet.embed_times(&[time], &Device::Cpu).unwrap();
            let prediction = self.model.predict(&latent, &embedded, &context, 3.0).unwrap();
            latent = run.step(i, &prediction, &latent).unwrap();
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
fn identity_tokens_reach_the_same_attentions_as_in_diffusers() {
    let pack = Golden::pack();
    let (unet, adapter) = (&pack.model.unet, pack.model.adapter.as_ref().unwrap());
    let face: Vec<f32> = pack.get("face").to_vec1().unwrap();
    let tokens = adapter.tokens(&face, &Device::Cpu).unwrap();
    let on = Tensor::new(&[[[0.8f32]]], &Device::Cpu).unwrap();
    let text = pack.text().narrow(0, 1, 1).unwrap();
    let context = unet.context(&text, &adapter.inputs(&tokens, &on)).unwrap();
    let time = unet.embed_times(&[341.0], &Device::Cpu).unwrap();
    let seen = unet.forward(&pack.get("latent"), &time, &context).unwrap();
    pack.check("unet.identity", &seen);
    let moved = (&seen - pack.get("unet")).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(moved > 20.0 * TOLERANCE, "the identity moves the prediction by {moved} only");
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
    let time = unet.embed_times(&[341.0], &Device::Cpu).unwrap();
    let prediction = unet.forward(latent.as_tensor(), &time, &unet.context(text.as_tensor(), &[]).unwrap()).unwrap();
    tiny.check("unet", &prediction);
    let gradients = prediction.sqr().unwrap().mean_all().unwrap().backward().unwrap();
    for input in [latent, text] {
        let gradient = gradients.get(input.as_tensor()).unwrap().abs().unwrap().mean_all().unwrap();
        let gradient: f32 = gradient.to_scalar().unwrap();
        assert!(gradient.is_finite() && gradient > 0.0);
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}
