//! The trainer's promises: it resumes to the bit, shares its work, and learns.

use super::{dataset, folder, golden, model, recipe};
use greenroom_diffusion::{Device, Request, StableDiffusion};
use greenroom_training::dataset::Dataset;
use greenroom_training::lora::{About, File, Naming, Precision};
use greenroom_training::recipe::Recipe;
use greenroom_training::train::{TrainError, Trainer, meeting};
use std::path::Path;
use std::process::{Command, Stdio};

fn losses(recipe: &Recipe, steps: usize) -> Vec<f32> {
    let mut model = model("puppet");
    let data = dataset(&model, recipe);
    let mut trainer = Trainer::new(&mut model, recipe.clone(), data).unwrap();
    (0..steps).map(|_| trainer.step().unwrap().loss).collect()
}

#[test]
fn a_stored_training_goes_on_to_the_bit_wherever_it_was_stopped() {
    let (recipe, folder) = (recipe(), tempfile::tempdir().unwrap());
    let file = folder.path().join("training.safetensors");
    let unbroken = losses(&recipe, 12);
    let mut stopped = 0;
    for steps in [0, 1, 5, 6] {
        let mut model = model("puppet");
        let data = dataset(&model, &recipe);
        let mut trainer = Trainer::new(&mut model, recipe.clone(), data).unwrap();
        if stopped > 0 {
            trainer.resume(&file).unwrap();
        }
        (0..steps).for_each(|_| assert!(trainer.step().unwrap().loss.is_finite()));
        stopped += steps;
        assert_eq!(trainer.losses(), &unbroken[..stopped]);
        trainer.checkpoint(&file).unwrap();
    }
    assert_eq!(stopped, 12);
}

/// The program that the next test kills: it trains on from a file, stores every step, and says so.
#[test]
#[ignore = "run by the test below, which kills it"]
#[expect(clippy::disallowed_methods, reason = "a test that runs itself as a program tells it where by the environment")]
fn a_training_that_will_be_killed() {
    let Some(file) = std::env::var_os("GREENROOM_TEST_CHECKPOINT") else { return };
    let (file, recipe) = (Path::new(&file), recipe());
    let mut model = model("puppet");
    let data = dataset(&model, &recipe);
    let mut trainer = Trainer::new(&mut model, recipe, data).unwrap();
    if file.exists() {
        trainer.resume(file).unwrap();
    }
    while !trainer.is_done() {
        trainer.step().unwrap();
        trainer.checkpoint(file).unwrap();
    }
}

#[test]
fn a_training_that_is_killed_again_and_again_has_the_losses_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (file, aside) = (folder.path().join("training.safetensors"), folder.path().join("training.part"));
    let stored = || std::fs::metadata(&file).and_then(|m| m.modified()).ok();
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "training::a_training_that_will_be_killed", "--ignored"])
            .env("GREENROOM_TEST_CHECKPOINT", &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (mut last, mut stores) = (stored(), 0);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if stored() != last {
                (last, stores) = (stored(), stores + 1);
            }
            // After its first store, then in the middle of a write, then the same a store later.
            let now = stores > kills / 2 && (kills % 2 == 0 || aside.exists());
            if now && kills < 4 {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::yield_now();
        };
        match status {
            None => kills += 1,
            Some(status) => {
                assert!(status.success());
                break;
            }
        }
    }
    assert!(kills > 0, "nothing was killed");
    let recipe = recipe();
    let mut model = model("puppet");
    let data = dataset(&model, &recipe);
    let mut trainer = Trainer::new(&mut model, recipe.clone(), data).unwrap();
    trainer.resume(&file).unwrap();
    assert_eq!(trainer.losses(), losses(&recipe, 12));
}

