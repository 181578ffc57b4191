//! A farm over TLS, and workers that join it from elsewhere.

use greenroom_proto::v1;
use greenroom_tests::{Farm, Options, Programs, greenroom, until};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Certificates of an authority of their own.
fn certificates(folder: &Path) {
    let cert = Command::new(Programs::find().path("greenroomd")).arg("cert").arg(folder).env_clear().output().unwrap();
    assert!(cert.status.success(), "{}", String::from_utf8_lossy(&cert.stderr));
}

/// A farm over TLS whose workers come from elsewhere; credentials hold for four seconds.
async fn farm(certificates: &Path) -> Farm {
    let path = |name: &str| certificates.join(name).display().to_string();
    let environment = [
        ("GREENROOM_TLS_CERT", path("farm.pem")),
        ("GREENROOM_TLS_KEY", path("farm.key")),
        ("GREENROOM_WORKER_CREDENTIAL", "4s".into()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let ca = Some(certificates.join("ca.pem"));
    Farm::start_with(Options { workers: 0, environment, ca, ..Options::default() }).await
}

/// A worker of another machine, as far as one machine can show that. Ends when it is dropped.
struct Guest {
    process: Child,
    folder: TempDir,
}

impl Guest {
    /// Starts one with a join token, or with what stands in its credential file.
    fn start(farm: &Farm, ca: &Path, join: &Path, credential: Option<&str>) -> Self {
        let (programs, folder) = (Programs::find(), TempDir::new().unwrap());
        let at = |name: &str| folder.path().join(name);
        if let Some(credential) = credential {
            fs::write(at("credential"), credential).unwrap();
        }
        let mut command = Command::new(programs.path("greenroom-worker"));
        command.args(["--daemon", &farm.address(), "--node", "attic", "--until-stdin-closes"]);
        command.arg("--ca").arg(ca).arg("--join").arg(join).arg("--credential").arg(at("credential"));
        command.arg("--artifacts").arg(farm.state().join("artifacts")).arg("--scratch").arg(at("scratch"));
        command.arg("--pack").arg(&programs.pack).arg("--onnxruntime").arg(&programs.onnxruntime);
        command.env_clear().env("NO_COLOR", "1").stdin(Stdio::piped()).stderr(File::create(at("log")).unwrap());
        Self { process: command.spawn().unwrap(), folder }
    }

    fn credential(&self) -> PathBuf {
        self.folder.path().join("credential")
    }

    /// What it said, once it has ended.
    async fn ended(mut self) -> String {
        until("the worker ends", async || self.process.try_wait().unwrap()).await;
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn join_token(farm: &Farm, name: &str) -> PathBuf {
    let file = farm.state().join(name);
    let create = ["token", "create", "--worker", "--expires", "1h", "--name", name, "--out", file.to_str().unwrap()];
    let said = farm.said(&create).await;
    assert!(said.contains("its secret is in"), "{said}");
    file
}

async fn attached(farm: &Farm, count: usize) {
    until("the workers are those", async || {
        let farm = farm.client().farm().get_farm(v1::GetFarmRequest {}).await.ok()?.into_inner();
        (farm.workers.len() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_joins_over_tls_works_and_is_sent_away() {
    let certs = TempDir::new().unwrap();
    certificates(certs.path());
    let farm = farm(certs.path()).await;
    assert!(farm.address().starts_with("https://"));
    let (ca, join) = (certs.path().join("ca.pem"), join_token(&farm, "attic-join").await);
    let guest = Guest::start(&farm, &ca, &join, None);
    attached(&farm, 1).await;
    let first = fs::read_to_string(guest.credential()).unwrap();
    farm.project("lab").await.cast_as("MARA", "mara").await;
    until("the credential is renewed", async || {
        let now = fs::read_to_string(guest.credential()).ok()?;
        (now != first && now.len() == first.len()).then_some(())
    })
    .await;
    let said = Guest::start(&farm, &ca, &join, None).ended().await;
    assert!(said.contains("use token: attic-join: the join token was used on "), "{said}");
    let tokens: Value = serde_json::from_str(&farm.said(&["token", "list", "--json"]).await).unwrap();
    let own = tokens.as_array().unwrap().iter().find(|token| token["kind"] == "worker").unwrap();
    assert_eq!(own["holder"], "attic");
    farm.said(&["token", "revoke", own["name"].as_str().unwrap()]).await;
    let said = guest.ended().await;
    assert!(said.contains("use token: attic: the credential was revoked on "), "{said}");
    attached(&farm, 0).await;
}

#[tokio::test]
async fn forged_and_expired_credentials_are_refused() {
    let certs = TempDir::new().unwrap();
    certificates(certs.path());
    let farm = farm(certs.path()).await;
    let (ca, join) = (certs.path().join("ca.pem"), join_token(&farm, "attic-join").await);
    let said = Guest::start(&farm, &ca, &join, Some(&"f".repeat(64))).ended().await;
    assert!(said.contains("the token is not the daemon's"), "{said}");
    let guest = Guest::start(&farm, &ca, &join, None);
    attached(&farm, 1).await;
    let old = fs::read_to_string(guest.credential()).unwrap();
    drop(guest);
    attached(&farm, 0).await;
    let said = until("the credential expires", async || {
        let said = farm.said(&["token", "list"]).await;
        said.contains("expired").then_some(said)
    })
    .await;
    assert!(said.contains("worker on attic"), "{said}");
    let said = Guest::start(&farm, &ca, &join, Some(&old)).ended().await;
    assert!(said.contains("use token: attic: the credential expired on "), "{said}");
}

#[tokio::test]
async fn a_farm_that_the_wrong_authority_vouches_for_is_not_called() {
    let (right, wrong) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    certificates(right.path());
    certificates(wrong.path());
    let farm = farm(right.path()).await;
    assert_eq!(farm.said(&["whoami"]).await, "admin.token  admin\n");
    let token = farm.state().join("admin.token").display().to_string();
    let ca = wrong.path().join("ca.pem");
    let arguments = ["whoami", "--address", &farm.address(), "--token-file", &token, "--ca", ca.to_str().unwrap()]
        .map(str::to_owned);
    let said = String::from_utf8(greenroom(&arguments).await.stderr).unwrap();
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert!(said.contains("try: give --ca the ca.pem of the farm"), "{said}");
    let said = Guest::start(&farm, &ca, &join_token(&farm, "join").await, None).ended().await;
    assert!(said.contains("invalid peer certificate"), "{said}");
}

#[tokio::test]
async fn without_tls_a_farm_listens_to_its_own_machine_only() {
    let (programs, state) = (Programs::find(), TempDir::new().unwrap());
    let mut command = Command::new(programs.path("greenroomd"));
    command.arg("--state").arg(state.path()).arg("--pack").arg(&programs.pack).args(["--listen", "0.0.0.0:0"]);
    let said = String::from_utf8(command.env_clear().env("NO_COLOR", "1").output().unwrap().stderr).unwrap();
    assert!(said.contains("listen: 0.0.0.0:0: other machines reach this address, and without TLS"), "{said}");
    assert!(said.contains("--insecure"), "{said}");
}
