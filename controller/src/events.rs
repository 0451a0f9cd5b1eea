//! Events on the resources, for `kubectl describe`.

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use crate::leader::Leadership;
use crate::printable::short_line;

/// Publishes Events. One that cannot be published is logged and forgotten: nothing waits for it.
pub struct Events {
    recorder: Recorder,
    leadership: Leadership,
}

impl Events {
    /// As `instance`, the pod's name, for as long as this process leads.
    #[must_use]
    pub fn new(client: Client, instance: Option<String>, leadership: Leadership) -> Self {
        Self { leadership, recorder: Recorder::new(client, Reporter { controller: "operator".into(), instance }) }
    }

    /// Something went as it should.
    pub async fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, action: &str, note: &str) {
        self.publish(object, EventType::Normal, reason, action, note).await;
    }

    /// Something needs a look.
    pub async fn warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, action: &str, note: &str) {
        self.publish(object, EventType::Warning, reason, action, note).await;
    }

    async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        // The API refuses a note beyond 1 kB.
        let note = short_line(note, 240);
        let event = Event { type_, reason: reason.into(), note: Some(note), action: action.into(), secondary: None };
        if let Err(error) = self.leadership.check() {
            return tracing::debug!(reason, %error, "no Event");
        }
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(reason, error = crate::error::chain(&error), "an Event could not be published");
        }
    }
}
