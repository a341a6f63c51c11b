//! Items of lists as they are said: several joined by "and" or commas, amounts before them, and the item that words mean.

use crate::model::Entity;
use crate::sentences::nouns::singular;
use crate::spoken::{near, words};

/// What is joined by "and" or commas.
pub(super) fn parts_of(item: &str) -> Vec<&str> {
    item.split(" and ").flat_map(|part| part.split(',')).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// What an amount is of: "milk" of "two litres of milk", "onions" of "2 onions".
pub(super) fn without_quantity(part: &str) -> &str {
    let said: Vec<&str> = part.split(' ').collect();
    let article = usize::from(matches!(said[0], "a" | "an" | "some" | "the"));
    let counted = crate::spoken::number(&said).map_or(0, |(_, n)| n);
    let begins = article.max(counted);
    // "A bottle of", "two large bottles of", and "bottle of" where the article is gone.
    let of = said.iter().take(begins + 3).position(|word| *word == "of");
    let of = of.filter(|at| if begins > 0 { *at > begins } else { *at == 1 });
    let skip = of.map_or(begins, |at| at + 1);
    let bytes: usize = said[..skip.min(said.len())].iter().map(|word| word.len() + 1).sum();
    part.get(bytes..).unwrap_or_default()
}

pub(super) fn tidy(item: &str) -> String {
    let item = item.trim_matches([' ', ',']);
    let item = item.strip_prefix("and ").unwrap_or(item);
    let item = ["a ", "an ", "some ", "the ", "to ", "that "]
        .iter()
        .find_map(|start| item.strip_prefix(start))
        .unwrap_or(item);
    item.to_owned()
}

/// The item on a list that was meant: the same words, else the only one nearly so.
pub(super) fn item_on<'e>(entity: &'e Entity, said: &str) -> Option<&'e str> {
    let folded = |text: &str| -> Vec<String> {
        words(text)
            .iter()
            .filter(|w| !matches!(w.as_str(), "the" | "a" | "an" | "some" | "my" | "to" | "," | "."))
            .map(|w| singular(w))
            .collect()
    };
    let wanted = folded(said);
    if wanted.is_empty() {
        return None;
    }
    let all: Vec<(&str, Vec<String>)> = entity.items().map(|(item, _)| (item, folded(item))).collect();
    if let Some((item, _)) = all.iter().find(|(_, words)| *words == wanted) {
        return Some(item);
    }
    // "The butter" is only a part of the item "bread and butter".
    let is_part = |item: &str| {
        let lower = item.to_lowercase();
        let parts = parts_of(&lower);
        parts.len() > 1 && parts.iter().any(|part| wanted.iter().all(|word| folded(part).contains(word)))
    };
    let holding: Vec<&str> = all
        .iter()
        .filter(|(item, words)| wanted.iter().all(|w| words.contains(w)) && !is_part(item))
        .map(|(item, _)| *item)
        .collect();
    if let [one] = holding[..] {
        return Some(one);
    }
    let alike = |words: &Vec<String>| {
        words.len() == wanted.len() && words.iter().zip(&wanted).all(|(a, b)| near::distance(b, a).is_some())
    };
    let near: Vec<&str> = all.iter().filter(|(_, words)| alike(words)).map(|(item, _)| *item).collect();
    match near[..] {
        [one] => Some(one),
        _ => None,
    }
}
