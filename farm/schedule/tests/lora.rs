//! A LoRA from its plan to the version in force, driven by hand.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use greenroom_domain::*;
use greenroom_schedule::{
    Becomes, LoraFrom, LoraPlan, Plan, compile_lora, deployed, settle, trained, worth_training_on,
};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn plan(references: usize) -> LoraPlan {
    LoraPlan {
        character: "MARA".into(),
        revision: 1,
        pack: Digest::of(b"pack"),
        profile: Digest::of(b"profile"),
        identity_scale: 1.0,
        calibration: None,
        gate: 0.75,
        outlier: Cosine(0.6),
        references: (0..references).map(|n| (format!("{n}.png"), Digest::of(&[n as u8]))).collect(),
        captions: vec![(Framing::Close, "close shot of a woman".into())],
        takes: vec![],
        more_than: None,
        tier: None,
        recipes: LoraDefaults::default(),
        against: None,
        prompts: vec![],
        seeds: 4,
        seed: Seed(1),
        steps: 16,
        guidance: 2.5,
        text_alone: false,
        from: None,
    }
}

fn mara() -> Character {
    Character {
        id: CharacterId::new(NOW, [1; 10]),
        project: ProjectId::new(NOW, [2; 10]),
        name: "MARA".into(),
        revision: 1,
        references: vec![],
        description: String::new(),
        consent: None,
        state: CharacterState::Ready { profile: Digest::of(b"profile"), thumbnail: Digest::of(b"t") },
        calibrations: vec![],
        loras: vec![],
        created: NOW,
    }
}

const GOOD: LoraProof = LoraProof {
    against: None,
    pictures: 32,
    before: 0.4,
    after: 0.6,
    gain_lower: 0.1,
    accepted: (10, 20),
    text_alone: None,
    adherence: None,
    diversity: (0.3, 0.3),
    copies: 0,
};

/// A job that is settled after every task, as the daemon does. Gives its tasks and how it ended.
fn run(plan: &LoraPlan, job: JobId, pictures: usize, proof: &LoraProof) -> (Vec<Task>, JobState) {
    let mut n = 0;
    let mut id = || {
        n += 1;
        TaskId::new(NOW, [n; 10])
    };
    let (project, request) = (ProjectId::new(NOW, [2; 10]), Digest::of_json(plan));
    let job = Job::new(job, project, "MARA".into(), request, NOW);
    let mut tasks = vec![compile_lora(plan, id(), job.id, NOW).unwrap()];
    let whole = Plan::Lora(Box::new(plan.clone()));
    loop {
        let last = tasks.last_mut().unwrap();
        let output = output(last.kind, job.id, pictures, proof);
        let leased = last.clone().lease(WorkerId::new(NOW, [1; 10]), NOW).unwrap();
        *last = leased.clone().finish(leased.epoch, output, NOW).unwrap();
        let next = settle(&job, Some(&whole), &tasks, NOW, &mut id);
        if let Some(state) = next.job {
            return (tasks, state);
        }
        assert_eq!(next.insert.len(), 1);
        tasks.extend(next.insert);
    }
}

fn output(kind: TaskKind, job: JobId, pictures: usize, proof: &LoraProof) -> TaskOutput {
    let digest = |what: &str| Digest::of(format!("{what} {job}").as_bytes());
    match kind {
        TaskKind::Collect => {
            let pictures = vec![digest("picture"); pictures];
            TaskOutput::Dataset { dataset: digest("dataset"), pictures, generated: 0, refused: 0 }
        }
        TaskKind::Train => {
            TaskOutput::Lora { lora: digest("lora"), curve: vec![], samples: digest("samples"), timings: [].into() }
        }
        TaskKind::Prove => TaskOutput::Proof { proof: proof.clone(), sheet: digest("sheet"), timings: [].into() },
        TaskKind::Convert => {
            let (lora, rank, alpha) = (digest("converted"), 4, 2.0);
            TaskOutput::Converted { lora, rank, alpha, energy: 0.9, timings: [].into() }
        }
        other => panic!("a LoRA's job has no {other}"),
    }
}

