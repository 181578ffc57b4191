//! Jobs to tell stories with.

use greenroom_domain::*;

use crate::{Plan, ScriptPlan, compile_profile, compile_script, settle};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000);

pub(crate) fn job() -> JobId {
    JobId::new(NOW, [9; 10])
}

/// Ids in rising order; every call starts anew from a number of its own.
pub(crate) fn ids() -> impl FnMut() -> TaskId {
    let mut n = 0u8;
    move || {
        n += 1;
        TaskId::new(NOW, [n; 10])
    }
}

pub(crate) fn plan(shots: u32) -> ScriptPlan {
    let shot = |n| Shot {
        key: ShotKey { scene: 1, shot: n },
        framing: Framing::Close,
        camera: CameraMove::Static,
        action: "Mara listens.".into(),
        cast: vec!["MARA".into()],
        expected: vec!["MARA".into()],
        dialogue: vec![],
        mood: None,
        duration: Frames(48),
        prompt: Prompt::default(),
        control: None,
        portraits: vec![],
        vacant: String::new(),
    };
    let heading =
        Heading { text: "INT. LAB".into(), setting: Setting::Interior, place: "LAB".into(), time: TimeOfDay::Day };
    ScriptPlan {
        script: Digest::of(b"script"),
        pack: Digest::of(b"pack"),
        settings: Settings::default(),
        diffusion: DiffusionDefaults {
            native_sizes: vec![(192, 112)],
            steps: 20,
            guidance: 3.0,
            identity_scale: 1.0,
            chain_strength: 0.5,
            negative: String::new(),
            max_characters: 1,
            control: None,
            lora: LoraDefaults::default(),
            repair: RepairDefaults { seed_noise: 0.05, ..RepairDefaults::default() },
        },
        cast: vec![CastMember {
            character: "MARA".into(),
            profile: Digest::of(b"mara"),
            calibration: None,
            lora: None,
        }],
        breakdown: Breakdown {
            title: "Hidden".into(),
            scenes: vec![Scene { number: 1, heading, shots: (1..=shots).map(shot).collect() }],
            notes: vec![],
        },
    }
}

pub(crate) fn video(n: u8) -> TaskOutput {
    TaskOutput::Take { video: Digest::of(&[n]), thumbnail: Digest::of(&[n, n]), keyframes: 4, timings: [].into() }
}

fn verdict(decision: Decision, p10: Option<f32>) -> Verdict {
    let score = CharacterScore {
        character: "MARA".into(),
        expected: true,
        coverage: p10.map_or(0.0, |_| 1.0),
        mean: p10.map(Idr),
        p10: p10.map(Idr),
        min: p10.map(Idr),
        slope: None,
        cosine: p10.map(Cosine),
        worst_frame: p10.map(|_| 0),
        calibrated: false,
        calibration: None,
    };
    let models = ModelsUsed {
        pack: "test 1".into(),
        detector: Digest::of(b"d"),
        embedder: Digest::of(b"e"),
        calibration: "test".into(),
    };
    Verdict { decision, characters: vec![score], frames: vec![], strangers: vec![], models, looks: Default::default() }
}

pub(crate) fn accepted(p10: f32) -> Verdict {
    verdict(Decision::Accept, Some(p10))
}

/// A rejection of a face that was seen in the first and the thirteenth frame.
pub(crate) fn rejected(p10: f32) -> Verdict {
    let face = FaceScore {
        bbox: Box2 { x0: 10.0, y0: 10.0, x1: 50.0, y1: 50.0 },
        detection: 0.9,
        yaw: 0.0,
        person: 0,
        character: None,
        stands_for: Some("MARA".into()),
        unscored: None,
        cosine: None,
        idr: None,
        band: None,
    };
    let frames = [0, 12].map(|frame| FrameScore { frame, faces: vec![face.clone()] });
    Verdict { frames: frames.into(), ..faceless(p10) }
}

/// A rejection because somebody like MARA stands beside her.
pub(crate) fn doubled() -> Verdict {
    let mut verdict = rejected(0.8);
    let reason = Reason::SecondFace { character: "MARA".into(), frame: 12 };
    verdict.decision = Decision::Reject { reasons: vec![reason] };
    for frame in &mut verdict.frames {
        let double = FaceScore { person: 1, stands_for: None, ..frame.faces[0].clone() };
        frame.faces.push(double);
    }
    verdict
}

/// A rejection that does not say where the face was.
pub(crate) fn faceless(p10: f32) -> Verdict {
    let reason = Reason::IdentityBelowGate { character: "MARA".into(), p10: Idr(p10), gate: 0.75, worst_frame: 0 };
    verdict(Decision::Reject { reasons: vec![reason] }, Some(p10))
}

pub(crate) fn unscored() -> Verdict {
    let reason = Reason::FaceMissing { character: "MARA".into(), coverage: 0.0 };
    verdict(Decision::Unscored { reasons: vec![reason] }, None)
}

/// A job that is driven by hand, settled after every step as the daemon does.
pub(crate) struct Story {
    pub plan: ScriptPlan,
    pub job: Job,
    pub tasks: Vec<Task>,
    is_script: bool,
    next_id: u8,
}

