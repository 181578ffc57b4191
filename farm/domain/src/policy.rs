//! What the farm's administrator asks of the scheduler. One value with a revision; the ledger keeps every one.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::{Moment, Needs, Problem, Span, TaskKind, Timestamp};

/// What the farm's administrator asks of the scheduler. The default asks for nothing beyond fairness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Grows by one with every change; 0 is the default that nobody wrote. The ledger's, not the file's.
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// How patient the scheduler is.
    pub pace: Pace,
    /// What each project may have, by its name.
    pub project: BTreeMap<String, Share>,
    /// What each user may have, over all projects.
    pub user: BTreeMap<String, Share>,
    /// Licences, and what providers allow.
    pub limit: BTreeMap<String, Limit>,
    /// What every task of a kind needs, besides its own needs.
    pub needs: BTreeMap<TaskKind, Needs>,
    /// How long a task of a kind may run before it is stopped and counts as failed.
    pub timeout: BTreeMap<TaskKind, Span>,
    /// Workers that are kept for somebody.
    pub reservation: Vec<Reservation>,
    /// Times in which nodes do nothing.
    pub maintenance: Vec<Maintenance>,
    /// Nodes that take nothing new.
    pub drained: BTreeMap<String, Drained>,
}

/// How patient the scheduler is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Tasks that are passed over for so long count as one priority higher.
    pub ageing: Span,
    /// What was used this long ago counts half.
    pub half_life: Span,
    /// A task that is passed over for so long has a device kept free for it.
    pub hold_after: Span,
    /// Work of one urgency waits so long for a worker that holds its models while others go first that have theirs.
    pub warm_patience: Span,
    /// A worker that is silent for so long has lost its task.
    pub silence: Span,
    /// A task that tells no progress for so long is stopped and counts as failed.
    pub no_progress: Span,
    /// How long a failed task waits before it is tried again; twice as long each time.
    pub retry_delay: Span,
    /// Failed attempts that all tasks of a job may have together.
    pub retry_budget: u32,
    /// A node on which tasks of so many jobs failed, and none succeeded between, is drained.
    pub sick_after: u32,
    /// Work that somebody waits for waits this long before a training is paused for it …
    pub preempt_after: Span,
    /// … and a training has run this long before that.
    pub preempt_every: Span,
}

/// What a project or a user may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Share {
    /// Its part of the farm, against the parts of everybody who waits.
    pub share: f64,
    /// At most so many tasks at once.
    pub max_running: Option<u32>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitPer {
    /// Tasks.
    #[default]
    Task,
    /// Nodes with at least one task: a licence that covers a machine.
    Node,
}

/// A named counter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// At most so many at once.
    pub at_once: Option<u32>,
    /// At most so many begun within a minute.
    pub per_minute: Option<u32>,
    /// What is counted.
    pub per: LimitPer,
    /// Every task of these kinds counts, besides those that name the limit.
    pub kinds: BTreeSet<TaskKind>,
}

/// Workers that are kept for somebody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reservation {
    /// What it is called.
    pub name: String,
    /// Workers of these nodes …
    pub nodes: BTreeSet<String>,
    /// … and workers with all of these tags, if any.
    pub tags: BTreeSet<String>,
    /// For this project …
    pub project: Option<String>,
    /// … or this user.
    pub user: Option<String>,
    /// From then on; now where it is not said.
    pub from: Option<Moment>,
    /// Until then; for ever where it is not said.
    pub until: Option<Moment>,
}

/// A time in which nodes do nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Which nodes.
    pub nodes: BTreeSet<String>,
    /// From then on. Before it nothing is begun that would not be done by then.
    pub from: Moment,
    /// Until then.
    pub until: Moment,
    /// For what.
    #[serde(default)]
    pub reason: String,
}

/// A node that takes nothing new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drained {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Moment,
    /// The scheduler did it, because jobs failed there; a success heals it.
    #[serde(default)]
    pub sick: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ageing: Span::seconds(15 * 60),
            half_life: Span::seconds(3600),
            hold_after: Span::seconds(5 * 60),
            warm_patience: Span::seconds(60),
            silence: Span::seconds(15),
            no_progress: Span::seconds(3600),
            retry_delay: Span::seconds(1),
            retry_budget: 20,
            sick_after: 3,
            preempt_after: Span::seconds(2),
            preempt_every: Span::seconds(60),
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { share: 1.0, max_running: None }
    }
}

