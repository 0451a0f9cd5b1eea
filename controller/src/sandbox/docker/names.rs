//! Names and labels of what a session has on the engine.
//!
//! A container's name ends with the epoch that made it, for people and so that no late call of a former
//! leader makes one in the place of its successor's. It is found by its labels: who leads next keeps
//! what stands, under the name that it has.

use std::collections::HashMap;

use crate::sandbox::SandboxRequest;
use crate::session::SessionId;

/// Whose it is: nothing without this label, and this value, is ever touched.
pub const INSTALLATION: &str = crds::names::LABEL_INSTALLATION;
/// The session.
pub const SESSION: &str = crds::names::LABEL_SESSION;
/// `namespace/name` of the Subject.
pub const SUBJECT: &str = crds::names::LABEL_SUBJECT;
/// The epoch of the controller that made a container.
pub const EPOCH: &str = "operator.dev/epoch";
/// The same, for the program in it.
const EPOCH_VARIABLE: &str = "OPERATOR_EPOCH";
/// The compose project beside which a container stands.
pub const PROJECT: &str = "operator.dev/project";
/// What a container is for: `agent` or `gateway` of a session, `observer` of a Subject, `fault` or `client` of a
/// demo's chapter.
pub const ROLE: &str = "operator.dev/role";
/// The UID of the Subject that an observer looks at.
pub(super) const SUBJECT_UID: &str = "operator.dev/subject-uid";
/// Networks beside the project's own that a container may reach, joined by commas.
pub(super) const EGRESS: &str = "operator.dev/egress";
/// Which action of a demo's chapter a helper was made for.
pub const FAULT: &str = "operator.dev/fault";
/// How all of compose's own labels begin.
pub(super) const COMPOSE: &str = "com.docker.compose";
/// Compose's own label of a project.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";

/// The name of a container for this role.
pub(super) fn container(session: &SessionId, role: Role, epoch: u64) -> String {
    format!("operator-{}-{session}-e{epoch}", role.as_str())
}

/// The name of a helper that sets an agent's walls: several may be at it, one after the other.
pub(super) fn wall(session: &str, epoch: u64) -> String {
    format!("operator-wall-{session}-e{epoch}-{:08x}", rand::random::<u32>())
}

/// The name of an observer: of a Subject, and of all that makes it what it is. Whoever leads finds it by this name.
pub(super) fn observer(uid: &str, hash: &str) -> String {
    let head = |text: &str| text.chars().filter(char::is_ascii_hexdigit).take(8).collect::<String>();
    format!("operator-observer-{}-{}", head(uid), head(hash))
}

/// The name of a helper of a chapter, by its key.
pub(super) fn fault(mark: &str) -> String {
    format!("operator-fault-{mark}")
}

/// The same for one that stands on the project's networks, where a name can be asked for: it is anybody's.
pub(super) fn client(mark: &str) -> String {
    format!("client-{mark}")
}

/// The volume for outcomes. It outlives containers, and so whoever made them.
pub(super) fn spool(session: &SessionId) -> String {
    format!("operator-spool-{session}")
}

/// The volume in which the gateway's socket stands.
pub(super) fn shared(session: &SessionId) -> String {
    format!("operator-gateway-{session}")
}

/// What a container is told of the epoch that makes it: in its environment, where a binary of an image
/// that is older than this one passes it over.
pub(super) fn environment(epoch: u64) -> Vec<String> {
    vec![format!("{EPOCH_VARIABLE}={epoch}")]
}

/// The epoch on a container's labels; 0 on one of before there were epochs.
pub(super) fn epoch(labels: Option<&HashMap<String, String>>) -> u64 {
    labels.and_then(|labels| labels.get(EPOCH)?.parse().ok()).unwrap_or(0)
}

/// What one of our containers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The agent's commands run in it.
    Agent,
    /// It holds the engine's socket.
    Gateway,
    /// It looks at the subject from inside of its networks.
    Observer,
    /// It does what a chapter says, beside or inside of the network of one container.
    Fault,
    /// It does what a chapter says on the project's networks.
    Client,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Observer => "observer",
            Self::Fault => "fault",
            Self::Client => "client",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_carries_its_epoch_and_is_no_longer_than_a_host_s() {
        let session = SessionId::from("2026-01-28T20-54-48-3a029c12".to_owned());
        assert_eq!(container(&session, Role::Agent, 7), "operator-agent-2026-01-28T20-54-48-3a029c12-e7");
        assert!(container(&session, Role::Gateway, 9_999_999_999).len() <= 63);
        assert!(wall(session.as_str(), 99_999_999).len() <= 63);
        assert_ne!(wall("s", 1), wall("s", 1));
        assert_eq!(observer("0a1b2c3d-4e5f-6071", "99887766aa"), "operator-observer-0a1b2c3d-99887766");
    }

    #[test]
    fn a_container_without_an_epoch_is_of_before_the_first() {
        let with = |value: &str| HashMap::from([(EPOCH.to_owned(), value.to_owned())]);
        assert_eq!((epoch(Some(&with("7"))), epoch(Some(&with("x"))), epoch(None)), (7, 0, 0));
    }
}
