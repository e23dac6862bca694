//! Whom the client's kernel takes for the VIP.

use anyhow::{Context as _, Result};
use pintle_testkit::capture::Mac;
use serde::Deserialize;

use super::{Bed, VIP};

#[derive(Deserialize)]
struct PrintedNeighbour {
    lladdr: Option<String>,
}

impl Bed {
    /// The Ethernet address in the client's neighbour entry of the VIP, by `ip -j neigh`.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn client_neighbour(&self) -> Result<Option<Mac>> {
        let vip = VIP.to_string();
        let json = self.topology.client_ns().ip(&["-j", "neigh", "show", "to", &vip])?;
        let entries: Vec<PrintedNeighbour> =
            serde_json::from_str(&json).context("read ip -j neigh")?;
        let addresses = entries.into_iter().filter_map(|entry| entry.lladdr);
        addresses.map(|text| text.parse()).next().transpose()
    }
}
