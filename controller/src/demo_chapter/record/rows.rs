//! The rows: turns that were taken, and each thing that was done.

use crds::demo_chapter::ActionState;
use crds::fault::UndoWhen;
use jiff::Timestamp;

use crate::fault::{Key, Phase, Plan};

/// A demo: its name in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DemoRef {
    /// The namespace.
    pub namespace: String,
    /// `spec.demo` of its chapters.
    pub demo: String,
}

impl std::fmt::Display for DemoRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.demo)
    }
}

/// What a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TurnKind {
    /// A chapter was entered.
    Enter,
    /// The demo goes back to its beginning.
    Reset,
    /// Its chapters are gone.
    End,
}

impl TurnKind {
    /// As the store has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Reset => "reset",
            Self::End => "end",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enter, Self::Reset, Self::End].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// What the chapter waited for has come.
    Complete,
    /// One of its actions failed.
    Failed,
    /// A newer one was raised before this one was seen: it was never the current one.
    Superseded,
    /// The reset, or the end, is carried out.
    Done,
}

impl How {
    /// As the store has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Done => "done",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Complete, Self::Failed, Self::Superseded, Self::Done].into_iter().find(|how| how.as_str() == text)
    }
}

/// A turn that is to be put on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTurn {
    /// The demo.
    pub demo: DemoRef,
    /// What it is.
    pub kind: TurnKind,
    /// The chapter's name.
    pub chapter: String,
    /// Its UID: a chapter that is made anew is another.
    pub chapter_uid: String,
    /// The value of `spec.entered` or `spec.reset` that asked for it.
    pub number: i64,
    /// The chapter's `order`.
    pub place: i64,
    /// The Subject's name.
    pub subject: String,
    /// The compose project.
    pub project: String,
    /// When it was asked for, by the API server's clock.
    pub raised_at: Timestamp,
    /// When it begins. In whole seconds, and later than the one before.
    pub at: Timestamp,
    /// When the actions begin.
    pub acts_at: Timestamp,
    /// Whether a newer one was raised already.
    pub superseded: bool,
}

/// A turn on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its number: later ones have higher numbers.
    pub id: i64,
    /// What it began with.
    pub new: NewTurn,
    /// How and when it ended.
    pub end: Option<TurnEnd>,
}

/// The end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    /// How.
    pub how: How,
    /// When.
    pub at: Timestamp,
    /// In words, if there is something to say.
    pub message: Option<String>,
}

/// Which thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActId {
    /// The turn for which it was done.
    pub turn: i64,
    /// The chapter in whose list it stands.
    pub chapter: String,
    /// In which list.
    pub restore: bool,
    /// Its place there.
    pub index: usize,
}

impl ActId {
    /// The list as part of a key.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.restore { Phase::Restore } else { Phase::Act }
    }
}

/// Something that is to be put on record before it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAct {
    /// Which.
    pub id: ActId,
    /// In a few words.
    pub says: String,
    /// When it is taken back.
    pub undo_when: UndoWhen,
    /// What its helper is called.
    pub key: Key,
    /// What exactly; nothing if that could not be found out.
    pub plan: Option<Plan>,
    /// Why it is not even begun.
    pub failed: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Something that is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// What it began with.
    pub new: NewAct,
    /// How it stands: `Begun`, `Done`, `Failed` or `Unknown`.
    pub state: ActionState,
    /// What is said of it.
    pub message: Option<String>,
    /// The newest try to take it back.
    pub undo: Option<UndoTry>,
}

/// A try to take something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoTry {
    /// The turn that asked for it.
    pub turn: i64,
    /// Whether it is over.
    pub over: bool,
    /// Why it could not be taken back.
    pub error: Option<String>,
}

impl Act {
    /// Whether it is taken back.
    #[must_use]
    pub fn is_undone(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.over && undo.error.is_none())
    }

    /// Whether there is something that could be taken back.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        let has_undo = self.new.plan.as_ref().is_some_and(|plan| plan.undo.is_some());
        has_undo && !self.new.id.restore && !self.is_undone()
    }

    /// Whether its helper may still be asked for.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.new.plan.is_some() && !self.is_undone() && (self.state == ActionState::Begun || self.can_be_undone())
    }
}

impl Turn {
    /// Whether it was never the current one.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.how == How::Superseded)
    }

    /// How it ended.
    #[must_use]
    pub fn how(&self) -> Option<How> {
        self.end.as_ref().map(|end| end.how)
    }
}
