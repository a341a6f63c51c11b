//! Words of households that are ordinary English: parts of names that are no proper names, and things that people have at home. A
//! name of nothing else loses its capitals in a sentence, and a word of these is not taken for a misspelt one.

/// Adjectives, rooms, furniture, appliances and the like, in the singular.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    // what kind, where
    "left", "right", "main", "front", "back", "big", "small", "little", "old", "new", "upper", "lower", "middle", "center",
    "central", "side", "top", "bottom", "inner", "outer", "north", "south", "east", "west", "first", "second", "third",
    "inside", "outside", "indoor", "outdoor", "upstairs", "downstairs", "overhead", "under", "over", "smart", "main",
    "red", "blue", "green", "white", "black", "yellow", "warm", "cold", "hot", "tall", "round", "long", "double", "hall",
    "the", "of", "in", "on", "at", "by", "for", "to", "and", "all", "my", "our", "house", "home", "room", "area", "floor",
    "wall", "corner", "day", "night", "morning", "evening", "time", "one", "two", "three", "four",
    // rooms
    "kitchen", "bedroom", "bathroom", "living", "dining", "garage", "attic", "basement", "cellar", "hallway", "office",
    "study", "garden", "balcony", "patio", "terrace", "laundry", "utility", "guest", "nursery", "playroom", "den",
    "library", "gym", "sauna", "pantry", "closet", "toilet", "corridor", "porch", "conservatory", "workshop", "shed",
    "backyard", "yard", "loft", "lounge", "foyer", "staircase", "stair", "entrance", "entry", "entryway", "landing",
    "driveway", "deck", "barn", "stable", "cabin", "server", "meeting", "master", "family", "kid", "children", "baby",
    "media", "game", "great", "mud", "sun", "boiler", "engine", "storage", "lobby", "reception", "greenhouse", "bath",
    "shower", "wet", "boot", "cloak", "cloakroom", "studio", "roof", "bay", "nook", "snug", "scullery", "hen", "coop",
    // things
    "light", "lamp", "bulb", "strip", "spot", "spotlight", "pendant", "chandelier", "sconce", "floodlight", "flood",
    "downlight", "uplighter", "nightlight", "lantern", "string", "fairy", "ceiling", "bedside", "table", "desk", "standard",
    "reading", "mirror", "cabinet", "counter", "worktop", "island", "shelf", "bench", "bed", "sofa", "couch", "chair",
    "fan", "extractor", "ventilator", "ventilation", "switch", "plug", "socket", "outlet", "relay", "pump", "fountain",
    "kettle", "toaster", "oven", "stove", "cooker", "hob", "fridge", "refrigerator", "freezer", "dishwasher", "washer",
    "washing", "machine", "dryer", "tumble", "iron", "coffee", "maker", "microwave", "heater", "heating", "radiator",
    "thermostat", "boiler", "towel", "rail", "immersion", "water", "tank", "valve", "tap", "hose", "sprinkler", "pool",
    "tub", "jacuzzi", "blind", "curtain", "shade", "shutter", "awning", "drape", "cover", "roller", "venetian", "window",
    "door", "gate", "hatch", "skylight", "lock", "deadbolt", "safe", "tv", "television", "speaker", "radio", "music",
    "player", "projector", "screen", "soundbar", "receiver", "console", "computer", "monitor", "printer", "router",
    "vacuum", "cleaner", "robot", "mower", "lawn", "humidifier", "dehumidifier", "purifier", "air", "conditioner",
    "conditioning", "sensor", "detector", "motion", "presence", "occupancy", "smoke", "leak", "moisture", "temperature",
    "humidity", "power", "energy", "battery", "level", "meter", "consumption", "production", "solar", "panel", "charger",
    "alarm", "siren", "camera", "doorbell", "bell", "button", "remote", "timer", "list", "calendar", "shopping", "grocery",
    "task", "chore", "reminder", "scene", "mode", "script", "routine", "movie", "dinner", "party", "bedtime", "wake",
    "away", "vacation", "holiday", "tree", "christmas", "fire", "fireplace", "candle", "rug", "carpet", "aquarium", "fish",
    "plant", "feeder", "trough", "bin", "car", "bike", "bicycle", "letterbox", "mailbox", "post", "wardrobe", "drawer",
    "tractor", "trailer", "truck", "van", "lorry", "boat", "tent", "oil", "gas", "diesel", "fuel", "bilge", "cabin", "sink", "basin", "egg", "bread", "tea", "pizza", "pot", "garden",
];

/// Whether a word, in the singular, is ordinary.
pub fn is_ordinary(word: &str) -> bool {
    WORDS.contains(&word)
}
