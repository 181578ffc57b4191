//! A disk is full, and then it is not: nothing is lost, nobody is blamed, nothing is started again.

use greenroom_domain::ProblemKind;
use greenroom_proto::v1::{self, job::State};
use greenroom_tests::{Farm, Options, SmallDisk, problem, until};

/// Three tasks that take a second each.
const SLOW: &str = "specificationVersion: jobtemplate-2023-09\nname: Slow\nsteps:\n  - name: Run\n    parameterSpace:\n      \
                    taskParameterDefinitions:\n        - { name: Frame, type: INT, range: \"1-3\" }\n    script:\n      actions:\n        \
                    onRun:\n          command: sleep\n          args: [\"1\"]\n";

/// A farm whose ledger, artifacts and logs lie on a small disk; none where none can be mounted.
async fn farm() -> Option<(SmallDisk, Farm)> {
    let disk = SmallDisk::new(48)?;
    let place = Some(disk.path().to_owned());
    let farm = Farm::start_with(Options { commands: Some(String::new()), place, ..Options::default() }).await;
    Some((disk, farm))
}

#[tokio::test]
async fn work_waits_while_the_disk_is_full_and_goes_on_when_there_is_room() {
    let Some((disk, farm)) = farm().await else { return };
    let lab = farm.project("lab").await;
    let template_digest = lab.client().upload(SLOW.as_bytes()).await;
    let request = v1::PushTemplateRequest {
        parent: lab.name().to_owned(),
        file_name: "job.yaml".into(),
        template_digest,
        parameters_json: "{}".into(),
        template_folder: "/".into(),
        working_folder: "/".into(),
        ..v1::PushTemplateRequest::default()
    };
    let job = lab.client().jobs().push_template(request).await.unwrap().into_inner().job.unwrap();
    lab.reached(&job.name, "command", "leased").await;
    disk.fill();
    let refused = problem(&lab.client().try_upload(b"one more").await.unwrap_err());
    assert!(refused.kind == ProblemKind::Unavailable && refused.cause.contains("full"), "{refused}");
    assert!(refused.remedy.contains("free some space"), "{}", refused.remedy);
    // The daemon's own log lies on that disk, too.
    let waits = async || farm.said(&["top", "--once"]).await.contains("waiting: the disk").then_some(());
    until("the work waits for room", waits).await;
    assert_eq!(lab.job(&job.name).await.state(), State::Active, "the daemon answers meanwhile");
    disk.free();
    let job = lab.ended(&job.name).await;
    assert_eq!(job.state(), State::Done, "{job:?}");
    assert!(job.tasks.iter().all(|task| task.attempts == 1), "nobody was blamed: {job:?}");
    lab.client().upload(b"one more").await;
}
