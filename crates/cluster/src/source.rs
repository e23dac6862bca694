//! Where credentials come from: kubeconfigs, and the service account of the pod. Blocking: these
//! functions run on the blocking pool, so that a hung disk stops no timer.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::credential::Credential;
use crate::kubeconfig::{self, KubeconfigError, Material};

/// Kubeconfigs have 6 KiB; nothing larger is read into memory.
const MAX_FILE: u64 = 1 << 20;

/// One place of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A kubeconfig file.
    Kubeconfig(PathBuf),
    /// A directory with `token` and `ca.crt`, as kubelet mounts it into a pod.
    ServiceAccount(PathBuf),
}

/// What was there when it was last looked at: files by identity, and what they held.
#[derive(Debug)]
pub(crate) struct Snapshot {
    files: Vec<(PathBuf, Option<Stamp>)>,
    contents: Vec<Vec<u8>>,
    /// Why a file could not be read. That may pass without a change that `stat` shows.
    unread: Option<String>,
    content_of: fn(File) -> io::Result<Vec<u8>>,
}

/// Changes whenever a file is replaced or written.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// What a look showed.
#[derive(Debug)]
pub(crate) enum Look {
    /// As at the last look.
    Same,
    /// Something else, and what it is good for.
    New(Result<Box<Credential>, KubeconfigError>),
}

// === impl Source ===

impl Source {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kubeconfig(path) | Self::ServiceAccount(path) => path,
        }
    }

    /// Reads what has changed since `last`, which is brought up to date. Blocks.
    pub(crate) fn look(&self, last: &mut Snapshot) -> Look {
        let is_same =
            !last.files.is_empty() && last.files.iter().all(|(path, was)| stamp(path) == *was);
        if is_same && last.unread.is_none() {
            return Look::Same;
        }
        let mut next = Snapshot { content_of: last.content_of, ..Snapshot::default() };
        let material = self.read(&mut next);
        next.unread =
            material.as_ref().err().filter(|error| may_pass(error)).map(|e| e.to_string());
        // A disk that stays broken is told of once.
        let is_same_failure = is_same && next.unread.is_some() && next.unread == last.unread;
        // Touched, or a rename brought the same content: connections need not be made anew.
        let is_same_content =
            !last.files.is_empty() && material.is_ok() && next.contents == last.contents;
        *last = next;
        if is_same_content || is_same_failure {
            return Look::Same;
        }
        Look::New(material.and_then(|material| Credential::new(material).map(Box::new)))
    }

    fn read(&self, snapshot: &mut Snapshot) -> Result<Material, KubeconfigError> {
        match self {
            Self::Kubeconfig(path) => read_kubeconfig(path, snapshot),
            Self::ServiceAccount(directory) => read_service_account(directory, snapshot),
        }
    }
}

pub(crate) fn read_kubeconfig(
    path: &Path,
    snapshot: &mut Snapshot,
) -> Result<Material, KubeconfigError> {
    let content = snapshot.read(path).map_err(unreadable)?;
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    kubeconfig::parse(&content, directory, &mut |path| snapshot.read(path))
}

fn read_service_account(
    directory: &Path,
    snapshot: &mut Snapshot,
) -> Result<Material, KubeconfigError> {
    let token = snapshot.read(&directory.join("token")).map_err(unreadable)?;
    let authority = snapshot.read(&directory.join("ca.crt")).map_err(unreadable)?;
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    if token.is_empty() {
        return Err(KubeconfigError::Empty);
    }
    Ok(Material {
        authorities: kubeconfig::certificates("ca.crt", &authority)?,
        identity: None,
        token: Some(token),
        server: None,
    })
}

fn unreadable(error: io::Error) -> KubeconfigError {
    match error.kind() {
        io::ErrorKind::NotFound => KubeconfigError::Missing,
        io::ErrorKind::FileTooLarge => KubeconfigError::TooLarge,
        _ => KubeconfigError::Unreadable(error),
    }
}

/// Whether the file may be read at another time though it stays as it is: after an EIO or EACCES. One
/// that is missing or too large has to change first.
fn may_pass(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::Unreadable(_) => true,
        KubeconfigError::Reference { source, .. } => {
            !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge)
        }
        _ => false,
    }
}

fn content_of(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(content)
}

fn stamp(path: &Path) -> Option<Stamp> {
    // Follows links: kubelet's certificate is one, and a Secret's files are two deep.
    std::fs::metadata(path).ok().as_ref().map(stamp_of)
}

fn stamp_of(file: &Metadata) -> Stamp {
    (
        file.dev(),
        file.ino(),
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    )
}

// === impl Snapshot ===

impl Snapshot {
    /// Reads a file and notes what it was. The stamp is taken before the content: what is written
    /// meanwhile shows at the next look.
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let opened = File::open(path);
        let was = match opened.as_ref().map(File::metadata) {
            Ok(Ok(metadata)) => Some(stamp_of(&metadata)),
            Ok(Err(_)) | Err(_) => stamp(path),
        };
        self.files.push((path.to_owned(), was));
        let content = (self.content_of)(opened?)?;
        self.contents.push(content.clone());
        Ok(content)
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { files: Vec::new(), contents: Vec::new(), unread: None, content_of }
    }
}

#[cfg(test)]
mod tests;
