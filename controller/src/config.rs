//! The configuration file: what is structured. Everything else is a flag (see [`crate::cli::run`]).

mod budgets;
pub mod notices;
pub mod redaction;
pub mod webhooks;
pub mod window;

use std::path::{Path, PathBuf};

use kube::core::Duration;
use serde::Deserialize;

use crate::model::PriceTable;
use crate::sandbox::ContainerLimits;
use crate::tenancy::Tenants;

pub use budgets::BudgetConfig;

/// The file that `--config` names. Every part may be absent; an unknown key is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Limits of a session, where neither the Incident nor the Subject's policy says otherwise.
    pub budgets: BudgetConfig,
    /// Prices per million tokens. Lines here come on top of the built-in ones.
    pub prices: PriceTable,
    /// The agent's container.
    pub agent: AgentConfig,
    /// How long finished Incidents stay.
    pub incidents: IncidentsConfig,
    /// What is masked of what comes in, besides the built-in rules.
    pub redaction: redaction::RedactionConfig,
    /// When a conversation is made shorter.
    pub context: window::ContextConfig,
    /// Who is told when a person is needed.
    pub notices: notices::NoticesConfig,
    /// Alerts of others than Alertmanager.
    pub webhooks: webhooks::WebhooksConfig,
    /// Which namespace may name which compose projects and images. None: everybody everything.
    pub tenants: Tenants,
}

/// How long finished Incidents stay. Their trails are kept in every case.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IncidentsConfig {
    /// For this long, unless an Incident says otherwise; null: for ever.
    pub ttl_after_finished: Option<Duration>,
    /// So many of each Subject, unless its policy says otherwise; null: all.
    pub history_limit: Option<usize>,
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        Self { ttl_after_finished: None, history_limit: Some(100) }
    }
}

/// The agent's container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AgentConfig {
    /// Images that an Incident may name besides the installation's own.
    pub images: Vec<String>,
    /// Limits of the container.
    pub limits: ContainerLimits,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("--config {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("--config {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
}

impl Config {
    /// Reads the file; without one, the defaults. An empty file is an empty configuration.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|message| ConfigError::Parse { path: path.into(), message })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if empty {
            return Ok(Self::default());
        }
        let mut config: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        config.prices = PriceTable::default().with(config.prices);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults_and_a_wrong_key_is_named() {
        assert_eq!(Config::parse("# nothing\n").unwrap().budgets, BudgetConfig::default());
        assert_eq!(Config::parse("{}").unwrap().budgets, BudgetConfig::default());
        assert_eq!(Config::parse("budgets:\n  turns: 5\n").unwrap().budgets.session.turns, 5);
        let own = "prices:\n- model: mine\n  price: {input: 1, output: 2, cacheWrite: 1, cacheRead: 0.1}\n";
        let prices = Config::parse(own).unwrap().prices;
        assert!(prices.of("mine").known && prices.of("claude-opus-5-5").known && !prices.of("other").known);
        let error = Config::parse("budgets:\n  turn: 5\n").unwrap_err();
        assert!(error.contains("turn") && error.contains('2'), "{error}");
    }

    #[test]
    fn a_wrong_pattern_is_an_error_with_its_line() {
        let right = "tenants:\n- namespaces: [team-a, team-a-*]\n  projects: [shop]\n";
        assert!(Config::parse(right).unwrap().tenants.project("team-a-x", "shop").is_ok());
        for (wrong, what) in [
            ("tenants:\n- namespaces: [a]\n  projects:\n  - shop\n  - 'sh*p'\n", "at the end only"),
            ("tenants:\n- namespaces: [a]\n  projects:\n  - shop\n  - ''\n", "empty pattern"),
            ("tenants:\n- namespaces: [a]\n  projects:\n  - shop\n  - Shop\n", "'S'"),
            ("tenants:\n- projects: [b]\n  namespaces: [a]\n  images:\n  - 'two words'\n", "' '"),
            ("tenants:\n- projects: [b]\n  namespaces: [a]\n  images: [a]\n  image: [b]\n", "image"),
        ] {
            let error = Config::parse(wrong).unwrap_err();
            assert!(error.contains(what) && error.contains("line 5"), "{error}");
        }
        let error = Config::parse("tenants:\n- projects: [b]\n").unwrap_err();
        assert!(error.contains("namespaces"), "{error}");
    }
}
