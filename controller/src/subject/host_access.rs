//! The condition `HostAccess`: which containers of a subject would give the host away.
//!
//! Whoever may run a command in such a container, or replace it, has the machine. So they are closed
//! to the agent unless the Subject trusts it with them, and the person who wrote the Subject should
//! see which these are before an agent finds them.

use std::time::Duration;

use crds::condition::ConditionStatus;

use crate::printable::{one_line, short_line};
use crate::sandbox::{HostAccess, SandboxError, SandboxProvider};

/// The condition's type.
pub(super) const TYPE: &str = "HostAccess";
/// How long the engine may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How many containers are named.
const NAMED: usize = 20;
/// How many characters of one container's reasons are shown.
const REASONS: usize = 300;

/// Asks the engine. Bounded in time.
pub(super) async fn look(sandboxes: &dyn SandboxProvider, project: &str) -> Result<Vec<HostAccess>, SandboxError> {
    tokio::time::timeout(LIMIT, sandboxes.host_access(project)).await.unwrap_or_else(|_| {
        Err(SandboxError::EngineUnavailable { reason: format!("it did not answer within {LIMIT:?}") })
    })
}

/// The condition. Pure.
pub(super) fn condition(
    found: &Result<Vec<HostAccess>, SandboxError>,
    trusted: bool,
) -> (ConditionStatus, &'static str, String) {
    let found = match found {
        Err(error) => return (ConditionStatus::Unknown, error.category(), one_line(&error.to_string())),
        Ok(found) if found.is_empty() => {
            let message = "none of the compose project's containers would give the host away".to_owned();
            return (ConditionStatus::False, "NoneFound", message);
        }
        Ok(found) => found,
    };
    let mut named: Vec<String> = found.iter().map(in_words).collect();
    // The engine's order changes from one look to the next.
    named.sort();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let (reason, what) = if trusted {
        ("Trusted", "open to the agent, because policy.trustHostAccess is true")
    } else {
        ("Closed", "closed to the agent's exec, cp and start (policy.trustHostAccess opens them)")
    };
    (ConditionStatus::True, reason, format!("containers that would give the host away, {what}: {}", named.join("; ")))
}

fn in_words(container: &HostAccess) -> String {
    let reasons = container.reasons.join(", ");
    format!("{} ({})", one_line(&container.container), short_line(&reasons, REASONS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::CommandResult;
    use crate::sandbox::fake::FakeProvider;

    fn container(name: &str, reasons: &[&str]) -> HostAccess {
        HostAccess { container: name.into(), reasons: reasons.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn each_container_is_named_with_its_reasons_and_whether_it_is_closed() {
        let found = Ok(vec![container("web", &["privileged", "the host's network"]), container("db\u{202e}", &["/"])]);
        let (status, reason, message) = condition(&found, false);
        assert_eq!((status, reason), (ConditionStatus::True, "Closed"));
        assert!(message.contains("closed to the agent's exec, cp and start"), "{message}");
        assert!(message.ends_with(": db\\u{202e} (/); web (privileged, the host's network)"), "{message}");
        let (status, reason, message) = condition(&found, true);
        assert_eq!((status, reason), (ConditionStatus::True, "Trusted"));
        assert!(message.contains("open to the agent"), "{message}");
    }

    #[test]
    fn a_hundred_of_them_fit_into_a_condition() {
        let many = (0..100).map(|n| container(&format!("c{n}"), &["x".repeat(5000).as_str()])).collect();
        let (_, _, message) = condition(&Ok(many), false);
        assert!(message.len() < 20_000 && message.ends_with("; and 80 more"), "{}", message.len());
    }

    #[tokio::test]
    async fn what_the_engine_says_becomes_the_condition() {
        let engine = FakeProvider::new(|_| CommandResult::exited(0, "", ""));
        let (status, reason, _) = condition(&look(&engine, "shop").await, false);
        assert_eq!((status, reason), (ConditionStatus::False, "NoneFound"));
        engine.set_host_access(Ok(vec![container("web", &["privileged"])]));
        assert_eq!(condition(&look(&engine, "shop").await, false).0, ConditionStatus::True);
        engine.set_host_access(Err(SandboxError::EngineUnavailable { reason: "no socket".into() }));
        let (status, reason, message) = condition(&look(&engine, "shop").await, false);
        assert_eq!((status, reason), (ConditionStatus::Unknown, "EngineUnavailable"));
        assert!(message.contains("no socket"), "{message}");
    }
}
