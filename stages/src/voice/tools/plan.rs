//! What a request may come to, decided before a model writes. A small model that is left to itself often answers a wish without
//! calling a tool, and calls one where nothing was wished for. So the request's words decide whether there is to be a call, and
//! narrow it to what they speak for; the model chooses among what is left. A question gets the states that it is about.

use nearfield_home::rooms::Part;
use nearfield_home::sentences::Vocabulary;
use nearfield_home::sentences::wish::{Deed, Kind, Support, Wish};
use nearfield_home::{Domain, Entity, Home, spoken, tools};
use serde_json::{Value, json};

use super::facts::{Facts, facts};
use super::home::HomeTools;
use super::times::mixes_times;
use super::values::{RELATIVE, item, set_light, timers};
use super::{Toolbox, function, schema_of};
use crate::voice::tool_calls::names_in;

/// What a request may come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Whatever the model makes of it.
    Free {
        /// Whether something is wished for.
        is_wish: bool,
    },
    /// An answer without a call.
    Speak {
        /// What the question may be about.
        facts: Facts,
        /// Whether something is wished for, of which there is nothing here.
        is_wish: bool,
    },
    /// One call after the other, each of one of the tools of its list.
    Call(Vec<Vec<Value>>),
    /// This is said or asked back; the next request may go on with this one.
    Ask(String),
}

/// The most things named in a question asked back.
const MOST_CHOICES: usize = 4;

/// What is said of a wish for what is not there, or of one that came to nothing while the model says otherwise.
pub const NOT_FOUND: &str = "I have not done that: I found nothing here that I could do it with.";

/// What is said of several wishes of which one is for later, where the templates did not tell which.
const NOT_THEN: &str =
    "I did not understand what is to be done when, so I did nothing. Please say one wish after the other.";

/// Whether a wish can only be for a thing: "unlock the shed", but not "start a story".
fn is_clear(wish: &Wish) -> bool {
    use Deed::{Close, Lock, Off, On, Open, Play, Start, Stop, Unlock};
    let says = |any: &[Deed]| any.iter().any(|deed| wish.deeds.contains(deed));
    says(&[On, Off, Open, Close, Lock, Unlock]) && !says(&[Start, Play, Stop])
}

/// Whether a wish for which there is nothing in the home asks for words rather than for a deed: "give me a tip", "go on".
fn asks_for_words(wish: &Wish) -> bool {
    let mut words =
        wish.words().iter().map(String::as_str).skip_while(|word| matches!(*word, "please" | "and" | "now"));
    match (words.next(), words.next()) {
        (Some("give" | "tell"), Some("me" | "us")) => true,
        (first, _) => first == Some("go"),
    }
}

/// What keeps a clause from being a call.
enum Stop {
    Unknown,
    Ask(String),
}

/// A tool that fits a clause, with what speaks for it.
struct Candidate {
    name: String,
    key: &'static str,
    schema: Value,
    support: Support,
    options: Vec<(String, Vec<usize>)>,
}

impl Toolbox {
    /// What a request may come to, by its words and what there is.
    pub fn plan(&self, request: &str) -> Plan {
        let empty = Home::default();
        let home = self.home.as_ref().map_or(&empty, |home| home.household.home());
        let names = Vocabulary::of(home);
        let wish = Wish::of(request);
        if !self.has_tools_of_others() && mixes_times(request, self.now().datetime()) {
            return Plan::Ask(NOT_THEN.to_owned());
        }
        if wish.kind == Kind::Wish {
            if wish.has_exception() {
                return Plan::Free { is_wish: true };
            }
            let mut steps = Vec::new();
            for clause in Wish::clauses(request) {
                match self.step(&Wish::of(&clause), &names, home) {
                    Ok(calls) => steps.extend(calls),
                    Err(Stop::Ask(question)) => return Plan::Ask(question),
                    Err(Stop::Unknown) if !self.has_tools_of_others() => {
                        let is_wish = !asks_for_words(&wish);
                        return match is_wish && is_clear(&wish) {
                            true => Plan::Ask(NOT_FOUND.to_owned()),
                            false => Plan::Speak { facts: Facts::default(), is_wish },
                        };
                    }
                    Err(Stop::Unknown) => return Plan::Free { is_wish: !asks_for_words(&wish) },
                }
            }
            return match steps.is_empty() {
                true => Plan::Free { is_wish: true },
                false => Plan::Call(steps),
            };
        }
        let is_about_home = !wish.support(&names, Domain::ALL).entities.is_empty();
        if wish.kind == Kind::Question && !is_about_home && asks_for_the_clock(&wish) {
            let clock = function("clock", "Tells the time and the date.", schema_of("clock"));
            return Plan::Call(vec![vec![clock]]);
        }
        if self.has_tools_of_others() {
            return Plan::Free { is_wish: false };
        }
        Plan::Speak { facts: facts(&wish, &names, home), is_wish: false }
    }

