use super::{Factory, refused, sample};
use crate::{Batch, Change, DeedFilter, StoreError, verify_audit};
use greenroom_domain::AuditRow;

/// The audit log: rows are appended with the batch that they tell of, in one chain.
pub async fn audits(make: impl Factory) {
    the_log_is_one_chain(&make).await;
    a_batch_that_is_refused_leaves_no_row(&make).await;
}

async fn the_log_is_one_chain(make: &impl Factory) {
    let store = make().await;
    assert_eq!(verify_audit(&*store, None).await.unwrap().head, AuditRow::beginning());
    for (n, user) in [(1, "ada"), (2, "bob"), (3, "ada")] {
        store.commit(Batch::new().change(Change::AppendAudit(sample::deed(user, n)))).await.unwrap();
    }
    let rows: Vec<_> = store.audit(0, 10).await.unwrap().into_iter().map(|(_, row)| row.unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.audit(1, 1).await.unwrap(), [(2, Some(rows[1].clone()))]);
    let checked = verify_audit(&*store, Some(rows[1].digest)).await.unwrap();
    assert_eq!((checked.rows, checked.head, checked.broken, checked.has_head), (3, rows[2].digest, None, true));
    let checked = verify_audit(&*store, Some(sample::deed("eve", 9).request)).await.unwrap();
    assert!(!checked.has_head, "a digest that the log never had");
    let adas = DeedFilter { since: Some(sample::at(2)), user: Some("ada".into()) };
    assert_eq!(store.deeds(&adas, 10).await.unwrap(), [rows[2].clone()]);
    assert_eq!(store.deeds(&DeedFilter::default(), 2).await.unwrap(), [rows[2].clone(), rows[1].clone()]);
    store.integrity_check().await.unwrap();
}

async fn a_batch_that_is_refused_leaves_no_row(make: &impl Factory) {
    let store = make().await;
    let project = sample::project(1);
    store.commit(Batch::new().insert_project(project.clone())).await.unwrap();
    let batch = Batch::new().change(Change::AppendAudit(sample::deed("ada", 1))).insert_project(project);
    refused!(store, batch, StoreError::Exists(_));
    assert_eq!(store.audit(0, 10).await.unwrap(), []);
}
