//! Calls as they go to the engine: written anew from what was understood, aimed at full ids.
//!
//! Nothing of the client's own bytes is in a path. In a query they are percent-encoded, in a body they are
//! strings of JSON.

mod describe;
mod target;
#[cfg(test)]
mod tests;

use bollard::models::{ContainerCreateBody, EndpointSettings};
use http::Method;
use serde::Serialize;
use serde_json::json;

pub use describe::{Description, describe, is_change};

use self::target::Target;
use super::refusal::Refusal;
use super::request::{Attach, ContainerAsk, Ending, Events, ExecStart, Filters, ListContainers, Logs, Size};

/// What compose writes on everything that belongs to a project.
pub const PROJECT_LABEL: &str = "com.docker.compose.project";

/// A call to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCall {
    /// As HTTP has it.
    pub method: Method,
    /// With the version in front.
    pub path_and_query: String,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

impl EngineCall {
    /// As the trail keeps it: `{"method", "path", "body"?}`.
    #[must_use]
    pub fn record(&self) -> serde_json::Value {
        let mut record = json!({ "method": self.method.as_str(), "path": self.path_and_query });
        let body = self.body.as_deref().and_then(|body| serde_json::from_slice::<serde_json::Value>(body).ok());
        if let (Some(body), Some(record)) = (body, record.as_object_mut()) {
            record.insert("body".into(), body);
        }
        record
    }

    fn new(method: Method, target: Target) -> Self {
        Self { method, path_and_query: target.finish(), body: None }
    }

    fn with(mut self, body: &impl Serialize) -> Result<Self, Refusal> {
        let body = serde_json::to_vec(body).map_err(|_| Refusal::bad("the request's body cannot be written"))?;
        self.body = Some(body);
        Ok(self)
    }
}

/// A call on a container. `id` is its full id.
pub fn container(ask: &ContainerAsk, id: &str) -> Result<EngineCall, Refusal> {
    let at = |what: &str| Target::of(&["containers", id, what]);
    let (get, post) = (Method::GET, Method::POST);
    Ok(match ask {
        ContainerAsk::Inspect { size } => EngineCall::new(get, at("json")?.flag("size", *size)),
        ContainerAsk::Top { ps_args } => EngineCall::new(get, at("top")?.text("ps_args", ps_args.as_deref())),
        ContainerAsk::Logs(logs) => EngineCall::new(get, log_target(at("logs")?, logs)),
        ContainerAsk::Stats { stream, one_shot } => {
            let target = at("stats")?.text("stream", Some(if *stream { "1" } else { "0" }));
            EngineCall::new(get, target.flag("one-shot", *one_shot))
        }
        ContainerAsk::Changes => EngineCall::new(get, at("changes")?),
        ContainerAsk::Stat { path } => EngineCall::new(Method::HEAD, at("archive")?.text("path", Some(path))),
        ContainerAsk::CopyOut { path } => EngineCall::new(get, at("archive")?.text("path", Some(path))),
        ContainerAsk::CopyIn { path, no_overwrite_dir_non_dir, copy_uid_gid } => {
            let target = at("archive")?.text("path", Some(path)).flag("copyUIDGID", *copy_uid_gid);
            EngineCall::new(Method::PUT, target.flag("noOverwriteDirNonDir", *no_overwrite_dir_non_dir))
        }
        ContainerAsk::Start => EngineCall::new(post, at("start")?),
        ContainerAsk::Stop(ending) => EngineCall::new(post, ending_target(at("stop")?, ending)),
        ContainerAsk::Restart(ending) => EngineCall::new(post, ending_target(at("restart")?, ending)),
        ContainerAsk::Kill { signal } => EngineCall::new(post, at("kill")?.text("signal", signal.as_deref())),
        ContainerAsk::Pause => EngineCall::new(post, at("pause")?),
        ContainerAsk::Unpause => EngineCall::new(post, at("unpause")?),
        ContainerAsk::Wait { condition } => EngineCall::new(post, at("wait")?.text("condition", condition.as_deref())),
        ContainerAsk::Resize(size) => EngineCall::new(post, size_target(at("resize")?, *size)),
        ContainerAsk::Attach(attach) => EngineCall::new(post, attach_target(at("attach")?, attach)),
        ContainerAsk::Update(limits) => EngineCall::new(post, at("update")?).with(limits)?,
        ContainerAsk::Rename { name } => EngineCall::new(post, at("rename")?.text("name", Some(name))),
        ContainerAsk::Remove { volumes, force } => {
            let target = Target::of(&["containers", id])?;
            EngineCall::new(Method::DELETE, target.flag("v", *volumes).flag("force", *force))
        }
        ContainerAsk::Exec(config) => EngineCall::new(post, at("exec")?).with(config)?,
    })
}

