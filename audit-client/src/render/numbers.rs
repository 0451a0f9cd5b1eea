//! Amounts as people read them.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// `340 B`, `1.2 KiB`, `3.4 MiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // display only
pub fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        1_048_576..1_073_689_396 => format!("{:.1} MiB", count as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", count as f64 / 1_073_741_824.0),
    }
}

/// `950`, `12.3k`, `1.2M`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // display only
pub fn tokens(count: i64) -> String {
    match count {
        ..1000 => count.to_string(),
        1000..999_950 => format!("{:.1}k", count as f64 / 1000.0),
        _ => format!("{:.1}M", count as f64 / 1_000_000.0),
    }
}

/// `0.12s`, `5.3s`, `2m08s`, `1h02m`, `3d04h`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // display only
pub fn duration_ms(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{:.2}s", ms as f64 / 1000.0),
        1..60 => format!("{}.{}s", seconds, ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// From one time to another, as [`duration_ms`].
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> String {
    duration_ms(span(from, to))
}

/// From one time to another in milliseconds; nothing, if the clock went back.
#[must_use]
pub fn span(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.duration_since(from).as_millis()).unwrap_or(i64::MAX).max(0)
}

/// How long ago, as kubectl says it: `42s`, `5m`, `3h`, `12d`.
#[must_use]
pub fn age(from: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(from).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// `2026-01-28 20:54:48` in UTC.
#[must_use]
pub fn date_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `20:54:48` in UTC.
#[must_use]
pub fn time_of_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

/// `1 command`, `2 commands`.
#[must_use]
pub fn counted(count: i64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        assert_eq!([bytes(0), bytes(1500), bytes(1 << 30)], ["0 B", "1.5 KiB", "1.0 GiB"]);
        assert_eq!([tokens(999), tokens(12_345), tokens(1_234_567)], ["999", "12.3k", "1.2M"]);
        let durations = [-5, 120, 5340, 59_999, 128_000, 3_720_000, 273_600_000].map(duration_ms);
        assert_eq!(durations, ["0.00s", "0.12s", "5.3s", "59.9s", "2m08s", "1h02m", "3d04h"]);
        assert_eq!([counted(1, "turn"), counted(0, "turn")], ["1 turn", "0 turns"]);
    }
}
