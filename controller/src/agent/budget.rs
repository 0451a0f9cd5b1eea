//! What a session may spend, and what of it is left.

use serde::{Deserialize, Serialize};

use crate::money::NanoDollars;

/// Limits of a session. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budgets {
    /// Model turns.
    pub turns: u32,
    /// Seconds from the first entry to the last command or call.
    pub wall_time_seconds: u64,
    /// Tokens, read (cached ones included) and written.
    pub tokens: Option<u64>,
    /// Money, in nano-dollars.
    pub cost: Option<NanoDollars>,
    /// Seconds that a command gets if the model does not ask for more or less.
    pub command_timeout_seconds: u64,
    /// Seconds that a command gets at most.
    pub command_timeout_cap_seconds: u64,
    /// Tokens that the model may write in one turn.
    pub max_tokens: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            turns: 30,
            wall_time_seconds: 30 * 60,
            tokens: Some(3_000_000),
            cost: Some(NanoDollars(5_000_000_000)),
            command_timeout_seconds: 120,
            command_timeout_cap_seconds: 600,
            max_tokens: 16_000,
        }
    }
}
