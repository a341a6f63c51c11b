//! To-do lists: what is put on them, taken off, and asked about.

use serde_json::{Map, json};

use super::items::{item_on, parts_of, tidy, without_quantity};
use super::{Done, Found, data, want};
use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::later::has_time_at_an_end;
use crate::sentences::nouns::singular;
use crate::sentences::outcome::Stop;
use crate::sentences::target::{Target, Unresolved, Want};
use crate::services::ServiceCall;
use crate::spoken::verbs::is_past_of;
use crate::spoken::{words, write};

const LIST: Want<'_> = Want { place_means: &[], ..want(&[Domain::Todo]) };

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "AddItem" => add(found),
        "MoveItem" => move_item(found),
        "RemoveItem" | "CompleteItem" | "ReopenItem" => change(found),
        "ClearCompleted" => {
            let list = list(found)?;
            found.act(&target(list), "todo.remove_completed_items", Map::new())
        }
        "ClearList" => {
            let at = list(found)?;
            let entity = found.entity(at);
            let remove =
                |(item, _): (&str, bool)| ServiceCall::new("todo.remove_item", [&entity.id]).with("item", json!(item));
            let calls: Vec<ServiceCall> = entity.items().map(remove).collect();
            if calls.is_empty() {
                return Err(Stop::Negative(format!(
                    "{} is already empty.",
                    crate::sentences::reply::capital(&name(entity))
                )));
            }
            found.acts(&target(at), calls, Map::new())
        }
        "ReadList" => read(found),
        "CompletedItems" => {
            let at = list(found)?;
            let entity = found.entity(at);
            let done: Vec<&str> = entity.items().filter(|(_, done)| *done).map(|(item, _)| item).collect();
            let answer = match done.len() {
                0 => format!("Nothing on {} is done.", name(entity)),
                1 => format!("{} is done on {}.", done[0], name(entity)),
                _ => format!("{} are done on {}.", write::and(&done), name(entity)),
            };
            found.say(&[at], answer)
        }
        "CountItems" => {
            let at = list(found)?;
            let entity = found.entity(at);
            let n = entity.open_items().count();
            let items = if n == 0 { "no items".to_owned() } else { write::count(n, "item", "items") };
            found.say(&[at], format!("There {} {items} on {}.", if n == 1 { "is" } else { "are" }, name(entity)))
        }
        "HasItem" => has(found),
        "DueItems" => due(found),
        "ItemDue" => due_date(found),
        _ => {
            let lists = found.entities(&[Domain::Todo]);
            let names: Vec<&str> = lists.iter().map(|i| found.entity(*i).name.as_str()).collect();
            let answer = match names.len() {
                0 => "There are no lists.".to_owned(),
                1 => format!("There is one list: {}.", names[0]),
                n => format!("There are {n} lists: {}.", write::and(&names)),
            };
            found.say(&lists, answer)
        }
    }
}

/// Words of lists for shopping.
const SHOPS: &[&str] = &[
    "shopping",
    "shop",
    "grocery",
    "groceries",
    "supermarket",
    "store",
    "market",
    "costco",
    "aldi",
    "lidl",
    "tesco",
    "walmart",
    "buy",
];

/// What is wanted and not bought: "I could do with some sleep", "we are running out of patience".
#[rustfmt::skip]
const NOT_BOUGHT: &[&str] = &[
    "break", "rest", "sleep", "nap", "help", "hand", "patience", "time", "ideas", "holiday", "vacation", "company", "quiet", "peace",
    "hug", "energy", "steam", "luck", "options", "space", "room", "air", "light", "warmth", "heat", "attention", "advice", "rain",
    "sun", "sunshine", "fun", "daylight", "excuses", "silence", "music",
];

fn target(list: usize) -> Target {
    Target { entities: vec![list], ..Target::default() }
}

/// "the shopping list"
fn name(entity: &Entity) -> String {
    let lower = entity.name.to_lowercase();
    let lower = lower.strip_prefix("my ").map_or(lower.clone(), str::to_owned);
    let is_said = ["list", "lists"].iter().any(|word| lower.ends_with(word));
    if is_said { format!("your {lower}") } else { format!("your {lower} list") }
}

