//! Turns a request into the first tasks of its graph.
//!
//! ```text
//! breakdown (done at once) ─► per shot: generate ─► validate ─────────────┐
//!                             generate or repair ◄─ rejected, retries left ┼─► assemble
//! ```

use greenroom_domain::{
    Breakdown, CalibrateSpec, CastMember, DiffusionDefaults, Digest, FaceRepair, FigureRemoval, Frames, Framing,
    GenerateSpec, IdentityPrompt, JobId, Keyframing, LeaseEpoch, LoraPrompt, LoraUsed, Pixels, ProfileSpec, Prompt,
    RepairSpec, Settings, Shot, ShotKey, Spec, Task, TaskId, TaskKind, TaskOutput, TaskState, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::Take;

/// Everything that a script's job is made from. Its digest names the request, so equal pushes are one job; tasks that come
/// later are made from it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScriptPlan {
    /// The script's bytes.
    pub script: Digest,
    /// The pack's digest.
    pub pack: Digest,
    /// The project's settings as they were at the push.
    pub settings: Settings,
    /// The pack's way of making pictures.
    pub diffusion: DiffusionDefaults,
    /// Everybody with references, and their profiles as they were at the push.
    pub cast: Vec<CastMember>,
    /// Scenes and shots.
    pub breakdown: Breakdown,
}

/// Frames that are decoded and scored per take: enough for the tenth percentile to be a frame and not the minimum.
const SAMPLES: u32 = 16;

/// The first tasks of a script's job: the breakdown, which is done already, one take of each shot with its validation, and
/// the assembly that waits for them. `breakdown` names the artifact that holds `plan.breakdown`.
pub fn compile_script(
    plan: &ScriptPlan,
    breakdown: Digest,
    job: JobId,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
) -> Vec<Task> {
    let mut tasks = vec![Task {
        spec: Some(Spec::Breakdown { script: plan.script }),
        state: TaskState::Done { output: TaskOutput::Breakdown { breakdown }, at: now, seconds: 0.0, reused: false },
        ..blank(new_id(), job, TaskKind::Breakdown, now)
    }];
    for shot in plan.breakdown.shots() {
        tasks.extend(plan.take(shot, 1, Spec::Generate(plan.generate(shot, 1)), job, now, new_id));
    }
    let on = tasks.iter().filter(|t| t.kind == TaskKind::Validate).map(|t| t.id).collect();
    let assemble = blank(new_id(), job, TaskKind::Assemble, now);
    tasks.push(Task { state: TaskState::Waiting { on }, ..assemble });
    tasks
}

/// The first task of a character's profile job; calibrations follow it.
#[must_use]
pub fn compile_profile(spec: ProfileSpec, id: TaskId, job: JobId, now: Timestamp) -> Task {
    Task { spec: Some(Spec::Profile(spec)), ..blank(id, job, TaskKind::Profile, now) }
}

/// A task that gives a character its own curve.
#[must_use]
pub fn compile_calibrate(spec: CalibrateSpec, id: TaskId, job: JobId, now: Timestamp) -> Task {
    Task { spec: Some(Spec::Calibrate(spec)), ..blank(id, job, TaskKind::Calibrate, now) }
}

impl ScriptPlan {
    /// The tasks that make and validate one take of a shot.
    pub(crate) fn take(
        &self,
        shot: &Shot,
        take: u32,
        spec: Spec,
        job: JobId,
        now: Timestamp,
        new_id: &mut dyn FnMut() -> TaskId,
    ) -> [Task; 2] {
        let make = Task { shot: Some(shot.key), take: Some(take), ..blank(new_id(), job, spec.kind(), now) };
        let make = Task { spec: Some(spec), ..make };
        let validate = Task {
            shot: Some(shot.key),
            take: Some(take),
            state: TaskState::Waiting { on: [make.id].into() },
            ..blank(new_id(), job, TaskKind::Validate, now)
        };
        [make, validate]
    }

    /// The shot of a key.
    pub(crate) fn shot(&self, key: ShotKey) -> Option<&Shot> {
        self.breakdown.shots().find(|s| s.key == key)
    }

