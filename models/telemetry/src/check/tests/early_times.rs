//! Times that stand before what they belong to.

use super::*;

#[test]
fn times_may_stand_before_what_they_belong_to() {
    let table = table();
    for sentence in [
        "From 02:10 to 03:45 the attic temperature had no readings.",
        "Between 02:10 and 03:45, the attic temperature gave no data.",
        "From 10:00 until 13:30, the boiler flow was frozen at 4.2 l/min.",
        "Since 08:00, the cellar pressure has drifted down by 3.1 hPa.",
        "Between 14:40 and 15:20 the attic temperature was above 15 °C.",
        "The hall humidity spiked to 91 % at 14:20, and the attic temperature had no readings from 02:10 to 03:45.",
    ] {
        assert_eq!(check(&table, sentence).map(drop), Ok(()), "{sentence}");
    }
    for sentence in [
        "From 02:10 to 03:40 the attic temperature had no readings.",
        "From 03:45 to 02:10 the attic temperature had no readings.",
        "From 02:10 the attic temperature had no readings.",
        "Between 02:10 to 03:45 the attic temperature had no readings.",
        "From 02:10 to 03:45 the garage light had no readings.",
        "From 02:10 to 03:45 the attic temperature averaged 11 °C.",
        "Since 14:20 the hall humidity spiked to 91 %.",
        "The hall humidity spiked to 91 % from 14:20.",
        "From 14:20 the hall humidity had a spike to 91 %.",
        "Since 14:40 the attic temperature was above 15 °C.",
        "Since 05:10 the kitchen temperature peaked at 24.9 °C.",
        "From 08:00 to 09:00 the cellar pressure drifted down by 3.1 hPa.",
        "From 02:10 to 03:45.",
        "From 02:10 to 03:45 to 10:00 the attic temperature had no readings.",
    ] {
        assert!(check(&table, sentence).is_err(), "{sentence}");
    }
}
