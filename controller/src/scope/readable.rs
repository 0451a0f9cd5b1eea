//! Keeps an object that does not fit its type from stopping the watch of all others.
//!
//! Such objects are possible: the definitions in a cluster can be older than this controller, and
//! what was stored under them is not checked again. A watch that decodes whole lists would fail for
//! ever at the first of them. So each is decoded by itself. One that does not fit is logged once and
//! left out; if it fitted before, it goes on as it was, so that its session ends properly and its
//! deletion is heard.

use std::collections::HashMap;
use std::fmt::Debug;

use futures::{Stream, StreamExt as _};
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Controller, WatchStreamExt as _};
use kube::{Api, Resource};
use tokio::sync::watch;

use super::Watched;
use crate::printable::short_line;

/// How many unreadable objects are remembered as logged.
const REMEMBERED: usize = 1000;
/// How many characters of what is wrong with one are logged.
const SAID: usize = 500;

/// A controller of all objects that fit their type, and whether all of them were listed once. (The store says so as
/// well, but of several that wait for it it wakes only the last, and the controller is one of them.)
pub(super) fn controller<K: Watched>(api: Api<DeserializeGuard<K>>) -> (Controller<K>, watch::Receiver<bool>) {
    let (reader, writer) = store::<K>();
    let (listed, is_listed) = watch::channel(false);
    let readable = readable(watcher(api, watcher::Config::default()), reader.clone());
    let stored = reflector(writer, readable).inspect(move |event| {
        if matches!(event, Ok(Event::InitDone)) {
            listed.send_replace(true);
        }
    });
    (Controller::for_stream(stored.applied_objects(), reader), is_listed)
}

/// The events of what fits. `known` is the store that they are written to.
fn readable<K>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>> + Send + 'static,
    known: Store<K>,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    let mut logged = Logged::default();
    events.filter_map(move |event| {
        let mut fit = |guard: DeserializeGuard<K>| fitting(guard, &known, &mut logged);
        let event = match event {
            Ok(Event::Apply(guard)) => fit(guard).map(|object| Ok(Event::Apply(object))),
            Ok(Event::InitApply(guard)) => fit(guard).map(|object| Ok(Event::InitApply(object))),
            Ok(Event::Delete(guard)) => fit(guard).map(|object| Ok(Event::Delete(object))),
            Ok(Event::Init) => Some(Ok(Event::Init)),
            Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(event)
    })
}

/// The object, or as it was when it last fitted, or nothing.
fn fitting<K>(guard: DeserializeGuard<K>, known: &Store<K>, logged: &mut Logged) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let invalid = match guard.0 {
        Ok(object) => {
            logged.forget(object.meta().uid.as_deref());
            return Some(object);
        }
        Err(invalid) => invalid,
    };
    let name = invalid.metadata.name.clone().unwrap_or_default();
    let object = ObjectRef::<K>::new(&name).within(invalid.metadata.namespace.as_deref().unwrap_or_default());
    let before = known.get(&object).filter(|before| before.uid() == invalid.metadata.uid);
    if logged.is_news(invalid.metadata.uid.as_deref(), &invalid.error) {
        tracing::warn!(
            %object,
            error = short_line(&invalid.error, SAID),
            known = before.is_some(),
            "this object does not fit its type and is left alone: correct it, or install the chart operator-crds of this version"
        );
    }
    let mut object = K::clone(&*before?);
    // Its deletion and its finalizers are heard; its generation stays that of the part that is acted on.
    let generation = object.meta().generation;
    *object.meta_mut() = invalid.metadata;
    object.meta_mut().generation = generation;
    Some(object)
}

/// What was logged of which object, so that a list that is read again says nothing twice.
#[derive(Default)]
struct Logged(HashMap<String, String>);

impl Logged {
    fn is_news(&mut self, uid: Option<&str>, error: &str) -> bool {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(uid.unwrap_or_default().to_owned(), error.to_owned()).as_deref() != Some(error)
    }

    fn forget(&mut self, uid: Option<&str>) {
        if !self.0.is_empty() {
            self.0.remove(uid.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use crds::Subject;
    use serde_json::json;

    use super::*;

    /// As the API server's list has it.
    fn listed(name: &str, location: &serde_json::Value) -> DeserializeGuard<Subject> {
        let object = json!({
            "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
            "metadata": {"name": name, "namespace": "ns", "uid": name, "generation": 1},
            "spec": {"where": location},
        });
        serde_json::from_value(object).unwrap()
    }

    fn good(name: &str) -> DeserializeGuard<Subject> {
        listed(name, &json!({"docker": {"project": "shop"}}))
    }

    fn bad(name: &str) -> DeserializeGuard<Subject> {
        listed(name, &json!({"docker": {"project": 7}}))
    }

    /// Runs events through to a store; the names of what a controller would reconcile, and of what is stored.
    async fn play(events: Vec<Event<DeserializeGuard<Subject>>>) -> (Vec<String>, Vec<String>) {
        let (reader, writer) = store::<Subject>();
        let events = futures::stream::iter(events.into_iter().map(Ok));
        let seen: Vec<_> = reflector(writer, readable(events, reader.clone()))
            .applied_objects()
            .map(|object| object.unwrap().name_any())
            .collect()
            .await;
        let mut stored: Vec<_> = reader.state().iter().map(|object| object.name_any()).collect();
        stored.sort();
        (seen, stored)
    }

    #[tokio::test]
    async fn one_that_does_not_fit_stops_nobody_else() {
        let (seen, stored) = play(vec![
            Event::Init,
            Event::InitApply(good("a")),
            Event::InitApply(bad("b")),
            Event::InitApply(good("c")),
            Event::InitDone,
            Event::Apply(bad("d")),
            Event::Apply(good("e")),
        ])
        .await;
        assert_eq!(seen, ["a", "c", "e"]);
        assert_eq!(stored, ["a", "c", "e"]);
    }

    #[tokio::test]
    async fn one_that_fitted_before_goes_on_as_it_was() {
        let begin = || vec![Event::Init, Event::InitApply(good("a")), Event::InitDone];
        let mut events = begin();
        events.extend([Event::Apply(bad("a")), Event::Init, Event::InitApply(bad("a")), Event::InitDone]);
        assert_eq!(play(events).await.1, ["a"]);
        let mut events = begin();
        events.push(Event::Delete(bad("a")));
        assert_eq!(play(events).await.1, Vec::<String>::new());
    }

    #[test]
    fn its_deletion_is_heard_and_its_last_good_spec_kept() {
        let (reader, mut writer) = store::<Subject>();
        writer.apply_watcher_event(&Event::Apply(good("a").0.unwrap()));
        let mut invalid = bad("a");
        invalid.meta_mut().generation = Some(2);
        invalid.meta_mut().resource_version = Some("7".into());
        let kept = fitting(invalid, &reader, &mut Logged::default()).unwrap();
        assert_eq!(kept.spec.r#where.docker.unwrap().project, "shop");
        assert_eq!((kept.metadata.generation, kept.metadata.resource_version.as_deref()), (Some(1), Some("7")));
        let mut another = bad("a");
        another.meta_mut().uid = Some("of its successor".into());
        assert_eq!(fitting(another, &reader, &mut Logged::default()), None);
    }

    #[test]
    fn it_is_logged_once_until_it_changes() {
        let mut logged = Logged::default();
        assert!(logged.is_news(Some("1"), "x") && !logged.is_news(Some("1"), "x"));
        assert!(logged.is_news(Some("1"), "y") && logged.is_news(Some("2"), "y"));
        logged.forget(Some("1"));
        assert!(logged.is_news(Some("1"), "y"));
    }
}
