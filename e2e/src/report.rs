//! Results as a table for the terminal and as the README's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::results::{Results, RowResults};
use crate::rows::{ROLLING, ROWS, Row};

/// The README's table stands between these.
pub const BEGIN: &str = "<!-- fault-table:begin -->";
/// The end of the README's table.
pub const END: &str = "<!-- fault-table:end -->";

/// Lines up columns, the first to the left, with two spaces in between.
#[must_use]
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing into a String cannot fail.
            let _written = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The table for the terminal.
#[must_use]
pub fn table(results: &Results) -> String {
    let heading = ["row", "runs", "median ms", "worst ms", "two holders ms", "", "limit"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(results.rows.iter().map(|row| {
        vec![
            row.id.clone(),
            row.runs.len().to_string(),
            shown(row.median_ms),
            shown(row.worst_ms),
            shown(two_holders(row)),
            verdict(row),
            row.limit.clone(),
        ]
    }));
    aligned(&rows)
}

/// What the README's table shows.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Without the balancer.
    pub plain: &'a Results,
    /// With it.
    pub balanced: &'a Results,
}

// === impl Columns ===

impl Columns<'_> {
    /// The table, with its markers.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{BEGIN}\n| fault | client sees at most | median | worst | runs | with balancer | median | worst | runs |\n"
        );
        text.push_str("|---|---|---|---|---|---|---|---|---|\n");
        for row in ROWS.iter().chain(ROLLING) {
            let (plain, balanced) = (self.plain.row(row.id), self.balanced.row(row.id));
            if let Some(any) = plain.or(balanced) {
                let limit = plain.map_or("", |plain| &plain.limit);
                let _written = writeln!(
                    text,
                    "| {} | {limit} | {} | {} | {} |",
                    any.title,
                    figures(plain),
                    balanced.map_or("", |row| if row.limit == limit {
                        "the same"
                    } else {
                        &row.limit
                    }),
                    figures(balanced),
                );
            }
        }
        let machine = &self.plain.machine;
        let versions = &self.plain.versions;
        let _written = write!(
            text,
            "\nMeasured by `make e2e` on {} on {} cores of {}, Linux {}, {} GiB: {}, {}, {}. A gap runs from \
             the start of the last success to the start of the next (TCP connects each 5 ms, HTTPS requests \
             each 50 ms, attempts bounded at 200 ms); a connect that succeeds at once leaves a gap of 5 ms.\n{END}\n",
            self.plain.date.split('T').next().unwrap_or_default(),
            machine.cores,
            machine.cpu,
            machine.kernel,
            machine.memory_mib.div_ceil(1024),
            versions.pintle,
            versions.kubernetes,
            versions.etcd,
        );
        text
    }

    /// Puts the table between its markers in a file.
    ///
    /// # Errors
    /// When the file cannot be read or written, or has no markers; when a row was not run, or the two halves
    /// are not of one build on one machine: half a table does not take the place of a whole one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let (plain, balanced) = (self.plain, self.balanced);
        ensure!(
            balanced.is_of(&plain.machine, &plain.versions),
            "the halves are of different builds or machines: run `make e2e` again"
        );
        let lacking = missing(plain, ROWS.iter());
        ensure!(lacking.is_empty(), "not run yet: {lacking}");
        let lacking = missing(balanced, ROWS.iter().chain(ROLLING));
        ensure!(lacking.is_empty(), "not run yet with the balancer: {lacking}");
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let text = replaced(&text, &self.markdown());
        let text = text.with_context(|| format!("{} has no {BEGIN} … {END}", path.display()))?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

fn missing<'a>(results: &Results, rows: impl Iterator<Item = &'a Row>) -> String {
    let missing: Vec<&str> =
        rows.map(|row| row.id).filter(|id| results.row(id).is_none()).collect();
    missing.join(", ")
}

/// Median, worst and runs as cells.
fn figures(row: Option<&RowResults>) -> String {
    let Some(row) = row else { return " | | ".to_owned() };
    let failed = if row.passed() { "" } else { ", **failed**" };
    format!(
        "{} | {} | {}{failed}",
        with_unit(row.median_ms),
        with_unit(row.worst_ms),
        row.runs.len()
    )
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_old, after) = rest.split_once(END)?;
    Some(format!("{before}{}{after}", table.trim_end()))
}

fn verdict(row: &RowResults) -> String {
    if row.passed() { "pass".to_owned() } else { format!("{} FAILED", row.failed()) }
}

fn two_holders(row: &RowResults) -> Option<f64> {
    let each = row.runs.iter().map(|run| run.evidence.two_holders_ms);
    each.reduce(f64::max)
}

fn shown(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))
}

fn with_unit(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 100.0 => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::run;

    fn results() -> Results {
        let mut results = Results::default();
        results.add(&ROWS[0], run(0, 31.5));
        results.add(&ROWS[0], run(1, 45.5));
        results
    }

    #[test]
    fn half_a_table_is_not_written() {
        let results = results();
        let columns = Columns { plain: &results, balanced: &results };
        let error = columns.write(Path::new("README.md")).unwrap_err().to_string();
        assert!(
            error.contains(ROWS[1].id) && !error.contains(&format!("{},", ROWS[0].id)),
            "{error}"
        );
    }

    #[test]
    fn columns_line_up() {
        let text = table(&results());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].find("median"), lines[1].find("38.5"), "{text}");
        assert!(lines[1].contains("45.5") && lines[1].contains("pass"), "{text}");
    }

    #[test]
    fn a_failed_row_says_so_in_both_tables() {
        let mut results = results();
        let mut failed = run(2, 900.0);
        failed.passed = false;
        results.add(&ROWS[0], failed);
        assert!(table(&results).contains("FAIL"));
        let text = Columns { plain: &Results::default(), balanced: &results }.markdown();
        assert!(text.contains("| 3, **failed** |"), "{text}");
    }

    #[test]
    fn the_readmes_table_is_replaced_and_nothing_else() {
        let readme = format!("# x\n{BEGIN}\nFORMER\n{END}\nrest\n");
        let results = results();
        let columns = Columns { plain: &results, balanced: &results };
        let once = replaced(&readme, &columns.markdown()).unwrap();
        assert!(once.starts_with("# x\n") && once.ends_with(&format!("{END}\nrest\n")), "{once}");
        assert!(
            once.contains("| 38.5 ms | 45.5 ms | 2 | the same | 38.5 ms | 45.5 ms | 2 |")
                && !once.contains("FORMER"),
            "{once}"
        );
        assert_eq!(replaced(&once, &columns.markdown()).unwrap(), once);
        assert_eq!(replaced("no markers", "x"), None);
    }
}
