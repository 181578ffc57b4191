//! `GET /metrics`, for every token of a user: it tells nothing of a project.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

use crate::{access::Caller, farm::Farm};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers a scrape.
pub(super) async fn metrics(State(farm): State<Arc<Farm>>, headers: HeaderMap) -> Response {
    match Caller::find(&farm, &headers).await {
        Ok(Caller::Owner | Caller::User { .. }) => {
            ([(header::CONTENT_TYPE, OPEN_METRICS)], farm.metrics.text(&farm)).into_response()
        }
        Ok(_) => (StatusCode::FORBIDDEN, "metrics are for users\n").into_response(),
        Err(problem) => {
            let text = format!("{problem}; {}\n", problem.remedy);
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response()
        }
    }
}
