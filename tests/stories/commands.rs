//! A studio's plain render jobs: templates in, files out.

use greenroom_domain::Problem;
use greenroom_proto::v1::{self, job::State};
use greenroom_tests::{Farm, Options, Project, alive, problem, until};
use serde_json::json;
use std::path::Path;

const THREE_STEPS: &str = include_str!("../fixtures/openjd/three-steps.yaml");

async fn farm() -> Farm {
    Farm::start_with(Options { commands: Some(String::new()), ..Options::default() }).await
}

/// Pushes a template that may be refused.
async fn try_push(lab: &Project, template: &str, parameters: serde_json::Value) -> Result<v1::Job, Problem> {
    let template_digest = lab.client().upload(template.as_bytes()).await;
    let request = v1::PushTemplateRequest {
        parent: lab.name().to_owned(),
        file_name: "job.yaml".into(),
        template_digest,
        parameters_json: parameters.to_string(),
        template_folder: "/shows/lab".into(),
        working_folder: "/shows/lab".into(),
        ..v1::PushTemplateRequest::default()
    };
    let answer = lab.client().jobs().push_template(request).await.map_err(|status| problem(&status))?;
    Ok(answer.into_inner().job.unwrap())
}

async fn push(lab: &Project, template: &str) -> v1::Job {
    try_push(lab, template, json!({})).await.unwrap_or_else(|problem| panic!("{problem}"))
}

/// One step that runs a shell script.
fn shell(head: &str, script: &str) -> String {
    let lines: String = script.lines().map(|line| format!("            {line}\n")).collect();
    format!(
        "specificationVersion: jobtemplate-2023-09\nname: Shell\nextensions: [REDACTED_ENV_VARS, TASK_CHUNKING]\nparameterDefinitions:\n\
         - {{ name: Out, type: PATH, objectType: DIRECTORY, dataFlow: OUT, default: out }}\nsteps:\n  - name: Run\n{head}    script:\n      \
         actions:\n        onRun:\n          command: sh\n          args: ['{{{{Task.File.Run}}}}']\n          cancelation: {{ mode: \
         NOTIFY_THEN_TERMINATE, notifyPeriodInSeconds: 60 }}\n      embeddedFiles:\n        - name: Run\n          type: TEXT\n          \
         data: |\n{lines}"
    )
}

/// The text of a file that a job left.
async fn file(lab: &Project, job: &v1::Job, path: &str) -> String {
    let (_, files) = lab.report(job).await;
    let file = files.iter().find(|file| file.path == path);
    let file = file.unwrap_or_else(|| panic!("{path} is not among {files:?}"));
    String::from_utf8(lab.client().download(&file.digest).await).unwrap()
}

/// Waits until a command has made a file of this name in its working folder, and tells the process that it wrote there.
async fn pid_in(name: &str) -> u32 {
    let path = Path::new("/tmp").join(name);
    until("the command runs", async || std::fs::read_to_string(&path).ok()?.trim().parse().ok()).await
}

#[tokio::test]
async fn three_steps_hand_their_files_on_and_the_film_is_pulled() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let job = lab.ended(&push(&lab, THREE_STEPS).await.name).await;
    assert_eq!((job.state(), job.title.as_str()), (State::Done, "Three steps 1-3"), "{job:?}");
    let expected = "frame 1 noir 35mm\nframe 2 noir 35mm\nframe 3 noir 35mm\n";
    assert_eq!(file(&lab, &job, "Film/film.txt").await, expected);
    assert_eq!(file(&lab, &job, "Images/2.txt").await, "frame 2 noir 35mm\n");
    assert!(file(&lab, &job, "logs/Check/1.log").await.contains("\n3\n"), "the check counted three lines");
    let log = file(&lab, &job, "logs/Render/1.log").await;
    assert!(log.contains("openjd_env: LENS=35mm") && !log.contains("leaving"), "{log}");
    let labels: Vec<_> = job.tasks.iter().map(|task| format!("{} {}", task.step, task.label)).collect();
    assert_eq!(labels, ["Render Frame=1", "Render Frame=2", "Render Frame=3", "Encode ", "Check "]);
}

