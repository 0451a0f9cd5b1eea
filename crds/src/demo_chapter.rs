//! `DemoChapter`: one page of a demo, and what happens when it is turned to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Action;
use crate::incident::SubjectReference;

/// One page of a demo. Raise `entered` to turn to it; raise `reset` of any of a demo's chapters to bring the Subject
/// back to its beginning.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operator.dev",
    version = "v1alpha1",
    kind = "DemoChapter",
    plural = "demochapters",
    singular = "demochapter",
    shortname = "chap",
    category = "operator",
    namespaced,
    status = "DemoChapterStatus",
    doc = "One page of a demo: what is told, what is done to the Subject, and what is waited for.",
    derive = "PartialEq",
    selectable = ".spec.demo",
    printcolumn = r#"{"name":"Demo","type":"string","jsonPath":".spec.demo"}"#,
    printcolumn = r#"{"name":"Order","type":"integer","jsonPath":".spec.order"}"#,
    printcolumn = r#"{"name":"Title","type":"string","jsonPath":".spec.title"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(
    validation = Rule::new("self.entered >= oldSelf.entered").message("entered can only be raised: each raise enters the chapter once").field_path(".entered"),
    validation = Rule::new("self.reset >= oldSelf.reset").message("reset can only be raised: each raise resets the demo once").field_path(".reset"),
    validation = Rule::new("self.demo == oldSelf.demo").message("demo cannot be changed: apply a new DemoChapter for another demo").field_path(".demo"),
    validation = Rule::new("self.subjectRef == oldSelf.subjectRef").message("subjectRef cannot be changed: apply a new DemoChapter for another Subject").field_path(".subjectRef")
)]
#[serde(rename_all = "camelCase")]
pub struct DemoChapterSpec {
    /// The demo that it is a page of, in its namespace.
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("a demo's name has lower-case letters, digits and '-'"))]
    #[validate(length(min = 1, max = 63))]
    pub demo: String,
    /// Its place: chapters are told in this order. Gaps are fine.
    #[validate(range(min = 0, max = 10_000))]
    pub order: i64,
    /// Above the page.
    #[validate(length(min = 1, max = 80))]
    #[x_kube(validation = Rule::new("self.trim().size() > 0 && !self.contains('\\n')").message("title is one line"))]
    pub title: String,
    /// What is told: a few honest sentences. `{{model}}` is the model that plays.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 4096))]
    pub narration: String,
    /// The Subject, in the chapter's namespace. All chapters of a demo have the same.
    pub subject_ref: SubjectReference,
    /// How long is counted down before the actions begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ms|s|m))+$') && duration(self) <= duration('5m')").message("countdown is a duration of at most 5m, such as 3s"))]
    pub countdown: Option<Duration>,
    /// What is done, in order, once for each time that the chapter is entered. The first that fails ends them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, [has(a.kill), has(a.stop), has(a.start), has(a.restart), has(a.pause), has(a.unpause), has(a.exec), has(a.run), has(a.http), has(a.partition), has(a.heal), has(a.latency), has(a.throttle), has(a.fillDisk)].filter(x, x).size() == 1)").message("an action has exactly one verb, such as kill, exec or partition"))]
    pub actions: Vec<Action>,
    /// What is done at a reset, in order, after all that was done has been taken back: what no undo knows of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(a, [has(a.kill), has(a.stop), has(a.start), has(a.restart), has(a.pause), has(a.unpause), has(a.exec), has(a.run), has(a.http), has(a.partition), has(a.heal), has(a.latency), has(a.throttle), has(a.fillDisk)].filter(x, x).size() == 1)").message("an action has exactly one verb, such as kill, exec or partition"))]
    pub restore: Vec<Action>,
    /// What completes it, in CEL over `subject` and `incident` (each as the API has it, `incident` is the Subject's
    /// newest Incident since the demo was last at its beginning, or null), `incidents` (all of these) and `probes`.
    /// Complete once its actions are done if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 4096))]
    pub wait_for: Option<String>,
    /// What is waited for, in words, for the screen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 200))]
    pub waiting: String,
    /// Who turns the page once it is complete.
    #[serde(default)]
    pub advance: Advance,
    /// Raise it to enter the chapter (again).
    #[serde(default)]
    #[validate(range(min = 0))]
    pub entered: i64,
    /// Raise it to bring the demo's Subject back to its beginning.
    #[serde(default)]
    #[validate(range(min = 0))]
    pub reset: i64,
}

/// Who turns the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Advance {
    /// Who watches.
    #[default]
    Manual,
    /// The controller, once the chapter is complete.
    Auto,
}

/// Where a chapter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChapterState {
    /// Not entered since the demo was last reset.
    #[default]
    Idle,
    /// Counting down.
    Countdown,
    /// Its actions are being done.
    Acting,
    /// Its actions are done; what it waits for has not come.
    Waiting,
    /// Over.
    Complete,
    /// An action failed.
    Failed,
    /// Another chapter was entered.
    Left,
    /// The demo is being brought back to its beginning.
    Resetting,
}

/// What the controller says of a chapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DemoChapterStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`: whether it can be played. `Entered`: whether it is the demo's current chapter. `Complete`: whether
    /// what it waits for has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Where it is.
    #[serde(default)]
    pub state: ChapterState,
    /// The value of `spec.entered` that the state speaks of.
    #[serde(default)]
    pub entered: i64,
    /// The value of `spec.reset` that was last carried out.
    #[serde(default)]
    pub reset: i64,
    /// When it was entered last. The demo's current chapter is the one whose `enteredAt` is the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Time>,
    /// When the countdown ends and the actions begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_at: Option<Time>,
    /// When it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// What is going on, or what failed, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The model that plays, as `{{model}}` in the narration has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Each action of the last time that it was entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionStatus>,
}

/// How one action stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    /// What it is, in a few words: `kill node2`.
    pub says: String,
    /// How it stands.
    pub state: ActionState,
    /// The services that it was aimed at, once that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Why it failed, or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// How an action stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ActionState {
    /// Not begun.
    #[default]
    Planned,
    /// On record, and begun.
    Begun,
    /// Done.
    Done,
    /// It did not work; nothing was changed, or the message says what.
    Failed,
    /// The controller ended in the middle, and what came of it cannot be known. It is not repeated.
    Unknown,
    /// Taken back.
    Undone,
}
