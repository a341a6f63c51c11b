//! A vision result in words: seventeen words, one a slot, for a language model that was trained on the bundled encoder's vocabulary;
//! a line of text for any other; and a computed sentence, used where the model's own caption contradicts the result.

use super::result::{Label, Object, VisionResult};
use nearfield_base::lists::joined;

/// The vocabulary of the seventeen slots: light, then count, colour, object and place of up to four groups.
pub const PICTURE_WORDS: [&str; 53] = [
    "day", "night", "one", "two", "three", "four", "many", "red", "green", "blue", "yellow", "orange", "purple",
    "black", "white", "brown", "pink", "grey", "plain", "person", "man", "woman", "child", "dog", "cat", "bird",
    "horse", "cow", "sheep", "car", "bus", "truck", "bicycle", "boat", "train", "plane", "tree", "flower", "house",
    "chair", "table", "cup", "ball", "apple", "book", "bottle", "umbrella", "clock", "key", "left", "middle", "right",
    "nothing",
];

const COUNTS: [&str; 5] = ["one", "two", "three", "four", "many"];
const OBJECTS: std::ops::Range<usize> = 19..49;
const GROUPS: usize = 4;

/// The third of the picture in which `x` (0 to 1) lies: `left`, `middle`, `right`.
pub fn place_of(x: f32) -> &'static str {
    match x {
        x if x < 1.0 / 3.0 => "left",
        x if x < 2.0 / 3.0 => "middle",
        _ => "right",
    }
}

/// Labels that data sets write in a way of their own, as they are spoken.
const SPOKEN: [(&str, &str); 5] = [
    ("tvmonitor", "TV monitor"),
    ("tv", "TV"),
    ("diningtable", "dining table"),
    ("pottedplant", "potted plant"),
    ("cellphone", "cell phone"),
];

/// A label as it stands in a sentence.
fn as_spoken(label: &str) -> String {
    match SPOKEN.iter().find(|(written, _)| *written == label) {
        Some((_, spoken)) => (*spoken).to_owned(),
        None => label.replace('_', " "),
    }
}

/// Things of one label in one third of the picture.
#[derive(Clone, Debug, PartialEq)]
struct Group<'a> {
    place: &'static str,
    label: &'a str,
    count: usize,
    score: f32,
}

/// Groups from left to right, then by label.
fn groups(objects: &[Object]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for object in objects {
        let place = place_of(object.rect.centre().0);
        match groups.iter_mut().find(|g| g.place == place && g.label == object.label) {
            Some(group) => {
                group.count += 1;
                group.score = group.score.max(object.score);
            }
            None => groups.push(Group { place, label: &object.label, count: 1, score: object.score }),
        }
    }
    groups.sort_by(|a, b| (a.place, a.label).cmp(&(b.place, b.label))); // left < middle < right
    groups
}

/// The seventeen words of what was found; `None` where a label has no word there. `objects` come first; without any, the
/// first of `labels` stands in the middle. Labels do not tell day from night: `day` is assumed.
pub fn describe_in_words(objects: &[Object], labels: &[Label]) -> Option<Vec<&'static str>> {
    let known = |label: &str| PICTURE_WORDS[OBJECTS].iter().copied().find(|word| *word == label);
    let mut words = vec!["day"];
    if objects.is_empty() {
        if let Some(first) = labels.first() {
            words.extend(["one", "plain", known(&first.label)?, "middle"]);
        }
    } else {
        for group in groups(objects).iter().take(GROUPS) {
            words.extend([COUNTS[group.count.min(5) - 1], "plain", known(group.label)?, group.place]);
        }
    }
    words.resize(1 + GROUPS * 4, "nothing");
    Some(words)
}

/// A line of text for a language model: `2 person on the left (91 %), 1 dog in the middle (64 %)`, or the labels of the whole picture
/// with their probabilities, or `nothing`.
pub fn describe_in_text(objects: &[Object], labels: &[Label]) -> String {
    let percent = |score: f32| (score * 100.0).round() as i32;
    let found: Vec<String> = groups(objects)
        .iter()
        .map(|g| format!("{} {} {} ({} %)", g.count, g.label, preposition(g.place), percent(g.score)))
        .chain(labels.iter().map(|l| format!("{} ({} %)", l.label, percent(l.score))))
        .collect();
    if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
}

