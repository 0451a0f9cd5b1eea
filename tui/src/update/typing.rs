//! A line of input: filters while it grows, commands and notes when it is done.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{asks, command};
use crate::input::Input;
use crate::model::{Model, body_of};
use crate::msg::Cmd;
use crate::overlay::{Overlay, Prompt};
use crate::page::{Purpose, Typed};

/// How many lines are remembered.
const REMEMBERED: usize = 200;

/// A key, while a line is typed.
pub(super) fn key(model: &mut Model, key: KeyEvent, cmds: &mut Vec<Cmd>) {
    let Some(mut prompt) = model.prompt.take() else { return };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Esc => return aborted(model, &prompt, cmds),
        // An empty line that is erased once more is given up.
        KeyCode::Backspace if prompt.input.text().is_empty() => return aborted(model, &prompt, cmds),
        KeyCode::Enter => return done(model, prompt, cmds),
        KeyCode::Up => recall(model, &mut prompt, true),
        KeyCode::Down => recall(model, &mut prompt, false),
        KeyCode::Char('p') if control => recall(model, &mut prompt, true),
        KeyCode::Char('n') if control => recall(model, &mut prompt, false),
        _ => {
            if !prompt.input.key(key) {
                model.prompt = Some(prompt);
                return;
            }
            prompt.recalled = None;
        }
    }
    grown(model, prompt, cmds);
}

/// Pasted text goes where typed text would.
pub(super) fn paste(model: &mut Model, text: &str, cmds: &mut Vec<Cmd>) {
    if let Some(mut prompt) = model.prompt.take() {
        prompt.input.insert(text);
        grown(model, prompt, cmds);
    }
}

fn grown(model: &mut Model, mut prompt: Prompt, cmds: &mut Vec<Cmd>) {
    prompt.error =
        if prompt.purpose == Purpose::Filter { typed(model, &prompt, Typed::Live, cmds).err() } else { None };
    model.prompt = Some(prompt);
}

fn aborted(model: &mut Model, prompt: &Prompt, cmds: &mut Vec<Cmd>) {
    // What cannot be used any more is given up as well: there is nothing to say.
    let _ = typed(model, prompt, Typed::Aborted, cmds);
}

fn done(model: &mut Model, mut prompt: Prompt, cmds: &mut Vec<Cmd>) {
    let text = prompt.input.text().to_owned();
    match typed(model, &prompt, Typed::Done, cmds) {
        Ok(()) => {
            let entry = (prompt.purpose, text);
            if !entry.1.trim().is_empty() && entry.0 != Purpose::Note {
                model.history.retain(|known| *known != entry);
                model.history.push(entry);
                if model.history.len() > REMEMBERED {
                    model.history.remove(0);
                }
            }
        }
        Err(error) => {
            prompt.error = Some(error);
            model.prompt = Some(prompt);
        }
    }
}

fn typed(model: &mut Model, prompt: &Prompt, typed: Typed, cmds: &mut Vec<Cmd>) -> Result<(), String> {
    let (purpose, text) = (prompt.purpose, prompt.input.text());
    let height = usize::from(body_of(model.size).height.saturating_sub(2));
    match (purpose, &mut model.overlay) {
        (Purpose::Command, _) if typed == Typed::Done => command::run(model, text, cmds),
        (Purpose::Command, _) => Ok(()),
        (_, Some(Overlay::Help(pager) | Overlay::Pager(pager))) => match typed {
            Typed::Done => pager.find(text, height),
            _ => Ok(()),
        },
        _ => {
            let mut answer = Ok(Vec::new());
            model.with_screen(|screen, ctx| answer = screen.typed(purpose, text, typed, ctx));
            let asked = answer?;
            asks::all(model, asked, cmds);
            Ok(())
        }
    }
}

/// The lines that were typed before for the same purpose.
fn recall(model: &Model, prompt: &mut Prompt, older: bool) {
    let known: Vec<&String> =
        model.history.iter().rev().filter(|(purpose, _)| *purpose == prompt.purpose).map(|(_, text)| text).collect();
    let next = match (prompt.recalled, older) {
        (None, true) => Some(0),
        (Some(index), true) => Some((index + 1).min(known.len().saturating_sub(1))),
        (None | Some(0), false) => None,
        (Some(index), false) => Some(index - 1),
    };
    match next.and_then(|index| known.get(index)) {
        Some(text) => {
            prompt.input = Input::new(text);
            prompt.recalled = next;
        }
        None if !older => {
            prompt.input = Input::default();
            prompt.recalled = None;
        }
        None => {}
    }
}
