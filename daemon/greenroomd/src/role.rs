//! Whether this daemon leads. One that stands by answers questions and takes no changes.

use tokio::sync::watch;

/// What a daemon is among those that share its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Takes changes, dispatches, and has workers.
    Leads,
    /// Waits for the leader's end.
    StandsBy {
        /// Where the leader is, if one is known.
        leader: Option<String>,
    },
}

/// The role now, and a bell for its change.
#[derive(Debug)]
pub(crate) struct Roles(watch::Sender<Role>);

impl Roles {
    pub(crate) fn new(role: Role) -> Self {
        Self(watch::Sender::new(role))
    }

    /// The role is this one from now on.
    pub(crate) fn set(&self, role: Role) {
        self.0.send_if_modified(|now| {
            let changes = *now != role;
            *now = role;
            changes
        });
    }

    /// Where the leader is; none where this daemon leads. Empty while nobody does.
    pub(crate) fn leader(&self) -> Option<String> {
        match &*self.0.borrow() {
            Role::Leads => None,
            Role::StandsBy { leader } => Some(leader.clone().unwrap_or_default()),
        }
    }

    /// Waits until this daemon does not lead.
    pub(crate) async fn resigned(&self) {
        // The sender is here, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|role| *role != Role::Leads).await;
    }
}
