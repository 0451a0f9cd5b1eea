//! Alerts of others than Alertmanager.

use serde::{Deserialize, Deserializer, de::Error as _};
use std::sync::Arc;

use crate::alert::generic::Mapping;

/// The part `webhooks` of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// What `/webhooks/generic/NAME` takes.
    #[serde(deserialize_with = "mappings")]
    pub generic: Arc<Vec<Mapping>>,
}

fn mappings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Vec<Mapping>>, D::Error> {
    let all = Vec::<Mapping>::deserialize(deserializer)?;
    for (at, mapping) in all.iter().enumerate() {
        if all[..at].iter().any(|other| other.name == mapping.name) {
            return Err(D::Error::custom(format!("two webhooks are called {:?}", mapping.name)));
        }
    }
    Ok(Arc::new(all))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const ONE: &str =
        "{name: pager, subject: body.s, namespace: body.n, fingerprint: body.f, status: body.t, summary: body.m}";

    #[test]
    fn mappings_are_read_once_and_have_their_own_names() {
        let config = Config::parse(&format!("webhooks:\n  generic:\n  - {ONE}\n")).unwrap();
        assert_eq!(config.webhooks.generic[0].name, "pager");
        let error = Config::parse(&format!("webhooks:\n  generic:\n  - {ONE}\n  - {ONE}\n")).unwrap_err();
        assert!(error.contains("two webhooks are called \"pager\""), "{error}");
        let error =
            Config::parse(&format!("webhooks:\n  generic:\n  - {}\n", ONE.replace("body.s", "body.s +"))).unwrap_err();
        assert!(error.contains("webhook \"pager\", subject: ") && error.contains("line"), "{error}");
    }
}