    /// The calls that one clause may mean.
    fn step(&self, wish: &Wish, names: &Vocabulary, home: &Home) -> Result<Vec<Vec<Value>>, Stop> {
        if let Some(timers) = timers(wish) {
            return Ok(timers);
        }
        let Some(tools) = &self.home else { return Err(Stop::Unknown) };
        let mut fitting = Vec::new();
        for schema in tools.schemas() {
            fitting.extend(tools.candidate(schema, wish, names, home));
        }
        let Some(best) = fitting.iter().map(|fit: &Candidate| fit.support.score).max() else {
            return Err(Stop::Unknown);
        };
        fitting.retain(|fit| fit.support.score == best);
        // A number that was said is what it is about: "turn on the lamp at 50 percent".
        let is_set = |fit: &Candidate| fit.name.starts_with("set_") && fit.key == "name";
        if fitting.iter().any(is_set) {
            fitting.retain(is_set);
        }
        let groups = fitting[0].support.groups.clone();
        let listed = wish.says(&["and"]) && groups.len() > 1 && !wish.many;
        let groups = if listed { groups } else { vec![fitting[0].support.entities.clone()] };
        let mut steps = Vec::new();
        for group in groups {
            steps.extend(tools.narrowed(&fitting, &group, wish, home)?);
        }
        Ok(steps)
    }
}

impl HomeTools {
    /// A tool of the home, where a wish may be for it: with the values that the wish says.
    fn candidate(&self, schema: Value, wish: &Wish, names: &Vocabulary, home: &Home) -> Option<Candidate> {
        let name = schema["function"]["name"].as_str()?.to_owned();
        let properties = schema["function"]["parameters"]["properties"].as_object()?;
        let key = ["name", "room", "door", "device"].into_iter().find(|key| properties.contains_key(*key))?;
        let domains: &[Domain] = match key {
            "name" => tools::domains(&name),
            "room" => &[Domain::Light],
            "door" => &[Domain::Cover, Domain::Lock],
            _ => &[Domain::Switch],
        };
        let mut support = wish.support(names, domains);
        if support.entities.is_empty() && wish.says(&["it", "them", "that", "those"]) {
            // What was acted on last.
            let recent: Vec<&str> =
                self.household.ledger().last().next()?.changes.iter().map(|c| c.entity_id()).collect();
            let of = |entity: &Entity| recent.contains(&entity.id.as_str()) && domains.contains(&entity.domain);
            support.entities = home.entities().iter().enumerate().filter(|(_, e)| of(e)).map(|(at, _)| at).collect();
            support.groups = vec![support.entities.clone()];
            support.unexplained.clear();
            support.score = 1;
        }
        if support.entities.is_empty() {
            return None;
        }
        let entities: Vec<&Entity> = support.entities.iter().map(|at| &home.entities()[*at]).collect();
        let mut schema = schema;
        asked_for(&name, key, &mut schema["function"]["parameters"], wish, &entities, names)?;
        let options = self.options(&name, key, &schema, wish, home);
        Some(Candidate { name, key, schema, support, options })
    }

