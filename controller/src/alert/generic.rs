//! Alerts of whoever speaks another language than Alertmanager: the configuration says in CEL where in a body stands what
//! an alert is. Pure.

use std::collections::BTreeMap;

use crds::Severity;
use jiff::Timestamp;
use kube::core::cel::cel::Program;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{Alert, payload};
use crate::cel;
use crate::printable::short_line;

/// The only variable of an expression.
const BODY: &str = "body";
/// Characters of something strange that are repeated in a sentence.
const REPEATED: usize = 80;
/// The most bytes of a name in Kubernetes.
const LONGEST_NAME: usize = 253;

/// Where in a body stands what an alert is: expressions over `body`.
#[derive(Debug)]
pub struct Mapping {
    /// Its name, in the address of requests.
    pub name: String,
    subject: Expression,
    namespace: Expression,
    fingerprint: Expression,
    status: Expression,
    summary: Expression,
    severity: Option<Expression>,
    description: Option<Expression>,
    starts_at: Option<Expression>,
}

/// A mapping as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    name: String,
    subject: String,
    namespace: String,
    fingerprint: String,
    status: String,
    summary: String,
    severity: Option<String>,
    description: Option<String>,
    starts_at: Option<String>,
}

#[derive(Debug)]
struct Expression {
    what: &'static str,
    source: String,
    program: Program,
}

/// What a body says.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The Subject's namespace.
    pub namespace: String,
    /// Its name.
    pub subject: String,
    /// The alert.
    pub alert: Alert,
}

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Written::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Mapping {
    fn new(written: Written) -> Result<Self, String> {
        let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let Written { name, subject, namespace, fingerprint, status, summary, severity, description, starts_at } =
            written;
        if name.is_empty() || name.len() > 40 || !name.bytes().all(right) {
            return Err(format!("{name:?} is no name of a webhook: 1 to 40 lower-case letters, digits and hyphens"));
        }
        let read = |what, source: String| Expression::new(&name, what, source);
        Ok(Self {
            subject: read("subject", subject)?,
            namespace: read("namespace", namespace)?,
            fingerprint: read("fingerprint", fingerprint)?,
            status: read("status", status)?,
            summary: read("summary", summary)?,
            severity: severity.map(|source| read("severity", source)).transpose()?,
            description: description.map(|source| read("description", source)).transpose()?,
            starts_at: starts_at.map(|source| read("startsAt", source)).transpose()?,
            name,
        })
    }

    /// What a body says. CEL cannot be stopped: not for the runtime's own threads.
    ///
    /// # Errors
    /// A sentence that names the expression.
    pub fn read(&self, body: &Value, now: Timestamp) -> Result<Mapped, String> {
        let namespace = self.subject_name(&self.namespace, body)?;
        let subject = self.subject_name(&self.subject, body)?;
        let fingerprint = match self.value(&self.fingerprint, body)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => return Err(self.wrong(&self.fingerprint, &other, "a text or a number")),
        };
        if fingerprint.is_empty() {
            return Err(self.wrong(&self.fingerprint, &Value::String(fingerprint), "a text that is not empty"));
        }
        let summary = self.text(&self.summary, body)?;
        let severity = match &self.severity {
            None => Severity::default(),
            Some(expression) => {
                let word = self.text(expression, body)?;
                let wanted = "critical, error, warning or info";
                payload::severity(&word).ok_or_else(|| self.wrong(expression, &Value::String(word), wanted))?
            }
        };
        let begin = self.starts_at.as_ref().map(|expression| self.time(expression, body)).transpose()?.flatten();
        let starts_at = begin.unwrap_or(now);
        let ends_at = match self.value(&self.status, body)? {
            Value::String(status) if status == "firing" => None,
            Value::String(status) if status == "resolved" => Some(now.max(starts_at)),
            other => return Err(self.wrong(&self.status, &other, "\"firing\" or \"resolved\"")),
        };
        let mut annotations = BTreeMap::new();
        if let Some(expression) = &self.description {
            annotations.insert("description".to_owned(), self.text(expression, body)?);
        }
        let alert = Alert {
            fingerprint: if payload::is_print(&fingerprint) {
                fingerprint.clone()
            } else {
                payload::fingerprint(&[("fingerprint".to_owned(), fingerprint.clone())].into())
            },
            name: self.name.clone(),
            severity,
            summary,
            labels: [("fingerprint".to_owned(), fingerprint), ("webhook".to_owned(), self.name.clone())].into(),
            annotations,
            starts_at,
            since_is_said: begin.is_some(),
            ends_at,
            url: String::new(),
        };
        Ok(Mapped { namespace, subject, alert })
    }

    fn value(&self, expression: &Expression, body: &Value) -> Result<Value, String> {
        let mut context = cel::context();
        context.add_variable_from_value(BODY, cel::to_cel(body));
        cel::evaluate(&expression.program, &context)
            .map(|value| cel::to_json(&value))
            .map_err(|why| format!("{}: it cannot be evaluated on this body: {why}", self.place(expression)))
    }

    fn text(&self, expression: &Expression, body: &Value) -> Result<String, String> {
        match self.value(expression, body)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(expression, &other, "a text")),
        }
    }

    fn subject_name(&self, expression: &Expression, body: &Value) -> Result<String, String> {
        let text = self.text(expression, body)?;
        let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(right) {
            return Err(self.wrong(expression, &Value::String(text), "a name in Kubernetes"));
        }
        Ok(text)
    }

    /// A time: a text, or seconds since 1970. None where it is null.
    fn time(&self, expression: &Expression, body: &Value) -> Result<Option<Timestamp>, String> {
        let value = self.value(expression, body)?;
        let time = match &value {
            Value::Null => return Ok(None),
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()),
            _ => None,
        };
        time.map(Some).ok_or_else(|| self.wrong(expression, &value, "a time (RFC 3339, or seconds since 1970)"))
    }

    fn place(&self, expression: &Expression) -> String {
        format!(
            "`{}` of the webhook {:?} in the configuration ({})",
            expression.what,
            self.name,
            short_line(&expression.source, REPEATED)
        )
    }

    fn wrong(&self, expression: &Expression, found: &Value, wanted: &str) -> String {
        let found = short_line(&found.to_string(), REPEATED);
        format!("{} makes {found} of this body, and has to make {wanted}", self.place(expression))
    }
}

