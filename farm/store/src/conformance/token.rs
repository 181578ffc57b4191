use super::{Factory, refused, sample};
use crate::{Batch, Change, Store, StoreError, Unique};
use greenroom_domain::{Holder, Token, User};
use std::sync::Arc;

/// Tokens: found by the digest of their secret, and what was revoked or used stays so.
pub async fn tokens(make: impl Factory) {
    a_token_is_found_by_its_secret_and_the_one_before(&make).await;
    what_was_revoked_or_used_stays_so(&make).await;
    two_tokens_never_share_a_secret(&make).await;
}

async fn with_user(make: &impl Factory) -> (Arc<dyn Store>, User) {
    let store = make().await;
    let project = sample::project(1);
    let user = sample::user(&project, 1);
    store.commit(Batch::new().insert_project(project).change(Change::InsertUser(user.clone()))).await.unwrap();
    (store, user)
}

async fn a_token_is_found_by_its_secret_and_the_one_before(make: &impl Factory) {
    let (store, user) = with_user(make).await;
    let old = sample::token(&user, 1);
    let join = Token { holder: Holder::Join, ..sample::token(&user, 2) };
    let batch = Batch::new().change(Change::InsertToken(old.clone())).change(Change::InsertToken(join.clone()));
    store.commit(batch).await.unwrap();
    assert_eq!(store.token_by_hash(old.hash).await.unwrap(), Some(old.clone()));
    let new = old.clone().renewed(Token::hash_of("new"), sample::at(2000));
    store.commit(Batch::new().change(Change::UpdateToken(new.clone()))).await.unwrap();
    for hash in [old.hash, new.hash] {
        assert_eq!(store.token_by_hash(hash).await.unwrap(), Some(new.clone()));
    }
    assert_eq!(store.token(new.id).await.unwrap(), Some(new.clone()));
    assert_eq!(store.tokens().await.unwrap(), [new, join]);
    assert_eq!(store.token_by_hash(Token::hash_of("9")).await.unwrap(), None);
    store.integrity_check().await.unwrap();
}

async fn what_was_revoked_or_used_stays_so(make: &impl Factory) {
    let (store, user) = with_user(make).await;
    let (first, second) = (sample::token(&user, 1), sample::token(&user, 2));
    let batch = Batch::new().change(Change::InsertToken(first.clone())).change(Change::InsertToken(second.clone()));
    store.commit(batch).await.unwrap();
    let revoked = Token { revoked: Some(sample::at(3)), ..first.clone() };
    let used = Token { used: Some(sample::at(3)), ..second.clone() };
    let batch = Batch::new().change(Change::UpdateToken(revoked)).change(Change::UpdateToken(used.clone()));
    store.commit(batch).await.unwrap();
    for token in [first, second, used] {
        refused!(store, Batch::new().change(Change::UpdateToken(token)), StoreError::Final { noun: "token", .. });
    }
    store.integrity_check().await.unwrap();
}

async fn two_tokens_never_share_a_secret(make: &impl Factory) {
    let (store, user) = with_user(make).await;
    let (first, second) = (sample::token(&user, 1), sample::token(&user, 2));
    let batch = Batch::new().change(Change::InsertToken(first.clone())).change(Change::InsertToken(second.clone()));
    store.commit(batch).await.unwrap();
    let same = Token { hash: first.hash, ..sample::token(&user, 3) };
    refused!(store, Batch::new().change(Change::InsertToken(same)), StoreError::Exists(Unique::Id(_)));
    let same = Token { hash: first.hash, ..second };
    refused!(store, Batch::new().change(Change::UpdateToken(same)), StoreError::Exists(Unique::Id(_)));
    let holder = Holder::User { user: sample::user(&sample::project(1), 9).id };
    let nobodys = Token { holder, ..sample::token(&user, 4) };
    refused!(store, Batch::new().change(Change::InsertToken(nobodys)), StoreError::Missing { noun: "user", .. });
    let moved = Token { holder: Holder::Join, ..first };
    refused!(store, Batch::new().change(Change::UpdateToken(moved)), StoreError::Fixed { field: "holder", .. });
}