/// What a whole job makes of a character.
fn learn(character: &Character, plan: &LoraPlan, n: u8, proof: &LoraProof) -> Option<Character> {
    let job = JobId::new(NOW, [n; 10]);
    trained(character, plan, &run(plan, job, 8, proof).0, job, NOW)
}

#[test]
fn too_few_pictures_train_nothing_and_a_person_may_insist() {
    let job = JobId::new(NOW, [9; 10]);
    let by_itself = LoraPlan { more_than: Some(30), ..plan(10) };
    let kinds = |plan, pictures| run(plan, job, pictures, &GOOD).0.iter().map(|t| t.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&by_itself, 30), [TaskKind::Collect]);
    let whole = [TaskKind::Collect, TaskKind::Train, TaskKind::Prove];
    assert_eq!(kinds(&by_itself, 31), whole);
    assert_eq!(kinds(&plan(10), 8), whole);
    assert!(matches!(run(&by_itself, job, 3, &GOOD).1, JobState::Done { .. }));
}

#[test]
fn references_decide_what_is_held_out_and_how_hard_is_trained() {
    assert!(compile_lora(&plan(4), TaskId::new(NOW, [1; 10]), JobId::new(NOW, [1; 10]), NOW).is_none());
    let too_high = LoraPlan { tier: Some(LoraTier::High), ..plan(10) };
    assert_eq!((plan(10).tier(), too_high.tier()), (Some(LoraTier::Standard), None));
    let held_out: Vec<_> = plan(11).held_out().into_iter().map(|(name, _)| name).collect();
    assert_eq!(held_out, ["0.png", "5.png", "10.png"]);
    assert_eq!(plan(11).trained_on().len(), 8);
}

#[test]
fn the_better_one_is_in_force_and_its_forerunner_is_kept() {
    let first = learn(&mara(), &plan(5), 1, &GOOD).unwrap();
    let pack = plan(5).pack;
    let active = first.lora(pack).unwrap();
    assert_eq!((active.number, &active.state), (1, &LoraState::Active { since: NOW }));
    let against = Some(LoraUsed { number: 1, lora: active.lora });
    let next = LoraPlan { against, ..plan(6) };
    let second = learn(&first, &next, 2, &LoraProof { against: Some(1), ..GOOD }).unwrap();
    assert_eq!(second.lora(pack).unwrap().number, 2);
    let reasons = vec!["replaced by version 2".to_owned()];
    assert_eq!(second.loras[0].state, LoraState::Retired { at: NOW, reasons });
    let back = deployed(&second, 1, NOW).unwrap();
    assert_eq!(back.lora(pack).unwrap().number, 1);
    assert_eq!(deployed(&back, 0, NOW).unwrap().lora(pack), None);
    assert_eq!(deployed(&back, 7, NOW).unwrap_err(), 7);
}

#[test]
fn one_that_is_no_better_is_kept_and_never_in_force() {
    let worse = LoraProof { after: 0.39, gain_lower: -0.1, ..GOOD };
    let kept = learn(&mara(), &plan(5), 1, &worse).unwrap();
    assert_eq!(kept.lora(plan(5).pack), None);
    let LoraState::Retired { reasons, .. } = &kept.loras[0].state else { panic!("{:?}", kept.loras) };
    assert!(reasons[0].contains("-0.010"), "{reasons:?}");
}

/// A plan for a LoRA that is there already.
fn turned(becomes: Becomes) -> LoraPlan {
    let (lora, dataset) = (Digest::of(b"there"), Digest::of(b"its pictures"));
    LoraPlan { from: Some(LoraFrom { lora, dataset, recipe: LoraDefaults::default().low, becomes }), ..plan(5) }
}

