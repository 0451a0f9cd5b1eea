//! What tokens cost.
//!
//! Prices are configuration; the defaults are the public list prices (US dollars per million tokens,
//! cache writes for five minutes) when this was written. A model that is in no table has no price,
//! and that is said: its cost is bounded from above by the dearest price in the table, so that a
//! budget in dollars stays hard, and shown as unknown.

use serde::{Deserialize, Serialize};

use super::Usage;
use crate::money::NanoDollars;

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// Read, without the cache.
    pub input: f64,
    /// Written.
    pub output: f64,
    /// Read and written to the cache.
    pub cache_write: f64,
    /// Read from the cache.
    pub cache_read: f64,
    /// Other prices for a request whose prompt is longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_prompt: Option<LongPrompt>,
}

/// Prices of a whole request, when its prompt (cached tokens included) is long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LongPrompt {
    /// Longer than this many tokens.
    pub above_tokens: u64,
    /// Read, without the cache.
    pub input: f64,
    /// Written.
    pub output: f64,
    /// Read and written to the cache.
    pub cache_write: f64,
    /// Read from the cache.
    pub cache_read: f64,
}

/// Nano-dollars a token, so that sums are exact.
struct Rates {
    input: i64,
    output: i64,
    cache_write: i64,
    cache_read: i64,
}

impl Price {
    /// Nothing costs anything.
    pub const FREE: Self = Self::new(0.0, 0.0, 0.0, 0.0);

    /// A price without a band for long prompts.
    #[must_use]
    pub const fn new(input: f64, output: f64, cache_write: f64, cache_read: f64) -> Self {
        Self { input, output, cache_write, cache_read, long_prompt: None }
    }

    /// What this usage costs. A price below $0.001 per million tokens is rounded to that grain.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoDollars {
        let rates = self.rates(usage.total_input());
        let part = |tokens: u64, rate: i64| i64::try_from(tokens).unwrap_or(i64::MAX).saturating_mul(rate);
        NanoDollars(part(usage.input, rates.input))
            + NanoDollars(part(usage.output, rates.output))
            + NanoDollars(part(usage.cache_write, rates.cache_write))
            + NanoDollars(part(usage.cache_read, rates.cache_read))
    }

    /// The most that a call can cost: every token read is charged at the dearest way of reading.
    #[must_use]
    pub fn worst_case(&self, input_tokens: u64, output_tokens: u64) -> NanoDollars {
        let rates = self.rates(input_tokens);
        let dear = if rates.cache_write > rates.input {
            Usage { cache_write: input_tokens, ..Usage::default() }
        } else {
            Usage { input: input_tokens, ..Usage::default() }
        };
        self.cost(&Usage { output: output_tokens, ..dear })
    }

    fn rates(&self, prompt: u64) -> Rates {
        // A dollar per million tokens is a thousand nano-dollars a token.
        let nano = |dollars: f64| NanoDollars::from_dollars(dollars / 1e6).0;
        match self.long_prompt {
            Some(long) if prompt > long.above_tokens => Rates {
                input: nano(long.input),
                output: nano(long.output),
                cache_write: nano(long.cache_write),
                cache_read: nano(long.cache_read),
            },
            _ => Rates {
                input: nano(self.input),
                output: nano(self.output),
                cache_write: nano(self.cache_write),
                cache_read: nano(self.cache_read),
            },
        }
    }
}

/// The price in force for a model, as the first entry of a session freezes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pricing {
    /// Whether the model has a price. If not, [`Pricing::price`] is only an upper bound.
    pub known: bool,
    /// The price, or the dearest one in the table.
    pub price: Price,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceLine {
    /// A model's name, or the start of it. The longest that fits counts.
    pub model: String,
    /// Its price.
    pub price: Price,
}

/// Prices by model. Later lines win over earlier ones of the same name, so that a configuration can
/// be put behind the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriceTable(pub Vec<PriceLine>);

impl PriceTable {
    /// The price of a model: of the longest name in the table that its name starts with, where a
    /// name ends at the end or before a `-`, `@`, `:` or `[`.
    #[must_use]
    pub fn of(&self, model: &str) -> Pricing {
        let fits = |name: &str| {
            model
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || name.ends_with('-') || rest.starts_with(['-', '@', ':', '[']))
        };
        let known = self.0.iter().filter(|line| fits(&line.model)).max_by_key(|line| line.model.len());
        match known {
            Some(line) => Pricing { known: true, price: line.price },
            None => Pricing { known: false, price: self.dearest() },
        }
    }

    /// This table with another's lines behind it.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn dearest(&self) -> Price {
        let worst = |p: &Price| p.worst_case(1_000_000, 1_000_000);
        self.0.iter().map(|line| line.price).max_by_key(worst).unwrap_or(Price::new(10.0, 50.0, 12.5, 1.0))
    }
}

