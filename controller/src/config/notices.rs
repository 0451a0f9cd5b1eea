//! Who is told when a person is needed.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use kube::core::Duration;
use reqwest::Url;
use serde::{Deserialize, Deserializer, de::Error as _};

/// The part `notices` of the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NoticesConfig {
    /// Who is told. None: nobody.
    #[serde(deserialize_with = "receivers")]
    pub receivers: Vec<Receiver>,
    /// For so long the database or the engine has to be away before anybody is told.
    #[serde(deserialize_with = "duration")]
    pub waiting_after: std::time::Duration,
}

impl Default for NoticesConfig {
    fn default() -> Self {
        Self { receivers: Vec::new(), waiting_after: std::time::Duration::from_mins(1) }
    }
}

/// One who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name, in statuses and metrics.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is.
    pub url: Url,
    /// What requests carry.
    pub headers: Vec<HeaderFrom>,
}

/// What a receiver speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Alertmanager's API, version 2.
    Alertmanager,
    /// JSON of our own.
    Webhook,
}

/// A header whose value stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderFrom {
    /// Its name.
    #[serde(deserialize_with = "header")]
    pub header: HeaderName,
    /// Before the value, such as `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// A file with the value, as Kubernetes mounts a Secret. It is read each time.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// A variable of the controller's environment.
    #[serde(default)]
    pub env: Option<String>,
}

impl HeaderFrom {
    /// The value.
    ///
    /// # Errors
    /// A sentence that says where it should be, and nothing of what stands there.
    pub fn value(&self) -> Result<HeaderValue, String> {
        let (text, from) = match (&self.path, &self.env) {
            (Some(path), _) => {
                let from = path.display().to_string();
                let text = std::fs::read_to_string(path);
                (text.map_err(|error| format!("{from}, for the header {}: {error}", self.header))?, from)
            }
            (None, Some(name)) => {
                let from = format!("the variable {name}");
                let text = std::env::var(name);
                (text.map_err(|error| format!("{from}, for the header {}: {error}", self.header))?, from)
            }
            (None, None) => return Err(format!("the header {} has no value", self.header)),
        };
        let mut value = HeaderValue::from_str(&format!("{}{}", self.prefix, text.trim()))
            .map_err(|_| format!("{from} cannot stand in the header {}", self.header))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// As the file has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    name: String,
    alertmanager: Option<Place>,
    webhook: Option<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    url: String,
    #[serde(default)]
    headers_from: Vec<HeaderFrom>,
}

impl TryFrom<Written> for Receiver {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, alertmanager, webhook } = written;
        let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(right) {
            return Err(format!("{name:?} is no name of a receiver: 1 to 63 lower-case letters, digits and hyphens"));
        }
        let (kind, place) = match (alertmanager, webhook) {
            (Some(place), None) => (Kind::Alertmanager, place),
            (None, Some(place)) => (Kind::Webhook, place),
            _ => {
                return Err(format!("receiver {name:?}: exactly one of `alertmanager` and `webhook` says where it is"));
            }
        };
        let url = Url::parse(&place.url).map_err(|error| format!("receiver {name:?}, url: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("receiver {name:?}, url: {:?} is no http or https address", place.url));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "receiver {name:?}, url: no password stands in an address; headersFrom takes it from a Secret"
            ));
        }
        for header in &place.headers_from {
            if header.path.is_some() == header.env.is_some() {
                return Err(format!(
                    "receiver {name:?}, {}: exactly one of `path` and `env` says where the value is",
                    header.header
                ));
            }
        }
        Ok(Self { name, kind, url, headers: place.headers_from })
    }
}

