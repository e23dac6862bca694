//! A finding of `pintle check`: how grave, what, and what to do. Prints nothing.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// pintle runs, and something is worth a look.
    Warn,
    /// pintle would not run, or not hold the VIP.
    Fail,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it; empty when there is nothing to do.
    pub then: String,
}

pub(super) fn ok(what: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, what: what.into(), then: String::new() }
}

pub(super) fn warn(what: impl Into<String>, then: &str) -> Finding {
    Finding { level: Level::Warn, what: what.into(), then: then.to_owned() }
}

pub(super) fn fail(what: impl Into<String>, then: &str) -> Finding {
    Finding { level: Level::Fail, what: what.into(), then: then.to_owned() }
}