    /// The names that a tool takes, and what each stands for.
    fn options(&self, tool: &str, key: &str, schema: &Value, wish: &Wish, home: &Home) -> Vec<(String, Vec<usize>)> {
        let index = |id: &str| home.entities().iter().position(|entity| entity.id == id);
        if key != "name" {
            let part = match key {
                "room" => Part::Light,
                "door" => Part::Door,
                _ => Part::Device,
            };
            let rooms = self.household.file().rooms();
            let all = wish.many.then(|| "all".to_owned());
            let names: Vec<String> = rooms.states(part).map(|(name, _)| name.to_owned()).chain(all).collect();
            let means = |name: &str| rooms.find(part, name).map(|(_, ids)| ids).unwrap_or_default();
            return names
                .into_iter()
                .map(|name| (means(&name).iter().filter_map(|id| index(id)).collect(), name))
                .map(|(set, name)| (name, set))
                .collect();
        }
        let domains = tools::domains(tool);
        let offered = schema["function"]["parameters"]["properties"]["name"]["enum"].as_array().cloned();
        let mut names: Vec<String> = match offered {
            Some(offered) => offered.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => home.entities().iter().filter(|e| domains.contains(&e.domain)).map(|e| e.name.clone()).collect(),
        };
        for area in home.areas() {
            names.extend(domains.iter().map(|domain| format!("{} {}", area.name, domain.plural())));
        }
        if wish.many {
            names.extend(["all lights".to_owned(), "all".to_owned()]);
        }
        names
            .into_iter()
            .map(|name| {
                let set: Vec<usize> =
                    tools::named(home, &name, domains).iter().filter_map(|entity| index(&entity.id)).collect();
                (name, set)
            })
            .filter(|(_, set)| !set.is_empty())
            .collect()
    }

    /// The calls for some entities: of each tool that fits, with the names that stand for them.
    fn narrowed(
        &self,
        fitting: &[Candidate],
        group: &[usize],
        wish: &Wish,
        home: &Home,
    ) -> Result<Vec<Vec<Value>>, Stop> {
        let mut group = group.to_vec();
        let area = |at: &usize| home.entities()[*at].area.as_deref();
        let names = |group: &[usize], options: &[(String, Vec<usize>)], is_whole: bool| -> Vec<String> {
            let same =
                |set: &[usize]| set.iter().all(|at| group.contains(at)) && (!is_whole || set.len() == group.len());
            options.iter().filter(|(_, set)| same(set)).map(|(name, _)| name.clone()).collect()
        };
        let distinct = |group: &[usize]| -> usize {
            let mut seen: Vec<&str> = group.iter().map(|at| home.entities()[*at].name.as_str()).collect();
            seen.sort_unstable();
            seen.dedup();
            seen.len()
        };
        let one_place = |group: &[usize]| group.iter().all(|at| area(at).is_some() && area(at) == area(&group[0]));
        // One thing is meant and several fit: those where the asking device is, else the person is asked.
        if !wish.many && distinct(&group) > 1 && !one_place(&group) {
            let near: Vec<usize> =
                group.iter().copied().filter(|at| self.area.is_some() && area(at) == self.area.as_deref()).collect();
            if near.is_empty() {
                return Err(Stop::Ask(which(&group, home)));
            }
            group = near;
        }
        let with = |fit: &Candidate, names: &[String]| {
            let mut schema = fit.schema.clone();
            schema["function"]["parameters"]["properties"][fit.key] = json!({"type": "string", "enum": names});
            schema
        };
        // Runs of the words, so that a wish for what is not there is not turned into one for what is.
        let more = if fitting[0].support.unexplained.is_empty() || fitting[0].name.ends_with("_item") {
            Vec::new()
        } else {
            names_in(&wish.words().join(" "))
        };
        let whole: Vec<Value> = fitting
            .iter()
            .filter_map(|fit| {
                let mut names = names(&group, &fit.options, true);
                names.truncate(1);
                let more = more.iter().filter(|name| !names.contains(name)).cloned().collect();
                (!names.is_empty()).then(|| with(fit, &[names, more].concat()))
            })
            .collect();
        if !whole.is_empty() {
            return Ok(vec![whole]);
        }
        // No one name stands for all of them: one call each.
        let mut steps = Vec::new();
        for at in &group {
            let each: Vec<Value> = fitting
                .iter()
                .filter_map(|fit| {
                    let names = names(&[*at], &fit.options, true);
                    (!names.is_empty()).then(|| with(fit, &names))
                })
                .collect();
            if !each.is_empty() {
                steps.push(each);
            }
        }
        if steps.is_empty() { Err(Stop::Unknown) } else { Ok(steps) }
    }
}

