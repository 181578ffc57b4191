//! Our own jobs as job templates: a step's command is a call of `greenroom`, so whoever has the command and a farm can run it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The longest name that a template may have.
const NAME: usize = 128;

/// A job of ours that is no job of commands.
#[derive(Clone, Debug)]
pub struct Call {
    /// The job's title.
    pub title: String,
    /// The project that it was pushed to.
    pub project: String,
    /// What it does.
    pub script: Script,
}

/// What a job of ours does.
#[derive(Clone, Debug)]
pub enum Script {
    /// Films a script.
    Film {
        /// Its file name.
        file: String,
        /// Its text.
        text: String,
    },
    /// Makes a character from pictures that the template's user has.
    Character {
        /// Whom.
        name: String,
    },
    /// Trains a character's LoRA.
    Lora {
        /// Whose.
        name: String,
    },
}

/// A template and what it is filled in with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exported {
    /// The template (YAML or JSON).
    pub template: String,
    /// Parameters, name → value.
    pub parameters: serde_json::Map<String, Value>,
    /// Environment templates, (file name, text).
    pub environments: Vec<(String, String)>,
}

/// A template that does what the job did. JSON, which is YAML too.
///
/// # Errors
/// If the template cannot be written, or our own reader would not take it; both would be bugs.
pub fn export(call: &Call) -> Result<Exported, serde_json::Error> {
    let (mut parameters, step, run, mut files) = match &call.script {
        Script::Film { file, text } => film(file, text),
        Script::Character { name } => (
            vec![json!({"name": "References", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "IN",
                "description": "A folder with the reference pictures"})],
            "Profile",
            format!("greenroom character create \"$1\" {} \"$2\"/*", quoted(name)),
            vec![],
        ),
        Script::Lora { name } => {
            (vec![], "Learn", format!("greenroom lora train \"$1\" {} --watch", quoted(name)), vec![])
        }
    };
    parameters.insert(
        0,
        json!({"name": "Project", "type": "STRING", "default": call.project, "description": "The project on the farm"}),
    );
    let run = format!("set -eu\n{run}\n");
    files.push(json!({"name": "Run", "type": "TEXT", "filename": "run.sh", "data": literal(&run)}));
    let mut arguments = vec![json!("{{Task.File.Run}}"), json!("{{Param.Project}}")];
    let argument =
        |parameter: &Value| json!(format!("{{{{Param.{}}}}}", parameter["name"].as_str().unwrap_or_default()));
    arguments.extend(parameters.iter().skip(1).map(argument));
    if let Script::Film { .. } = call.script {
        arguments.push(json!("{{Task.File.Script}}"));
    }
    let template = json!({
        "specificationVersion": "jobtemplate-2023-09",
        "name": literal(&name(&call.title)),
        "description": "Made by greenroom export. It calls the greenroom command, which must be on the PATH and know a farm \
                        (GREENROOM_ADDRESS, GREENROOM_TOKEN_FILE).",
        "parameterDefinitions": parameters,
        "steps": [{
            "name": step,
            "script": {
                "actions": {"onRun": {"command": "sh", "args": arguments, "cancelation": {"mode": "NOTIFY_THEN_TERMINATE"}}},
                "embeddedFiles": files,
            },
        }],
    });
    Ok(Exported { template: serde_json::to_string_pretty(&template)?, ..Exported::default() })
}

type Parts = (Vec<Value>, &'static str, String, Vec<Value>);

/// Pushes the script, watches it and pulls what was made. Drafts (code 3) are a result, and the report tells them.
fn film(file: &str, text: &str) -> Parts {
    let output = json!({"name": "OutputDir", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT",
        "default": "film", "description": "Where episode, clips and report go"});
    let extension = if file.to_ascii_lowercase().ends_with(".toml") { "toml" } else { "fountain" };
    let plain = !text.contains("{{") && !text.contains("}}");
    let (data, read) = if plain {
        (text.to_owned(), "cp \"$3\"")
    } else {
        // Two braces would be read as a reference.
        (STANDARD.encode(text), "base64 -d \"$3\" >")
    };
    let run = format!(
        "cd \"$(dirname \"$3\")\"\n{read} film.{extension}\n\
         job=$(greenroom push \"$1\" film.{extension} | cut -d: -f1)\n\
         greenroom watch \"$job\" || [ $? = 3 ]\n\
         greenroom pull \"$job\" --out \"$2\""
    );
    let script = json!({"name": "Script", "type": "TEXT", "filename": "script.txt", "data": data});
    (vec![output], "Film", run, vec![script])
}

/// As a name may be: one line that is not too long.
fn name(title: &str) -> String {
    let name: String = title.chars().filter(|c| !c.is_control()).take(NAME).collect();
    if name.is_empty() { "Untitled".to_owned() } else { name }
}

/// Text in which nothing is a reference.
fn literal(text: &str) -> String {
    text.replace("{{", "{ {").replace("}}", "} }")
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