impl Default for PriceTable {
    fn default() -> Self {
        let line = |model: &str, price: Price| PriceLine { model: model.to_owned(), price };
        let haiku = Price {
            long_prompt: Some(LongPrompt {
                above_tokens: 100_000,
                input: 0.5,
                output: 2.5,
                cache_write: 0.625,
                cache_read: 0.05,
            }),
            ..Price::new(0.1, 0.5, 0.125, 0.01)
        };
        Self(vec![
            line("offline-", Price::FREE),
            line("claude-fable-5", Price::new(10.0, 50.0, 12.5, 1.0)),
            line("claude-fable-5-1", Price::new(10.0, 50.0, 12.5, 0.25)),
            line("claude-mythos-5", Price::new(10.0, 50.0, 12.5, 1.0)),
            line("claude-mythos-5-1", Price::new(10.0, 50.0, 12.5, 0.25)),
            line("claude-opus-5-5", Price::new(4.0, 20.0, 5.0, 0.2)),
            line("claude-opus-5", Price::new(5.0, 25.0, 6.25, 0.5)),
            line("claude-opus-4-8", Price::new(5.0, 25.0, 6.25, 0.5)),
            line("claude-opus-4-7", Price::new(5.0, 25.0, 6.25, 0.5)),
            line("claude-opus-4-6", Price::new(5.0, 25.0, 6.25, 0.5)),
            line("claude-opus-4-5", Price::new(5.0, 25.0, 6.25, 0.5)),
            line("claude-sonnet-5-5", Price::new(2.0, 10.0, 2.5, 0.1)),
            line("claude-sonnet-5", Price::new(2.0, 10.0, 2.5, 0.2)),
            line("claude-sonnet-4-6", Price::new(3.0, 15.0, 3.75, 0.3)),
            line("claude-sonnet-4-5", Price::new(3.0, 15.0, 3.75, 0.3)),
            line("claude-haiku-5-5", haiku),
            line("claude-haiku-4-5", Price::new(1.0, 5.0, 1.25, 0.1)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_counts_and_a_dated_name_has_the_price_of_its_model() {
        let table = PriceTable::default();
        assert!((table.of("claude-opus-5-5").price.input - 4.0).abs() < 1e-9);
        assert!((table.of("claude-opus-5").price.input - 5.0).abs() < 1e-9);
        assert!((table.of("claude-haiku-4-5-20251001").price.output - 5.0).abs() < 1e-9);
        assert_eq!(table.of("offline-ratelimiter"), Pricing { known: true, price: Price::FREE });
    }

    #[test]
    fn an_unknown_model_has_no_price_but_a_bound() {
        let pricing = PriceTable::default().of("claude-opus-50");
        assert!(!pricing.known);
        assert!((pricing.price.output - 50.0).abs() < 1e-9);
    }

    #[test]
    fn counts_each_way_of_reading() {
        let usage = Usage { input: 1000, output: 100, cache_write: 10, cache_read: 5000, ..Usage::default() };
        let cost = Price::new(4.0, 20.0, 5.0, 0.2).cost(&usage);
        assert_eq!(cost, NanoDollars(4_000_000 + 2_000_000 + 50_000 + 1_000_000));
        assert_eq!(Price::new(4.0, 20.0, 5.0, 0.2).worst_case(1000, 10), NanoDollars(5_000_000 + 200_000));
    }

    #[test]
    fn a_long_prompt_is_dearer() {
        let price = PriceTable::default().of("claude-haiku-5-5").price;
        let short = Usage { input: 100_000, ..Usage::default() };
        let long = Usage { input: 1, cache_read: 100_000, ..Usage::default() };
        assert_eq!(price.cost(&short), NanoDollars(10_000_000));
        assert_eq!(price.cost(&long), NanoDollars(500 + 5_000_000));
    }

    #[test]
    fn refuses_a_misspelt_field() {
        let wrong = r#"[{"model":"m","price":{"input":1,"output":1,"cacheWrite":1,"cachRead":1}}]"#;
        assert!(serde_json::from_str::<PriceTable>(wrong).is_err());
    }
}
