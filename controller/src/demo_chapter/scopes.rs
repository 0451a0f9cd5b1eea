//! The controllers of chapters, one a namespace as for everything else. There are none where demos are off.

use std::sync::Arc;

use crds::DemoChapter;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use super::{error_policy, reconcile};
use crate::scope::{Cached, Stores, controller, report, stores};

/// The controllers of each namespace, not running yet.
pub struct ChapterScopes(Vec<Cached<DemoChapter>>);

impl ChapterScopes {
    /// One a namespace, or one for all if there are none.
    #[must_use]
    pub fn new(client: &Client, namespaces: &[String]) -> Self {
        if namespaces.is_empty() {
            return Self(vec![controller(client, None)]);
        }
        Self(namespaces.iter().map(|namespace| controller(client, Some(namespace))).collect())
    }

    /// Their caches.
    #[must_use]
    pub fn chapters(&self) -> Stores<DemoChapter> {
        stores(self.0.iter())
    }

    /// Runs all of them until `stop`.
    pub fn run(self, stage: &Arc<Stage>, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
        for (controller, _) in self.0 {
            let chapters = controller.graceful_shutdown_on(stop.clone().cancelled_owned()).run(
                reconcile,
                error_policy,
                stage.clone(),
            );
            tasks.spawn(report("DemoChapter", stage.context.clone(), chapters, super::Error::category));
        }
    }
}
