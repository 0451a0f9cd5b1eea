//! `offline-auto`: the script that is called like the system that a conversation is about.
//!
//! An installation has one model for all its systems, and here each has a script of its own. A model would read in its
//! first message which system it is to look after; so does this.

use crate::error::ApiError;
use crate::script::{Script, ScriptSet};

/// The name behind `offline-`.
pub(crate) const NAME: &str = "auto";
/// What stands before the system's name, in a line of the user's first message.
const MARK: &str = "The system: ";

/// The script for a conversation that begins with these words, and its name: that of the system, or the longest that the
/// system's name begins with (`etcd` for `etcd-staging`). With a single script there is no choice.
pub(crate) fn script<'a>(scripts: &'a ScriptSet, first_words: &str) -> Result<(&'a str, &'a Script), ApiError> {
    let system = first_words.lines().find_map(|line| line.strip_prefix(MARK)).map(str::trim);
    let fits = |name: &str| {
        system.and_then(|system| system.strip_prefix(name)).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let only = || scripts.iter().next().filter(|_| scripts.iter().count() == 1);
    scripts.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len()).or_else(only).ok_or_else(|| {
        ApiError::not_found(format!(
            "model: offline-auto plays the script that is called like the system. There is none for {}; there are {}",
            system.unwrap_or("a conversation that names no system"),
            scripts.models().join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(names: &[&str]) -> ScriptSet {
        let script = "rules: [{name: hi, answer: {text: Hello.}}]";
        names.iter().fold(ScriptSet::new(), |set, name| set.with(name, script).unwrap())
    }

    #[test]
    fn the_system_chooses_its_script() {
        let set = scripts(&["etcd", "etcd-lies", "redis"]);
        let chosen = |words: &str| script(&set, words).map(|(name, _)| name).map_err(|error| error.to_string());
        assert_eq!(chosen("An incident is open.\n\nThe system: redis\nIt runs at: x").unwrap(), "redis");
        assert_eq!(chosen("The system: etcd-lies-3a").unwrap(), "etcd-lies");
        assert_eq!(chosen("The system: etcd-staging").unwrap(), "etcd");
        assert!(chosen("The system: etcds").unwrap_err().contains("none for etcds; there are offline-"));
        assert!(chosen("Hello").unwrap_err().contains("names no system"));
    }

    #[test]
    fn a_single_script_is_no_choice() {
        assert_eq!(script(&scripts(&["redis"]), "The system: etcd").unwrap().0, "redis");
    }
}
