//! What goes into the model, and what comes out of it.

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;

use crate::feed::{FeedEvent, Request};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// What time it is. Sent before every batch of messages, and alone when a deadline is over.
    Clock(Timestamp),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse was used; only if it was asked for.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resize(u16, u16),
    /// News, in their order.
    Feed(Vec<FeedEvent>),
    /// An effect is over.
    Done(Done),
    /// Somebody wants the process to stop (SIGTSTP).
    Stop,
    /// The process goes on after a stop (SIGCONT): the terminal is to be taken again, and drawn anew.
    Resumed,
    /// The process is to end (SIGTERM, SIGHUP), with this code.
    End(u8),
    /// The feed is of no use: why, in a sentence. The loop ends with it.
    Failed(String),
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done; one line says what.
    Good(String),
    /// It is not; one line says why.
    Bad(String),
}

/// An effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Cmd {
    /// Something of the feed: entries, observations, a change of a resource.
    Feed(Request),
    /// Into the terminal's clipboard (OSC 52).
    Copy(String),
    /// Into a file that does not exist yet.
    Write {
        /// Its name, in the current folder unless absolute.
        path: String,
        /// What stands in it.
        text: String,
    },
    /// Stop, as the shell's ^Z does.
    Suspend,
    /// Take the terminal again, and draw everything anew.
    Resume,
    /// Draw everything anew.
    Redraw,
}

impl From<Request> for Cmd {
    fn from(request: Request) -> Self {
        Self::Feed(request)
    }
}
