//! When to look, when to renew, and when it is over: decisions over moments, without a clock.
//!
//! A moment is the time since the machine began. A lease counts from when it was asked for, not from
//! when the answer came: the database cannot have begun to count before that, so that what this says
//! is over is over there later.

use std::time::Duration;

/// How long a lease is, and how often one looks after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For how long a lease is given. A leader that is gone is followed after this at the latest.
    pub ttl: Duration,
    /// So long before its end a leader that could not renew it stops by itself: what was begun then
    /// is over when the lease is.
    pub margin: Duration,
    /// Between two renewals.
    pub renew: Duration,
    /// Between a renewal that got no answer and the next try.
    pub retry: Duration,
    /// Between two looks of somebody who stands by.
    pub look: Duration,
    /// How long one call may take.
    pub call: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(12),
            margin: Duration::from_secs(2),
            renew: Duration::from_secs(3),
            retry: Duration::from_millis(500),
            look: Duration::from_secs(2),
            call: Duration::from_secs(3),
        }
    }
}

impl Pace {
    /// When to look again, if the lease has so long yet.
    pub(super) fn look_again(&self, left: Option<Duration>) -> Duration {
        // Just after its end; sooner would only be told so.
        left.map_or(self.look, |left| left + Duration::from_millis(50)).min(self.look)
    }
}

/// Why a leader does not lead any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another one has taken the lease.
    Taken,
    /// A write was refused: another one leads, or the schema is another version's now.
    Fenced,
    /// It could not be renewed in time.
    RanOut {
        /// What the database last said; nothing if this process slept.
        why: Option<String>,
    },
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken => write!(f, "another controller has taken the lease"),
            Self::Fenced => {
                write!(f, "the audit store refused a write: another controller leads, or the schema was changed")
            }
            Self::RanOut { why: Some(why) } => write!(f, "the lease could not be renewed in time: {why}"),
            Self::RanOut { why: None } => {
                write!(f, "the lease was not renewed in time: this process, or its machine, stood still")
            }
        }
    }
}

/// What came of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Renewed.
    Ours,
    /// It is another's.
    Theirs,
    /// No answer, or none that says either.
    Nothing(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Renew at this moment.
    AskAt(Duration),
    /// Stop leading.
    Over(Loss),
}

/// The time of one leader, from one renewal to the next.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pace: Pace,
    until: Duration,
    trouble: Option<String>,
}

impl Term {
    /// Begins with a lease that was asked for then.
    pub(super) fn begin(pace: Pace, asked: Duration) -> Self {
        let until = Self::end_of(&pace, asked);
        Self { pace, until, trouble: None }
    }

    fn end_of(pace: &Pace, asked: Duration) -> Duration {
        asked + pace.ttl.saturating_sub(pace.margin)
    }

    /// Until when nobody else can lead, by our own clock and less the margin.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// The moment of the first renewal.
    pub(super) fn first(&self) -> Duration {
        (self.until + self.pace.renew).saturating_sub(self.pace.ttl.saturating_sub(self.pace.margin))
    }

    /// Whether it is over, before anything is asked: after a long sleep a renewal might still be given
    /// (nobody wanted the lease), but what was promised on the old one was promised too long.
    pub(super) fn over(&self, now: Duration) -> Option<Loss> {
        (now >= self.until).then(|| Loss::RanOut { why: self.trouble.clone() })
    }

    /// How long a renewal that is asked for now may take.
    pub(super) fn patience(&self, now: Duration) -> Duration {
        self.pace.call.min(self.until.saturating_sub(now))
    }

    /// What the answer at `now` to a renewal that was asked for at `asked` leads to.
    pub(super) fn answered(&mut self, asked: Duration, answer: Answer, now: Duration) -> Step {
        match answer {
            Answer::Theirs => Step::Over(Loss::Taken),
            // Stopped for long between question and answer: the guard has refused meanwhile, and what it
            // refused has been given up.
            Answer::Ours if now >= self.until => Step::Over(Loss::RanOut { why: self.trouble.clone() }),
            Answer::Ours => {
                self.until = self.until.max(Self::end_of(&self.pace, asked));
                self.trouble = None;
                Step::AskAt(asked + self.pace.renew)
            }
            Answer::Nothing(why) => {
                self.trouble = Some(why);
                match self.over(now) {
                    Some(loss) => Step::Over(loss),
                    // The last try is at the end itself, where it is over.
                    None => Step::AskAt((now + self.pace.retry).min(self.until)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    fn term() -> Term {
        Term::begin(Pace::default(), at(0))
    }

    #[test]
    fn a_lease_counts_from_the_question_and_ends_before_its_end() {
        let mut term = term();
        assert_eq!((term.until(), term.first()), (at(10), at(3)));
        // The answer took two seconds.
        assert_eq!(term.answered(at(3), Answer::Ours, at(5)), Step::AskAt(at(6)));
        assert_eq!(term.until(), at(13));
    }

    #[test]
    fn a_database_that_is_away_for_less_is_waited_for_and_for_longer_ends_it() {
        let mut term = term();
        let away = || Answer::Nothing("no route".into());
        assert_eq!(term.answered(at(3), away(), at(6)), Step::AskAt(at(6) + Duration::from_millis(500)));
        assert_eq!((term.until(), term.over(at(9))), (at(10), None));
        let mut back = term.clone();
        assert_eq!(back.answered(at(9), Answer::Ours, at(9)), Step::AskAt(at(12)));
        assert_eq!(back.over(at(10)), None);

        // The tries come to the very end, and not beyond it.
        assert_eq!(term.answered(at(9), away(), Duration::from_millis(1_009_900)), Step::AskAt(at(10)));
        assert_eq!(term.over(at(10)), Some(Loss::RanOut { why: Some("no route".into()) }));
        assert_eq!(term.answered(at(9), away(), at(10)), Step::Over(Loss::RanOut { why: Some("no route".into()) }));
    }

    #[test]
    fn a_leader_that_slept_is_none_even_if_nobody_took_the_lease() {
        let mut slept = term();
        assert_eq!(slept.over(at(60)), Some(Loss::RanOut { why: None }));
        // The renewal was on its way already.
        assert_eq!(slept.answered(at(3), Answer::Ours, at(60)), Step::Over(Loss::RanOut { why: None }));
        assert_eq!(term().answered(at(3), Answer::Theirs, at(4)), Step::Over(Loss::Taken));
    }

    #[test]
    fn no_call_outlasts_the_term() {
        assert_eq!(term().patience(at(3)), Duration::from_secs(3));
        assert_eq!(term().patience(at(9)), Duration::from_secs(1));
        assert_eq!(term().patience(at(20)), Duration::ZERO);
    }

    #[test]
    fn who_stands_by_looks_just_after_the_end() {
        let pace = Pace::default();
        assert_eq!(pace.look_again(Some(Duration::from_millis(300))), Duration::from_millis(350));
        assert_eq!(pace.look_again(Some(Duration::from_secs(11))), pace.look);
        assert_eq!(pace.look_again(None), pace.look);
    }
}
