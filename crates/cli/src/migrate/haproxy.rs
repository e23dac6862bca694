//! haproxy.cfg, as the kubeadm guide to highly available topologies has it: a frontend on a port of every
//! address, and a backend with the API servers. Others may stand beside them and stay HAProxy's.

use pintle_core::config::Argument;

use super::{Foreign, Migration};

const PORT: &str = "balancer.port";

/// Where kubeadm's API servers listen.
const API_SERVER_PORT: &str = "6443";

/// A `frontend`, a `backend`, or a `listen`, which is both.
#[derive(Debug, Default)]
struct Section {
    name: String,
    /// Place, line and address of each `bind`.
    binds: Vec<(String, String, String)>,
    /// The ports of its servers, each once.
    ports: Vec<String>,
    default_backend: Option<String>,
    /// Place and line of its `balance`.
    balance: Option<(String, String)>,
}

pub(super) fn read(migration: &mut Migration, file: &Foreign) -> Result<(), Vec<String>> {
    let sections = sections(migration, file);
    let with_servers: Vec<&Section> =
        sections.iter().filter(|section| !section.ports.is_empty()).collect();
    let is_usual = |section: &&&Section| section.ports == [API_SERVER_PORT];
    let backend = match with_servers.as_slice() {
        [] => return Err(vec!["has no server in a backend".to_owned()]),
        [only] => *only,
        several => several.iter().find(is_usual).ok_or_else(|| {
            vec![
                "has several backends, none on 6443: leave in the one with the API servers"
                    .to_owned(),
            ]
        })?,
    };
    let [port] = backend.ports.as_slice() else {
        let ports = backend.ports.join(", ");
        return Err(vec![format!(
            "its servers have several ports ({ports}): which is the API server's?"
        )]);
    };
    if port != API_SERVER_PORT {
        let address = format!("127.0.0.1:{port}");
        migration.set(&file.name, "the port of the API servers", "apiserver.address", &address);
    }
    if let Some((place, line)) = &backend.balance {
        balance(migration, (place, line));
    }
    for section in &sections {
        let is_its =
            section.name == backend.name || section.default_backend.as_ref() == Some(&backend.name);
        for (place, line, address) in &section.binds {
            if is_its {
                bind(migration, (place, line), port_of(address).unwrap_or_default(), port);
            } else {
                migration.note(place, line, "not the control plane's: HAProxy stays for it");
            }
        }
    }
    Ok(())
}

fn sections(migration: &mut Migration, file: &Foreign) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut is_open = false;
    for (number, raw) in (1..).zip(file.text.lines()) {
        let line = raw.split('#').next().unwrap_or_default().trim();
        let place = format!("{}:{number}", file.name);
        let mut words = line.split_whitespace();
        let keyword = words.next().unwrap_or_default();
        match keyword {
            "global" | "defaults" => {
                is_open = false;
                migration.note(&place, line, "HAProxy's own");
            }
            "frontend" | "backend" | "listen" => {
                is_open = true;
                let name = words.next().unwrap_or_default().to_owned();
                sections.push(Section { name, ..Section::default() });
            }
            _ => {
                if let Some(section) = sections.last_mut().filter(|_| is_open) {
                    section.take(migration, place, line, words);
                }
            }
        }
    }
    sections
}

// === impl Section ===

impl Section {
    /// A line of it; `words` are those after the keyword.
    fn take<'a>(
        &mut self,
        migration: &mut Migration,
        place: String,
        line: &str,
        mut words: impl Iterator<Item = &'a str>,
    ) {
        match line.split_whitespace().next().unwrap_or_default() {
            "bind" => {
                let address = words.next().unwrap_or_default().to_owned();
                self.binds.push((place, line.to_owned(), address));
            }
            "server" => {
                let port = words.nth(1).and_then(port_of).unwrap_or_default().to_owned();
                if !port.is_empty() && !self.ports.contains(&port) {
                    self.ports.push(port);
                }
                migration.note(&place, line, "API servers are found by themselves");
            }
            "default_backend" => self.default_backend = words.next().map(str::to_owned),
            "balance" => self.balance = Some((place, line.to_owned())),
            _ => {}
        }
    }
}

/// The balancer takes over the port that clients know: one port.
fn bind(migration: &mut Migration, (place, line): (&str, &str), port: &str, api_server: &str) {
    if port == api_server {
        return migration.note(place, line, "the API server's own port on the VIP");
    }
    let of_another = |argument: &&Argument| {
        argument.key == PORT && argument.values.iter().all(|value| value != port)
    };
    let Some(other) = migration.arguments.iter().find(of_another) else {
        let advice = format!("stop HAProxy on a node before its pintle starts: both want {port}");
        migration.warnings.push(format!("{place}: {advice}"));
        return migration.set(place, line, PORT, port);
    };
    let other = other.values.join(", ");
    let advice = format!(
        "clients of VIP:{port} have to ask VIP:{other} before HAProxy goes: the balancer has one port"
    );
    migration.warnings.push(format!("{place}: {advice}"));
    migration.note(place, line, &advice);
}

fn balance(migration: &mut Migration, (place, line): (&str, &str)) {
    let algorithm = match line.split_whitespace().nth(1) {
        Some("roundrobin" | "static-rr") => "round-robin",
        Some("leastconn") => "least-connections",
        Some("source") => "source-hash",
        _ => return migration.note(place, line, "the fewest connections, pintle's default"),
    };
    migration.set(place, line, "balancer.algorithm", algorithm);
}

fn port_of(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}