    /// What a take from a seed of its own is made from.
    pub(crate) fn generate(&self, shot: &Shot, take: u32) -> GenerateSpec {
        let settings = &self.settings;
        let shown = shot.expected.first().or_else(|| shot.cast.first());
        let several = !shot.prompt.people.is_empty();
        GenerateSpec {
            pack: self.pack,
            shot: shot.key,
            take,
            prompt: shot.prompt.clone(),
            identity: shown
                .filter(|_| shot.framing != Framing::Establishing && !several)
                .and_then(|name| self.identity(name)),
            people: shot.prompt.people.iter().filter_map(|person| self.identity(&person.character)).collect(),
            seed: settings.seed.derive(&format!("shot {}", shot.key), take),
            size: Pixels { width: settings.size.0, height: settings.size.1 },
            fps: settings.fps,
            duration: shot.duration,
            keyframes: self.keyframes(shot),
            camera: shot.camera,
            steps: self.diffusion.steps,
            guidance: self.diffusion.guidance,
            control: shot.control,
            lora: shown.filter(|_| shot.framing != Framing::Establishing && !several).and_then(|name| self.lora(name)),
        }
    }

    /// What a repair of an earlier take is made from.
    pub(crate) fn repair(&self, shot: &Shot, take: u32, of: &Take<'_>) -> RepairSpec {
        let (how, mendable) = (&self.diffusion.repair, of.verdict.mendable());
        let caption = |positive| Prompt { positive, negative: shot.prompt.negative.clone(), people: vec![] };
        let face = |(character, seen): (&str, _)| FaceRepair {
            character: character.to_owned(),
            prompt: caption(portrait(shot, character)),
            identity: self.identity(character).map(|who| IdentityPrompt { scale: how.identity_scale, ..who }),
            lora: self.lora(character),
            seen,
        };
        let figure = |(character, seen, beside): (&str, _, _)| FigureRemoval {
            character: character.to_owned(),
            prompt: caption(shot.vacant.clone()),
            seen,
            beside,
        };
        RepairSpec {
            pack: self.pack,
            shot: shot.key,
            take,
            of: of.number,
            video: of.video,
            faces: mendable.faces.into_iter().map(face).collect(),
            figures: mendable.figures.into_iter().map(figure).collect(),
            seed: self.settings.seed.derive(&format!("shot {}", shot.key), take),
            keyframes: self.keyframes(shot),
            crop: how.crop,
            strength: how.strength,
            candidates: how.candidates,
            steps: self.diffusion.steps,
            guidance: self.diffusion.guidance,
        }
    }

    fn keyframes(&self, shot: &Shot) -> Keyframing {
        if shot.framing == Framing::Establishing {
            return Keyframing::Still;
        }
        let (fps, per_second) = (self.settings.fps.as_f64(), self.settings.keyframes_per_second.max(2));
        let every = (fps / f64::from(per_second)).floor().max(1.0) as u64;
        Keyframing::Chain { every: Frames(every), strength: self.diffusion.chain_strength }
    }

    fn identity(&self, name: &str) -> Option<IdentityPrompt> {
        let member = self.cast.iter().find(|c| c.character == name)?;
        Some(IdentityPrompt {
            character: member.character.clone(),
            profile: member.profile,
            scale: self.diffusion.identity_scale,
        })
    }

    /// The LoRA that was in force at the push: no job mixes versions.
    fn lora(&self, name: &str) -> Option<LoraPrompt> {
        let member = self.cast.iter().find(|c| c.character == name)?;
        let LoraUsed { number, lora } = member.lora.clone()?;
        Some(LoraPrompt { character: member.character.clone(), number, lora, weight: 1.0 })
    }

    pub(crate) const fn samples() -> u32 {
        SAMPLES
    }
}

/// The caption of a close picture of a character; shots that were broken down before there were any have the shot's own.
fn portrait(shot: &Shot, character: &str) -> String {
    let mut captions = shot.portraits.iter().chain(&shot.prompt.people);
    let caption = captions.find(|caption| caption.character == character).map(|caption| &caption.positive);
    caption.unwrap_or(&shot.prompt.positive).clone()
}

