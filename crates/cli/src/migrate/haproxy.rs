//! haproxy.cfg, as the kubeadm guide to highly available topologies has it: a frontend on a port of every
//! address, and a backend with the API servers.

use super::{Foreign, Migration};

/// Where kubeadm's API servers listen.
const API_SERVER_PORT: &str = "6443";

pub(super) fn read(migration: &mut Migration, file: &Foreign) -> Result<(), Vec<String>> {
    let (mut section, mut ports) = (String::new(), Vec::new());
    for (number, raw) in (1..).zip(file.text.lines()) {
        let line = raw.split('#').next().unwrap_or_default().trim();
        let place = format!("{}:{number}", file.name);
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default() {
            "" => {}
            word @ ("global" | "defaults" | "frontend" | "backend" | "listen") => {
                word.clone_into(&mut section);
                if matches!(word, "global" | "defaults") {
                    migration.note(&place, line, "HAProxy's own");
                }
            }
            "bind" if matches!(section.as_str(), "frontend" | "listen") => {
                bind(migration, &place, line, words.next().unwrap_or_default());
            }
            "server" if matches!(section.as_str(), "backend" | "listen") => {
                ports.extend(words.nth(1).and_then(port_of).map(str::to_owned));
                migration.note(&place, line, "API servers are found by themselves");
            }
            "balance" => {
                migration.note(&place, line, "the balancer comes with a later version of pintle")
            }
            _ => {}
        }
    }
    ports.sort_unstable();
    ports.dedup();
    match ports.as_slice() {
        [] => Err(vec!["has no server in a backend".to_owned()]),
        [port] if port == API_SERVER_PORT => Ok(()),
        [port] => {
            let address = format!("127.0.0.1:{port}");
            migration.set(&file.name, "the port of the API servers", "apiserver.address", &address);
            Ok(())
        }
        several => Err(vec![format!(
            "its servers have several ports ({}): which is the API server's?",
            several.join(", ")
        )]),
    }
}

/// Clients find pintle's VIP at the API server's own port.
fn bind(migration: &mut Migration, place: &str, line: &str, address: &str) {
    let port = port_of(address).unwrap_or_default();
    if port == API_SERVER_PORT {
        return migration.note(place, line, "the API server's own port on the VIP");
    }
    let advice = format!(
        "clients of VIP:{port} have to ask VIP:{API_SERVER_PORT} before HAProxy goes: there is no balancer in this version"
    );
    migration.warnings.push(format!("{place}: {advice}"));
    migration.note(place, line, &advice);
}

fn port_of(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}
