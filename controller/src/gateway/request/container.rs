//! What is asked of one container: its parameters and bodies.

use http::Method;

use super::fields::Fields;
use super::query::Query;
use super::{Attach, ContainerAsk, Ending, Logs, Size, exec, limits, target};
use crate::gateway::refusal::Refusal;

/// The kernel's limit for a path.
const LONGEST_PATH: usize = 4096;

/// Reads a call on a container, or `None` if it is none that is allowed.
pub(super) fn ask(
    method: &Method,
    what: &str,
    query: &mut Query,
    json: &[u8],
) -> Result<Option<ContainerAsk>, Refusal> {
    Ok(Some(match (method.as_str(), what) {
        ("GET", "json") => ContainerAsk::Inspect { size: query.flag("size")? },
        ("GET", "top") => ContainerAsk::Top {
            ps_args: query.word("ps_args", 256, |c| c.is_ascii_alphanumeric() || " ,=_-:%+".contains(c))?,
        },
        ("GET", "logs") => ContainerAsk::Logs(logs(query)?),
        ("GET", "stats") => {
            ContainerAsk::Stats { stream: query.choice("stream")?.unwrap_or(true), one_shot: query.flag("one-shot")? }
        }
        ("GET", "changes") => ContainerAsk::Changes,
        ("HEAD", "archive") => ContainerAsk::Stat { path: path(query)? },
        ("GET", "archive") => ContainerAsk::CopyOut { path: path(query)? },
        ("PUT", "archive") => ContainerAsk::CopyIn {
            path: path(query)?,
            no_overwrite_dir_non_dir: query.flag("noOverwriteDirNonDir")?,
            copy_uid_gid: query.flag("copyUIDGID")?,
        },
        ("POST", "start") => start(query, json)?,
        ("POST", "stop") => ContainerAsk::Stop(ending(query)?),
        ("POST", "restart") => ContainerAsk::Restart(ending(query)?),
        ("POST", "kill") => ContainerAsk::Kill { signal: signal(query)? },
        ("POST", "pause") => ContainerAsk::Pause,
        ("POST", "unpause") => ContainerAsk::Unpause,
        ("POST", "wait") => ContainerAsk::Wait { condition: condition(query)? },
        ("POST", "resize") => ContainerAsk::Resize(size(query)?),
        ("POST", "attach") => ContainerAsk::Attach(attach(query)?),
        ("POST", "update") => ContainerAsk::Update(Box::new(limits::update(json)?)),
        ("POST", "rename") => {
            let name = query.text("name").ok_or_else(|| Refusal::bad("the parameter \"name\" is missing"))?;
            ContainerAsk::Rename { name: target::reference(&name)?.0 }
        }
        ("POST", "exec") => ContainerAsk::Exec(Box::new(exec::create(json)?)),
        ("DELETE", "") => remove(query)?,
        _ => return Ok(None),
    }))
}

/// A time as clients write it: seconds with or without a fraction, or a timestamp.
pub(super) fn moment(query: &mut Query, name: &str) -> Result<Option<String>, Refusal> {
    query.word(name, 64, |c| c.is_ascii_alphanumeric() || ":.+-".contains(c))
}

/// A terminal's size.
pub(super) fn size(query: &mut Query) -> Result<Size, Refusal> {
    let mut side = |name| query.number(name).map(Option::unwrap_or_default);
    Ok(Size { height: side("h")?, width: side("w")? })
}

fn start(query: &mut Query, json: &[u8]) -> Result<ContainerAsk, Refusal> {
    keys(query)?;
    for name in ["checkpoint", "checkpoint-dir"] {
        if query.text(name).is_some() {
            return Err(Refusal::forbidden("checkpoints are not possible through this gateway: start without one"));
        }
    }
    let body = Fields::of_body(json)?;
    body.done().map_err(|_| {
        Refusal::forbidden(
            "a container starts as it was made: leave out the body, or make a replacement with `docker create`",
        )
    })?;
    Ok(ContainerAsk::Start)
}

fn remove(query: &mut Query) -> Result<ContainerAsk, Refusal> {
    if query.flag("link")? {
        return Err(Refusal::forbidden("removing links is not possible through this gateway: leave out --link"));
    }
    Ok(ContainerAsk::Remove { volumes: query.flag("v")?, force: query.flag("force")? })
}

fn logs(query: &mut Query) -> Result<Logs, Refusal> {
    Ok(Logs {
        follow: query.flag("follow")?,
        stdout: query.flag("stdout")?,
        stderr: query.flag("stderr")?,
        since: moment(query, "since")?,
        until: moment(query, "until")?,
        timestamps: query.flag("timestamps")?,
        details: query.flag("details")?,
        tail: match query.word("tail", 10, |c| c.is_ascii_alphanumeric())? {
            Some(tail) if tail != "all" && !tail.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(Refusal::bad("the parameter \"tail\" must be `all` or a number"));
            }
            tail => tail,
        },
    })
}

fn attach(query: &mut Query) -> Result<Attach, Refusal> {
    Ok(Attach {
        logs: query.flag("logs")?,
        stream: query.flag("stream")?,
        stdin: query.flag("stdin")?,
        stdout: query.flag("stdout")?,
        stderr: query.flag("stderr")?,
        detach_keys: keys(query)?,
    })
}

fn keys(query: &mut Query) -> Result<Option<String>, Refusal> {
    query.word("detachKeys", 64, |c| c.is_ascii_graphic())
}

fn ending(query: &mut Query) -> Result<Ending, Refusal> {
    Ok(Ending { timeout: query.number("t")?, signal: signal(query)? })
}

fn signal(query: &mut Query) -> Result<Option<String>, Refusal> {
    query.word("signal", 32, |c| c.is_ascii_alphanumeric() || "+-".contains(c))
}

fn condition(query: &mut Query) -> Result<Option<String>, Refusal> {
    match query.text("condition") {
        Some(condition) if !matches!(condition.as_str(), "not-running" | "next-exit" | "removed") => {
            Err(Refusal::bad("the parameter \"condition\" must be not-running, next-exit or removed"))
        }
        condition => Ok(condition),
    }
}

fn path(query: &mut Query) -> Result<String, Refusal> {
    let path = query.text("path").ok_or_else(|| Refusal::bad("the parameter \"path\" is missing"))?;
    if path.len() > LONGEST_PATH {
        return Err(Refusal::bad(format!("the path in the container is longer than {LONGEST_PATH} bytes")));
    }
    Ok(path)
}
