//! One kind of resource: listed, then watched, for as long as somebody looks.
//!
//! This is not kube's `watcher`, for one reason: that one says nothing when it is connected again, and what the header
//! says (`STALE 48s`, then `LIVE`) has to be true. A watch that broke goes on from the last version that it saw; only if
//! the API server has forgotten that version is everything listed again.

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::{Shared, explain};
use crate::feed::{Closed, FeedEvent, Kind, Link, Object, Outlet, Source};
use crate::settings::Scope;

/// The most resources in one answer.
const PAGE: u32 = 500;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the API server keeps a watch open; then it is opened again.
const WATCH_SECONDS: u32 = 290;
/// How long trouble is waited out: first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The same for what a person has to change.
const SLOW: Duration = Duration::from_secs(15);
/// The most events of a watch that are taken at once.
const BATCH: usize = 256;

/// What a kind of resource has to be.
pub(super) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}
impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// Why one connection ended.
enum End {
    /// In order: go on from where it was.
    Again,
    /// The version is too old: list.
    Anew,
    /// Nobody listens.
    Closed,
    /// Something is wrong.
    Trouble(Link),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

struct Watch<K> {
    api: Api<DeserializeGuard<K>>,
    kind: Kind,
    scope: Scope,
    outlet: Outlet,
    wrap: fn(Arc<K>) -> Object,
    /// Where the watch goes on. None: a list comes first.
    version: Option<String>,
}

/// Watches until nobody listens.
pub(super) async fn watch<K: Watched>(shared: Arc<Shared>, outlet: Outlet, kind: Kind, wrap: fn(Arc<K>) -> Object) {
    let mut scopes = shared.scope.subscribe();
    loop {
        let scope = scopes.borrow_and_update().clone();
        let client = shared.client.clone();
        let api = match &scope {
            Scope::All => Api::all(client),
            Scope::Namespace(name) => Api::namespaced(client, name),
        };
        let watch = Watch { api, kind, scope, outlet: outlet.clone(), wrap, version: None };
        tokio::select! {
            () = watch.run(shared.pulse.subscribe()) => return,
            changed = scopes.changed() => if changed.is_err() { return },
        }
    }
}

impl<K: Watched> Watch<K> {
    async fn run(mut self, mut pulse: Receiver<u64>) {
        let mut pause = PAUSES.0;
        loop {
            let mut live = false;
            let began = tokio::time::Instant::now();
            let trouble = match self.once(&mut pulse, &mut live).await {
                End::Closed => return,
                End::Again => {
                    // Something between us and the API server that closes at once is not asked without a pause.
                    if began.elapsed() < PAUSES.0 {
                        tokio::time::sleep(PAUSES.0).await;
                    }
                    continue;
                }
                End::Anew => {
                    self.version = None;
                    continue;
                }
                End::Trouble(link) => link,
            };
            if live {
                pause = PAUSES.0;
            }
            let wait = if matches!(trouble, Link::Lost { .. }) { pause } else { SLOW };
            pause = (pause * 2).min(PAUSES.1);
            if self.linked(trouble).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The person wants it now.
                changed = pulse.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn linked(&self, link: Link) -> Result<(), Closed> {
        self.outlet.one(FeedEvent::Link { source: Source::Kind(self.kind), link }).await
    }

    async fn once(&mut self, pulse: &mut Receiver<u64>, live: &mut bool) -> End {
        let version = match &self.version {
            Some(version) => version.clone(),
            None => match self.list().await {
                Ok(version) => version,
                Err(end) => return end,
            },
        };
        match self.follow(version, pulse, live).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn list(&mut self) -> Result<String, End> {
        self.outlet.one(FeedEvent::Listing { of: self.kind }).await?;
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = timeout(PATIENCE, self.api.list(&params)).await.map_err(|_| self.late())?;
            let page = page.map_err(|error| self.trouble(&error))?;
            let (more, version) = (page.metadata.continue_, page.metadata.resource_version);
            self.outlet.send(page.items.into_iter().map(|object| self.applied(object)).collect()).await?;
            if let Some(more) = more.filter(|more| !more.is_empty()) {
                params.continue_token = Some(more);
                continue;
            }
            self.outlet.one(FeedEvent::Listed { of: self.kind }).await?;
            let version = version.unwrap_or_default();
            self.version = Some(version.clone());
            return Ok(version);
        }
    }

    async fn follow(&mut self, version: String, pulse: &mut Receiver<u64>, live: &mut bool) -> Result<End, End> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let opened = timeout(PATIENCE, self.api.watch(&params, &version)).await.map_err(|_| self.late())?;
        let mut events = opened.map_err(|error| self.trouble(&error))?.boxed().ready_chunks(BATCH);
        self.linked(Link::Live).await?;
        *live = true;
        loop {
            let batch = tokio::select! {
                batch = events.next() => batch,
                _ = pulse.changed() => return Err(End::Trouble(Link::Lost {
                    reason: "The API server gives no sign of life".to_owned(),
                })),
            };
            let Some(batch) = batch else { return Ok(End::Again) };
            let mut news = Vec::with_capacity(batch.len());
            let mut end = None;
            for event in batch {
                match event {
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                        self.version = object.resource_version();
                        news.push(self.applied(object));
                    }
                    Ok(WatchEvent::Deleted(object)) => {
                        self.version = object.resource_version();
                        news.push(FeedEvent::Deleted { of: self.kind, uid: object.uid().unwrap_or_default() });
                    }
                    Ok(WatchEvent::Bookmark(mark)) => self.version = Some(mark.metadata.resource_version),
                    Ok(WatchEvent::Error(status)) if status.code == 410 => end = Some(End::Anew),
                    Ok(WatchEvent::Error(status)) => end = Some(self.trouble(&kube::Error::Api(status))),
                    Err(error) => end = Some(self.trouble(&error)),
                }
            }
            self.outlet.send(news).await?;
            if let Some(end) = end {
                return Err(end);
            }
        }
    }

    /// One that cannot be read (another version of Operator wrote it) is not shown, and stops nothing.
    fn applied(&self, object: DeserializeGuard<K>) -> FeedEvent {
        let uid = object.uid().unwrap_or_default();
        match object.0 {
            Ok(mut object) => {
                object.meta_mut().managed_fields = None;
                FeedEvent::Applied { object: (self.wrap)(Arc::new(object)) }
            }
            Err(_) => FeedEvent::Deleted { of: self.kind, uid },
        }
    }

    fn trouble(&self, error: &kube::Error) -> End {
        match error {
            kube::Error::Api(status) if status.code == 410 => End::Anew,
            error => End::Trouble(explain::link(error, self.kind, &self.scope)),
        }
    }

    fn late(&self) -> End {
        let reason = format!("The API server did not answer within {PATIENCE:?} ({})", self.kind.label());
        End::Trouble(Link::Lost { reason })
    }
}
