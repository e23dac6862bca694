use std::io;

use pintle_testkit::certs::{self, ClusterCa, Validity};
use proptest::prelude::*;

use super::*;
use crate::credential::Credential;

fn no_files(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

fn read(text: &str) -> Result<Material, KubeconfigError> {
    parse(text.as_bytes(), Path::new("/etc/kubernetes"), &mut no_files)
}

fn admin_conf() -> (ClusterCa, String) {
    let ca = ClusterCa::generate("kubernetes").unwrap();
    let text = certs::kubeconfig(&ca.pem(), &ca.issue_admin().unwrap(), "https://192.0.2.10:6443");
    (ca, text)
}

#[test]
fn admin_conf_is_read() {
    let (ca, text) = admin_conf();
    let material = read(&text).unwrap();
    assert_eq!(material.authorities, [ca.der()]);
    assert_eq!(material.server.as_deref(), Some("https://192.0.2.10:6443"));
    let report = material.report("2099-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(report.not_after, Some("2100-01-01T00:00:00Z".parse().unwrap()));
    assert!(!report.expired);
    assert!(material.report("2101-01-01T00:00:00Z".parse().unwrap()).expired);
    Credential::new(material).unwrap();
}

#[test]
fn references_count_from_the_kubeconfigs_directory() {
    let ca = ClusterCa::generate("kubernetes").unwrap();
    let client =
        ca.issue_client("system:node:cp-1", Some("system:nodes"), Validity::Current).unwrap();
    let text = "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
        clusters: [{name: k, cluster: {certificate-authority: pki/ca.crt}}],
        users: [{name: u, user: {client-certificate: /var/lib/kubelet/pki/both.pem,
                                 client-key: /var/lib/kubelet/pki/both.pem}}]}";
    let both = format!("{}{}", client.keyed.certificate_pem, client.keyed.key_pem);
    let mut asked = Vec::new();
    let material = parse(text.as_bytes(), Path::new("/etc/kubernetes"), &mut |path| {
        asked.push(path.to_owned());
        Ok(if path.ends_with("ca.crt") { ca.pem() } else { both.clone() }.into_bytes())
    })
    .unwrap();
    assert_eq!(asked[0], Path::new("/etc/kubernetes/pki/ca.crt"));
    assert_eq!(asked[1], Path::new("/var/lib/kubelet/pki/both.pem"));
    assert_eq!(material.identity.as_ref().unwrap().0, client.keyed.chain());
    Credential::new(material).unwrap();
}

#[test]
fn each_mistake_is_an_error_of_its_own() {
    let (_, good) = admin_conf();
    let user = good.find("  user:\n    client").unwrap();
    let cases: [(&str, String, &str); 12] = [
        ("empty", " \n".into(), "is empty"),
        ("not yaml", "a: [".into(), "line "),
        ("not a kubeconfig", "clusters: 5".into(), "line 1, column "),
        ("no context", "kind: Config".into(), "current-context is not set"),
        ("unknown context", "current-context: nope".into(), r#"no context named "nope""#),
        (
            "unknown user",
            good.replace("  user:\n    client", "  other:\n    client"),
            "no user named",
        ),
        (
            "no CA",
            good.replace("certificate-authority-data", "ignored"),
            "certificate-authority-data",
        ),
        (
            "half a base64",
            good.replace("client-key-data: LS0t", "client-key-data: ?LS0t"),
            "not base64",
        ),
        (
            "no certificate",
            good.replace("client-certificate-data: LS0t", "client-certificate-data: LS1t"),
            "no PEM certificate",
        ),
        ("no key", good.replace("client-key-data", "ignored"), "neither a client certificate"),
        (
            "exec",
            format!("{}  user:\n    exec: {{command: /bin/true}}\n", &good[..user]),
            "an exec plugin",
        ),
        (
            "lost reference",
            good.replace(
                "certificate-authority-data: ",
                "certificate-authority: lost.crt\n    x: ",
            ),
            "/etc/kubernetes/lost.crt",
        ),
    ];
    for (case, text, expected) in cases {
        let error = read(&text).expect_err(case).to_string();
        assert!(error.contains(expected), "{case}: {error}");
    }
}

#[test]
fn a_half_written_file_is_refused_at_every_length() {
    let (_, text) = admin_conf();
    // The last bytes are dashes and a line end of the key's PEM, which a reader may do without.
    for end in 0..text.trim_end().len() - 12 {
        let half = read(&text[..end]).and_then(Credential::new);
        assert!(half.is_err(), "{end} of {} bytes", text.len());
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (ca, text) = admin_conf();
    let other = certs::kubeconfig(&ca.pem(), &ca.issue_admin().unwrap(), "https://192.0.2.10:6443");
    let key_of =
        |text: &str| text.lines().find(|line| line.contains("client-key-data")).unwrap().to_owned();
    let mixed = text.replace(&key_of(&text), &key_of(&other));
    let error = read(&mixed).and_then(Credential::new).unwrap_err();
    assert!(matches!(error, KubeconfigError::Tls(_)), "{error}");
}

#[test]
fn one_odd_certificate_does_not_cost_the_other_authorities() {
    let (ca, text) = admin_conf();
    let odd = CertificateDer::from(vec![0x30, 0x00]);
    let mut material = read(&text).unwrap();
    material.authorities.insert(0, odd.clone());
    let credential = Credential::new(material).unwrap();
    assert_eq!(credential.authorities, [ca.der()], "nothing else is published");
    assert!(credential.odd_authority.is_some());
    let mut material = read(&text).unwrap();
    material.authorities = vec![odd];
    assert!(matches!(Credential::new(material), Err(KubeconfigError::Tls(_))), "none is left");
}

#[test]
fn an_error_never_shows_a_key() {
    let (_, text) = admin_conf();
    let line = text.lines().find(|line| line.contains("client-key-data")).unwrap();
    let secret = line.split(": ").nth(1).unwrap();
    let start = &secret[..40];
    for broken in [
        format!("users: {secret}"),
        format!("users:\n- {secret}"),
        format!("{secret}: 1\n{secret}: 2"),
        format!("users: *{}", start),
        format!("users: !{start} []\nclusters: !!{start} [}}"),
        text.replace(line, &format!("{line}\n  bad indent: [")),
        text.replace(line, &format!("    client-key-data: [{secret}]")),
        text.replace(line, &format!("    client-key-data: é{secret}")),
        text.replace("client-key-data: ", "client-key-data: \t&"),
    ] {
        let error = read(&broken).map(drop).expect_err(&broken);
        assert!(!format!("{error} {error:?}").contains(start), "{error:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, Path::new("/"), &mut no_files);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "([a-z-]{1,12}: ?|[ \n\\[\\]{}&*!|>'\"-]|[a-z0-9=]{1,8}){0,60}") {
        let _ = read(&text);
    }

    #[test]
    fn a_damaged_kubeconfig_does_no_harm(at in 0_usize..6000, to in any::<u8>()) {
        let (_, text) = admin_conf();
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = parse(&bytes, Path::new("/"), &mut no_files).and_then(Credential::new);
    }
}
