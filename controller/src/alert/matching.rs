//! Which alerts are a Subject's: its rules, ready to be used. Pure.
//!
//! As in Alertmanager: a label that is not there is empty, and a regular expression has to fit all of the label.

use std::collections::BTreeMap;

use crds::alert::{AlertRule, MatchOp, Matcher};
use regex::{Regex, RegexBuilder};

use crate::printable::short_line;

/// Bytes that a regular expression may take once it is compiled: enough for some hundred words.
const LARGEST: usize = 256 << 10;
/// Regular expressions that a Subject may have: whoever may write Subjects must not fill the controller's memory.
const MOST: usize = 32;

/// The rules of a Subject.
#[derive(Debug, Default)]
pub struct Rules(Vec<Vec<Ready>>);

#[derive(Debug)]
struct Ready {
    name: String,
    wanted: Wanted,
    /// Whether it has to be so, or must not.
    so: bool,
}

#[derive(Debug)]
enum Wanted {
    Text(String),
    Fits(Regex),
}

impl Rules {
    /// Makes them ready. A rule with a mistake in it fits nothing; each mistake is a sentence that names its place.
    #[must_use]
    pub fn new(rules: &[AlertRule]) -> (Self, Vec<String>) {
        let (mut ready, mut mistakes, mut regexes) = (Vec::new(), Vec::new(), 0);
        for (at, rule) in rules.iter().enumerate() {
            let mut whole = Vec::new();
            for (of, matcher) in rule.matchers.iter().enumerate() {
                regexes += usize::from(matches!(matcher.op, MatchOp::Fits | MatchOp::FitsNot));
                if regexes > MOST {
                    mistakes.push(format!("spec.alerts[{at}]: a Subject has at most {MOST} regular expressions"));
                    break;
                }
                match Ready::new(matcher) {
                    Ok(one) => whole.push(one),
                    Err(why) => mistakes.push(format!("spec.alerts[{at}].matchers[{of}]: {why}")),
                }
            }
            // The API server refuses a rule without matchers; one that came past it is not to fit everything.
            if whole.len() == rule.matchers.len() && !whole.is_empty() {
                ready.push(whole);
            }
        }
        (Self(ready), mistakes)
    }

    /// Whether an alert with these labels is the Subject's.
    #[must_use]
    pub fn fit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().any(|rule| rule.iter().all(|one| one.fits(labels)))
    }
}

impl Ready {
    fn new(matcher: &Matcher) -> Result<Self, String> {
        let (wanted, so) = match matcher.op {
            MatchOp::Is | MatchOp::IsNot => (Wanted::Text(matcher.value.clone()), matcher.op == MatchOp::Is),
            MatchOp::Fits | MatchOp::FitsNot => (Wanted::Fits(anchored(&matcher.value)?), matcher.op == MatchOp::Fits),
        };
        Ok(Self { name: matcher.name.clone(), wanted, so })
    }

    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let is = match &self.wanted {
            Wanted::Text(text) => text == value,
            Wanted::Fits(regex) => regex.is_match(value),
        };
        is == self.so
    }
}

