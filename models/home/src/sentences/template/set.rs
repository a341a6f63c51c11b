//! A set of templates: read from YAML files of the community's form, with its lists, expansion rules and words to skip, and
//! searched for those that fit a request.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use serde_json::{Map, Value};

use super::engine::{self, Match, Slots};
use super::expression::{Expr, TemplateError, parse, shown};

/// A template file larger than this is refused.
const LARGEST_FILE: u64 = 8 << 20;
/// Templates in a set.
const MOST_TEMPLATES: usize = 50_000;
/// Parts of a template that are looked through, its rules included, for text that it cannot do without.
const MOST_PARTS: u32 = 10_000;
/// Steps that all templates together may take for a text; some tens of milliseconds.
const MOST_STEPS: u32 = 2_000_000;
/// Files in a folder.
const MOST_FILES: usize = 2_000;

/// A list of values that a template names.
#[derive(Debug, Clone)]
pub(super) enum List {
    Values(Vec<ListValue>),
    Range { from: f64, to: f64, step: f64, multiplier: f64 },
    Wildcard,
}

#[derive(Debug, Clone)]
pub(super) struct ListValue {
    pub said: Vec<Expr>,
    pub out: Value,
    pub context: Map<String, Value>,
}

/// Sentences that mean one thing: an intent with fixed slots, under conditions.
#[derive(Debug, Clone)]
pub struct Data {
    /// The intent.
    pub intent: String,
    /// Slots that need not be said.
    pub slots: Map<String, Value>,
    /// What the context of a named value must hold.
    pub requires: Map<String, Value>,
    /// What it must not hold.
    pub excludes: Map<String, Value>,
    rules: Vec<(String, Vec<Expr>)>,
    templates: Vec<Template>,
}

#[derive(Debug, Clone)]
struct Template {
    expr: Vec<Expr>,
    /// Of each group one text must stand in the request: numbers of texts in the set's `needed`.
    needs: Vec<Vec<usize>>,
}

/// Why a folder of templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or folder cannot be read.
    #[error("the sentence templates {path} cannot be read: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not YAML, or not in the form of sentence templates.
    #[error("the sentence templates {path}: {what}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A template is broken.
    #[error("the sentence templates {path}, line {line}, intent {intent}: {cause}")]
    Template {
        /// The file.
        path: PathBuf,
        /// Where the template begins.
        line: usize,
        /// The intent, list or rule it belongs to.
        intent: String,
        /// What is wrong.
        cause: TemplateError,
    },
}

/// Templates with all they refer to.
#[derive(Debug, Clone, Default)]
pub struct TemplateSet {
    data: Vec<Data>,
    lists: HashMap<String, List>,
    rules: HashMap<String, Vec<Expr>>,
    skip: Vec<String>,
    /// All texts that some template cannot do without, found in one pass over a request.
    needed: Option<AhoCorasick>,
}

impl TemplateSet {
    /// Reads every `.yaml`, `.yml` and `.json` file of a folder and its subfolders, or one file.
    ///
    /// # Errors
    /// [`LoadError`], naming the file.
    pub fn load(path: &Path, known: &dyn Fn(&str) -> bool) -> Result<Self, LoadError> {
        let io = |cause| LoadError::Io { path: path.to_owned(), cause };
        let mut files = Vec::new();
        if std::fs::metadata(path).map_err(io)?.is_dir() {
            collect(path, &mut files, 0).map_err(io)?;
            files.sort();
            if files.is_empty() {
                let what = "the folder holds no .yaml, .yml or .json file; name the folder of one language".to_owned();
                return Err(LoadError::Form { path: path.to_owned(), what });
            }
        } else {
            files.push(path.to_owned());
        }
        let mut set = Self::default();
        for file in files {
            let io = |cause| LoadError::Io { path: file.clone(), cause };
            if std::fs::metadata(&file).map_err(io)?.len() > LARGEST_FILE {
                let what = format!("larger than {} MiB; split it", LARGEST_FILE >> 20);
                return Err(LoadError::Form { path: file, what });
            }
            let text = nearfield_base::files::read_text(&file, LARGEST_FILE).map_err(io)?;
            set.add(&text, &file)?;
            if let Some(intent) = set.data.iter().map(|data| data.intent.as_str()).find(|intent| !known(intent)) {
                let line = line_of(&text, intent);
                let what = format!(
                    "line {line}: there is no intent {}; `docs/voice.md` names those that there are",
                    shown(intent)
                );
                return Err(LoadError::Form { path: file, what });
            }
        }
        set.finish();
        Ok(set)
    }

