//! Dependencies point one way: who may know whom, and what each part never links.

use super::tree::{Package, Tree};

/// Every arrow of the workspace that points the wrong way.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    tree.ours().flat_map(|(at, package)| package_faults(tree, at, package)).collect()
}

/// One of our packages and what it may lead to.
struct Rule {
    package: &'static str,
    /// Our packages that it may name.
    knows: &'static [&'static str],
    /// Outside packages that it never links, directly or not.
    never: &'static [&'static [&'static str]],
}

/// No async, no IO, no clock, no chance: what these compute is a function of their arguments.
const IO: &[&str] = &["tokio", "futures", "async-trait", "rand", "rand_chacha", "object_store", "tonic", "tracing"];
const SQL: &[&str] = &["sqlx", "sqlx-core", "libsqlite3-sys"];
const MODELS: &[&str] = &["candle-core", "candle-nn", "ort", "ort-sys", "cudarc", "tokenizers"];
const MEDIA: &[&str] = &["ffmpeg-next", "ffmpeg-sys-next"];
const GUESTS: &[&str] = &["wasmtime"];

const RULES: &[Rule] = &[
    Rule { package: "greenroom-domain", knows: &[], never: &[IO, SQL, MODELS, MEDIA, GUESTS] },
    Rule { package: "greenroom-schedule", knows: &["greenroom-domain"], never: &[IO, SQL, MODELS, MEDIA, GUESTS] },
    Rule { package: "greenroom-story", knows: &["greenroom-domain"], never: &[IO, SQL, MODELS, MEDIA, GUESTS] },
    Rule { package: "greenroom-store", knows: &["greenroom-domain"], never: &[SQL, MODELS, MEDIA, GUESTS] },
    Rule {
        package: "greenroom-store-sqlite",
        knows: &["greenroom-domain", "greenroom-store"],
        never: &[MODELS, MEDIA, GUESTS],
    },
    Rule {
        package: "greenroom-store-postgres",
        knows: &["greenroom-domain", "greenroom-store", "greenroom-test-postgres"],
        never: &[MODELS, MEDIA, GUESTS],
    },
    Rule { package: "greenroom-artifacts", knows: &["greenroom-domain"], never: &[SQL, MODELS, MEDIA, GUESTS] },
    Rule { package: "greenroom-proto", knows: &[], never: &[SQL, MODELS, MEDIA, GUESTS] },
    Rule { package: "greenroom-identity", knows: &["greenroom-domain"], never: &[SQL, MEDIA, GUESTS] },
    Rule { package: "greenroom-diffusion", knows: &["greenroom-domain"], never: &[SQL, MEDIA, GUESTS] },
    Rule {
        package: "greenroom-training",
        knows: &["greenroom-diffusion", "greenroom-domain"],
        never: &[SQL, MEDIA, GUESTS],
    },
    Rule { package: "greenroom-media", knows: &["greenroom-domain"], never: &[SQL, MODELS, GUESTS] },
    Rule { package: "greenroom-openjd", knows: &["greenroom-domain"], never: &[SQL, MODELS, MEDIA, GUESTS] },
    Rule {
        package: "greenroomd",
        knows: &[
            "greenroom-artifacts",
            "greenroom-domain",
            "greenroom-openjd",
            "greenroom-proto",
            "greenroom-schedule",
            "greenroom-store",
            "greenroom-store-postgres",
            "greenroom-store-sqlite",
            "greenroom-story",
        ],
        never: &[MODELS, MEDIA, GUESTS],
    },
    Rule {
        package: "greenroom-worker",
        knows: &[
            "greenroom-artifacts",
            "greenroom-diffusion",
            "greenroom-domain",
            "greenroom-identity",
            "greenroom-media",
            "greenroom-openjd",
            "greenroom-proto",
            "greenroom-training",
        ],
        never: &[SQL],
    },
    Rule {
        package: "greenroom",
        knows: &["greenroom-domain", "greenroom-proto"],
        never: &[SQL, MODELS, MEDIA, GUESTS, &["object_store"]],
    },
    // Knows nothing of ours, so that any crate's tests may start a server with it.
    Rule { package: "greenroom-test-postgres", knows: &[], never: &[SQL, MODELS, MEDIA, GUESTS] },
    Rule { package: "greenroom-tests", knows: ANY, never: &[] },
    Rule { package: "xtask", knows: &[], never: &[SQL, MODELS, MEDIA, GUESTS] },
];

