//! `Incident`: something is wrong.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::KnownAlert;

/// Notes that an Incident may have. The rule that they are only ever added counts up to it.
pub const MOST_NOTES: usize = 32;

/// Something is wrong with a Subject. `title` and `subjectRef` suffice.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operator.dev",
    version = "v1alpha1",
    kind = "Incident",
    plural = "incidents",
    singular = "incident",
    shortname = "inc",
    category = "operator",
    namespaced,
    status = "IncidentStatus",
    doc = "Something is wrong with a Subject. A title and a subjectRef suffice.",
    derive = "PartialEq",
    selectable = ".spec.severity",
    selectable = ".spec.subjectRef.name",
    selectable = ".status.phase",
    printcolumn = r#"{"name":"Severity","type":"string","jsonPath":".spec.severity"}"#,
    printcolumn = r#"{"name":"Subject","type":"string","jsonPath":".spec.subjectRef.name"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Verified","type":"string","jsonPath":".status.conditions[?(@.type==\"Verified\")].status"}"#,
    printcolumn = r#"{"name":"Title","type":"string","jsonPath":".spec.title"}"#,
    printcolumn = r#"{"name":"Commands","type":"integer","jsonPath":".status.commands"}"#,
    printcolumn = r#"{"name":"Cost","type":"string","jsonPath":".status.cost"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Session","type":"string","priority":1,"jsonPath":".status.sessionId"}"#,
    printcolumn = r#"{"name":"Place","type":"integer","priority":1,"jsonPath":".status.queuePosition"}"#,
    printcolumn = r#"{"name":"Root cause","type":"string","priority":1,"jsonPath":".status.rootCause"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.message"}"#
)]
#[x_kube(
    validation = Rule::new("self.subjectRef == oldSelf.subjectRef").message("subjectRef cannot be changed: apply a new Incident for another Subject").field_path(".subjectRef"),
    validation = Rule::new("self.attempt >= oldSelf.attempt").message("attempt can only be raised: each raise starts a new session").field_path(".attempt"),
    validation = Rule::new("!has(self.cancel) || self.cancel <= self.attempt").message("cancel is the number of the attempt to cancel: it cannot be beyond spec.attempt").field_path(".cancel"),
    validation = Rule::new("!has(self.acknowledged) || self.acknowledged <= self.attempt").message("acknowledged is the number of the attempt whose end was noticed: it cannot be beyond spec.attempt").field_path(".acknowledged"),
    validation = Rule::new("!has(oldSelf.notes) || (has(self.notes) && self.notes.size() >= oldSelf.notes.size() && [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31].all(i, i >= oldSelf.notes.size() || self.notes[i] == oldSelf.notes[i]))").message("notes are only ever added, behind the ones that are there: the agent may have heard them").field_path(".notes")
)]
#[serde(rename_all = "camelCase")]
pub struct IncidentSpec {
    /// What is wrong, in one line.
    #[validate(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new("self.trim().size() > 0 && !self.contains('\\n')").message("title is one line that says what is wrong"))]
    pub title: String,

    /// The Subject, in the same namespace.
    pub subject_ref: SubjectReference,

    /// What is known: symptoms, since when, what changed. Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 32768))]
    pub description: String,

    /// How bad it is. Worse ones are worked on first.
    #[serde(default)]
    pub severity: Severity,

    /// What was seen, and by whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 64))]
    pub evidence: Vec<Evidence>,

    /// What opened it, unless a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,

    /// What should differ from the installation's defaults for this Incident's agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentOverrides>,

    /// Raise it to try again with a new session.
    #[serde(default = "first_attempt")]
    #[validate(range(min = 1, max = 1000))]
    pub attempt: i64,

    /// The number of the attempt to cancel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 1000))]
    pub cancel: Option<i64>,

    /// The number of the attempt whose end a person has taken note of: receivers of notices are told that nobody is
    /// waited for any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 1000))]
    pub acknowledged: Option<i64>,

    /// What a person has to say to the agent. Notes are only ever added, behind the ones that are there; a new one
    /// reaches the agent before its next turn. Each attempt hears all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 32))]
    pub notes: Vec<Note>,

    /// How long the Incident stays after its end, for example `24h`; `0s` deletes it at once. Its trail stays. The
    /// installation's configuration says what holds when this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('8760h')").message("ttlAfterFinished is a duration between 0s and 8760h, such as 24h or 30m"))]
    pub ttl_after_finished: Option<Duration>,
}

