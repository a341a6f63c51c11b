//! Which detection belongs to which track: the assignment of least cost (the Hungarian method in the form of Jonker and Volgenant, with
//! potentials and shortest augmenting paths, O(rows² columns)).

/// Stands for a pair that must not be.
pub(super) const FORBIDDEN: f32 = 1e6;

/// The column of each row in the assignment of least cost, `None` where a row has no column or only a forbidden one. `costs`:
/// `[rows, columns]`, row-major, each finite.
pub(super) fn assign(costs: &[f32], rows: usize, columns: usize) -> Vec<Option<usize>> {
    debug_assert_eq!(costs.len(), rows * columns);
    if rows == 0 || columns == 0 {
        return vec![None; rows];
    }
    if rows > columns {
        // The method wants at least as many columns as rows.
        let transposed: Vec<f32> = (0..columns).flat_map(|c| (0..rows).map(move |r| costs[r * columns + c])).collect();
        let mut chosen = vec![None; rows];
        for (column, row) in assign(&transposed, columns, rows).into_iter().enumerate() {
            if let Some(row) = row {
                chosen[row] = Some(column);
            }
        }
        return chosen;
    }
    // Rows and columns are numbered from 1; 0 stands for none.
    let (mut of_row, mut of_column) = (vec![0.0f64; rows + 1], vec![0.0f64; columns + 1]);
    let (mut row_of, mut way) = (vec![0usize; columns + 1], vec![0usize; columns + 1]);
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; columns + 1];
        let mut used = vec![false; columns + 1];
        loop {
            used[column] = true;
            let current = row_of[column];
            let (mut delta, mut next) = (f64::INFINITY, 0);
            for c in 1..=columns {
                if used[c] {
                    continue;
                }
                let reduced = f64::from(costs[(current - 1) * columns + c - 1]) - of_row[current] - of_column[c];
                if reduced < least[c] {
                    (least[c], way[c]) = (reduced, column);
                }
                if least[c] < delta {
                    (delta, next) = (least[c], c);
                }
            }
            for c in 0..=columns {
                if used[c] {
                    of_row[row_of[c]] += delta;
                    of_column[c] -= delta;
                } else {
                    least[c] -= delta;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            row_of[column] = row_of[way[column]];
            column = way[column];
        }
    }
    let mut chosen = vec![None; rows];
    for c in 1..=columns {
        if row_of[c] != 0 && costs[(row_of[c] - 1) * columns + c - 1] < FORBIDDEN {
            chosen[row_of[c] - 1] = Some(c - 1);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least cost of all assignments that use as many pairs as can be, by trying each.
    fn least(costs: &[f32], rows: usize, columns: usize, row: usize, taken: &mut Vec<bool>) -> f32 {
        if row == rows {
            return 0.0;
        }
        let mut best = f32::INFINITY;
        for column in 0..columns {
            if !taken[column] {
                taken[column] = true;
                best = best.min(costs[row * columns + column] + least(costs, rows, columns, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn the_assignment_costs_as_little_as_the_best_of_all(
            rows in 1usize..5, more in 0usize..3, numbers in prop::collection::vec(0u8..50, 40), turned: bool,
        ) {
            let columns = rows + more;
            let costs: Vec<f32> = numbers.iter().take(rows * columns).map(|n| f32::from(*n)).collect();
            let wanted = least(&costs, rows, columns, 0, &mut vec![false; columns]);
            let sum: f32 = if turned {
                let turned: Vec<f32> =
                    (0..columns).flat_map(|c| (0..rows).map(move |r| (r, c))).map(|(r, c)| costs[r * columns + c]).collect();
                let chosen = assign(&turned, columns, rows);
                prop_assert_eq!(chosen.iter().flatten().count(), rows);
                chosen.iter().enumerate().filter_map(|(c, r)| r.map(|r| costs[r * columns + c])).sum()
            } else {
                let chosen = assign(&costs, rows, columns);
                prop_assert_eq!(chosen.iter().flatten().count(), rows);
                chosen.iter().enumerate().filter_map(|(r, c)| c.map(|c| costs[r * columns + c])).sum()
            };
            prop_assert_eq!(sum, wanted);
        }
    }

    #[test]
    fn forbidden_pairs_are_none() {
        assert_eq!(assign(&[FORBIDDEN, FORBIDDEN], 1, 2), [None]);
        assert_eq!(assign(&[FORBIDDEN, 0.5, 0.2, FORBIDDEN], 2, 2), [Some(1), Some(0)]);
        assert_eq!(assign(&[0.1, 0.2, 0.3], 3, 1), [Some(0), None, None]);
        assert_eq!(assign(&[], 2, 0), [None, None]);
    }
}
