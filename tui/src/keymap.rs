//! The keys: one list, from which dispatch, the footer and the help are made.

mod action;
mod press;
mod table;

use std::fmt;
use std::fmt::Write as _;

pub use action::{Action, Context};
pub use press::{Chord, Press};

use crate::rights::{Right, Rights};

/// What a key does somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where.
    pub context: Context,
    /// What.
    pub action: Action,
    /// The keys, each of which does it; the first is the one that is shown.
    pub keys: Vec<Chord>,
    /// Its name in the footer; not there if empty.
    pub label: &'static str,
    /// What it does, in the help.
    pub help: &'static str,
    /// What it needs.
    pub right: Option<Right>,
}

impl Binding {
    /// Its name in the configuration: `incidents.cancel`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.context.name(), self.action.name())
    }

    /// Its keys as the help shows them.
    #[must_use]
    pub fn shown(&self) -> String {
        self.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Two bindings that want the same key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {chord} means both {one} and {other}")]
pub struct Conflict {
    /// The key.
    pub chord: String,
    /// One of them.
    pub one: String,
    /// The other.
    pub other: String,
}

/// All keys.
#[derive(Clone, Debug)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { bindings: table::bindings() }
    }
}

/// What pressed keys mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// This.
    Act(Action),
    /// Nothing yet: more keys may follow.
    More,
    /// Nothing.
    Nothing,
}

impl Keymap {
    /// All bindings of a screen with this context, its own first.
    pub fn of(&self, context: Context) -> impl Iterator<Item = &Binding> {
        context.layers().iter().flat_map(|layer| self.bindings.iter().filter(move |b| b.context == *layer))
    }

    /// Those that the person may use.
    pub fn allowed<'a>(&'a self, context: Context, rights: &'a Rights) -> impl Iterator<Item = &'a Binding> {
        self.of(context).filter(|binding| binding.right.is_none_or(|right| rights.may(right)))
    }

    /// What these keys, pressed one after the other, mean there.
    #[must_use]
    pub fn meaning(&self, context: Context, rights: &Rights, pressed: &[Press]) -> Meaning {
        let mut more = false;
        for binding in self.allowed(context, rights) {
            for chord in &binding.keys {
                if chord.0 == pressed {
                    return Meaning::Act(binding.action);
                }
                more |= chord.0.starts_with(pressed);
            }
        }
        if more { Meaning::More } else { Meaning::Nothing }
    }

    /// The first key of an action there, if it may be used.
    #[must_use]
    pub fn key(&self, context: Context, action: Action) -> Option<String> {
        self.of(context).find(|b| b.action == action).and_then(|b| b.keys.first()).map(ToString::to_string)
    }

    /// Gives an action other keys.
    ///
    /// # Errors
    /// The name, if there is no such action.
    pub fn rebind(&mut self, name: &str, keys: Vec<Chord>) -> Result<(), String> {
        let found = self.bindings.iter_mut().find(|binding| binding.name() == name);
        found.map(|binding| binding.keys = keys).ok_or_else(|| name.to_owned())
    }

    /// The names of all actions.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.bindings.iter().map(Binding::name).collect()
    }

    /// Two bindings of one screen that want the same key, or one that is the beginning of the other's.
    ///
    /// # Errors
    /// The first such pair.
    pub fn check(&self) -> Result<(), Conflict> {
        for context in Context::SCREENS {
            let mut seen: Vec<(&Chord, &Binding)> = Vec::new();
            for binding in self.of(context) {
                for chord in &binding.keys {
                    let clash = |other: &Chord| other.0.starts_with(&chord.0) || chord.0.starts_with(&other.0);
                    if let Some((_, other)) = seen.iter().find(|(other, b)| clash(other) && b.action != binding.action)
                    {
                        let (one, other) = (other.name(), binding.name());
                        return Err(Conflict { chord: chord.to_string(), one, other });
                    }
                    seen.push((chord, binding));
                }
            }
        }
        Ok(())
    }
}

/// All keys as the tables of `docs/tui.md`.
#[must_use]
pub fn markdown(keymap: &Keymap) -> String {
    let mut out = String::new();
    for context in Context::ALL {
        let _ = writeln!(out, "### {}\n\n| Keys | Name | |\n|---|---|---|", context.heading());
        for binding in keymap.bindings.iter().filter(|binding| binding.context == context) {
            let keys: Vec<String> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
            let _ = writeln!(out, "| {} | `{}` | {} |", keys.join(" "), binding.name(), binding.help);
        }
        out.push('\n');
    }
    out.trim_end().to_owned()
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shown(), self.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(text: &str) -> Vec<Press> {
        Chord::parse(text).unwrap().0
    }

    #[test]
    fn the_defaults_do_not_conflict() {
        Keymap::default().check().unwrap();
        let mut names = Keymap::default().names();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name is there once");
    }

    #[test]
    fn the_page_has_all_keys() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tui.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- keys: made from the keymap -->\n", "<!-- end of keys -->\n");
        let (before, rest) = page.split_once(begin).unwrap();
        let (shown, after) = rest.split_once(end).unwrap();
        let keys = format!("{}\n", markdown(&Keymap::default()));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{begin}{keys}{end}{after}")).unwrap();
        } else {
            assert_eq!(shown, keys, "UPDATE_DOCS=1 cargo test -p operator-tui the_page_has_all_keys");
        }
    }

    #[test]
    fn a_sequence_waits_for_its_end() {
        let (map, rights) = (Keymap::default(), Rights::default());
        let meaning = |keys: &str| map.meaning(Context::Incidents, &rights, &press(keys));
        assert_eq!(meaning("g"), Meaning::More);
        assert_eq!(meaning("g g"), Meaning::Act(Action::Top));
        assert_eq!(meaning("g x"), Meaning::Nothing);
        assert_eq!(meaning("ctrl-c"), Meaning::Act(Action::ForceQuit));
    }

    #[test]
    fn what_is_denied_has_no_key() {
        let (map, mut rights) = (Keymap::default(), Rights::default());
        assert_eq!(map.meaning(Context::Incidents, &rights, &press("x")), Meaning::Act(Action::Cancel));
        rights.set(Right::PatchIncidents, false);
        assert_eq!(map.meaning(Context::Incidents, &rights, &press("x")), Meaning::Nothing);
        assert_eq!(map.meaning(Context::Incidents, &Rights::new(true), &press("r")), Meaning::Nothing);
    }

    #[test]
    fn a_key_with_two_meanings_is_found() {
        let mut map = Keymap::default();
        map.rebind("incidents.cancel", vec![Chord::parse("r").unwrap()]).unwrap();
        let conflict = map.check().unwrap_err().to_string();
        assert!(conflict.contains("incidents.cancel") && conflict.contains("incidents.retry"), "{conflict}");
        // A sequence cannot begin with a key that means something by itself.
        let mut map = Keymap::default();
        map.rebind("incidents.cancel", vec![Chord::parse("g x").unwrap()]).unwrap();
        map.check().unwrap();
        map.rebind("incidents.cancel", vec![Chord::parse("r x").unwrap()]).unwrap();
        assert!(map.check().is_err());
        assert_eq!(map.rebind("incidents.fly", Vec::new()), Err("incidents.fly".to_owned()));
    }
}