    /// Reads templates that are part of the program.
    pub(crate) fn embedded(files: &[(&str, &str)]) -> Result<Self, LoadError> {
        let mut set = Self::default();
        for (name, text) in files {
            set.add(text, Path::new(name))?;
        }
        set.finish();
        Ok(set)
    }

    fn add(&mut self, text: &str, path: &Path) -> Result<(), LoadError> {
        let form = |what: String| LoadError::Form { path: path.to_owned(), what };
        let file = crate::yaml::parse(text).map_err(|e| form(e.to_string()))?;
        let broken = |intent: &str, template: &str, cause| LoadError::Template {
            path: path.to_owned(),
            line: line_of(text, template),
            intent: shown(intent),
            cause,
        };
        for (name, list) in object(file.get("lists")) {
            let list = read_list(list).map_err(|e| broken(name, name, e))?;
            self.lists.insert(name.to_lowercase(), list);
        }
        for (name, rule) in object(file.get("expansion_rules")) {
            let body = parse(rule.as_str().unwrap_or_default()).map_err(|e| broken(name, name, e))?;
            self.rules.insert(name.to_lowercase(), body);
        }
        for word in file.get("skip_words").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            self.skip.push(word.to_lowercase());
        }
        for (intent, body) in object(file.get("intents")) {
            for block in body.get("data").and_then(Value::as_array).into_iter().flatten() {
                let mut rules = Vec::new();
                for (name, rule) in object(block.get("expansion_rules")) {
                    rules.push((
                        name.to_lowercase(),
                        parse(rule.as_str().unwrap_or_default()).map_err(|e| broken(intent, name, e))?,
                    ));
                }
                let mut templates = Vec::new();
                for sentence in
                    block.get("sentences").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
                {
                    let expr = parse(sentence).map_err(|e| broken(intent, sentence, e))?;
                    templates.push(Template { expr, needs: Vec::new() });
                }
                let map = |key: &str| block.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
                self.data.push(Data {
                    intent: intent.clone(),
                    slots: map("slots"),
                    requires: map("requires_context"),
                    excludes: map("excludes_context"),
                    rules,
                    templates,
                });
                if self.data.iter().map(|d| d.templates.len()).sum::<usize>() > MOST_TEMPLATES {
                    return Err(form(format!("more than {MOST_TEMPLATES} templates; leave some out")));
                }
            }
        }
        Ok(())
    }

    /// Works out, once all rules are known, what text each template cannot do without.
    fn finish(&mut self) {
        self.skip.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let mut data = std::mem::take(&mut self.data);
        let (mut texts, mut numbers) = (Vec::new(), HashMap::new());
        let mut number = |text: String| {
            *numbers.entry(text).or_insert_with_key(|text| {
                texts.push(text.clone());
                texts.len() - 1
            })
        };
        for block in &mut data {
            for template in &mut block.templates {
                let mut needs = Vec::new();
                self.needs(&template.expr, &block.rules, &mut needs, 0, &mut { MOST_PARTS });
                template.needs = needs.into_iter().map(|group| group.into_iter().map(&mut number).collect()).collect();
            }
        }
        self.data = data;
        // Without it (texts of more than the automaton's 2 GB) every template is tried.
        self.needed = AhoCorasick::new(&texts).ok();
    }

    /// Which of the needed texts stand in a request; `None` where that is not known.
    fn held(&self, text: &str) -> Option<Vec<bool>> {
        let needed = self.needed.as_ref()?;
        let mut held = vec![false; needed.patterns_len()];
        needed.find_overlapping_iter(text).for_each(|found| held[found.pattern().as_usize()] = true);
        Some(held)
    }

    fn needs(
        &self,
        exprs: &[Expr],
        rules: &[(String, Vec<Expr>)],
        out: &mut Vec<Vec<String>>,
        depth: usize,
        left: &mut u32,
    ) {
        if depth > 12 {
            return;
        }
        for expr in exprs {
            // What has been found until here holds, whatever the rest needs.
            let Some(fewer) = left.checked_sub(1) else { return };
            *left = fewer;
            match expr {
                Expr::Text(text) => out.extend(text.split(' ').filter(|w| !w.is_empty()).map(|w| vec![w.to_owned()])),
                Expr::Rule(name) => {
                    let own = rules.iter().find(|(rule, _)| rule == name).map(|(_, body)| body);
                    if let Some(body) = own.or_else(|| self.rules.get(name)) {
                        self.needs(body, rules, out, depth + 1, left);
                    }
                }
                Expr::Permutation(parts) => {
                    for part in parts {
                        self.needs(part, rules, out, depth + 1, left);
                    }
                }
                Expr::Alternatives(options) => {
                    // One group, if every option needs something: the longest text of each.
                    let mut group = Vec::new();
                    for option in options {
                        let mut inner = Vec::new();
                        self.needs(option, rules, &mut inner, depth + 1, left);
                        match inner.into_iter().max_by_key(|g| g.iter().map(String::len).min().unwrap_or(0)) {
                            Some(needed) => group.extend(needed),
                            None => {
                                group.clear();
                                break;
                            }
                        }
                    }
                    if !group.is_empty() && group.len() <= 24 {
                        out.push(group);
                    }
                }
                Expr::List { .. } => {}
            }
        }
    }

    pub(super) fn list(&self, name: &str) -> Option<&List> {
        self.lists.get(name)
    }

    pub(super) fn rule(&self, name: &str) -> Option<&Vec<Expr>> {
        self.rules.get(name)
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.data.iter().map(|d| d.templates.len()).sum()
    }

    /// The intents of its sentences.
    pub fn intents(&self) -> impl Iterator<Item = &str> {
        self.data.iter().map(|data| data.intent.as_str())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every word that a template, list or rule contains.
    pub fn words(&self) -> std::collections::HashSet<String> {
        fn of(exprs: &[Expr], out: &mut std::collections::HashSet<String>) {
            for expr in exprs {
                match expr {
                    Expr::Text(text) => out.extend(text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned)),
                    Expr::Alternatives(parts) | Expr::Permutation(parts) => parts.iter().for_each(|p| of(p, out)),
                    Expr::List { .. } | Expr::Rule(_) => {}
                }
            }
        }
        let mut out = std::collections::HashSet::new();
        self.rules.values().for_each(|rule| of(rule, &mut out));
        for block in &self.data {
            block.templates.iter().for_each(|t| of(&t.expr, &mut out));
        }
        for list in self.lists.values() {
            if let List::Values(values) = list {
                values.iter().for_each(|v| of(&v.said, &mut out));
            }
        }
        out
    }

    /// A request as this set's sentences expect it: lower case, without punctuation, without the set's words to skip.
    pub fn normalise(&self, request: &str) -> String {
        let mut text: String = request
            .to_lowercase()
            .chars()
            .map(|c| if c == '\u{2019}' { '\'' } else { c })
            .filter(|c| !matches!(c, '?' | '!' | ';' | ':' | '"' | '\u{bf}' | '\u{a1}'))
            .collect();
        text = text
            .split_whitespace()
            .map(|word| word.trim_end_matches(['.', ',']))
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        for skip in &self.skip {
            let padded = format!(" {text} ").replace(&format!(" {skip} "), " ");
            text = padded.trim().to_owned();
        }
        text
    }

    /// All templates that fit `text` as a whole, and how.
    pub fn matches(&self, text: &str, slots: &dyn Slots) -> Vec<(&Data, Match)> {
        let mut out = Vec::new();
        let mut budget = MOST_STEPS;
        let held = self.held(text);
        for block in &self.data {
            for template in &block.templates {
                let has = |group: &Vec<usize>| held.as_ref().is_none_or(|held| group.iter().any(|it| held[*it]));
                if template.needs.iter().all(has) {
                    let found = engine::matches(&template.expr, text, self, &block.rules, slots, &mut budget);
                    out.extend(found.into_iter().map(|m| (block, m)));
                }
            }
        }
        out
    }
}

