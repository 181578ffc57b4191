//! A notice by e-mail.

use greenroom_domain::Problem;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::authentication::Credentials,
};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

use super::{Notice, STEP};

/// A server that has not taken it by then has not got it.
const WITHIN: Duration = Duration::from_secs(20);

/// How mail is sent: section `[mail]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// `smtps://HOST` (TLS from the start), `smtp://HOST?tls=required` (STARTTLS), or `smtp://HOST` (none: within one's own walls).
    pub server: String,
    /// Whom mail is from.
    pub from: String,
    /// Who signs in at the server, with the password in the file.
    pub user: Option<String>,
    /// A file with one line.
    pub password_file: Option<PathBuf>,
}

/// A server and who is to get what it is given.
#[derive(Debug)]
pub(super) struct Post {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Post {
    /// # Errors
    /// If an address or the password's file cannot be read.
    pub(super) fn new(mail: &Mail, to: &[String]) -> Result<Self, Problem> {
        let invalid = |subject: &str, cause: &dyn std::fmt::Display, remedy: &str| {
            Problem::invalid(STEP, format!("[mail] {subject}"), cause, remedy)
        };
        let address = |text: &String| -> Result<Mailbox, Problem> {
            text.parse().map_err(|e| invalid(text, &e, "write NAME@HOST, or Name <NAME@HOST>"))
        };
        let remedy = "write smtps://HOST, smtp://HOST?tls=required or smtp://HOST";
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&mail.server);
        let mut builder = builder.map_err(|e| invalid(&mail.server, &e, remedy))?.timeout(Some(WITHIN));
        match (&mail.user, &mail.password_file) {
            (None, None) => {}
            (Some(user), Some(file)) => {
                let password = std::fs::read_to_string(file);
                let password = password.map_err(|e| invalid(&file.display().to_string(), &e, "name a file to read"))?;
                builder = builder.credentials(Credentials::new(user.clone(), password.trim().to_owned()));
            }
            _ => return Err(invalid("user", &"user and password_file go together", "write both, or neither")),
        }
        let to = to.iter().map(address).collect::<Result<_, _>>()?;
        Ok(Self { transport: builder.build(), from: address(&mail.from)?, to })
    }

    /// Sends a notice to everybody, one message each: nobody learns who else gets it.
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        for to in &self.to {
            let subject = match &notice.project {
                Some(project) => format!("[{project}] {}", short(&notice.text)),
                None => format!("[greenroom] {}", short(&notice.text)),
            };
            let job = notice.job.as_ref().map(|job| format!("\n\ngreenroom report {job}")).unwrap_or_default();
            let text = format!("{}\n\n{}, {}{job}\n", notice.text, notice.event, notice.time);
            let host = self.from.email.domain();
            let message = Message::builder()
                .from(self.from.clone())
                .to(to.clone())
                .subject(subject)
                // The same whenever it is sent, so that whoever gets it twice sees it once.
                .message_id(Some(format!("<{}@{host}>", notice.id)))
                .header(ContentType::TEXT_PLAIN)
                .body(text)
                .map_err(|e| e.to_string())?;
            self.transport.send(message).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// What a subject has room for, in one line.
fn short(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
