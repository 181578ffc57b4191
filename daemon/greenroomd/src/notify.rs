//! Tells others what happened on the farm: by webhook and by e-mail, from the event log, at least once.
//!
//! Each rule of the configuration keeps its place in the log, in the ledger, so whoever leads next goes on where the last one
//! stopped. What cannot be delivered is tried again for a day; then it is let go with a line in the daemon's log.

mod mail;
mod notice;
mod webhook;

use greenroom_domain::{EventSeq, Problem};
use greenroom_store::{Batch, Change, EventScope};
use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};
use tokio::task::JoinSet;

pub(crate) use mail::Mail;
pub(crate) use notice::Notice;

use crate::{args::Config, clock, farm::Farm};

const STEP: &str = "read configuration";
/// Events that are read at once.
const PAGE: usize = 256;
/// The place is kept at the latest after so many events of which none was for the rule.
const KEPT_AFTER: u64 = 1_000;
/// The first wait after a failure; each further one is twice as long …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What could not be delivered for so long is let go.
const GIVEN_UP: Duration = Duration::from_secs(24 * 3600);

/// Whom to tell of what: one `[[notify]]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its place in the log is kept under this name.
    pub name: String,
    /// Post to this address …
    pub url: Option<String>,
    /// … signed with the secret in this file.
    pub secret_file: Option<PathBuf>,
    /// Or send mail to these people.
    #[serde(default)]
    pub mail: Vec<String>,
    /// Of what; of ended jobs and sick nodes unless said otherwise.
    #[serde(default = "ends")]
    pub events: BTreeSet<String>,
    /// Of which projects; of all where none is named.
    #[serde(default)]
    pub projects: BTreeSet<String>,
}

fn ends() -> BTreeSet<String> {
    ["job.done", "job.draft", "job.failed", "job.cancelled", "node.sick"].map(String::from).into()
}

/// A way to tell somebody.
enum Way {
    Post(webhook::Webhook),
    Mail(mail::Post),
}

impl Rule {
    /// Whether everything it says can be done, as far as that can be told without doing it.
    pub(crate) fn check(&self, mail: Option<&Mail>) -> Result<(), Problem> {
        let refuse = |cause: String, remedy: &str| {
            Err(Problem::invalid(STEP, format!("[[notify]] {}", self.name), cause, remedy))
        };
        if self.name.is_empty() {
            return refuse("it has no name".into(), "write name = \"SOMETHING\", each rule its own");
        }
        if let Some(unknown) = self.events.iter().find(|event| !notice::KINDS.contains(&event.as_str())) {
            let remedy = format!("choose among {}", notice::KINDS.join(", "));
            return refuse(format!("there is no event {unknown}"), &remedy);
        }
        if self.url.is_some() != self.mail.is_empty() {
            return refuse("it has both url and mail, or neither".into(), "write either url or mail");
        }
        if !self.mail.is_empty() && mail.is_none() {
            return refuse("nobody knows how mail is sent".into(), "write a section [mail] with server and from");
        }
        self.way(mail).map(drop)
    }

    fn way(&self, mail: Option<&Mail>) -> Result<Way, Problem> {
        match (&self.url, mail) {
            (Some(url), _) => Ok(Way::Post(webhook::Webhook::new(url, self.secret_file.as_deref())?)),
            (None, Some(mail)) => Ok(Way::Mail(mail::Post::new(mail, &self.mail)?)),
            (None, None) => Err(Problem::invalid(STEP, "[mail]", "it is missing", "write server and from")),
        }
    }

    fn wants(&self, notice: &Notice) -> bool {
        let project = notice.project.as_ref();
        let ours = self.projects.is_empty() || project.is_none_or(|project| self.projects.contains(project));
        self.events.contains(notice.event) && ours
    }
}

impl Way {
    async fn tell(&self, notice: &Notice) -> Result<(), String> {
        match self {
            Self::Post(webhook) => webhook.post(notice).await,
            Self::Mail(post) => post.send(notice).await,
        }
    }
}

/// Tells everybody of everything, while this daemon leads.
pub(crate) async fn run(farm: Arc<Farm>) {
    let mut tasks = JoinSet::new();
    for rule in farm.config.notify.clone() {
        tasks.spawn(follow(farm.clone(), rule));
    }
    while tasks.join_next().await.is_some() {}
}

/// Sends one notice by one rule, now: `greenroomd notify NAME`.
///
/// # Errors
/// If there is no such rule, or it cannot be delivered.
pub(crate) async fn try_out(config: &Config, name: &str) -> Result<(), Problem> {
    let Some(rule) = config.notify.iter().find(|rule| rule.name == name) else {
        let names: Vec<_> = config.notify.iter().map(|rule| rule.name.as_str()).collect();
        let remedy = format!("write one, or name one of: {}", names.join(", "));
        return Err(Problem::invalid("try notification", name, "there is no [[notify]] of that name", remedy));
    };
    let told = rule.way(config.mail.as_ref())?.tell(&Notice::trial(clock::now())).await;
    told.map_err(|cause| Problem::invalid("try notification", name, cause, "mend its [[notify]] or its receiver"))
}

