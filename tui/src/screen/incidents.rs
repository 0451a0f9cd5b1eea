//! The Incidents screen.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ask::Ask;
use crate::keymap::{Action, Context};
use crate::page::{Ctx, Page};
use crate::view::message;

/// Its state.
#[derive(Debug, Default)]
pub struct State {}

impl State {
    /// The screen at its beginning.
    #[must_use]
    pub fn new(_: &str) -> Self {
        Self {}
    }
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Incidents
    }

    fn crumbs(&self, _: &Ctx) -> Vec<String> {
        vec!["incidents".to_owned()]
    }

    fn facts(&self, ctx: &Ctx) -> Vec<String> {
        vec![crate::text::number(ctx.world.incidents.len() as u64)]
    }

    fn act(&mut self, _: Action, _: &Ctx) -> Vec<Ask> {
        Vec::new()
    }

    fn draw(&self, ctx: &Ctx, frame: &mut Frame, area: Rect) {
        message::draw(ctx.settings, frame, area, "Nothing here yet", &[]);
    }
}
