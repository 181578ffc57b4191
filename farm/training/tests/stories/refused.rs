//! Bad input: files, pictures and trainings that are refused with the reason, and leave nothing half done.

use super::{dataset, golden, model, picture, recipe, sites};
use candle_core::Tensor;
use greenroom_diffusion::{Adapter, Factors, Part, Place};
use greenroom_training::dataset::{Dataset, DatasetError, Origin, Picture};
use greenroom_training::lora::{File, LoraError, Naming, Precision};
use greenroom_training::recipe::Recipe;
use greenroom_training::train::{ResumeError, TrainError, Trainer};
use std::path::Path;

fn refusal(bytes: &[u8], name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let error = File::read(&path, &sites(name)).unwrap_err();
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_file_that_is_cut_short_or_lies_about_its_length_is_refused_anywhere() {
    let whole = std::fs::read(golden("puppet.lora.safetensors")).unwrap();
    for length in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        let sentence = refusal(&whole[..length], "puppet");
        assert!(sentence.starts_with("x.safetensors: not a whole safetensors file"), "{length}: {sentence}");
    }
    let mut hostile = whole;
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&hostile, "puppet").starts_with("x.safetensors: not a whole safetensors file"));
}

#[test]
fn keys_that_match_nothing_are_all_listed() {
    let sites = sites("puppet");
    let mut file = File::read(&golden("puppet.lora.safetensors"), &sites).unwrap();
    let known = file.adapter.modules.values().next().unwrap().clone();
    for path in ["somewhere.else", "mid_block.attentions.9.proj_in"] {
        file.adapter.modules.insert(Place { part: Part::Unet, path: path.into() }, known.clone());
    }
    let sentence = refusal(&file.to_bytes(Naming::Peft, Precision::F32, &sites).unwrap(), "puppet");
    assert!(sentence.contains("4 of "), "{sentence}");
    for key in ["unet.mid_block.attentions.9.proj_in.lora_A.weight", "unet.somewhere.else.lora_B.weight"] {
        assert!(sentence.contains(key), "{sentence}");
    }
}

#[test]
fn a_lora_for_another_base_is_refused_by_its_header_or_its_shapes_with_the_reason() {
    let read = |file: &str, model: &str| File::read(&golden(file), &sites(model)).unwrap_err();
    let mut file = File::read(&golden("puppet.lora.safetensors"), &sites("puppet")).unwrap();
    file.header.insert("modelspec.architecture".into(), "stable-diffusion-xl-v1-base/lora".into());
    let sentence = refusal(&file.to_bytes(Naming::Kohya, Precision::F32, &sites("puppet")).unwrap(), "puppet");
    assert!(sentence.contains("it was trained for stable-diffusion-xl-v1-base, this model is stable-diffusion-v1"));
    assert!(matches!(read("puppet.lora.safetensors", "tiny"), LoraError::Unmatched { .. } | LoraError::Misfit { .. }));
    // Equal names, other sizes.
    let (place, factors) = file.adapter.modules.pop_first().unwrap();
    let wider = |t: &Tensor, dim| Tensor::cat(&[t, t], dim).unwrap();
    let factors = Factors { down: wider(&factors.down, 1), ..factors };
    let other = File { adapter: Adapter { modules: [(place, factors)].into(), begin: 0.0 }, ..File::default() };
    let sentence = refusal(&other.to_bytes(Naming::Kohya, Precision::F32, &sites("puppet")).unwrap(), "puppet");
    assert!(sentence.ends_with("it was made for another base model"), "{sentence}");
}

#[test]
fn a_lora_of_no_numbers_or_half_a_layer_is_refused() {
    let sites = sites("puppet");
    let mut file = File::read(&golden("puppet.lora.safetensors"), &sites).unwrap();
    let (place, factors) = file.adapter.modules.pop_first().unwrap();
    let nan = Factors { up: (factors.up.clone() * f64::NAN).unwrap(), ..factors.clone() };
    file.adapter.modules.insert(place.clone(), nan);
    let sentence = refusal(&file.to_bytes(Naming::Kohya, Precision::F32, &sites).unwrap(), "puppet");
    assert!(sentence.contains("holds a value that is not a number"), "{sentence}");
    let down = [(format!("{place}.lora_A.weight"), factors.down)].into();
    let half = safetensors::serialize(down_views(&down).iter().map(|(k, v)| (k.as_str(), v)).collect::<Vec<_>>(), None);
    assert!(refusal(&half.unwrap(), "puppet").ends_with("its up factor is missing"));
}

fn down_views(
    tensors: &std::collections::BTreeMap<String, Tensor>,
) -> Vec<(String, safetensors::tensor::TensorView<'static>)> {
    let view = |(name, tensor): (&String, &Tensor)| {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let bytes: &'static [u8] = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().leak();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.dims().to_vec(), bytes);
        (name.clone(), view.unwrap())
    };
    tensors.iter().map(view).collect()
}

