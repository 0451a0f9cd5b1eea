//! The engine's answers, reduced to what is the subject's. Pure; whose things are whose is given.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

/// Characters of a full id.
const ID: usize = 64;

/// Headers of the engine that mean something to a client.
const HEADERS: [HeaderName; 5] = [
    CONTENT_TYPE,
    HeaderName::from_static("api-version"),
    HeaderName::from_static("ostype"),
    HeaderName::from_static("docker-experimental"),
    HeaderName::from_static("x-docker-container-path-stat"),
];

/// Those headers of an answer that are passed on.
#[must_use]
pub fn headers(from: &HeaderMap<HeaderValue>) -> HeaderMap<HeaderValue> {
    HEADERS.into_iter().filter_map(|name| Some((name.clone(), from.get(&name)?.clone()))).collect()
}

/// An error of the engine without ids of which the call itself does not speak: they may be another system's.
#[must_use]
pub fn without_ids(error: &[u8], call: &str) -> Bytes {
    let text = String::from_utf8_lossy(error);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        let is_hex = rest.starts_with(|c: char| c.is_ascii_hexdigit());
        let end = rest.find(|c: char| c.is_ascii_hexdigit() != is_hex).unwrap_or(rest.len());
        let (piece, more) = rest.split_at(end);
        let is_foreign_id = is_hex && piece.len() >= ID && !call.contains(piece);
        clean.push_str(if is_foreign_id { "(an id)" } else { piece });
        rest = more;
    }
    Bytes::from(clean)
}

fn list(answer: Value) -> Vec<Value> {
    if let Value::Array(list) = answer { list } else { Vec::new() }
}

/// A list of which the things stay whose labels are the subject's.
#[must_use]
pub fn owned(answer: Value, is_subject: impl Fn(&Map<String, Value>) -> bool) -> Value {
    let stays = |thing: &Value| thing.get("Labels").and_then(Value::as_object).is_some_and(&is_subject);
    list(answer).into_iter().filter(stays).collect()
}

/// Of a network the subject's own containers.
#[must_use]
pub fn network<S: std::hash::BuildHasher>(mut answer: Value, containers: &HashSet<&str, S>) -> Value {
    if let Some(Value::Object(connected)) = answer.get_mut("Containers") {
        connected.retain(|id, _| containers.contains(id.as_str()));
    }
    answer
}

/// A list of volumes, of which those stay whose labels are the subject's.
#[must_use]
pub fn volumes(mut answer: Value, is_subject: impl Fn(&Map<String, Value>) -> bool) -> Value {
    let volumes = answer.get_mut("Volumes").map(Value::take).unwrap_or_default();
    json!({ "Volumes": owned(volumes, is_subject), "Warnings": null })
}

/// A list of images, of which the subject's stay.
#[must_use]
pub fn images<S: std::hash::BuildHasher>(answer: Value, images: &HashMap<String, Vec<String>, S>) -> Value {
    let stays = |answer: Value| {
        let names = images.get(answer.get("Id")?.as_str()?)?;
        Some(image(answer, names))
    };
    list(answer).into_iter().filter_map(stays).collect()
}

/// An image with the names by which the subject goes, as others are not its business.
#[must_use]
pub fn image(mut answer: Value, names: &[String]) -> Value {
    let known = |tag: &Value| {
        let tag = tag.as_str().unwrap_or_default();
        names.iter().any(|name| name == tag || tag.strip_suffix(":latest") == Some(name))
    };
    if let Some(Value::Array(tags)) = answer.get_mut("RepoTags") {
        tags.retain(known);
    }
    if let Some(object) = answer.as_object_mut() {
        object.shift_remove("GraphDriver");
        object.shift_remove("RepoDigests");
    }
    answer
}

/// What `docker info` may say: facts that help, and none about the host or what else runs on it.
#[must_use]
pub fn info(answer: &Value, states: &[&str], images: usize) -> Value {
    let count = |wanted: &[&str]| states.iter().filter(|state| wanted.contains(state)).count();
    let mut info = Map::new();
    for name in ["ServerVersion", "OSType", "Architecture", "CgroupVersion", "CgroupDriver"] {
        if let Some(value) = answer.get(name) {
            info.insert(name.to_owned(), value.clone());
        }
    }
    let counts = json!({
        "ID": "", "Name": "operator-gateway", "Containers": states.len(), "ContainersRunning": count(&["running", "restarting"]),
        "ContainersPaused": count(&["paused"]),
        "ContainersStopped": count(&["created", "exited", "dead", "removing"]), "Images": images,
        "Swarm": { "LocalNodeState": "inactive" }, "Plugins": {}, "SecurityOptions": [], "Labels": [], "Warnings": [],
    });
    if let Value::Object(counts) = counts {
        info.extend(counts);
    }
    Value::Object(info)
}

