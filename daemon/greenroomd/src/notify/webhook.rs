//! A notice by HTTP, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use greenroom_domain::Problem;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::{path::Path, time::Duration};

use super::{Notice, STEP};
use crate::clock;

/// A receiver that has not answered by then has not got it.
const WITHIN: Duration = Duration::from_secs(10);
const PREFIX: &str = "whsec_";

/// Where notices are posted.
#[derive(Debug)]
pub(super) struct Webhook {
    client: reqwest::Client,
    url: reqwest::Url,
    secret: Option<Vec<u8>>,
}

impl Webhook {
    /// Posts to `url`, signed with the secret in the file: `whsec_` and base64, or any other line as it is.
    ///
    /// # Errors
    /// If the address or the file cannot be read.
    pub(super) fn new(url: &str, secret: Option<&Path>) -> Result<Self, Problem> {
        let invalid = |cause: &dyn std::fmt::Display| {
            Problem::invalid(STEP, format!("[[notify]] url {url}"), cause, "write http://… or https://…")
        };
        let parsed: reqwest::Url = url.parse().map_err(|e: url::ParseError| invalid(&e))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(invalid(&"only http and https addresses can be posted to"));
        }
        // Ring is what the whole daemon uses; that it is installed already is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(WITHIN)
            // A notice goes where the administrator said, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("greenroomd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| invalid(&e))?;
        Ok(Self { client, url: parsed, secret: secret.map(read).transpose()? })
    }

    /// Posts a notice; anything but a 2xx is a failure.
    pub(super) async fn post(&self, notice: &Notice) -> Result<(), String> {
        let body = serde_json::to_string(notice).map_err(|e| e.to_string())?;
        let seconds = (clock::now().as_millis() / 1000).to_string();
        let mut request = self.client.post(self.url.clone()).header("content-type", "application/json");
        request = request.header("webhook-id", &notice.id).header("webhook-timestamp", &seconds);
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", signature(secret, &notice.id, &seconds, &body));
        }
        // The address may hold a secret of its own, so the cause is told without it.
        let answer = request.body(body).send().await.map_err(|e| cause(&e.without_url()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
    }
}

/// `v1,` and the base64 of HMAC-SHA256 over id, time and body.
fn signature(secret: &[u8], id: &str, seconds: &str, body: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn read(file: &Path) -> Result<Vec<u8>, Problem> {
    let fail = |cause: &dyn std::fmt::Display| {
        let remedy = "name a file that the daemon may read, with one line in it";
        Problem::invalid(STEP, file.display().to_string(), cause, remedy)
    };
    let text = std::fs::read_to_string(file).map_err(|e| fail(&e))?;
    match text.trim() {
        "" => Err(fail(&"there is no secret in it")),
        line => match line.strip_prefix(PREFIX) {
            Some(base64) => STANDARD.decode(base64).map_err(|_| fail(&"what follows whsec_ is not base64")),
            None => Ok(line.as_bytes().to_vec()),
        },
    }
}

/// What lies at the bottom of it.
fn cause(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(deeper) = last.source() {
        last = deeper;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_signed_as_the_standard_has_it() {
        // The example of the specification's reference libraries.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_told_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "whsec_not base64!").unwrap();
        let problem = Webhook::new("https://h", Some(&file)).unwrap_err();
        assert_eq!(problem.cause, "what follows whsec_ is not base64");
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(Webhook::new("https://h", Some(&file)).unwrap_err().cause, "there is no secret in it");
    }
}
