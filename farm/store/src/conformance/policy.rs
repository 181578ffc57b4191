use super::{Factory, refused};
use crate::{Batch, StoreError, Unique};
use greenroom_domain::{Policy, Share};

/// The policy: one at a time, each the next revision of the one before.
pub async fn policies(make: impl Factory) {
    let store = make().await;
    assert_eq!(store.policy().await.unwrap(), None);
    let first = Policy { revision: 1, ..Policy::default() };
    store.commit(Batch::new().set_policy(first.clone())).await.unwrap();
    let share = Share { max_running: Some(4), ..Share::default() };
    let second = Policy { revision: 2, project: [("lab".to_owned(), share)].into(), ..first.clone() };
    store.commit(Batch::new().set_policy(second.clone())).await.unwrap();
    assert_eq!(store.policy().await.unwrap(), Some(second.clone()));
    // Of two who change the same policy the second must look again.
    refused!(store, Batch::new().set_policy(second.clone()), StoreError::Exists(Unique::Policy { revision: 2 }));
    let far = Policy { revision: 9, ..Policy::default() };
    refused!(store, Batch::new().set_policy(far), StoreError::Missing { noun: "policy", .. });
    assert_eq!(store.policy().await.unwrap(), Some(second));
    store.integrity_check().await.unwrap();
}
