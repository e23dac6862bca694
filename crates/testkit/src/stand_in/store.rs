//! What several stand-ins share, as API servers share etcd: objects, one revision counter, a bounded
//! history. It lives in memory only, and never calls back into a server.

mod history;
mod state;
mod write;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

pub(super) use self::history::{Change, ChangeKind, Subscription, WatchFrom};
use self::state::State;
use self::write::{check_uid, check_version, create, replace, text};
use super::lease;
use super::resource::{Resource, Target};
use super::selector::Selector;
use super::status::ApiStatus;

/// A cluster's state. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    quorum_lost: watch::Sender<Option<QuorumTimeouts>>,
}

/// How long requests hang, and then fail with 500, while etcd has no quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumTimeouts {
    /// `/readyz`.
    pub readyz: Duration,
    /// `/livez`.
    pub livez: Duration,
    /// Reads that want the latest, and writes.
    pub requests: Duration,
}

/// What a client wants to be true of the object that it deletes.
#[derive(Debug, Default)]
pub(super) struct DeletePreconditions {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

// === impl QuorumTimeouts ===

impl Default for QuorumTimeouts {
    /// As measured with kube-apiserver 1.35 and etcd: `/readyz` asks etcd twice in series, 2 s each,
    /// `/livez` once; etcd itself gives up on a request after 5 s and two election timeouts.
    fn default() -> Self {
        Self {
            readyz: Duration::from_secs(4),
            livez: Duration::from_secs(2),
            requests: Duration::from_secs(7),
        }
    }
}

// === impl Store ===

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Makes an empty cluster with the namespaces that every cluster has.
    #[must_use]
    pub fn new() -> Self {
        let shared =
            Shared { state: Mutex::new(State::new()), quorum_lost: watch::Sender::new(None) };
        Self { shared: Arc::new(shared) }
    }

