//! A template as an expression, and its parser.

/// Nesting deeper than this is refused.
const DEEPEST: usize = 24;
/// A template longer than this, in bytes, is refused.
const LONGEST: usize = 8192;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Text in lower case; a space in it matches one space, or nothing where words end.
    Text(String),
    /// One of several sequences; `[x]` has an empty one.
    Alternatives(Vec<Vec<Expr>>),
    /// All of them, in any order.
    Permutation(Vec<Vec<Expr>>),
    /// A value of a list, put into a slot.
    List {
        /// The list.
        list: String,
        /// The slot: the list's name where no other is given.
        slot: String,
    },
    /// An expansion rule.
    Rule(String),
}

/// Why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A bracket without its partner.
    #[error("{0:?} in the template {1:?} has no partner; close it or write \\ before it")]
    Unbalanced(char, String),
    /// Brackets too deep in one another.
    #[error("the template {0:?} is nested more than {DEEPEST} deep; use expansion rules")]
    TooDeep(String),
    /// Too long.
    #[error("a template has {0} bytes, more than {LONGEST}; split it")]
    TooLong(usize),
    /// `{}` or `<>`.
    #[error("the template {0:?} has a list or rule without a name")]
    NoName(String),
}

/// What is shown of a text from a file in an error: its beginning, in one line.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 160;
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let beginning: String = chars.by_ref().take(MOST).collect();
    if chars.next().is_none() { beginning } else { format!("{beginning}…") }
}

/// Reads a template.
///
/// # Errors
/// [`TemplateError`]
pub fn parse(text: &str) -> Result<Vec<Expr>, TemplateError> {
    if text.len() > LONGEST {
        return Err(TemplateError::TooLong(text.len()));
    }
    let chars: Vec<char> = text.trim().chars().flat_map(char::to_lowercase).collect();
    let mut at = 0;
    let out = group(&chars, &mut at, None, 0, text)?;
    Ok(out)
}

/// Reads up to the closing bracket, or to the end where there is none to come.
fn group(
    chars: &[char],
    at: &mut usize,
    close: Option<char>,
    depth: usize,
    whole: &str,
) -> Result<Vec<Expr>, TemplateError> {
    if depth > DEEPEST {
        return Err(TemplateError::TooDeep(shown(whole)));
    }
    let mut parts: Vec<Vec<Expr>> = vec![Vec::new()];
    let mut separator = None;
    let mut text = String::new();
    loop {
        let Some(&c) = chars.get(*at) else {
            if let Some(close) = close {
                return Err(TemplateError::Unbalanced(opening(close), shown(whole)));
            }
            break;
        };
        *at += 1;
        let current = parts.last_mut().expect("there is always one");
        match c {
            '\\' => {
                if let Some(&escaped) = chars.get(*at) {
                    text.push(escaped);
                    *at += 1;
                }
            }
            '(' | '[' => {
                flush(&mut text, current);
                let end = if c == '(' { ')' } else { ']' };
                let mut inner = group(chars, at, Some(end), depth + 1, whole)?;
                if c == '[' {
                    match inner.as_mut_slice() {
                        [Expr::Alternatives(options)] => options.push(Vec::new()),
                        _ => inner = vec![Expr::Alternatives(vec![inner, Vec::new()])],
                    }
                }
                current.append(&mut inner);
            }
            '{' | '<' => {
                flush(&mut text, current);
                let end = if c == '{' { '}' } else { '>' };
                let len = chars[*at..]
                    .iter()
                    .position(|x| *x == end)
                    .ok_or_else(|| TemplateError::Unbalanced(c, shown(whole)))?;
                let name: String = chars[*at..*at + len].iter().collect::<String>().trim().to_owned();
                *at += len + 1;
                if name.is_empty() {
                    return Err(TemplateError::NoName(shown(whole)));
                }
                current.push(if c == '<' {
                    Expr::Rule(name)
                } else {
                    let (list, slot) = name.split_once(':').unwrap_or((&name, &name));
                    let slot = slot.trim_start_matches('@');
                    Expr::List { list: list.trim_start_matches('@').to_owned(), slot: slot.to_owned() }
                });
            }
            c if Some(c) == close => break,
            ')' | ']' | '}' | '>' => return Err(TemplateError::Unbalanced(c, shown(whole))),
            '|' | ';' if close.is_some() || c == '|' => {
                flush(&mut text, current);
                separator = separator.or(Some(c));
                parts.push(Vec::new());
            }
            c if c.is_whitespace() => {
                if !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            c => text.push(c),
        }
    }
    flush(&mut text, parts.last_mut().expect("there is always one"));
    Ok(match separator {
        None => parts.pop().expect("there is always one"),
        Some(';') => {
            // Parts in any order stand apart from one another.
            for part in &mut parts {
                part.insert(0, Expr::Text(" ".to_owned()));
                part.push(Expr::Text(" ".to_owned()));
            }
            vec![Expr::Permutation(parts)]
        }
        Some(_) => vec![Expr::Alternatives(parts)],
    })
}

fn opening(close: char) -> char {
    match close {
        ')' => '(',
        ']' => '[',
        other => other,
    }
}

fn flush(text: &mut String, into: &mut Vec<Expr>) {
    if !text.is_empty() {
        into.push(Expr::Text(std::mem::take(text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_template_is_read_as_it_nests() {
        let text = |t: &str| Expr::Text(t.to_owned());
        assert_eq!(
            parse("turn on [the] {name:target}[s|es]").unwrap(),
            vec![
                text("turn on "),
                Expr::Alternatives(vec![vec![text("the")], vec![]]),
                text(" "),
                Expr::List { list: "name".to_owned(), slot: "target".to_owned() },
                Expr::Alternatives(vec![vec![text("s")], vec![text("es")], vec![]]),
            ]
        );
        assert_eq!(parse("a\\[b").unwrap(), vec![text("a[b")]);
        assert!(matches!(parse("(a;b)").unwrap()[..], [Expr::Permutation(ref p)] if p.len() == 2));
    }

    #[test]
    fn unbalanced_brackets_are_named() {
        assert_eq!(parse("turn on [the").unwrap_err(), TemplateError::Unbalanced('[', "turn on [the".to_owned()));
        let long = format!("turn on [{}", "the ".repeat(1000));
        assert!(parse(&long).unwrap_err().to_string().len() < 300, "an error shows the beginning of a long template");
        assert_eq!(parse("turn on the]").unwrap_err(), TemplateError::Unbalanced(']', "turn on the]".to_owned()));
        assert_eq!(parse("{}").unwrap_err(), TemplateError::NoName("{}".to_owned()));
        assert!(matches!(parse(&"(".repeat(100)), Err(TemplateError::TooDeep(_))));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "[a-c ()|;<>{}:\\\\\\[\\]]{0,60}") {
            let _ = parse(&text);
        }
    }
}
