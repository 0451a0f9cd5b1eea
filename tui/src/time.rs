//! Ages and times of day, short, and how long until they read otherwise.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// From `since` to `now`, never negative.
#[must_use]
pub fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// `48s`, `2m14s`, `18m`, `1h02m`, `3d04h`, `412d`.
#[must_use]
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..600 => format!("{minutes}m{:02}s", seconds % 60),
        600..3600 => format!("{minutes}m"),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ if days < 10 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// How long until [`age`] says something else.
#[must_use]
pub fn until_next_age(duration: Duration) -> Duration {
    let step = match duration.as_secs() {
        0..600 => 1,
        600..86_400 => 60,
        86_400..864_000 => 3600,
        _ => 86_400,
    };
    let step = Duration::from_secs(step);
    let into = duration.as_nanos() % step.as_nanos();
    step.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))
}

/// `02:14`, `1:02:14`: of something that runs.
#[must_use]
pub fn stopwatch(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes:02}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

/// `0.4s`, `12.3s`, `2m14s`: of something that took a while.
#[must_use]
pub fn took(duration: Duration) -> String {
    if duration < Duration::from_mins(1) { format!("{:.1}s", duration.as_secs_f64()) } else { age(duration) }
}

/// `12:01:02`, in UTC as everything that Operator writes.
#[must_use]
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (134, "2m14s"),
            (599, "9m59s"),
            (18 * 60 + 30, "18m"),
            (3725, "1h02m"),
            (273_600, "3d04h"),
            (412 * 86_400, "412d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
        assert_eq!(stopwatch(Duration::from_secs(134)), "02:14");
        assert_eq!(stopwatch(Duration::from_secs(3734)), "1:02:14");
        assert_eq!(took(Duration::from_millis(432)), "0.4s");
    }

    #[test]
    fn an_age_is_awaited_no_longer_than_it_holds() {
        for millis in (0u64..900_000).step_by(777) {
            let now = Duration::from_millis(millis);
            let wait = until_next_age(now);
            assert!(wait > Duration::ZERO);
            assert_eq!(age(now), age((now + wait).saturating_sub(Duration::from_millis(1))), "{millis}");
            assert_ne!(age(now), age(now + wait), "{millis}");
        }
    }
}