fn which(group: &[usize], home: &Home) -> String {
    let entities: Vec<&Entity> = group.iter().map(|at| &home.entities()[*at]).collect();
    let mut names = nearfield_home::sentences::told_apart(&entities, home);
    names.dedup();
    match names.len() {
        0..=MOST_CHOICES => format!("Which one do you mean: {}?", spoken::write::or(&names)),
        count => format!("Which one do you mean? There are {count}."),
    }
}

/// Narrows a tool's arguments to what a wish says; `None` where it is not for this tool.
fn asked_for(
    name: &str,
    key: &str,
    parameters: &mut Value,
    wish: &Wish,
    entities: &[&Entity],
    names: &Vocabulary,
) -> Option<()> {
    let asks = |deed: Deed| wish.asks_for(deed);
    let says = |deed: Deed| wish.deeds.contains(&deed);
    let mut one_of = |argument: &str, values: Vec<Value>| -> Option<()> {
        if values.is_empty() {
            return None;
        }
        let required = parameters["required"].as_array().cloned().unwrap_or_default();
        parameters["properties"][argument] = json!({"enum": values});
        if !required.contains(&json!(argument)) {
            parameters["required"] = Value::Array(required.into_iter().chain([json!(argument)]).collect());
        }
        Some(())
    };
    let words = |of: &[(Deed, &str)]| {
        of.iter().filter(|(deed, _)| says(*deed)).map(|(_, word)| json!(word)).collect::<Vec<_>>()
    };
    let percent = wish.find(|words| spoken::percent(words, false)).map(|(value, _)| value);
    let words_said: Vec<&str> = wish.words().iter().map(String::as_str).collect();
    // The number of "bedroom 2" is no value.
    let is_of_name =
        |rest: &[&str], taken: usize| taken == 1 && names.is_number_of_name(&words_said, words_said.len() - rest.len());
    let bare = |rest: &[&str]| {
        spoken::percent(rest, rest.len() == 1).filter(|(_, taken)| !is_of_name(rest, *taken)).map(|(value, _)| value)
    };
    let level = || percent.or_else(|| wish.find(bare));
    if key != "name" {
        let states: &[(Deed, &str)] = match key {
            "door" => {
                &[(Deed::Lock, "locked"), (Deed::Unlock, "unlocked"), (Deed::Open, "open"), (Deed::Close, "closed")]
            }
            _ => &[(Deed::On, "on"), (Deed::Off, "off")],
        };
        let asked = states.iter().filter(|(deed, _)| asks(*deed)).map(|(_, state)| json!(state)).collect();
        return one_of("state", asked);
    }
    let is_relative = wish.says(RELATIVE);
    let whole = |value: f64| (value.fract() == 0.0 && (0.0..=100.0).contains(&value)).then(|| json!(value as i64));
    match name {
        "turn_on" => (asks(Deed::On) && !is_relative).then_some(()),
        "turn_off" => (asks(Deed::Off) && !is_relative).then_some(()),
        "open" => (asks(Deed::Open) && percent.is_none()).then_some(()),
        "close" => (asks(Deed::Close) && percent.is_none()).then_some(()),
        "lock" => says(Deed::Lock).then_some(()),
        "unlock" => says(Deed::Unlock).then_some(()),
        "set_position" => one_of("position", percent.and_then(whole).into_iter().collect()),
        "set_fan_speed" => one_of("percentage", level().and_then(whole).into_iter().collect()),
        "set_volume" => one_of("volume_pct", level().and_then(whole).into_iter().collect()),
        "set_temperature" => {
            let of_air = |rest: &[&str]| spoken::temperature(rest).filter(|(.., taken)| !is_of_name(rest, *taken));
            let said = wish.find(of_air).map(|(value, ..)| json!(value));
            one_of("temperature", said.into_iter().collect())
        }
        "set_hvac_mode" => {
            let text = format!("{} ", wish.words().join(" "));
            let said = |mode: &&&str| {
                [format!("to {mode} "), format!("{mode} mode "), format!("{mode}ing mode ")]
                    .iter()
                    .any(|it| text.contains(it))
            };
            one_of("hvac_mode", ["heat", "cool", "auto", "dry"].iter().filter(said).map(|mode| json!(mode)).collect())
        }
        "set_light" => {
            parameters["properties"] = json!({"name": parameters["properties"]["name"]});
            set_light(parameters, wish, level(), entities)
        }
        "media" => one_of(
            "action",
            words(&[
                (Deed::Play, "play"),
                (Deed::Pause, "pause"),
                (Deed::Stop, "stop"),
                (Deed::Next, "next"),
                (Deed::Previous, "previous"),
                (Deed::Mute, "mute"),
                (Deed::Unmute, "unmute"),
                (Deed::Louder, "volume_up"),
                (Deed::Quieter, "volume_down"),
            ]),
        ),
        "vacuum" => one_of(
            "action",
            words(&[
                (Deed::Start, "start"),
                (Deed::On, "start"),
                (Deed::Pause, "pause"),
                (Deed::Stop, "stop"),
                (Deed::Return, "return"),
            ]),
        ),
        "alarm" => one_of(
            "action",
            words(&[
                (Deed::Arm, "arm_home"),
                (Deed::Arm, "arm_away"),
                (Deed::Arm, "arm_night"),
                (Deed::Disarm, "disarm"),
            ]),
        ),
        "add_item" => (says(Deed::Add) || wish.says(&["put", "write", "note"]))
            .then(|| item(wish))
            .and_then(|item| one_of("item", item)),
        "complete_item" => says(Deed::Complete).then(|| item(wish)).and_then(|item| one_of("item", item)),
        "remove_item" => says(Deed::Remove).then(|| item(wish)).and_then(|item| one_of("item", item)),
        _ => Some(()),
    }
}

