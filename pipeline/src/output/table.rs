//! Tables in the terminal: columns two spaces apart, without lines, so that `grep` and `awk` read them as well.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Rows of cells, the first of which are the headings; the columns of `numbers` are aligned at the right.
pub fn table<const N: usize>(rows: Vec<[String; N]>, numbers: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i + 1 == N { 0 } else { 2 }));
        if numbers.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let rows = vec![["NAME", "SIZE", "FOR"], ["tiny", "9 MB", ""], ["a longer one", "120 MB", "tests"]];
        let text = table(rows.into_iter().map(|row| row.map(String::from)).collect(), &[1]);
        assert_eq!(text, "NAME            SIZE  FOR\ntiny            9 MB\na longer one  120 MB  tests");
    }
}
