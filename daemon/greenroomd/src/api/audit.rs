//! The audit log.

use greenroom_domain::Timestamp;
use greenroom_proto::v1::{self, audit_service_server::AuditService};
use greenroom_store::{DeedFilter, verify_audit};
use tonic::{Request, Response, Status};

use super::{Api, convert, status::store};

/// Rows in a list, unless asked otherwise.
const PAGE: u32 = 100;

#[tonic::async_trait]
impl AuditService for Api {
    async fn list_audit_rows(
        &self,
        request: Request<v1::ListAuditRowsRequest>,
    ) -> Result<Response<v1::ListAuditRowsResponse>, Status> {
        let v1::ListAuditRowsRequest { since, user, page_size } = request.into_inner();
        let since =
            since.map(|t| Timestamp::from_millis(t.seconds.saturating_mul(1000) + i64::from(t.nanos) / 1_000_000));
        let filter = DeedFilter { since, user: Some(user).filter(|user| !user.is_empty()) };
        let limit = if page_size == 0 { PAGE } else { page_size.min(10_000) } as usize;
        let rows = self.0.store.deeds(&filter, limit).await.map_err(store)?;
        let row = |row: greenroom_domain::AuditRow| v1::AuditRow {
            sequence: row.seq,
            time: convert::time(row.deed.at),
            user: row.deed.user,
            token: row.deed.token,
            method: row.deed.method,
            resource: row.deed.resource,
            outcome: row.deed.outcome,
            request_digest: row.deed.request.to_string(),
            digest: row.digest.to_string(),
        };
        Ok(Response::new(v1::ListAuditRowsResponse { rows: rows.into_iter().map(row).collect() }))
    }

    async fn verify_audit(
        &self,
        request: Request<v1::VerifyAuditRequest>,
    ) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        let head = request.into_inner().head;
        let head = if head.is_empty() { None } else { Some(convert::digest(&head)?) };
        let found = verify_audit(&*self.0.store, head).await.map_err(store)?;
        Ok(Response::new(v1::VerifyAuditResponse {
            rows: found.rows,
            head: found.head.to_string(),
            broken: found.broken.unwrap_or_default(),
            has_head: found.has_head,
        }))
    }
}