fn receivers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Receiver>, D::Error> {
    let written = Vec::<Written>::deserialize(deserializer)?;
    let mut all: Vec<Receiver> = Vec::with_capacity(written.len());
    for one in written {
        let receiver = Receiver::try_from(one).map_err(D::Error::custom)?;
        if all.iter().any(|other| other.name == receiver.name) {
            return Err(D::Error::custom(format!("two receivers are called {:?}", receiver.name)));
        }
        all.push(receiver);
    }
    Ok(all)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<std::time::Duration, D::Error> {
    Ok(Duration::deserialize(deserializer)?.into())
}

fn header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
    let name = String::deserialize(deserializer)?;
    HeaderName::try_from(&name).map_err(|_| D::Error::custom(format!("{name:?} is no name of a header")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(yaml: &str) -> Result<NoticesConfig, String> {
        Config::parse(&format!("notices:\n  receivers:\n  - {yaml}\n")).map(|config| config.notices)
    }

    #[test]
    fn receivers_are_read() {
        let config = read("{name: team, alertmanager: {url: 'http://am:9093/prefix/'}}").unwrap();
        assert_eq!((config.receivers[0].kind, config.waiting_after.as_secs()), (Kind::Alertmanager, 60));
        let config = read("{name: hook, webhook: {url: 'https://h/x', headersFrom: [{header: Authorization, prefix: 'Bearer ', env: HOME}]}}").unwrap();
        let value = config.receivers[0].headers[0].value().unwrap();
        assert_eq!(value.to_str().unwrap(), format!("Bearer {}", std::env::var("HOME").unwrap()));
        assert!(value.is_sensitive());
        let config = Config::parse("notices: {waitingAfter: 5m}").unwrap().notices;
        assert_eq!((config.waiting_after.as_secs(), config.receivers.len()), (300, 0));
    }

    /// What `docs/alerts.md` says is copied: it has to be right.
    #[test]
    fn the_documentation_is_read() {
        let text = include_str!("../../../docs/alerts.md");
        let blocks: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let of = |begin: &str| *blocks.iter().find(|block| block.starts_with(begin)).unwrap();
        let config = Config::parse(&format!("{}{}", of("webhooks:"), of("notices:"))).unwrap();
        assert_eq!((config.webhooks.generic.len(), config.notices.receivers.len()), (1, 2));
        let subject: crds::Subject = serde_saphyr::from_str(of("apiVersion:")).unwrap();
        kube::core::cel::validate_cel(&subject).unwrap();
        assert!(crate::alert::matching::Rules::new(&subject.spec.alerts).1.is_empty());
        let alertmanager: serde_json::Value = serde_saphyr::from_str(of("route:")).unwrap();
        assert_eq!(alertmanager["receivers"][0]["webhook_configs"][0]["send_resolved"], true);
    }

    #[test]
    fn what_is_wrong_is_said_at_the_start() {
        for (wrong, sentence) in [
            ("{name: Team, alertmanager: {url: 'http://a'}}", "\"Team\" is no name of a receiver"),
            ("{name: a}", "exactly one of `alertmanager` and `webhook`"),
            ("{name: a, webhook: {url: 'http://a'}, alertmanager: {url: 'http://a'}}", "exactly one of `alertmanager`"),
            ("{name: a, webhook: {url: 'ftp://a'}}", "is no http or https address"),
            ("{name: a, webhook: {url: 'nowhere'}}", "url: "),
            ("{name: a, webhook: {url: 'http://me:secret@a'}}", "no password stands in an address"),
            ("{name: a, webhook: {url: 'http://a', headersFrom: [{header: X}]}}", "exactly one of `path` and `env`"),
            (
                "{name: a, webhook: {url: 'http://a', headersFrom: [{header: 'X Y', env: A}]}}",
                "\"X Y\" is no name of a header",
            ),
            ("{name: a, email: {}}", "email"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(sentence) && error.contains("line"), "{wrong}: {error}");
        }
        let twice =
            read("{name: a, webhook: {url: 'http://a'}}\n  - {name: a, webhook: {url: 'http://b'}}").unwrap_err();
        assert!(twice.contains("two receivers are called \"a\""), "{twice}");
    }

    #[test]
    fn a_value_that_is_missing_is_named_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let header = HeaderFrom {
            header: HeaderName::from_static("x"),
            prefix: String::new(),
            path: Some(path.clone()),
            env: None,
        };
        assert!(header.value().unwrap_err().contains("token, for the header x: "));
        std::fs::write(&path, "secret\u{1}secret").unwrap();
        let error = header.value().unwrap_err();
        assert!(error.ends_with("cannot stand in the header x") && !error.contains("secret"), "{error}");
        std::fs::write(&path, "rotated\n").unwrap();
        assert_eq!(header.value().unwrap(), "rotated");
    }
}