pub(crate) fn blank(id: TaskId, job: JobId, kind: TaskKind, now: Timestamp) -> Task {
    Task {
        id,
        job,
        shot: None,
        take: None,
        kind,
        spec: None,
        state: TaskState::Ready { since: now },
        epoch: LeaseEpoch(0),
        failures: 0,
        created: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, NOW};
    use greenroom_domain::PersonCaption;

    #[test]
    fn a_script_compiles_to_one_take_of_each_shot_and_an_assembly_that_waits() {
        let plan = fixture::plan(3);
        let tasks = compile_script(&plan, Digest::of(b"b"), fixture::job(), NOW, &mut fixture::ids());
        let kinds: Vec<_> = tasks.iter().map(|t| (t.kind, t.state.name())).collect();
        let pair = [(TaskKind::Generate, "ready"), (TaskKind::Validate, "waiting")];
        let mut expected = vec![(TaskKind::Breakdown, "done")];
        expected.extend([pair, pair, pair].concat());
        expected.push((TaskKind::Assemble, "waiting"));
        assert_eq!(kinds, expected);
    }

    #[test]
    fn an_establishing_shot_is_one_picture_of_nobody() {
        let mut plan = fixture::plan(1);
        plan.breakdown.scenes[0].shots[0].framing = Framing::Establishing;
        let Some(Spec::Generate(spec)) =
            compile_script(&plan, Digest::of(b"b"), fixture::job(), NOW, &mut fixture::ids()).remove(1).spec
        else {
            panic!("the second task generates")
        };
        assert_eq!((spec.keyframes, spec.identity), (Keyframing::Still, None));
    }

    #[test]
    fn a_shot_of_one_character_is_asked_for_in_the_words_that_it_always_was() {
        let plan = fixture::plan(1);
        let spec = plan.generate(plan.breakdown.shots().next().unwrap(), 1);
        let json = serde_json::to_value(&spec).unwrap();
        assert!(json.get("people").is_none() && json["prompt"].get("people").is_none(), "{json}");
        assert_eq!(spec.identity.map(|who| who.character).as_deref(), Some("MARA"));
    }

    #[test]
    fn a_shot_of_two_characters_shows_the_identity_of_each() {
        let mut plan = fixture::plan(1);
        let profile = |name: &str| Digest::of(name.to_lowercase().as_bytes());
        plan.cast.push(CastMember {
            character: "TOBIN".into(),
            profile: profile("TOBIN"),
            calibration: None,
            lora: None,
        });
        let shot = &mut plan.breakdown.scenes[0].shots[0];
        let names = ["TOBIN", "MARA"];
        (shot.cast, shot.expected) = (names.map(Into::into).into(), names.map(Into::into).into());
        let caption = |name: &str| PersonCaption { character: name.into(), positive: format!("close shot of {name}") };
        shot.prompt.people = names.map(caption).into();
        let spec = plan.generate(plan.breakdown.shots().next().unwrap(), 1);
        assert_eq!(spec.identity, None);
        let shown: Vec<_> = spec.people.iter().map(|who| (who.character.as_str(), who.profile)).collect();
        assert_eq!(shown, names.map(|name| (name, profile(name))));
    }

    #[test]
    fn a_repair_shows_the_character_from_near_and_with_more_weight() {
        let mut plan = fixture::plan(1);
        let shot = &mut plan.breakdown.scenes[0].shots[0];
        shot.prompt.positive = "medium shot of a woman".into();
        let shot = shot.clone();
        let verdict = fixture::rejected(0.3);
        let take = Take { number: 1, made: crate::Made::Generated, video: Digest::of(b"v"), verdict: &verdict };
        let old = plan.repair(&shot, 2, &take);
        assert_eq!((old.of, &old.video, &old.faces[0].prompt.positive[..]), (1, &take.video, "medium shot of a woman"));
        let portrait = PersonCaption { character: "MARA".into(), positive: "close shot of a woman".into() };
        let shot = Shot { portraits: vec![portrait], ..shot };
        let [face] = &plan.repair(&shot, 2, &take).faces[..] else { panic!("one face") };
        assert_eq!(face.prompt.positive, "close shot of a woman");
        assert!(face.identity.as_ref().unwrap().scale > plan.diffusion.identity_scale);
        assert_eq!(face.seen.iter().map(|seen| seen.frame).collect::<Vec<_>>(), [0, 12]);
    }

    #[test]
    fn a_double_is_painted_away_with_what_the_place_shows_and_the_character_stays() {
        let plan = fixture::plan(1);
        let shot = Shot { vacant: "wide shot, kitchen".into(), ..plan.breakdown.shots().next().unwrap().clone() };
        let verdict = fixture::doubled();
        let take = Take { number: 1, made: crate::Made::Generated, video: Digest::of(b"v"), verdict: &verdict };
        let spec = plan.repair(&shot, 2, &take);
        let [figure] = &spec.figures[..] else { panic!("one figure") };
        assert_eq!(figure.prompt.positive, shot.vacant);
        assert_eq!((figure.seen.len(), figure.beside.len(), spec.faces.len()), (2, 2, 0));
    }

    #[test]
    fn keyframes_come_at_least_twice_a_second() {
        let plan = fixture::plan(1);
        let spec = plan.generate(plan.breakdown.shots().next().unwrap(), 1);
        assert_eq!(spec.keyframes, Keyframing::Chain { every: Frames(12), strength: 0.5 });
    }
}
