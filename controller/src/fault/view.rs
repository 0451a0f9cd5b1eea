//! What is known of a project's containers before anything is done to them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::sandbox::NetworkRef;

/// A compose project as the engine has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectView {
    /// Its name.
    pub project: String,
    /// Its networks, by name.
    pub networks: Vec<NetworkRef>,
    /// Its containers, those that do not run included; not those of `docker compose run`.
    pub containers: Vec<ContainerView>,
}

/// A container of a project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerView {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The service in the compose file.
    pub service: String,
    /// Which of its service's.
    pub number: u32,
    /// How it stands.
    pub state: State,
    /// When it was last started, as the engine writes it.
    pub started_at: String,
    /// Its image, by id.
    pub image: String,
    /// The user of its main process; empty for the image's.
    pub user: String,
    /// Its environment, each as `NAME=value`.
    pub env: Vec<String>,
    /// Whether it stands in networks of its own: not in the host's, nor in another container's.
    pub own_network: bool,
    /// Its addresses in these.
    pub addresses: Vec<IpAddr>,
    /// What is mounted in it.
    pub mounts: Vec<MountView>,
    /// Whether its root may write where it does not own: `DAC_OVERRIDE`.
    pub overrides: bool,
    /// Its share of the processor.
    pub cpus: Cpus,
}

/// How a container stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It runs.
    Running,
    /// It stands still.
    Paused,
    /// It does not run.
    #[default]
    Stopped,
}

/// Something that is mounted in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountView {
    /// `volume`, `bind` or `tmpfs`.
    pub kind: String,
    /// The volume's name.
    pub volume: Option<String>,
    /// Where.
    pub destination: String,
    /// Whether it can be written.
    pub writable: bool,
}

/// A share of the processor as the engine has it: the first, or the other two, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpus {
    /// Thousand millionths of a core; 0 if not said.
    pub nano: i64,
    /// Microseconds of each period; 0 if not said, below 0 for all of it.
    pub quota: i64,
    /// The period in microseconds; 0 if not said.
    pub period: i64,
}
