//! The Demo screen.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ask::Ask;
use crate::keymap::{Action, Context};
use crate::page::{Ctx, Page};
use crate::view::message;

/// Its state.
#[derive(Debug)]
pub struct State {
    name: String,
}

impl State {
    /// The screen at its beginning.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name }
    }
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Demo
    }

    fn crumbs(&self, ctx: &Ctx) -> Vec<String> {
        let _ = ctx;
        vec!["demo".to_owned(), self.name.clone()]
    }

    fn facts(&self, _: &Ctx) -> Vec<String> {
        Vec::new()
    }

    fn act(&mut self, _: Action, _: &Ctx) -> Vec<Ask> {
        Vec::new()
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        message::draw(ctx.settings, frame, area, "Nothing here yet", &[]);
    }
}