/// A computed sentence, in the form that the bundled model was trained to write: from the seventeen words where there are any, else
/// from the objects, else from the first label.
pub fn plain_sentence(words: &[String], objects: &[Object], labels: &[Label]) -> String {
    let night = words.first().is_some_and(|w| w == "night");
    let mut parts: Vec<String> = Vec::new();
    if words.len() > 4 {
        for slots in words[1..].chunks_exact(4).filter(|s| s[2] != "nothing") {
            let count = COUNTS.iter().position(|c| *c == slots[0]).map_or(1, |i| i + 1);
            parts.push(format!("{} {}", counted(count, &slots[1], &slots[2]), preposition(&slots[3])));
        }
    } else if !objects.is_empty() {
        parts.extend(
            groups(objects)
                .iter()
                .map(|g| format!("{} {}", counted(g.count, "plain", &as_spoken(g.label)), preposition(g.place))),
        );
    } else if let Some(label) = labels.first() {
        parts.push(counted(1, "plain", &as_spoken(&label.label)));
    }
    let mut text = if parts.is_empty() { "nothing to see".to_owned() } else { joined(&parts) };
    if night {
        text.push_str(", at night");
    }
    let first: String = text.remove(0).to_uppercase().collect();
    format!("{first}{text}.")
}

/// Whether a caption names everything that was found and nothing else: each group's object (in the singular or the plural), its
/// colour, its place if it has one, and its number if that is above one. At most four groups are expected.
pub fn names_what_was_seen(caption: &str, result: &VisionResult) -> bool {
    let spoken = words_of(caption);
    let says = |word: &str| spoken.contains(&words_of(word));
    let mut things: Vec<&str> = Vec::new();
    if result.words.len() > 4 {
        for slots in result.words[1..].chunks_exact(4).filter(|s| s[2] != "nothing") {
            let several = slots[0] != "one";
            let noun = if several { says(&plural(&slots[2])) && says(&slots[0]) } else { says(&slots[2]) };
            if !noun || (slots[1] != "plain" && !says(&slots[1])) || !says(&slots[3]) {
                return false;
            }
            things.push(&slots[2]);
        }
        if (result.words[0] == "night") != says("night") {
            return false;
        }
    } else {
        let groups = groups(&result.objects);
        for group in groups.iter().take(GROUPS) {
            let named = |label: &str| if group.count > 1 { says(&plural(label)) } else { says(label) };
            let noun = named(group.label) || named(&as_spoken(group.label));
            if !noun || !says(group.place) {
                return false;
            }
        }
        things.extend(groups.iter().map(|g| g.label));
        if things.is_empty()
            && let Some(first) = result.labels.first()
        {
            if !says(&first.label) {
                return false;
            }
            things.extend(result.labels.iter().map(|l| l.label.as_str()));
        }
    }
    let told = |word: &str| says(word) || says(&plural(word));
    PICTURE_WORDS[OBJECTS].iter().all(|word| things.iter().any(|thing| has_word(thing, word)) || !told(word))
}

/// Whether a word is one of a label's: a dining table is a table.
fn has_word(label: &str, word: &str) -> bool {
    words_of(&as_spoken(label)).contains(&words_of(word))
}

/// Whether a caption, as far as it is written, already names something that was not found. Its last word may be incomplete and is left
/// out.
pub fn names_something_else(begun: &str, result: &VisionResult) -> bool {
    let whole = begun.rfind(|c: char| !c.is_alphanumeric()).map_or("", |end| &begun[..end]);
    let spoken = words_of(whole);
    let says = |word: &str| spoken.contains(&words_of(word)) || spoken.contains(&words_of(&plural(word)));
    let found = |word: &str| {
        result.words.iter().any(|w| w == word)
            || result.objects.iter().any(|o| has_word(&o.label, word))
            || result.labels.iter().any(|l| has_word(&l.label, word))
    };
    PICTURE_WORDS[OBJECTS].iter().any(|word| says(word) && !found(word))
}

/// A text as lower-case words with one space before, between and after them.
fn words_of(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    words.fold(" ".to_owned(), |all, word| all + word + " ")
}

fn preposition(place: &str) -> String {
    if place == "middle" { "in the middle".to_owned() } else { format!("on the {place}") }
}

/// Objects of a label with their number, as they stand in a sentence: `a person`, `two dogs`, `many sheep`.
pub fn counted_objects(count: usize, label: &str) -> String {
    counted(count, "plain", &as_spoken(label))
}

fn counted(count: usize, colour: &str, name: &str) -> String {
    let colour = if colour == "plain" || colour == "nothing" { String::new() } else { format!("{colour} ") };
    let last = last_word(name);
    if UNCOUNTED.contains(&last) {
        return format!("{colour}{name}");
    }
    let number = COUNTS[count.clamp(1, 5) - 1];
    match (count, PAIRED.contains(&last)) {
        (1, true) => format!("a pair of {colour}{name}"),
        (1, false) => {
            let noun = format!("{colour}{name}");
            format!("{} {noun}", article(&noun))
        }
        (_, true) => format!("{number} pairs of {colour}{name}"),
        (_, false) => format!("{number} {colour}{}", plural(name)),
    }
}

