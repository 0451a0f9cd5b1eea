//! What can lie over a screen: the help, a question, a text to read, a line of input.

use crate::act::Act;
use crate::ask::Document;
use crate::input::Input;
use crate::page::Purpose;

mod pager;

pub use pager::Pager;

/// Something over the screen. It has the keys.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys of the screen below, in a pager.
    Help(Pager),
    /// A text.
    Pager(Pager),
    /// A question, whose answer is no unless said otherwise.
    Confirm(Confirm),
}

/// A question before something is changed.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// What would be done.
    pub acts: Vec<Act>,
    /// Whether yes is chosen.
    pub yes: bool,
    /// How far its calls are scrolled.
    pub offset: usize,
}

impl Confirm {
    /// The question, with no chosen.
    #[must_use]
    pub fn new(acts: Vec<Act>) -> Self {
        Self { acts, yes: false, offset: 0 }
    }

    /// What is asked.
    #[must_use]
    pub fn question(&self) -> String {
        match self.acts.as_slice() {
            [act] => format!("{}?", capital(&act.says())),
            acts => {
                let what = acts.first().map(Act::says).unwrap_or_default();
                format!("{}, and {} more like it?", capital(&what), acts.len().saturating_sub(1))
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A line that is being typed, where the status line is otherwise.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What for.
    pub purpose: Purpose,
    /// It.
    pub input: Input,
    /// Why it cannot be used as it stands.
    pub error: Option<String>,
    /// Where in the history it is, from the newest.
    pub recalled: Option<usize>,
}

impl Prompt {
    /// A line with this text.
    #[must_use]
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self { purpose, input: Input::new(text), error: None, recalled: None }
    }

    /// What stands before it.
    #[must_use]
    pub fn sign(&self) -> &'static str {
        match self.purpose {
            Purpose::Filter | Purpose::Search => "/",
            Purpose::Command => ":",
            Purpose::Note => "note: ",
            Purpose::Export => "export to: ",
        }
    }
}

impl From<Document> for Pager {
    fn from(document: Document) -> Self {
        Self::new(document.title, &document.text)
    }
}
