//! Keys: to the question, the text or the line that has them, else by the keymap.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, MouseEvent, MouseEventKind};

use super::{asks, effect, typing};
use crate::feed::Request;
use crate::keymap::{Action, Context, Meaning, Press};
use crate::model::{Model, body_of};
use crate::msg::Cmd;
use crate::overlay::{Confirm, Overlay, Pager, Prompt};
use crate::page::{Purpose, Typed};

/// A key.
pub(super) fn key(model: &mut Model, key: KeyEvent, cmds: &mut Vec<Cmd>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    let press = Press::from(key);
    // The way out is never covered.
    if let Meaning::Act(Action::ForceQuit) = model.settings.keymap.meaning(Context::Global, &model.rights, &[press]) {
        model.end = Some(0);
        return;
    }
    if model.prompt.is_some() {
        return typing::key(model, key, cmds);
    }
    if let Some(Overlay::Confirm(_)) = model.overlay {
        return confirm(model, key, cmds);
    }
    let context = match model.overlay {
        Some(_) => Context::Pager,
        None => model.screen().context(),
    };
    model.pressed.push(press);
    match model.settings.keymap.meaning(context, &model.rights, &model.pressed) {
        Meaning::More => {}
        Meaning::Nothing => {
            // What follows a broken sequence may mean something by itself.
            let began = model.pressed.len() > 1;
            model.pressed.clear();
            if began {
                self::key(model, key, cmds);
            }
        }
        Meaning::Act(action) => {
            model.pressed.clear();
            act(model, action, cmds);
        }
    }
}

fn act(model: &mut Model, action: Action, cmds: &mut Vec<Cmd>) {
    let height = usize::from(body_of(model.size).height.saturating_sub(2));
    let helping = matches!(model.overlay, Some(Overlay::Help(_)));
    if let Some(Overlay::Help(pager) | Overlay::Pager(pager)) = &mut model.overlay {
        if pager.act(action, height) {
            return;
        }
        match action {
            Action::Back | Action::Quit => return model.overlay = None,
            Action::Help if helping => return model.overlay = None,
            Action::Copy => return cmds.push(Cmd::Copy(pager.text())),
            Action::Filter => return model.prompt = Some(Prompt::new(Purpose::Search, "")),
            _ => {}
        }
    }
    match action {
        Action::Help => model.overlay = Some(Overlay::Help(help(model))),
        Action::Command => model.prompt = Some(Prompt::new(Purpose::Command, "")),
        Action::Redraw => cmds.push(Cmd::Redraw),
        Action::Suspend => cmds.push(Cmd::Suspend),
        Action::ForceQuit => model.end = Some(0),
        Action::LastView => {
            model.overlay = None;
            asks::last_view(model, cmds);
        }
        Action::AllNamespaces => super::command::toggle_scope(model, cmds),
        Action::Reconnect => {
            super::say(model, "connecting again".to_owned(), false);
            effect(model, Request::Reconnect.into(), cmds);
        }
        Action::Quit => {
            if !asks::back(model, cmds) {
                model.end = Some(0);
            }
        }
        Action::Back => {
            // A filter goes first.
            if model.screen().filter().is_some() {
                let (purpose, text) = (Purpose::Filter, "");
                let asked =
                    model.with_screen(|screen, ctx| screen.typed(purpose, text, Typed::Done, ctx).unwrap_or_default());
                asks::all(model, asked, cmds);
            } else if !model.with_screen(|screen, _| screen.unwind()) {
                asks::back(model, cmds);
            }
        }
        action => {
            let asked = model.with_screen(|screen, ctx| screen.act(action, ctx));
            asks::all(model, asked, cmds);
        }
    }
}

/// The help has as many columns as there is room for.
pub(super) fn help_again(model: &mut Model) {
    if matches!(model.overlay, Some(Overlay::Help(_))) {
        let text = crate::view::help::text(model);
        if let Some(Overlay::Help(pager)) = &mut model.overlay {
            pager.replace(&text);
        }
    }
}

/// The keys of the screen, as a text.
fn help(model: &Model) -> Pager {
    Pager::new("Help".to_owned(), &crate::view::help::text(model))
}

fn confirm(model: &mut Model, key: KeyEvent, cmds: &mut Vec<Cmd>) {
    let Some(Overlay::Confirm(mut question)) = model.overlay.take() else { return };
    match key.code {
        KeyCode::Char('y' | 'Y') => return agree(model, question, cmds),
        KeyCode::Enter if question.yes => return agree(model, question, cmds),
        KeyCode::Enter | KeyCode::Esc | KeyCode::Char('n' | 'N' | 'q') => {
            return super::say(model, "nothing was changed".to_owned(), false);
        }
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right | KeyCode::Char('h' | 'l') => {
            question.yes = !question.yes;
        }
        KeyCode::Down | KeyCode::Char('j') => question.offset = (question.offset + 1).min(question.acts.len() * 4),
        KeyCode::Up | KeyCode::Char('k') => question.offset = question.offset.saturating_sub(1),
        _ => {}
    }
    model.overlay = Some(Overlay::Confirm(question));
}

fn agree(model: &mut Model, question: Confirm, cmds: &mut Vec<Cmd>) {
    for act in question.acts {
        effect(model, Request::Act(act).into(), cmds);
    }
}

/// The wheel moves as the arrows do.
pub(super) fn mouse(model: &mut Model, mouse: MouseEvent, cmds: &mut Vec<Cmd>) {
    let action = match mouse.kind {
        MouseEventKind::ScrollDown => Action::Down,
        MouseEventKind::ScrollUp => Action::Up,
        _ => return,
    };
    if model.prompt.is_none() && !matches!(model.overlay, Some(Overlay::Confirm(_))) {
        act(model, action, cmds);
    }
}
