//! What a template becomes, and what is said of one that becomes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a story may fail where it stands, and reads better with its values in place"
)]

use greenroom_domain::{AmountRange, CommandStep, Problem};
use greenroom_openjd::{Call, Documents, Output, Script, Template, export, parameters};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MOST: u64 = 1000;

fn read_with(template: &str, given: Value) -> Result<Template, Problem> {
    let parameters: BTreeMap<_, _> = given.as_object().unwrap().clone().into_iter().collect();
    Template::read(Documents {
        file: "job.yaml",
        template,
        environments: &[],
        parameters: &parameters,
        template_folder: "/shows/lab",
        working_folder: "/home/ann",
    })
}

fn steps(template: &str, given: Value) -> Result<Vec<CommandStep>, Problem> {
    read_with(template, given)?.steps(MOST)
}

/// A template with these parts.
fn job(head: &str, space: &str, rest: &str) -> String {
    format!(
        "specificationVersion: jobtemplate-2023-09\nname: Job\n{head}\nsteps:\n- name: Render\n{space}\n  script:\n    actions:\n      \
         onRun: {{ command: 'true' }}\n{rest}"
    )
}

fn space(parameters: &str, combination: &str) -> String {
    let combination =
        if combination.is_empty() { String::new() } else { format!("    combination: \"{combination}\"\n") };
    format!("  parameterSpace:\n    taskParameterDefinitions: {parameters}\n{combination}")
}

fn labels(parameters: &str, combination: &str) -> Result<Vec<String>, Problem> {
    Ok(steps(&job("", &space(parameters, combination), ""), json!({}))?.remove(0).tasks)
}

fn cause(template: &str) -> String {
    let problem = steps(template, json!({})).unwrap_err();
    assert_eq!((problem.subject.as_str(), problem.remedy.is_empty()), ("job.yaml", false), "{problem}");
    problem.cause
}

const A: &str = "{ name: A, type: INT, range: '1-2' }";
const B: &str = "{ name: B, type: STRING, range: [x, y] }";
const C: &str = "{ name: C, type: INT, range: [7, 8] }";

#[test]
fn a_range_makes_a_task_for_each_of_its_values() {
    assert_eq!(
        labels("[{ name: Frame, type: INT, range: '1-5:2, 20' }]", "").unwrap(),
        ["Frame=1", "Frame=3", "Frame=5", "Frame=20"]
    );
    assert_eq!(steps(&job("", "", ""), json!({})).unwrap()[0].tasks, [""], "a step without parameters is one task");
}

#[test]
fn a_product_runs_over_all_and_brackets_go_in_step() {
    let expected = ["A=1, B=x, C=7", "A=1, B=y, C=8", "A=2, B=x, C=7", "A=2, B=y, C=8"];
    assert_eq!(labels(&format!("[{A}, {B}, {C}]"), "A * (B, C)").unwrap(), expected);
    assert_eq!(labels(&format!("[{A}, {B}]"), "(A, B)").unwrap(), ["A=1, B=x", "A=2, B=y"]);
}

#[test]
fn a_combination_that_leaves_one_out_or_does_not_match_is_refused() {
    assert!(cause(&job("", &space(&format!("[{A}, {B}]"), "A"), "")).contains('B'));
    let uneven = format!("[{A}, {{ name: B, type: INT, range: '1-3' }}]");
    assert_eq!(
        cause(&job("", &space(&uneven, "(A, B)"), "")),
        "Associative combination: all members must have the same number of values, got 2 and 3"
    );
}

#[test]
fn parameters_decide_what_is_rendered_and_what_the_job_is_called() {
    let template = job(
        "parameterDefinitions: [{ name: Frames, type: STRING, default: '1' }]",
        &space("[{ name: Frame, type: INT, range: '{{Param.Frames}}' }]", ""),
        "",
    )
    .replace("name: Job", "name: Job {{Param.Frames}}");
    let read = read_with(&template, json!({"Frames": "8-9"})).unwrap();
    assert_eq!(
        (read.title(), &read.steps(MOST).unwrap()[0].tasks[..]),
        ("Job 8-9", &["Frame=8".to_owned(), "Frame=9".into()][..])
    );
    let problem = read_with(&template, json!({"Farmes": "8-9"})).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "read parameters: job.yaml: Job parameter values provided for parameters that are not defined in the template: Farmes"
    );
}

