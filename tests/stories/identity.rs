//! The gate knows who is who.

use greenroom_domain::{CastMember, Decision, Digest, Reason, Spec, TaskOutput, ValidateSpec, Verdict};
use greenroom_tests::{Bench, CLOSE_MARA, CLOSE_TOBIN, Farm, of_kind, shot_file};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the farm asked of the worker that judged a shot's take.
fn as_judged(report: &Value, shot: usize) -> ValidateSpec {
    let shot = &report["shots"][shot];
    let digest = |value: &Value| value.as_str().unwrap().parse::<Digest>().unwrap();
    let member = |cast: &Value| CastMember {
        character: cast["character"].as_str().unwrap().to_owned(),
        profile: digest(&cast["profile"]),
        calibration: cast.get("calibration").map(|used| serde_json::from_value(used.clone()).unwrap()),
        lora: cast.get("lora").map(|used| serde_json::from_value(used.clone()).unwrap()),
    };
    let expected: Vec<String> = serde_json::from_value(shot["expected"].clone()).unwrap();
    let prompt = shot["prompt"].as_str().unwrap().to_owned();
    ValidateSpec {
        pack: digest(&report["pack"]["digest"]),
        shot: shot["shot"].as_str().unwrap().parse().unwrap(),
        take: digest(&shot["takes"][0]["video"]),
        cast: report["cast"].as_array().unwrap().iter().map(member).collect(),
        expected: expected.clone(),
        gate: serde_json::from_value(report["settings"]["gate"].clone()).unwrap(),
        samples: 16,
        captions: expected.first().map(|name: &String| (name.clone(), prompt)).into_iter().collect(),
        anchors: BTreeMap::new(),
    }
}

async fn judge(farm: &Farm, spec: ValidateSpec) -> Verdict {
    match Bench::run(farm.state(), &Spec::Validate(spec)).await {
        Ok(TaskOutput::Verdict { verdict, .. }) => verdict,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn takes_that_were_accepted_are_rejected_once_the_references_are_swapped() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = lab.film("both.toml", &shot_file("Both", &[CLOSE_MARA, CLOSE_TOBIN])).await;
    assert!(of_kind(&job, "validate").all(|task| task.note.starts_with("accepted: ")), "{job:?}");
    let (report, _) = lab.report(&job).await;
    let swapped = [("MARA", lab.cast_as("MARA", "tobin").await), ("TOBIN", lab.cast_as("TOBIN", "mara").await)];
    let cast = swapped.map(|(name, character)| {
        assert_eq!(character.revision, 2);
        CastMember {
            character: name.into(),
            profile: character.profile_digest.parse().unwrap(),
            calibration: None,
            lora: None,
        }
    });
    for (shot, expected, seen) in [(0, "MARA", "TOBIN"), (1, "TOBIN", "MARA")] {
        let spec = as_judged(&report, shot);
        let verdict = judge(&farm, spec.clone()).await;
        let reported = report["shots"][shot]["takes"][0]["verdict"].clone();
        assert_eq!(verdict, serde_json::from_value(reported).unwrap(), "asked as the farm asked, it answers the same");
        let verdict = judge(&farm, ValidateSpec { cast: cast.to_vec(), ..spec }).await;
        let reason = Reason::WrongCharacter { expected: expected.into(), seen: seen.into() };
        assert_eq!(verdict.decision, Decision::Reject { reasons: vec![reason] });
    }
}
