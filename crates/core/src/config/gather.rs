//! Gathers what the file, the environment and the command line say, key by key.
//!
//! Finds what needs no knowledge of values: unknown keys, keys given twice, a list where one value
//! belongs. Which value wins is decided by the order of the layers: flags over environment over file.

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::{Collector, Complaint, Mistake, Place};
use super::node::{Document, Scalar};
use super::schema::{KEYS, Key, Shape, key};
use super::suggest::nearest;
use super::words::{is_section, meant_key, show_path};

mod document;

/// What every variable of pintle begins with.
const VARIABLE_PREFIX: &str = "PINTLE_";
/// Where the command line looks for the file; not a key of the file itself.
pub const FILE_VARIABLE: &str = "PINTLE_CONFIG";
/// What a pod calls its node (`fieldRef: spec.nodeName`).
const NODE_VARIABLE: &str = "NODE_NAME";

/// A flag and what was given with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The flag as it was written: `--vip`, `--set election.priority`.
    pub flag: String,
    /// The key that it sets.
    pub key: String,
    /// The values; one that holds commas is split where the key takes a list.
    pub values: Vec<String>,
}

/// Everything that says something about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The file, if one was named; or why it could not be taken apart. Then it is unknown what it
    /// says, and only what stands in the other sources is told beside that.
    pub document: Option<Result<Document, Mistake>>,
    /// The environment, whole.
    pub environment: Vec<(String, String)>,
    /// The flags that set keys.
    pub arguments: Vec<Argument>,
    /// The host's name.
    pub host_name: String,
}

/// What one source says about one key.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) place: Place,
    pub(super) value: Raw,
}

#[derive(Clone, Debug)]
pub(super) enum Raw {
    One(Scalar),
    Many(Vec<(Place, Scalar)>),
    /// Of the wrong type, which was told already.
    Spoilt,
}

/// What all sources say.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By key, the source that wins last.
    pub(super) given: BTreeMap<&'static str, Vec<Given>>,
    /// Keys that an unknown key was probably meant to be: not worth a second message.
    pub(super) meant: BTreeSet<&'static str>,
    /// What is wrong so far.
    pub(super) mistakes: Collector,
    /// Where a missing key would have to be.
    pub(super) root: Option<Place>,
}

impl Gathered {
    pub(super) fn from_sources(sources: &Sources) -> Self {
        let mut gathered = Self::default();
        match &sources.document {
            Some(Ok(document)) => gathered.take_document(document),
            Some(Err(mistake)) => gathered.take_unread(mistake),
            None => {}
        }
        for (name, value) in &sources.environment {
            gathered.take_variable(name, value);
        }
        for argument in &sources.arguments {
            gathered.take_argument(argument);
        }
        gathered.take_node_name(sources);
        gathered
    }

    fn give(&mut self, path: &'static str, place: Place, value: Raw) {
        self.given.entry(path).or_default().push(Given { place, value });
    }

    /// The node's name, when nobody gave one: a host name that Kubernetes does not take is no mistake
    /// as long as another name is given.
    fn take_node_name(&mut self, sources: &Sources) {
        if self.given.contains_key("node") {
            return;
        }
        let variable = sources.environment.iter().find(|(name, _)| name == NODE_VARIABLE);
        let (place, name) = match variable {
            Some((variable, name)) if !name.is_empty() => {
                (Place::Environment(variable.clone()), name.clone())
            }
            // As the kubelet does when it names the node (nodeutil.GetHostname).
            Some(_) | None => (Place::HostName, sources.host_name.trim().to_lowercase()),
        };
        self.give("node", place, Raw::One(Scalar::argument(name)));
    }

    fn take_variable(&mut self, name: &str, value: &str) {
        let is_ours = name.starts_with(VARIABLE_PREFIX) && name != FILE_VARIABLE;
        if !is_ours || is_service_link(name, value) {
            return;
        }
        let place = Place::Environment(name.to_owned());
        if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
            // The adapter marks bytes that are not UTF-8 with the replacement character.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                self.mistakes.complain(place, key.path, Complaint::new("is not valid UTF-8"));
            } else {
                let raw = split(key, &place, std::slice::from_ref(&value));
                self.give(key.path, place, raw);
            }
            return;
        }
        let variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
        let rest = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name);
        let known = variables.iter().map(|known| &known[VARIABLE_PREFIX.len()..]);
        // What resembles no key is not meant for the daemon: a test bed's own, an image's.
        let Some(known) = nearest(rest, known) else { return };
        let advice = format!("did you mean {VARIABLE_PREFIX}{known}?");
        self.mistakes.complain(place, "", Complaint::with("unknown variable", advice));
    }

    // --- the command line ---

    fn take_argument(&mut self, argument: &Argument) {
        let Argument { flag, key: path, values } = argument;
        let place = Place::Flag(flag.clone());
        let Some(key) = key(path) else {
            let (prefix, name) = path.rsplit_once('.').unwrap_or(("", path));
            let prefix = if is_section(prefix) { prefix } else { "" };
            let meant: Vec<&str> = meant_key(prefix, name)
                .into_iter()
                .filter(|path| KEYS.iter().any(|key| key.path == *path))
                .collect();
            let advice = if meant.is_empty() {
                "`pintle run --help` lists the keys".to_owned()
            } else {
                format!("did you mean {}?", meant.join(" or "))
            };
            let complaint = Complaint::with("unknown key", advice);
            self.mistakes.complain(place, &show_path(path), complaint);
            return;
        };
        let texts: Vec<&str> = values.iter().map(|value| &**value).collect();
        let raw = split(key, &place, &texts);
        let earlier = self.given.get(key.path).into_iter().flatten();
        let mut flags = earlier.filter(|given| matches!(given.place, Place::Flag(_)));
        if let Some(first) = flags.next() {
            let message = format!("is given twice, first by {}", first.place);
            let complaint = Complaint::with(message, "remove one of them");
            self.mistakes.complain(place, key.path, complaint);
            return;
        }
        self.give(key.path, place, raw);
    }
}

/// One text per value, lists split at commas.
fn split(key: &Key, place: &Place, values: &[&str]) -> Raw {
    match key.shape {
        Shape::One => Raw::One(Scalar::argument(values.last().copied().unwrap_or_default())),
        Shape::List => {
            let items = values.iter().filter(|value| !value.is_empty()).flat_map(|v| v.split(','));
            Raw::Many(items.map(|item| (place.clone(), Scalar::argument(item.trim()))).collect())
        }
    }
}

/// Whether the variable is one that the kubelet sets for a Service whose name begins with `pintle`
/// (`PINTLE_SERVICE_HOST`, `PINTLE_METRICS_PORT_9810_TCP_ADDR`): such a Service must not keep pintle
/// from starting (pkg/kubelet/envvars).
fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_port = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    });
    let is_service = name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    is_url || is_port || is_service
}
