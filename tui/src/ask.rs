//! What a screen wants of the program.

use crate::act::Act;
use crate::msg::Cmd;
use crate::page::Purpose;

/// A wish of a screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Another screen on top of this one.
    Open(Target),
    /// Back to the one below.
    Back,
    /// A text to read, in the pager. Lines may hold colours.
    Pager(Document),
    /// These changes, once the person has seen the exact calls and said yes.
    Confirm(Vec<Act>),
    /// A line of input; it comes back through [`crate::page::Page::typed`].
    Prompt {
        /// What for.
        purpose: Purpose,
        /// What stands in it at first.
        text: String,
    },
    /// One line above the footer, for a few seconds.
    Say(String),
    /// The same, for something that went wrong.
    Complain(String),
    /// An effect.
    Do(Cmd),
    /// The end of the program.
    End {
        /// Its exit code.
        code: u8,
        /// What is said once the terminal is given back.
        words: String,
    },
}

impl From<Cmd> for Ask {
    fn from(cmd: Cmd) -> Self {
        Self::Do(cmd)
    }
}

/// A text for the pager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Above it.
    pub title: String,
    /// It. Colours (SGR) are kept, all else that is not text is dropped when it is shown.
    pub text: String,
}

/// A screen that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All Incidents, or those that a filter leaves.
    Incidents {
        /// What stands in the filter at first.
        filter: String,
    },
    /// All Subjects.
    Subjects,
    /// A session, by its id or by its Incident.
    Session(SessionTarget),
    /// A demo, by its name.
    Demo(String),
}

/// Which session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionTarget {
    /// By the session's id.
    Id(String),
    /// The newest of an Incident, which may not have begun.
    Incident {
        /// Its UID.
        uid: crate::world::Uid,
    },
}