fn asks_for_the_clock(wish: &Wish) -> bool {
    let words = wish.words().join(" ");
    let about = [
        "time is it",
        "the time",
        "what time",
        "what date",
        "the date",
        "what day",
        "day is it",
        "day today",
        "date today",
        "day of the week",
    ];
    about.iter().any(|phrase| words.contains(phrase)) && !wish.says(&["timer", "timers", "left", "how", "when"])
}

#[cfg(test)]
mod tests {
    use nearfield_home::HomeFile;

    use super::*;
    use crate::voice::tools::{HomeLayout, ToolCall};

    const ROOMS: &str = r#"{"rooms": {"loft": {"light": "on"}, "cellar": {"light": "off"}},
        "doors": {"barn door": "locked", "hatch": "open"}, "devices": {"pump": "off", "kettle": "on"}}"#;

    const ENTITIES: &str = "
areas:
  - {name: Loft, id: loft}
  - {name: Cellar, id: cellar}
entities:
  - {name: Desk Lamp, id: light.desk, area: loft, state: 'on', attributes: {brightness: 128, supported_color_modes: [brightness]}}
  - {name: Beam Lights, id: light.beam, area: loft, state: 'off'}
  - {name: Loft Fan, id: fan.loft, area: loft, state: 'off'}
  - {name: Cellar Light, id: light.cellar, area: cellar, state: 'off'}
  - {name: Heating, id: climate.heating, area: loft, state: heat, attributes: {temperature: 20}}
  - {name: Groceries, id: todo.groceries}