/// Whether a phrase means whatever list has things to do.
fn is_generic(said: &str) -> bool {
    matches!(
        said.trim_start_matches("the ").trim_start_matches("my "),
        "todo list" | "to do list" | "to do" | "todo" | "tasks" | "task list" | "to dos" | "todos"
    )
}

/// Those of some lists that have one of these words in a name.
fn named(found: &Found<'_>, lists: &[usize], words: &[&str]) -> Vec<usize> {
    let has = |i: &usize| found.resolver.names.entities[*i].names.iter().flatten().any(|w| words.contains(&w.as_str()));
    lists.iter().copied().filter(has).collect()
}

/// Of several lists the only one that is called after things to do, or else the only one that is not for shopping.
fn of_tasks(found: &Found<'_>, all: &[usize]) -> Option<usize> {
    let tasks = named(found, all, &["todo", "to", "task", "do"]);
    let shops = named(found, all, SHOPS);
    let rest: Vec<usize> = all.iter().copied().filter(|i| !shops.contains(i)).collect();
    match (&tasks[..], &rest[..]) {
        ([one], _) | ([], [one]) => Some(*one),
        _ => None,
    }
}

/// The list that is meant.
fn list(found: &Found<'_>) -> Result<usize, Stop> {
    let all = found.entities(&[Domain::Todo]);
    if let Some(said) = found.text("list") {
        let said = said.strip_suffix(" s").unwrap_or(said);
        if is_generic(said)
            && let Some(one) = of_tasks(found, &all)
        {
            return Ok(one);
        }
        let result = found.resolver.resolve(said, LIST).and_then(|t| found.resolver.settled(t, LIST));
        return match result {
            Ok(t) if t.entities.len() == 1 => Ok(t.entities[0]),
            // Of "the list" something is bought.
            Ok(_) if said == "list" && found.intent == "AddItem" && named(found, &all, SHOPS).len() == 1 => {
                Ok(named(found, &all, SHOPS)[0])
            }
            Ok(t) => Err(Stop::Target(Unresolved::Several { what: "list".to_owned(), entities: t.entities })),
            Err(trouble) => {
                // "My tasks" with one list that is called otherwise.
                match all[..] {
                    [one] if is_generic(said) || said == "list" => Ok(one),
                    _ => Err(Stop::Target(trouble)),
                }
            }
        };
    }
    // "Remind Beth to …": on her list.
    if let Some(who) = found.text("who") {
        let theirs = |i: &usize| {
            let names = &found.resolver.names.entities[*i].names;
            names.iter().flatten().any(|w| *w == who || w.strip_suffix('s') == Some(who))
        };
        let theirs: Vec<usize> = all.iter().copied().filter(theirs).collect();
        return match theirs[..] {
            [one] => Ok(one),
            _ => Err(Stop::Mismatch),
        };
    }
    let likely = match found.text("of") {
        Some("shopping") => named(found, &all, SHOPS),
        Some(_) => {
            let tasks = named(found, &all, &["todo", "to", "task", "reminder", "chore", "job", "errand", "do"]);
            let shops = named(found, &all, SHOPS);
            // Where none is called so: the one that is not for shopping.
            match tasks[..] {
                [_] => tasks,
                _ => all.iter().copied().filter(|i| !shops.contains(i)).collect(),
            }
        }
        None => Vec::new(),
    };
    match (likely.as_slice(), all.as_slice()) {
        ([one], _) | (_, [one]) => Ok(*one),
        (_, []) => Err(Stop::Target(Unresolved::Nothing { what: "to-do list".to_owned(), place: None })),
        _ => Err(Stop::Target(Unresolved::Several { what: "list".to_owned(), entities: all })),
    }
}

