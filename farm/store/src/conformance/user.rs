use super::{Factory, refused, sample};
use crate::{Batch, Change, StoreError, Unique};
use greenroom_domain::{Role, User};
use std::collections::BTreeMap;

/// Users: names are unique among those who are there, and who was removed does not come back.
pub async fn users(make: impl Factory) {
    a_user_is_found_by_id_and_by_name(&make).await;
    a_name_is_free_again_when_its_user_was_removed(&make).await;
    a_member_of_a_project_that_is_not_there_is_refused(&make).await;
}

async fn a_user_is_found_by_id_and_by_name(make: &impl Factory) {
    let store = make().await;
    let project = sample::project(1);
    let (first, second) = (sample::user(&project, 1), sample::user(&project, 2));
    let batch = Batch::new().insert_project(project).change(Change::InsertUser(second.clone()));
    store.commit(batch.change(Change::InsertUser(first.clone()))).await.unwrap();
    let boss = User { admin: true, members: BTreeMap::new(), ..first.clone() };
    store.commit(Batch::new().change(Change::UpdateUser(boss.clone()))).await.unwrap();
    assert_eq!(store.user(first.id).await.unwrap(), Some(boss.clone()));
    assert_eq!(store.user_by_name("user-2").await.unwrap(), Some(second.clone()));
    assert_eq!(store.user_by_name("USER-2").await.unwrap(), None);
    assert_eq!(store.users().await.unwrap(), [boss, second]);
    store.integrity_check().await.unwrap();
}

async fn a_name_is_free_again_when_its_user_was_removed(make: &impl Factory) {
    let store = make().await;
    let project = sample::project(1);
    let first = sample::user(&project, 1);
    store.commit(Batch::new().insert_project(project.clone()).change(Change::InsertUser(first.clone()))).await.unwrap();
    let namesake = User { name: first.name.clone(), ..sample::user(&project, 2) };
    let insert = Batch::new().change(Change::InsertUser(namesake.clone()));
    refused!(store, insert.clone(), StoreError::Exists(Unique::User { .. }));
    refused!(store, Batch::new().change(Change::InsertUser(first.clone())), StoreError::Exists(Unique::Id(_)));
    let gone = User { removed: Some(sample::at(5)), ..first.clone() };
    store.commit(Batch::new().change(Change::UpdateUser(gone.clone()))).await.unwrap();
    assert_eq!(store.user_by_name(&first.name).await.unwrap(), None);
    refused!(store, Batch::new().change(Change::UpdateUser(first)), StoreError::Final { noun: "user", .. });
    store.commit(insert).await.unwrap();
    assert_eq!(store.user(gone.id).await.unwrap(), Some(gone));
    assert_eq!(store.users().await.unwrap(), [namesake]);
    store.integrity_check().await.unwrap();
}

async fn a_member_of_a_project_that_is_not_there_is_refused(make: &impl Factory) {
    let store = make().await;
    let user = sample::user(&sample::project(1), 1);
    refused!(store, Batch::new().change(Change::InsertUser(user.clone())), StoreError::Missing { noun: "project", .. });
    let loner = User { members: BTreeMap::new(), ..user.clone() };
    store.commit(Batch::new().change(Change::InsertUser(loner.clone()))).await.unwrap();
    let members = BTreeMap::from([(sample::project(1).id, Role::Viewer)]);
    let member = Batch::new().change(Change::UpdateUser(User { members, ..loner.clone() }));
    refused!(store, member, StoreError::Missing { noun: "project", .. });
    let renamed = User { name: "other".into(), ..loner };
    refused!(store, Batch::new().change(Change::UpdateUser(renamed)), StoreError::Fixed { field: "name", .. });
    let unknown = Batch::new().change(Change::UpdateUser(sample::user(&sample::project(1), 7)));
    refused!(store, unknown, StoreError::Missing { .. });
}
