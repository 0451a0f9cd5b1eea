//! What a session may spend, and what of it is left.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compact::Window;
use super::present::thousands;
use crate::model::Price;
use crate::money::NanoDollars;

/// Limits of a session. `None` is no limit. Written so into the trail; [`crate::config`] reads them as
/// people write them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    /// Bytes that commands may print.
    #[serde(default)]
    pub output_bytes: Option<u64>,
    /// The model's window, and when the conversation is made shorter.
    #[serde(default)]
    pub window: Window,
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
            output_bytes: Some(4 << 30),
            window: Window::default(),
        }
    }
}

/// Tokens that the last turn, for the findings, may write.
pub(super) const FINAL_TOKENS: u32 = 4_096;
/// A turn with less room than this to write is not worth making.
const LEAST_TOKENS: u32 = 1_024;
/// Tokens that the results of one turn are reckoned at, when the last turn is reserved.
const RESULT_TOKENS: u64 = 12_000;

/// At these shares of a budget, in percent, the model is told how much is left.
const NEAR: [u64; 2] = [80, 90];

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Which budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Model turns.
    Turns,
    /// Wall time.
    WallTime,
    /// Tokens.
    Tokens,
    /// Money.
    Cost,
    /// Bytes of output.
    Output,
    /// Money of the whole installation in a day.
    Day,
}

impl Limit {
    /// The limit whose escalation has this reason.
    #[must_use]
    pub fn parse(reason: &str) -> Option<Self> {
        [Self::Turns, Self::WallTime, Self::Tokens, Self::Cost, Self::Output, Self::Day]
            .into_iter()
            .find(|limit| limit.reason() == reason)
    }

    /// The reason of the escalation.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Turns => "TurnBudget",
            Self::WallTime => "WallTimeBudget",
            Self::Tokens => "TokenBudget",
            Self::Cost => "CostBudget",
            Self::Output => "OutputBudget",
            Self::Day => "DailyBudget",
        }
    }
}

/// What was spent so far, and what the next call reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Turns made.
    pub turns: i64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Money.
    pub cost: NanoDollars,
    /// About how many tokens the next call reads.
    pub next_input: u64,
    /// Bytes that commands printed.
    pub output_bytes: u64,
}

/// Whether another turn can be paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Yes, and it may write this many tokens.
    Turn {
        /// At most this many tokens.
        max_tokens: u32,
    },
    /// Only the last one, for the findings.
    Last {
        /// At most this many tokens; 0 if not even that can be paid for.
        max_tokens: u32,
        /// What is used up.
        limit: Limit,
    },
}

impl Budgets {
    /// Decides on the next turn. Its worst case (everything read at the dearest price, everything
    /// written that may be written), and that of the last turn after it, must fit into what is left;
    /// a turn is made shorter before it is refused.
    #[must_use]
    pub fn plan(&self, spent: &Spent, price: &Price) -> Plan {
        let limit = if spent.turns >= i64::from(self.turns) {
            Limit::Turns
        } else if self.output_bytes.is_some_and(|most| spent.output_bytes >= most) {
            Limit::Output
        } else {
            match self.shrink(self.max_tokens, |out| {
                let after = spent.next_input.saturating_add(u64::from(out)).saturating_add(RESULT_TOKENS);
                self.exceeded(spent, price, &[(spent.next_input, out), (after, LEAST_TOKENS)])
            }) {
                Ok(max_tokens) => return Plan::Turn { max_tokens },
                Err(limit) => limit,
            }
        };
        Plan::Last { max_tokens: self.last_tokens(spent, price), limit }
    }

    /// How many tokens the last turn may write; 0 if it cannot be paid for.
    #[must_use]
    pub fn last_tokens(&self, spent: &Spent, price: &Price) -> u32 {
        let exceeded = |out| self.exceeded(spent, price, &[(spent.next_input, out)]);
        self.shrink(self.max_tokens.min(FINAL_TOKENS), exceeded).unwrap_or(0)
    }