/// A regular expression that has to fit all of a text, whatever stands in it: `a|b` is not "begins with a, or ends with
/// b".
fn anchored(expression: &str) -> Result<Regex, String> {
    let said = |error: regex::Error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("the regular expression {:?} is too large", short_line(expression, 80))
        }
        error => {
            // The library draws an arrow below the expression; its last line says what is wrong.
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{:?} is no regular expression: {}", short_line(expression, 80), short_line(&why, 200))
        }
    };
    // By itself first: `a)|(b` is none, and must not become one inside of the brackets.
    let compile = |text: &str| {
        RegexBuilder::new(text).size_limit(LARGEST).dfa_size_limit(LARGEST).dot_matches_new_line(true).build()
    };
    compile(expression).map_err(said)?;
    compile(&format!("^(?:{expression})$")).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(yaml: &str) -> (Rules, Vec<String>) {
        Rules::new(&serde_saphyr::from_str::<Vec<AlertRule>>(yaml).unwrap())
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn fits(matcher: &str, value: Option<&str>) -> bool {
        let (rules, mistakes) = rules(&format!("[{{matchers: [{matcher}]}}]"));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        rules.fit(&value.map_or_else(BTreeMap::new, |value| labels(&[("l", value)])))
    }

    #[test]
    fn each_operator_does_what_it_does_in_alertmanager() {
        for (matcher, value, expected) in [
            ("{name: l, value: a}", Some("a"), true),
            ("{name: l, value: a}", Some("ab"), false),
            ("{name: l, value: a}", None, false),
            ("{name: l, op: '=', value: a.c}", Some("abc"), false),
            ("{name: l, op: '!=', value: a}", Some("b"), true),
            ("{name: l, op: '!=', value: a}", None, true),
            ("{name: l, op: '!=', value: a}", Some("a"), false),
            ("{name: l, op: '!=', value: ''}", None, false),
            ("{name: l, op: '!=', value: ''}", Some("x"), true),
            ("{name: l, op: '=~', value: 'a.c'}", Some("abc"), true),
            ("{name: l, op: '!~', value: 'a.c'}", Some("abc"), false),
            ("{name: l, op: '!~', value: 'a.c'}", None, true),
            ("{name: l, op: '=~', value: '.*'}", None, true),
            ("{name: l, op: '=~', value: '.+'}", None, false),
        ] {
            assert_eq!(fits(matcher, value), expected, "{matcher} {value:?}");
        }
    }

    #[test]
    fn an_expression_has_to_fit_all_of_the_label() {
        for (expression, value, expected) in [
            ("a|b", "a", true),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("a|b", "axx", false),
            ("a|b", "xxb", false),
            ("shop", "my-shop", false),
            ("shop", "shop-2", false),
            ("^shop$", "shop", true),
            ("shop", "shop\n", false),
            ("shop", "x\nshop\ny", false),
            ("(?m)shop", "x\nshop\ny", false),
            ("a.b", "a\nb", true),
            ("(?i)shop", "SHOP", true),
        ] {
            assert_eq!(
                fits(&format!("{{name: l, op: '=~', value: '{expression}'}}"), Some(value)),
                expected,
                "{expression} {value:?}"
            );
        }
    }

    #[test]
    fn all_matchers_of_any_rule() {
        let (rules, mistakes) = rules(
            "[{matchers: [{name: service, value: shop}, {name: severity, op: '=~', value: 'critical|page'}]}, \
              {matchers: [{name: job, value: shop}]}]",
        );
        assert!(mistakes.is_empty());
        assert!(rules.fit(&labels(&[("service", "shop"), ("severity", "page"), ("more", "x")])));
        assert!(!rules.fit(&labels(&[("service", "shop"), ("severity", "info")])));
        assert!(rules.fit(&labels(&[("job", "shop")])));
        assert!(!rules.fit(&labels(&[])));
        assert!(!Rules::new(&[]).0.fit(&labels(&[("job", "shop")])), "no rule, no alert");
        assert!(!Rules::new(&[AlertRule::default()]).0.fit(&labels(&[])), "a rule without matchers");
    }

    #[test]
    fn there_is_an_end_to_regular_expressions() {
        let one = "{matchers: [{name: l, op: '=~', value: 'a.*'}]}";
        let all = |count: usize| rules(&format!("[{}]", vec![one; count].join(", ")));
        assert!(all(MOST).1.is_empty());
        assert_eq!(all(MOST + 1).1, ["spec.alerts[32]: a Subject has at most 32 regular expressions"]);
        assert!(all(MOST + 1).0.fit(&labels(&[("l", "abc")])), "the others go on");
        assert!(fits("{name: l, op: '=~', value: '\\w+-\\d{3}'}", Some("shop-123")));
    }

    #[test]
    fn a_mistake_is_named_with_its_place_and_its_rule_fits_nothing() {
        let (rules, mistakes) = rules(
            "[{matchers: [{name: a, value: b}, {name: l, op: '=~', value: 'a)|(b'}]}, {matchers: [{name: c, value: d}]}, \
              {matchers: [{name: l, op: '!~', value: '(x{1000}){1000}'}]}, {matchers: [{name: l, op: '=~', value: '(?=x)'}]}]",
        );
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(
            mistakes[0].starts_with("spec.alerts[0].matchers[1]: \"a)|(b\" is no regular expression: "),
            "{mistakes:?}"
        );
        assert_eq!(mistakes[1], "spec.alerts[2].matchers[0]: the regular expression \"(x{1000}){1000}\" is too large");
        assert!(mistakes[2].contains("look-around"), "{mistakes:?}");
        assert!(!rules.fit(&labels(&[("a", "b"), ("l", "a")])));
        assert!(rules.fit(&labels(&[("c", "d")])), "the others go on");
    }
}
