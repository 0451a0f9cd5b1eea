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
/// What a session's container is for: `agent` or `gateway`.
pub const ROLE: &str = "operator.dev/role";
/// Networks beside the project's own that a container may reach, joined by commas.
pub(super) const EGRESS: &str = "operator.dev/egress";
/// Compose's own label of a project.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";

pub(super) fn container(session: &SessionId) -> String {
    format!("operator-agent-{session}")
}

pub(super) fn gateway(session: &SessionId) -> String {
    format!("operator-gateway-{session}")
}

pub(super) fn volume(session: &SessionId) -> String {
    format!("operator-spool-{session}")
}

/// What one of a session's containers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The agent's commands run in it.
    Agent,
    /// It holds the engine's socket.
    Gateway,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Gateway => "gateway",
        }
    }
}

pub(super) fn labels(installation: &str, request: &SandboxRequest, role: Role) -> HashMap<String, String> {
    let labels = [
        (INSTALLATION, installation),
        (SESSION, request.session.as_str()),
        (SUBJECT, &request.subject),
        (PROJECT, &request.project),
        (ROLE, role.as_str()),
        ("app.kubernetes.io/managed-by", "operator"),
    ];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

/// The filter for a list: things that carry all of these labels.
pub(super) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let labels = labels.iter().map(|(label, value)| format!("{label}={value}"));
    HashMap::from([("label".to_owned(), labels.collect())])
}
