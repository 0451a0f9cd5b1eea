//! Writes statuses by server-side apply: a change of phase at once, mere progress at most once a
//! second per object and twenty a second in all, so that a busy night does not drown the API server.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::names::FIELD_MANAGER;
use kube::api::{Api, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::leader::{Leadership, NotLeading};

/// Between two writes of progress of one object.
const PER_OBJECT: Duration = Duration::from_secs(1);
/// Writes of progress a second, of all objects together.
const PER_SECOND: f64 = 20.0;
/// The longest time for which a write is put off.
const LONGEST: Duration = Duration::from_mins(2);

/// A status could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The API server refused it, or was not there.
    #[error("{object}")]
    Refused {
        /// Kind, namespace and name.
        object: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// It is another controller's to write.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
}

impl StatusError {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "status",
            Self::NotLeading(error) => error.category(),
        }
    }
}

/// How much a new status matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Written at once.
    Now,
    /// May wait for its turn.
    Progress,
}

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stands there.
    Yes,
    /// Its turn comes after this time: reconcile again then.
    Later(Duration),
    /// The object is gone.
    Gone,
}

/// Writes statuses.
pub struct StatusWriter {
    client: Client,
    leadership: Leadership,
    pace: Mutex<Pace>,
}

impl StatusWriter {
    /// A writer with the paces of this module, for as long as this process leads.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership) -> Self {
        Self { client, leadership, pace: Mutex::new(Pace::new(Instant::now())) }
    }

    /// Writes the whole status of `object`. The caller compares: an equal one should not come here.
    pub async fn write<K, S>(&self, object: &K, status: &S, urgency: Urgency) -> Result<Written, StatusError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
        S: Serialize,
    {
        let uid = object.uid().unwrap_or_default();
        {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(wait) = pace.ask(&uid, urgency, Instant::now()) {
                return Ok(Written::Later(wait));
            }
        }
        self.write_as(FIELD_MANAGER, object, status).await
    }

    /// Writes a part of a status at once: all that this manager has to say of it.
    pub async fn write_as<K, S>(&self, manager: &str, object: &K, status: &S) -> Result<Written, StatusError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
        S: Serialize,
    {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let uid = object.uid().unwrap_or_default();
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        // The UID makes sure that the status of a deleted object does not land on its successor.
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": name, "uid": uid},
            "status": status,
        });
        let params = PatchParams::apply(manager).force();
        // The API server knows no epochs.
        self.leadership.check()?;
        match api.patch_status(&name, &params, &Patch::Apply(&patch)).await {
            Ok(_) => Ok(Written::Yes),
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(Written::Gone),
            Err(source) => Err(StatusError::Refused {
                object: format!("{} {namespace}/{name}", K::kind(&())),
                source: Box::new(source),
            }),
        }
    }
}

/// Who may write now.
struct Pace {
    last: HashMap<String, Instant>,
    tokens: f64,
    refilled: Instant,
    /// When the last of those that were put off may try again: they come one after another, not all at once.
    put_off: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { last: HashMap::new(), tokens: PER_SECOND, refilled: now, put_off: now }
    }

    fn ask(&mut self, uid: &str, urgency: Urgency, now: Instant) -> Result<(), Duration> {
        self.tokens = (self.tokens + now.duration_since(self.refilled).as_secs_f64() * PER_SECOND).min(PER_SECOND);
        self.refilled = now;
        if urgency == Urgency::Progress {
            if let Some(since) =
                self.last.get(uid).map(|last| now.duration_since(*last)).filter(|since| *since < PER_OBJECT)
            {
                return Err(PER_OBJECT.saturating_sub(since));
            }
            if self.tokens < 1.0 {
                let next = self.put_off.max(now) + Duration::from_secs_f64(1.0 / PER_SECOND);
                // Whoever asks beyond that is put off to the same moment, and then again.
                self.put_off = next.min(now + LONGEST);
                return Err(self.put_off.saturating_duration_since(now));
            }
            self.tokens -= 1.0;
        }
        self.last.retain(|_, last| now.duration_since(*last) < PER_OBJECT);
        self.last.insert(uid.to_owned(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_waits_and_phases_do_not() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        assert_eq!(pace.ask("a", Urgency::Progress, begin), Ok(()));
        let soon = begin + Duration::from_millis(400);
        assert_eq!(pace.ask("a", Urgency::Progress, soon), Err(Duration::from_millis(600)));
        assert_eq!(pace.ask("a", Urgency::Now, soon), Ok(()));
        assert_eq!(pace.ask("a", Urgency::Progress, soon + PER_OBJECT), Ok(()));
    }

    #[test]
    fn twenty_a_second_in_all() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let written = (0..100).filter(|i| pace.ask(&i.to_string(), Urgency::Progress, begin).is_ok()).count();
        assert_eq!(written, 20);
        let mut waits: Vec<_> =
            (0..100).filter_map(|i| pace.ask(&format!("c{i}"), Urgency::Progress, begin).err()).collect();
        waits.dedup();
        assert_eq!(waits.len(), 100, "they come back one after another");
        let later = begin + Duration::from_millis(500);
        let written = (0..100).filter(|i| pace.ask(&format!("b{i}"), Urgency::Progress, later).is_ok()).count();
        assert_eq!(written, 10);
    }
}
