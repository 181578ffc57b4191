use super::{Factory, refused, sample};
use crate::{Batch, Store, StoreError, Unique};
use greenroom_domain::{
    Character, CharacterState, Consent, ConsentDocument, Digest, LoraState, LoraVersion, Project, ReferenceQuality,
};
use std::sync::Arc;

/// Characters: revisions, names, and what a profile may change.
pub async fn characters(make: impl Factory) {
    the_latest_revision_is_the_character(&make).await;
    revisions_are_made_one_after_the_other(&make).await;
    a_name_belongs_to_one_character_of_a_project(&make).await;
    a_given_up_name_can_be_taken(&make).await;
    a_profile_changes_state_and_qualities_only(&make).await;
    calibrations_are_added_and_never_taken_back(&make).await;
    one_lora_is_in_force_and_none_is_lost(&make).await;
    a_character_needs_its_project(&make).await;
}

async fn with_mara(make: &impl Factory) -> (Arc<dyn Store>, Project, Character) {
    let store = make().await;
    let project = sample::project(1);
    let mara = sample::character(&project, 1, "MARA");
    store.commit(Batch::new().insert_project(project.clone()).insert_character(mara.clone())).await.unwrap();
    (store, project, mara)
}

fn revised(character: &Character, revision: u32) -> Character {
    Character { revision, description: format!("revision {revision}"), ..character.clone() }
}

async fn the_latest_revision_is_the_character(make: &impl Factory) {
    let (store, project, mara) = with_mara(make).await;
    let older = revised(&mara, 2);
    let newest = revised(&mara, 3);
    store.commit(Batch::new().insert_character(older.clone()).insert_character(newest.clone())).await.unwrap();
    let anton = sample::character(&project, 2, "ANTON");
    store.commit(Batch::new().insert_character(anton.clone())).await.unwrap();
    assert_eq!(store.character(mara.id).await.unwrap(), Some(newest.clone()));
    assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), Some(newest.clone()));
    assert_eq!(store.character_revision(mara.id, 2).await.unwrap(), Some(older));
    assert_eq!(store.character_revision(mara.id, 4).await.unwrap(), None);
    assert_eq!(store.characters(project.id).await.unwrap(), [anton, newest]);
    store.integrity_check().await.unwrap();
}

async fn revisions_are_made_one_after_the_other(make: &impl Factory) {
    let (store, project, mara) = with_mara(make).await;
    let again = Batch::new().insert_character(revised(&mara, 1));
    refused!(store, again, StoreError::Exists(Unique::Revision { revision: 1, .. }));
    let gap = Batch::new().insert_character(revised(&mara, 3));
    refused!(store, gap, StoreError::Missing { noun: "character", .. });
    let late = revised(&sample::character(&project, 9, "NOVA"), 2);
    refused!(store, Batch::new().insert_character(late), StoreError::Missing { noun: "character", .. });
    assert_eq!(store.characters(project.id).await.unwrap(), [mara]);
}

async fn a_name_belongs_to_one_character_of_a_project(make: &impl Factory) {
    let (store, project, _) = with_mara(make).await;
    let impostor = sample::character(&project, 2, "MARA");
    refused!(store, Batch::new().insert_character(impostor), StoreError::Exists(Unique::Character { .. }));
    let elsewhere = sample::project(2);
    let namesake = sample::character(&elsewhere, 3, "MARA");
    store.commit(Batch::new().insert_project(elsewhere.clone()).insert_character(namesake.clone())).await.unwrap();
    assert_eq!(store.character_by_name(elsewhere.id, "MARA").await.unwrap(), Some(namesake));
}

async fn a_given_up_name_can_be_taken(make: &impl Factory) {
    let (store, project, mara) = with_mara(make).await;
    let renamed = Character { name: "MARINA".into(), ..revised(&mara, 2) };
    let heir = sample::character(&project, 2, "MARA");
    store.commit(Batch::new().insert_character(renamed).insert_character(heir.clone())).await.unwrap();
    assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), Some(heir));
    let back = Batch::new().insert_character(revised(&mara, 3));
    refused!(store, back, StoreError::Exists(Unique::Character { .. }));
}