/// A person's words to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Who says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 253))]
    pub author: Option<String>,
    /// The words.
    #[validate(length(min = 1, max = 4096))]
    #[x_kube(validation = Rule::new("self.trim().size() > 0").message("a note says something"))]
    pub text: String,
    /// When it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

fn first_attempt() -> i64 {
    1
}

/// A Subject by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectReference {
    /// Its name, in the Incident's namespace.
    #[validate(length(min = 1, max = 253))]
    pub name: String,
}

/// How bad it is, worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Users are without service.
    Critical,
    /// Something fails.
    #[default]
    Error,
    /// Something will fail.
    Warning,
    /// Worth a look.
    Info,
}

impl Severity {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Who or what saw it.
    #[validate(length(min = 1, max = 253))]
    pub source: String,
    /// What was seen.
    #[validate(length(min = 1, max = 4096))]
    pub message: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}

/// What opened an Incident: the monitor, because an invariant was violated; or an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Tells the fault from others of the Subject: a hash of Subject, invariant and key, or of the alert. The label
    /// `operator.dev/fingerprint` has the same.
    #[validate(length(min = 8, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]+$')").message("fingerprint has hexadecimal digits"))]
    pub fingerprint: String,
    /// The invariants that were violated when it was opened, each with its key, and those that joined it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 64))]
    pub violated: Vec<Violated>,
    /// The alerts that it is about: the one that opened it, and those that joined it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 1024))]
    pub alerts: Vec<KnownAlert>,
    /// The name of the Incident of the same fingerprint that was resolved shortly before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 253))]
    pub recurrence_of: Option<String>,
    /// How often the same came again within the Subject's recurrence window, this one included; 0 for the first.
    #[serde(default)]
    #[validate(range(min = 0, max = 10_000))]
    pub recurrences: i64,
}

/// An invariant, and the key that violates it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Violated {
    /// The invariant.
    #[validate(length(min = 1, max = 63))]
    pub invariant: String,
    /// The key; empty for an invariant without `forEach`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 253))]
    pub key: String,
}

/// What should differ from the installation's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentOverrides {
    /// The model. The installation's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// Added to the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 16384))]
    pub system_prompt: Option<String>,
    /// The agent's image, from the list that the configuration allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Whether the agent may change the system (`Act`), or only look at it (`Observe`).
    #[serde(default)]
    pub mode: AgentMode,
    /// Limits for the session. The Subject's policy is a ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// Whether the agent may change the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AgentMode {
    /// It may repair.
    #[default]
    Act,
    /// It may only look: every change of a container, network or volume is refused.
    Observe,
}

/// Limits of a session. What is absent comes from the Subject's policy, then from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Turns of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 1000))]
    pub turns: Option<i64>,
    /// Tokens that the model reads and writes, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1000, max = 1_000_000_000))]
    pub tokens: Option<i64>,
    /// Dollars that the model may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 100000.0").message("dollars is more than 0 and at most 100000"))]
    pub dollars: Option<f64>,
    /// Bytes that commands may print, all together, whether the model sees them or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1000, max = 1_000_000_000_000_i64))]
    pub output_bytes: Option<i64>,
    /// Time from the start of the session to its end, for example `30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("wallTime is a duration between 1s and 24h, such as 30m or 1h30m"))]
    pub wall_time: Option<Duration>,
    /// Time for one command unless the agent asks for more, for example `120s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')").message("commandTimeout is a duration between 1s and 1h, such as 120s"))]
    pub command_timeout: Option<Duration>,
}

/// Where an Incident stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum IncidentPhase {
    /// Not begun: not accepted, queued, or waiting for something that is missing.
    #[default]
    Pending,
    /// The agent works.
    Running,
    /// The agent says done; Operator looks for itself.
    Verifying,
    /// Proven healthy.
    Resolved,
    /// The agent says done, and nothing could prove it.
    Concluded,
    /// A person is needed.
    Escalated,
    /// Operator itself could not work.
    Failed,
    /// A person cancelled it.
    Cancelled,
}

