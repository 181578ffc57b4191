//! Licences and bans of outside packages, by the lists in `deny.toml`.
//!
//! `cargo deny` checks the same and security advisories, but takes minutes to install; this takes none.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use super::tree::{Package, Tree};

/// The part of `deny.toml` that is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    licenses: Licences,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licences {
    /// SPDX names.
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
    reason: String,
}

impl Policy {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }
}

/// Every package whose licence is not allowed, or that is banned by name.
pub(crate) fn faults(tree: &Tree, policy: &Policy) -> Vec<String> {
    let licences = tree.packages.iter().filter_map(|package| licence_fault(package, &policy.licenses.allow));
    let bans = policy.bans.deny.iter().filter_map(|ban| {
        let found = tree.packages.iter().any(|package| package.name == ban.name);
        found.then(|| format!("{} is banned: {}", ban.name, ban.reason))
    });
    licences.chain(bans).collect()
}

fn licence_fault(package: &Package, allow: &[String]) -> Option<String> {
    let name = &package.name;
    let Some(licence) = &package.licence else {
        return Some(format!("{name} names no licence: depend on something else"));
    };
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!("{name} has a licence that is no SPDX expression: {licence}"));
    };
    let allowed = expression.evaluate(|part| allow.contains(&part.to_string()));
    (!allowed).then(|| format!("{name} is under {licence}, which deny.toml does not allow"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_up;

    fn policy() -> Policy {
        toml::from_str(
            "licenses.allow = ['MIT', 'Unicode-3.0']\nbans.deny = [{ name = 'openssl', reason = 'one TLS' }]",
        )
        .unwrap()
    }

    fn faults_under(licence: Option<&str>) -> Vec<String> {
        let mut tree = made_up::tree(&["leaf"], |_| false);
        tree.packages[0].licence = licence.map(str::to_owned);
        faults(&tree, &policy())
    }

    #[test]
    fn one_allowed_licence_of_a_choice_is_enough() {
        for licence in ["MIT", "Apache-2.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0-only) AND Unicode-3.0"] {
            assert_eq!(faults_under(Some(licence)), Vec::<String>::new(), "{licence}");
        }
    }

    #[test]
    fn every_part_of_an_and_must_be_allowed() {
        assert_eq!(
            faults_under(Some("MIT AND GPL-3.0-only")),
            ["leaf is under MIT AND GPL-3.0-only, which deny.toml does not allow"]
        );
    }

    #[test]
    fn a_missing_or_made_up_licence_is_a_fault() {
        assert_eq!(faults_under(None), ["leaf names no licence: depend on something else"]);
        assert_eq!(faults_under(Some("Mine!")), ["leaf has a licence that is no SPDX expression: Mine!"]);
    }

    #[test]
    fn a_banned_package_is_named_with_the_reason() {
        let tree = made_up::tree(&["openssl"], |_| false);
        assert_eq!(faults(&tree, &policy()), ["openssl is banned: one TLS"]);
    }
}
