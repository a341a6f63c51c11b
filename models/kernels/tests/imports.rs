//! The modules of this crate import each other in one direction, so that each can be read with only those below it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every source file below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module that a path belongs to: the first name, and the instruction set below `isa`.
fn module<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    match (names.next().unwrap_or_default(), names.next()) {
        ("isa", Some(set)) if set != "mod" => format!("isa::{set}"),
        (first, _) => first.to_owned(),
    }
}

/// The paths after each `crate::` of a text, with the names of a group in braces one by one.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for after in text.split("crate::").skip(1) {
        let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(after.len());
        let (path, rest) = after.split_at(end);
        match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((group, _)) => found.extend(group.split(',').map(|name| format!("{path}{}", name.trim()))),
            None => found.push(path.to_owned()),
        }
    }
    found
}

#[test]
fn no_module_imports_one_that_imports_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut paths, mut edges) = (Vec::new(), BTreeMap::<String, BTreeSet<String>>::new());
    sources(&root, &mut paths);
    for path in paths {
        let own = path.strip_prefix(&root).unwrap().with_extension("");
        let own = module(own.iter().map(|name| name.to_str().unwrap()));
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        if own != "lib" {
            let targets = imports(text).into_iter().map(|import| module(import.split("::")));
            edges.entry(own.clone()).or_default().extend(targets.filter(|target| *target != own));
        }
    }
    assert!(edges["matmul"].contains("dispatch") && edges["dispatch"].contains("isa::scalar"), "{edges:?}");
    // Modules whose imports have all been taken away are taken away, until nothing is left but a circle.
    while let Some(done) =
        edges.iter().find(|(_, to)| to.iter().all(|to| !edges.contains_key(to))).map(|(m, _)| m.clone())
    {
        edges.remove(&done);
    }
    assert!(edges.is_empty(), "these modules import each other: {edges:#?}");
}