";

    fn toolbox(home: &str) -> Toolbox {
        let home = HomeTools::of_rooms(HomeFile::parse(home).unwrap());
        Toolbox::new(Some(home), Vec::new()).unwrap().laid_out(HomeLayout::ByThing).without_matcher()
    }

    /// The calls that the schemas of a step allow, where that is a handful.
    fn allowed(step: &[Value]) -> Vec<String> {
        let mut calls = Vec::new();
        for schema in step {
            let function = &schema["function"];
            let mut some = vec![String::new()];
            for (key, value) in function["parameters"]["properties"].as_object().unwrap() {
                let values: Vec<String> = match value["enum"].as_array() {
                    Some(values) => {
                        values.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
                    }
                    None => vec!["?".to_owned()],
                };
                some = some
                    .iter()
                    .flat_map(|before| values.iter().map(move |value| format!("{before} {key}={value}")))
                    .collect();
            }
            calls.extend(some.iter().map(|arguments| format!("{}{arguments}", function["name"].as_str().unwrap())));
        }
        calls
    }

    fn planned(home: &str, request: &str) -> Vec<String> {
        match toolbox(home).plan(request) {
            Plan::Call(steps) => steps.iter().map(|step| allowed(step).join(" | ")).collect(),
            Plan::Speak { is_wish, .. } => vec![format!("Speak {is_wish}")],
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn a_wish_is_narrowed_to_what_its_words_speak_for() {
        for (home, request, calls) in [
            (ROOMS, "Would you switch the cellar light on?", &["set_light room=cellar state=on"][..]),
            (ROOMS, "shut the hatch", &["set_door door=hatch state=closed"]),
            (ROOMS, "turn off all the lights", &["set_light room=all state=off"]),
            (ROOMS, "Change the loft light.", &["set_light room=loft state=on | set_light room=loft state=off"]),
            (
                ROOMS,
                "turn off the kettle and lock the hatch",
                &["set_device device=kettle state=off", "set_door door=hatch state=locked"],
            ),
            (
                ROOMS,
                "start the pump and the kettle",
                &["set_device device=pump state=on", "set_device device=kettle state=on"],
            ),
            (ROOMS, "Remind me in an hour and a half", &["timer hours=1 minutes=30"]),
            (ROOMS, "set two timers, 3 and 10 minutes", &["timer minutes=3", "timer minutes=10"]),
            (ENTITIES, "turn the desk lamp off", &["turn_off name=Desk Lamp"]),
            (ENTITIES, "dim the desk lamp to 30 percent", &["set_light name=Desk Lamp brightness_pct=30"]),
            (ENTITIES, "loft lights off", &["turn_off name=Loft lights"]),
            (ENTITIES, "set the heating to 21.5 degrees", &["set_temperature name=Heating temperature=21.5"]),
            (ENTITIES, "add oat milk to the groceries", &["add_item name=Groceries item=oat milk"]),
        ] {
            assert_eq!(planned(home, request), calls, "{request}");
        }
    }

    #[test]
    fn of_several_wishes_of_which_one_is_for_later_none_is_guessed() {
        let later = [format!("{:?}", Plan::Ask(NOT_THEN.to_owned()))];
        for request in [
            "turn on the desk lamp at 7 pm and turn off the loft lights",
            "turn off the desk lamp in 2 hours and then the loft lights",
        ] {
            assert_eq!(planned(ENTITIES, request), later, "{request}");
        }
        assert_ne!(planned(ENTITIES, "turn on the desk lamp and turn off the loft lights"), later);
        assert_ne!(planned(ENTITIES, "turn on the desk lamp at 7 pm"), later);
        assert_ne!(planned(ENTITIES, "set a timer for 10 minutes and turn on the desk lamp"), later);
    }

    #[test]
    fn what_is_not_there_and_what_is_not_clear_is_not_guessed() {
        assert_eq!(
            planned(ROOMS, "turn on the light"),
            ["Ask(\"Which one do you mean: the loft light or the cellar light?\")"]
        );
        let nowhere = planned(ROOMS, "open the sauna door");
        assert!(nowhere[0].starts_with("Ask(\"Which one"), "{nowhere:?}");
        assert!(planned(ROOMS, "turn on the telescope")[0].starts_with("Ask(\"I have not done that"));
        assert_eq!(planned(ROOMS, "start a story"), ["Speak true"]);
        for request in ["Give me a tip for better sleep.", "Please tell us a story.", "Go on!"] {
            assert_eq!(planned(ROOMS, request), ["Speak false"], "{request}");
        }
        for request in
            ["Why is the hatch open?", "Don't open the hatch.", "If it rains, close the hatch.", "I opened the hatch."]
        {
            assert!(planned(ROOMS, request)[0].starts_with("Speak"), "{request}");
        }
        assert_eq!(planned(ROOMS, "all lights off except the loft"), ["Free { is_wish: true }"]);
        assert_eq!(planned(ROOMS, "What time is it?"), ["clock"]);
    }

    #[test]
    fn what_was_acted_on_last_is_it() {
        let mut toolbox = toolbox(ENTITIES);
        let call = ToolCall { name: "turn_on".to_owned(), arguments: json!({"name": "Cellar Light"}) };
        assert!(toolbox.call(&call, &|| false).ok);
        let Plan::Call(steps) = toolbox.plan("turn it off again") else { panic!("a call") };
        assert_eq!(allowed(&steps[0]), ["turn_off name=Cellar Light"]);
    }
}
