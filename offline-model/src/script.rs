//! The scripts that the server can play, and how they are read.

mod check;
mod matching;
mod model;
mod pattern;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use matching::Captures;
pub(crate) use model::{Answer, Fault, Rule, Script, StopReason, Usage};
pub(crate) use template::{render, render_json};

use crate::PREFIX;
use crate::{auto, summary};

/// A script that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is no script.
    #[error("{origin}{}: {message}", position(*line, *column))]
    Wrong {
        /// The file, or the name given to the text.
        origin: String,
        /// The line, from 1; 0 when it is not known.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// The name cannot follow `offline-`.
    #[error(
        "a script cannot be called \"{0}\": use lower-case letters, digits and dashes, and neither \"summary\" nor \"auto\", which are built in"
    )]
    Name(String),
    /// Two files have the same name.
    #[error("there are two scripts called \"{0}\"")]
    Twice(String),
    /// There is nothing to play.
    #[error("there is no script (*.yaml) in {}", .0.display())]
    Empty(PathBuf),
}

fn position(line: u64, column: u64) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

/// The scripts by name: `redis` plays for the model `offline-redis`.
#[derive(Clone, Debug, Default)]
pub struct ScriptSet {
    scripts: BTreeMap<String, Script>,
}

impl ScriptSet {
    /// No script but the built-in summary.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads every `*.yaml` and `*.yml` of a directory.
    ///
    /// Hidden entries are skipped: a mounted `ConfigMap` keeps its versions in `..data` and shows
    /// the files as links into it.
    pub fn load_dir(dir: &Path) -> Result<Self, ScriptError> {
        let failed = |source| ScriptError::Read { path: dir.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
            let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            if !hidden && yaml && path.is_file() {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(ScriptError::Empty(dir.to_owned()));
        }
        paths.sort();
        paths.iter().try_fold(Self::new(), |set, path| {
            let name = path.file_stem().and_then(|stem| stem.to_str());
            set.with_file(name.unwrap_or_default(), path)
        })
    }

    /// Adds a script from a file under a name.
    pub fn with_file(self, name: &str, path: &Path) -> Result<Self, ScriptError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ScriptError::Read { path: path.to_owned(), source })?;
        self.add(name, &path.display().to_string(), &text)
    }

    /// Adds a script from its text under a name.
    pub fn with(self, name: &str, yaml: &str) -> Result<Self, ScriptError> {
        self.add(name, name, yaml)
    }

    fn add(mut self, name: &str, origin: &str, yaml: &str) -> Result<Self, ScriptError> {
        let fits = !name.is_empty()
            && !name.starts_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits || name == summary::NAME || name == auto::NAME {
            return Err(ScriptError::Name(name.to_owned()));
        }
        let script = parse(origin, yaml)?;
        if self.scripts.insert(name.to_owned(), script).is_some() {
            return Err(ScriptError::Twice(name.to_owned()));
        }
        Ok(self)
    }

    /// Checks the text of one script; `origin` is the file that a refusal names.
    pub fn check(origin: &str, yaml: &str) -> Result<(), ScriptError> {
        parse(origin, yaml).map(|_| ())
    }

    /// The script of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Script> {
        self.scripts.get(name)
    }

    /// The scripts with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Script)> {
        self.scripts.iter().map(|(name, script)| (name.as_str(), script))
    }

    /// Every model that this set can play, the built-in ones first.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        [summary::NAME, auto::NAME]
            .into_iter()
            .chain(self.scripts.keys().map(String::as_str))
            .map(|name| format!("{PREFIX}{name}"))
            .collect()
    }
}

fn parse(origin: &str, yaml: &str) -> Result<Script, ScriptError> {
    let script: Script = serde_saphyr::from_str(yaml).map_err(|error| {
        let location = error.location();
        ScriptError::Wrong {
            origin: origin.to_owned(),
            line: location.map_or(0, |at| at.line()),
            column: location.map_or(0, |at| at.column()),
            message: plain_message(&error),
        }
    })?;
    check::script(&script).map_err(|wrong| ScriptError::Wrong {
        origin: origin.to_owned(),
        line: wrong.line,
        column: wrong.column,
        message: wrong.message,
    })?;
    Ok(script)
}

/// One line, without the picture of the source and without the place, which comes before it.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    match first.rfind(" at line ") {
        Some(end) => first[..end].to_owned(),
        None => first.to_owned(),
    }
}
