//! The vocabulary of faults: what a chapter of a demo does to the containers of its Subject.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that a chapter does. Exactly one of the verbs is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Said on the screen while it is done, and in the trail: `kill node2`. Made from the verb and its target if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 200))]
    pub says: String,
    /// When what it did is taken back.
    #[serde(default)]
    pub undo: UndoWhen,
    /// Sends a signal to the main process, `SIGKILL` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<Kill>,
    /// Stops, as `docker stop` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<On>,
    /// Starts what does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<On>,
    /// Stops and starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<On>,
    /// Freezes all processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<On>,
    /// Lets frozen processes go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpause: Option<On>,
    /// Runs a command with the programs of the target's image, in its networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Runs a container of the project's images in its networks, to its end or beside what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Sends requests from inside of the project's networks. Done once one of them was answered below 400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Drops all packets between named containers, until the target's next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Lets packets through again that a partition dropped: all of the targets' partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<On>,
    /// Delays what the target sends, until its next start. The engine's kernel must have netem, else it fails and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Gives the target less of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Fills a folder of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_disk: Option<FillDisk>,
}

/// When what an action did is taken back. Whatever this says, `reset` takes back all that can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UndoWhen {
    /// Once the demo goes back to an earlier chapter: a fault has to outlive its chapter, or there is nothing to repair.
    #[default]
    Back,
    /// Once any other chapter is entered.
    Leave,
    /// By a reset alone.
    Reset,
}

/// Which container of the Subject's project is meant. Exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.service), has(self.cel), has(self.anyOf)].filter(x, x).size() == 1").message("say which container is meant: exactly one of service, cel and anyOf"))]
pub struct Target {
    /// The service's name in the compose file. The first container of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// The service's name, in CEL over `probes` as an invariant sees them: for instance the leader's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 2048))]
    pub cel: Option<String>,
    /// One of these services at random. The seed is in the record, so the choice can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 16))]
    pub any_of: Option<Vec<String>>,
}

/// A verb that needs nothing but its target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct On {
    /// Which container.
    pub target: Target,
}

/// A signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kill {
    /// Which container.
    pub target: Target,
    /// Which signal, such as `SIGTERM`. `SIGKILL` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^SIG[A-Z0-9]+$')").message("a signal is written as SIGKILL or SIGTERM"))]
    #[validate(length(min = 4, max = 12))]
    pub signal: Option<String>,
}

/// A command with the programs of the target's image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// Whose image, environment and networks.
    pub target: Target,
    /// The program and its arguments: no shell, unless it is `sh -c`.
    #[validate(length(min = 1, max = 32))]
    pub command: Vec<String>,
    /// What takes it back. Without it it cannot be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 32))]
    pub undo_command: Vec<String>,
    /// For how long at most. 60s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 16))]
    pub timeout: Option<Duration>,
}

/// A container of one of the project's images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The service whose image and networks it has.
    pub target: Target,
    /// The program and its arguments.
    #[validate(length(min = 1, max = 64))]
    pub command: Vec<String>,
    /// Environment beside that of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub env: BTreeMap<String, String>,
    /// Whether the chapter goes on while it runs, as it does with load. It ends when it is undone.
    #[serde(default)]
    pub detach: bool,
    /// For how long at most, unless it is detached. 60s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 16))]
    pub timeout: Option<Duration>,
}

/// Requests from inside of the project's networks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// `GET` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]+$')").message("a method is written as GET or POST"))]
    #[validate(length(min = 3, max = 16))]
    pub method: Option<String>,
    /// The address, as the project's own containers would write it: `http://node1:8080/limits`.
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("url begins with http:// or https://"))]
    #[validate(length(min = 8, max = 2048))]
    pub url: String,
    /// The headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 16384))]
    pub body: String,
    /// How often, one after the other. Once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 10_000))]
    pub times: Option<i64>,
}

/// Containers that cannot reach each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    /// One side. The packets are dropped at these containers.
    pub target: Target,
    /// The other: all of the project's other containers if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 16))]
    pub from: Vec<Target>,
}

/// A slow network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Whose packets.
    pub target: Target,
    /// How late, such as `200ms`.
    #[schemars(with = "String")]
    #[validate(length(min = 2, max = 16))]
    pub delay: Duration,
    /// How much earlier or later, at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 16))]
    pub jitter: Option<Duration>,
}

/// Less of the processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Throttle {
    /// Which container.
    pub target: Target,
    /// Thousandths of a core, as Kubernetes counts them.
    #[validate(range(min = 10, max = 64_000))]
    pub milli_cpus: i64,
}

/// A full disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FillDisk {
    /// Which container.
    pub target: Target,
    /// A folder in it: on a named volume, or in the container itself if that runs and has `dd` and `rm`. Never a path of
    /// the host.
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("folder begins with /"))]
    #[validate(length(min = 1, max = 512))]
    pub folder: String,
    /// How many MiB, at most.
    #[validate(range(min = 1, max = 16_384))]
    pub mebibytes: i64,
}
