//! Alertmanager's webhook payload, version 4, read by hand: what is wrong is said with its place, and what a later
//! version adds is left alone. Pure.

use std::collections::BTreeMap;

use crds::Severity;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Alert, OWN_LABEL};
use crate::audit::proof::hex;
use crate::printable::short_line;

/// The version that is understood.
pub const VERSION: &str = "4";
/// Characters of something strange that are repeated in a sentence.
const REPEATED: usize = 60;
/// The most bytes of a fingerprint.
const LONGEST_PRINT: usize = 64;

/// What Alertmanager sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The alerts of a group.
    pub alerts: Vec<Alert>,
    /// How many more it left out (`max_alerts`).
    pub left_out: u64,
    /// How many were notices of an Operator, and are left alone.
    pub own: usize,
}

/// Reads a payload.
///
/// # Errors
/// A sentence that says what is wrong, and where.
pub fn read(body: &[u8]) -> Result<Payload, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let Value::Object(fields) = &value else {
        return Err(format!("the body is {}, and Alertmanager's payload is an object", kind(&value)));
    };
    match fields.get("version") {
        Some(Value::String(version)) if version == VERSION => {}
        None => {
            return Err(format!(
                "`version` is missing: this takes the payload of Alertmanager's webhook, version \"{VERSION}\""
            ));
        }
        Some(other) => {
            let other = short_line(&other.to_string(), REPEATED);
            return Err(format!(
                "this is version {other} of the payload of Alertmanager's webhook; version \"{VERSION}\" is understood"
            ));
        }
    }
    let Some(Value::Array(items)) = fields.get("alerts") else {
        return Err(wrong("alerts", fields.get("alerts"), "a list"));
    };
    let left_out = match fields.get("truncatedAlerts") {
        None | Some(Value::Null) => 0,
        Some(number) => number
            .as_u64()
            .ok_or_else(|| wrong("truncatedAlerts", Some(number), "a whole number that is not negative"))?,
    };
    let (mut alerts, mut own) = (Vec::new(), 0);
    for (at, item) in items.iter().enumerate() {
        let alert = alert(item, &format!("alerts[{at}]"))?;
        if alert.labels.contains_key(OWN_LABEL) {
            own += 1;
        } else {
            alerts.push(alert);
        }
    }
    Ok(Payload { alerts, left_out, own })
}

fn alert(item: &Value, at: &str) -> Result<Alert, String> {
    let Value::Object(fields) = item else { return Err(wrong(at, Some(item), "an object")) };
    let labels = texts(fields, at, "labels")?;
    if labels.is_empty() {
        return Err(format!("`{at}.labels` is empty: an alert without labels cannot be told from another"));
    }
    let annotations = texts(fields, at, "annotations")?;
    let starts_at = time(fields, at, "startsAt")?
        .ok_or_else(|| wrong(&format!("{at}.startsAt"), fields.get("startsAt"), "a time (RFC 3339)"))?;
    let ends_at = match fields.get("status") {
        Some(Value::String(status)) if status == "firing" => None,
        Some(Value::String(status)) if status == "resolved" => {
            Some(time(fields, at, "endsAt")?.unwrap_or(starts_at).max(starts_at))
        }
        other => return Err(wrong(&format!("{at}.status"), other, "\"firing\" or \"resolved\"")),
    };
    let fingerprint = match fields.get("fingerprint") {
        None | Some(Value::Null) => fingerprint(&labels),
        Some(Value::String(print)) if is_print(print) => print.clone(),
        other => return Err(wrong(&format!("{at}.fingerprint"), other, "up to 64 letters and digits")),
    };
    let url = match fields.get("generatorURL") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(url)) => url.clone(),
        other => return Err(wrong(&format!("{at}.generatorURL"), other, "a text")),
    };
    let name = labels.get("alertname").cloned().unwrap_or_default();
    let severity = severity(labels.get("severity").map_or("", String::as_str)).unwrap_or_default();
    let summary = ["summary", "message", "description"].iter().find_map(|key| annotations.get(*key)).cloned();
    Ok(Alert {
        fingerprint,
        name,
        severity,
        summary: summary.unwrap_or_default(),
        labels,
        annotations,
        starts_at,
        since_is_said: true,
        ends_at,
        url,
    })
}

/// Whether a text can stand for an alert.
#[must_use]
pub fn is_print(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=LONGEST_PRINT).contains(&text.len()) && text.bytes().all(allowed)
}

/// Tells labels from others, for a sender that says no fingerprint.
#[must_use]
pub fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in labels {
        hash.update(format!("{name:?}={value:?};"));
    }
    hex::encode(&hash.finalize()[..8])
}

