//! One store with its servers, and a plain hyper client with a certificate or without.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use pintle_testkit::stand_in::{StandIn, Store, TlsIdentity};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/pintle";

/// Far longer than anything that comes at all.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Long enough to call silence silence: on loopback an answer takes a millisecond.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Admin,
    /// A certificate of the client CA, in no group.
    Pintle,
    /// A certificate of another CA.
    Stranger,
    Nobody,
}

pub(crate) struct Bed {
    pub(crate) store: Store,
    pub(crate) server: StandIn,
    pub(crate) pki: Pki,
}

pub(crate) struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    other_ca: CertifiedIssuer<'static, KeyPair>,
}

pub(crate) struct Client {
    pub(crate) sender: SendRequest<Full<Bytes>>,
}

pub(crate) struct Watch {
    response: Response<Incoming>,
    buffered: Vec<u8>,
    _sender: SendRequest<Full<Bytes>>,
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn lease() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "pintle", "namespace": "kube-system"},
        "spec": {"holderIdentity": "cp-1", "leaseDurationSeconds": 3, "leaseTransitions": 0,
                 "renewTime": "2026-01-01T00:00:00.123456Z"},
    })
}

/// The same Lease, as held by another.
pub(crate) fn held_by(lease: &Value, holder: &str) -> Value {
    let mut lease = lease.clone();
    lease["spec"]["holderIdentity"] = holder.into();
    lease
}

// === impl Pki ===

impl Pki {
    pub(crate) fn new() -> Self {
        Self { ca: authority("kubernetes"), other_ca: authority("other") }
    }

    pub(crate) fn server(&self) -> TlsIdentity {
        let names = ["kubernetes".to_owned(), "127.0.0.1".to_owned()];
        let (certificate, key) = issue(&self.ca, "kube-apiserver", None, &names);
        TlsIdentity {
            cert_chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            client_ca_pem: Some(self.ca.pem()),
        }
    }

    pub(crate) fn client(&self, who: Who) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let (certificate, key) = match who {
            Who::Nobody => return builder.with_no_client_auth(),
            Who::Admin => issue(&self.ca, "kubernetes-admin", Some("system:masters"), &[]),
            Who::Pintle => issue(&self.ca, "pintle", None, &[]),
            Who::Stranger => issue(&self.other_ca, "kubernetes-admin", Some("system:masters"), &[]),
        };
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        builder.with_client_auth_cert(chain, key).unwrap()
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(
    ca: &CertifiedIssuer<'static, KeyPair>,
    user: &str,
    group: Option<&str>,
    names: &[String],
) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = match names {
        [] => vec![ExtendedKeyUsagePurpose::ClientAuth],
        _ => vec![ExtendedKeyUsagePurpose::ServerAuth],
    };
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, ca).unwrap(), key)
}

// === impl Bed ===

impl Bed {
    pub(crate) fn new() -> Self {
        let (store, pki) = (Store::new(), Pki::new());
        let server = StandIn::start(loopback(), store.clone(), &pki.server()).unwrap();
        Self { store, server, pki }
    }

    /// Another server on the same store.
    pub(crate) fn another(&self) -> StandIn {
        StandIn::start(loopback(), self.store.clone(), &self.pki.server()).unwrap()
    }

    pub(crate) async fn client(&self, who: Who) -> Client {
        self.client_of(&self.server, who).await
    }

    pub(crate) async fn client_of(&self, server: &StandIn, who: Who) -> Client {
        Client::connect(server.address(), self.pki.client(who)).await.unwrap()
    }

    /// One request of the administrator on a connection of its own.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        self.client(Who::Admin).await.call(method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    /// Stores the usual Lease and returns it as it is stored.
    pub(crate) async fn stored(&self) -> Value {
        let (status, stored) = self.call(Method::POST, LEASES, Some(&lease())).await;
        assert_eq!(status, 201);
        stored
    }

    pub(crate) async fn watch(&self, query: &str) -> Watch {
        self.watch_on(&self.server, &format!("{LEASES}?watch=true&{query}")).await
    }

    pub(crate) async fn watch_on(&self, server: &StandIn, path: &str) -> Watch {
        let mut client = self.client_of(server, Who::Admin).await;
        let response = client.send(Method::GET, path, None).await.unwrap();
        assert_eq!(response.status(), 200);
        Watch { response, buffered: Vec::new(), _sender: client.sender }
    }
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(address: SocketAddr, tls: ClientConfig) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("kubernetes").unwrap();
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> hyper::Result<Response<Incoming>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "kubernetes")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// The status and the body: JSON, or a string where it is none.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let answer = async { read(self.send(method, path, body).await.unwrap()).await };
        timeout(SOON, answer).await.expect("an answer")
    }

    /// Sends a request and asserts that nothing comes back for a while.
    pub(crate) async fn assert_silent(&mut self, method: Method, path: &str, body: Option<&Value>) {
        let answer = timeout(SILENCE, self.send(method, path, body)).await;
        assert!(answer.is_err(), "answered: {answer:?}");
    }
}

pub(crate) async fn read(response: Response<Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

// === impl Watch ===

impl Watch {
    /// The next event; `None` when the watch has ended in good order.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        timeout(SOON, self.line()).await.expect("an event or the end of the watch")
    }

    pub(crate) async fn assert_silent(&mut self) {
        let line = timeout(SILENCE, self.line()).await;
        assert!(line.is_err(), "the watch said {line:?}");
    }

    /// The next event's type and holder.
    pub(crate) async fn next_holder(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["spec"]["holderIdentity"]))
    }

    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffered.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffered.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.response.body_mut().frame().await?;
            self.buffered.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
    }
}
