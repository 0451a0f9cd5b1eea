//! What a message does to the model. Pure: effects come out as [`Cmd`]s.

mod asks;
mod command;
mod keys;
mod typing;

pub use command::COMMANDS;

use crate::feed::{FeedEvent, Request};
use crate::model::{COMPLAINED, Model, Notice, SAID, body_of};
use crate::msg::{Cmd, Done, Msg};
use crate::page::Ctx;

/// Takes one message in.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Cmd> {
    let mut cmds = Vec::new();
    match msg {
        Msg::Clock(now) => {
            model.now = now.max(model.now);
            if model.notice.as_ref().is_some_and(|notice| notice.until <= model.now) {
                model.notice = None;
            }
        }
        Msg::Key(key) => keys::key(model, key, &mut cmds),
        Msg::Paste(text) => typing::paste(model, &text, &mut cmds),
        Msg::Mouse(mouse) => keys::mouse(model, mouse, &mut cmds),
        Msg::Resize(width, height) => {
            model.size = (width, height);
            keys::help_again(model);
        }
        Msg::Feed(events) => feed(model, &events, &mut cmds),
        Msg::Done(done) => {
            model.busy = model.busy.saturating_sub(1);
            self::done(model, &done, &mut cmds);
            match done {
                Done::Good(text) => say(model, text, false),
                Done::Bad(text) => say(model, text, true),
            }
        }
        Msg::Stop => cmds.push(Cmd::Suspend),
        Msg::Resumed => cmds.push(Cmd::Resume),
        Msg::End(code) => model.end = Some(code),
        Msg::Failed(why) => (model.end, model.farewell) = (Some(1), Some(why)),
    }
    settle(model, &mut cmds);
    cmds
}

/// Opens the first screen: what it needs is asked for.
pub fn begin(model: &mut Model) -> Vec<Cmd> {
    let mut cmds = Vec::new();
    asks::enter(model, &mut cmds);
    settle(model, &mut cmds);
    cmds
}

/// A line above the footer.
fn say(model: &mut Model, text: String, bad: bool) {
    let stays = if bad { COMPLAINED } else { SAID };
    let until = model.now.saturating_add(stays).unwrap_or(model.now);
    model.notice = Some(Notice { text, bad, until });
}

/// Takes news in, and tells all screens.
fn feed(model: &mut Model, events: &[FeedEvent], cmds: &mut Vec<Cmd>) {
    let mut asks = Vec::new();
    for event in events {
        if let FeedEvent::Right { right, granted } = event {
            model.rights.set(*right, *granted);
        }
        model.world.apply(event, model.now);
        let Model { screens, world, settings, rights, now, size, .. } = &mut *model;
        let ctx = Ctx { now: *now, world, settings, rights, body: body_of(*size) };
        for screen in screens.iter_mut() {
            asks.extend(screen.feed(event, &ctx));
        }
    }
    asks::all(model, asks, cmds);
}

/// Tells all screens how an effect ended.
fn done(model: &mut Model, done: &Done, cmds: &mut Vec<Cmd>) {
    let Model { screens, world, settings, rights, now, size, .. } = &mut *model;
    let ctx = Ctx { now: *now, world, settings, rights, body: body_of(*size) };
    let asks: Vec<_> = screens.iter_mut().flat_map(|screen| screen.done(done, &ctx)).collect();
    asks::all(model, asks, cmds);
}

fn settle(model: &mut Model, cmds: &mut Vec<Cmd>) {
    let asks = model.with_screen(|screen, ctx| screen.settle(ctx));
    asks::all(model, asks, cmds);
}

/// Counts what will be answered by [`Msg::Done`].
fn effect(model: &mut Model, cmd: Cmd, cmds: &mut Vec<Cmd>) {
    if matches!(cmd, Cmd::Feed(Request::Act(_) | Request::Export { .. }) | Cmd::Write { .. }) {
        model.busy += 1;
    }
    cmds.push(cmd);
}