#[tokio::test]
async fn chunks_run_as_one_and_the_session_stays_open_between_them() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let chunks = "    parameterSpace:\n      taskParameterDefinitions:\n        - { name: F, type: 'CHUNK[INT]', range: 1-6, chunks: { \
                  defaultTaskCount: 3, rangeConstraint: CONTIGUOUS } }\n";
    let template = shell(
        chunks,
        "echo '{{Task.Param.F}}' >> '{{Session.WorkingDirectory}}/all'\ncp '{{Session.WorkingDirectory}}/all' '{{Param.Out}}/{{Task.Param.F}}'",
    );
    let job = lab.ended(&push(&lab, &template).await.name).await;
    assert_eq!(job.tasks.len(), 2);
    assert_eq!(file(&lab, &job, "Out/1-3").await, "1-3\n");
    assert_eq!(file(&lab, &job, "Out/4-6").await, "1-3\n4-6\n", "it is the same working folder");
}

#[tokio::test]
async fn commands_run_as_somebody_else_with_no_secrets_around_them() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    // The template must not tell the secret itself.
    let script = "id -un > '{{Param.Out}}/who'\nenv | sort > '{{Param.Out}}/env'\nkey=hunter\nkey=\"$key\"22\n\
                  echo \"openjd_redacted_env: KEY=$key\"\necho \"openjd_status: using $key\"\necho \"$key\"";
    let job = lab.ended(&push(&lab, &shell("", script)).await.name).await;
    let who = file(&lab, &job, "Out/who").await;
    if nix::unistd::geteuid().is_root() {
        assert_eq!(who, "nobody\n");
        let token = farm.state().join("worker.token");
        let job = lab.ended(&push(&lab, &shell("", &format!("cat '{}'", token.display()))).await.name).await;
        assert!(job.problem.unwrap().cause.contains("Permission denied"));
    }
    let environment = file(&lab, &job, "Out/env").await;
    assert!(!environment.contains("GREENROOM") && environment.contains("OPENJD_SESSION_WORKING_DIR="), "{environment}");
    let log = file(&lab, &job, "logs/Run/1.log").await;
    assert!(!log.contains("hunter22") && log.contains("********"), "{log}");
    assert!(!farm.holds(b"hunter22"), "nothing that the farm keeps tells it");
}

#[tokio::test]
async fn a_command_that_is_cancelled_hears_of_it_and_says_goodbye() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let name = format!("greenroom-story-{}", std::process::id());
    let script = format!(
        "trap 'cp \"{{{{Session.WorkingDirectory}}}}/cancel_info.json\" /tmp/{name}-info; exit 0' TERM\necho $$ > /tmp/{name}\nwhile :; do sleep 0.1; done"
    );
    let pushed = push(&lab, &shell("", &script)).await;
    let pid = pid_in(&name).await;
    assert_eq!(lab.cancel(&pushed.name).await.state(), State::Cancelled);
    farm.idle().await;
    let info = std::fs::read_to_string(format!("/tmp/{name}-info")).unwrap();
    assert!(info.contains("NotifyEnd"), "{info}");
    assert!(!alive(pid));
    let next = lab.ended(&push(&lab, &shell("", "true")).await.name).await;
    assert_eq!(next.state(), State::Done, "the worker takes the next");
    for left in [name.clone(), format!("{name}-info")] {
        std::fs::remove_file(Path::new("/tmp").join(left)).unwrap();
    }
}

