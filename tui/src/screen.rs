//! The screens.

pub mod demo;
pub mod describe;
pub mod incidents;
pub mod list;
pub mod session;
pub mod subjects;
pub mod table;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ask::{Ask, Target};
use crate::keymap::{Action, Context};
use crate::page::{Ctx, Page};

/// A new screen.
#[must_use]
pub fn open(target: &Target) -> Box<dyn Page> {
    match target {
        Target::Incidents { filter } => Box::new(incidents::State::new(filter)),
        Target::Subjects => Box::new(subjects::State::default()),
        Target::Session(session) => Box::new(session::State::new(session.clone())),
        Target::Demo(name) => Box::new(demo::State::new(name.clone())),
    }
}

/// A screen with nothing on it.
#[derive(Debug)]
pub struct Nothing;

/// The one.
pub static NOTHING: Nothing = Nothing;

impl Page for Nothing {
    fn context(&self) -> Context {
        Context::Incidents
    }

    fn crumbs(&self, _: &Ctx) -> Vec<String> {
        Vec::new()
    }

    fn facts(&self, _: &Ctx) -> Vec<String> {
        Vec::new()
    }

    fn act(&mut self, _: Action, _: &Ctx) -> Vec<Ask> {
        Vec::new()
    }

    fn draw(&self, _: &Ctx, _: &mut Frame, _: Rect) {}
}