fn add(found: &Found<'_>) -> Done {
    let said = found.text("item").ok_or(Stop::Mismatch)?;
    let at = list(found)?;
    let entity = found.entity(at);
    let item = tidy(said);
    let is_bought = item.split(' ').next_back().is_none_or(|word| !NOT_BOUGHT.contains(&word));
    if found.text("of") == Some("shopping") && !is_bought {
        return Err(Stop::Mismatch);
    }
    // "Milk put it on the list" is another wish.
    let is_wish = ["put", "add", "stick", "write"]
        .iter()
        .any(|verb| ["it", "them", "that"].iter().any(|it| format!(" {item} ").contains(&format!(" {verb} {it} "))));
    if item.is_empty()
        || is_wish
        || matches!(item.as_str(), "it" | "them" | "that" | "those" | "some" | "this")
        || item.split(' ').count() > 20
    {
        return Err(Stop::Mismatch);
    }
    // "Remind me to call mum in 20 minutes" and "I need to get up at 7" are for no list.
    let is_implied = found.flag("implied") == Some(true) || found.said.split(' ').any(|word| word == "reminder");
    if is_implied && (has_time_at_an_end(&item, found.now.date(), false) || found.noon().is_some()) {
        return Err(Stop::Mismatch);
    }
    let item = match found.slots.get("day").and_then(|day| day["said"].as_str()) {
        Some(day) => format!("{item} {day}"),
        None => item,
    };
    let groceries = !named(found, &[at], SHOPS).is_empty();
    let parts = parts_of(&item);
    let is_list = parts.len() > 2 || parts.iter().all(|part| without_quantity(part).split(' ').count() <= 3);
    let items: Vec<String> = if groceries && parts.len() > 1 && is_list {
        parts.iter().map(|p| tidy(p)).collect()
    } else {
        vec![item.replace(" ,", ",")]
    };
    let calls =
        items.iter().map(|item| ServiceCall::new("todo.add_item", [&entity.id]).with("item", json!(item))).collect();
    found.acts(&target(at), calls, data(json!({"items": items})))
}

/// Takes an item off the one other list that has it, and puts it on the one that was named.
fn move_item(found: &Found<'_>) -> Done {
    let said = found.text("item").ok_or(Stop::Mismatch)?;
    let to = list(found)?;
    let having: Vec<(usize, &str)> = found
        .entities(&[Domain::Todo])
        .into_iter()
        .filter(|at| *at != to)
        .filter_map(|at| Some((at, item_on(found.entity(at), said)?)))
        .collect();
    match having[..] {
        [(from, item)] => {
            let call = |service: &str, at: usize| ServiceCall::new(service, [found.id(at)]).with("item", json!(item));
            let calls = vec![call("todo.add_item", to), call("todo.remove_item", from)];
            found.acts(&target(to), calls, data(json!({"item": item})))
        }
        [] => {
            let item = crate::sentences::reply::capital(&tidy(said));
            Err(Stop::Negative(format!("{item} is on no other list.")))
        }
        _ => {
            let entities = having.iter().map(|(at, _)| *at).collect();
            Err(Stop::Target(Unresolved::Several { what: "list".to_owned(), entities }))
        }
    }
}