#[test]
fn chunks_hold_several_frames_and_keep_their_size() {
    let chunked = "[{ name: Frame, type: 'CHUNK[INT]', range: '1-10', chunks: { defaultTaskCount: 4, targetRuntimeSeconds: 60, rangeConstraint: CONTIGUOUS } }]";
    let template = job("extensions: [TASK_CHUNKING]", &space(chunked, ""), "");
    assert_eq!(steps(&template, json!({})).unwrap()[0].tasks, ["Frame=1-4", "Frame=5-7", "Frame=8-10"]);
    let notes = read_with(&template, json!({})).unwrap().notes();
    assert_eq!(notes[0], "step Render: chunks keep their defaultTaskCount; targetRuntimeSeconds is not used");
    let undeclared = cause(&job("", &space(chunked, ""), ""));
    assert!(undeclared.contains("TASK_CHUNKING"), "{undeclared}");
}

#[test]
fn an_extension_that_nobody_knows_is_named() {
    let problem = steps(&job("extensions: [TIME_TRAVEL]", "", ""), json!({})).unwrap_err();
    assert_eq!(problem.to_string(), "read template: job.yaml: extensions: Unsupported extension names: TIME_TRAVEL");
    assert!(
        problem.remedy.starts_with("declare what the template uses under `extensions`: TASK_CHUNKING"),
        "{}",
        problem.remedy
    );
}

#[test]
fn a_million_tasks_are_counted_and_refused_without_being_made() {
    let huge = "[{ name: X, type: INT, range: '1-1000000' }, { name: Y, type: INT, range: '1-1000000' }]";
    let problem = steps(&job("", &space(huge, ""), ""), json!({})).unwrap_err();
    assert_eq!(problem.to_string(), "read template: job.yaml: it makes 1000000000000 tasks, and a job may have 1000");
    assert!(problem.remedy.contains("TASK_CHUNKING"));
}

#[test]
fn steps_come_after_those_that_they_depend_on() {
    let more = "- { name: Encode, dependencies: [{ dependsOn: Report }], script: { actions: { onRun: { command: 'true' } } } }\n\
                - { name: Report, dependencies: [{ dependsOn: Render }], script: { actions: { onRun: { command: 'true' } } } }\n";
    let order: Vec<_> = steps(&job("", "", more), json!({})).unwrap().into_iter().map(|step| step.name).collect();
    assert_eq!(order, ["Render", "Report", "Encode"]);
    assert_eq!(
        cause(&job("", "", &more.replace("Render", "Nowhere"))),
        "steps[2].dependencies[0]: dependency 'Nowhere' not found"
    );
    let circle = cause(&job("", "", &more.replace("Render", "Encode")));
    assert_eq!(circle, "step dependencies contain a cycle");
}

#[test]
fn what_a_host_must_have_is_kept_and_what_none_can_have_is_refused() {
    let asking = |amounts: &str| job("", &format!("  hostRequirements: {{ amounts: [{amounts}] }}"), "");
    let asked = "{ name: amount.worker.gpu, min: 1 }, { name: AMOUNT.worker.gpu.memory, min: 8192 }";
    let requires = steps(&asking(asked), json!({})).unwrap().remove(0).requires;
    assert_eq!(requires.amounts["amount.worker.gpu"], AmountRange { min: Some(1.0), max: None });
    assert_eq!(requires.amounts["amount.worker.gpu.memory"].min, Some(8192.0));
    assert!(cause(&asking("{ name: amount.worker.vcpu, min: -1 }")).contains("hostRequirements"));
    let absurd = cause(&asking("{ name: amount.worker.gpu, min: 1000000 }"));
    assert_eq!(absurd, "step Render: amount.worker.gpu asks for 1000000 GPUs, and no host has that");
}

