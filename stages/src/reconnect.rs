//! When to try again after a failure, and what to print about it: pauses that grow, with jitter so that many devices do not come
//! back at the same moment, and a reason that is printed once and then only at growing intervals with a count. For everything
//! that talks to another machine: brokers, webhooks, cameras.

use std::time::{Duration, Instant};

/// A reason is printed again after this long, and after that at doubled intervals.
const FIRST_REMINDER: Duration = Duration::from_secs(60);
const LONGEST_REMINDER: Duration = Duration::from_secs(6 * 3600);
/// Different reasons remembered within one outage: two that alternate are two, not news each time.
const MAX_REASONS: usize = 8;

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReconnectPolicy {
    /// The first pause; doubled after each further failure,
    pub first: Duration,
    /// up to this.
    pub longest: Duration,
    /// A connection that held for so long counts as a success, and pauses begin anew. Longer than the longest pause, else two
    /// clients that disconnect each other would never slow down.
    pub stable_after: Duration,
}

/// What to do after a failure.
#[derive(Clone, Debug, PartialEq)]
pub struct NextAttempt {
    /// Until the next attempt.
    pub retry_in: Duration,
    /// What to print, if anything.
    pub message: Option<String>,
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Attempts {
    policy: ReconnectPolicy,
    pause: Duration,
    failures: u64,
    since: Option<Instant>,
    reasons: Vec<String>,
    reminder: Reminder,
}

impl Attempts {
    /// None yet.
    pub fn new(policy: ReconnectPolicy) -> Attempts {
        Attempts {
            policy,
            pause: policy.first,
            failures: 0,
            since: None,
            reasons: Vec::new(),
            reminder: Reminder::default(),
        }
    }

    /// None yet, where the pauses are somebody else's ([`Attempts::failed_with`]).
    pub fn to_print() -> Attempts {
        Attempts::new(ReconnectPolicy { first: Duration::ZERO, longest: Duration::ZERO, stable_after: Duration::MAX })
    }

    /// An attempt has failed because of `reason`.
    pub fn failed(&mut self, reason: &str) -> NextAttempt {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(self.policy.longest);
        self.failed_at(Instant::now(), reason, with_jitter(pause))
    }

    /// An attempt has failed because of `reason`, and the next one is to come after `pause`, whatever the policy says.
    pub fn failed_with(&mut self, reason: &str, pause: Duration) -> NextAttempt {
        self.failed_at(Instant::now(), reason, pause)
    }

    /// How often it has failed since it last worked.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// A connection that held for `held` was lost because of `reason`.
    pub fn lost(&mut self, held: Duration, reason: &str) -> NextAttempt {
        if held >= self.policy.stable_after {
            self.reset();
        }
        self.failed(reason)
    }

    /// It has worked; what to print about the failures before.
    pub fn succeeded(&mut self) -> Option<String> {
        let since = self.since?;
        let text = format!("after {} in {}", count(self.failures, "failed attempt"), in_words(since.elapsed()));
        self.reset();
        Some(text)
    }

    fn reset(&mut self) {
        *self = Attempts::new(self.policy);
    }

    fn failed_at(&mut self, now: Instant, reason: &str, retry_in: Duration) -> NextAttempt {
        self.failures += 1;
        let since = *self.since.get_or_insert(now);
        let next = in_words(retry_in);
        let is_new = self.reasons.len() < MAX_REASONS && !self.reasons.iter().any(|r| r == reason);
        let message = if is_new {
            self.reasons.push(reason.to_owned());
            if self.failures == 1 {
                self.reminder.due(now);
            }
            Some(format!("{reason}; retrying in {next}"))
        } else if self.reminder.due(now) {
            let (tries, over) = (count(self.failures, "attempt"), in_words(now.saturating_duration_since(since)));
            Some(format!("{reason}; still failing after {tries} in {over}; retrying in {next}"))
        } else {
            None
        };
        NextAttempt { retry_in, message }
    }
}

/// Keeps those who wait from waiting for a machine that does not answer: after a failure nothing is asked of it for a while, which
/// grows as long as it fails. Whoever is refused does without at once.
#[derive(Debug)]
pub struct Breaker {
    attempts: Attempts,
    open_until: Option<Instant>,
}

impl Breaker {
    /// One that lets everything through.
    pub fn new(policy: ReconnectPolicy) -> Breaker {
        Breaker { attempts: Attempts::new(policy), open_until: None }
    }

