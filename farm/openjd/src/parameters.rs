//! Files of parameters.

use greenroom_domain::Problem;
use openjd_model::{CallerLimits, DocumentType};
use serde_json::{Map, Value};

use crate::fault;

/// Parameters of a YAML or JSON file: name → value, or a bundle's list of `parameterValues`.
///
/// # Errors
/// If it is neither.
pub fn parameters(file: &str, text: &str) -> Result<Map<String, Value>, Problem> {
    let wrong = |cause: &str| {
        let remedy = "write NAME: VALUE, a line for each parameter";
        Problem::invalid("read parameters", file, cause, remedy)
    };
    let limits = CallerLimits { max_template_size: Some(1 << 20), ..CallerLimits::default() };
    let read = openjd_model::template::parse::document_string_to_object(text, DocumentType::Yaml, &limits);
    let Value::Object(mut map) = read.map_err(|e| fault::parameters(file, &e))? else {
        return Err(wrong("it is no list of names and values"));
    };
    let Some(Value::Array(values)) = map.remove("parameterValues") else { return Ok(map) };
    let pair = |value: &Value| Some((value.get("name")?.as_str()?.to_owned(), value.get("value")?.clone()));
    let pairs: Option<Map<_, _>> = values.iter().map(pair).collect();
    pairs.ok_or_else(|| wrong("one of its parameterValues has no name or no value"))
}