    /// Halves `most` until it is not exceeded; an error if even the least is.
    fn shrink(&self, most: u32, exceeded: impl Fn(u32) -> Option<Limit>) -> Result<u32, Limit> {
        let least = LEAST_TOKENS.min(self.max_tokens).max(1);
        let mut out = most.max(least);
        loop {
            match exceeded(out) {
                None => return Ok(out),
                Some(limit) if out <= least => return Err(limit),
                Some(_) => out = (out / 2).max(least),
            }
        }
    }

    /// Which limit these calls (tokens read, tokens written) may exceed.
    fn exceeded(&self, spent: &Spent, price: &Price, calls: &[(u64, u32)]) -> Option<Limit> {
        let tokens = calls
            .iter()
            .fold(spent.tokens, |sum, (input, out)| sum.saturating_add(*input).saturating_add(u64::from(*out)));
        let cost: NanoDollars = calls.iter().map(|(input, out)| price.worst_case(*input, u64::from(*out))).sum();
        if self.tokens.is_some_and(|most| tokens > most) {
            return Some(Limit::Tokens);
        }
        self.cost.is_some_and(|most| spent.cost + cost > most).then_some(Limit::Cost)
    }

    /// What the model is told near the end, with the share in percent that it is told at; none if it was told
    /// at that share before, or nothing is near its end.
    #[must_use]
    pub fn near_the_end(&self, spent: &Spent, used: Duration, told: u64) -> Option<(u64, String)> {
        let mut parts = Vec::new();
        let mut most = 0;
        let mut part = |used: u64, limit: Option<u64>, text: &dyn Fn(u64) -> String| {
            let Some(limit) = limit.filter(|limit| *limit > 0) else { return };
            most = most.max(u128::from(used) * 100 / u128::from(limit));
            parts.push(text(limit.saturating_sub(used)));
        };
        part(unsigned(spent.turns), Some(self.turns.into()), &|left| format!("{left} of {} turns", self.turns));
        part(used.as_secs(), Some(self.wall_time_seconds), &|left| {
            let of = self.wall_time_seconds;
            if of < 180 { format!("{left} of {of} seconds") } else { format!("{} of {} minutes", left / 60, of / 60) }
        });
        part(spent.tokens, self.tokens, &|left| format!("{} tokens", thousands(left)));
        part(unsigned(spent.cost.0), self.cost.map(|cost| unsigned(cost.0)), &|left| {
            NanoDollars(i64::try_from(left).unwrap_or(i64::MAX)).to_string()
        });
        part(spent.output_bytes, self.output_bytes, &|left| format!("{} bytes of output", thousands(left)));
        let share = NEAR.into_iter().rev().find(|share| most >= u128::from(*share))?;
        (share > told).then(|| {
            let left = parts.join(", ");
            let text = format!(
                "From Operator: more than {share} % of a budget is used. Left: {left}. Bring your work to an end in time: \
                 when one is used up no command runs any more."
            );
            (share, text)
        })
    }