    /// Whether the machine may be asked now.
    pub fn allows(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    /// It has failed; what to print, if anything.
    pub fn failed(&mut self, now: Instant, reason: &str) -> Option<String> {
        let next = self.attempts.failed(reason);
        self.open_until = Some(now + next.retry_in);
        next.message
    }

    /// It has answered; what to print about the failures before.
    pub fn succeeded(&mut self) -> Option<String> {
        self.open_until = None;
        self.attempts.succeeded()
    }
}

/// Lets a repeated message through at growing intervals.
#[derive(Debug, Default)]
pub struct Reminder {
    next: Option<Instant>,
    interval: Duration,
}

impl Reminder {
    /// Whether the message is to be printed now: the first time, and then ever more rarely.
    pub fn due(&mut self, now: Instant) -> bool {
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        self.interval = (self.interval * 2).clamp(FIRST_REMINDER, LONGEST_REMINDER);
        self.next = Some(now + self.interval);
        true
    }
}

fn with_jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.8..1.2))
}

/// As in "1 attempt", "2 attempts".
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A duration for people, in one unit.
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_refuses_for_growing_pauses_and_lets_all_through_again_after_a_success() {
        let mut breaker = Breaker::new(POLICY);
        let mut now = Instant::now();
        assert!(breaker.allows(now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            breaker.failed(now, "refused");
            assert!(!breaker.allows(now));
            let began = now;
            while !breaker.allows(now) {
                now += Duration::from_millis(50);
            }
            pauses.push((now - began).as_secs_f64());
        }
        assert!(pauses[0] < 1.3 && pauses[3] > 4.0 * pauses[0] && pauses[7] < 73.0, "{pauses:?}");
        breaker.failed(now, "refused");
        assert!(breaker.succeeded().unwrap().contains("9 failed attempts"));
        assert!(breaker.allows(now));
    }

    const POLICY: ReconnectPolicy = ReconnectPolicy {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        stable_after: Duration::from_secs(120),
    };

    #[test]
    fn pauses_grow_with_jitter_up_to_the_longest_and_begin_anew_only_after_a_stable_connection() {
        let mut attempts = Attempts::new(POLICY);
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = attempts.lost(Duration::from_secs(70), "closed").retry_in.as_secs_f64();
            assert!((expected * 0.8..=expected * 1.2).contains(&pause), "{pause} instead of about {expected}");
        }
        let pause = attempts.lost(Duration::from_secs(120), "closed").retry_in;
        assert!(pause < Duration::from_millis(1300), "{pause:?} after a stable connection");
        let pauses: Vec<_> = (0..20).map(|_| with_jitter(POLICY.first)).collect();
        assert!(pauses.iter().any(|p| *p != pauses[0]), "no jitter: {pauses:?}");
    }

    #[test]
    fn a_reason_is_printed_once_and_then_at_growing_intervals_with_a_count() {
        let mut attempts = Attempts::new(POLICY);
        let begun = Instant::now();
        let mut said = Vec::new();
        for second in (0..86_400).step_by(10) {
            let reason = if second % 20 == 0 { "no route" } else { "refused" };
            let now = begun + Duration::from_secs(second);
            said.extend(attempts.failed_at(now, reason, Duration::from_secs(10)).message);
        }
        assert_eq!(said[..2], ["no route; retrying in 10 s", "refused; retrying in 10 s"]);
        assert_eq!(said[2], "no route; still failing after 7 attempts in 60 s; retrying in 10 s");
        assert!(said.len() < 20, "{} lines in a day: {said:#?}", said.len());
        assert!(said.last().unwrap().contains(" h; retrying in 10 s"), "{said:#?}");
        assert!(attempts.succeeded().unwrap().starts_with("after 8640 failed attempts"));
        assert_eq!(attempts.succeeded(), None);
    }
}
