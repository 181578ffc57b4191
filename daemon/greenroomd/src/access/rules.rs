//! What each method needs: one line each. A method that is not here cannot be called.

use greenroom_domain::Role;

/// What a method needs.
#[derive(Debug)]
pub(super) struct Rule {
    /// `greenroom.v1.JobService/CancelJob`.
    pub(super) method: &'static str,
    /// Who may call it.
    pub(super) needs: Needs,
    /// Whether it changes something, and so stands in the audit log.
    pub(super) writes: bool,
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Every user; what it answers is what the user may see.
    Anyone,
    /// Who has this role in the project of the resource.
    In(Role),
    /// Who has this role in some project: bytes are named by their digest, which only those know who may see it.
    Somewhere(Role),
    /// Administrators of the farm.
    Admin,
    /// Workers that want to join.
    Join,
    /// Workers.
    Worker,
}

use Needs::{Admin, Anyone, In, Join, Somewhere, Worker};
use Role::{Artist, Supervisor, Viewer};

const fn reads(method: &'static str, needs: Needs) -> Rule {
    Rule { method, needs, writes: false }
}

const fn writes(method: &'static str, needs: Needs) -> Rule {
    Rule { method, needs, writes: true }
}

const RULES: &[Rule] = &[
    writes("greenroom.v1.ProjectService/CreateProject", Admin),
    reads("greenroom.v1.ProjectService/GetProject", In(Viewer)),
    reads("greenroom.v1.ProjectService/ListProjects", Anyone),
    writes("greenroom.v1.CharacterService/CreateCharacter", In(Artist)),
    reads("greenroom.v1.CharacterService/GetCharacter", In(Viewer)),
    reads("greenroom.v1.CharacterService/ListCharacters", In(Viewer)),
    writes("greenroom.v1.CharacterService/ForgetCharacter", In(Supervisor)),
    writes("greenroom.v1.JobService/PushScript", In(Artist)),
    reads("greenroom.v1.JobService/GetJob", In(Viewer)),
    reads("greenroom.v1.JobService/ListJobs", In(Viewer)),
    writes("greenroom.v1.JobService/PushTemplate", In(Artist)),
    writes("greenroom.v1.JobService/CancelJob", In(Artist)),
    writes("greenroom.v1.JobService/AdjustJob", In(Artist)),
    writes("greenroom.v1.JobService/RequeueJob", In(Artist)),
    reads("greenroom.v1.JobService/ExportJob", In(Viewer)),
    reads("greenroom.v1.JobService/WatchJob", In(Viewer)),
    reads("greenroom.v1.JobService/GetReport", In(Viewer)),
    writes("greenroom.v1.LoraService/TrainLora", In(Artist)),
    writes("greenroom.v1.LoraService/AddLora", In(Artist)),
    writes("greenroom.v1.LoraService/ShrinkLora", In(Artist)),
    writes("greenroom.v1.LoraService/ExportLora", In(Artist)),
    reads("greenroom.v1.LoraService/ListLoras", In(Viewer)),
    writes("greenroom.v1.LoraService/DeployLora", In(Supervisor)),
    reads("greenroom.v1.ArtifactService/FindMissing", Somewhere(Artist)),
    writes("greenroom.v1.ArtifactService/WriteArtifact", Somewhere(Artist)),
    reads("greenroom.v1.ArtifactService/ReadArtifact", Somewhere(Viewer)),
    reads("greenroom.v1.FarmService/GetFarm", Anyone),
    reads("greenroom.v1.FarmService/GetActivity", Admin),
    reads("greenroom.v1.FarmService/GetDiagnosis", Admin),
    writes("greenroom.v1.FarmService/CreateBackup", Admin),
    reads("greenroom.v1.FarmService/ListBackups", Admin),
    reads("greenroom.v1.LogService/ReadLogs", In(Viewer)),
    reads("greenroom.v1.ScheduleService/ExplainTasks", In(Viewer)),
    reads("greenroom.v1.ScheduleService/ListQueue", Admin),
    reads("greenroom.v1.ScheduleService/ListNodes", Anyone),
    writes("greenroom.v1.ScheduleService/SetNode", Admin),
    reads("greenroom.v1.ScheduleService/ListLimits", Anyone),
    reads("greenroom.v1.ScheduleService/GetPolicy", Anyone),
    writes("greenroom.v1.ScheduleService/SetPolicy", Admin),
    writes("greenroom.v1.UserService/CreateUser", Admin),
    reads("greenroom.v1.UserService/ListUsers", Admin),
    writes("greenroom.v1.UserService/SetRole", Admin),
    writes("greenroom.v1.UserService/DeleteUser", Admin),
    reads("greenroom.v1.UserService/WhoAmI", Anyone),
    writes("greenroom.v1.TokenService/CreateToken", Anyone),
    reads("greenroom.v1.TokenService/ListTokens", Anyone),
    writes("greenroom.v1.TokenService/RevokeToken", Anyone),
    reads("greenroom.v1.AuditService/ListAuditRows", Admin),
    reads("greenroom.v1.AuditService/VerifyAudit", Admin),
    writes("greenroom.worker.v1.WorkerService/Enrol", Join),
    reads("greenroom.worker.v1.WorkerService/Attach", Worker),
    reads("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Anyone),
];

impl Rule {
    /// The rule of a method.
    pub(super) fn of(method: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.method == method)
    }

    /// `push script` for `PushScript`.
    pub(super) fn step(&self) -> String {
        let name = self.method.rsplit('/').next().unwrap_or_default();
        let mut step = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !step.is_empty() {
                step.push(' ');
            }
            step.push(c.to_ascii_lowercase());
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use std::collections::BTreeSet;

    /// Every method of every service that the wire knows.
    fn served() -> BTreeSet<String> {
        let set = prost_types::FileDescriptorSet::decode(greenroom_proto::DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package().starts_with("greenroom."));
        files
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
            .flat_map(|(package, service)| {
                let name = format!("{package}.{}", service.name());
                service.method.iter().map(move |method| format!("{name}/{}", method.name()))
            })
            .collect()
    }

    #[test]
    fn every_method_has_a_rule_and_every_rule_a_method() {
        let ruled = RULES.iter().map(|rule| rule.method.to_owned()).filter(|m| m.starts_with("greenroom."));
        let ruled: BTreeSet<_> = ruled.collect();
        assert_eq!(ruled, served());
        assert_eq!(ruled.len() + 1, RULES.len(), "no method twice");
    }

    #[test]
    fn nobody_but_an_administrator_or_a_member_changes_anything() {
        let by_anyone = RULES.iter().filter(|rule| rule.writes && rule.needs == Anyone).map(|rule| rule.method);
        // These ask whose token it is.
        let own = ["greenroom.v1.TokenService/CreateToken", "greenroom.v1.TokenService/RevokeToken"];
        assert!(by_anyone.eq(own));
        assert!(RULES.iter().all(|rule| !rule.writes || rule.needs != In(Viewer)));
    }

    #[test]
    fn a_step_is_the_method_in_words() {
        assert_eq!(Rule::of("greenroom.v1.JobService/PushScript").unwrap().step(), "push script");
    }
}