impl IncidentPhase {
    /// Whether the attempt is over.
    #[must_use]
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Verifying)
    }

    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Verifying => "Verifying",
            Self::Resolved => "Resolved",
            Self::Concluded => "Concluded",
            Self::Escalated => "Escalated",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The phase of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Running,
            Self::Verifying,
            Self::Resolved,
            Self::Concluded,
            Self::Escalated,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|phase| phase.as_str() == text)
    }
}

/// What the controller says of an Incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(default)]
    pub phase: IncidentPhase,
    /// `Accepted`, `SessionReady`, `Concluded`, `Verified`, `Finished`; and `Notified` where somebody is to be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What it is doing or waiting for, or how it ended, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The attempt that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The attempt's session: `operator audit show` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The model that plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The agent's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Place in the queue, from 1, while it waits for a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i64>,
    /// How many of `spec.notes` the agent was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes_heard: Option<i64>,
    /// Turns of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<i64>,
    /// Commands begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<i64>,
    /// Tokens so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Cost so far, such as `$0.31`; `unknown` when the model has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// When the session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the attempt was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The root cause as the agent found it, in one printable line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<String>,
    /// What happened and what was done, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What a person should do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<String>,
    /// The end of the session's trail as this controller has written it: what `operator audit verify` compares with
    /// the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditHead>,
    /// Who was told that a person is needed, each receiver once; `Notified` says whether all were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["receiver".into()]))]
    pub notices: Vec<NoticeStatus>,
    /// The last dozen audit entries, short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_entries: Vec<RecentEntry>,
}

/// What a receiver of notices was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoticeStatus {
    /// The receiver, as the configuration calls it.
    pub receiver: String,
    /// Why a person is needed: `Escalated` or `Failed`.
    pub reason: String,
    /// The attempt that ended so.
    pub attempt: i64,
    /// When it was told that.
    pub told_at: Time,
    /// When it was told that nobody is needed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

/// Tokens so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Read by the model, cached ones included.
    pub input: i64,
    /// Written by the model.
    pub output: i64,
    /// Of the ones read, those that came from the prompt cache.
    pub cached: i64,
}

/// The end of a session's chain of entries, and of the installation's chain of links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditHead {
    /// Number of the session's last entry.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    /// Number of the installation's last link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<i64>,
    /// Its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_hash: Option<String>,
}

/// One line of the trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentEntry {
    /// Its number.
    pub seq: i64,
    /// Its kind.
    pub kind: String,
    /// When.
    pub at: Time,
    /// One short printable line.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use kube::core::cel::{validate_cel, validate_cel_update};
    use serde_json::json;

    use super::*;

    fn incident(more: &serde_json::Value) -> Incident {
        let mut spec = json!({"title": "t", "subjectRef": {"name": "s"}});
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            spec[key] = value;
        }
        let object =
            json!({"apiVersion": "operator.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "i"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn notes(texts: &[&str]) -> Incident {
        let notes: Vec<_> = texts.iter().map(|text| json!({"text": text, "author": "jane"})).collect();
        incident(&json!({"notes": notes}))
    }

    #[test]
    fn notes_are_only_ever_added() {
        let many: Vec<String> = (0..MOST_NOTES).map(|i| format!("note {i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let old = notes(&many[..31]);
        assert!(validate_cel_update(&notes(&many), &old).is_ok());
        assert!(validate_cel_update(&notes(&many), &incident(&json!({}))).is_ok());
        assert!(validate_cel_update(&old, &old).is_ok());
        let mut swapped = many.clone();
        swapped.swap(3, 30);
        for refused in [&many[1..], &many[..30], &swapped[..], &[]] {
            let error = validate_cel_update(&notes(refused), &old).unwrap_err().to_string();
            assert!(error.contains("notes are only ever added"), "{error}");
        }
        // The very last one is looked at as well.
        let mut last = many.clone();
        last[MOST_NOTES - 1] = "another";
        assert!(validate_cel_update(&notes(&last), &notes(&many)).is_err());
    }

    #[test]
    fn an_age_is_a_duration() {
        for right in ["0s", "24h", "1h30m", "8760h"] {
            assert!(validate_cel(&incident(&json!({"ttlAfterFinished": right}))).is_ok(), "{right}");
        }
        let error = validate_cel(&incident(&json!({"ttlAfterFinished": "8761h"}))).unwrap_err().to_string();
        assert!(error.contains("between 0s and 8760h"), "{error}");
        assert!(validate_cel(&notes(&["  "])).is_err(), "an empty note");
    }
}