async fn follow(farm: Arc<Farm>, rule: Rule) {
    let way = match rule.way(farm.config.mail.as_ref()) {
        Ok(way) => way,
        Err(problem) => return tracing::error!(remedy = problem.remedy, "{problem}"),
    };
    let work = async {
        let mut nodes = farm.notices.subscribe();
        let mut committed = farm.committed.subscribe();
        let mut place = Place::open(&farm, &rule.name).await;
        loop {
            committed.borrow_and_update();
            while place.step(&farm, &rule, &way).await {}
            tokio::select! {
                changed = committed.changed() => if changed.is_err() { return },
                notice = nodes.recv() => if let Ok(notice) = notice && rule.wants(&notice) {
                    deliver(&rule, &way, &notice).await;
                },
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = farm.stop.cancelled() => {}
    }
}

/// How far a rule has read.
struct Place {
    name: String,
    read: EventSeq,
    kept: EventSeq,
}

impl Place {
    /// Where the rule stopped; a new one begins with what happens from now on.
    async fn open(farm: &Farm, name: &str) -> Self {
        let name = format!("notify/{name}");
        loop {
            let found = async {
                match farm.store.bookmark(&name).await? {
                    Some(seq) => Ok(seq),
                    None => farm.store.last_seq().await,
                }
            };
            match found.await {
                Ok(read) => return Self { name, read, kept: EventSeq(0) },
                Err(error) => {
                    tracing::warn!(%error, "cannot read the ledger; trying again");
                    tokio::time::sleep(FIRST_WAIT).await;
                }
            }
        }
    }

    /// Reads a page and tells of what the rule wants. Answers whether there may be more.
    async fn step(&mut self, farm: &Farm, rule: &Rule, way: &Way) -> bool {
        let page = match farm.store.events(self.read, EventScope::All, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "cannot read the event log; trying again");
                tokio::time::sleep(FIRST_WAIT).await;
                return true;
            }
        };
        let more = page.len() == PAGE;
        for event in page {
            let seq = event.seq;
            match Notice::of(farm, event).await {
                Ok(Some(notice)) if rule.wants(&notice) => {
                    deliver(rule, way, &notice).await;
                    self.read = seq;
                    self.keep(farm).await;
                }
                Ok(_) => self.read = seq,
                Err(error) => {
                    tracing::warn!(%error, "cannot read the ledger; trying again");
                    tokio::time::sleep(FIRST_WAIT).await;
                    return true;
                }
            }
        }
        if self.read.0 >= self.kept.0 + KEPT_AFTER {
            self.keep(farm).await;
        }
        more
    }

    /// Were it not kept, some would be told twice after a restart: better than not at all.
    async fn keep(&mut self, farm: &Farm) {
        let mark = Batch::new().change(Change::SetBookmark { name: self.name.clone(), seq: self.read });
        match farm.store.commit(mark).await {
            Ok(_) => self.kept = self.read,
            Err(error) => tracing::warn!(%error, "cannot keep how far was told"),
        }
    }
}

/// Tries until it is told, or for a day.
async fn deliver(rule: &Rule, way: &Way, notice: &Notice) {
    let (started, mut wait) = (clock::instant(), FIRST_WAIT);
    while let Err(cause) = way.tell(notice).await {
        if started.elapsed() > GIVEN_UP {
            tracing::error!(notify = rule.name, event = notice.event, cause, "nobody could be told; it is let go");
            return;
        }
        tracing::warn!(notify = rule.name, event = notice.event, cause, again_s = wait.as_secs(), "notify.fail");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    tracing::info!(notify = rule.name, event = notice.event, "notify.sent");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(toml: &str) -> Rule {
        toml::from_str(&format!("name = \"n\"\n{toml}")).unwrap()
    }

    #[test]
    fn a_rule_that_cannot_work_is_refused_with_what_is_wrong() {
        let cause = |text: &str| rule(text).check(None).unwrap_err().cause;
        assert_eq!(cause(""), "it has both url and mail, or neither");
        assert_eq!(cause("mail = [\"a@b.c\"]"), "nobody knows how mail is sent");
        assert_eq!(cause("url = \"http://h\"\nevents = [\"job.lost\"]"), "there is no event job.lost");
        assert!(cause("url = \"ftp://h\"").contains("http"), "{}", cause("url = \"ftp://h\""));
        assert!(rule("url = \"https://h/x\"").check(None).is_ok());
    }

    #[test]
    fn a_rule_is_of_its_events_and_projects() {
        let rule = rule("url = \"https://h\"\nprojects = [\"lab\"]");
        let notice =
            |event, project: &str| Notice { event, project: Some(project.to_owned()), ..Notice::trial(clock::now()) };
        assert!(rule.wants(&notice("job.done", "lab")));
        assert!(!rule.wants(&notice("job.done", "other")));
        assert!(!rule.wants(&notice("job.created", "lab")));
        assert!(rule.wants(&Notice { event: "node.sick", project: None, ..Notice::trial(clock::now()) }));
    }
}
