//! A cluster: its resources are watched, its API is asked.

mod act;
mod explain;
mod pulse;
mod rights;
mod watch;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crds::{DemoChapter, Incident, Subject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::watch as channel;

use audit_client::Transport;

use super::audit::Audit;
use super::{Feed, Kind, Object, Outlet, Request};
use crate::settings::Scope;

pub use explain::chain;

/// Which cluster, and what it is called.
pub struct Place {
    /// Access to it.
    pub config: kube::Config,
    /// The context's name.
    pub name: String,
}

/// By the given kubeconfig, else by KUBECONFIG, `~/.kube/config` or the pod's own account.
///
/// # Errors
/// A sentence, if there is none or it cannot be read.
pub async fn place(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Place, String> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let read = match kubeconfig {
        Some(file) => Some(Kubeconfig::read_from(file).map_err(|error| chain(&error))?),
        None => Kubeconfig::read().ok(),
    };
    let named = context.map(str::to_owned).or_else(|| read.as_ref().and_then(|read| read.current_context.clone()));
    if let Some(read) = read.filter(|_| kubeconfig.is_some() || named.is_some()) {
        let config = kube::Config::from_custom_kubeconfig(read, &options).await.map_err(|error| chain(&error))?;
        return Ok(Place { config, name: named.unwrap_or_default() });
    }
    if context.is_some() {
        return Err("there is no kubeconfig: name one with --kubeconfig, or in KUBECONFIG".to_owned());
    }
    let config = kube::Config::infer().await.map_err(|error| {
        format!("there is no cluster to look at: {} (--kubeconfig, KUBECONFIG, or --replay FILE)", chain(&error))
    })?;
    Ok(Place { config, name: "in-cluster".to_owned() })
}

/// The feed of a cluster.
pub struct ClusterFeed {
    shared: Arc<Shared>,
    audit: Audit,
}

/// What all tasks of the feed know.
pub(super) struct Shared {
    pub(super) client: kube::Client,
    pub(super) outlet: OnceLock<Outlet>,
    pub(super) scope: channel::Sender<Scope>,
    /// Raised when the connection was found dead, or is to be tried again now.
    pub(super) pulse: channel::Sender<u64>,
}

impl ClusterFeed {
    /// A feed of these namespaces. `operator` is the namespace in which Operator itself runs: what its audit API has is
    /// read through the pod there.
    #[must_use]
    pub fn new(client: kube::Client, scope: Scope, operator: &str) -> Self {
        let (scope, pulse) = (channel::Sender::new(scope), channel::Sender::new(0));
        let transport = Transport::PortForward { client: client.clone(), namespace: operator.to_owned() };
        let audit = Audit::new(transport);
        Self { shared: Arc::new(Shared { client, outlet: OnceLock::new(), scope, pulse }), audit }
    }
}

impl Feed for ClusterFeed {
    fn start(&self, outlet: Outlet) {
        if self.shared.outlet.set(outlet.clone()).is_err() {
            return;
        }
        let shared = &self.shared;
        tokio::spawn(watch::watch::<Incident>(shared.clone(), outlet.clone(), Kind::Incidents, Object::Incident));
        tokio::spawn(watch::watch::<Subject>(shared.clone(), outlet.clone(), Kind::Subjects, Object::Subject));
        tokio::spawn(watch::watch::<DemoChapter>(shared.clone(), outlet.clone(), Kind::Chapters, Object::Chapter));
        tokio::spawn(pulse::feel(shared.clone()));
        tokio::spawn(rights::ask(shared.clone(), outlet));
    }

    fn ask(&self, request: Request) {
        let Some(outlet) = self.shared.outlet.get().cloned() else { return };
        match request {
            Request::Scope(scope) => {
                self.shared.scope.send_replace(scope);
            }
            Request::Reconnect => self.shared.pulse.send_modify(|pulse| *pulse += 1),
            Request::Act(act) => {
                tokio::spawn(act::act(self.shared.clone(), act, outlet));
            }
            // The others are the audit API's.
            other => {
                self.audit.ask(&other, &outlet);
            }
        }
    }
}