impl Expression {
    fn new(webhook: &str, what: &'static str, source: String) -> Result<Self, String> {
        let program = cel::compile(&source).map_err(|why| format!("webhook {webhook:?}, {what}: {why}"))?;
        if let Some(unknown) = cel::variables(&program).into_iter().find(|name| name != BODY) {
            return Err(format!("webhook {webhook:?}, {what}: {unknown:?} is not known; an expression sees `{BODY}`"));
        }
        Ok(Self { what, source, program })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A change of what is right, and what is said of it.
    type Mistake = (fn(&mut Value), &'static str);

    const YAML: &str = "
name: pager
subject: body.service
namespace: '\"team-\" + body.team'
fingerprint: body.id
status: 'body.ok ? \"resolved\" : \"firing\"'
summary: body.title
severity: body.level
startsAt: 'has(body.since) ? body.since : null'
";

    fn mapping(yaml: &str) -> Result<Mapping, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }

    fn read(change: impl FnOnce(&mut Value)) -> Result<Mapped, String> {
        let mut body = json!({"service": "shop", "team": "a", "id": 17, "ok": false, "title": "slow", "level": "page"});
        change(&mut body);
        let now = "2026-01-28T20:54:48Z".parse().unwrap();
        mapping(YAML).unwrap().read(&body, now)
    }

    #[test]
    fn a_body_becomes_an_alert() {
        let Mapped { namespace, subject, alert } = read(|_| {}).unwrap();
        assert_eq!((namespace.as_str(), subject.as_str()), ("team-a", "shop"));
        assert_eq!((alert.fingerprint.as_str(), alert.summary.as_str()), ("17", "slow"));
        assert_eq!((alert.severity, alert.ends_at, alert.since_is_said), (Severity::Critical, None, false));
        let since = read(|body| body["since"] = json!("2026-01-28T20:00:00Z")).unwrap().alert;
        assert_eq!((since.starts_at.to_string().as_str(), since.since_is_said), ("2026-01-28T20:00:00Z", true));
        let seconds = read(|body| body["since"] = json!(1_700_000_000)).unwrap().alert;
        assert_eq!(seconds.starts_at.as_second(), 1_700_000_000);
        assert!(read(|body| body["ok"] = json!(true)).unwrap().alert.ends_at.is_some());
    }

    #[test]
    fn a_fingerprint_of_strange_letters_is_one_all_the_same() {
        let print = |id: &str| read(|body| body["id"] = json!(id)).unwrap().alert.fingerprint;
        assert_eq!(print("a b/c"), print("a b/c"));
        assert_ne!(print("a b/c"), print("a b/d"));
        assert!(payload::is_print(&print(&"ü".repeat(500))));
    }

    #[test]
    fn what_is_wrong_names_the_expression() {
        let wrong: [Mistake; 8] = [
            (
                |body| drop(body.as_object_mut().unwrap().remove("service")),
                "`subject` of the webhook \"pager\" in the configuration (body.service): it cannot be evaluated on this body: No such key: service",
            ),
            (
                |body| body["service"] = json!(1),
                "`subject` of the webhook \"pager\" in the configuration (body.service) makes 1 of this body, and has to make a text",
            ),
            (
                |body| body["service"] = json!("Shop!"),
                "`subject` of the webhook \"pager\" in the configuration (body.service) makes \"Shop!\" of this body, and has to make a name in Kubernetes",
            ),
            (
                |body| body["id"] = json!(""),
                "`fingerprint` of the webhook \"pager\" in the configuration (body.id) makes \"\" of this body, and has to make a text that is not empty",
            ),
            (
                |body| body["id"] = json!([1]),
                "`fingerprint` of the webhook \"pager\" in the configuration (body.id) makes [1] of this body, and has to make a text or a number",
            ),
            (
                |body| body["level"] = json!("purple"),
                "`severity` of the webhook \"pager\" in the configuration (body.level) makes \"purple\" of this body, and has to make critical, error, warning or info",
            ),
            (
                |body| body["title"] = json!(null),
                "`summary` of the webhook \"pager\" in the configuration (body.title) makes null of this body, and has to make a text",
            ),
            (
                |body| body["since"] = json!("noon"),
                "makes \"noon\" of this body, and has to make a time (RFC 3339, or seconds since 1970)",
            ),
        ];
        for (change, sentence) in wrong {
            let error = read(change).unwrap_err();
            assert!(error.ends_with(sentence), "{error}");
        }
        let status = mapping(&YAML.replace("'body.ok ? \"resolved\" : \"firing\"'", "body.title")).unwrap();
        let body = json!({"service": "shop", "team": "a", "id": 17, "title": "slow", "level": "page"});
        let error = status.read(&body, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.ends_with("makes \"slow\" of this body, and has to make \"firing\" or \"resolved\""), "{error}");
        assert!(status.read(&json!([]), Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn a_mistake_in_the_configuration_is_said_at_the_start() {
        for (wrong, sentence) in [
            (YAML.replace("body.service", "body."), "webhook \"pager\", subject: 1:"),
            (
                YAML.replace("body.service", "request.service"),
                "webhook \"pager\", subject: \"request\" is not known; an expression sees `body`",
            ),
            (YAML.replace("name: pager", "name: Pager"), "\"Pager\" is no name of a webhook"),
            (YAML.replace("subject:", "object:"), "object"),
            (YAML.replace("summary: body.title\n", ""), "summary"),
        ] {
            let error = mapping(&wrong).unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
    }
}
