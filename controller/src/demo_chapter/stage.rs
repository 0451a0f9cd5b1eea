//! The demos that are played: a task for each, begun when one of its chapters is seen, or when the record says that it is
//! not at its beginning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::DemoChapter;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::apply::Hands;
use super::player::Player;
use super::record::DemoRef;
use super::world::Kubernetes;
use crate::context::Context;
use crate::fault::Faults;
use crate::scope::Stores;

use super::store::DemoStore;

/// Between two looks for demos whose chapters went without anybody noticing.
const SURVEY: Duration = Duration::from_mins(1);
/// Between two tries to read which they are, as long as that does not work.
const AGAIN: Duration = Duration::from_secs(5);

/// The demos that are played by this process.
pub struct Stage {
    /// What every reconcile shares.
    pub context: Arc<Context>,
    /// All chapters.
    pub chapters: Stores<DemoChapter>,
    hands: Hands,
    players: Mutex<HashMap<DemoRef, Entry>>,
    tasks: TaskTracker,
    leave: CancellationToken,
}

struct Entry {
    woken: Arc<Notify>,
    gone: watch::Receiver<bool>,
}

impl Stage {
    /// Nothing is played yet.
    #[must_use]
    pub fn new(
        context: Arc<Context>,
        chapters: Stores<DemoChapter>,
        store: Arc<dyn DemoStore>,
        faults: Arc<dyn Faults>,
    ) -> Self {
        let world = Arc::new(Kubernetes::new(context.clone(), chapters.clone()));
        Self {
            context,
            chapters,
            hands: Hands { world, store, faults },
            players: Mutex::default(),
            tasks: TaskTracker::new(),
            leave: CancellationToken::new(),
        }
    }

    /// Something of a demo changed: its task looks at it, or is begun.
    pub fn wake(&self, demo: &DemoRef) {
        if self.leave.is_cancelled() {
            return;
        }
        let mut players = self.players();
        if let Some(entry) = players.get(demo).filter(|entry| !*entry.gone.borrow()) {
            entry.woken.notify_one();
            return;
        }
        let (gone, is_gone) = watch::channel(false);
        let woken = Arc::new(Notify::new());
        let player = Player::new(demo.clone(), self.hands.clone(), woken.clone(), gone);
        players.insert(demo.clone(), Entry { woken, gone: is_gone });
        let (context, chapters, leave) = (self.context.clone(), self.chapters.clone(), self.leave.clone());
        self.tasks.spawn(async move {
            let play = async {
                // A cache that is still being filled must not make a demo look as if it had gone.
                tokio::join!(chapters.are_listed(), context.incidents.are_listed(), context.subjects.are_listed());
                player.run().await;
            };
            tokio::select! {
                () = play => {}
                () = leave.cancelled() => {}
            }
        });
    }

    /// Whether nothing is left of a demo: what it did is taken back.
    #[must_use]
    pub fn is_gone(&self, demo: &DemoRef) -> bool {
        self.players().get(demo).is_some_and(|entry| *entry.gone.borrow())
    }

    /// Begins the tasks of the demos that are not at their beginning, until `stop`: an earlier controller may have begun
    /// what nobody else asks for.
    pub async fn survey(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let pause = match self.hands.store.live().await {
                Ok(live) => {
                    for demo in &live {
                        self.wake(demo);
                    }
                    SURVEY
                }
                Err(error) => {
                    tracing::debug!(error = crate::error::chain(&error), "it is not known which demos are played");
                    AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Ends all tasks, and leaves what they did where it stands, for the next leader.
    pub async fn abandon(&self) {
        self.leave.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn players(&self) -> MutexGuard<'_, HashMap<DemoRef, Entry>> {
        self.players.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
