//! What is masked besides the built-in rules.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::redact::RedactionError;

/// The part `redaction` of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RedactionConfig {
    /// Patterns. Of each match the first group is masked, or all of it.
    pub patterns: Vec<RedactionPattern>,
    /// Values that are masked as they are, and as they stand in JSON, in addresses, in base64.
    #[serde(deserialize_with = "secrets")]
    pub values: Vec<SecretString>,
    /// Where more values are: they need not stand in this file.
    pub values_from: Vec<ValueSource>,
}

/// A pattern with the name that its marks have.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedactionPattern {
    /// In marks: lower-case letters, digits and hyphens.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// A regular expression, as the crate `regex` has it; `^` and `$` are ends of lines.
    pub regex: String,
}

/// Where values are.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ValueSource {
    /// A file with one value, or a folder of them, as Kubernetes mounts a Secret.
    Path(PathBuf),
    /// A variable of the controller's environment.
    Env(String),
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(SecretString::from).collect())
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(right) {
        return Err(D::Error::custom(format!(
            "{name:?} is no name for marks: 1 to 40 lower-case letters, digits and hyphens"
        )));
    }
    Ok(name)
}

impl RedactionConfig {
    /// All values, each with where it came from.
    pub fn read_values(&self) -> Result<Vec<(String, String)>, RedactionError> {
        let given = self.values.iter().enumerate();
        let mut values: Vec<_> = given
            .map(|(index, value)| (format!("redaction.values[{index}]"), value.expose_secret().to_owned()))
            .collect();
        for source in &self.values_from {
            match source {
                ValueSource::Env(name) => {
                    let missing = |error: std::env::VarError| RedactionError::Missing {
                        from: format!("the variable {name}"),
                        reason: error.to_string(),
                    };
                    values.push((format!("the variable {name}"), std::env::var(name).map_err(missing)?));
                }
                ValueSource::Path(path) => read_path(path, &mut values)?,
            }
        }
        Ok(values)
    }
}

fn read_path(path: &std::path::Path, values: &mut Vec<(String, String)>) -> Result<(), RedactionError> {
    let from = path.display().to_string();
    let missing = |error: std::io::Error| RedactionError::Missing { from: from.clone(), reason: error.to_string() };
    if !path.is_dir() {
        values.push((from.clone(), std::fs::read_to_string(path).map_err(missing)?));
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(missing)? {
        let entry = entry.map_err(missing)?.path();
        // Kubernetes keeps the files themselves in folders whose names begin with two dots.
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && entry.is_file() {
            let value = std::fs::read_to_string(&entry).map_err(missing)?;
            values.push((entry.display().to_string(), value));
        }
    }
    Ok(())
}
