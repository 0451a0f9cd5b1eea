//! What was asked for on the command line and in the configuration file.

use std::time::Duration;

use crate::glyphs::{ASCII, Glyphs, UNICODE};
use crate::keymap::Keymap;
use crate::theme::{Theme, ThemeName};

/// Which namespaces are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// One.
    Namespace(String),
}

impl Scope {
    /// As the header has it.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::All => "all",
            Self::Namespace(name) => name,
        }
    }

    /// The namespace, if it is one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Namespace(name) => Some(name),
        }
    }
}

/// How a demo plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoSettings {
    /// By itself.
    pub auto: bool,
    /// Between a chapter's end and the next one, when it plays by itself.
    pub pause: Duration,
    /// How long it may take when it plays by itself.
    pub limit: Duration,
}

impl Default for DemoSettings {
    fn default() -> Self {
        Self { auto: false, pause: Duration::from_secs(3), limit: Duration::from_mins(15) }
    }
}

/// Everything that stays the same while the program runs, but for the scope.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Colours.
    pub theme: Theme,
    /// Characters.
    pub glyphs: &'static Glyphs,
    /// Keys.
    pub keymap: Keymap,
    /// Nothing may be changed.
    pub read_only: bool,
    /// Who sits there, as notes to the agent have it.
    pub user: Option<String>,
    /// What is looked at is a recording: it has the namespaces that it has.
    pub replay: bool,
    /// Which namespaces.
    pub scope: Scope,
    /// The namespace that one comes back to from all of them.
    pub home: Option<String>,
    /// The cluster's name, as the header has it.
    pub context: String,
    /// Demos.
    pub demo: DemoSettings,
}

impl Settings {
    /// With these looks, and all else at its default.
    #[must_use]
    pub fn new(theme: ThemeName, ascii: bool) -> Self {
        Self {
            theme: Theme::new(theme),
            glyphs: if ascii { &ASCII } else { &UNICODE },
            keymap: Keymap::default(),
            read_only: false,
            user: None,
            replay: false,
            scope: Scope::All,
            home: None,
            context: String::new(),
            demo: DemoSettings::default(),
        }
    }
}
