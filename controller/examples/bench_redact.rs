//! How fast secrets are looked for: megabytes a second on plain text, on logs, and on a text full of anchors.
//! Prints one line of JSON.

use std::time::Instant;

use controller::redact::{Edges, Redactor};

const ROUNDS: u32 = 20;

fn main() {
    let repeat = |line: &str| line.repeat((8 << 20) / line.len()).into_bytes();
    let texts = [
        ("plain", repeat("2026-11-25T10:00:00Z info handled request 0af7651916cd43dd in 12 ms, 200 OK, node 3 of 5\n")),
        ("binary", (0u32..2 << 20).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()),
        (
            "logs",
            repeat("level=info msg=\"GET http://api:8080/v1/items?page=2\" user=alice token_count=3 pass=12 dur=3ms\n"),
        ),
        (
            "secrets",
            repeat("POSTGRES_PASSWORD=two planted words\nurl=postgres://a:hunter2@db:5432/x token: abcdef12\n"),
        ),
    ];
    let redactor = Redactor::for_readers();
    let mut parts = Vec::new();
    for (name, text) in &texts {
        let mut masked = redactor.bytes(text, Edges::WHOLE).count;
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            masked = masked.max(redactor.bytes(text, Edges::WHOLE).count);
        }
        let seconds = begun.elapsed().as_secs_f64() / f64::from(ROUNDS);
        let megabytes = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX)) / 1e6;
        parts.push(format!("\"{name}\": {{\"mb_per_s\": {:.0}, \"masked\": {masked}}}", megabytes / seconds));
    }
    println!("{{{}}}", parts.join(", "));
}
