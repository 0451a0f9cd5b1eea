//! What the controller watches: the whole cluster, or some namespaces, each with caches of its own.
//!
//! A list of namespaces needs rights in these only, so there is one watch a namespace rather than
//! one of everything that is filtered here.

mod readable;

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crds::{Incident, Subject};
use futures::StreamExt;
use kube::api::Api;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::chain;
use crate::metrics::Metrics;
use crate::{incident, subject};

/// How many objects of a kind are reconciled at once, in each scope.
const CONCURRENCY: u16 = 16;
/// An event is held back this long, so that a burst becomes one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(5);

/// A kind that is watched here.
pub(crate) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// The caches of all scopes as one.
#[derive(Clone)]
pub struct Stores<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    stores: Vec<Store<K>>,
    /// Whether each was filled once.
    listed: Vec<watch::Receiver<bool>>,
}

impl<K> Stores<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The object of that name, if it is in a cache.
    #[must_use]
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        self.stores.iter().find_map(|store| store.get(key))
    }

    /// Waits until every cache was filled once; for ever, if its controller has stopped.
    pub async fn are_listed(&self) {
        for listed in &self.listed {
            if listed.clone().wait_for(|listed| *listed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// All objects in the caches.
    #[must_use]
    pub fn state(&self) -> Vec<Arc<K>> {
        self.stores.iter().flat_map(Store::state).collect()
    }
}

/// Where to send what should be reconciled, by namespace (`None`: all).
pub type Routes<K> = Vec<(Option<String>, UnboundedSender<ObjectRef<K>>)>;

/// The controllers of each scope, not running yet.
pub struct Scopes(Vec<Scope>);

struct Scope {
    namespace: Option<String>,
    incidents: Cached<Incident>,
    subjects: Cached<Subject>,
}

/// A controller, and whether its cache was filled once.
pub(crate) type Cached<K> = (Controller<K>, watch::Receiver<bool>);

impl Scopes {
    /// One scope a namespace, or one for all if there are none.
    #[must_use]
    pub fn new(client: &Client, namespaces: &[String]) -> Self {
        let scope = |namespace: Option<String>| Scope {
            incidents: controller(client, namespace.as_deref()),
            subjects: controller(client, namespace.as_deref()),
            namespace,
        };
        if namespaces.is_empty() {
            return Self(vec![scope(None)]);
        }
        Self(namespaces.iter().map(|namespace| scope(Some(namespace.clone()))).collect())
    }

    /// The caches of the Incidents.
    #[must_use]
    pub fn incidents(&self) -> Stores<Incident> {
        stores(self.0.iter().map(|scope| &scope.incidents))
    }

    /// The caches of the Subjects.
    #[must_use]
    pub fn subjects(&self) -> Stores<Subject> {
        stores(self.0.iter().map(|scope| &scope.subjects))
    }

    /// Runs all of them until `stop`, and says where to send what should be reconciled.
    pub fn run(
        self,
        context: &Arc<Context>,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) -> (Routes<Incident>, Routes<Subject>) {
        let (mut to_incidents, mut to_subjects) = (Routes::new(), Routes::new());
        for scope in self.0 {
            let (send_incident, incidents) = unbounded_channel();
            let (send_subject, subjects) = unbounded_channel();
            to_incidents.push((scope.namespace.clone(), send_incident));
            to_subjects.push((scope.namespace, send_subject));
            let incidents = scope
                .incidents
                .0
                .reconcile_on(UnboundedReceiverStream::new(incidents))
                .graceful_shutdown_on(stop.clone().cancelled_owned())
                .run(incident::reconcile, incident::error_policy, context.clone());
            tasks.spawn(report("Incident", context.clone(), incidents, incident::Error::category));
            let subjects = scope
                .subjects
                .0
                .reconcile_on(UnboundedReceiverStream::new(subjects))
                .graceful_shutdown_on(stop.clone().cancelled_owned())
                .run(subject::reconcile, subject::error_policy, context.clone());
            tasks.spawn(report("Subject", context.clone(), subjects, crate::status::StatusError::category));
        }
        (to_incidents, to_subjects)
    }
}

pub(crate) fn stores<'a, K: Watched>(of: impl Iterator<Item = &'a Cached<K>>) -> Stores<K> {
    let (stores, listed) = of.map(|(controller, listed)| (controller.store(), listed.clone())).unzip();
    Stores { stores, listed }
}

pub(crate) fn controller<K: Watched>(client: &Client, namespace: Option<&str>) -> Cached<K> {
    let api: Api<DeserializeGuard<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (controller, listed) = readable::controller(api);
    (controller.with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE)), listed)
}

/// The one place where the errors of a controller are reported.
pub(crate) async fn report<K, E>(
    kind: &'static str,
    context: Arc<Context>,
    results: impl futures::Stream<
        Item = Result<(ObjectRef<K>, Action), kube::runtime::controller::Error<E, watcher::Error>>,
    >,
    category: fn(&E) -> &'static str,
) where
    K: Resource<DynamicType = ()>,
    E: std::error::Error + 'static,
{
    use kube::runtime::controller::Error;
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.next().await {
        Metrics::count(&context.metrics.reconciles, kind);
        match result {
            // A deleted object's last requeue finds nothing.
            Ok(_) | Err(Error::ObjectNotFound(_)) => {}
            Err(Error::ReconcilerFailed(error, object)) => {
                Metrics::count(&context.metrics.errors, category(&error));
                tracing::warn!(%object, error = chain(&error), "reconcile failed; trying again");
            }
            Err(error) => {
                Metrics::count(&context.metrics.errors, "watch");
                tracing::warn!(kind, error = chain(&error), "the watch failed; trying again");
            }
        }
    }
}

/// Sends what should be reconciled to the scope that has it, until `stop`.
pub async fn route<K>(mut wanted: UnboundedReceiver<ObjectRef<K>>, routes: Routes<K>, stop: CancellationToken)
where
    K: Resource<DynamicType = ()> + 'static,
    ObjectRef<K>: Clone + Hash,
{
    loop {
        let object = tokio::select! {
            object = wanted.recv() => object,
            () = stop.cancelled() => return,
        };
        let Some(object) = object else { return };
        let scope = routes.iter().find(|(namespace, _)| namespace.is_none() || *namespace == object.namespace);
        if let Some((_, sender)) = scope {
            // A closed channel means that this scope has stopped.
            let _ = sender.send(object);
        }
    }
}
