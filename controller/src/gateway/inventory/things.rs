//! The subject's things as the engine lists them, and which of them a client means.

use std::collections::HashMap;

use http::StatusCode;
use serde::Deserialize;

use crate::gateway::refusal::Refusal;

/// Compose's label of a service.
const SERVICE: &str = "com.docker.compose.service";

/// One of the subject's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The full id.
    pub id: String,
    /// Its names, each with a slash in front.
    #[serde(default)]
    pub names: Vec<String>,
    /// The image as it was named, or its id.
    #[serde(default)]
    pub image: String,
    /// The image's id.
    #[serde(default, rename = "ImageID")]
    pub image_id: String,
    /// `running`, `exited` and so on.
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub(super) labels: Option<HashMap<String, String>>,
}

impl Container {
    /// Its name, without links.
    #[must_use]
    pub fn name(&self) -> &str {
        let mut names = self.names.iter().filter_map(|name| name.strip_prefix('/'));
        names.find(|name| !name.contains('/')).unwrap_or(&self.id)
    }

    /// Its compose service.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.labels.as_ref()?.get(SERVICE).map(String::as_str)
    }
}

/// One of the subject's networks or volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Named {
    /// The full id; of a volume nothing.
    #[serde(default)]
    pub id: String,
    /// The name.
    pub name: String,
    #[serde(default)]
    pub(super) labels: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) options: serde_json::Value,
}

impl Named {
    /// Whether a volume is a path of the host in disguise.
    pub(super) fn is_bound(&self) -> bool {
        let device = self.options.get("device").and_then(serde_json::Value::as_str);
        device.is_some_and(|device| device.starts_with('/'))
    }
}

/// The engine's answer to `GET /volumes`.
#[derive(Deserialize)]
pub(super) struct Volumes {
    #[serde(default, rename = "Volumes")]
    pub(super) volumes: Option<Vec<Named>>,
}

/// A name with a tag, as the engine writes it.
pub(super) fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') || last.contains('@') { name.to_owned() } else { format!("{name}:latest") }
}

/// Which one is meant: a full id, else a name, else the beginning of exactly one id, as the engine does it.
pub(super) fn pick<'a, T>(
    kind: &str,
    wanted: &str,
    things: &'a [T],
    id: impl Fn(&T) -> &String,
    named: impl Fn(&T, &str) -> bool,
) -> Result<&'a T, Refusal> {
    let exact = things.iter().find(|thing| id(thing) == wanted);
    if let Some(thing) = exact.or_else(|| things.iter().find(|thing| named(thing, wanted))) {
        return Ok(thing);
    }
    let mut begins = things.iter().filter(|thing| !wanted.is_empty() && id(thing).starts_with(wanted));
    match (begins.next(), begins.next()) {
        (Some(thing), None) => Ok(thing),
        (Some(_), Some(_)) => Err(Refusal::bad(format!("several of the subject's {kind}s begin with {wanted}"))),
        _ if kind == "network" => Err(Refusal::new(StatusCode::NOT_FOUND, format!("network {wanted} not found"))),
        _ => Err(Refusal::not_found(kind, wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str) -> Container {
        Container { id: id.into(), names: vec![format!("/{name}"), "/other/alias".into()], ..Container::default() }
    }

    fn found(wanted: &str) -> Result<String, Refusal> {
        let list = [container("abc1", "web"), container("abd2", "abc"), container("ffff", "abd2")];
        pick(
            "container",
            wanted,
            &list,
            |c| &c.id,
            |c, name| c.names.iter().any(|own| own.strip_prefix('/') == Some(name)),
        )
        .map(|container| container.id.clone())
    }

    #[test]
    fn an_id_goes_before_a_name_and_a_name_before_the_beginning_of_an_id() {
        assert_eq!(found("abd2").unwrap(), "abd2");
        assert_eq!(found("abc").unwrap(), "abd2");
        assert_eq!(found("abc1").unwrap(), "abc1");
        assert_eq!(found("f").unwrap(), "ffff");
    }

    #[test]
    fn what_could_be_two_is_none() {
        assert_eq!(found("ab").unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        assert_eq!(found("zz").unwrap_err(), Refusal::not_found("container", "zz"));
        assert_eq!(found("").unwrap_err().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_name_is_shown_without_links() {
        let mut linked = container("abc1", "web");
        linked.names.reverse();
        assert_eq!(linked.name(), "web");
    }

    #[test]
    fn a_tag_is_latest_if_there_is_none() {
        assert_eq!(tagged("redis"), "redis:latest");
        assert_eq!(tagged("localhost:5000/redis"), "localhost:5000/redis:latest");
        assert_eq!(tagged("redis:7"), "redis:7");
    }
}