/// The line of a file in which a text begins; 1 where it is written otherwise than it is read.
fn line_of(file: &str, text: &str) -> usize {
    let start: String = text.chars().take(60).take_while(|c| !matches!(c, '\'' | '"' | '\\')).collect();
    file.lines().position(|line| line.contains(start.trim_end())).map_or(1, |at| at + 1)
}

fn object(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if depth < 3 {
                collect(&path, files, depth + 1)?;
            }
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| matches!(e, "yaml" | "yml" | "json"))
            && files.len() < MOST_FILES
        {
            files.push(path);
        }
    }
    Ok(())
}

fn read_list(list: &Value) -> Result<List, TemplateError> {
    if list.get("wildcard").and_then(Value::as_bool) == Some(true) {
        return Ok(List::Wildcard);
    }
    if let Some(range) = list.get("range") {
        let at = |key: &str, default: f64| range.get(key).and_then(Value::as_f64).unwrap_or(default);
        let step = match range.get("fractions").and_then(Value::as_str) {
            Some("halves") => 0.5,
            Some("tenths") => 0.1,
            _ => at("step", 1.0),
        };
        return Ok(List::Range { from: at("from", 0.0), to: at("to", 100.0), step, multiplier: at("multiplier", 1.0) });
    }
    let mut values = Vec::new();
    for value in list.get("values").and_then(Value::as_array).into_iter().flatten() {
        let (said, out) = match value {
            Value::Object(map) => {
                let said = map.get("in").map(plain).unwrap_or_default();
                let out = map.get("out").cloned().unwrap_or_else(|| Value::String(said.clone()));
                (said, out)
            }
            other => (plain(other), other.clone()),
        };
        let context = value.get("context").and_then(Value::as_object).cloned().unwrap_or_default();
        values.push(ListValue { said: parse(&said)?, out, context });
    }
    Ok(List::Values(values))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rooms;
    impl Slots for Rooms {
        fn values(&self, list: &str, at: usize) -> Option<std::rc::Rc<[(usize, Value)]>> {
            let _ = at;
            (list == "room").then(|| std::rc::Rc::from([]))
        }
    }

    fn set(text: &str) -> TemplateSet {
        TemplateSet::embedded(&[("test", text)]).unwrap()
    }

    fn slots(set: &TemplateSet, text: &str) -> Vec<(String, Vec<(String, Value)>)> {
        let pairs = |m: Match| m.captures.into_iter().map(|c| (c.slot, c.value)).collect();
        set.matches(text, &Rooms).into_iter().map(|(d, m)| (d.intent.clone(), pairs(m))).collect()
    }

    #[test]
    fn options_alternatives_lists_rules_and_permutations_match() {
        let set = set("
intents:
  Dim:
    data:
      - sentences:
          - \"<dim> [the] {room2:where} [light[s]] to {level}[ percent|%]\"
          - \"(in [the] {room2:where};make it {level})\"
lists:
  room2:
    values:
      - in: (hall|hallway)
        out: hall
      - kitchen
  level:
    range: {from: 0, to: 100}
expansion_rules:
  dim: \"(dim|set) [down]\"
");
        let hall = |level: i64| {
            vec![(
                "Dim".to_owned(),
                vec![("where".to_owned(), Value::from("hall")), ("level".to_owned(), Value::from(level))],
            )]
        };
        assert_eq!(slots(&set, "dim the hallway lights to 20%"), hall(20));
        assert_eq!(slots(&set, "set hall to twenty five percent"), hall(25));
        assert_eq!(slots(&set, "in the hall make it 5"), hall(5));
        let turned = slots(&set, "make it 5 in the hall");
        assert_eq!(turned[0].1.len(), 2);
        for text in ["dim the hallways to 20", "dim the hall to 200", "dim the hall", "dim the hall to 20 now"] {
            assert_eq!(slots(&set, text), vec![], "{text}");
        }
    }

    #[test]
    fn a_rule_that_contains_itself_ends() {
        let set = set("
intents:
  A:
    data:
      - sentences: [\"<loop> x\"]
expansion_rules:
  loop: \"[<loop>] [<loop>] a\"
");
        assert!(slots(&set, "a a a a b").is_empty());
    }

    #[test]
    fn rules_that_grow_without_end_are_read_and_matched_in_bounded_time_and_on_a_small_stack() {
        let doubled = |last: &str| {
            let rules = (0..30).map(|i| format!("  r{i}: \"<r{0}><r{0}>\"\n", i + 1)).collect::<String>();
            format!("intents: {{A: {{data: [{{sentences: ['<r0>']}}]}}}}\nexpansion_rules:\n{rules}  r30: \"{last}\"\n")
        };
        let itself = "intents: {A: {data: [{sentences: ['<a>']}]}}\nexpansion_rules: {a: '<a><a><a><a><a><a><a><a> x'}";
        for text in [doubled("x"), doubled("[x]"), doubled("(x|[y])"), doubled("(x;[y])"), itself.to_owned()] {
            let begun = std::time::Instant::now();
            let thread = std::thread::Builder::new().stack_size(1 << 20);
            let matched = thread.spawn(move || slots(&set(&text), "x y x y z").len()).unwrap();
            assert_eq!(matched.join().unwrap(), 0);
            assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn a_broken_template_names_file_and_intent() {
        let text = "intents: {TurnOn: {data: [{sentences: ['turn on [the']}]}}";
        let error = TemplateSet::embedded(&[("mine.yaml", text)]).unwrap_err().to_string();
        assert_eq!(
            error,
            "the sentence templates mine.yaml, line 1, intent TurnOn: '[' in the template \"turn on [the\" has no partner; close it or \
             write \\ before it"
        );
    }
}
