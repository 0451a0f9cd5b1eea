//! The windows of models, and when a conversation is made shorter.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::agent::compact::Window;

/// The part `context` of the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ContextConfig {
    /// Above this share of the model's window old results are replaced by summaries …
    #[serde(deserialize_with = "share")]
    pub compact_above: f64,
    /// … until about this share is left.
    #[serde(deserialize_with = "share")]
    pub compact_to: f64,
    /// Windows by model, in tokens. The longest name counts that a model's begins with.
    pub windows: Vec<WindowLine>,
}

/// A model's window.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowLine {
    /// A model's name, or the start of it.
    pub model: String,
    /// What it can read.
    pub tokens: u64,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self { compact_above: 0.65, compact_to: 0.35, windows: Vec::new() }
    }
}

impl ContextConfig {
    /// The window of a model; one that nobody named has that of today's models.
    #[must_use]
    pub fn of(&self, model: &str) -> Window {
        let named =
            self.windows.iter().filter(|line| model.starts_with(&line.model)).max_by_key(|line| line.model.len());
        let tokens = named.map_or(Window::default().tokens, |line| line.tokens);
        Window::of(tokens, self.compact_above, self.compact_to)
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.05..=0.95).contains(&share) {
        Ok(share)
    } else {
        Err(D::Error::custom(format!("{share} is no share of a window: 0.05 to 0.95")))
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::compact::Window;
    use crate::config::Config;

    #[test]
    fn the_longest_name_counts() {
        let yaml =
            "context:\n  windows:\n  - {model: claude-, tokens: 100000}\n  - {model: claude-big, tokens: 1000000}\n";
        let context = Config::parse(yaml).unwrap().context;
        assert_eq!(context.of("claude-big-1").tokens, 1_000_000);
        assert_eq!(context.of("claude-small"), Window { tokens: 100_000, compact_above: 65_000, compact_to: 35_000 });
        assert_eq!(context.of("other"), Window::default());
        let error = Config::parse("context:\n  compactAbove: 65\n").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
    }
}