/// How bad it is, by the words that are common for it.
#[must_use]
pub fn severity(word: &str) -> Option<Severity> {
    match word.to_ascii_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" => Some(Severity::Critical),
        "error" | "high" | "major" => Some(Severity::Error),
        "warning" | "warn" | "medium" | "minor" => Some(Severity::Warning),
        "info" | "informational" | "low" | "none" => Some(Severity::Info),
        _ => None,
    }
}

fn texts(fields: &Map<String, Value>, at: &str, name: &str) -> Result<BTreeMap<String, String>, String> {
    let place = format!("{at}.{name}");
    match fields.get(name) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(fields)) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key.clone(), text.clone())),
                other => Err(wrong(&format!("{place}.{}", short_line(key, REPEATED)), Some(other), "a text")),
            })
            .collect(),
        other => Err(wrong(&place, other, "an object of texts")),
    }
}

/// A time; none where Go writes that it has none.
fn time(fields: &Map<String, Value>, at: &str, name: &str) -> Result<Option<Timestamp>, String> {
    let place = || format!("{at}.{name}");
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.starts_with("0001-01-01T00:00:00") => Ok(None),
        Some(Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(wrong(&place(), fields.get(name), "a time (RFC 3339)")),
        },
        other => Err(wrong(&place(), other, "a time (RFC 3339)")),
    }
}