#[test]
fn two_trainers_on_half_batches_have_the_curve_of_one_on_the_double_batch() {
    let one = losses(&Recipe { batch: 4, ..recipe() }, 6);
    let threads = meeting(2).into_iter().map(|member| {
        std::thread::spawn(move || {
            let mut model = model("puppet");
            let data = dataset(&model, &recipe());
            let mut trainer = Trainer::shared(&mut model, recipe(), data, Box::new(member)).unwrap();
            (0..6).map(|_| trainer.step().unwrap().loss).collect::<Vec<f32>>()
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        for (found, expected) in thread.join().unwrap().into_iter().zip(&one) {
            assert!((found - expected).abs() < 1e-4 * expected.max(1.0), "{found} {expected}");
        }
    }
}

#[test]
fn fewer_rows_at_once_and_blocks_computed_again_change_the_losses_by_rounding_alone() {
    let plain = losses(&recipe(), 4);
    let careful = losses(&Recipe { recompute: true, ..recipe() }, 4);
    for (a, b) in plain.iter().zip(&careful) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    let apart = losses(&Recipe { batch: 1, accumulate: 2, ..recipe() }, 4);
    assert!(apart.iter().all(|loss| loss.is_finite()));
}

#[test]
fn an_ip_adapter_shows_the_face_beside_what_is_trained() {
    let adapter = folder("tiny").join("ip_adapter.safetensors");
    let mut model = StableDiffusion::open(&folder("tiny"), Some(&adapter), &Device::Cpu).unwrap();
    let recipe = Recipe { identity_scale: Some(0.8), text_rate: 0.0, ..recipe() };
    let mut data = dataset(&model, &recipe);
    let mut losses = |data: &Dataset| {
        let mut trainer = Trainer::new(&mut model, recipe.clone(), data.clone()).unwrap();
        (0..3).map(|_| trainer.step().unwrap().loss).collect::<Vec<f32>>()
    };
    let without = losses(&data);
    for example in data.character.values_mut().chain(data.class.values_mut()).flatten() {
        example.identity = Some([vec![1.0], vec![0.0; 7]].concat());
    }
    assert_ne!(losses(&data), without);
    // A face of another embedder is refused.
    data.character.values_mut().flatten().for_each(|example| example.identity = Some(vec![1.0; 4]));
    let mut trainer = Trainer::new(&mut model, recipe, data).unwrap();
    assert!(matches!(trainer.step(), Err(TrainError::Model { step: 1, .. })));
}

#[test]
fn a_few_steps_lower_the_loss_and_what_was_learned_changes_pictures_in_a_stored_file() {
    let recipe = Recipe { steps: 40, warm_up: 0, unet_rate: 1e-2, text_rate: 0.0, ..recipe() };
    let mut model = model("puppet");
    let data = dataset(&model, &recipe);
    let (sites, prediction) = (model.sites(), model.prediction());
    let mut trainer = Trainer::new(&mut model, recipe.clone(), data).unwrap();
    let losses: Vec<f32> = (0..40).map(|_| trainer.step().unwrap().loss).collect();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    assert!(mean(&losses[30..]) < mean(&losses[..10]), "{losses:?}");
    let request = Request::new("a man", 3, (48, 48), 3);
    let sampled = trainer.sample(&request).unwrap().picture;
    let adapter = trainer.adapter().unwrap();
    drop(trainer);
    let about = About { title: "somebody".into(), steps: 40, pictures: (5, 2), ..About::default() };
    let header = about.header(&recipe, &adapter, &sites, prediction);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("somebody.safetensors");
    File { adapter, header }.write(&path, Naming::Kohya, Precision::F32, &sites).unwrap();
    let plain = model.generate(&request, &mut |_| std::ops::ControlFlow::Continue(())).unwrap().picture;
    let stored = File::read(&path, &sites).unwrap();
    model.set_adapters(&[(&stored.adapter, 1.0)]).unwrap();
    let again = model.generate(&request, &mut |_| std::ops::ControlFlow::Continue(())).unwrap().picture;
    assert_eq!(again, sampled);
    assert_ne!(again, plain);
    assert!(golden("puppet").exists());
}