#[tokio::test]
async fn a_killed_worker_takes_its_command_along_and_the_task_publishes_once() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let name = format!("greenroom-killed-{}", std::process::id());
    let script = format!(
        "if [ -e /tmp/{name} ]; then echo again > '{{{{Param.Out}}}}/frame'; rm /tmp/{name}; exit 0; fi\necho once > \
         '{{{{Param.Out}}}}/frame'\nsetsid sleep 300 &\necho $! > /tmp/{name}\nwhile :; do sleep 0.1; done"
    );
    let pushed = push(&lab, &shell("", &script)).await;
    let pid = pid_in(&name).await;
    farm.kill_worker();
    let job = lab.ended(&pushed.name).await;
    assert_eq!((job.state(), job.tasks[0].attempts), (State::Done, 2), "{job:?}");
    assert_eq!(file(&lab, &job, "Out/frame").await, "again\n");
    farm.gone(&[pid]).await;
}

#[tokio::test]
async fn a_step_that_fails_ends_the_job_with_its_last_words() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let template = shell("", "echo reading scene\necho 'openjd_fail: no camera in the scene'\necho bye\nexit 3");
    let job = lab.ended(&push(&lab, &template).await.name).await;
    assert_eq!((job.state(), job.tasks[0].attempts), (State::Failed, 3), "another machine may do better");
    let problem = job.problem.unwrap();
    assert_eq!(
        problem.cause,
        "exit code 3: no camera in the scene; it said last: reading scene | openjd_fail: no camera in the scene | bye"
    );
    assert_eq!((problem.step.as_str(), problem.subject.as_str()), ("run command", "Run"));
}

#[tokio::test]
async fn a_time_out_kills_what_runs() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let template =
        shell("", "sleep 300").replace("          cancelation", "          timeout: 1\n          cancelation");
    let job = lab.ended(&push(&lab, &template).await.name).await;
    assert!(job.problem.unwrap().cause.starts_with("it ran longer than its time-out"));
}

#[tokio::test]
async fn paths_of_the_artists_machine_are_found_on_the_farm() {
    let (shared, inner) =
        ("{ from = \"/Volumes/shows\", to = \"/mnt/shows\" }", "{ from = \"/Volumes/shows/lab\", to = \"/mnt/lab\" }");
    let commands = Some(format!("paths = [{shared}, {inner}]"));
    let farm = Farm::start_with(Options { commands, ..Options::default() }).await;
    let lab = farm.project("lab").await;
    let scene = "parameterDefinitions:\n- { name: Scene, type: PATH }";
    let template = shell("", "echo '{{Param.Scene}} {{RawParam.Scene}}' > '{{Param.Out}}/path'")
        .replace("parameterDefinitions:", scene);
    let pushed = try_push(&lab, &template, json!({"Scene": "/Volumes/shows/lab/010.blend"})).await.unwrap();
    let job = lab.ended(&pushed.name).await;
    assert_eq!(file(&lab, &job, "Out/path").await, "/mnt/lab/010.blend /Volumes/shows/lab/010.blend\n");
}

#[tokio::test]
async fn a_farm_runs_no_commands_unless_it_is_told_to() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    let refused = try_push(&lab, THREE_STEPS, json!({})).await.unwrap_err();
    assert_eq!(refused.to_string(), "push template: job.yaml: this farm runs no commands");
    assert_eq!(
        refused.remedy,
        "ask the farm's administrator for [commands] enabled = true and a user in greenroomd's configuration"
    );
}

