//! What exactly is to be done, and how it is taken back: the row that is written before anything is done.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::view::{Cpus, State};
use crate::sandbox::NetworkRef;

/// An action with its targets found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// In words: `kill node2`.
    pub says: String,
    /// The containers that it is done to: one, or none for requests.
    pub targets: Vec<Resolved>,
    /// What the choice at random was made with, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What is done.
    pub verb: Verb,
    /// How it is taken back, if it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
}

/// A container as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The service, by which it is found once it was made anew.
    pub service: String,
    /// Full id.
    pub id: String,
    /// Name, for people.
    pub name: String,
    /// How it stood.
    pub state: State,
    /// When it had last been started, as the engine writes it: whether it was started since is seen by this.
    pub started_at: String,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Verb {
    /// A signal to the main process.
    Kill {
        /// Such as `SIGKILL`.
        signal: String,
    },
    /// `docker stop`.
    Stop,
    /// `docker start`.
    Start,
    /// `docker restart`.
    Restart,
    /// `docker pause`.
    Pause,
    /// `docker unpause`.
    Unpause,
    /// A command in a helper with the target's image.
    Exec(Command),
    /// A container of the target's image on the project's networks.
    Run {
        /// What it runs.
        #[serde(flatten)]
        command: Command,
        /// Whether it goes on beside what follows.
        detach: bool,
    },
    /// Requests from the project's networks.
    Http {
        /// The requests.
        request: Request,
        /// The project's networks.
        networks: Vec<NetworkRef>,
    },
    /// Drops what comes from these addresses to the target and goes from it to them.
    Partition {
        /// The addresses.
        from: Vec<IpAddr>,
    },
    /// Removes all partitions at the target.
    Heal,
    /// Delays what leaves the target.
    Latency {
        /// How long.
        delay_ms: u64,
        /// How much earlier or later.
        jitter_ms: u64,
    },
    /// Another share of the processor.
    Throttle {
        /// Which.
        cpus: Cpus,
    },
    /// A file that fills a folder.
    FillDisk {
        /// Where it is written.
        place: Place,
        /// How large, at most.
        mebibytes: u64,
    },
}

/// A command in a container of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The image, by id.
    pub image: String,
    /// The user; empty for the image's.
    pub user: String,
    /// Its environment.
    pub env: Vec<String>,
    /// Where it stands.
    pub seat: Seat,
    /// How long it may run; nothing for what is detached.
    pub limit: Duration,
}

/// Where a helper stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Seat {
    /// In the network namespace of this container.
    In(String),
    /// On these networks.
    On(Vec<NetworkRef>),
}

/// Requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// `GET` and so on.
    pub method: String,
    /// The address.
    pub url: String,
    /// The headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// How often.
    pub times: u64,
}

/// Where a file is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// On a named volume, from a helper that has nothing else.
    Volume {
        /// The volume.
        volume: String,
        /// The folder below its root; empty for the root itself.
        folder: String,
        /// Whether the helper's root may write where it does not own, as the target's may.
        overrides: bool,
    },
    /// In the container's own file system, by a program of its image.
    Inside {
        /// The folder.
        folder: String,
    },
}

/// How something is taken back. All of these are found out anew: what is back already is fine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Undo {
    /// It is started, if it does not run.
    Start,
    /// It is stopped, if it runs.
    Stop,
    /// It goes on.
    Unpause,
    /// The command's own opposite, which runs once.
    Command(Command),
    /// The container is removed.
    Remove,
    /// The rules that dropped packets are removed.
    Rejoin,
    /// The delay is removed.
    Hasten,
    /// The share of the processor that it had.
    Cpus {
        /// Which.
        cpus: Cpus,
    },
    /// The file is removed.
    Empty,
}
