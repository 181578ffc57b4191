//! Reads the JSON configurations of a model folder; an error names file and field.

use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

use crate::LoadError;

/// One `config.json`.
pub(crate) struct Config {
    file: PathBuf,
    fields: Map<String, Value>,
}

impl Config {
    /// Reads a file that must hold a JSON object.
    pub(crate) fn open(file: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read(file).map_err(|source| LoadError::Read { file: file.into(), source })?;
        let fields = serde_json::from_slice(&text).map_err(|source| LoadError::Json { file: file.into(), source })?;
        Ok(Self { file: file.into(), fields })
    }

    /// A configuration from memory.
    #[cfg(test)]
    pub(crate) fn of(fields: &Value) -> Self {
        Self { file: "config.json".into(), fields: fields.as_object().cloned().unwrap_or_default() }
    }

    /// An error about one field.
    pub(crate) fn error(&self, field: &str, problem: impl Into<String>) -> LoadError {
        LoadError::Config { file: self.file.clone(), field: field.into(), problem: problem.into() }
    }

    /// The field's value; absent and null are none.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|v| !v.is_null())
    }

    /// A whole number of at least one.
    pub(crate) fn count(&self, field: &str) -> Result<usize, LoadError> {
        let value = self.get(field).ok_or_else(|| self.error(field, "is missing"))?;
        self.as_count(field, value)
    }

    /// A whole number of at least one, or the default where the field is absent.
    pub(crate) fn count_or(&self, field: &str, default: usize) -> Result<usize, LoadError> {
        self.get(field).map_or(Ok(default), |v| self.as_count(field, v))
    }

    /// A number, or the default where the field is absent.
    pub(crate) fn number_or(&self, field: &str, default: f64) -> Result<f64, LoadError> {
        self.get(field)
            .map_or(Ok(default), |v| v.as_f64().ok_or_else(|| self.error(field, format!("is {v}, expected a number"))))
    }

    /// True or false, or the default where the field is absent.
    pub(crate) fn flag_or(&self, field: &str, default: bool) -> Result<bool, LoadError> {
        self.get(field).map_or(Ok(default), |v| {
            v.as_bool().ok_or_else(|| self.error(field, format!("is {v}, expected true or false")))
        })
    }

    /// A text, or the default where the field is absent.
    pub(crate) fn text_or<'a>(&'a self, field: &str, default: &'a str) -> Result<&'a str, LoadError> {
        self.get(field)
            .map_or(Ok(default), |v| v.as_str().ok_or_else(|| self.error(field, format!("is {v}, expected a text"))))
    }

    /// A list of whole numbers of at least one.
    pub(crate) fn counts(&self, field: &str) -> Result<Vec<usize>, LoadError> {
        self.list(field)?.iter().map(|v| self.as_count(field, v)).collect()
    }

    /// A list of texts.
    pub(crate) fn texts(&self, field: &str) -> Result<Vec<&str>, LoadError> {
        let text = |v: &'_ Value| v.as_str().is_some();
        let list = self.list(field)?;
        match list.iter().find(|v| !text(v)) {
            Some(v) => Err(self.error(field, format!("holds {v}, expected texts"))),
            None => Ok(list.iter().filter_map(Value::as_str).collect()),
        }
    }

    /// One number for each of `blocks` levels: a list of that length, one number for all, or the default.
    pub(crate) fn per_block(&self, field: &str, blocks: usize, default: usize) -> Result<Vec<usize>, LoadError> {
        if !self.get(field).is_some_and(Value::is_array) {
            return Ok(vec![self.count_or(field, default)?; blocks]);
        }
        let counts = self.counts(field)?;
        if counts.len() != blocks {
            return Err(self.error(field, format!("has {} entries for {blocks} blocks", counts.len())));
        }
        Ok(counts)
    }

    /// Refuses a value that would need something that is not built: absent, null and `only` pass.
    pub(crate) fn require(&self, field: &str, only: &Value) -> Result<(), LoadError> {
        match self.get(field) {
            Some(found) if !same(found, only) => {
                let only = if only.is_null() { "null".to_owned() } else { only.to_string() };
                Err(self.error(field, format!("is {found}; only {only} is supported")))
            }
            _ => Ok(()),
        }
    }

    fn list(&self, field: &str) -> Result<&Vec<Value>, LoadError> {
        let value = self.get(field).ok_or_else(|| self.error(field, "is missing"))?;
        value
            .as_array()
            .filter(|list| !list.is_empty())
            .ok_or_else(|| self.error(field, format!("is {value}, expected a list")))
    }

    fn as_count(&self, field: &str, value: &Value) -> Result<usize, LoadError> {
        value
            .as_u64()
            .filter(|&n| (1..=1 << 20).contains(&n))
            .map(|n| n as usize)
            .ok_or_else(|| self.error(field, format!("is {value}, expected a whole number from 1 to 1048576")))
    }
}

fn same(found: &Value, only: &Value) -> bool {
    match (found.as_f64(), only.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => found == only,
    }
}
