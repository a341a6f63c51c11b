//! Replacements, journals and new files: what stays whole, what is kept, and what an error names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_replaced_file_keeps_its_permissions_and_its_links() {
    let folder = folder();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    replace(&link, b"new").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    // A link to what is not there yet leads to where it will be.
    symlink("later", folder.path().join("early")).unwrap();
    replace(&folder.path().join("early"), b"x").unwrap();
    assert_eq!(names(folder.path()), ["early", "file", "later", "link"]);
    symlink("b", folder.path().join("a")).unwrap();
    symlink("a", folder.path().join("b")).unwrap();
    assert!(replace(&folder.path().join("a"), b"x").unwrap_err().to_string().contains("links"));
}

#[test]
fn a_replacement_that_is_not_committed_leaves_the_old_file_and_nothing_else() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "old").unwrap();
    let mut replacement = Replacement::begin(&file).unwrap();
    replacement.write_all(b"half of the n").unwrap();
    drop(replacement);
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), names(folder.path())), ("old", vec!["file".to_owned()]));
}

#[test]
fn temporary_files_of_killed_processes_are_removed_and_those_of_live_ones_are_not() {
    let folder = folder();
    let file = folder.path().join("file");
    let live = Replacement::begin(&folder.path().join("other")).unwrap();
    // As kill -9 leaves it: no lock, no owner.
    fs::write(folder.path().join(".nearfield-killed.tmp"), "half").unwrap();
    fs::write(folder.path().join(".nearfield-notes"), "of somebody else").unwrap();
    replace(&file, b"new").unwrap();
    assert_eq!(names(folder.path()).len(), 3, "{:?}", names(folder.path()));
    live.commit().unwrap();
    assert_eq!(names(folder.path()), [".nearfield-notes", "file", "other"]);
}

#[test]
fn errors_name_the_cause_and_never_a_temporary_file() {
    let folder = folder();
    let error = |path: &Path| replace(path, b"x").unwrap_err().to_string();
    assert_eq!(error(Path::new("/nope/file")), "there is no folder /nope: create it first");
    assert_eq!(error(folder.path()), "it is a folder: name a file");
    fs::write(folder.path().join("file"), "").unwrap();
    let below = error(&folder.path().join("file/below"));
    assert!(below.contains("file: create it first") || below.ends_with("is not a folder"), "{below}");
    assert!(error(Path::new("/proc/file")).to_lowercase().contains("/proc"), "{}", error(Path::new("/proc/file")));
    assert!(error(Path::new("/dev/full")).contains("the disk is full"));
}

#[test]
fn a_new_file_of_a_folder_never_takes_the_place_of_another() {
    let folder = folder();
    let shots = Folder::open(&folder.path().join("a/b")).unwrap();
    shots.add("x", b"1").unwrap();
    assert_eq!(shots.add("x", b"2").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(folder.path().join("a/b/x")).unwrap(), b"1");
    assert_eq!(names(&folder.path().join("a/b")), ["x"]);
}

#[test]
fn a_file_of_one_run_appears_when_it_is_settled_and_never_over_another() {
    let folder = folder();
    let path = folder.path().join("x.wav");
    let mut file = NewFile::begin(&path, Existing::Keep).unwrap();
    file.write_all(b"one").unwrap();
    assert!(!path.exists());
    file.settle().unwrap();
    file.write_all(b", two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one, two");
    let refused = NewFile::begin(&path, Existing::Keep).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains("--overwrite"));
    let mut over = NewFile::begin(&path, Existing::Replace).unwrap();
    over.write_all(b"new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one, two");
    over.settle().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    // One that somebody else has put there meanwhile stays.
    let late = folder.path().join("late");
    let mut file = NewFile::begin(&late, Existing::Keep).unwrap();
    fs::write(&late, "somebody's").unwrap();
    assert_eq!(file.settle().unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&late).unwrap(), "somebody's");
}

const LINES: Records = Records::Lines("{\"time\":");
const BLOCKS: Records = Records::Blocks { begin: "<!-- report ", end: "<!-- end -->" };

/// What stands in a file after a record was appended to `before`.
fn continued(before: &[u8], records: Records, record: &str) -> String {
    let folder = folder();
    let path = folder.path().join("file");
    fs::write(&path, before).unwrap();
    Journal::open(&path, records).unwrap().append(record.as_bytes()).unwrap();
    fs::read_to_string(&path).unwrap()
}