async fn a_profile_changes_state_and_qualities_only(make: &impl Factory) {
    let (store, _, mara) = with_mara(make).await;
    let (detection, face_size, yaw, sharpness, weight) = (0.9, 41.5, -0.1, 0.3, 0.75);
    let quality = ReferenceQuality { detection, face_size, yaw, sharpness, weight, agreement: None };
    let mut ready = mara.clone();
    ready.references[0].quality = Some(quality);
    ready.state = CharacterState::Ready { profile: Digest::of(b"profile"), thumbnail: Digest::of(b"face") };
    store.commit(Batch::new().update_character(ready.clone())).await.unwrap();
    assert_eq!(store.character(mara.id).await.unwrap(), Some(ready.clone()));
    let other = Character { description: "taller".into(), ..ready.clone() };
    refused!(store, Batch::new().update_character(other), StoreError::Fixed { field: "description", .. });
    let document = Some(ConsentDocument { name: "release.pdf".into(), digest: Digest::of(b"signed") });
    let (subject, licence) = ("Jane Doe".into(), "this film".into());
    let consent = Some(Consent { subject, document, reference: None, licence, expires: None });
    let other = Character { consent, ..ready.clone() };
    refused!(store, Batch::new().update_character(other), StoreError::Fixed { field: "consent", .. });
    let mut other = ready.clone();
    other.references[0].digest = Digest::of(b"another picture");
    refused!(store, Batch::new().update_character(other), StoreError::Fixed { field: "references", .. });
    refused!(store, Batch::new().update_character(revised(&mara, 2)), StoreError::Missing { .. });
    assert_eq!(store.character(mara.id).await.unwrap(), Some(ready));
    store.integrity_check().await.unwrap();
}

async fn calibrations_are_added_and_never_taken_back(make: &impl Factory) {
    let (store, _, mara) = with_mara(make).await;
    let [first, second] = [1, 2].map(sample::calibration);
    let calibrated = |calibrations: Vec<_>| Character { calibrations, ..mara.clone() };
    let both = calibrated(vec![first.clone(), second.clone()]);
    store.commit(Batch::new().update_character(calibrated(vec![first.clone()]))).await.unwrap();
    store.commit(Batch::new().update_character(both.clone())).await.unwrap();
    assert_eq!(store.character(mara.id).await.unwrap(), Some(both.clone()));
    let shorter = Batch::new().update_character(calibrated(vec![first]));
    refused!(store, shorter, StoreError::Fixed { field: "calibrations", .. });
    let changed = Batch::new().update_character(calibrated(vec![second.clone(), second]));
    refused!(store, changed, StoreError::Fixed { field: "calibrations", .. });
    let forgetful = Batch::new().insert_character(revised(&mara, 2));
    refused!(store, forgetful, StoreError::Fixed { field: "calibrations", .. });
    store.commit(Batch::new().insert_character(revised(&both, 2))).await.unwrap();
}

async fn one_lora_is_in_force_and_none_is_lost(make: &impl Factory) {
    let (store, _, mara) = with_mara(make).await;
    let active = || LoraState::Active { since: sample::at(1) };
    let retired = || LoraState::Retired { at: sample::at(2), reasons: vec!["replaced".into()] };
    let with = |loras: Vec<_>| Batch::new().update_character(Character { loras, ..mara.clone() });
    store.commit(with(vec![sample::lora(1, active())])).await.unwrap();
    let both = vec![sample::lora(1, active()), sample::lora(2, active())];
    refused!(store, with(both), StoreError::Fixed { field: "LoRAs", .. });
    let next = vec![sample::lora(1, retired()), sample::lora(2, active())];
    store.commit(with(next.clone())).await.unwrap();
    assert_eq!(store.character(mara.id).await.unwrap().unwrap().loras, next);
    refused!(store, with(next[1..].to_vec()), StoreError::Fixed { field: "LoRAs", .. });
    let other = LoraVersion { lora: Digest::of(b"another"), ..next[0].clone() };
    refused!(store, with(vec![other, next[1].clone()]), StoreError::Fixed { field: "LoRAs", .. });
}

async fn a_character_needs_its_project(make: &impl Factory) {
    let (store, _, mara) = with_mara(make).await;
    let homeless = sample::character(&sample::project(7), 2, "ANTON");
    refused!(store, Batch::new().insert_character(homeless), StoreError::Missing { noun: "project", .. });
    let second = sample::project(2);
    let moved = Character { project: second.id, ..revised(&mara, 2) };
    let batch = Batch::new().insert_project(second).insert_character(moved);
    refused!(store, batch, StoreError::Fixed { field: "project", .. });
}