/// Whose an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOwner {
    /// The subject's, by its labels.
    Subject,
    /// Whoever has this thing (kind and id), and this container with it if it names one.
    Of {
        /// `network` or `volume`.
        kind: &'static str,
        /// Its id.
        id: String,
        /// The container that is connected or mounts it.
        container: Option<String>,
    },
    /// Nobody's here.
    Other,
}

/// Whose an event is; `is_subject` judges labels.
#[must_use]
pub fn event_owner(event: &Value, is_subject: impl Fn(&Map<String, Value>) -> bool) -> EventOwner {
    let actor = event.get("Actor");
    let attributes = actor.and_then(|actor| actor.get("Attributes")).and_then(Value::as_object);
    let id = actor.and_then(|actor| actor.get("ID")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let container = attributes.and_then(|attributes| attributes.get("container")).and_then(Value::as_str);
    let container = container.map(str::to_owned);
    match event.get("Type").and_then(Value::as_str) {
        Some("container") if attributes.is_some_and(is_subject) => EventOwner::Subject,
        Some("network") => EventOwner::Of { kind: "network", id, container },
        Some("volume") => EventOwner::Of { kind: "volume", id, container },
        _ => EventOwner::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_that_mean_something_come_back() {
        let mut from = HeaderMap::new();
        for (name, value) in [("server", "Docker/20"), ("content-type", "application/json"), ("api-version", "1.41")] {
            from.insert(name, HeaderValue::from_static(value));
        }
        let passed = headers(&from);
        assert_eq!(passed.len(), 2);
        assert!(!passed.contains_key("server"));
    }

    #[test]
    fn a_list_keeps_the_subjects_things() {
        let subject = |labels: &Map<String, Value>| labels.get("p") == Some(&json!("shop"));
        let all = json!([{"Id": "a", "Labels": {}}, {"Id": "b", "Labels": {"p": "shop"}}, {"Labels": null}, {}, 3]);
        assert_eq!(owned(all.clone(), subject), json!([{"Id": "b", "Labels": {"p": "shop"}}]));
        assert_eq!(owned(json!({"message": "no"}), subject), json!([]));
        assert_eq!(volumes(json!({ "Volumes": all }), subject)["Volumes"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_network_shows_no_foreign_container() {
        let whole = json!({"Name": "n", "Containers": {"a": {"Name": "web"}, "b": {"Name": "agent"}}});
        assert_eq!(network(whole, &HashSet::from(["a"])), json!({"Name": "n", "Containers": {"a": {"Name": "web"}}}));
    }

    #[test]
    fn info_says_little() {
        let whole =
            json!({"ServerVersion": "20", "Name": "host", "DockerRootDir": "/var/lib/docker", "Containers": 70});
        let info = info(&whole, &["running", "exited", "exited"], 2);
        assert_eq!(info["Containers"], 3);
        assert_eq!(info["ContainersStopped"], 2);
        assert_eq!(info["Name"], "operator-gateway");
        assert_eq!(info["ServerVersion"], "20");
        assert!(info.get("DockerRootDir").is_none());
    }

    #[test]
    fn an_image_goes_by_the_names_that_the_subject_knows() {
        let whole = json!([{"Id": "i", "RepoTags": ["shop:1", "web:latest", "secret:2"]}, {"Id": "j", "RepoTags": []}]);
        let images = images(whole, &HashMap::from([("i".to_owned(), vec!["shop:1".to_owned(), "web".to_owned()])]));
        assert_eq!(images, json!([{"Id": "i", "RepoTags": ["shop:1", "web:latest"]}]));
    }

    #[test]
    fn an_error_names_no_id_but_the_one_that_was_asked_for() {
        let (own, foreign) = ("a".repeat(64), "b".repeat(64));
        let error = format!("{{\"message\":\"{own} cannot have the name of {foreign}: façade\"}}");
        let clean = without_ids(error.as_bytes(), &format!("/v1.41/containers/{own}/rename?name=x"));
        assert_eq!(clean, format!("{{\"message\":\"{own} cannot have the name of (an id): façade\"}}"));
    }

    #[test]
    fn events_belong_to_somebody() {
        let subject = |labels: &Map<String, Value>| labels.get("p") == Some(&json!("shop"));
        let of = |event: Value| event_owner(&event, subject);
        let mine = json!({"Type": "container", "Actor": {"ID": "a", "Attributes": {"p": "shop"}}});
        assert_eq!(of(mine), EventOwner::Subject);
        assert_eq!(of(json!({"Type": "container", "Actor": {"ID": "a", "Attributes": {}}})), EventOwner::Other);
        assert_eq!(of(json!({"Type": "image", "Actor": {"ID": "a", "Attributes": {"p": "shop"}}})), EventOwner::Other);
        let connect = json!({"Type": "network", "Actor": {"ID": "n", "Attributes": {"container": "c"}}});
        let owner = EventOwner::Of { kind: "network", id: "n".into(), container: Some("c".into()) };
        assert_eq!(of(connect), owner);
    }
}