fn wrong(place: &str, found: Option<&Value>, wanted: &str) -> String {
    match found {
        None => format!("`{place}` is missing: it is {wanted}"),
        Some(Value::String(text)) => format!("`{place}` is {:?}, and has to be {wanted}", short_line(text, REPEATED)),
        Some(other) => format!("`{place}` is {}, and has to be {wanted}", kind(other)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A change of what is right, and what is said of it.
    type Mistake = (fn(&mut Value), &'static str);

    fn payload(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut payload = json!({
            "version": "4", "groupKey": "{}:{service=\"shop\"}", "truncatedAlerts": 0, "status": "firing",
            "receiver": "operator", "groupLabels": {"service": "shop"}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://am:9093",
            "alerts": [{
                "status": "firing",
                "labels": {"alertname": "HighLatency", "service": "shop", "severity": "critical"},
                "annotations": {"summary": "p99 is 2 s"},
                "startsAt": "2026-01-28T20:54:48.123Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prom:9090/graph", "fingerprint": "0a1b2c3d4e5f6071",
            }],
        });
        change(&mut payload);
        serde_json::to_vec(&payload).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        read(&payload(change)).unwrap_err()
    }

    #[test]
    fn what_alertmanager_sends_is_read() {
        let read = read(&payload(|_| {})).unwrap();
        assert_eq!((read.alerts.len(), read.left_out, read.own), (1, 0, 0));
        let alert = &read.alerts[0];
        assert_eq!((alert.name.as_str(), alert.fingerprint.as_str()), ("HighLatency", "0a1b2c3d4e5f6071"));
        assert_eq!((alert.severity, alert.summary.as_str(), alert.ends_at), (Severity::Critical, "p99 is 2 s", None));
    }

    #[test]
    fn a_resolved_alert_has_an_end() {
        let at = |status: &str, ends: &str| {
            let body = payload(|all| {
                all["alerts"][0]["status"] = json!(status);
                all["alerts"][0]["endsAt"] = json!(ends);
            });
            read(&body).unwrap().alerts[0].ends_at.map(|end| end.to_string())
        };
        assert_eq!(at("resolved", "2026-01-28T21:00:00Z").as_deref(), Some("2026-01-28T21:00:00Z"));
        assert_eq!(at("resolved", "0001-01-01T00:00:00Z").as_deref(), Some("2026-01-28T20:54:48.123Z"));
        assert_eq!(
            at("resolved", "2025-01-01T00:00:00Z").as_deref(),
            Some("2026-01-28T20:54:48.123Z"),
            "before it began"
        );
        assert_eq!(at("firing", "2026-01-28T21:00:00Z"), None, "when it will time out");
    }

    #[test]
    fn another_version_is_refused_with_a_sentence() {
        assert_eq!(
            refused(|all| all["version"] = json!("3")),
            "this is version \"3\" of the payload of Alertmanager's webhook; version \"4\" is understood"
        );
        assert!(refused(|all| all["version"] = json!(4)).starts_with("this is version 4 of"));
        let missing = refused(|all| drop(all.as_object_mut().unwrap().remove("version")));
        assert!(missing.starts_with("`version` is missing: this takes"), "{missing}");
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        assert!(read(b"{").unwrap_err().starts_with("the body is no JSON: "));
        assert!(read(b"").unwrap_err().starts_with("the body is no JSON: "));
        assert!(read(b"\xff\xfe").unwrap_err().starts_with("the body is no JSON: "));
        assert!(read(&b"[".repeat(10_000)).unwrap_err().starts_with("the body is no JSON: "));
        assert_eq!(read(b"[1]").unwrap_err(), "the body is a list, and Alertmanager's payload is an object");
        let wrong: [Mistake; 14] = [
            (|all| drop(all.as_object_mut().unwrap().remove("alerts")), "`alerts` is missing: it is a list"),
            (|all| all["alerts"] = json!({}), "`alerts` is an object, and has to be a list"),
            (|all| all["alerts"] = json!(["x"]), "`alerts[0]` is \"x\", and has to be an object"),
            (
                |all| all["truncatedAlerts"] = json!(-1),
                "`truncatedAlerts` is a number, and has to be a whole number that is not negative",
            ),
            (
                |all| all["alerts"][0]["status"] = json!("pending"),
                "`alerts[0].status` is \"pending\", and has to be \"firing\" or \"resolved\"",
            ),
            (
                |all| all["alerts"][0]["status"] = json!(null),
                "`alerts[0].status` is null, and has to be \"firing\" or \"resolved\"",
            ),
            (
                |all| all["alerts"][0]["labels"] = json!({}),
                "`alerts[0].labels` is empty: an alert without labels cannot be told from another",
            ),
            (
                |all| all["alerts"][0]["labels"] = json!("x"),
                "`alerts[0].labels` is \"x\", and has to be an object of texts",
            ),
            (
                |all| all["alerts"][0]["labels"]["n"] = json!(1),
                "`alerts[0].labels.n` is a number, and has to be a text",
            ),
            (
                |all| all["alerts"][0]["annotations"] = json!([1]),
                "`alerts[0].annotations` is a list, and has to be an object of texts",
            ),
            (
                |all| all["alerts"][0]["startsAt"] = json!("yesterday"),
                "`alerts[0].startsAt` is \"yesterday\", and has to be a time (RFC 3339)",
            ),
            (
                |all| all["alerts"][0]["startsAt"] = json!(null),
                "`alerts[0].startsAt` is null, and has to be a time (RFC 3339)",
            ),
            (
                |all| all["alerts"][0]["fingerprint"] = json!("a b"),
                "`alerts[0].fingerprint` is \"a b\", and has to be up to 64 letters and digits",
            ),
            (
                |all| all["alerts"][0]["generatorURL"] = json!(7),
                "`alerts[0].generatorURL` is a number, and has to be a text",
            ),
        ];
        for (change, sentence) in wrong {
            assert_eq!(refused(change), sentence);
        }
        let long = refused(|all| all["alerts"][0]["startsAt"] = json!("\u{1b}[2J".repeat(10_000)));
        assert!(long.len() < 400 && !long.contains('\u{1b}'), "{long}");
    }

    #[test]
    fn what_is_not_known_is_left_alone_and_what_is_missing_and_not_needed_too() {
        let body = payload(|all| {
            all["notificationReason"] = json!("x");
            all["alerts"][0]["new"] = json!([1]);
            for name in ["truncatedAlerts", "groupKey", "receiver", "externalURL", "status", "commonLabels"] {
                all.as_object_mut().unwrap().remove(name);
            }
            for name in ["fingerprint", "generatorURL", "annotations", "endsAt"] {
                all["alerts"][0].as_object_mut().unwrap().remove(name);
            }
        });
        let alert = read(&body).unwrap().alerts.remove(0);
        assert_eq!(alert.fingerprint, fingerprint(&alert.labels));
        assert_ne!(alert.fingerprint, fingerprint(&[("alertname".to_owned(), "other".to_owned())].into()));
        assert_eq!(alert.summary, "");
    }

    #[test]
    fn notices_of_an_operator_do_not_come_back_as_alerts() {
        let body = payload(|all| all["alerts"][0]["labels"][OWN_LABEL] = json!("operator"));
        let read = read(&body).unwrap();
        assert_eq!((read.alerts.len(), read.own), (0, 1));
    }

    #[test]
    fn severities_are_those_that_are_common() {
        assert_eq!(severity("Page"), Some(Severity::Critical));
        assert_eq!(severity("warn"), Some(Severity::Warning));
        assert_eq!(severity("none"), Some(Severity::Info));
        assert_eq!(severity("purple"), None);
        let odd = payload(|all| all["alerts"][0]["labels"]["severity"] = json!("purple"));
        assert_eq!(read(&odd).unwrap().alerts[0].severity, Severity::Error);
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = read(&body);
        }
    }
}
