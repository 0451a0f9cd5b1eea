//! What the monitor needs of an engine: observers' containers, their words, and a look at a project's containers.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::probe::docker::{Containers, Looked};
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Condition;

/// What an observer is to be. Another one of these is another container.
#[derive(Clone, Debug, PartialEq)]
pub struct ObserverSpec {
    /// The Subject's UID.
    pub uid: String,
    /// `namespace/name` of the Subject.
    pub subject: String,
    /// The compose project on whose networks it stands.
    pub project: String,
    /// The image, which has this binary and the tools for `exec` probes.
    pub image: String,
    /// Networks beside the project's own that it may reach.
    pub egress: Vec<IpNet>,
    /// What it looks at, as JSON.
    pub probes: String,
    /// Whether it runs commands: these need more memory than the observer itself.
    pub commands: bool,
}

/// An observer that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its container's name.
    pub name: String,
    /// When it was started.
    pub started_at: Option<Timestamp>,
}

/// What came out of an observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// On its standard output: pieces of lines.
    Out(Bytes),
    /// On its standard error.
    Err(Bytes),
}

/// What an observer says, until it ends.
pub type Words = BoxStream<'static, Result<Said, SandboxError>>;

/// What stands on the engine, for all Subjects at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many networks each compose project has; one that has none is not running.
    pub projects: HashMap<String, usize>,
    /// This installation's observers.
    pub observers: Vec<Found>,
}

/// An observer's container on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// The UID of the Subject that it was made for.
    pub uid: String,
    /// `namespace/name` of that Subject.
    pub subject: String,
}

/// Makes, follows and removes observers on an engine. Every call but the stream of [`Observers::follow`] is bounded in
/// time.
#[async_trait]
pub trait Observers: Send + Sync + 'static {
    /// What stands there.
    async fn survey(&self) -> Result<Survey, SandboxError>;

    /// Makes and starts the observer, or finds the one that runs; another one of the same Subject goes. One that ended is
    /// started again, with what it said before.
    async fn ensure(&self, spec: &ObserverSpec) -> Result<Standing, SandboxError>;

    /// What the container said since then and goes on to say, until it ends.
    async fn follow(&self, container: &str, since: Timestamp) -> Result<Words, SandboxError>;

    /// What has become of the container, and its last words if it is dead.
    async fn look(&self, container: &str) -> (Condition, String);

    /// Removes a container; that it is not there is fine.
    async fn remove(&self, container: &str) -> Result<(), SandboxError>;

    /// Removes all observers of a Subject.
    async fn remove_all(&self, uid: &str) -> Result<(), SandboxError>;

    /// A round of a `docker` probe. That the engine is away is a reading.
    async fn containers(&self, project: &str, probe: &Containers) -> Looked;
}
