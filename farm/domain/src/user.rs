//! A person who calls the farm.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{ProjectId, Role, Timestamp, UserId};

/// A person, or a program that acts as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Unique among those who are there: lower-case letters, digits, dots, dashes, underscores.
    pub name: String,
    /// An administrator of the farm, and so of every project.
    pub admin: bool,
    /// Of which projects it is a member, and as what.
    pub members: BTreeMap<ProjectId, Role>,
    /// When it was added.
    pub created: Timestamp,
    /// Since when it calls nothing any more. The row stays: the audit log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

impl User {
    /// What the user may do in a project; none where it is no member.
    #[must_use]
    pub fn role_in(&self, project: ProjectId) -> Option<Role> {
        if self.admin { Some(Role::Admin) } else { self.members.get(&project).copied() }
    }

    /// The most that the user may do anywhere.
    #[must_use]
    pub fn highest(&self) -> Option<Role> {
        if self.admin { Some(Role::Admin) } else { self.members.values().copied().max() }
    }

    /// Whether a name can be one of a user.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        (1..=63).contains(&name.len())
            && name.chars().all(plain)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_one_project_is_nobody_in_another() {
        let [lab, moon] = [1, 2].map(|n| ProjectId::new(Timestamp::from_millis(0), [n; 10]));
        let id = UserId::new(Timestamp::from_millis(0), [3; 10]);
        let members = BTreeMap::from([(lab, Role::Artist)]);
        let created = Timestamp::from_millis(0);
        let ada = User { id, name: "ada".into(), admin: false, members, created, removed: None };
        assert_eq!(
            (ada.role_in(lab), ada.role_in(moon), ada.highest()),
            (Some(Role::Artist), None, Some(Role::Artist))
        );
        let boss = User { admin: true, ..ada };
        assert_eq!(boss.role_in(moon), Some(Role::Admin));
    }

    #[test]
    fn names_are_plain() {
        assert!(User::is_name("ada.l-2") && !User::is_name("Ada") && !User::is_name("-a") && !User::is_name(""));
    }
}
