use super::Factory;
use crate::{Batch, Change};
use greenroom_domain::EventSeq;

/// Bookmarks: one for each reader, the last that was set.
pub async fn bookmarks(make: impl Factory) {
    let store = make().await;
    assert_eq!(store.bookmark("notify/a").await.unwrap(), None);
    let set = |name: &str, seq| Batch::new().change(Change::SetBookmark { name: name.into(), seq: EventSeq(seq) });
    store.commit(set("notify/a", 7).and(set("notify/b", 3))).await.unwrap();
    store.commit(set("notify/a", 9)).await.unwrap();
    assert_eq!(store.bookmark("notify/a").await.unwrap(), Some(EventSeq(9)));
    assert_eq!(store.bookmark("notify/b").await.unwrap(), Some(EventSeq(3)));
    store.integrity_check().await.unwrap();
}
