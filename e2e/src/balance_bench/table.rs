//! Results as a table for the terminal and for the page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::contender::Contender;
use super::results::{Results, Spread};
use super::rows::{Better, ROWS, Row};
use super::sys::list;
use crate::report::aligned;

/// The page's table stands between these.
pub const BEGIN: &str = "<!-- bench-balancer:begin -->";
/// The end of the page's table.
pub const END: &str = "<!-- bench-balancer:end -->";

const AGAINST: [&str; 2] = ["pintle / HAProxy", "pintle / nginx"];

/// The table for the terminal, with what failed.
#[must_use]
pub fn terminal(results: &Results) -> String {
    let mut text = aligned(&cells(results, true));
    text.push_str("ratios: above 1 pintle is ahead; median (least..most) of the rounds\n");
    if results.cores.are_shared() {
        text.push_str("fewer than four cores: balancer and load share them\n");
    }
    for failure in &results.failures {
        let (round, name) = (failure.round + 1, failure.contender.name());
        let _written =
            writeln!(text, "FAILED: round {round}, {name}, {}: {}", failure.phase, failure.why);
    }
    text
}

/// The page's table, with its markers.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{BEGIN}\n{} on {} cores of {}, Linux {}, {} GiB: {}. Balancer on cores {}, clients and backends \
         on {}. {} rounds, during which a hypervisor gave {:.0} % of what the machine wanted to others.{}\n\n",
        results.date.split('T').next().unwrap_or_default(),
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.memory_mib.div_ceil(1024),
        results.versions.join(", "),
        list(&results.cores.balancer),
        list(&results.cores.load),
        results.rounds,
        results.stolen * 1e2,
        preliminary(results),
    );
    for (number, row) in cells(results, false).iter().enumerate() {
        let _written = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            text.push_str(&"|---".repeat(row.len()));
            text.push_str("|\n");
        }
    }
    text.push_str(END);
    text.push('\n');
    text
}

fn preliminary(results: &Results) -> String {
    match &results.doubts()[..] {
        [] => String::new(),
        doubts => format!(" **Preliminary**: {}.", doubts.join(", ")),
    }
}

/// Puts the table between its markers in a file.
///
/// # Errors
/// When the file cannot be read or written, or has no markers; when there are doubts, unless there
/// may be.
pub fn write_docs(path: &Path, results: &Results, may_be_doubtful: bool) -> Result<()> {
    let doubts = results.doubts();
    ensure!(doubts.is_empty() || may_be_doubtful, "not published: {}", doubts.join(", "));
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let replaced = replaced(&text, &markdown(results));
    let text = replaced.with_context(|| format!("{} has no {BEGIN} … {END}", path.display()))?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_old, after) = rest.split_once(END)?;
    Some(format!("{before}{}{after}", table.trim_end()))
}

/// The heading and the rows that have a figure.
fn cells(results: &Results, has_asides: bool) -> Vec<Vec<String>> {
    let names = Contender::ALL.map(|contender| contender.name().to_owned());
    let heading = [String::new()].into_iter().chain(names).chain(AGAINST.map(str::to_owned));
    let mut cells = vec![heading.collect()];
    for row in ROWS {
        if row.better == Better::Aside && !has_asides {
            continue;
        }
        let figures = Contender::ALL.map(|contender| results.figure(row, contender));
        if figures.iter().all(Option::is_none) {
            continue;
        }
        let shown = figures.map(|figure| figure.map_or_else(String::new, |it| shown(row, it)));
        let haproxy = results.ratio(row, results.best_haproxy(row));
        let nginx = results.ratio(row, Contender::Nginx);
        let ratios = [haproxy, nginx].map(|ratio| ratio.map_or_else(String::new, compared));
        cells.push([row.title.to_owned()].into_iter().chain(shown).chain(ratios).collect());
    }
    cells
}

fn shown(row: &Row, figure: Spread) -> String {
    let digits = row.digits;
    if row.better == Better::Count {
        return format!("{:.0}..{:.0}", figure.min, figure.max);
    }
    format!("{:.digits$}", figure.median)
}

fn compared(ratio: Spread) -> String {
    format!("{:.2} ({:.2}..{:.2})", ratio.median, ratio.min, ratio.max)
}

#[cfg(test)]
mod tests {
    use super::super::results::Failure;
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn a_row_has_figures_and_ratios() {
        let text = markdown(&results());
        let row = "| one download, Gbit/s | 10.0 | 10.0 | 12.0 |  |  | 0.83 (0.75..1.67) |  |";
        assert!(text.contains(row), "{text}");
        assert!(!text.contains("eight downloads"), "{text}");
    }

    #[test]
    fn a_doubtful_run_is_not_published() {
        let path = Path::new("no/such/file");
        let refused = |results: &Results| {
            let said = write_docs(path, results, false).unwrap_err().to_string();
            assert_eq!(said.contains("not published"), markdown(results).contains("Preliminary"));
            said.contains("not published")
        };
        let mut whole = Results { rounds: 5, ..results() };
        assert!(!refused(&whole));
        assert!(refused(&results()));
        whole.is_quick = true;
        assert!(refused(&whole));
        whole.is_quick = false;
        whole.busy = 0.5;
        assert!(refused(&whole));
        whole.busy = 0.0;
        whole.failures.push(Failure {
            round: 0,
            contender: Contender::Nginx,
            phase: "speed".to_owned(),
            why: "x".to_owned(),
        });
        assert!(refused(&whole));
        assert!(terminal(&whole).contains("FAILED: round 1, nginx, speed: x"));
    }

    #[test]
    fn the_table_is_replaced_and_nothing_else() {
        let page = format!("# x\n{BEGIN}\nFORMER\n{END}\nrest\n");
        let once = replaced(&page, &markdown(&results())).unwrap();
        assert!(once.starts_with("# x\n") && once.ends_with(&format!("{END}\nrest\n")), "{once}");
        assert!(!once.contains("FORMER"), "{once}");
        assert_eq!(replaced("no markers", "x"), None);
    }
}
