use std::fs;

use pintle_testkit::certs;

use super::*;

fn kubeconfig() -> (tempfile::TempDir, Source) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.conf");
    let ca = certs::ClusterCa::generate("kubernetes").unwrap();
    let text = certs::kubeconfig(&ca.pem(), &ca.issue_admin().unwrap(), "https://192.0.2.10");
    fs::write(&path, text).unwrap();
    (directory, Source::Kubeconfig(path))
}

fn broken(_: File) -> io::Result<Vec<u8>> {
    Err(io::Error::other("Input/output error"))
}

#[test]
fn a_file_is_read_again_after_a_failure_that_stat_does_not_show() {
    let (_directory, source) = kubeconfig();
    let mut snapshot = Snapshot { content_of: broken, ..Snapshot::default() };
    let first = source.look(&mut snapshot);
    assert!(matches!(first, Look::New(Err(KubeconfigError::Unreadable(_)))), "{first:?}");
    assert!(matches!(source.look(&mut snapshot), Look::Same), "said once");
    snapshot.content_of = content_of;
    let recovered = source.look(&mut snapshot);
    assert!(matches!(recovered, Look::New(Ok(_))), "{recovered:?}");
    assert!(matches!(source.look(&mut snapshot), Look::Same));
}

#[test]
fn what_cannot_become_better_by_itself_is_read_once() {
    let (directory, source) = kubeconfig();
    // Would be told of as another failure if it were read.
    let is_not_read = |snapshot: &mut Snapshot| {
        snapshot.content_of = broken;
        assert!(matches!(source.look(snapshot), Look::Same));
        snapshot.content_of = content_of;
    };
    let mut snapshot = Snapshot::default();
    assert!(matches!(source.look(&mut snapshot), Look::New(Ok(_))));
    is_not_read(&mut snapshot);
    fs::write(source.path(), "clusters: 5").unwrap();
    assert!(matches!(source.look(&mut snapshot), Look::New(Err(KubeconfigError::Syntax { .. }))));
    is_not_read(&mut snapshot);
    fs::remove_file(source.path()).unwrap();
    assert!(matches!(source.look(&mut snapshot), Look::New(Err(KubeconfigError::Missing))));
    is_not_read(&mut snapshot);
    drop(directory);
}
