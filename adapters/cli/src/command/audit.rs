//! `greenroom audit`

use clap::{Args, Subcommand};
use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1;
use serde_json::json;

use super::{Context, Ended};
use crate::{
    environment,
    failure::{Failure, Outcome},
    json,
};

/// See who did what, and check that nobody changed the record: for administrators.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the newest calls that changed something, or tried to, newest first
    List {
        /// From then on: a time such as 2027-03-31T12:00Z, a day, or how long ago, as in 2h or 7d
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<Since>,
        /// Only what one user did
        #[arg(long, value_name = "NAME", default_value = "")]
        user: String,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Follow the chain from the first row to the last; the first that does not fit is named
    Verify {
        /// A digest that this command told before: shows that nothing was cut off since
        #[arg(long, value_name = "SHA-256", default_value = "")]
        head: String,
    },
}

/// A moment, or how long ago.
#[derive(Clone, Copy, Debug)]
enum Since {
    At(jiff::Timestamp),
    Ago(jiff::Span),
}

impl Audit {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let refused = match &self.what {
            What::List { since, user, limit } => {
                let since = since.map(moment).transpose()?;
                let request = v1::ListAuditRowsRequest { since, user: user.clone(), page_size: *limit };
                match farm.audit().list_audit_rows(request).await {
                    Ok(list) => {
                        let rows = list.into_inner().rows;
                        let mut lines = rows.iter().map(line).collect::<Vec<_>>();
                        if lines.is_empty() {
                            lines.push("nothing".to_owned());
                        }
                        context.output.answer(&rows.iter().map(json::audit_row).collect(), &lines);
                        return Ok(Outcome::Complete);
                    }
                    Err(status) => status,
                }
            }
            What::Verify { head } => {
                match farm.audit().verify_audit(v1::VerifyAuditRequest { head: head.clone() }).await {
                    Ok(found) => return verified(context, &found.into_inner(), head),
                    Err(status) => status,
                }
            }
        };
        Err(Failure::from(farm.problem(refused).await))
    }
}

fn verified(context: &Context, found: &v1::VerifyAuditResponse, head: &str) -> Ended {
    let broken = |subject: String, cause: String| {
        let remedy = "somebody changed the ledger: compare it with a backup, and find out who could write it";
        Err(Failure::from(Problem::new(ProblemKind::Conflict, "verify audit log", subject, cause, remedy)))
    };
    if found.broken > 0 {
        let cause = format!("it is not as it was written, or does not follow row {}", found.rows);
        return broken(format!("row {}", found.broken), cause);
    }
    if !found.has_head {
        return broken(head.to_owned(), "no row has this digest any more".to_owned());
    }
    let document = json!({"rows": found.rows, "head": found.head});
    context.output.answer(&document, &[format!("{} rows fit; the last is {}", found.rows, found.head)]);
    Ok(Outcome::Complete)
}

fn line(row: &v1::AuditRow) -> String {
    let method = row.method.rsplit('/').next().unwrap_or_default();
    let time = json::local_time(row.time.as_ref());
    format!("{:>6}  {time}  {:<12}  {method:<16}  {:<9}  {}", row.sequence, row.user, row.outcome, row.resource)
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::At(at));
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let start = day.to_zoned(jiff::tz::TimeZone::system()).map_err(|e| e.to_string())?;
        return Ok(Since::At(start.timestamp()));
    }
    let ago = text.parse::<jiff::Span>();
    ago.map(Since::Ago)
        .map_err(|_| "write a time such as 2027-03-31T12:00Z, a day, or how long ago, as in 2h or 7d".into())
}

fn moment(since: Since) -> Result<prost_types::Timestamp, Problem> {
    let at = match since {
        Since::At(at) => at,
        Since::Ago(span) => {
            let now = jiff::Timestamp::from_millisecond(environment::now().as_millis()).unwrap_or_default();
            let ago = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).and_then(|ago| now.checked_sub(ago));
            ago.map_err(|e| Problem::invalid("list audit log", "--since", e, "write hours or days, as in 12h or 7d"))?
        }
    };
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_how_long_ago() {
        let at = moment(since("2027-03-31T12:00Z").unwrap()).unwrap();
        assert_eq!(at.seconds, 1_806_494_400);
        assert!(matches!(since("2027-03-31"), Ok(Since::At(_))));
        let ago = environment::now().as_millis() / 1000 - moment(since("2d").unwrap()).unwrap().seconds;
        assert!((172_800..172_810).contains(&ago), "{ago}");
        let refused = since("yesterday").unwrap_err();
        assert_eq!(refused, "write a time such as 2027-03-31T12:00Z, a day, or how long ago, as in 2h or 7d");
    }
}
