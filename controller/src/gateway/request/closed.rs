//! What the engine can do and this gateway does not: a sentence for each, with what to do instead.

use http::{Method, StatusCode};

use crate::gateway::refusal::Refusal;

/// The refusal for a call that nobody else understood.
pub(super) fn refusal(method: &Method, segments: &[&str]) -> Refusal {
    if let ("GET", ["plugins", name, "json"]) = (method.as_str(), segments) {
        // The last thing that `docker inspect` looks for. Nothing here is a plugin.
        let reason = format!("plugin {:?} not found", super::shortened(name));
        return Refusal::new(StatusCode::NOT_FOUND, reason);
    }
    Refusal::forbidden(sentence(method, segments))
}

fn sentence(method: &Method, segments: &[&str]) -> String {
    let known = match segments {
        [_, "prune"] => "pruning reaches beyond the subject: remove single containers of the subject with `docker rm`",
        ["build", ..] => "building images is not possible through this gateway: use the images that the subject has",
        ["commit", ..] => {
            "committing a container to an image is not possible through this gateway: note the change instead"
        }
        ["images", "create"] => {
            "pulling images is not possible through this gateway: use the images that the subject has"
        }
        ["images", "load" | "get"] | ["images", .., "get"] => {
            "saving and loading images is not possible through this gateway: copy single files with `docker cp`"
        }
        ["images", "search"] => {
            "searching a registry is not possible through this gateway: use the images that the subject has"
        }
        ["images", .., "push" | "tag" | "history" | "attestations"] => {
            "images can only be listed and inspected through this gateway"
        }
        ["images", ..] if *method == Method::DELETE => {
            "removing images is not possible through this gateway: leave them"
        }
        ["auth"] | ["distribution", ..] => {
            "registries are out of reach through this gateway: use the images that the subject has"
        }
        ["session" | "grpc", ..] => {
            "BuildKit is out of reach through this gateway: use the images that the subject has"
        }
        ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", ..] => {
            "Swarm is out of reach through this gateway: the subject is a compose project, work on its containers"
        }
        ["plugins", ..] => "plugins belong to the engine, which is out of reach through this gateway",
        ["system", "df"] => "the engine's disk usage is not shown: use `docker ps -s`, or `df` within a container",
        ["volumes", "create"] => {
            "creating volumes is not possible through this gateway: a replacement may use the volumes of what it replaces"
        }
        ["networks", "create"] => {
            "creating networks is not possible through this gateway: use those of the subject, see `docker network ls`"
        }
        ["networks", _] if *method == Method::DELETE => {
            "removing networks is not possible through this gateway: use `docker network disconnect`"
        }
        ["containers", _, "export"] => {
            "exporting a whole container is not possible through this gateway: copy what you need with `docker cp`"
        }
        ["containers", _, "checkpoints", ..] => {
            "checkpoints are not possible through this gateway: stop and start instead"
        }
        ["containers", _, "attach", "ws"] => {
            "attaching by WebSocket is not possible through this gateway: use `docker attach`"
        }
        ["containers", _, "copy"] => {
            "this is the API of old clients: copy with a `docker cp` that uses the archive calls"
        }
        ["debug" | "metrics", ..] => "the engine's own state is out of reach through this gateway",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    format!(
        "{} /{} is not possible through this gateway: it allows ps, inspect, logs, stats, top, events, start, stop, \
         restart, kill, pause, unpause, rename, update, rm, exec, attach, cp, run and create as a replacement, network \
         connect and disconnect, and volume ls and inspect, on the subject only",
        super::shortened(method.as_str()),
        super::shortened(&segments.join("/"))
    )
}
