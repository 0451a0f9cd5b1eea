//! The Session screen.

use kube::ResourceExt as _;
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ask::{Ask, SessionTarget};
use crate::keymap::{Action, Context};
use crate::page::{Ctx, Page};
use crate::view::message;

/// Its state.
#[derive(Debug)]
pub struct State {
    target: SessionTarget,
}

impl State {
    /// The screen at its beginning.
    #[must_use]
    pub fn new(target: SessionTarget) -> Self {
        Self { target }
    }
}

impl Page for State {
    fn context(&self) -> Context {
        Context::Session
    }

    fn crumbs(&self, ctx: &Ctx) -> Vec<String> {
        let name = match &self.target {
            SessionTarget::Id(id) => id.clone(),
            SessionTarget::Incident { uid } => {
                ctx.world.incidents.get(uid).map_or_else(String::new, |incident| incident.name_any())
            }
        };
        vec!["incidents".to_owned(), name]
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