#[test]
fn a_field_that_does_not_exist_is_named() {
    assert!(cause(&job("priority: 50", "", "")).contains("unknown field `priority`"));
    assert!(
        cause("specificationVersion: jobtemplate-2031-01\nname: Job\nsteps: []")
            .starts_with("Unknown template version: jobtemplate-2031-01")
    );
    assert!(cause("a: [").contains("line"), "{}", cause("a: ["));
}

#[test]
fn paths_that_commands_write_to_are_found_by_their_data_flow() {
    let template = job(
        "parameterDefinitions:\n- { name: Scene, type: PATH, objectType: FILE, dataFlow: IN, default: scene.blend }\n\
         - { name: Out, type: PATH, objectType: DIRECTORY, dataFlow: OUT, default: out }\n\
         - { name: Film, type: PATH, objectType: FILE, dataFlow: OUT, default: film.mp4 }\n\
         - { name: Cache, type: PATH, objectType: DIRECTORY, dataFlow: INOUT, default: cache }",
        "",
        "",
    );
    let read = read_with(&template, json!({})).unwrap();
    let outputs: BTreeMap<_, _> = read.outputs().collect();
    assert_eq!(outputs, [("Cache", Output::InPlace), ("Film", Output::File), ("Out", Output::Folder)].into());
    assert_eq!(read.notes(), Vec::<String>::new());
}

#[test]
fn a_file_of_parameters_may_be_a_map_or_a_bundle() {
    assert_eq!(
        Value::Object(parameters("p.yaml", "Frames: 1-10\nSize: 3").unwrap()),
        json!({"Frames": "1-10", "Size": 3})
    );
    let bundle = parameters("p.json", r#"{"parameterValues": [{"name": "Frames", "value": "1-10"}]}"#).unwrap();
    assert_eq!(Value::Object(bundle), json!({"Frames": "1-10"}));
    assert_eq!(
        parameters("p.yaml", "[1]").unwrap_err().cause,
        "The document is not a valid Yaml document consisting of key-value pairs"
    );
}

#[test]
fn the_example_that_people_copy_makes_ten_frames_a_task_and_a_film_of_them() {
    let template = include_str!("../../../tests/fixtures/openjd/blender.yaml");
    let read = read_with(template, json!({"Scene": "010.blend", "Frames": "1-25"})).unwrap();
    let steps = read.steps(MOST).unwrap();
    assert_eq!(steps[0].tasks, ["Frame=1-9", "Frame=10-17", "Frame=18-25"]);
    assert_eq!((steps[1].name.as_str(), &steps[1].tasks[..]), ("Encode", &[String::new()][..]));
    assert!(steps[1].depends_on.contains("Render") && read.notes().is_empty());
    let three = include_str!("../../../tests/fixtures/openjd/three-steps.yaml");
    assert_eq!(steps_of(three), ["Render", "Encode", "Check"]);
}

#[test]
fn jobs_of_ours_are_exported_as_templates_that_are_read_again() {
    let film = "INT. LAB - NIGHT\n\nMARA\nWho is {{there}}?\n";
    let scripts = [
        (Script::Film { file: "lab.fountain".into(), text: film.into() }, "Film"),
        (Script::Film { file: "lab.fountain".into(), text: film.replace("{{", "").replace("}}", "") }, "Film"),
        (Script::Character { name: "O'HARA".into() }, "Profile"),
        (Script::Lora { name: "MARA".into() }, "Learn"),
    ];
    for (script, step) in scripts {
        let call = Call { title: "Lab {{x}}".into(), project: "lab".into(), script };
        let exported = export(&call).unwrap();
        let given = if step == "Profile" { json!({"References": "faces"}) } else { json!({}) };
        let read = read_with(&exported.template, given).unwrap_or_else(|e| panic!("{e}\n{}", exported.template));
        assert_eq!((read.title(), read.steps(MOST).unwrap()[0].name.as_str()), ("Lab { {x} }", step));
    }
}

fn steps_of(template: &str) -> Vec<String> {
    steps(template, json!({})).unwrap().into_iter().map(|step| step.name).collect()
}
