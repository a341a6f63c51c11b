//! Tables as databases and Markdown print them: rules between their rows, bars around them, and the count of rows below.

use std::borrow::Cow;

/// A row without the bars around it; `None` for a line that only draws the table.
pub(super) fn row(text: &str) -> Option<Cow<'_, str>> {
    let mut line = Cow::Borrowed(text);
    if line.contains(['│', '─', '║', '═']) {
        line = line.replace(['│', '║'], "|").replace(['─', '═'], "-").into();
    }
    let trimmed = line.trim();
    let is_drawn = |c: char| matches!(c, '-' | '+' | '|' | '=' | ':' | ' ' | '┌'..='╬');
    if (trimmed.contains("---") || trimmed.contains("===")) && trimmed.chars().all(is_drawn) {
        return None;
    }
    // `(4 rows)` of PostgreSQL
    let count = trimmed.strip_prefix('(').and_then(|t| t.strip_suffix(" rows)").or_else(|| t.strip_suffix(" row)")));
    if count.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    match trimmed.strip_prefix('|').and_then(|t| t.strip_suffix('|')) {
        Some(inner) if !inner.trim().is_empty() => Some(inner.to_owned().into()),
        _ => Some(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_draws_a_table_is_no_row() {
        for text in [
            "---------+------+-----",
            "|---|:--:|",
            "+------+----+",
            "┌──────┬────┐",
            "===== ====",
            "(4 rows)",
            "(1 row)",
        ] {
            assert_eq!(row(text), None, "{text}");
        }
        for (text, inner) in [
            ("| a | b |", " a | b "),
            ("│ a │ b │", " a | b "),
            (" a | b", " a | b"),
            ("a,--,b", "a,--,b"),
            ("-,-,-", "-,-,-"),
            ("(4 rows of text)", "(4 rows of text)"),
        ] {
            assert_eq!(row(text).as_deref(), Some(inner), "{text}");
        }
    }
}
