//! What a screen is to the rest of the program.
//!
//! A screen owns its state and nothing else. It reads the world, the clock and the settings through [`Ctx`], answers
//! actions with [`Ask`]s, and draws itself. It never does I/O.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ask::Ask;
use crate::feed::{FeedEvent, Source};
use crate::keymap::{Action, Context};
use crate::msg::Done;
use crate::rights::Rights;
use crate::settings::Settings;
use crate::world::World;

/// What a screen may read.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The clock. Nothing else says what time it is.
    pub now: Timestamp,
    /// What is known of the cluster.
    pub world: &'a World,
    /// How things look, which keys there are, what is looked at.
    pub settings: &'a Settings,
    /// What may be done.
    pub rights: &'a Rights,
    /// The place that the screen has, without header, status line and footer.
    pub body: Rect,
}

/// Where a line of input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Still being typed: a filter is applied as it grows.
    Live,
    /// Enter.
    Done,
    /// Escape: what was there before holds again.
    Aborted,
}

/// What a line of input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `/` on a list.
    Filter,
    /// `/` in a text.
    Search,
    /// `:`.
    Command,
    /// A person's words to the agent.
    Note,
    /// The name of a file.
    Export,
}

/// A screen.
pub trait Page: Send {
    /// Which of the keymap's contexts is its own.
    fn context(&self) -> Context;
    /// The way to it, after `operator`: `["incidents", "inc-7f3a"]`.
    fn crumbs(&self, ctx: &Ctx) -> Vec<String>;
    /// What the header says at its right side, before `rw`: `3/10,412`, or `step 7  02:14  $0.31`.
    fn facts(&self, ctx: &Ctx) -> Vec<String>;
    /// What it lives on besides the watches, such as a session's entries: the header tells how that stands, too.
    fn source(&self) -> Option<Source> {
        None
    }
    /// The filter or search in force, as the header shows it.
    fn filter(&self) -> Option<String> {
        None
    }
    /// It comes to the front, for the first time or again.
    fn enter(&mut self, _ctx: &Ctx) -> Vec<Ask> {
        Vec::new()
    }
    /// It is closed for good: what was followed for it is let go.
    fn close(&mut self, _ctx: &Ctx) -> Vec<Ask> {
        Vec::new()
    }
    /// A key of its contexts was pressed.
    fn act(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask>;
    /// A line of input that it asked for by [`Ask::Prompt`].
    ///
    /// # Errors
    /// A sentence, if what was typed cannot be used; the line stays open.
    fn typed(&mut self, _purpose: Purpose, _text: &str, _typed: Typed, _ctx: &Ctx) -> Result<Vec<Ask>, String> {
        Ok(Vec::new())
    }
    /// Something came from the feed; the world knows it already. Screens behind the front one are told too.
    fn feed(&mut self, _event: &FeedEvent, _ctx: &Ctx) -> Vec<Ask> {
        Vec::new()
    }
    /// A change that somebody asked for was made, or was not. Screens behind the front one are told too.
    fn done(&mut self, _done: &Done, _ctx: &Ctx) -> Vec<Ask> {
        Vec::new()
    }
    /// Back, inside of the screen: whether there was something to come back from.
    fn unwind(&mut self) -> bool {
        false
    }
    /// Called after every message, before the screen is drawn: brings what is kept of the world up to date. Cheap if
    /// nothing changed.
    fn settle(&mut self, _ctx: &Ctx) -> Vec<Ask> {
        Vec::new()
    }
    /// How long until something on the screen changes by itself (an age, a busy marker). `None`: never, and then the
    /// program sleeps.
    fn tick(&self, _ctx: &Ctx) -> Option<Duration> {
        None
    }
    /// Shows it.
    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect);
}
