//! What a spoken request says in numbers: normalised words, numbers, ordinals, fractions, percentages, durations, clock times,
//! dates, temperatures, colours and relative amounts, in digits and in words; and the same written out for a spoken answer.
//!
//! Every reader takes the words from their beginning and returns a value and how many words it took. Nothing here knows a home.

pub mod amount;
pub mod clock;
pub mod colour;
mod contracted;
pub mod date;
pub mod duration;
pub mod near;
pub mod number;
pub mod ordinary;
pub mod text;
pub mod verbs;
pub mod write;

pub use amount::{Change, Size, percent, relative, temperature};
pub use clock::{ClockTime, clock_time};
pub use colour::{Colour, colour, colour_temperature};
pub use date::{Day, NOON, day};
pub use duration::{duration, durations};
pub use number::{fraction, number, ordinal};
pub use text::{normalise, words};
