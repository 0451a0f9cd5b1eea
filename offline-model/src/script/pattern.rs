//! Values of a script that may be written short or long.
//!
//! They have deserializers of their own instead of untagged enums, which would forget the line
//! and column that an error has to name.

use std::fmt;

use regex::Regex;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One regular expression or a list of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(pub(crate) Vec<Regex>);

/// A regular expression that was compiled where it stands, so that a wrong one is refused there.
struct Pattern(Regex);

fn compile<E: de::Error>(text: &str) -> Result<Regex, E> {
    Regex::new(text).map_err(|error| {
        // The crate draws the pattern over several lines; its last line says what is wrong.
        let drawn = error.to_string();
        let why = drawn.lines().last().unwrap_or_default().trim();
        E::custom(format!("wrong regular expression: {why}"))
    })
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        compile(&String::deserialize(deserializer)?).map(Self)
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternsVisitor)
    }
}

struct PatternsVisitor;

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = Patterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a regular expression or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Patterns, E> {
        Ok(Patterns(vec![compile(text)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
        let mut patterns = Vec::new();
        while let Some(Pattern(regex)) = list.next_element()? {
            patterns.push(regex);
        }
        Ok(Patterns(patterns))
    }
}

/// A number: exactly this one, or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    min: usize,
    max: usize,
}

impl Range {
    /// Whether the number is inside.
    pub(crate) fn has(self, number: usize) -> bool {
        (self.min..=self.max).contains(&number)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RangeVisitor)
    }
}

struct RangeVisitor;

impl<'de> Visitor<'de> for RangeVisitor {
    type Value = Range;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or min and max")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Range, E> {
        let number = usize::try_from(number).map_err(E::custom)?;
        Ok(Range { min: number, max: number })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Range, E> {
        self.visit_u64(u64::try_from(number).map_err(E::custom)?)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Range, A::Error> {
        let (mut min, mut max) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "min" => min = Some(map.next_value()?),
                "max" => max = Some(map.next_value()?),
                _ => return Err(de::Error::unknown_field(&key, &["min", "max"])),
            }
        }
        let range = Range { min: min.unwrap_or(0), max: max.unwrap_or(usize::MAX) };
        if range.min > range.max {
            return Err(de::Error::custom("min is greater than max"));
        }
        Ok(range)
    }
}
