//! The rows of the table: what each says, and which way is better.

/// A figure that each contender has in each round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Its name in the results.
    pub id: &'static str,
    /// Its name in the table.
    pub title: &'static str,
    /// Digits behind the point.
    pub digits: usize,
    /// How two contenders are compared.
    pub better: Better,
}

/// How two figures are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Better {
    /// The more, the better.
    More,
    /// The less, the better; below this the bench cannot tell two apart.
    Less(f64),
    /// Not at all: it may be 0, and then has no ratio.
    Count,
    /// Not at all, and not in the table: for who looks at the results.
    Aside,
}

/// What belongs together, measured with one balancer that was started for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Bytes in bulk.
    Downloads,
    /// New ones, as many as there may be and at a fixed rate.
    Connections,
    /// Over kept connections.
    RoundTrips,
    /// Memory with idle sessions.
    Memory,
    /// A backend is killed.
    Killed,
    /// A backend hangs.
    Hung,
}

/// The clock that times faults is read each 5 ms by a new connection.
const FAULT_RESOLUTION_MS: f64 = 5.0;

const fn row(id: &'static str, title: &'static str, digits: usize, better: Better) -> Row {
    Row { id, title, digits, better }
}

/// Every row, in the table's order.
pub const ROWS: &[Row] = &[
    row("bulk-1", "one download, Gbit/s", 1, Better::More),
    row("bulk-1-cpu", "… CPU seconds per GiB", 3, Better::Less(0.0)),
    row("bulk-1-machine", "… of the whole machine", 3, Better::Aside),
    row("bulk-8", "eight downloads, Gbit/s", 1, Better::More),
    row("bulk-8-cpu", "… CPU seconds per GiB", 3, Better::Less(0.0)),
    row("bulk-8-machine", "… of the whole machine", 3, Better::Aside),
    row("connections", "new connections/s, 32 clients", 0, Better::More),
    row("connections-cpu", "… CPU µs per connection", 1, Better::Less(0.0)),
    row("connections-user", "… of it in user mode", 1, Better::Aside),
    row("connect-p50", "connect + echo at 1000/s, p50 µs", 0, Better::Less(0.0)),
    row("connect-p99", "… p99 µs", 0, Better::Less(0.0)),
    row("connect-p999", "… p99.9 µs", 0, Better::Less(0.0)),
    row("kept-2000-p50", "round trip at 2000/s, p50 µs", 0, Better::Less(0.0)),
    row("kept-2000-p99", "… p99 µs", 0, Better::Less(0.0)),
    row("kept-2000-p999", "… p99.9 µs", 0, Better::Less(0.0)),
    row("kept-10000-p50", "round trip at 10 000/s, p50 µs", 0, Better::Less(0.0)),
    row("kept-10000-p99", "… p99 µs", 0, Better::Less(0.0)),
    row("kept-10000-p999", "… p99.9 µs", 0, Better::Less(0.0)),
    row("kept-cpu", "… CPU µs per round trip", 1, Better::Less(0.0)),
    row("memory-0", "memory with no session, KiB", 0, Better::Less(0.0)),
    row("memory-1000", "… 1000 idle sessions, KiB", 0, Better::Less(0.0)),
    row("memory-8000", "… 8000 idle sessions, KiB", 0, Better::Less(0.0)),
    row("rss-0", "RSS with no session, KiB", 0, Better::Aside),
    row("rss-1000", "… 1000 idle sessions, KiB", 0, Better::Aside),
    row("rss-8000", "… 8000 idle sessions, KiB", 0, Better::Aside),
    row("killed-failed", "killed backend: new connections that failed", 0, Better::Count),
    row("killed-until", "… until none failed or stalled, ms", 0, Better::Less(FAULT_RESOLUTION_MS)),
    row("killed-longest", "… the longest, ms", 0, Better::Less(FAULT_RESOLUTION_MS)),
    row("killed-held", "… until its sessions were ended, ms", 0, Better::Less(FAULT_RESOLUTION_MS)),
    row("hung-failed", "hung backend: new connections that failed", 0, Better::Count),
    row("hung-until", "… until none failed or stalled, ms", 0, Better::Less(FAULT_RESOLUTION_MS)),
    row("hung-longest", "… the longest, ms", 0, Better::Less(FAULT_RESOLUTION_MS)),
    row("hung-held", "… until its sessions were ended, ms", 0, Better::Less(FAULT_RESOLUTION_MS)),
];

/// The row of a name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.id == id)
}

// === impl Row ===

impl Row {
    /// How many times better `ours` is: above 1 it is ahead.
    #[must_use]
    pub fn ratio(&self, ours: f64, theirs: f64) -> Option<f64> {
        let (above, below) = match self.better {
            Better::More => (ours, theirs),
            Better::Less(floor) => (theirs.max(floor), ours.max(floor)),
            Better::Count | Better::Aside => return None,
        };
        (above > 0.0 && below > 0.0).then(|| above / below)
    }
}

// === impl Phase ===

impl Phase {
    /// Every phase, in the order of a round.
    pub const ALL: [Self; 6] = [
        Self::Downloads,
        Self::Connections,
        Self::RoundTrips,
        Self::Memory,
        Self::Killed,
        Self::Hung,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Connections => "connections",
            Self::RoundTrips => "round-trips",
            Self::Memory => "memory",
            Self::Killed => "killed",
            Self::Hung => "hung",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_one_is_ahead_whichever_way_is_better() {
        let ratio = |id: &str, ours, theirs| find(id).unwrap().ratio(ours, theirs);
        assert_eq!(ratio("bulk-1", 20.0, 10.0), Some(2.0));
        assert_eq!(ratio("bulk-1-cpu", 0.2, 0.4), Some(2.0));
        assert_eq!(ratio("killed-until", 0.0, 4.0), Some(1.0), "nobody can tell these apart");
        assert_eq!(ratio("killed-until", 0.0, 50.0), Some(10.0));
        assert_eq!(ratio("killed-failed", 0.0, 4.0), None);
        assert_eq!(ratio("bulk-1", 0.0, 10.0), None);
    }

    #[test]
    fn names_are_each_one_row_s() {
        let mut ids: Vec<_> = ROWS.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ROWS.len());
    }
}
