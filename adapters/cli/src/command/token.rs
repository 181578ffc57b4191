//! `greenroom token`

use clap::{Args, Subcommand};
use greenroom_domain::Problem;
use greenroom_proto::v1;
use serde_json::json;
use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Context, Ended};
use crate::{
    failure::{Failure, Outcome},
    json, names,
};

/// Make, list and revoke tokens: secrets by which callers and workers are let in.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token; its secret is shown this once
    Create {
        /// Whose [default: your own]
        #[arg(long, value_name = "NAME", conflicts_with = "worker")]
        user: Option<String>,
        /// What it is for, for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        /// How long it holds, as in 1h or 30d [default: for ever; with --worker an hour]
        #[arg(long, value_name = "TIME")]
        expires: Option<jiff::Span>,
        /// A token by which one worker of another machine joins the farm
        #[arg(long)]
        worker: bool,
        /// Write the secret to a new file that only you can read, instead of showing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Name your tokens; an administrator sees everybody's
    List,
    /// Make a token hold no more; a worker that shows it is detached at once
    Revoke {
        /// Which: tok_…
        token: String,
    },
}

impl Token {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let mut tokens = farm.tokens();
        let refused = match &self.what {
            What::Create { user, name, expires, worker, out } => {
                let request = v1::CreateTokenRequest {
                    title: name.clone(),
                    user: user.as_ref().map(|user| format!("users/{user}")).unwrap_or_default(),
                    join: *worker,
                    lifetime: lifetime(*expires, *worker)?,
                };
                if let Some(file) = out {
                    // That it can be kept is known before it is made.
                    write(file, "")?;
                }
                match tokens.create_token(request).await {
                    Ok(made) => return show(context, made.into_inner(), out.as_deref()),
                    Err(status) => {
                        out.iter().for_each(|file| drop(fs::remove_file(file)));
                        status
                    }
                }
            }
            What::List => match tokens.list_tokens(v1::ListTokensRequest {}).await {
                Ok(list) => {
                    let list = list.into_inner().tokens;
                    let mut lines = list.iter().map(line).collect::<Vec<_>>();
                    if lines.is_empty() {
                        lines.push("no tokens".to_owned());
                    }
                    context.output.answer(&list.iter().map(json::token).collect(), &lines);
                    return Ok(Outcome::Complete);
                }
                Err(status) => status,
            },
            What::Revoke { token } => {
                let name = format!("tokens/{}", names::last(token));
                match tokens.revoke_token(v1::RevokeTokenRequest { name }).await {
                    Ok(token) => {
                        let token = token.into_inner();
                        context.output.answer(&json::token(&token), &[line(&token)]);
                        return Ok(Outcome::Complete);
                    }
                    Err(status) => status,
                }
            }
        };
        Err(Failure::from(farm.problem(refused).await))
    }
}

fn show(context: &Context, made: v1::CreateTokenResponse, out: Option<&Path>) -> Ended {
    let token = made.token.unwrap_or_default();
    let mut document = json::token(&token);
    let id = names::last(&token.name);
    let lines = match out {
        Some(file) => {
            fs::remove_file(file).map_err(|e| unwritable(file, e))?;
            write(file, &made.secret)?;
            document["file"] = json!(file.display().to_string());
            vec![format!("{id}  its secret is in {}", file.display())]
        }
        None => {
            document["secret"] = json!(made.secret);
            context.output.note(&format!("this is {id}; its secret is shown this once"));
            vec![made.secret]
        }
    };
    context.output.answer(&document, &lines);
    Ok(Outcome::Complete)
}

fn line(token: &v1::Token) -> String {
    let who = match token.kind.as_str() {
        "join" => "a worker to come".to_owned(),
        "worker" => format!("worker on {}", token.holder),
        _ => names::last(&token.holder).to_owned(),
    };
    let until =
        token.expire_time.as_ref().map_or("for ever".to_owned(), |t| format!("until {}", json::local_time(Some(t))));
    format!("{}  {}  {who}  {until}  {}", names::last(&token.name), token.title, token.state)
}

fn lifetime(expires: Option<jiff::Span>, worker: bool) -> Result<Option<prost_types::Duration>, Problem> {
    let Some(span) = expires else {
        return Ok(worker.then_some(prost_types::Duration { seconds: 3600, nanos: 0 }));
    };
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|e| {
        Problem::invalid("create token", "--expires", e, "write hours, days or weeks, as in 12h or 30d")
    })?;
    Ok(Some(prost_types::Duration { seconds: duration.as_secs(), nanos: duration.subsec_nanos() }))
}

fn write(file: &Path, text: &str) -> Result<(), Problem> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| unwritable(file, e))
}

fn unwritable(file: &Path, error: std::io::Error) -> Problem {
    Problem::invalid("write token", file.display().to_string(), error, "name a file that is not there yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_holds_an_hour_unless_asked_otherwise_and_others_for_ever() {
        assert_eq!(lifetime(None, true).unwrap().map(|lifetime| lifetime.seconds), Some(3600));
        assert_eq!(lifetime(None, false).unwrap(), None);
        let days = lifetime(Some("30d".parse().unwrap()), true).unwrap();
        assert_eq!(days.map(|lifetime| lifetime.seconds), Some(30 * 86_400));
    }

    #[test]
    fn a_secret_is_written_to_a_new_file_that_nobody_else_reads() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        write(&file, "secret").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(&file, "other").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "secret");
    }
}
