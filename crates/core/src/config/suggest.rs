//! What a mistyped word was probably meant to be.

/// Longer words are not compared: no key and no variable is half as long, and the comparison takes
/// the product of both lengths.
const LONGEST_COMPARED: usize = 80;

/// Words that mean the same but for case, `-`, `_` and `.`: `lease_duration`, `LeaseDuration`.
pub(super) fn is_same_word(left: &str, right: &str) -> bool {
    normal(left).eq(normal(right))
}

/// The candidate nearest to `word`, when it is near enough to be worth naming.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > LONGEST_COMPARED {
        return None;
    }
    let word: Vec<char> = normal(word).collect();
    // A third of the letters may be wrong: `vip` finds `vips`, `elektion` finds `election`, and a
    // word of two letters finds nothing by chance.
    let limit = (word.len() / 3).min(4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &normal(candidate).collect::<Vec<_>>()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn normal(word: &str) -> impl Iterator<Item = char> + '_ {
    word.chars().filter(|letter| !matches!(letter, '-' | '_' | '.')).map(|c| c.to_ascii_lowercase())
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(line[column] + 1);
            let swapped =
                row > 0 && column > 0 && left[row - 1] == *other && right[column - 1] == *letter;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            line.push(best);
        }
        before_last = std::mem::replace(&mut last, line);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(left: &str, right: &str) -> usize {
        distance(&left.chars().collect::<Vec<_>>(), &right.chars().collect::<Vec<_>>())
    }

    #[test]
    fn counts_single_slips() {
        for (left, right, slips) in [
            ("", "", 0),
            ("abc", "", 3),
            ("vip", "vips", 1),
            ("elektion", "election", 1),
            ("priroity", "priority", 1),
            ("lease", "release", 2),
        ] {
            assert_eq!(between(left, right), slips, "{left} {right}");
        }
    }

    #[test]
    fn names_only_what_is_near() {
        let keys = ["vips", "node", "election", "interface"];
        assert_eq!(nearest("vip", keys), Some("vips"));
        assert_eq!(nearest("Inter-Face", keys), Some("interface"));
        assert_eq!(nearest("no", keys), None);
        assert_eq!(nearest("something", keys), None);
        assert_eq!(nearest(&"e".repeat(100_000), keys), None);
    }
}