/// The item that was named, or that a remark is about: "I took out the bins, cross it off."
fn item<'e>(found: &Found<'e>, list: usize, said: &str) -> Option<&'e str> {
    let entity = found.entity(list);
    if found.flag("told") != Some(true) {
        return item_on(entity, said);
    }
    let folded = |text: &str| -> Vec<String> { words(text).iter().map(|w| singular(w)).collect() };
    let told = folded(said);
    if found.flag("past") == Some(true) {
        // "The vet visit is done": the item as it stands there.
        let plain: Vec<String> = told.iter().filter(|w| !matches!(w.as_str(), "the" | "my" | "our")).cloned().collect();
        if let Some((item, _)) = entity.items().find(|(item, done)| !done && folded(item) == plain) {
            return Some(item);
        }
        // "I have posted the parcel": the item's verb in its past, and more of the item's words.
        let done: Vec<&str> = entity
            .items()
            .filter(|(item, done)| !done && is_told_done(&folded(item), &told))
            .map(|(item, _)| item)
            .collect();
        return match done[..] {
            [one] => Some(one),
            _ => None,
        };
    }
    let common = |word: &String| {
        word.len() < 3
            || matches!(
                word.as_str(),
                "the" | "and" | "out" | "for" | "get" | "new" | "some" | "have" | "with" | "from"
            )
    };
    let about: Vec<&str> = entity
        .items()
        .filter(|(item, done)| !done && folded(item).iter().any(|w| !common(w) && told.contains(w)))
        .map(|(item, _)| item)
        .collect();
    match about[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// Whether words tell that an item was done: "posted the parcel" of "post the parcel", "ducks are fed" of "feed the ducks".
fn is_told_done(item: &[String], told: &[String]) -> bool {
    let Some((verb, rest)) = item.split_first() else { return false };
    let content: Vec<&String> =
        rest.iter().filter(|w| w.len() > 2 && !matches!(w.as_str(), "the" | "and" | "for")).collect();
    told.iter().any(|word| is_past_of(word, verb))
        && !content.is_empty()
        && content.iter().any(|word| told.contains(word))
        && !told
            .iter()
            .any(|w| matches!(w.as_str(), "not" | "never" | "will" | "want" | "have to" | "should" | "would"))
}

fn change(found: &Found<'_>) -> Done {
    let said = found.text("item").ok_or(Stop::Mismatch)?;
    let (at, item) = match found.text("list") {
        Some(_) => {
            let at = list(found)?;
            let entity = found.entity(at);
            match item(found, at, said) {
                Some(item) => (at, item),
                None if found.flag("told") == Some(true) => return Err(Stop::Mismatch),
                None => {
                    return Err(Stop::Negative(format!(
                        "{} is not on {}.",
                        crate::sentences::reply::capital(&tidy(said)),
                        name(entity)
                    )));
                }
            }
        }
        None => {
            let having: Vec<(usize, &str)> = found
                .entities(&[Domain::Todo])
                .into_iter()
                .filter_map(|i| item(found, i, said).map(|item| (i, item)))
                .collect();
            match having[..] {
                [one] => one,
                [] => return Err(Stop::Mismatch),
                _ => {
                    let entities = having.iter().map(|(i, _)| *i).collect();
                    return Err(Stop::Target(Unresolved::Several { what: "list".to_owned(), entities }));
                }
            }
        }
    };
    match found.intent {
        "CompleteItem" if found.flag("gone") == Some(true) => {
            found.act(&target(at), "todo.remove_item", data(json!({"item": item})))
        }
        "RemoveItem" => found.act(&target(at), "todo.remove_item", data(json!({"item": item}))),
        "CompleteItem" => {
            found.act(&target(at), "todo.update_item", data(json!({"item": item, "status": "completed"})))
        }
        _ => found.act(&target(at), "todo.update_item", data(json!({"item": item, "status": "needs_action"}))),
    }
}

fn read(found: &Found<'_>) -> Done {
    let at = list(found)?;
    let entity = found.entity(at);
    let items: Vec<&str> = entity.open_items().collect();
    // A list whose items are not told still tells how many there are.
    if items.is_empty()
        && let Ok(n) = entity.state.parse::<usize>()
        && n > 0
    {
        return found.say(
            &[at],
            format!(
                "There {} on {}.",
                if n == 1 { "is 1 item".to_owned() } else { format!("are {n} items") },
                name(entity)
            ),
        );
    }
    let answer = match items.len() {
        0 => format!("{} is empty.", crate::sentences::reply::capital(&name(entity))),
        1 => format!("There is 1 item on {}: {}.", name(entity), items[0]),
        n if n <= 12 => format!("There are {n} items on {}: {}.", name(entity), write::and(&items)),
        n => format!("There are {n} items on {}. The first are {}.", name(entity), write::and(&items[..8])),
    };
    found.say(&[at], answer)
}

fn has(found: &Found<'_>) -> Done {
    let said = found.text("item").ok_or(Stop::Mismatch)?;
    if matches!(said, "anything" | "something" | "there anything" | "there") {
        return read(found);
    }
    // "Are we out of jam, is it on the list?" is two questions.
    if format!(" {said} ").contains(" is it ") {
        return Err(Stop::Mismatch);
    }
    // "Is there any laundry on the list?", where a list is called so.
    if let Some(own) = found
        .resolver
        .names
        .named(&crate::sentences::vocabulary::stems(tidy(said).trim_start_matches("any ")))
        .iter()
        .find(|i| found.entity(**i).domain == Domain::Todo)
    {
        let open: Vec<&str> = found.entity(*own).open_items().collect();
        let list = name(found.entity(*own));
        return found.say(
            &[*own],
            match open.len() {
                0 => format!("No, there is nothing on {list}."),
                _ => format!("Yes, on {list}: {}.", write::and(&open)),
            },
        );
    }
    // "Is Tom on the farm?" is about no list.
    let named = found.resolver.names.named(&crate::sentences::vocabulary::stems(said));
    if named.iter().any(|i| found.entity(*i).domain == Domain::Person) {
        return Err(Stop::Mismatch);
    }
    if found.flag("done") == Some(true) {
        return is_done(found, said);
    }
    if found.flag("known") == Some(true) {
        return needed(found, said);
    }
    let at = match list(found) {
        // Of several lists, the one that has it.
        Err(Stop::Target(Unresolved::Several { entities, what })) => {
            let having: Vec<usize> =
                entities.iter().copied().filter(|i| item_on(found.entity(*i), said).is_some()).collect();
            match having[..] {
                [one] => one,
                _ => return Err(Stop::Target(Unresolved::Several { entities, what })),
            }
        }
        at => at?,
    };
    let entity = found.entity(at);
    let answer = match item_on(entity, said) {
        Some(item) => {
            let done = entity.items().any(|(other, done)| other == item && done);
            if done {
                format!("Yes, {item} is on {}, and it is done.", name(entity))
            } else {
                format!("Yes, {item} is on {}.", name(entity))
            }
        }
        None => format!("No, {} is not on {}.", tidy(said), name(entity)),
    };
    found.say(&[at], answer)
}

/// "Do we need candles?", with no list named: of an item that is on one, or of shopping where there is one list for it.
fn needed(found: &Found<'_>, said: &str) -> Done {
    let item = tidy(said);
    if item.split(' ').count() > 3 {
        return Err(Stop::Mismatch);
    }
    let lists = found.entities(&[Domain::Todo]);
    let having: Vec<(usize, &str)> = lists
        .iter()
        .filter_map(|i| item_on(found.entity(*i), &item).map(|item| (*i, item)))
        .filter(|(i, item)| found.entity(*i).open_items().any(|open| open == *item))
        .collect();
    if let [(at, item), ..] = having[..] {
        return found.say(&[at], format!("Yes, {item} is on {}.", name(found.entity(at))));
    }
    let shopping = named(found, &lists, SHOPS);
    // "Do we need to leave?" is nothing that a list tells.
    let is_thing = !item.split(' ').any(|w| {
        crate::sentences::answers::is_worn(w)
            || matches!(
                w,
                "today"
                    | "tomorrow"
                    | "tonight"
                    | "now"
                    | "to"
                    | "you"
                    | "me"
                    | "it"
                    | "that"
                    | "this"
                    | "help"
                    | "him"
                    | "her"
            )
    });
    match shopping[..] {
        [at] if is_thing
            && found.flag("known") == Some(true)
            && !crate::spoken::ordinary::is_ordinary(&singular(&item)) =>
        {
            found.say(&[at], format!("No, {item} is not on {}.", name(found.entity(at))))
        }
        _ => Err(Stop::Mismatch),
    }
}

/// The day on which an item is due, and the time where one is given.
fn due_day(text: &str) -> Option<(jiff::civil::Date, Option<jiff::civil::Time>)> {
    let day = text.get(..10)?.parse().ok()?;
    let time = text.get(11..16).and_then(|time| format!("{time}:00").parse().ok());
    Some((day, time))
}

/// "What is due today?": what is open on any list with a date in those days, or before today.
fn due(found: &Found<'_>) -> Done {
    let today = found.now.date();
    let (first, last, label) = match found.slots.get("day") {
        None => (jiff::civil::Date::MIN, today.yesterday().map_err(|_| Stop::Mismatch)?, "overdue".to_owned()),
        Some(day) => {
            let first: jiff::civil::Date =
                day["first"].as_str().and_then(|day| day.parse().ok()).ok_or(Stop::Mismatch)?;
            let days = day["days"].as_i64().unwrap_or(1);
            let last = first.checked_add(jiff::Span::new().days(days - 1)).map_err(|_| Stop::Mismatch)?;
            let label = if days > 1 {
                write::said_time(day["said"].as_str().unwrap_or_default())
            } else {
                write::day(first, today)
            };
            (first, last, format!("due {label}"))
        }
    };
    let lists = found.entities(&[Domain::Todo]);
    let dated: Vec<(&str, jiff::civil::Date)> = lists
        .iter()
        .flat_map(|at| found.entity(*at).due_items())
        .filter_map(|(item, due)| Some((item, due_day(due)?.0)))
        .collect();
    if dated.is_empty() {
        return Err(Stop::Unsaid("when anything is due".to_owned()));
    }
    let fit: Vec<&str> = dated.iter().filter(|(_, day)| *day >= first && *day <= last).map(|(item, _)| *item).collect();
    let answer = match fit.as_slice() {
        [] => format!("Nothing is {label}."),
        [one] => format!("{} is {label}.", crate::sentences::reply::capital(one)),
        several => format!("{} things are {label}: {}.", several.len(), write::and(several)),
    };
    found.say(&lists, answer)
}

/// "When do I have to call the plumber?"
fn due_date(found: &Found<'_>) -> Done {
    let said = found.text("item").ok_or(Stop::Mismatch)?;
    let having: Vec<(usize, &str, &str)> = found
        .entities(&[Domain::Todo])
        .into_iter()
        .filter_map(|at| {
            let item = item_on(found.entity(at), said)?;
            let (_, due) = found.entity(at).due_items().find(|(other, _)| *other == item)?;
            Some((at, item, due))
        })
        .collect();
    let [(at, item, due)] = having[..] else { return Err(Stop::Mismatch) };
    let (day, time) = due_day(due).ok_or(Stop::Mismatch)?;
    let time = time.map(|time| format!(" at {}", write::clock(time))).unwrap_or_default();
    let day = write::day(day, found.now.date());
    found.say(&[at], format!("{} is due {day}{time}.", crate::sentences::reply::capital(item)))
}

/// "Have I rung the chimney sweep yet?": whether what is on a list is done.
fn is_done(found: &Found<'_>, said: &str) -> Done {
    let told: Vec<String> = words(said).iter().map(|w| singular(w)).filter(|w| w != "," && w != ".").collect();
    let verb_fits = |word: &String, verb: &String| word == verb || is_past_of(word, verb);
    let mut fit: Vec<(usize, &str, bool)> = Vec::new();
    for at in found.entities(&[Domain::Todo]) {
        for (item, done) in found.entity(at).items() {
            let own: Vec<String> = words(item).iter().map(|w| singular(w)).collect();
            let Some((verb, rest)) = own.split_first() else { continue };
            let content: Vec<&String> =
                rest.iter().filter(|w| w.len() > 2 && !matches!(w.as_str(), "the" | "and" | "for")).collect();
            let all = content.iter().all(|w| told.contains(w));
            if !content.is_empty() && all && told.iter().any(|w| verb_fits(w, verb)) {
                fit.push((at, item, done));
            }
        }
    }
    let [(at, item, done)] = fit[..] else { return Err(Stop::Mismatch) };
    let list = name(found.entity(at));
    let still = found.flag("still") == Some(true);
    let answer = match (done, still) {
        (true, false) => format!("Yes, {item} is done on {list}."),
        (false, false) => format!("No, {item} is still to do on {list}."),
        (true, true) => format!("No, {item} is done on {list}."),
        (false, true) => format!("Yes, {item} is still to do on {list}."),
    };
    found.say(&[at], answer)
}
