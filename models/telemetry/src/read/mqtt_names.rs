//! What devices on a broker call the numbers that are no readings, and their contacts and detectors.

/// Numbers that say nothing of the world: versions, counters of the program.
pub(super) const INTERNAL: [&str; 22] = [
    "id",
    "version",
    "fw",
    "firmware",
    "build",
    "heap",
    "Heap",
    "Sleep",
    "SleepMode",
    "LoadAvg",
    "MqttCount",
    "Channel",
    "AP",
    "Vcc",
    "update_available",
    "minute_ts",
    "cfg_rev",
    "kvs_rev",
    "schedule_rev",
    "webhook_rev",
    "ram_free",
    "fs_free",
];

/// What the two states of a contact or detector are called, and whether its `true` is the first of them.
pub(super) fn contact(name: &str) -> Option<([&'static str; 2], bool)> {
    Some(match name {
        "contact" => (["closed", "open"], true),
        "occupancy" | "motion" | "presence" | "vibration" => (["clear", "detected"], false),
        "smoke" | "gas" | "carbon_monoxide" | "tamper" | "battery_low" => (["clear", "detected"], false),
        "water_leak" | "flood" => (["dry", "wet"], false),
        _ => return None,
    })
}
