use super::{Factory, refused, sample};
use crate::{Batch, StoreError, Unique};

/// Projects: names are unique on a farm.
pub async fn projects(make: impl Factory) {
    a_project_is_found_by_id_and_by_name(&make).await;
    two_projects_never_share_a_name_or_an_id(&make).await;
}

async fn a_project_is_found_by_id_and_by_name(make: &impl Factory) {
    let store = make().await;
    let (first, second) = (sample::project(1), sample::project(2));
    store.commit(Batch::new().insert_project(second.clone()).insert_project(first.clone())).await.unwrap();
    assert_eq!(store.project(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.project_by_name("project-2").await.unwrap(), Some(second.clone()));
    assert_eq!(store.projects().await.unwrap(), [first, second]);
    assert_eq!(store.project(sample::project(3).id).await.unwrap(), None);
    assert_eq!(store.project_by_name("PROJECT-2").await.unwrap(), None);
    store.integrity_check().await.unwrap();
}

async fn two_projects_never_share_a_name_or_an_id(make: &impl Factory) {
    let store = make().await;
    let first = sample::project(1);
    store.commit(Batch::new().insert_project(first.clone())).await.unwrap();
    let mut namesake = sample::project(2);
    namesake.name = first.name.clone();
    refused!(store, Batch::new().insert_project(namesake), StoreError::Exists(Unique::Project { .. }));
    let mut twin = sample::project(1);
    twin.name = "another".into();
    refused!(store, Batch::new().insert_project(twin), StoreError::Exists(Unique::Id(_)));
    assert_eq!(store.projects().await.unwrap(), [first]);
}