    /// What the model and the trail are told when a limit is reached.
    #[must_use]
    pub fn sentence(&self, limit: Limit) -> String {
        match limit {
            Limit::Turns => format!("The budget of {} turns is used up.", self.turns),
            Limit::WallTime => format!("The wall time of {} s is over.", self.wall_time_seconds),
            Limit::Tokens => format!("The budget of {} tokens is used up.", self.tokens.unwrap_or_default()),
            Limit::Cost => format!("The budget of {} is used up.", self.cost.unwrap_or_default()),
            Limit::Output => {
                format!(
                    "The budget of {} bytes of output is used up.",
                    thousands(self.output_bytes.unwrap_or_default())
                )
            }
            Limit::Day => "What this installation may spend on models in a day is used up.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRICE: Price = Price::new(4.0, 20.0, 5.0, 0.2);

    fn spent(turns: i64, tokens: u64, cents: i64, next_input: u64) -> Spent {
        Spent { turns, tokens, cost: NanoDollars(cents * 10_000_000), next_input, output_bytes: 0 }
    }

    #[test]
    fn a_fresh_session_has_a_whole_turn() {
        assert_eq!(Budgets::default().plan(&spent(0, 0, 0, 3000), &PRICE), Plan::Turn { max_tokens: 16_000 });
    }

    #[test]
    fn each_limit_ends_in_a_last_turn() {
        let budgets = Budgets::default();
        let limit = |spent: &Spent| match budgets.plan(spent, &PRICE) {
            Plan::Last { max_tokens, limit } => (max_tokens > 0, limit),
            plan @ Plan::Turn { .. } => panic!("{plan:?}"),
        };
        assert_eq!(limit(&spent(30, 0, 0, 3000)), (true, Limit::Turns));
        assert_eq!(limit(&spent(3, 2_980_000, 0, 3000)), (true, Limit::Tokens));
        assert_eq!(limit(&spent(3, 0, 490, 3000)), (true, Limit::Cost));
        assert_eq!(limit(&spent(3, 0, 499, 3000)), (false, Limit::Cost));
    }

    #[test]
    fn near_the_end_it_is_told_twice() {
        let budgets = Budgets::default();
        let told = |spent: &Spent, minutes: u64, told| budgets.near_the_end(spent, Duration::from_mins(minutes), told);
        assert_eq!(told(&spent(23, 0, 0, 0), 20, 0), None);
        let (share, text) = told(&spent(24, 0, 100, 0), 20, 0).unwrap();
        assert_eq!(share, 80);
        for part in ["6 of 30 turns", "10 of 30 minutes", "3,000,000 tokens", "$4.00"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert_eq!(told(&spent(25, 2_500_000, 0, 0), 20, 80), None);
        assert_eq!(told(&spent(25, 0, 460, 0), 20, 80).unwrap().0, 90);
        assert_eq!(told(&spent(25, 0, 0, 0), 29, 80).unwrap().0, 90);
        assert_eq!(told(&spent(29, 0, 460, 0), 29, 90), None);
        let printed = Spent { output_bytes: 3600 << 20, ..spent(1, 0, 0, 0) };
        assert!(told(&printed, 0, 0).unwrap().1.contains("bytes of output"));
    }

    #[test]
    fn output_has_a_budget() {
        let printed = Spent { output_bytes: 4 << 30, ..spent(1, 0, 0, 3000) };
        let plan = Budgets::default().plan(&printed, &PRICE);
        assert!(matches!(plan, Plan::Last { max_tokens: 1.., limit: Limit::Output }), "{plan:?}");
        let free = Budgets { output_bytes: None, ..Budgets::default() };
        assert!(matches!(free.plan(&printed, &PRICE), Plan::Turn { .. }));
    }

    #[test]
    fn a_turn_is_made_shorter_before_it_is_refused() {
        let budgets = Budgets { cost: Some(NanoDollars::from_dollars(0.2)), ..Budgets::default() };
        let Plan::Turn { max_tokens } = budgets.plan(&spent(1, 0, 0, 2000), &PRICE) else { panic!() };
        assert!((LEAST_TOKENS..16_000).contains(&max_tokens), "{max_tokens}");
    }

    proptest! {
        #[test]
        fn the_worst_case_never_overdraws(cents in 0i64..600, tokens in 0u64..4_000_000, next in 0u64..400_000) {
            let budgets = Budgets::default();
            let spent = spent(1, tokens, cents, next);
            let (Plan::Turn { max_tokens } | Plan::Last { max_tokens, .. }) = budgets.plan(&spent, &PRICE);
            if max_tokens > 0 {
                prop_assert!(spent.cost + PRICE.worst_case(next, u64::from(max_tokens)) <= budgets.cost.unwrap());
                prop_assert!(tokens + next + u64::from(max_tokens) <= budgets.tokens.unwrap());
            }
        }
    }
}