#[tokio::test]
async fn a_job_is_exported_as_it_was_pushed_and_pushed_again_it_is_the_same_job() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let pushed = try_push(&lab, THREE_STEPS, json!({"Frames": "7"})).await.unwrap();
    let request = v1::ExportJobRequest { name: pushed.name.clone() };
    let exported = lab.client().jobs().export_job(request).await.unwrap().into_inner();
    assert_eq!((exported.template.as_str(), exported.parameters_json.as_str()), (THREE_STEPS, r#"{"Frames":"7"}"#));
    let again = try_push(&lab, &exported.template, serde_json::from_str(&exported.parameters_json).unwrap()).await;
    assert_eq!(again.unwrap().name, pushed.name);
}

#[tokio::test]
async fn a_template_goes_by_the_command_from_push_to_pull_and_back_out_again() {
    let farm = farm().await;
    farm.project("lab").await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("job.yaml"), THREE_STEPS).unwrap();
    std::fs::write(at("values.yaml"), "Frames: 4-5\n").unwrap();
    let around =
        "specificationVersion: environment-2023-09\nenvironment: { name: Around, variables: { LOOK: noir } }\n";
    std::fs::write(at("around.yaml"), around).unwrap();
    let (job, values, around) = (at("job.yaml"), at("values.yaml"), at("around.yaml"));
    let push = ["push", "lab", &job, "--parameters", &values, "--parameter", "Frames=6", "--environment", &around];
    let said = farm.said(&[&push[..], &["--watch"]].concat()).await;
    assert!(said.contains("Three steps 6: done"), "{said}");
    let pushed: serde_json::Value = serde_json::from_str(&farm.said(&[&push[..], &["--json"]].concat()).await).unwrap();
    assert_eq!((&pushed["created"], &pushed["job"]["state"]), (&json!(false), &json!("done")));
    let again: serde_json::Value =
        serde_json::from_str(&farm.said(&[&push[..], &["--again", "--json"]].concat()).await).unwrap();
    assert_eq!(again["created"], json!(true));
    let name = pushed["job"]["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    farm.said(&["pull", &name, "--out", &at("out")]).await;
    assert_eq!(std::fs::read_to_string(at("out/Film/film.txt")).unwrap(), "frame 6 noir 35mm\n");
    assert!(std::fs::read_to_string(at("out/report.json")).unwrap().contains("\"Frame=6\""));
    farm.said(&["export", &name, "--openjd", "--out", &at("copy.yaml")]).await;
    assert_eq!(std::fs::read_to_string(at("copy.yaml")).unwrap(), THREE_STEPS);
    assert_eq!(std::fs::read_to_string(at("copy.parameters.json")).unwrap(), "{\n  \"Frames\": \"6\"\n}\n");
    assert!(std::fs::read_to_string(at("copy.environment-1.yaml")).unwrap().contains("Around"));
    let wrong = farm.said(&["push", "lab", &job, "--parameter", "Farmes=1"]).await;
    assert!(
        wrong.contains("not defined in the template: Farmes") && wrong.contains("--parameter NAME=VALUE"),
        "{wrong}"
    );
}

#[tokio::test]
async fn environments_are_entered_in_order_and_left_the_other_way_round() {
    let farm = farm().await;
    let lab = farm.project("lab").await;
    let path = Path::new("/tmp").join(format!("greenroom-order-{}", std::process::id()));
    let environment = |name: &str, set: &str| {
        let line = |what: &str| {
            format!("{{ command: sh, args: [-c, 'echo {what} {name} $WHO >> {}; {set}'] }}", path.display())
        };
        format!(
            "- {{ name: {name}, script: {{ actions: {{ onEnter: {}, onExit: {} }} }} }}\n",
            line("enter"),
            line("exit")
        )
    };
    let outer = environment("Outer", "echo openjd_env: WHO=outer");
    let inner = environment("Inner", "echo openjd_unset_env: WHO");
    let template =
        shell("", "test -z \"${WHO-}\"").replace("steps:\n", &format!("jobEnvironments:\n{outer}{inner}steps:\n"));
    let job = lab.ended(&push(&lab, &template).await.name).await;
    assert_eq!(job.state(), State::Done, "the inner one unset it: {job:?}");
    let order = until("the session is left", async || {
        let order = std::fs::read_to_string(&path).ok()?;
        (order.lines().count() == 4).then_some(order)
    });
    let order = order.await;
    let order: Vec<_> = order.lines().map(str::trim).collect();
    assert_eq!(order, ["enter Outer", "enter Inner outer", "exit Inner", "exit Outer outer"]);
    std::fs::remove_file(path).unwrap();
}