/// Words that only have a plural.
const PAIRED: [&str; 11] = [
    "scissors",
    "skis",
    "eyeglasses",
    "sunglasses",
    "goggles",
    "binoculars",
    "trousers",
    "jeans",
    "pants",
    "shorts",
    "pliers",
];
/// Words that nobody counts.
const UNCOUNTED: [&str; 7] = ["broccoli", "bread", "rice", "luggage", "furniture", "water", "traffic"];
/// Words whose plural is themselves.
const UNCHANGED: [&str; 10] =
    ["sheep", "deer", "fish", "goldfish", "aircraft", "bison", "moose", "salmon", "skis", "scissors"];
/// Plurals without a rule.
const IRREGULAR: [(&str, &str); 13] = [
    ("person", "people"),
    ("child", "children"),
    ("mouse", "mice"),
    ("goose", "geese"),
    ("foot", "feet"),
    ("tooth", "teeth"),
    ("ox", "oxen"),
    ("knife", "knives"),
    ("wolf", "wolves"),
    ("leaf", "leaves"),
    ("shelf", "shelves"),
    ("human", "humans"),
    ("bookshelf", "bookshelves"),
];
/// Nouns in -o with a plural in -oes.
const IN_OES: [&str; 6] = ["potato", "tomato", "mango", "mosquito", "buffalo", "tornado"];

fn last_word(name: &str) -> &str {
    name.rsplit(' ').next().unwrap_or(name)
}

/// `a` or `an`, by the sound that the noun begins with.
fn article(noun: &str) -> &'static str {
    let first = noun.split([' ', '-']).next().unwrap_or(noun);
    let lower = first.to_lowercase();
    // Spelled out letter by letter: an SUV, a TV.
    let is_spelled = first.chars().count() > 1 && first.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let is_vowel = if is_spelled {
        first.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X'])
    } else if ["hour", "honest", "heir"].iter().any(|h| lower.starts_with(h)) {
        true
    } else if ["uni", "use", "usu", "ute", "uku", "eu", "one", "once"].iter().any(|y| lower.starts_with(y))
        && !lower.starts_with("unin")
    {
        false
    } else {
        lower.starts_with(['a', 'e', 'i', 'o', 'u'])
    };
    if is_vowel { "an" } else { "a" }
}

fn plural(name: &str) -> String {
    let last = last_word(name);
    let head = &name[..name.len() - last.len()];
    let ends = |endings: &[&str]| endings.iter().any(|ending| last.ends_with(ending));
    let last = match last {
        _ if UNCHANGED.contains(&last) || PAIRED.contains(&last) || UNCOUNTED.contains(&last) => last.to_owned(),
        _ if IRREGULAR.iter().any(|(one, _)| *one == last) => {
            IRREGULAR.iter().find(|(one, _)| *one == last).map_or(String::new(), |(_, many)| (*many).to_owned())
        }
        _ if last.ends_with("man") => format!("{}men", &last[..last.len() - 3]),
        _ if IN_OES.contains(&last) || ends(&["s", "x", "z", "ch", "sh"]) => format!("{last}es"),
        _ if last.ends_with('y') && !ends(&["ay", "ey", "oy", "uy"]) => format!("{}ies", &last[..last.len() - 1]),
        _ => format!("{last}s"),
    };
    format!("{head}{last}")
}

#[cfg(test)]
mod tests {
    use super::super::result::Rect;
    use super::*;

    fn object(label: &str, x: f32) -> Object {
        Object { label: label.to_owned(), score: 0.9, rect: Rect::around(x, 0.5, 0.1, 0.1), class: 0 }
    }

    #[test]
    fn groups_stand_from_left_to_right_then_by_name() {
        let objects = [object("dog", 0.9), object("person", 0.1), object("car", 0.2), object("person", 0.3)];
        let words = describe_in_words(&objects, &[]).unwrap();
        assert_eq!(words.len(), 17);
        assert_eq!(words[..5], ["day", "one", "plain", "car", "left"]);
        assert_eq!(words[5..13], ["two", "plain", "person", "left", "one", "plain", "dog", "right"]);
        assert!(words[13..].iter().all(|w| *w == "nothing"));
        assert_eq!(
            plain_sentence(&[], &objects, &[]),
            "A car on the left, two people on the left and a dog on the right."
        );
    }

