//! Typing errors: the known word that another one probably stands for.

/// Most letters by which a word may differ from a known one to be taken for a typing error.
const CLOSE: usize = 2;

/// Longest word, in characters, that is compared with the known ones.
const LONGEST_COMPARED: usize = 24;

/// Returns the known word that `word` probably means.
pub(super) fn nearest(
    word: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    if word.chars().nth(LONGEST_COMPARED).is_some() {
        return None;
    }
    known
        .map(|known| (distance(word, known), known))
        // Two errors in a word of three letters make another word.
        .filter(|(distance, known)| *distance <= CLOSE && distance * 2 < known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Counts the letters to add, remove, change, or swap with their neighbour.
pub(super) fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // rows[i][j]: between the first i letters of `from` and the first j of `to`.
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_typing_errors() {
        for (from, to, expected) in [
            ("run", "run", 0),
            ("rnu", "run", 1),
            ("ru", "run", 1),
            ("runn", "run", 1),
            ("", "run", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from}");
        }
    }
}
