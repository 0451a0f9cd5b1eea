//! Names and labels of what a session has on the engine.

use std::collections::HashMap;

use crate::sandbox::SandboxRequest;
use crate::session::SessionId;

/// Whose it is: nothing without this label, and this value, is ever touched.
pub const INSTALLATION: &str = crds::names::LABEL_INSTALLATION;
/// The session.
pub const SESSION: &str = crds::names::LABEL_SESSION;
/// `namespace/name` of the Subject.
pub const SUBJECT: &str = crds::names::LABEL_SUBJECT;
/// The compose project beside which a container stands.
pub const PROJECT: &str = "operator.dev/project";
/// Networks beside the project's own that a container may reach, joined by commas.
pub(super) const EGRESS: &str = "operator.dev/egress";
/// Compose's own label of a project.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";

pub(super) fn container(session: &SessionId) -> String {
    format!("operator-agent-{session}")
}

pub(super) fn volume(session: &SessionId) -> String {
    format!("operator-spool-{session}")
}

pub(super) fn labels(installation: &str, request: &SandboxRequest) -> HashMap<String, String> {
    let labels = [
        (INSTALLATION, installation),
        (SESSION, request.session.as_str()),
        (SUBJECT, &request.subject),
        (PROJECT, &request.project),
        ("app.kubernetes.io/managed-by", "operator"),
    ];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

/// The filter for a list: things that carry all of these labels.
pub(super) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let labels = labels.iter().map(|(label, value)| format!("{label}={value}"));
    HashMap::from([("label".to_owned(), labels.collect())])
}