#[test]
fn one_that_was_given_is_in_force_where_it_is_better() {
    let given = turned(Becomes::Given { name: "mara.safetensors".into() });
    let character = learn(&mara(), &given, 1, &GOOD).unwrap();
    let version = character.lora(given.pack).unwrap();
    assert_eq!(version.made, LoraMade::Given { name: "mara.safetensors".into() });
    assert_eq!((version.recipe.rank, version.recipe.alpha), (4, 2.0), "as its file says");
}

#[test]
fn a_smaller_copy_tells_what_it_costs_and_waits_for_a_person() {
    let first = learn(&mara(), &plan(5), 1, &GOOD).unwrap();
    let shrunk = turned(Becomes::Shrunk { of: 1, rank: 4 });
    let both = learn(&first, &shrunk, 2, &LoraProof { after: 0.39, ..GOOD }).unwrap();
    assert_eq!(both.lora(shrunk.pack).unwrap().number, 1);
    let reasons = both.loras[1].state.reasons();
    assert!(reasons[0].starts_with("made smaller from version 1: mean IDR changes by -0.010"), "{reasons:?}");
}

#[test]
fn a_file_for_another_program_is_no_version() {
    let exported = turned(Becomes::Exported { naming: LoraNaming::Peft, precision: LoraPrecision::F16 });
    let (tasks, state) = run(&exported, JobId::new(NOW, [9; 10]), 0, &GOOD);
    assert!(matches!((&tasks[..], state), ([Task { kind: TaskKind::Convert, .. }], JobState::Done { .. })));
    assert_eq!(learn(&mara(), &exported, 9, &GOOD), None);
}

#[test]
fn a_proof_against_what_is_no_longer_in_force_deploys_nothing() {
    let first = learn(&mara(), &plan(5), 1, &GOOD).unwrap();
    let late = learn(&first, &plan(6), 2, &GOOD).unwrap();
    assert_eq!(late.lora(plan(6).pack).unwrap().number, 1);
    let LoraState::Retired { reasons, .. } = &late.loras[1].state else { panic!("{:?}", late.loras) };
    assert_eq!(reasons, &["it was not compared with version 1, which is in force now"]);
    assert_eq!(learn(&late, &plan(6), 2, &GOOD), None, "a job makes one version");
}

#[test]
fn only_good_faces_of_accepted_takes_are_trained_on_and_no_neighbours() {
    let face = |idr: f32| FaceScore {
        bbox: Box2 { x0: 0.0, y0: 0.0, x1: 80.0, y1: 80.0 },
        detection: 0.9,
        yaw: 0.0,
        person: 0,
        character: Some("MARA".into()),
        stands_for: None,
        unscored: None,
        cosine: Some(Cosine(0.8)),
        idr: Some(Idr(idr)),
        band: None,
    };
    let idrs = [0.90, 0.80, 0.88, 0.86, 0.95, 0.97, 0.84, 0.5, 0.85];
    let frames = (0..).zip(idrs).map(|(frame, idr)| FrameScore { frame, faces: vec![face(idr)] }).collect();
    let models = ModelsUsed {
        pack: "puppet 1".into(),
        detector: Digest::of(b"d"),
        embedder: Digest::of(b"e"),
        calibration: "puppet-1".into(),
    };
    let verdict = Verdict {
        decision: Decision::Accept,
        characters: vec![],
        strangers: vec![],
        frames,
        models,
        looks: Box::default(),
    };
    let take = worth_training_on(Digest::of(b"take"), "caption", &verdict, "MARA").unwrap();
    assert_eq!(take.faces.iter().map(|f| f.frame).collect::<Vec<_>>(), [5, 0]);
    let rejected = Verdict { decision: Decision::Reject { reasons: vec![] }, ..verdict.clone() };
    assert_eq!(worth_training_on(take.take, "caption", &rejected, "MARA"), None);
    assert_eq!(worth_training_on(take.take, "caption", &verdict, "TOBIN"), None);
}
