//! What may be asked of the gateway: one type for each call that is understood, with nothing in it that was
//! not checked in form. Whether the named thing is the subject's is asked later, of the engine.
//!
//! A query parameter or a JSON field that is not known here is a refusal, not something to pass on.

mod closed;
mod container;
mod create;
mod exec;
mod fields;
mod filters;
mod host_config;
mod json;
mod limits;
mod network;
mod parse;
mod query;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use parse::{Body, LONGEST_JSON, parse, wants_body};

use bollard::models::{ContainerUpdateBody, EndpointSettings, ExecConfig};

/// A container, network or image as the client named it: not yet known to be the subject's. Letters, digits
/// and `_.-`, with `/:@` in images only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference(pub String);

/// A call in the form in which it may be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// `GET` or `HEAD /_ping`.
    Ping,
    /// `GET /version`.
    Version,
    /// `GET /info`.
    Info,
    /// `GET /containers/json`.
    Containers(ListContainers),
    /// `GET /events`.
    Events(Events),
    /// `GET /networks`.
    Networks(Filters),
    /// `GET /networks/{id}`.
    Network(Reference),
    /// `GET /volumes`.
    Volumes(Filters),
    /// `GET /volumes/{name}`.
    Volume(Reference),
    /// `GET /images/json`.
    Images(Filters),
    /// `GET /images/{name}/json`.
    Image(Reference),
    /// `/containers/{id}/…` and `DELETE /containers/{id}`.
    Container(Reference, ContainerAsk),
    /// `POST /containers/create`.
    Create(Box<Create>),
    /// `GET /exec/{id}/json`.
    ExecInspect(String),
    /// `POST /exec/{id}/resize`.
    ExecResize(String, Size),
    /// `POST /exec/{id}/start`.
    ExecStart(String, ExecStart),
    /// `POST /networks/{id}/connect`.
    NetworkConnect(Reference, Reference, Box<EndpointSettings>),
    /// `POST /networks/{id}/disconnect`.
    NetworkDisconnect {
        /// From which network.
        network: Reference,
        /// Which container.
        container: Reference,
        /// Also if it does not run.
        force: bool,
    },
    /// `DELETE /volumes/{name}`.
    VolumeRemove {
        /// Which.
        volume: Reference,
        /// No error if it is not there.
        force: bool,
    },
}

/// What may be asked of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerAsk {
    /// `GET json`.
    Inspect {
        /// With its size on disk.
        size: bool,
    },
    /// `GET top`.
    Top {
        /// Arguments for `ps`, letters, digits and ` ,=_-:%+` only.
        ps_args: Option<String>,
    },
    /// `GET logs`.
    Logs(Logs),
    /// `GET stats`.
    Stats {
        /// Go on.
        stream: bool,
        /// Do not wait for a second reading.
        one_shot: bool,
    },
    /// `GET changes`.
    Changes,
    /// `HEAD archive`.
    Stat {
        /// A path in the container.
        path: String,
    },
    /// `GET archive`.
    CopyOut {
        /// A path in the container.
        path: String,
    },
    /// `PUT archive`; the body is a stream.
    CopyIn {
        /// A directory in the container.
        path: String,
        /// Refuse to replace a directory by a file and the other way round.
        no_overwrite_dir_non_dir: bool,
        /// Keep owners.
        copy_uid_gid: bool,
    },
    /// `POST start`.
    Start,
    /// `POST stop`.
    Stop(Ending),
    /// `POST restart`.
    Restart(Ending),
    /// `POST kill`.
    Kill {
        /// A signal's name or number.
        signal: Option<String>,
    },
    /// `POST pause`.
    Pause,
    /// `POST unpause`.
    Unpause,
    /// `POST wait`.
    Wait {
        /// `not-running`, `next-exit` or `removed`.
        condition: Option<String>,
    },
    /// `POST resize`.
    Resize(Size),
    /// `POST attach`.
    Attach(Attach),
    /// `POST update`: limits and the restart policy.
    Update(Box<ContainerUpdateBody>),
    /// `POST rename`.
    Rename {
        /// The new name.
        name: String,
    },
    /// `DELETE`.
    Remove {
        /// Its anonymous volumes, too.
        volumes: bool,
        /// Also if it runs.
        force: bool,
    },
    /// `POST exec`: announces a command, runs nothing.
    Exec(Box<ExecConfig>),
}

/// How a container is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Seconds until it is killed; -1 for never.
    pub timeout: Option<i32>,
    /// With which signal.
    pub signal: Option<String>,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `GET /containers/json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListContainers {
    /// Stopped ones, too.
    pub all: bool,
    /// At most so many.
    pub limit: Option<u32>,
    /// With sizes on disk.
    pub size: bool,
    /// Which.
    pub filters: Filters,
}

/// Filters by their names, each of a known name for its list. The engine ands different names and ors the
/// values of one; `label` it ands.
pub type Filters = BTreeMap<String, Vec<String>>;

/// `GET /events`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// From when, as the client wrote it: digits and `.`, or a timestamp.
    pub since: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// Which.
    pub filters: Filters,
}

/// `GET logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the API has them one by one")]
pub struct Logs {
    /// Go on.
    pub follow: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// From when.
    pub since: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// With times.
    pub timestamps: bool,
    /// With what the log driver adds.
    pub details: bool,
    /// `all` or a number.
    pub tail: Option<String>,
}

/// `POST attach`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the API has them one by one")]
pub struct Attach {
    /// What was written before, too.
    pub logs: bool,
    /// Go on.
    pub stream: bool,
    /// Standard input: what is typed reaches the container's main process, which is a change.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Keys to leave with.
    pub detach_keys: Option<String>,
}

/// `POST /exec/{id}/start`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecStart {
    /// Do not wait.
    pub detach: bool,
    /// With a terminal.
    pub tty: bool,
    /// Of this size.
    pub console_size: Option<Size>,
}

/// `POST /containers/create`: a replacement of a container that the subject has or had, still to be
/// compared with that one.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// The name.
    pub name: Option<String>,
    /// What is wanted, in form: nothing in it that no replacement may have.
    pub body: bollard::models::ContainerCreateBody,
}

/// As much of the client's own words as a sentence has room for.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