    #[test]
    fn a_label_without_a_word_is_left_to_text() {
        let labels = [Label { label: "hotdog".to_owned(), score: 0.984 }];
        assert_eq!(describe_in_words(&[], &labels), None);
        assert_eq!(describe_in_text(&[], &labels), "hotdog (98 %)");
        assert_eq!(plain_sentence(&[], &[], &labels), "A hotdog.");
    }

    #[test]
    fn a_caption_names_everything_that_was_found_and_nothing_else() {
        let mut words: Vec<String> = "day two red car left one plain dog right".split(' ').map(str::to_owned).collect();
        words.resize(17, "nothing".to_owned());
        let result = VisionResult { words, ..VisionResult::default() };
        for (caption, right) in [
            ("Two red cars on the left and a dog on the right.", true),
            ("A dog on the right; on the left, two red cars.", true),
            ("Two cars on the left and a dog on the right.", false),
            ("Two red cars on the left.", false),
            ("Two red cars on the left and a dog on the right, at night.", false),
            ("Two red cars on the left, a dog on the right and a cat.", false),
            ("A red car on the left and a dog on the right.", false),
        ] {
            assert_eq!(names_what_was_seen(caption, &result), right, "{caption}");
        }
        let labels = vec![Label { label: "hotdog".to_owned(), score: 0.9 }];
        let result = VisionResult { labels, ..VisionResult::default() };
        assert!(names_what_was_seen("It shows a hotdog.", &result) && !names_what_was_seen("It shows a dog.", &result));
    }

    #[test]
    fn the_plain_sentence_has_the_form_of_the_contract() {
        let words = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.resize(17, "nothing".to_owned());
            words
        };
        let say = |text: &str| plain_sentence(&words(text), &[], &[]);
        assert_eq!(
            say("night two red car left one plain dog right"),
            "Two red cars on the left and a dog on the right, at night."
        );
        assert_eq!(say("day one plain cat middle"), "A cat in the middle.");
        assert_eq!((say("day"), say("night")), ("Nothing to see.".to_owned(), "Nothing to see, at night.".to_owned()));
        assert_eq!(
            say("day many plain woman left one orange umbrella left three grey sheep middle"),
            "Many women on the left, an orange umbrella on the left and three grey sheep in the middle."
        );
    }

    #[test]
    fn every_label_of_coco_and_voc_is_spoken_as_people_do_alone_and_in_numbers() {
        let one = |label: &str| plain_sentence(&[], &[object(label, 0.1)], &[]);
        for (label, said) in [
            ("tvmonitor", "A TV monitor on the left."),
            ("diningtable", "A dining table on the left."),
            ("pottedplant", "A potted plant on the left."),
            ("scissors", "A pair of scissors on the left."),
            ("skis", "A pair of skis on the left."),
            ("tv", "A TV on the left."),
            ("umbrella", "An umbrella on the left."),
            ("SUV", "An SUV on the left."),
            ("unicycle", "A unicycle on the left."),
            ("hourglass", "An hourglass on the left."),
            ("broccoli", "Broccoli on the left."),
            ("hard_hat", "A hard hat on the left."),
            ("\u{df}tra\u{df}e", "A \u{df}tra\u{df}e on the left."),
        ] {
            assert_eq!(one(label), said);
            let result = VisionResult { objects: vec![object(label, 0.1)], ..VisionResult::default() };
            assert!(names_what_was_seen(said, &result), "{said}");
        }
        for (name, many) in [
            ("person", "people"),
            ("knife", "knives"),
            ("mouse", "mice"),
            ("sheep", "sheep"),
            ("wine glass", "wine glasses"),
            ("toothbrush", "toothbrushes"),
            ("bench", "benches"),
            ("bus", "buses"),
            ("teddy bear", "teddy bears"),
            ("potato", "potatoes"),
            ("human", "humans"),
            ("policewoman", "policewomen"),
            ("key", "keys"),
            ("cherry", "cherries"),
            ("scissors", "scissors"),
            ("fox", "foxes"),
            ("guy", "guys"),
        ] {
            assert_eq!(plural(name), many);
        }
        let two = plain_sentence(&[], &[object("scissors", 0.1), object("scissors", 0.2)], &[]);
        assert_eq!(two, "Two pairs of scissors on the left.");
    }

    #[test]
    fn what_a_caption_names_besides_is_known_before_its_end() {
        let result =
            VisionResult { objects: vec![object("person", 0.1), object("teddy bear", 0.9)], ..VisionResult::default() };
        for (begun, else_named) in [
            ("A person on the left and a ", false),
            ("A person on the left and a cat", false),
            ("A person on the left and a cat ", true),
            ("Two dogs, ", true),
            ("A carpet ", false),
            ("", false),
        ] {
            assert_eq!(names_something_else(begun, &result), else_named, "{begun}");
        }
    }
}
