//! `pintle check`: looks whether this node is fit to run pintle, one line per finding.

use std::io::{self, Write};

use pintle_daemon::{Finding, Level};

use crate::exit::Exit;

/// Prints findings, one line each, and says how the command ends.
///
/// # Errors
///
/// What the output refuses.
pub fn print(findings: &[Finding], out: &mut dyn Write) -> io::Result<Exit> {
    for Finding { level, what, then } in findings {
        let level = match level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let separator = if then.is_empty() { "" } else { "; " };
        writeln!(out, "{level}  {what}{separator}{then}")?;
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { Exit::Unavailable } else { Exit::Success })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Level, then: &str) -> Finding {
        Finding { level, what: "the link is up".to_owned(), then: then.to_owned() }
    }

    #[test]
    fn a_finding_is_a_line_and_a_failure_is_a_code() {
        let mut out = Vec::new();
        let findings = [finding(Level::Ok, ""), finding(Level::Warn, "plug it in")];
        assert_eq!(print(&findings, &mut out).unwrap(), Exit::Success);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ok    the link is up\nwarn  the link is up; plug it in\n"
        );
        let findings = [finding(Level::Fail, ""), finding(Level::Ok, "")];
        assert_eq!(print(&findings, &mut Vec::new()).unwrap(), Exit::Unavailable);
    }
}
