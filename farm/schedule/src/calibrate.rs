//! Which calibrations a project's characters should have.

use greenroom_domain::{
    CalibrateSpec, CalibrationRevision, CalibrationSummary, Character, CharacterState, Digest, FEWEST_REFERENCES, Spec,
    Task, TaskOutput, Timestamp,
};

/// For everybody who has a profile and enough references the calibration that it should have now: against everybody else of
/// the project. One that it has already is left out.
#[must_use]
pub fn due_calibrations(characters: &[Character], pack: Digest) -> Vec<CalibrateSpec> {
    let due = characters.iter().filter_map(|character| {
        let spec = wanted(character, characters, pack)?;
        let has = character.calibration().is_some_and(|last| last.spec == spec.digest());
        (!has).then_some(spec)
    });
    due.collect()
}

/// What a calibrate task that is done makes of its character; none where the project has changed meanwhile, so that another
/// task is on its way, or the calibration is there already.
#[must_use]
pub fn calibrated(characters: &[Character], pack: Digest, task: &Task, now: Timestamp) -> Option<Character> {
    let Some(TaskOutput::Calibration { calibration, summary }) = task.output() else { return None };
    let spec = task.spec.as_ref()?;
    let due = due_calibrations(characters, pack).into_iter().find(|due| *spec == Spec::Calibrate(due.clone()))?;
    let mut character = characters.iter().find(|c| c.name == due.character)?.clone();
    let next = revision(&character, due.digest(), *calibration, summary.clone(), now);
    character.calibrations.push(next);
    Some(character)
}

fn wanted(character: &Character, all: &[Character], pack: Digest) -> Option<CalibrateSpec> {
    let profile = profile(character).filter(|_| character.references.len() >= FEWEST_REFERENCES)?;
    let mut others: Vec<Digest> =
        all.iter().filter(|other| other.id != character.id).filter_map(self::profile).collect();
    others.sort_unstable();
    Some(CalibrateSpec { pack, character: character.name.clone(), profile, others })
}

const fn profile(character: &Character) -> Option<Digest> {
    match &character.state {
        CharacterState::Ready { profile, .. } => Some(*profile),
        CharacterState::Profiling { .. } | CharacterState::Refused { .. } => None,
    }
}

fn revision(
    character: &Character,
    spec: Digest,
    calibration: Digest,
    summary: CalibrationSummary,
    created: Timestamp,
) -> CalibrationRevision {
    let number = character.calibrations.last().map_or(1, |last| last.number + 1);
    CalibrationRevision { number, revision: character.revision, spec, calibration, summary, created }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile_calibrate,
        fixture::{self, NOW},
    };
    use greenroom_domain::{CharacterId, ProjectId, Reference, TaskState};

    const PACK: Digest = Digest::from_bytes([7; 32]);

    /// Ready with so many references.
    fn character(name: &str, references: u8) -> Character {
        let n = name.as_bytes()[0];
        let reference = |i: u8| Reference { name: format!("{i}.png"), digest: Digest::of(&[n, i]), quality: None };
        let profile = Digest::of(format!("{name} {references}").as_bytes());
        Character {
            id: CharacterId::new(NOW, [n; 10]),
            project: ProjectId::new(NOW, [8; 10]),
            name: name.into(),
            revision: 1,
            references: (0..references).map(reference).collect(),
            description: String::new(),
            state: CharacterState::Ready { profile, thumbnail: Digest::of(b"t") },
            calibrations: vec![],
            loras: vec![],
            consent: None,
            created: NOW,
        }
    }

    fn done(spec: CalibrateSpec) -> Task {
        let summary = CalibrationSummary {
            pack: "test 1".into(),
            embedder: Digest::of(b"e"),
            anchors: vec![(0.0, 0.0), (1.0, 1.0)],
            genuine: 5,
            impostors: 1000,
            others: 0,
            uncalibrated: None,
        };
        let output = TaskOutput::Calibration { calibration: spec.digest(), summary };
        let task = compile_calibrate(spec, fixture::ids()(), fixture::job(), NOW);
        Task { state: TaskState::Done { output, at: NOW, seconds: 0.1, reused: false }, ..task }
    }

    /// Makes every calibration that is due.
    fn settle(characters: &mut [Character]) {
        for spec in due_calibrations(characters, PACK) {
            let changed = calibrated(characters, PACK, &done(spec), NOW).unwrap();
            let own = characters.iter_mut().find(|c| c.id == changed.id);
            *own.unwrap() = changed;
        }
    }

    #[test]
    fn who_has_five_references_is_calibrated_against_everybody_else_once() {
        let mut cast = [character("MARA", 5), character("TOBIN", 3)];
        let due = due_calibrations(&cast, PACK);
        assert_eq!(
            due.iter().map(|spec| (spec.character.as_str(), spec.others.len())).collect::<Vec<_>>(),
            [("MARA", 1)]
        );
        settle(&mut cast);
        assert_eq!(cast[0].calibration().map(|c| c.number), Some(1));
        assert_eq!(due_calibrations(&cast, PACK), []);
    }

    #[test]
    fn a_change_of_references_cast_or_pack_makes_the_next_one() {
        let mut cast = vec![character("MARA", 5)];
        settle(&mut cast);
        cast.push(character("TOBIN", 5));
        settle(&mut cast);
        assert_eq!(cast.iter().map(|c| c.calibration().unwrap().number).collect::<Vec<_>>(), [2, 1]);
        let with_more = Character { revision: 2, calibrations: cast[0].calibrations.clone(), ..character("MARA", 6) };
        cast[0] = with_more;
        assert_eq!(cast[0].calibration(), None, "the old one is of the old references");
        settle(&mut cast);
        assert_eq!(cast.iter().map(|c| c.calibration().unwrap().number).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(due_calibrations(&cast, Digest::of(b"another pack")).len(), 2);
    }

    #[test]
    fn what_was_measured_before_the_cast_changed_is_not_recorded() {
        let alone = [character("MARA", 5)];
        let late = done(due_calibrations(&alone, PACK).remove(0));
        let together = [character("MARA", 5), character("TOBIN", 3)];
        assert_eq!(calibrated(&together, PACK, &late, NOW), None);
        assert!(calibrated(&alone, PACK, &late, NOW).is_some());
    }
}