#[test]
fn a_journal_cut_off_at_any_byte_is_continued_with_whole_records_only() {
    let line = |i: usize| format!("{{\"time\":{i},\"text\":\"a\"}}\n");
    let block = |i: usize| format!("<!-- report {i} -->\n## {i}\n\ntext\n<!-- end -->\n\n");
    for (records, record) in [(LINES, &line as &dyn Fn(usize) -> String), (BLOCKS, &block)] {
        let whole = format!("{}{}", record(1), record(2));
        for cut in 0..=whole.len() {
            let found = continued(&whole.as_bytes()[..cut], records, &record(3));
            let expected =
                [vec![3], vec![1, 3], vec![1, 2, 3]].map(|is| is.into_iter().map(record).collect::<String>());
            // Of a block's end only the blank line may be missing.
            let compact = |text: &str| text.replace("\n\n", "\n");
            assert!(expected.iter().any(|e| compact(e) == compact(&found)), "{cut}: {found:?}");
        }
    }
}

#[test]
fn a_journal_whose_last_pages_a_power_cut_took_is_continued_with_whole_records_only() {
    let line = |i: usize| format!("{{\"time\":{i},\"text\":\"a\"}}\n");
    let block = |i: usize| format!("<!-- report {i} -->\n## {i}\n\ntext\n<!-- end -->\n\n");
    for (records, record) in [(LINES, &line as &dyn Fn(usize) -> String), (BLOCKS, &block)] {
        let whole = format!("{}{}{}", record(1), record(2), record(3));
        for from in 0..=whole.len() {
            for to in [whole.len(), from + 1, from + 10, record(1).len() * 2] {
                let (from, to) = (from.min(to), to.min(whole.len()));
                let mut bytes = whole.clone().into_bytes();
                bytes[from..to].fill(0);
                let found = continued(&bytes, records, &record(4));
                assert!(!found.contains('\0') && found.ends_with(&record(4)), "{from} to {to}: {found:?}");
                // Each record is there as it was, or not at all; those without a zero are there.
                let compact = |text: &str| text.replace("\n\n", "\n");
                let mut left = compact(&found);
                for i in 1..=4 {
                    let (start, end) = ((i - 1) * record(1).len(), i * record(1).len());
                    let is_hit = i < 4 && from < end && to > start && from < to;
                    let (before, own) = (left.clone(), compact(&record(i)));
                    left = left.strip_prefix(&own).map_or(before.clone(), str::to_owned);
                    assert!(is_hit || left != before, "{from} to {to}: {i} is lost: {found:?}");
                }
                assert!(left.trim().is_empty(), "{from} to {to}: {found:?}");
            }
        }
    }
    // A binary file of somebody else's is not touched, though it may begin with zeros.
    for foreign in ["\x7fELF\0\0\0\0", "\0\0\0\x18ftypmp42\0\0\0\0isom"] {
        for records in [LINES, BLOCKS] {
            let found = continued(foreign.as_bytes(), records, "{\"time\":2}\n");
            assert_eq!(found, format!("{foreign}\n{{\"time\":2}}\n"));
        }
    }
}

#[test]
fn a_journal_removes_nothing_that_is_not_its_own() {
    for foreign in
        ["notes without an end", "{\"text\":\"by another program", "{\"time\":1} \n{\"x\"", "# A page\n<!-- my"]
    {
        for records in [LINES, BLOCKS] {
            let found = continued(foreign.as_bytes(), records, "{\"time\":2}\n");
            assert!(found.starts_with(&format!("{foreign}\n")), "{found:?}");
        }
    }
    let whole = "{\"time\":1}";
    assert_eq!(continued(whole.as_bytes(), LINES, "{\"time\":2}\n"), "{\"time\":1}\n{\"time\":2}\n");
}

#[test]
fn a_journal_has_one_writer_and_follows_its_name_when_the_file_is_rotated_away() {
    let folder = folder();
    let path = folder.path().join("events.jsonl");
    let mut journal = Journal::open(&path, LINES).unwrap();
    assert_eq!(Journal::open(&path, LINES).unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert_eq!(Journal::begin_anew(&path, LINES).unwrap_err().kind(), ErrorKind::ResourceBusy);
    journal.append(b"{\"time\":1}\n").unwrap();
    fs::rename(&path, folder.path().join("events.jsonl.1")).unwrap();
    journal.append(b"{\"time\":2}\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"time\":2}\n");
    assert_eq!(journal.last_record().unwrap().as_deref(), Some("{\"time\":2}"));
    drop(journal);
    let mut journal = Journal::begin_anew(&path, LINES).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"time\":2}\n", "not before there is a record");
    journal.append(b"{\"time\":3}\n").unwrap();
    journal.append(b"{\"time\":4}\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"time\":3}\n{\"time\":4}\n");
}
