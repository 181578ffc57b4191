//! A character with enough references has a curve of its own, and every score says which one read it.

use greenroom_proto::v1;
use greenroom_tests::{CLOSE_MARA, Farm, Project, reference, shot_file};

const FIVE: [&str; 5] = ["1.png", "2.png", "3.png", "4.png", "5.png"];

/// Makes a character of so many of the fixture's references.
async fn cast(lab: &Project, name: &str, looks_like: &str, count: usize) -> v1::Character {
    let pictures: Vec<_> = FIVE[..count].iter().map(|file| (*file, reference(looks_like, file))).collect();
    lab.profile(name, &pictures).await
}

/// The number of its calibration and how many of the impostors are of other characters.
fn calibration(character: &v1::Character) -> Option<(u32, u32)> {
    character.calibration.as_ref().map(|own| (own.number, own.others))
}

#[tokio::test]
async fn calibrations_are_numbered_and_a_verdict_names_the_one_that_it_used() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    assert_eq!(calibration(&cast(&lab, "MARA", "mara", 5).await), Some((1, 0)));
    let tobin = cast(&lab, "TOBIN", "tobin", 3).await;
    assert_eq!((calibration(&tobin), tobin.uncalibrated.as_str()), (None, "3 references, five are needed"));
    let again = cast(&lab, "MARA", "mara", 5).await;
    assert_eq!(calibration(&again), Some((2, 3)), "TOBIN's references are impostors now; asking again changes nothing");
    let anchors: Vec<_> = again.calibration.unwrap().anchors.iter().map(|a| (a.idr, a.cosine)).collect();
    assert!(anchors.is_sorted() && anchors.len() == 5, "{anchors:?}");

    let job = lab.film("close.toml", &shot_file("Close", &[CLOSE_MARA])).await;
    let (report, _) = lab.report(&job).await;
    assert_eq!(report["cast"][0]["curve"]["others"], 3, "what the curve was made from is told too");
    let score = &report["shots"][0]["takes"][0]["verdict"]["characters"][0];
    let named = score["calibration"].as_str().unwrap().to_owned();
    assert!(named.starts_with("MARA calibration 2 (puppet ") && score["calibrated"] == true, "{score}");
    let face = &report["shots"][0]["takes"][0]["verdict"]["frames"][0]["faces"][0];
    assert!(face["band"].is_string() && face["cosine"].is_number(), "{face}");

    assert_eq!(calibration(&cast(&lab, "TOBIN", "tobin", 5).await), Some((1, 5)));
    assert_eq!(calibration(&cast(&lab, "MARA", "mara", 5).await), Some((3, 5)));
}
