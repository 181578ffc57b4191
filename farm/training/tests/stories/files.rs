//! LoRA files: names, round trips, relatives, rank.

use super::{golden, model, sites};
use candle_core::{Device, Tensor};
use greenroom_diffusion::{Adapter, Factors, Part, Request, StableDiffusion};
use greenroom_training::lora::{About, File, Naming, Precision};
use greenroom_training::recipe::Recipe;
use std::ops::ControlFlow;

fn stored(name: &str) -> File {
    File::read(&golden(&format!("{name}.lora.safetensors")), &sites(name)).unwrap()
}

/// Largest difference of all factors, scale included.
fn distance(a: &Adapter, b: &Adapter) -> f32 {
    assert_eq!(a.modules.keys().collect::<Vec<_>>(), b.modules.keys().collect::<Vec<_>>());
    let pairs = a.modules.values().zip(b.modules.values());
    pairs.fold(0.0, |most, (a, b)| {
        let shape = [a.up.dims()[0], a.down.elem_count() / a.rank()];
        let delta = |f: &Factors| f.delta(&shape).unwrap();
        most.max((delta(a) - delta(b)).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap())
    })
}

#[test]
fn files_of_peft_load_with_every_key_and_their_alpha() {
    for (name, layers) in [("tiny", 0), ("puppet", 0), ("tiny_xl", 0)] {
        let file = stored(name);
        assert!(file.adapter.modules.len() > layers);
        assert!(file.adapter.modules.values().all(|f| f.rank() == 3 && f.alpha == 2.0), "{name}");
    }
}

#[test]
fn the_way_from_peft_to_kohya_and_back_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tiny", "puppet", "tiny_xl"] {
        let (sites, file) = (sites(name), stored(name));
        let mut now = file.clone();
        for (i, naming) in [Naming::Kohya, Naming::Peft, Naming::Kohya].into_iter().enumerate() {
            let path = folder.path().join(format!("{name}.{i}.safetensors"));
            now.write(&path, naming, Precision::F32, &sites).unwrap();
            now = File::read(&path, &sites).unwrap();
            assert!(distance(&file.adapter, &now.adapter) <= 1e-6);
        }
        let bytes = |file: &File| file.to_bytes(Naming::Kohya, Precision::F16, &sites).unwrap();
        assert_eq!(bytes(&now), bytes(&now.clone()));
    }
}

