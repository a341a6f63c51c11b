//! Answers to questions, computed from the home's states.

mod about;
mod agenda;
mod attribute;
mod calendar;
mod compare;
mod extreme;
mod forecast;
mod lasting;
mod measure;
mod missing;
mod people;
mod states;
pub(super) mod weather;

use super::outcome::Step;
use super::target::Resolver;

/// A question in words that no template has.
pub(super) fn about(text: &str, resolver: &Resolver<'_>, now: jiff::civil::DateTime) -> Option<Step> {
    about::about(text, resolver)
        .or_else(|| lasting::about(text, resolver, now))
        .or_else(|| forecast::about(text, *resolver, now))
        .or_else(|| agenda::about(text, resolver.home, now))
}

/// A question about a thing that is not there.
pub(super) fn missing(text: &str, resolver: &Resolver<'_>) -> Option<Step> {
    missing::about(text, resolver)
}

/// Whether a word names what the weather has people take along.
pub(super) fn is_worn(word: &str) -> bool {
    forecast::is_worn(word)
}

use super::intents::{Done, Found};
use super::outcome::Stop;

/// What a question comes to.
pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "AskState" => states::ask(found),
        "AskWhat" => states::what(found),
        "CountState" => states::count(found),
        "WhichState" => states::which(found),
        "AskAttribute" => attribute::ask(found),
        "AskOptions" => attribute::options(found),
        "ListRooms" => states::rooms(found),
        "Measure" => measure::measure(found),
        "IsMeasure" => measure::is(found),
        "Compare" => compare::compare(found),
        "Extreme" => extreme::extreme(found),
        "Batteries" => measure::batteries(found),
        "WherePerson" => people::locate(found),
        "Weather" | "WeatherIs" | "WeatherValue" | "SunTimes" => weather::answer(found),
        "CalendarEvents" | "NextEvent" | "FindEvent" | "AfterEvent" | "AddEvent" => calendar::carry_out(found),
        _ => Err(Stop::Mismatch),
    }
}
