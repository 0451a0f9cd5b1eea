//! The session that the measurements play: who it is, and what it is given.

use controller::agent::verify::Proving;
use controller::agent::{Budgets, DockerAccess, IncidentBrief, SessionInput, SubjectBrief};
use controller::audit::NewSession;
use controller::model::{Price, Pricing};
use controller::session::SessionId;
use serde_json::{Value, json};

/// The model that plays, as the offline model names the script `bench`.
const MODEL: &str = "offline-bench";

/// Its row.
pub(crate) fn new_session(id: &SessionId, incident: &str) -> NewSession {
    NewSession {
        id: id.clone(),
        incident_uid: format!("bench-{id}"),
        incident_namespace: "bench".into(),
        incident_name: incident.into(),
        attempt: 1,
        subject: "bench".into(),
        model: MODEL.into(),
        title: "A measurement".into(),
        severity: "info".into(),
        started_at: jiff::Timestamp::now(),
    }
}

/// What it is given.
pub(crate) fn input(id: &SessionId, incident: &str, budgets: Budgets) -> SessionInput {
    SessionInput {
        session: id.clone(),
        incident: IncidentBrief {
            namespace: "bench".into(),
            name: incident.into(),
            uid: format!("bench-{id}"),
            title: "A measurement".into(),
            description: None,
            severity: "info".into(),
            evidence: Value::Null,
            violated: Vec::new(),
            attempt: 1,
            notes: Vec::new(),
        },
        earlier: None,
        recurrence: None,
        recurring: None,
        proving: Proving::default(),
        subject: SubjectBrief {
            name: "bench".into(),
            description: None,
            location: json!({"docker": {"project": "bench"}}),
            networks: vec!["bench".into()],
        },
        model: MODEL.into(),
        system_addition: None,
        budgets,
        pricing: Pricing { known: true, price: Price::FREE },
        docker: DockerAccess::None,
        sandbox: Value::Null,
        operator_version: env!("CARGO_PKG_VERSION").into(),
    }
}
