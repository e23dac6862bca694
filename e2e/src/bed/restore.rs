//! The way back to good order after a fault.

use anyhow::Result;

use super::{Bed, HOSTS, VIP};
use crate::pintle::Tuning;

impl Bed {
    /// Puts right what the last run left broken, and waits until everything stands; returns the
    /// holder.
    ///
    /// # Errors
    /// When it does not come into order, with what is missing.
    pub fn restore(&mut self, tuning: Tuning) -> Result<usize> {
        self.topology.remove_strangers()?;
        for host in 0..HOSTS {
            self.topology.cable_up(host)?;
            self.topology.heal(host)?;
            let etcd = self.cluster.etcd(host);
            if etcd.is_running() {
                etcd.cont()?;
            } else {
                self.cluster.restart_etcd(host)?;
            }
        }
        for host in 0..HOSTS {
            let api_server = self.cluster.api_server(host);
            if api_server.is_running() {
                api_server.cont()?;
            } else {
                self.cluster.restart_api_server(host)?;
            }
            let process = self.pintles[host].process();
            if process.is_running() {
                process.cont()?;
            } else {
                // A control pinned it, and nobody is there to take it off.
                self.remove_address(host);
                self.pintles[host].process().restart()?;
            }
        }
        self.tune(tuning)?;
        for host in 0..HOSTS {
            self.wait_api_ready(host)?;
        }
        self.wait_steady()
    }

    /// Starts a host's three processes again, as after a power cut, and waits for its API server.
    ///
    /// # Errors
    /// When one does not start.
    pub fn boot(&mut self, host: usize) -> Result<()> {
        self.cluster.restart_etcd(host)?;
        self.cluster.restart_api_server(host)?;
        self.pintles[host].process().restart()?;
        self.wait_api_ready(host)
    }

    /// Takes the VIP off a host, if it is there and nobody else will.
    fn remove_address(&self, host: usize) {
        // Most often it is not there, which `ip` calls an error.
        let _absent = self.host(host).delete_address(VIP.into());
    }
}