impl Story {
    pub(crate) fn begin(shots: u32) -> Self {
        let plan = plan(shots);
        let tasks = compile_script(&plan, Digest::of(b"b"), job(), NOW, &mut ids());
        Self { next_id: 100, ..Self::of(plan, tasks, true) }
    }

    pub(crate) fn profile() -> Self {
        let spec = ProfileSpec { pack: Digest::of(b"pack"), character: "MARA".into(), references: vec![] };
        let task = compile_profile(spec, ids()(), job(), NOW);
        Self::of(plan(0), vec![task], false)
    }

    fn of(plan: ScriptPlan, tasks: Vec<Task>, is_script: bool) -> Self {
        let job = Job::new(job(), ProjectId::new(NOW, [8; 10]), "Hidden".into(), Digest::of(b"r"), NOW);
        Self { plan, job, tasks, is_script, next_id: 100 }
    }

    pub(crate) fn generate(&mut self, shot: &str, take: u32) {
        self.finish(TaskKind::Generate, shot, take, video(take as u8));
    }

    /// Makes a take, in whatever way was chosen for it, and looks at it.
    pub(crate) fn take(&mut self, shot: &str, take: u32, verdict: &Verdict) {
        let kind = self.made_by(shot)[take as usize - 1];
        self.finish(kind, shot, take, video(take as u8));
        let output = TaskOutput::Verdict { verdict: verdict.clone(), timings: [].into() };
        self.finish(TaskKind::Validate, shot, take, output);
    }

    pub(crate) fn assemble(&mut self) {
        let at = self.tasks.iter().position(|t| t.kind == TaskKind::Assemble).unwrap();
        let output = TaskOutput::Episode {
            episode: Digest::of(b"mp4"),
            clips: vec![],
            contact_sheet: Digest::of(b"png"),
            duration: Frames(1),
            timings: [].into(),
        };
        self.end(at, |t, e| t.finish(e, output, NOW).unwrap());
    }

    pub(crate) fn finish_profile(&mut self) {
        let output = TaskOutput::Profile { profile: Digest::of(b"p"), thumbnail: Digest::of(b"t"), qualities: vec![] };
        self.end(0, |t, e| t.finish(e, output, NOW).unwrap());
    }

    pub(crate) fn fail(&mut self, shot: &str, take: u32) {
        let at = self.find(TaskKind::Generate, shot, take);
        let error = TaskError { problem: Problem::invalid("generate", "1-1", "no", "none"), retry: false };
        self.end(at, |t, e| t.fail(e, error, NOW).unwrap());
    }

    pub(crate) fn states(&self, kind: &str) -> Vec<&'static str> {
        self.tasks.iter().filter(|t| t.kind.to_string() == kind).map(|t| t.state.name()).collect()
    }

    /// By what kind of task each take of a shot is made.
    pub(crate) fn made_by(&self, shot: &str) -> Vec<TaskKind> {
        let key = shot.parse().ok();
        let of_shot = self.tasks.iter().filter(|t| t.shot == key && t.kind != TaskKind::Validate);
        of_shot.map(|t| t.kind).collect()
    }

    pub(crate) fn seeds(&self, shot: &str) -> Vec<Seed> {
        let key = shot.parse().ok();
        let specs = self.tasks.iter().filter(|t| t.shot == key).filter_map(|t| t.spec.as_ref());
        specs.filter_map(|s| if let Spec::Generate(g) = s { Some(g.seed) } else { None }).collect()
    }

    pub(crate) fn assembled(&self) -> Vec<AssembleShot> {
        let spec = self.tasks.iter().find(|t| t.kind == TaskKind::Assemble).and_then(|t| t.spec.clone());
        let Some(Spec::Assemble(spec)) = spec else { panic!("the assembly still waits") };
        spec.shots
    }

    pub(crate) fn kind_of(&self, id: TaskId) -> TaskKind {
        self.tasks.iter().find(|t| t.id == id).unwrap().kind
    }

    fn find(&self, kind: TaskKind, shot: &str, take: u32) -> usize {
        let key = shot.parse().ok();
        self.tasks.iter().position(|t| t.kind == kind && t.shot == key && t.take == Some(take)).unwrap()
    }

    fn finish(&mut self, kind: TaskKind, shot: &str, take: u32, output: TaskOutput) {
        let at = self.find(kind, shot, take);
        self.end(at, |t, e| t.finish(e, output, NOW).unwrap());
    }

    fn end(&mut self, at: usize, end: impl FnOnce(Task, LeaseEpoch) -> Task) {
        let leased = self.tasks[at].clone().lease(WorkerId::new(NOW, [1; 10]), NOW).unwrap();
        let epoch = leased.epoch;
        self.tasks[at] = end(leased, epoch);
        loop {
            let next_id = &mut self.next_id;
            let mut new_id = || {
                *next_id += 1;
                TaskId::new(NOW, [*next_id; 10])
            };
            let plan = self.is_script.then(|| Plan::Script(Box::new(self.plan.clone())));
            let next = settle(&self.job, plan.as_ref(), &self.tasks, NOW, &mut new_id);
            if next == crate::Next::default() {
                return;
            }
            for task in next.update {
                let at = self.tasks.iter().position(|t| t.id == task.id).unwrap();
                self.tasks[at] = task;
            }
            self.tasks.extend(next.insert);
            if let Some(state) = next.job {
                self.job.state = state;
            }
        }
    }
}