/// What the tests may know: everything of ours. Nothing names the tests.
const ANY: &[&str] = &[
    "greenroom",
    "greenroom-artifacts",
    "greenroom-diffusion",
    "greenroom-domain",
    "greenroom-identity",
    "greenroom-media",
    "greenroom-openjd",
    "greenroom-proto",
    "greenroom-schedule",
    "greenroom-store",
    "greenroom-store-postgres",
    "greenroom-store-sqlite",
    "greenroom-story",
    "greenroom-test-postgres",
    "greenroom-training",
    "greenroom-worker",
    "greenroomd",
];

fn package_faults(tree: &Tree, at: usize, package: &Package) -> Vec<String> {
    let name = &package.name;
    let Some(rule) = RULES.iter().find(|rule| rule.package == name) else {
        return vec![format!("{name} has no rule: say in xtask/src/tidy/arrows.rs what it may depend on")];
    };
    let known = package.needs.iter().chain(&package.tested_with).map(|&other| &tree.packages[other]);
    let unknown = known.filter(|other| other.ours && !rule.knows.contains(&other.name.as_str()));
    let arrows =
        unknown.map(|other| format!("{name} may not depend on {}: the arrow points the other way", other.name));
    let banned = rule.never.iter().copied().flatten();
    let ways = banned.filter_map(|never| tree.way(at, |other| other.name == *never));
    let links = ways.map(|way| format!("{name} may never link {}: {}", way[way.len() - 1], way.join(" → ")));
    arrows.chain(links).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_up;

    fn faults_of(lines: &[&str]) -> Vec<String> {
        faults(&made_up::tree(lines, |name| name.starts_with("greenroom")))
    }

    #[test]
    fn arrows_that_point_the_right_way_are_no_fault() {
        let lines =
            ["greenroom-domain: serde", "greenroom-story: greenroom-domain", "serde", "greenroomd: greenroom-story"];
        assert_eq!(faults_of(&lines), Vec::<String>::new());
    }

    #[test]
    fn the_domain_may_not_know_the_store() {
        assert_eq!(
            faults_of(&["greenroom-store", "greenroom-domain: greenroom-store"]),
            ["greenroom-domain may not depend on greenroom-store: the arrow points the other way"]
        );
    }

    #[test]
    fn an_arrow_for_tests_only_is_held_to_the_same_rule() {
        let mut tree = made_up::tree(&["greenroom-tests", "greenroom-story"], |_| true);
        tree.packages[1].tested_with = vec![0];
        assert_eq!(
            faults(&tree),
            ["greenroom-story may not depend on greenroom-tests: the arrow points the other way"]
        );
    }

    #[test]
    fn a_model_library_behind_other_packages_is_found_in_the_daemon() {
        assert_eq!(
            faults_of(&["candle-core", "frames: candle-core", "greenroomd: pictures", "pictures: frames"]),
            ["greenroomd may never link candle-core: greenroomd → pictures → frames → candle-core"]
        );
    }

    #[test]
    fn a_worker_that_reaches_the_database_is_a_fault() {
        let lines = ["greenroom-worker: pool", "pool: sqlx", "sqlx: libsqlite3-sys", "libsqlite3-sys"];
        let expected = [
            "greenroom-worker may never link sqlx: greenroom-worker → pool → sqlx",
            "greenroom-worker may never link libsqlite3-sys: greenroom-worker → pool → sqlx → libsqlite3-sys",
        ];
        assert_eq!(faults_of(&lines), expected);
    }

    #[test]
    fn a_package_without_a_rule_must_get_one() {
        assert_eq!(
            faults_of(&["greenroom-new"]),
            ["greenroom-new has no rule: say in xtask/src/tidy/arrows.rs what it may depend on"]
        );
    }
}
