//! A shot's takes as the report tells them: what made each, and what the gate said of it.

use greenroom_domain::{Digest, Idr, Seed, ShotKey, Spec, Task, TaskOutput, TaskState, Verdict};
use greenroom_schedule::{Made, Take, counts};
use serde::Serialize;
use std::fmt;

#[derive(Debug, Serialize)]
pub(super) struct TakeReport {
    pub(super) take: u32,
    pub(super) seed: Seed,
    pub(super) video: Digest,
    pub(super) thumbnail: Digest,
    pub(super) verdict: Verdict,
    /// Sampled frames with the faces that were found in them: a file beside the report. Takes of before have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strip: Option<String>,
    /// Of a take that is a repair of another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repair: Option<RepairReport>,
    /// Zero where an earlier equal take was taken over.
    pub(super) seconds: f64,
    pub(super) reused: bool,
}

/// What a repair did.
#[derive(Debug, Serialize)]
pub(super) struct RepairReport {
    /// Number of the take that was repaired.
    pub(super) of: u32,
    /// Whose faces were made anew.
    faces: Vec<RepairedFace>,
    /// Whose doubles were painted away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubles: Vec<String>,
    /// Whether it may stand for the shot: it was accepted, or rose by more than twice the noise of seeds.
    pub(super) counts: bool,
}

#[derive(Debug, Serialize)]
struct RepairedFace {
    character: String,
    p10_before: Option<Idr>,
    p10_after: Option<Idr>,
}

/// Every take of a shot that was looked at, oldest first.
pub(super) fn of(seen: &[Take<'_>], tasks: &[Task], shot: ShotKey, seed_noise: f32) -> Vec<TakeReport> {
    let report = |take: &Take<'_>| {
        let makes = |task: &&Task| task.shot == Some(shot) && task.take == Some(take.number) && made(task).is_some();
        let task = tasks.iter().find(makes)?;
        let (seed, thumbnail) = made(task)?;
        let TaskState::Done { seconds, reused, .. } = task.state else { return None };
        let repair = repair(take, seen, task, seed_noise);
        let (video, verdict) = (take.video, take.verdict.clone());
        let strip = verdict.looks.strip.map(|_| format!("strips/{shot}-take-{}.jpg", take.number));
        Some(TakeReport { take: take.number, seed, video, thumbnail, verdict, strip, repair, seconds, reused })
    };
    seen.iter().filter_map(report).collect()
}

/// Seed and thumbnail, if the task made a take.
fn made(task: &Task) -> Option<(Seed, Digest)> {
    let seed = match task.spec.as_ref()? {
        Spec::Generate(spec) => spec.seed,
        Spec::Repair(spec) => spec.seed,
        _ => return None,
    };
    let Some(TaskOutput::Take { thumbnail, .. }) = task.output() else { return None };
    Some((seed, *thumbnail))
}

fn repair(take: &Take<'_>, seen: &[Take<'_>], task: &Task, seed_noise: f32) -> Option<RepairReport> {
    let (Made::Repaired { of }, Some(Spec::Repair(spec))) = (take.made, &task.spec) else { return None };
    let before = seen.iter().find(|parent| parent.number == of)?;
    let p10 = |verdict: &Verdict, name: &str| verdict.characters.iter().find(|c| c.character == name)?.p10;
    let face = |name: &String| RepairedFace {
        character: name.clone(),
        p10_before: p10(before.verdict, name),
        p10_after: p10(take.verdict, name),
    };
    let faces = spec.faces.iter().map(|repaired| face(&repaired.character)).collect();
    let doubles = spec.figures.iter().map(|figure| figure.character.clone()).collect();
    Some(RepairReport { of, faces, doubles, counts: counts(take, seen, seed_noise) })
}

impl fmt::Display for RepairReport {
    /// `repair of take 1: a second MARA painted away, MARA p10 0.61 → 0.79`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |idr: Option<Idr>| idr.map_or_else(|| "not seen".to_owned(), |idr| format!("{:.2}", idr.0));
        let face = |face: &RepairedFace| {
            format!("{} p10 {} → {}", face.character, number(face.p10_before), number(face.p10_after))
        };
        let doubles = self.doubles.iter().map(|name| format!("a second {name} painted away"));
        let done: Vec<_> = doubles.chain(self.faces.iter().map(face)).collect();
        write!(f, "repair of take {}: {}", self.of, done.join(", "))?;
        if self.counts { Ok(()) } else { f.write_str(", which chance alone may do") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_is_told_in_one_sentence() {
        let face = |after| RepairedFace { character: "MARA".into(), p10_before: Some(Idr(0.61)), p10_after: after };
        let report = |faces, doubles, counts| RepairReport { of: 1, faces, doubles, counts }.to_string();
        let told = |after: Option<f32>, counts| report(vec![face(after.map(Idr))], vec![], counts);
        assert_eq!(told(Some(0.789), true), "repair of take 1: MARA p10 0.61 → 0.79");
        assert_eq!(told(Some(0.62), false), "repair of take 1: MARA p10 0.61 → 0.62, which chance alone may do");
        assert_eq!(told(None, true), "repair of take 1: MARA p10 0.61 → not seen");
        assert_eq!(report(vec![], vec!["MARA".into()], true), "repair of take 1: a second MARA painted away");
    }
}
