//! What somebody means by SESSION|INCIDENT.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};

use super::AuditCliError;
use super::source::Source;
use crate::audit::{SessionFilter, SessionRecord};
use crate::session::SessionId;

/// How many names an error lists.
const NEAR: usize = 5;

/// A session by its id, or an Incident by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Session(SessionId),
    Incident { namespace: String, name: String },
}

impl Target {
    pub(super) fn parse(text: &str, namespace: &str) -> Self {
        if SessionId::is_valid(text) {
            return Self::Session(SessionId::from(text.to_owned()));
        }
        // As kubectl has it, also KIND/NAME.
        let (namespace, name) = match text.split_once('/') {
            Some(("incident" | "incidents" | "inc", name)) => (namespace, name),
            Some((namespace, name)) => (namespace, name),
            None => (namespace, text),
        };
        Self::Incident { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// All sessions of an Incident, the first attempt first.
pub(super) async fn sessions_of(
    source: &Source,
    namespace: &str,
    name: &str,
) -> Result<Vec<SessionRecord>, AuditCliError> {
    let filter = SessionFilter {
        namespace: Some(namespace.to_owned()),
        incident: Some(name.to_owned()),
        limit: Some(crate::audit::reader::MAX_SESSIONS),
        ..SessionFilter::default()
    };
    let mut sessions = source.reader.sessions(&filter).await?;
    sessions.reverse();
    Ok(sessions)
}

/// That there is no such session, with those that it may have been meant to be.
pub(super) async fn no_session(source: &Source, id: &SessionId) -> AuditCliError {
    let known = source.reader.sessions(&SessionFilter { limit: Some(200), ..SessionFilter::default() }).await;
    let known: Vec<String> = known.unwrap_or_default().into_iter().map(|session| session.new.id.to_string()).collect();
    AuditCliError::NotFound(format!("there is no session {id}{}", near(id.as_str(), known, "the nearest")))
}

/// That the Incident has no session, with those that have.
pub(super) async fn no_incident(source: &Source, namespace: &str, name: &str) -> AuditCliError {
    let filter = SessionFilter { namespace: Some(namespace.to_owned()), limit: Some(200), ..SessionFilter::default() };
    let known = source.reader.sessions(&filter).await.unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|session| session.new.incident_name).collect();
    AuditCliError::NotFound(format!(
        "there is no session of an Incident {name:?} in the namespace {namespace:?}{}",
        near(name, known, "with sessions there")
    ))
}

/// Whether the cluster has the Incident, as far as it can be asked.
pub(super) async fn must_exist(source: &Source, namespace: &str, name: &str) -> Result<(), AuditCliError> {
    let Some(client) = &source.cluster else { return Ok(()) };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("operator.dev", "v1alpha1", "Incident"));
    let incidents: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    match incidents.get_metadata_opt(name).await {
        Ok(None) => match incidents.list_metadata(&ListParams::default().limit(200)).await {
            Ok(list) => {
                let known = list.items.into_iter().filter_map(|incident| incident.metadata.name).collect();
                let near = near(name, known, "there are");
                Err(AuditCliError::NotFound(format!(
                    "there is no Incident {name:?} in the namespace {namespace:?}{near}"
                )))
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(AuditCliError::NotFound(
                "the cluster does not know Incidents: the CRDs of Operator are not installed (chart operator-crds)"
                    .into(),
            )),
            Err(_) => Ok(()),
        },
        // There, or no right to look: then the trail alone has to tell.
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

/// `: the nearest are a, b, c`, or nothing.
fn near(wanted: &str, mut known: Vec<String>, words: &str) -> String {
    known.sort();
    known.dedup();
    known.sort_by_key(|name| distance(wanted, name));
    known.truncate(NEAR);
    if known.is_empty() { String::new() } else { format!(" ({words}: {})", known.join(", ")) }
}

/// How many letters have to change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
        let id = "2026-01-28T20-54-48-3a029c12";
        assert_eq!(Target::parse(id, "default"), Target::Session(SessionId::from(id.to_owned())));
        let incident =
            |namespace: &str, name: &str| Target::Incident { namespace: namespace.into(), name: name.into() };
        assert_eq!(Target::parse("redis", "default"), incident("default", "redis"));
        assert_eq!(Target::parse("demo/redis", "default"), incident("demo", "redis"));
        assert_eq!(Target::parse("inc/redis", "default"), incident("default", "redis"));
    }

    #[test]
    fn the_nearest_first() {
        assert_eq!(distance("kitten", "sitting"), 3);
        let known = ["etcd-down", "redis-readonly", "redis-slow"].map(str::to_owned).to_vec();
        assert!(near("redis-readnly", known, "there are").starts_with(" (there are: redis-readonly, redis-slow"));
        assert_eq!(near("x", vec![], "there are"), "");
    }
}
