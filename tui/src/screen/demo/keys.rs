//! What keys do on the Demo screen.

use super::layout::{self, Places};
use super::panel::{chapter, dots};
use super::stage::Stage;
use super::{AGENT, State, turn};
use crate::act::Act;
use crate::ask::{Ask, SessionTarget, Target};
use crate::feed::Request;
use crate::keymap::Action;
use crate::page::Ctx;
use crate::rights::Right;

impl State {
    /// A key was pressed.
    pub(super) fn press(&mut self, action: Action, ctx: &Ctx) -> Vec<Ask> {
        let (stage, keys) = (self.stage(ctx), turn::Keys::of(ctx.settings));
        let panels = [Action::Panel1, Action::Panel2, Action::Panel3, Action::Panel4, Action::Panel5];
        if let Some(panel) = panels.iter().position(|one| *one == action) {
            self.focus = panel;
            return Vec::new();
        }
        match action {
            Action::Open if self.focus == AGENT => match stage.session() {
                Some(session) => vec![Ask::Open(Target::Session(SessionTarget::Id(session.to_owned())))],
                None => vec![Ask::Say("there is no session yet: an Incident opens one".to_owned())],
            },
            Action::Next | Action::Open => self.turn(turn::next(&stage, false, &keys), &stage, ctx),
            Action::Force => self.turn(turn::next(&stage, true, &keys), &stage, ctx),
            Action::Previous => self.turn(turn::back(&stage, &keys), &stage, ctx),
            Action::Reset => self.reset(&stage, ctx),
            Action::Zoom => {
                self.zoomed = !self.zoomed;
                Vec::new()
            }
            Action::Freeze => {
                let (panel, size) = (self.focus, self.size(&stage, ctx));
                self.frozen[panel] = match self.frozen[panel].take() {
                    Some(_) => None,
                    None => Some(Box::new(self.shown(panel, &stage, ctx, size))),
                };
                Vec::new()
            }
            Action::Down | Action::Up => {
                self.scroll(action == Action::Down, &stage, ctx);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Asks for a page, unless one is asked for already: a key that is pressed twice turns one page.
    fn turn(&mut self, act: Result<Act, String>, stage: &Stage, ctx: &Ctx) -> Vec<Ask> {
        if !ctx.rights.may(Right::PatchChapters) {
            return vec![Ask::Say("you may only watch: pages are turned by who may patch demochapters".to_owned())];
        }
        if let Some(asked) = self.waits() {
            return vec![Ask::Say(asked.words(stage, ctx.now, dots(ctx.settings)))];
        }
        match act {
            Ok(act) => {
                self.asked = Some(turn::Asked { act: act.clone(), at: ctx.now });
                vec![Ask::Do(Request::Act(act).into())]
            }
            Err(why) => vec![Ask::Complain(why)],
        }
    }

    fn reset(&mut self, stage: &Stage, ctx: &Ctx) -> Vec<Ask> {
        if let Some(asked) = self.waits() {
            return vec![Ask::Say(asked.words(stage, ctx.now, dots(ctx.settings)))];
        }
        match turn::reset(stage) {
            Ok(act) => vec![Ask::Confirm(vec![act])],
            Err(why) => vec![Ask::Complain(why)],
        }
    }

    /// Columns and lines inside of the panel that has the focus.
    fn size(&self, stage: &Stage, ctx: &Ctx) -> (usize, usize) {
        let place = if self.zoomed {
            ctx.body
        } else {
            let columns = usize::from(layout::right(ctx.body.width)).saturating_sub(4);
            match layout::places(ctx.body, chapter::wanted(stage, ctx, columns)) {
                Places::All(places) => places[self.focus],
                Places::One { panel, .. } => panel,
            }
        };
        (usize::from(place.width.saturating_sub(4)), usize::from(place.height.saturating_sub(2)))
    }

    fn scroll(&mut self, down: bool, stage: &Stage, ctx: &Ctx) {
        let size = self.size(stage, ctx);
        let shown = self.shown(self.focus, stage, ctx, size);
        let room = size.1.saturating_sub(shown.foot.len().min(size.1));
        let most = shown.lines.len().saturating_sub(room);
        let at = self.scrolled[self.focus].min(most);
        self.scrolled[self.focus] =
            if down == Self::follows(self.focus) { at.saturating_sub(1) } else { (at + 1).min(most) };
    }
}
