//! Reading a request: from method, target and body to an [`Ask`], or to the sentence why not.

use http::{Method, Uri};

use super::query::Query;
use super::{
    Ask, ContainerAsk, Create, Events, ListContainers, closed, container, create, exec, filters, network, target,
};
use crate::gateway::refusal::Refusal;

/// No body of JSON that makes sense is longer.
pub const LONGEST_JSON: usize = 1024 * 1024;

/// What is to be read of a request's body before it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing: a body makes no sense there.
    None,
    /// All of it, at most [`LONGEST_JSON`].
    Json,
    /// Nothing yet: it is an archive, and goes to the engine as it comes.
    Stream,
}

/// What is to be read of a request's body, so that nothing is read for a call that is refused anyway.
#[must_use]
pub fn wants_body(method: &Method, path: &str) -> Body {
    let Ok(segments) = target::segments(path) else { return Body::None };
    match (method.as_str(), segments.as_slice()) {
        ("PUT", ["containers", _, "archive"]) => Body::Stream,
        (
            "POST",
            ["containers", "create"]
            | ["containers", _, "exec" | "update" | "start"]
            | ["exec", _, "start"]
            | ["networks", _, "connect" | "disconnect"],
        ) => Body::Json,
        _ => Body::None,
    }
}

/// Reads a request. `json` is its body where [`wants_body`] says so, and empty everywhere else.
pub fn parse(method: &Method, target: &Uri, json: &[u8]) -> Result<Ask, Refusal> {
    if target.scheme().is_some() || target.authority().is_some() {
        return Err(Refusal::bad("the request's target must be a path, not an address"));
    }
    parse_parts(method, target.path(), target.query(), json)
}

/// As [`parse`], with the target's path and query.
pub(super) fn parse_parts(method: &Method, path: &str, query: Option<&str>, json: &[u8]) -> Result<Ask, Refusal> {
    let segments = target::segments(path)?;
    if json.len() > LONGEST_JSON {
        return Err(Refusal::bad(format!("the request's body is longer than {LONGEST_JSON} bytes")));
    }
    let mut query = Query::of(query)?;
    let ask = route(method, &segments, &mut query, json)?;
    query.done()?;
    if !json.trim_ascii().is_empty() && wants_body(method, path) != Body::Json {
        return Err(Refusal::bad("this call has no body: leave it out"));
    }
    Ok(ask)
}

fn route(method: &Method, segments: &[&str], query: &mut Query, json: &[u8]) -> Result<Ask, Refusal> {
    Ok(match (method.as_str(), segments) {
        ("GET" | "HEAD", ["_ping"]) => Ask::Ping,
        ("GET", ["version"]) => Ask::Version,
        ("GET", ["info"]) => Ask::Info,
        ("GET", ["events"]) => Ask::Events(Events {
            since: container::moment(query, "since")?,
            until: container::moment(query, "until")?,
            filters: filters::read(query, filters::EVENTS)?,
        }),
        ("GET", ["containers", "json"]) => Ask::Containers(list(query)?),
        ("POST", ["containers", "create"]) => {
            let name = query.text("name").map(|name| target::reference(&name)).transpose()?.map(|name| name.0);
            if query.text("platform").is_some() {
                return Err(Refusal::forbidden("a replacement is of the same platform: leave out --platform"));
            }
            Ask::Create(Box::new(Create { name, body: create::body(json)? }))
        }
        ("GET", ["networks"]) => Ask::Networks(filters::read(query, filters::NETWORKS)?),
        ("GET", ["networks", name]) if !matches!(*name, "create" | "prune") => {
            // Both ask for what only Swarm has.
            query.flag("verbose")?;
            query.word("scope", 16, |c| c.is_ascii_lowercase())?;
            Ask::Network(target::reference(name)?)
        }
        ("POST", ["networks", name, "connect"]) => {
            let (container, endpoint) = network::connect(json)?;
            Ask::NetworkConnect(target::reference(name)?, container, Box::new(endpoint))
        }
        ("POST", ["networks", name, "disconnect"]) => {
            let (container, force) = network::disconnect(json)?;
            Ask::NetworkDisconnect { network: target::reference(name)?, container, force }
        }
        ("GET", ["volumes"]) => Ask::Volumes(filters::read(query, filters::VOLUMES)?),
        ("GET", ["volumes", name]) => Ask::Volume(target::reference(name)?),
        ("DELETE", ["volumes", name]) => {
            Ask::VolumeRemove { volume: target::reference(name)?, force: query.flag("force")? }
        }
        ("GET", ["images", "json"]) => {
            // They say how much is shown; what is shown is decided elsewhere.
            for name in ["all", "digests", "only_ids", "shared-size"] {
                query.flag(name)?;
            }
            Ask::Images(filters::read(query, filters::IMAGES)?)
        }
        ("GET", ["images", name @ .., "json"]) => Ask::Image(target::image(&name.join("/"))?),
        ("GET", ["exec", id, "json"]) => Ask::ExecInspect(target::exec_id(id)?),
        ("POST", ["exec", id, "resize"]) => Ask::ExecResize(target::exec_id(id)?, container::size(query)?),
        ("POST", ["exec", id, "start"]) => Ask::ExecStart(target::exec_id(id)?, exec::start(json)?),
        (_, ["containers", name]) => container_ask(method, segments, name, "", query, json)?,
        (_, ["containers", name, what]) => container_ask(method, segments, name, what, query, json)?,
        _ => return Err(closed::refusal(method, segments)),
    })
}

fn container_ask(
    method: &Method,
    segments: &[&str],
    name: &str,
    what: &str,
    query: &mut Query,
    json: &[u8],
) -> Result<Ask, Refusal> {
    let ask: Option<ContainerAsk> = container::ask(method, what, query, json)?;
    let ask = ask.ok_or_else(|| closed::refusal(method, segments))?;
    Ok(Ask::Container(target::reference(name)?, ask))
}

fn list(query: &mut Query) -> Result<ListContainers, Refusal> {
    // A client of old asks for shortened commands, which the engine no longer knows.
    query.flag("trunc_cmd")?;
    Ok(ListContainers {
        all: query.flag("all")?,
        // Negative and zero mean all of them.
        limit: query.number::<i32>("limit")?.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0),
        size: query.flag("size")?,
        filters: filters::read(query, filters::CONTAINERS)?,
    })
}