#[test]
fn no_picture_too_few_and_doubles_alone_make_no_dataset() {
    let (model, recipe) = (model("puppet"), recipe());
    let built = |pictures: Vec<Picture>| Dataset::build(&model, &recipe, pictures, &mut |_| None);
    let error = built(Vec::new()).unwrap_err().to_string();
    assert!(error.starts_with("0 of 0 pictures of the character can be trained on, 3 are needed"), "{error}");
    let error = built(vec![picture(1, "a man")]).unwrap_err().to_string();
    assert!(error.starts_with("1 of 1"), "{error}");
    let error = built(vec![picture(1, "a man"); 9]).unwrap_err();
    assert!(error.to_string().contains("(left out: 8 the same picture twice)"), "{error}");
    let somebody_else = &mut |_: &Picture| Some("somebody else: 0.12".to_owned());
    let others = Dataset::build(&model, &recipe, (0..9).map(|n| picture(n, "a man")), somebody_else).unwrap_err();
    assert!(others.to_string().contains("(left out: 9 somebody else)"), "{others}");
}

#[test]
fn nearly_the_same_picture_is_taken_once_and_generated_ones_are_at_most_half() {
    let (model, recipe) = (model("puppet"), recipe());
    let mut near = picture(1, "a man");
    near.image.pixels_mut().for_each(|p| p.0[0] = p.0[0].saturating_add(2));
    let generated = |n| Picture { origin: Origin::Generated, ..picture(n, "a man") };
    let pictures = (0..10).map(|n| picture(n, "a man")).chain([near]).chain((30..45).map(generated));
    let data = Dataset::build(&model, &recipe, pictures, &mut |_| None).unwrap();
    let doubles = data.left_out.iter().filter(|out| out.reason.contains("nearly")).count();
    assert!(doubles >= 1);
    let (all, class) = data.counts();
    let real = data.character.values().flatten().filter(|e| e.origin == Origin::Real).count();
    assert!(class == 0 && all == 2 * real, "{all} {real}");
    assert!(data.character.len() > 1, "all pictures fell into one bucket");
}

#[test]
fn a_loss_that_is_no_number_stops_the_training_and_keeps_the_last_checkpoint() {
    let (folder, mut model) = (tempfile::tempdir().unwrap(), model("puppet"));
    let file = folder.path().join("training.safetensors");
    let recipe = Recipe { unet_rate: 1e-3, ..recipe() };
    let data = dataset(&model, &recipe);
    let mut trainer = Trainer::new(&mut model, recipe.clone(), data.clone()).unwrap();
    trainer.step().unwrap();
    trainer.checkpoint(&file).unwrap();
    drop(trainer);
    let mut spoilt = data.clone();
    for example in spoilt.character.values_mut().flatten() {
        example.latent = (&example.latent * f64::NAN).unwrap();
    }
    let mut trainer = Trainer::new(&mut model, recipe.clone(), spoilt).unwrap();
    trainer.resume(&file).unwrap();
    let error = trainer.step().unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 2, what: "loss" }), "{error}");
    assert_eq!(trainer.steps_done(), 1);
    drop(trainer);
    let mut trainer = Trainer::new(&mut model, recipe, data).unwrap();
    trainer.resume(&file).unwrap();
    assert!(trainer.step().unwrap().loss.is_finite());
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let (folder, mut model) = (tempfile::tempdir().unwrap(), model("puppet"));
    let data = dataset(&model, &recipe());
    let mut trainer = Trainer::new(&mut model, recipe(), data).unwrap();
    trainer.step().unwrap();
    // A device that is always full.
    let aside = folder.path().join("training.part");
    let file = folder.path().join("training.safetensors");
    trainer.checkpoint(&file).unwrap();
    let before = std::fs::read(&file).unwrap();
    std::os::unix::fs::symlink("/dev/full", &aside).unwrap();
    trainer.step().unwrap();
    let error = trainer.checkpoint(&file).unwrap_err();
    assert!(matches!(error, TrainError::Store { step: 2, .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert!(!aside.exists());
    trainer.checkpoint(&file).unwrap();
}

#[test]
fn a_checkpoint_of_another_training_or_a_changed_one_is_refused() {
    let (folder, mut model) = (tempfile::tempdir().unwrap(), model("puppet"));
    let file = folder.path().join("training.safetensors");
    let data = dataset(&model, &recipe());
    let mut trainer = Trainer::new(&mut model, recipe(), data.clone()).unwrap();
    trainer.step().unwrap();
    trainer.checkpoint(&file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&file, changed).unwrap();
    let error = trainer.resume(&file).unwrap_err().to_string();
    assert!(error.ends_with("its contents are not what was written"), "{error}");
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(trainer.resume(&file), Err(ResumeError::File(_))));
    std::fs::write(&file, whole).unwrap();
    drop(trainer);
    let mut other = Trainer::new(&mut model, Recipe { seed: 8, ..recipe() }, data).unwrap();
    assert!(matches!(other.resume(&file), Err(ResumeError::Another { what: "recipe", .. })));
    assert!(matches!(other.resume(Path::new("/nowhere")), Err(ResumeError::File(_))));
}

#[test]
fn a_dataset_error_counts_what_was_left_out() {
    let error = DatasetError::TooFew { given: 3, usable: 2, needed: 5, left_out: Vec::new() };
    assert_eq!(
        error.to_string(),
        "2 of 3 pictures of the character can be trained on, 5 are needed; add pictures that differ, or choose a lower tier"
    );
}
