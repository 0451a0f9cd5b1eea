//! `Subject`: a system under care.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::AlertRule;
use crate::incident::{Budget, Severity};
use crate::invariant::{Display, Invariant, InvariantState};
use crate::probe::Probe;

/// A system that Operator looks after: where it runs, and what an agent should know of it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operator.dev",
    version = "v1alpha1",
    kind = "Subject",
    plural = "subjects",
    singular = "subject",
    shortname = "subj",
    category = "operator",
    namespaced,
    status = "SubjectStatus",
    doc = "A system under care: where it runs, and what an agent should know of it.",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Healthy","type":"string","jsonPath":".status.conditions[?(@.type==\"Healthy\")].status"}"#,
    printcolumn = r#"{"name":"Violated","type":"string","jsonPath":".status.violated"}"#,
    printcolumn = r#"{"name":"Observer","type":"date","jsonPath":".status.observer.startedAt"}"#,
    printcolumn = r#"{"name":"Project","type":"string","jsonPath":".spec.where.docker.project"}"#,
    printcolumn = r#"{"name":"Suspended","type":"boolean","jsonPath":".spec.suspend"}"#,
    printcolumn = r#"{"name":"Incidents","type":"integer","jsonPath":".status.openIncidents"}"#,
    printcolumn = r#"{"name":"Open","type":"string","jsonPath":".status.openIncident"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Last incident","type":"string","priority":1,"jsonPath":".status.lastIncident"}"#,
    printcolumn = r#"{"name":"Observed","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Observed\")].reason"}"#,
    printcolumn = r#"{"name":"Host access","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"HostAccess\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Accepted\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SubjectSpec {
    /// Where the system runs. Exactly one of `docker` and `kubernetes`.
    #[x_kube(validation = Rule::new("has(self.docker) != has(self.kubernetes)").message("say where the system runs: exactly one of where.docker and where.kubernetes"))]
    pub r#where: Where,

    /// What an agent should know of the system: its parts, their names on the network, what healthy
    /// looks like. Markdown; not a playbook.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 32768))]
    pub description: String,

    /// What is looked at, from inside of the system's networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub probes: Vec<Probe>,

    /// What has to hold. One that is violated opens an Incident, and none may be before an Incident is `Resolved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub invariants: Vec<Invariant>,

    /// Which alerts are this system's. One that is opens an Incident, as an invariant does that is violated: an alert is
    /// the Subject's if any of these rules fits. None: no alert is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 32))]
    pub alerts: Vec<AlertRule>,

    /// What a screen shows of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<Display>,

    /// Limits for the agent's work on this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,

    /// Maintenance: no new session starts while this is true, and its Incidents leave the queue. A session that runs
    /// goes on to its end; `spec.cancel` of its Incident ends it.
    #[serde(default)]
    pub suspend: bool,
}

/// Where a system runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Where {
    /// A compose project on the controller's Docker engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerPlace>,
    /// A namespace of this cluster. Not supported by this version: the Subject is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesPlace>,
}

/// A compose project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DockerPlace {
    /// The project's name, as `docker compose ls` prints it.
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9][a-z0-9_-]*$')").message("a compose project's name has lower-case letters, digits, '-' and '_' and starts with a letter or digit"))]
    #[validate(length(min = 1, max = 63))]
    pub project: String,
    /// The project's compose file, as text. With it the agent's `docker compose up -d SERVICE` works; without it
    /// `docker compose ps`, `logs`, `restart` and the like do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 65536))]
    pub compose_file: Option<String>,
}

/// A namespace and the identity with which the agent would act in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesPlace {
    /// The namespace.
    pub namespace: String,
    /// The service account whose rights the agent would have.
    pub service_account_name: String,
}

/// What the agent may do on this system, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// A ceiling: an Incident may ask for less than this, never for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How many sessions may work on this system at once. 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 100))]
    pub max_sessions: Option<i64>,
    /// How many finished Incidents of this system are kept; beyond it those that ended first are deleted, and their
    /// trails stay. The installation's configuration says what holds when this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 0, max = 100_000))]
    pub history_limit: Option<i64>,
    /// Containers of this system that would give the host away (privileged, with host binds or namespaces, or with
    /// the engine's socket) are closed to the agent's `docker exec`, `cp` and `start` unless this is true.
    #[serde(default)]
    pub trust_host_access: bool,
    /// Whether the agent may remove volumes, and with them data.
    #[serde(default)]
    pub destructive: bool,
    /// Networks beside the system's own that the agent may reach, such as `10.20.0.0/16`. None by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 64))]
    #[schemars(inner(
        length(max = 49),
        regex(pattern = r"^([0-9]{1,3}([.][0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-fA-F:.]+/[0-9]{1,3})$")
    ))]
    pub egress: Vec<String>,
    /// Whether an invariant that is violated opens an Incident; else there is only an Event. True if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create: Option<bool>,
    /// For how long after the end of an Incident that the monitor opened none is opened for the same invariant and
    /// key, so that a flapping one does not open many. 2m if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')").message("cooldown is a duration between 0s and 24h, such as 2m"))]
    pub cooldown: Option<Duration>,
    /// How it is proven that an Incident is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationPolicy>,
    /// What is done when the same comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<RecurrencePolicy>,
}

/// How it is proven that an Incident is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationPolicy {
    /// For how long all invariants have to hold, with the agent's container paused. 15s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('30m')").message("stabilization is a duration between 1s and 30m, such as 15s"))]
    pub stabilization: Option<Duration>,
    /// How often the agent may say that the fault is gone. After so many times that it was not, a person is needed. 3 if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 1, max = 20))]
    pub attempts: Option<i64>,
}

/// What is done when the same invariant is violated again soon after an Incident of it was resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecurrencePolicy {
    /// What is soon. 1h if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('720h')").message("window is a duration between 0s and 720h, such as 1h"))]
    pub window: Option<Duration>,
    /// How often within it the same may come again before a person is needed at once. 2 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(range(min = 0, max = 100))]
    pub limit: Option<i64>,
}

/// What the controller sees of a Subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`: whether Operator can look after it. `Observed`: whether its probes run and can be judged. `Healthy`:
    /// whether all invariants hold. `Alerts`: whether what it says of alerts can be understood. `HostAccess`: whether it has containers that would give the
    /// host away, which, and whether they are closed to the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Incidents of this Subject that have not ended.
    #[serde(default)]
    pub open_incidents: i64,
    /// Each invariant, as it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub invariants: Vec<InvariantStatus>,
    /// How many of them are violated, of how many: `0/6`. Empty without invariants.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub violated: String,
    /// The observer's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observer: Option<ObserverStatus>,
    /// The Incident that the monitor opened and that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_incident: Option<String>,
    /// The last one that it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_incident: Option<String>,
}

/// How an invariant stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvariantStatus {
    /// Its name.
    pub name: String,
    /// The worst of its keys.
    pub state: InvariantState,
    /// That of its Incidents.
    pub severity: Severity,
    /// Since when it is in that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What is violated, or why nobody can say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The keys that are not `Ok`, the worst sixteen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyStatus>,
    /// How many keys there are.
    #[serde(default)]
    pub total: i64,
}

/// How an invariant stands of one element.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Which.
    pub key: String,
    /// How it stands.
    pub state: InvariantState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What is violated, or why nobody can say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What looks at the Subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObserverStatus {
    /// Its container's name.
    pub container: String,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}
