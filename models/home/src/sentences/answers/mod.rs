//! Answers to questions, computed from the home's states.

mod about;
mod attribute;
mod calendar;
mod measure;
mod people;
mod states;
pub(super) mod weather;

pub(super) use about::about;

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
        "Measure" => measure::measure(found),
        "IsMeasure" => measure::is(found),
        "Compare" => measure::compare(found),
        "Extreme" => measure::extreme(found),
        "Batteries" => measure::batteries(found),
        "WherePerson" => people::locate(found),
        "Weather" | "WeatherIs" | "WeatherValue" | "SunTimes" => weather::answer(found),
        "CalendarEvents" | "NextEvent" | "FindEvent" | "AddEvent" => calendar::carry_out(found),
        _ => Err(Stop::Mismatch),
    }
}
