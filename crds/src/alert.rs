//! Alerts: which of them are a Subject's, and what an Incident knows of those that it is about.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most alerts that an Incident names.
pub const MOST_ALERTS: usize = 1024;

/// Which alerts are this Subject's: those on which all matchers fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertRule {
    /// What the labels have to be.
    #[validate(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new("self.exists(m, !has(m.op) || m.op == '=' || m.op == '=~')").message("matchers say at least once what a label is (`=` or `=~`): those that only say what it is not would take the alerts of every other system as well"))]
    pub matchers: Vec<Matcher>,
}

/// What a label has to be. A label that an alert has not is empty, as in Alertmanager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.value != '' || (has(self.op) && self.op == '!=')").message("an empty value fits an alert that has no such label: with `!=` it says that there is one, and nothing else is meant by it").field_path(".value")
)]
pub struct Matcher {
    /// The label's name.
    #[validate(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')").message("a label's name has letters, digits and '_', and does not begin with a digit"))]
    pub name: String,
    /// How it is compared.
    #[serde(default)]
    pub op: MatchOp,
    /// With what: a text, or for `=~` and `!~` a regular expression that has to fit all of the label.
    #[validate(length(max = 512))]
    pub value: String,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MatchOp {
    /// It is this text.
    #[default]
    #[serde(rename = "=")]
    Is,
    /// It is another.
    #[serde(rename = "!=")]
    IsNot,
    /// All of it fits the regular expression.
    #[serde(rename = "=~")]
    Fits,
    /// It does not.
    #[serde(rename = "!~")]
    FitsNot,
}

impl MatchOp {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::Fits => "=~",
            Self::FitsNot => "!~",
        }
    }
}

/// An alert that an Incident is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownAlert {
    /// Tells it from others: as Alertmanager has it, or as the configuration's mapping says.
    #[validate(length(min = 1, max = 64))]
    pub fingerprint: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 253))]
    pub name: String,
    /// Since when it fires.
    pub starts_at: Time,
    /// Since when it does not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use kube::core::cel::validate_cel;
    use serde_json::{Value, json};

    use crate::Subject;

    fn refused(matchers: &Value) -> Option<String> {
        let subject: Subject = serde_json::from_value(json!({
            "apiVersion": "operator.dev/v1alpha1", "kind": "Subject", "metadata": {"name": "s"},
            "spec": {"where": {"docker": {"project": "shop"}}, "alerts": [{"matchers": matchers}]},
        }))
        .unwrap();
        validate_cel(&subject).err().map(|error| error.to_string())
    }

    #[test]
    fn matchers_say_at_least_once_what_a_label_is() {
        for right in [
            json!([{"name": "service", "value": "shop"}]),
            json!([{"name": "service", "op": "=~", "value": "shop|cart"}, {"name": "severity", "op": "!=", "value": "info"}]),
            json!([{"name": "service", "value": "shop"}, {"name": "instance", "op": "!=", "value": ""}]),
        ] {
            assert_eq!(refused(&right), None, "{right}");
        }
        for (wrong, sentence) in [
            (json!([{"name": "service", "op": "!=", "value": "shop"}]), "at least once what a label is"),
            (json!([{"name": "service", "op": "!~", "value": "shop"}]), "at least once what a label is"),
            (json!([{"name": "1st", "value": "x"}]), "does not begin with a digit"),
            (json!([{"name": "service", "value": ""}]), "an empty value fits"),
            (json!([{"name": "service", "op": "=~", "value": ""}]), "an empty value fits"),
        ] {
            let error = refused(&wrong).unwrap_or_default();
            assert!(error.contains(sentence), "{wrong}: {error}");
        }
    }
}
