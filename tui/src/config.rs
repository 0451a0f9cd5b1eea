//! The configuration file: looks and keys. What is not known in it is refused, with the place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::keymap::{Chord, Keymap};
use crate::theme::ThemeName;

/// What can be configured.
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Colours.
    pub theme: Option<ThemeName>,
    /// Nothing but ASCII.
    pub ascii: bool,
    /// The wheel scrolls.
    pub mouse: bool,
    /// Change nothing.
    pub read_only: bool,
    /// All namespaces, unless the command line names one.
    pub all_namespaces: bool,
    /// Other keys: `incidents.cancel: X`, or a list of them.
    keys: BTreeMap<String, Spanned<Keys>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Keys {
    One(String),
    Many(Vec<String>),
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{place}: {why}")]
    Wrong {
        /// The file and the line.
        place: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// Where the file is unless the command line says otherwise.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
    Some(base.join("operator-tui").join("config.yaml"))
}

/// Reads the file. The default one may be absent, a named one may not.
///
/// # Errors
/// [`ConfigError`].
pub fn read(named: Option<&Path>) -> Result<(Config, Keymap), ConfigError> {
    let Some(path) = named.map(Path::to_owned).or_else(default_path) else {
        return Ok((Config::default(), Keymap::default()));
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            Ok((Config::default(), Keymap::default()))
        }
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

fn parse(text: &str, path: &Path) -> Result<(Config, Keymap), ConfigError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok((Config::default(), Keymap::default()));
    }
    let wrong = |line: Option<u64>, why: String| {
        let place = line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()));
        ConfigError::Wrong { place, why }
    };
    let config: Config = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        wrong(error.location().map(|place| place.line()), error.to_string())
    })?;
    let mut keymap = Keymap::default();
    for (name, keys) in &config.keys {
        let line = Some(keys.referenced.line());
        let texts = match &keys.value {
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Many(keys) => keys,
        };
        let mut chords = Vec::new();
        for text in texts {
            let chord = Chord::parse(text).ok_or_else(|| {
                wrong(
                    line,
                    format!(
                        "{text:?} is no key: write j, G, ctrl-d, alt-x, enter, f5, or keys with spaces between them"
                    ),
                )
            })?;
            chords.push(chord);
        }
        let unknown = |name: String| {
            let group = name.split('.').next().unwrap_or_default();
            let others: Vec<String> =
                Keymap::default().names().into_iter().filter(|known| known.starts_with(&format!("{group}."))).collect();
            let known = if others.is_empty() {
                "names begin with global., move., incidents., subjects., session., demo. or pager.".to_owned()
            } else {
                format!("there are {}", others.join(", "))
            };
            wrong(line, format!("there is nothing called {name:?} to give keys to: {known}"))
        };
        keymap.rebind(name, chords).map_err(unknown)?;
    }
    keymap.check().map_err(|conflict| {
        let of = |name: &str| config.keys.get(name).map(|keys| keys.referenced.line());
        wrong(of(&conflict.one).max(of(&conflict.other)), conflict.to_string())
    })?;
    Ok((config, keymap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keymap::{Action, Context};

    fn refused(text: &str) -> String {
        parse(text, Path::new("/c/config.yaml")).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_changed() {
        let text = "theme: mono\nkeys:\n  incidents.cancel: X\n  move.top: [home, \"g t\"]\n";
        let (config, keymap) = parse(text, Path::new("c")).unwrap();
        assert_eq!(config.theme, Some(ThemeName::Mono));
        assert_eq!(keymap.key(Context::Incidents, Action::Cancel).as_deref(), Some("X"));
        assert!(parse("# nothing\n\n", Path::new("c")).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let unknown = refused("theme: ansi\nascii: false\ncolour: red\n");
        assert!(unknown.starts_with("/c/config.yaml:3: ") && unknown.contains("colour"), "{unknown}");
        let conflict = refused("keys:\n  incidents.yaml: v\n  incidents.cancel: r\n");
        assert!(conflict.starts_with("/c/config.yaml:3: the key r means both"), "{conflict}");
        let nothing = refused("keys:\n  incidents.fly: f\n");
        assert!(nothing.starts_with("/c/config.yaml:2: ") && nothing.contains("incidents.cancel"), "{nothing}");
        let key = refused("keys:\n  incidents.cancel: hyper-x\n");
        assert!(key.contains(":2: \"hyper-x\" is no key"), "{key}");
        assert!(refused("theme: pink\n").contains(":1: "), "{}", refused("theme: pink\n"));
    }
}
