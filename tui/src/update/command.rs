//! The command line: `:incidents`, `:session ID`, `:ns NAME` and so on.

use super::asks;
use crate::ask::{SessionTarget, Target};
use crate::feed::Request;
use crate::model::Model;
use crate::msg::Cmd;
use crate::settings::Scope;
use crate::world::Named as _;

/// The commands, for the help.
pub const COMMANDS: [(&str, &str); 7] = [
    ("incidents [FILTER]", "all Incidents"),
    ("subjects", "all Subjects"),
    ("session ID|INCIDENT", "a session"),
    ("demo NAME", "a demo"),
    ("ns NAME|all", "other namespaces"),
    ("help", "this help"),
    ("q", "end"),
];

/// Does what a line says.
///
/// # Errors
/// A sentence, if it says nothing that is known.
pub(super) fn run(model: &mut Model, line: &str, cmds: &mut Vec<Cmd>) -> Result<(), String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let needs = |what: &str| {
        if rest.is_empty() { Err(format!("{word} needs {what}")) } else { Ok(rest.to_owned()) }
    };
    let target = match word {
        "" => return Ok(()),
        "incidents" | "incident" | "inc" | "i" => Target::Incidents { filter: rest.to_owned() },
        "subjects" | "subject" | "subj" => Target::Subjects,
        "session" | "s" => Target::Session(session(model, &needs("a session's id or an Incident's name")?)),
        "demo" | "d" => Target::Demo(needs("the demo's name")?),
        "ns" | "namespace" => {
            scope(model, &needs("a namespace, or `all`")?, cmds);
            return Ok(());
        }
        "help" | "h" => {
            let text = crate::view::help::text(model);
            model.overlay = Some(crate::overlay::Overlay::Help(crate::overlay::Pager::new("Help".to_owned(), &text)));
            return Ok(());
        }
        "q" | "q!" | "quit" | "exit" => {
            model.end = Some(0);
            return Ok(());
        }
        other => {
            let known: Vec<&str> = COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next()).collect();
            return Err(format!("there is no command {other:?}: {}", known.join(", ")));
        }
    };
    model.overlay = None;
    asks::switch(model, &target, cmds);
    Ok(())
}

/// An Incident's name stands for its session.
fn session(model: &Model, name: &str) -> SessionTarget {
    let named = model.world.incidents.iter().find(|(_, incident)| incident.named() == name);
    named.map_or_else(|| SessionTarget::Id(name.to_owned()), |(uid, _)| SessionTarget::Incident { uid: uid.clone() })
}

fn scope(model: &mut Model, name: &str, cmds: &mut Vec<Cmd>) {
    let scope = if matches!(name, "all" | "*" | "-A") { Scope::All } else { Scope::Namespace(name.to_owned()) };
    look_at(model, scope, cmds);
}

/// All namespaces, or the one that the program began with.
pub(super) fn toggle_scope(model: &mut Model, cmds: &mut Vec<Cmd>) {
    let home = model.settings.home.clone().map(Scope::Namespace);
    match (&model.settings.scope, home) {
        (Scope::All, Some(home)) => look_at(model, home, cmds),
        (Scope::All, None) => {}
        (Scope::Namespace(_), _) => look_at(model, Scope::All, cmds),
    }
}

fn look_at(model: &mut Model, scope: Scope, cmds: &mut Vec<Cmd>) {
    if model.settings.replay {
        super::say(model, "a recording has the namespaces that it has: filter by ns=NAME".to_owned(), true);
    } else if scope != model.settings.scope {
        model.settings.scope = scope.clone();
        model.world.forget();
        super::effect(model, Request::Scope(scope).into(), cmds);
    }
}
