//! What screens ask for.

use crate::ask::{Ask, Target};
use crate::model::Model;
use crate::msg::Cmd;
use crate::overlay::{Confirm, Overlay, Pager, Prompt};
use crate::screen;

/// The most screens on top of each other; the oldest but the first go.
const DEEPEST: usize = 16;

/// Fulfils them all.
pub(super) fn all(model: &mut Model, asks: Vec<Ask>, cmds: &mut Vec<Cmd>) {
    for ask in asks {
        one(model, ask, cmds);
    }
}

fn one(model: &mut Model, ask: Ask, cmds: &mut Vec<Cmd>) {
    match ask {
        Ask::Open(target) => open(model, &target, cmds),
        Ask::Back => {
            back(model, cmds);
        }
        Ask::Pager(document) => model.overlay = Some(Overlay::Pager(Pager::from(document))),
        Ask::Confirm(acts) => {
            let acts: Vec<_> = acts.into_iter().filter(|act| model.rights.may(act.right())).collect();
            if !acts.is_empty() {
                model.overlay = Some(Overlay::Confirm(Confirm::new(acts)));
            }
        }
        Ask::Prompt { purpose, text } => model.prompt = Some(Prompt::new(purpose, &text)),
        Ask::Say(text) => super::say(model, text, false),
        Ask::Complain(text) => super::say(model, text, true),
        Ask::End { code, words } => (model.end, model.farewell) = (Some(code), Some(words)),
        Ask::Do(cmd) => super::effect(model, cmd, cmds),
    }
}

/// The screen in front has come there.
pub(super) fn enter(model: &mut Model, cmds: &mut Vec<Cmd>) {
    let asks = model.with_screen(|screen, ctx| screen.enter(ctx));
    all(model, asks, cmds);
}

/// One more screen on top.
pub(super) fn open(model: &mut Model, target: &Target, cmds: &mut Vec<Cmd>) {
    model.screens.push(screen::open(target));
    if model.screens.len() > DEEPEST {
        let mut old = model.screens.remove(1);
        let asks = old.close(&model.ctx());
        all(model, asks, cmds);
    }
    enter(model, cmds);
}

/// Another screen instead of all that there are: `:incidents`. `-` comes back to them.
pub(super) fn switch(model: &mut Model, target: &Target, cmds: &mut Vec<Cmd>) {
    let old = std::mem::replace(&mut model.screens, vec![screen::open(target)]);
    if let Some(forgotten) = model.last.replace(old) {
        close(model, forgotten, cmds);
    }
    enter(model, cmds);
}

/// To the screens before these.
pub(super) fn last_view(model: &mut Model, cmds: &mut Vec<Cmd>) {
    match model.last.take() {
        Some(last) => {
            model.last = Some(std::mem::replace(&mut model.screens, last));
            enter(model, cmds);
        }
        None => super::say(model, "there is no screen before this one".to_owned(), false),
    }
}

/// To the screen below; whether there is one.
pub(super) fn back(model: &mut Model, cmds: &mut Vec<Cmd>) -> bool {
    if model.screens.len() < 2 {
        return false;
    }
    let closed = model.screens.pop();
    close(model, closed.into_iter().collect(), cmds);
    enter(model, cmds);
    true
}

fn close(model: &mut Model, screens: Vec<Box<dyn crate::page::Page>>, cmds: &mut Vec<Cmd>) {
    let ctx = model.ctx();
    let asks: Vec<Ask> = screens.into_iter().flat_map(|mut screen| screen.close(&ctx)).collect();
    all(model, asks, cmds);
}