    /// The revision of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.locked(|state| state.revision())
    }

    /// A Lease as it is stored.
    #[must_use]
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Value> {
        let target = lease_target(namespace, name);
        self.get(&target).map(|object| Value::clone(&object))
    }

    /// Stores a Lease with these annotations and this spec whatever was there, past every
    /// validation: as an administrator, or garbage.
    pub fn put_lease(&self, namespace: &str, name: &str, annotations: Value, spec: Value) {
        let target = lease_target(namespace, name);
        self.locked(|state| {
            let object = json!({
                "apiVersion": Resource::Lease.api_version(), "kind": "Lease",
                "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
                "spec": spec,
            });
            state.put(&target, name, object);
        });
    }

    /// Changes a stored Lease by hand, past every validation; says whether there was one.
    pub fn edit_lease(&self, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) -> bool {
        let target = lease_target(namespace, name);
        self.locked(|state| {
            let Some(object) = state.get(&target) else {
                return false;
            };
            let mut object = Value::clone(&object);
            edit(&mut object);
            state.put(&target, name, object);
            true
        })
    }

    /// Deletes a Lease; says whether there was one.
    pub fn delete_lease(&self, namespace: &str, name: &str) -> bool {
        self.locked(|state| state.remove(&lease_target(namespace, name)).is_some())
    }

    /// Makes a namespace, beside `default`, `kube-system`, `kube-public` and `kube-node-lease`.
    pub fn add_namespace(&self, name: &str) {
        self.locked(|state| state.add_namespace(name));
    }

    /// Sets the addresses of the `kubernetes` Service's EndpointSlices and of its Endpoints: the API servers.
    ///
    /// One slice per address family and port, the first called `kubernetes` as kube-apiserver's
    /// own. (kube-apiserver has one slice, so servers on different ports are a test's matter.)
    pub fn set_api_servers(&self, addresses: &[SocketAddr]) {
        let mut slices: Vec<(bool, u16, Vec<Value>)> = Vec::new();
        for address in addresses {
            let endpoint = json!({"addresses": [address.ip()], "conditions": {"ready": true}});
            let key = (address.is_ipv4(), address.port());
            match slices.iter_mut().find(|(is_ipv4, port, _)| (*is_ipv4, *port) == key) {
                Some((_, _, endpoints)) => endpoints.push(endpoint),
                None => slices.push((key.0, key.1, vec![endpoint])),
            }
        }
        self.locked(|state| {
            let subsets = slices.iter().map(|(_, port, endpoints)| subset(*port, endpoints));
            let target = Target { resource: Resource::Endpoints, ..slice_target("kubernetes") };
            state.put(&target, "kubernetes", endpoints(subsets.collect()));
            let stale: Vec<Target> = state.targets(Resource::EndpointSlice, "default");
            let mut kept = Vec::new();
            for (index, (is_ipv4, port, endpoints)) in slices.into_iter().enumerate() {
                let suffix = if index == 0 { String::new() } else { format!("-{}", index + 1) };
                let name = format!("kubernetes{suffix}");
                let target = slice_target(&name);
                state.put(&target, &name, slice(&name, is_ipv4, port, &endpoints));
                kept.push(target);
            }
            for target in stale.iter().filter(|target| !kept.contains(target)) {
                state.remove(target);
            }
        });
    }

    /// The Events that were accepted (at most 256), core v1 and events.k8s.io/v1, by name.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.locked(|state| {
            let objects = state.all_of(&[Resource::CoreEvent, Resource::Event]);
            objects.into_iter().map(|object| Value::clone(&object)).collect()
        })
    }

    /// Forgets the history: a watch from an earlier revision is told `410 Gone`.
    pub fn compact(&self) {
        self.locked(State::compact);
    }

    /// Takes etcd's quorum away from every server on this store: what needs it hangs, then fails.
    pub fn lose_quorum(&self, timeouts: QuorumTimeouts) {
        self.shared.quorum_lost.send_replace(Some(timeouts));
    }

    /// Gives the quorum back; what hangs goes on.
    pub fn restore_quorum(&self) {
        self.shared.quorum_lost.send_replace(None);
    }

    /// Waits until there is a quorum; `Err` when there was none for as long as `of` says.
    pub(super) async fn quorum(&self, of: impl Fn(QuorumTimeouts) -> Duration) -> Result<(), ()> {
        let mut lost = self.shared.quorum_lost.subscribe();
        let Some(timeouts) = *lost.borrow_and_update() else {
            return Ok(());
        };
        let restored = lost.wait_for(Option::is_none);
        match tokio::time::timeout(of(timeouts), restored).await {
            Ok(_) => Ok(()),
            Err(_) => Err(()),
        }
    }

    pub(super) fn get(&self, target: &Target) -> Option<Arc<Value>> {
        self.locked(|state| state.get(target))
    }

    pub(super) fn list(&self, target: &Target, selector: &Selector) -> (u64, Vec<Arc<Value>>) {
        self.locked(|state| {
            let objects = state.list(target.resource, &target.namespace, selector);
            (state.revision(), objects.into_iter().map(|(_, object)| object).collect())
        })
    }

    pub(super) fn watch(
        &self,
        target: &Target,
        selector: &Selector,
        from: WatchFrom,
    ) -> Result<Subscription, ApiStatus> {
        self.locked(|state| state.subscribe(target, selector, from))
    }

    /// POST.
    pub(super) fn create(&self, target: &Target, object: Value) -> Result<Arc<Value>, ApiStatus> {
        if object["metadata"]["resourceVersion"].is_string() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ApiStatus::internal(message));
        }
        self.locked(|state| create(state, target, object))
    }

    /// PUT: the object, and whether it was created.
    pub(super) fn update(
        &self,
        target: &Target,
        object: Value,
    ) -> Result<(Arc<Value>, bool), ApiStatus> {
        let version = lease::resource_version(&object)?;
        self.locked(|state| {
            let stored = state.get(target);
            check_uid(target, stored.as_deref(), &object)?;
            let Some(stored) = stored else {
                return create(state, target, object).map(|created| (created, true));
            };
            check_version(target, &stored, version)?;
            replace(state, target, &stored, object).map(|updated| (updated, false))
        })
    }

    /// DELETE: the object as it was.
    pub(super) fn delete(
        &self,
        target: &Target,
        preconditions: &DeletePreconditions,
    ) -> Result<Arc<Value>, ApiStatus> {
        let (resource, name) = (target.resource, target.name.as_deref().unwrap_or_default());
        self.locked(|state| {
            let stored = state.get(target).ok_or_else(|| ApiStatus::not_found(resource, name))?;
            let metadata = &stored["metadata"];
            let (uid, version) = (text(metadata, "uid"), text(metadata, "resourceVersion"));
            if let Some(wanted) = preconditions.uid.as_deref().filter(|wanted| *wanted != uid) {
                let why = format!("the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated");
                return Err(ApiStatus::delete_conflict(resource, name, &why));
            }
            let wanted = preconditions.resource_version.as_deref();
            if let Some(wanted) = wanted.filter(|wanted| *wanted != version) {
                let why = format!("the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified");
                return Err(ApiStatus::delete_conflict(resource, name, &why));
            }
            state.remove(target).ok_or_else(|| ApiStatus::not_found(resource, name))
        })
    }

    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn slice(name: &str, is_ipv4: bool, port: u16, endpoints: &[Value]) -> Value {
    json!({
        "apiVersion": Resource::EndpointSlice.api_version(), "kind": "EndpointSlice",
        "metadata": {
            "name": name, "namespace": "default", "generation": 1,
            "labels": Map::from_iter([("kubernetes.io/service-name".to_owned(), json!("kubernetes"))]),
        },
        "addressType": if is_ipv4 { "IPv4" } else { "IPv6" },
        "endpoints": endpoints,
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}

/// As kube-apiserver itself writes them beside the slices.
fn endpoints(subsets: Vec<Value>) -> Value {
    json!({
        "apiVersion": Resource::Endpoints.api_version(), "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "subsets": subsets,
    })
}

fn subset(port: u16, endpoints: &[Value]) -> Value {
    let addresses: Vec<Value> =
        endpoints.iter().map(|endpoint| json!({"ip": endpoint["addresses"][0]})).collect();
    json!({
        "addresses": addresses,
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}

fn lease_target(namespace: &str, name: &str) -> Target {
    Target {
        resource: Resource::Lease,
        namespace: namespace.to_owned(),
        name: Some(name.to_owned()),
    }
}

fn slice_target(name: &str) -> Target {
    Target {
        resource: Resource::EndpointSlice,
        namespace: "default".to_owned(),
        name: Some(name.to_owned()),
    }
}
