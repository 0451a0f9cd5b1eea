//! Budgets as people write them: money in dollars, as in an Incident. The trail has nano-dollars.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::agent::Budgets;
use crate::money::NanoDollars;

/// The part `budgets` of the file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct BudgetConfig {
    /// Limits of a session.
    pub session: Budgets,
    /// What all models may cost in a day (UTC), all sessions together; none is no limit.
    pub per_day: Option<NanoDollars>,
}

/// [`Budgets`] as the file has them. What is absent is the default; null is no limit where there can be none.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    turns: u32,
    wall_time_seconds: u64,
    tokens: Option<u64>,
    #[serde(deserialize_with = "dollars")]
    dollars: Option<NanoDollars>,
    command_timeout_seconds: u64,
    command_timeout_cap_seconds: u64,
    max_tokens: u32,
    output_bytes: Option<u64>,
    #[serde(deserialize_with = "dollars")]
    dollars_per_day: Option<NanoDollars>,
}

impl Default for Written {
    fn default() -> Self {
        let budgets = Budgets::default();
        Self {
            turns: budgets.turns,
            wall_time_seconds: budgets.wall_time_seconds,
            tokens: budgets.tokens,
            dollars: budgets.cost,
            command_timeout_seconds: budgets.command_timeout_seconds,
            command_timeout_cap_seconds: budgets.command_timeout_cap_seconds,
            max_tokens: budgets.max_tokens,
            output_bytes: budgets.output_bytes,
            dollars_per_day: None,
        }
    }
}

impl From<Written> for BudgetConfig {
    fn from(written: Written) -> Self {
        let session = Budgets {
            turns: written.turns,
            wall_time_seconds: written.wall_time_seconds,
            tokens: written.tokens,
            cost: written.dollars,
            command_timeout_seconds: written.command_timeout_seconds,
            command_timeout_cap_seconds: written.command_timeout_cap_seconds,
            max_tokens: written.max_tokens,
            output_bytes: written.output_bytes,
            ..Budgets::default()
        };
        Self { session, per_day: written.dollars_per_day }
    }
}

fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NanoDollars>, D::Error> {
    match Option::<f64>::deserialize(deserializer)? {
        Some(dollars) if !dollars.is_finite() || dollars < 0.0 => {
            Err(D::Error::custom(format!("dollars: {dollars} is no amount of money; null means no limit")))
        }
        dollars => Ok(dollars.map(NanoDollars::from_dollars)),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::money::NanoDollars;

    #[test]
    fn money_is_written_in_dollars() {
        let cost =
            |yaml: &str| Config::parse(&format!("budgets:\n  {yaml}\n")).map(|config| config.budgets.session.cost);
        assert_eq!(cost("turns: 3"), Ok(Some(NanoDollars(5_000_000_000))));
        assert_eq!(cost("dollars: 0.25"), Ok(Some(NanoDollars(250_000_000))));
        assert_eq!(cost("dollars: 7"), Ok(Some(NanoDollars(7_000_000_000))));
        assert_eq!(cost("dollars: null"), Ok(None));
        for wrong in ["dollars: -1", "dollars: .nan", "dollars: .inf", "dollars: five", "cost: 5000000000"] {
            let error = cost(wrong).unwrap_err();
            assert!(error.contains("line 2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_day_has_its_own_limit() {
        let budgets = Config::parse("budgets: {dollarsPerDay: 50, outputBytes: null}").unwrap().budgets;
        assert_eq!((budgets.per_day, budgets.session.output_bytes), (Some(NanoDollars(50_000_000_000)), None));
        assert_eq!(Config::parse("budgets: {turns: 3}").unwrap().budgets.per_day, None);
        assert!(Config::parse("budgets: {dollarsPerDay: -1}").is_err());
    }

    #[test]
    fn the_trail_keeps_nano_dollars() {
        let budgets = Config::parse("budgets: {dollars: 1.5, tokens: null}").unwrap().budgets.session;
        let written = serde_json::to_value(&budgets).unwrap();
        assert_eq!(written["cost"], 1_500_000_000_i64);
        assert_eq!(written["tokens"], serde_json::Value::Null);
    }
}