/// The list of the project's containers: whatever the client filters, the project's label is there, too.
pub fn containers(list: &ListContainers, project: &str) -> Result<EngineCall, Refusal> {
    let limit = list.limit.map(|limit| limit.to_string());
    let target = Target::of(&["containers", "json"])?.flag("all", list.all).flag("size", list.size);
    let target = target.text("limit", limit.as_deref());
    Ok(EngineCall::new(Method::GET, target.filters(&of_project(&list.filters, project))?))
}

/// The events of the project's containers. Those of networks and volumes have no labels and are not among
/// them.
pub fn events(events: &Events, project: &str) -> Result<EngineCall, Refusal> {
    let target = Target::of(&["events"])?;
    let target = target.text("since", events.since.as_deref()).text("until", events.until.as_deref());
    Ok(EngineCall::new(Method::GET, target.filters(&of_project(&events.filters, project))?))
}

/// The list of networks. Which of them are shown is decided from the answer: an external network of the
/// subject has no label of the project.
pub fn networks(filters: &Filters) -> Result<EngineCall, Refusal> {
    Ok(EngineCall::new(Method::GET, Target::of(&["networks"])?.filters(filters)?))
}

/// The list of volumes; as with networks, the answer is still to be narrowed.
pub fn volumes(filters: &Filters) -> Result<EngineCall, Refusal> {
    Ok(EngineCall::new(Method::GET, Target::of(&["volumes"])?.filters(filters)?))
}

/// The list of images; as with networks, the answer is still to be narrowed.
pub fn images(filters: &Filters) -> Result<EngineCall, Refusal> {
    Ok(EngineCall::new(Method::GET, Target::of(&["images", "json"])?.filters(filters)?))
}

/// What an exec is and how it ended.
pub fn exec_inspect(id: &str) -> Result<EngineCall, Refusal> {
    Ok(EngineCall::new(Method::GET, Target::of(&["exec", id, "json"])?))
}

/// Gives an exec's terminal another size.
pub fn exec_resize(id: &str, size: Size) -> Result<EngineCall, Refusal> {
    Ok(EngineCall::new(Method::POST, size_target(Target::of(&["exec", id, "resize"])?, size)))
}

/// Runs an exec.
pub fn exec_start(id: &str, start: &ExecStart) -> Result<EngineCall, Refusal> {
    let mut body = json!({ "Detach": start.detach, "Tty": start.tty });
    if let (Some(size), Some(body)) = (start.console_size, body.as_object_mut()) {
        body.insert("ConsoleSize".into(), json!([size.height, size.width]));
    }
    EngineCall::new(Method::POST, Target::of(&["exec", id, "start"])?).with(&body)
}

/// Connects a container to a network, both by their full ids.
pub fn network_connect(network: &str, container: &str, endpoint: &EndpointSettings) -> Result<EngineCall, Refusal> {
    let target = Target::of(&["networks", network, "connect"])?;
    EngineCall::new(Method::POST, target).with(&json!({ "Container": container, "EndpointConfig": endpoint }))
}

/// Disconnects a container from a network, both by their full ids.
pub fn network_disconnect(network: &str, container: &str, force: bool) -> Result<EngineCall, Refusal> {
    let target = Target::of(&["networks", network, "disconnect"])?;
    EngineCall::new(Method::POST, target).with(&json!({ "Container": container, "Force": force }))
}

/// Removes a volume.
pub fn volume_remove(name: &str, force: bool) -> Result<EngineCall, Refusal> {
    Ok(EngineCall::new(Method::DELETE, Target::of(&["volumes", name])?.flag("force", force)))
}

/// Makes a replacement, with the body that the comparison with its template gave.
pub fn create(name: Option<&str>, body: &ContainerCreateBody) -> Result<EngineCall, Refusal> {
    EngineCall::new(Method::POST, Target::of(&["containers", "create"])?.text("name", name)).with(body)
}

fn of_project(filters: &Filters, project: &str) -> Filters {
    let mut filters = filters.clone();
    filters.entry("label".into()).or_default().push(format!("{PROJECT_LABEL}={project}"));
    filters
}

fn log_target(target: Target, logs: &Logs) -> Target {
    let target = target.flag("follow", logs.follow).flag("stdout", logs.stdout).flag("stderr", logs.stderr);
    let target = target.flag("timestamps", logs.timestamps).flag("details", logs.details);
    let target = target.text("since", logs.since.as_deref()).text("until", logs.until.as_deref());
    target.text("tail", logs.tail.as_deref())
}

fn attach_target(target: Target, attach: &Attach) -> Target {
    let target = target.flag("logs", attach.logs).flag("stream", attach.stream).flag("stdin", attach.stdin);
    let target = target.flag("stdout", attach.stdout).flag("stderr", attach.stderr);
    target.text("detachKeys", attach.detach_keys.as_deref())
}

fn ending_target(target: Target, ending: &Ending) -> Target {
    let timeout = ending.timeout.map(|seconds| seconds.to_string());
    target.text("t", timeout.as_deref()).text("signal", ending.signal.as_deref())
}

fn size_target(target: Target, size: Size) -> Target {
    target.text("h", Some(&size.height.to_string())).text("w", Some(&size.width.to_string()))
}