#[test]
fn kohyas_names_are_those_that_other_programs_read() {
    let names = |name: &str| {
        let bytes = stored(name).to_bytes(Naming::Kohya, Precision::F16, &sites(name)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.names().into_iter().map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    let (sd, xl) = (names("tiny"), names("tiny_xl"));
    for name in [
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha",
        "lora_te_text_model_encoder_layers_1_mlp_fc1.lora_up.weight",
        "lora_unet_down_blocks_0_downsamplers_0_conv.lora_down.weight",
    ] {
        assert!(sd.iter().any(|n| n == name), "{name}");
    }
    for name in [
        "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_k.lora_down.weight",
        "lora_unet_middle_block_1_proj_in.lora_up.weight",
        "lora_unet_output_blocks_2_1_proj_out.alpha",
        "lora_te1_text_model_encoder_layers_0_self_attn_k_proj.lora_down.weight",
        "lora_te2_text_model_encoder_layers_2_mlp_fc2.lora_down.weight",
    ] {
        assert!(xl.iter().any(|n| n == name), "{name}");
    }
}

fn latent(model: &StableDiffusion) -> Tensor {
    let request = Request { guidance: 2.0, ..Request::new("a man", 1, (48, 48), 2) };
    model.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap().latent.tensor().clone()
}

fn far(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn adapters_add_up_each_at_its_weight_and_leave_no_trace() {
    let mut model = model("tiny");
    let plain = latent(&model);
    let adapter = stored("tiny").adapter;
    model.set_adapters(&[(&adapter, 0.7)]).unwrap();
    let once = latent(&model);
    model.set_adapters(&[(&adapter, 0.3), (&adapter, 0.4)]).unwrap();
    assert!(far(&once, &latent(&model)) < 1e-4);
    assert!(far(&once, &plain) > 1e-2);
    model.set_adapters(&[]).unwrap();
    assert_eq!(far(&plain, &latent(&model)), 0.0);
}

#[test]
fn an_adapter_that_begins_late_leaves_the_first_steps_alone_and_its_file_says_so() {
    let mut model = model("tiny");
    let plain = latent(&model);
    let mut file = stored("tiny");
    // Texts are encoded before the first step.
    file.adapter.modules.retain(|place, _| place.part == Part::Unet);
    let mut from = |begin: f64| {
        file.adapter.begin = begin;
        model.set_adapters(&[(&file.adapter, 1.0)]).unwrap();
        latent(&model)
    };
    // There are two steps: the second begins at one half.
    let [always, late, never] = [0.0, 0.5, 0.6].map(&mut from);
    assert_eq!(far(&never, &plain), 0.0);
    assert!(far(&late, &plain) > 1e-3 && far(&late, &always) > 1e-3);
    file.adapter.begin = 0.5;
    let about = About { title: "late".into(), ..About::default() };
    file.header = about.header(&Recipe::default(), &file.adapter, &sites("tiny"), model.prediction());
    let bytes = file.to_bytes(Naming::Kohya, Precision::F32, &sites("tiny")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.safetensors");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(File::read(&path, &sites("tiny")).unwrap().adapter.begin, 0.5);
}

/// What DoRA and a core between the factors add is told by their papers' formulas on plain numbers.
#[test]
fn dora_brings_rows_to_its_magnitudes_and_a_magnitude_as_it_is_changes_nothing_at_all() {
    let sites = sites("tiny");
    let mut model = model("tiny");
    let plain = latent(&model);
    let mut adapter = stored("tiny").adapter;
    for factors in adapter.modules.values_mut() {
        factors.up = factors.up.zeros_like().unwrap();
    }
    // Rows of length 2 times the frozen weight's own are twice the weight: a linear layer's output doubles.
    let (place, site) = adapter
        .modules
        .keys()
        .find_map(|p| Some((p.clone(), sites.iter().find(|s| s.place == *p && s.place.path.ends_with("attn2.to_v"))?)))
        .unwrap();
    let weights = candle_core::safetensors::load(
        super::folder("tiny").join("unet/diffusion_pytorch_model.safetensors"),
        &Device::Cpu,
    );
    let weight = weights.unwrap()[&format!("{}.weight", site.place.path)].to_dtype(candle_core::DType::F32).unwrap();
    let rows = weight.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
    let columns = weight.sqr().unwrap().sum_keepdim(0).unwrap().sqrt().unwrap();
    let mut with = |magnitude: Tensor, weight: f64| {
        let mut only = Adapter::default();
        let factors = Factors { magnitude: Some(magnitude), ..adapter.modules[&place].clone() };
        only.modules.insert(place.clone(), factors);
        model.set_adapters(&[(&only, weight)]).unwrap();
        latent(&model)
    };
    assert!(far(&with(rows.clone(), 1.0), &plain) < 1e-4);
    assert!(far(&with(columns.clone(), 1.0), &plain) < 1e-4);
    let doubled = with((&rows * 2.0).unwrap(), 1.0);
    assert!(far(&doubled, &plain) > 1e-3);
    assert!(far(&doubled, &with((&columns * 2.0).unwrap(), 1.0)) < 1e-3);
    assert!(far(&doubled, &with((&rows * 3.0).unwrap(), 0.5)) < 1e-3);
}

#[test]
fn a_core_between_the_factors_is_the_convolution_that_they_multiply_to() {
    let mut model = model("tiny");
    let random = |dims: &[usize]| Tensor::randn(0f32, 0.3, dims, &Device::Cpu).unwrap();
    let place = stored("tiny").adapter.modules.into_keys().find(|p| p.path.ends_with("resnets.0.conv1")).unwrap();
    let (output, input) = {
        let shape = model.sites().into_iter().find(|s| s.place == place).unwrap().shape;
        (shape[0], shape[1])
    };
    let cored = Factors {
        down: random(&[2, input, 1, 1]),
        mid: Some(random(&[2, 2, 3, 3])),
        up: random(&[output, 2, 1, 1]),
        alpha: 2.0,
        magnitude: None,
    };
    let flat = cored.flat().unwrap().1.reshape((2, input, 3, 3)).unwrap();
    let plain = Factors { down: flat, mid: None, ..cored.clone() };
    let mut with = |factors: &Factors| {
        let adapter = Adapter { modules: [(place.clone(), factors.clone())].into(), begin: 0.0 };
        model.set_adapters(&[(&adapter, 1.0)]).unwrap();
        latent(&model)
    };
    let (a, b) = (with(&cored), with(&plain));
    assert!(far(&a, &b) < 1e-4 * a.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap().max(1.0));
}

#[test]
fn a_lower_rank_keeps_what_it_says_and_the_full_rank_keeps_all() {
    let file = stored("tiny");
    let same = file.shrink(3).unwrap();
    assert!((same.energy - 1.0).abs() < 1e-9);
    assert!(distance(&file.adapter, &same.file.adapter) < 1e-5);
    let (two, one) = (file.shrink(2).unwrap(), file.shrink(1).unwrap());
    assert!(one.energy < two.energy && two.energy < 1.0 && one.energy > 1.0 / 3.0);
    assert!(one.file.adapter.modules.values().all(|f| f.rank() == 1));
    // The energy that is told is what is there.
    let size = |adapter: &Adapter| -> f64 {
        let of = |f: &Factors| f.delta(&[f.up.dims()[0], f.down.elem_count() / f.rank()]).unwrap();
        adapter
            .modules
            .values()
            .map(|f| f64::from(of(f).sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()))
            .sum()
    };
    assert!((size(&two.file.adapter) / size(&file.adapter) - two.energy).abs() < 1e-4);
}