impl Policy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// If it is not TOML of this shape, or asks for what cannot be.
    pub fn parse(text: &str, subject: &str) -> Result<Self, Problem> {
        let bad = |cause: &str| {
            let remedy = "correct it and set it again; `greenroom policy show` prints the one in force";
            Problem::invalid("read policy", subject, cause, remedy)
        };
        let policy: Self = toml::from_str(text).map_err(|e| bad(e.to_string().trim()))?;
        policy.fault().map_or(Ok(policy), |fault| Err(bad(&fault)))
    }

    /// As a file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let file = Self { revision: 0, ..self.clone() };
        toml::to_string(&file).unwrap_or_default()
    }

    /// The limits that a task of this kind with these needs counts against.
    pub fn limits_of(&self, kind: TaskKind, needs: &Needs) -> impl Iterator<Item = (&String, &Limit)> {
        self.limit.iter().filter(move |(name, limit)| needs.limits.contains(*name) || limit.kinds.contains(&kind))
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        let shares = self.project.iter().map(|s| ("project", s)).chain(self.user.iter().map(|s| ("user", s)));
        for (noun, (name, share)) in shares {
            if !(share.share.is_finite() && share.share > 0.0) {
                return Some(format!("{noun}.{name}.share is {}; a share is above 0", share.share));
            }
        }
        for (name, limit) in &self.limit {
            if limit.at_once.is_none() && limit.per_minute.is_none() {
                return Some(format!("limit.{name} limits nothing; give it at_once or per_minute"));
            }
        }
        for reservation in &self.reservation {
            let name = &reservation.name;
            if reservation.project.is_some() == reservation.user.is_some() {
                return Some(format!("reservation `{name}` is for a project or for a user, one of the two"));
            }
            if reservation.nodes.is_empty() && reservation.tags.is_empty() {
                return Some(format!("reservation `{name}` names neither nodes nor tags"));
            }
            if matches!((reservation.from, reservation.until), (Some(from), Some(until)) if until <= from) {
                return Some(format!("reservation `{name}` ends before it begins"));
            }
        }
        let backwards = self.maintenance.iter().find(|window| window.until <= window.from);
        if let Some(window) = backwards {
            return Some(format!("the maintenance from {} ends before it begins", window.from));
        }
        let zero = [("pace.ageing", self.pace.ageing), ("pace.half_life", self.pace.half_life)];
        let zero = zero.into_iter().chain([("pace.silence", self.pace.silence)]).find(|(_, s)| *s == Span::default());
        zero.map(|(name, _)| format!("{name} is zero"))
    }
}

impl Reservation {
    /// When it holds: (from, until).
    #[must_use]
    pub fn window(&self) -> (Timestamp, Timestamp) {
        let from = self.from.map_or(Timestamp::from_millis(i64::MIN), |m| m.0);
        (from, self.until.map_or(Timestamp::from_millis(i64::MAX), |m| m.0))
    }
}

const fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [pace]
        ageing = "10m"
        [project.lab]
        share = 2.0
        max_running = 4
        [limit.veo]
        at_once = 4
        per_minute = 30
        kinds = ["generate"]
        [needs.train]
        vram_mib = 24000
        [timeout]
        generate = "1h"
        [[reservation]]
        name = "dailies"
        nodes = ["n1"]
        project = "lab"
        until = "2027-03-31T22:00:00Z"
        [[maintenance]]
        nodes = ["n2"]
        from = "2027-03-31T22:00:00Z"
        until = "2027-04-01T02:00:00Z"
        [drained.n3]
        reason = "fan"
        since = "2027-03-31T22:00:00Z"
    "#;

    #[test]
    fn a_policy_survives_its_own_file() {
        let policy = Policy::parse(FILE, "policy.toml").unwrap();
        assert_eq!(policy.pace.ageing, Span::seconds(600));
        assert_eq!(policy.timeout[&TaskKind::Generate], Span::seconds(3600));
        assert_eq!(Policy::parse(&policy.to_toml(), "again").unwrap(), policy);
        let stored = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&stored).unwrap(), policy);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let refused = |text: &str| Policy::parse(text, "policy.toml").unwrap_err().cause;
        assert!(refused("[project.lab]\nshare = 0").contains("project.lab.share is 0"));
        assert!(refused("[limit.veo]").contains("limit.veo limits nothing"));
        assert!(refused("[[reservation]]\nname = \"x\"\nproject = \"lab\"").contains("neither nodes nor tags"));
        assert!(refused("[timeout]\ndance = \"1h\"").contains("dance"));
        assert!(refused("[pace]\nageing = \"-1s\"").contains("is no length of time"));
        assert!(refused("[paces]").contains("unknown field `paces`"));
        let window = "[[maintenance]]\nnodes = []\nfrom = \"2027-01-02T00:00:00Z\"\nuntil = \"2027-01-01T00:00:00Z\"";
        assert!(refused(window).contains("ends before it begins"));
    }
}
