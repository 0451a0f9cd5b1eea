//! Mutations that keep JSON whole. A random byte breaks a body of JSON nearly always, and what lies behind the parser
//! is seldom reached; so a part of the mutations is made in the tree of a line's JSON, with the dictionary's words.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

/// Mutates one input: a third of the time as libFuzzer does.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, dictionary: &'static str) -> usize {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    let words = WORDS.get_or_init(|| words(dictionary));
    let mut chance = Chance(u64::from(seed) << 1 | 1);
    let changed = if chance.below(3) == 0 { None } else { in_lines(&data[..size], &mut chance, words) };
    match changed {
        Some(changed) if changed.len() <= max_size && changed.len() <= data.len() => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
}

/// The words between the quotes of a dictionary's lines.
fn words(dictionary: &str) -> Vec<String> {
    let lines = dictionary.lines().filter(|line| line.starts_with('"'));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn in_lines(data: &[u8], chance: &mut Chance, words: &[String]) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = chance.below(lines.len());
    match chance.below(8) {
        0 => lines.insert(at, lines[at].clone()),
        1 if lines.len() > 1 => drop(lines.remove(at)),
        2 => {
            let other = chance.below(lines.len());
            lines.swap(at, other);
        }
        _ => {
            let with_json: Vec<usize> = (0..lines.len()).filter(|at| opening(&lines[*at]).is_some()).collect();
            let line = &mut lines[*with_json.get(chance.below(with_json.len().max(1)))?];
            let start = opening(line)?;
            let mut tree: Value = serde_json::from_slice(&line[start..]).ok()?;
            for _ in 0..=chance.below(3) {
                in_tree(&mut tree, chance, words);
            }
            line.truncate(start);
            serde_json::to_writer(&mut *line, &tree).ok()?;
        }
    }
    Some(lines.join(&b'\n'))
}

/// Where the JSON of a line begins.
fn opening(line: &[u8]) -> Option<usize> {
    line.iter().position(|byte| matches!(byte, b'{' | b'['))
}

/// Changes a value somewhere below.
fn in_tree(value: &mut Value, chance: &mut Chance, words: &[String]) {
    let go_down = chance.below(4) != 0;
    match value {
        Value::Object(fields) if go_down && !fields.is_empty() => {
            let at = chance.below(fields.len());
            if let Some((_, value)) = fields.iter_mut().nth(at) {
                in_tree(value, chance, words);
            }
        }
        Value::Array(items) if go_down && !items.is_empty() => {
            let at = chance.below(items.len());
            in_tree(&mut items[at], chance, words);
        }
        Value::Object(fields) => in_object(fields, chance, words),
        Value::Array(items) => match chance.below(4) {
            0 if !items.is_empty() => drop(items.remove(chance.below(items.len()))),
            1 if !items.is_empty() => items.push(items[chance.below(items.len())].clone()),
            2 => items.clear(),
            _ => items.push(leaf(chance, words)),
        },
        Value::String(text) => match chance.below(5) {
            0 => text.push_str(&word(chance, words)),
            1 => text.insert_str(0, &word(chance, words)),
            2 => *text = text.chars().rev().collect(),
            3 => *text = text.repeat(1 + chance.below(40)),
            _ => *value = leaf(chance, words),
        },
        other => *other = leaf(chance, words),
    }
}

fn in_object(fields: &mut Map<String, Value>, chance: &mut Chance, words: &[String]) {
    let name = fields.keys().nth(chance.below(fields.len().max(1))).cloned();
    match (chance.below(6), name) {
        (0, Some(name)) => drop(fields.remove(&name)),
        (1, Some(name)) => {
            let value = fields.remove(&name).unwrap_or_default();
            fields.insert(word(chance, words), value);
        }
        (2, Some(name)) => {
            fields.insert(name, leaf(chance, words));
        }
        (3, Some(name)) => {
            let value = fields.remove(&name).unwrap_or_default();
            fields.insert(
                name,
                if chance.below(2) == 0 { json!([value]) } else { json!({ word(chance, words): value }) },
            );
        }
        _ => {
            fields.insert(word(chance, words), leaf(chance, words));
        }
    }
}

fn word(chance: &mut Chance, words: &[String]) -> String {
    words.get(chance.below(words.len().max(1))).cloned().unwrap_or_default()
}

fn leaf(chance: &mut Chance, words: &[String]) -> Value {
    match chance.below(18) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(false),
        3 => json!(0),
        4 => json!(-1),
        5 => json!(i64::MAX),
        6 => json!(u64::MAX),
        7 => json!(1.5e300),
        8 => json!(chance.below(70_000)),
        9 => json!({}),
        10 => json!([]),
        11 => json!(""),
        12 => (0..chance.below(130)).fold(json!(1), |inner, _| json!([inner])),
        13 => json!({ word(chance, words): word(chance, words) }),
        14 => json!([word(chance, words), word(chance, words)]),
        15 => json!("\u{0}\u{1b}[2J\u{202e}\u{e9}"),
        _ => json!(word(chance, words)),
    }
}

/// Numbers by chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
