//! Reads the sources of a configuration - file, environment, host name - and hands them to the core.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use pintle_core::config::{
    Argument, Config, Configuration, Document, Mistake, Mistakes, Place, Sources,
};

use crate::exit::{Exit, Failure};
use crate::migrate::{self, Foreign, Migration};
use crate::yaml;

/// A thousand times a full configuration. Bounds what a wrong path (`/dev/zero`) can cost.
const LARGEST_FILE: u64 = 1 << 20;

/// Reads and checks a configuration as a whole.
///
/// # Errors
///
/// Every mistake in every source.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    arguments: Vec<Argument>,
) -> Result<Configuration, Mistakes> {
    Configuration::read(&sources(file, environment, arguments))
}

/// The same where only a control-plane node's has a meaning, without a file.
///
/// # Errors
///
/// Every mistake in every source, and the role of a proxy.
pub(crate) fn load_control_plane(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    arguments: Vec<Argument>,
) -> Result<Config, Mistakes> {
    Config::read(&sources(None, environment, arguments))
}

fn sources(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    arguments: Vec<Argument>,
) -> Sources {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    Sources {
        document: file.map(read_document),
        environment: environment.into_iter().map(|(n, value)| (text(n), text(value))).collect(),
        arguments,
        host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

fn read_document(path: &Path) -> Result<Document, Mistake> {
    let name = path.to_string_lossy().into_owned();
    let refuse = |(message, suggestion): (String, Option<&str>)| Mistake {
        place: Place::File { name: name.clone(), mark: None },
        key: String::new(),
        message,
        suggestion: suggestion.map(str::to_owned),
    };
    let bytes = read_bytes(path).map_err(|error| refuse(explain(&error)))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST_FILE) {
        let message = "is larger than 1 MiB".to_owned();
        return Err(refuse((message, Some("name the configuration file"))));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("is not valid UTF-8 in line {line}");
        refuse((message, Some("save it as UTF-8")))
    })?;
    yaml::parse(&name, &text)
}

/// Reads and translates the files of another front door.
///
/// # Errors
///
/// Every file that cannot be read or translated.
pub(crate) fn migration(files: &[PathBuf]) -> Result<Migration, Failure> {
    let (mut foreign, mut mistakes) = (Vec::new(), Vec::new());
    for path in files {
        let name = path.to_string_lossy().into_owned();
        match read_bytes(path) {
            Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST_FILE) => {
                foreign.push(Foreign { name, text: String::from_utf8_lossy(&bytes).into_owned() });
            }
            Ok(_) => mistakes.push(format!("--from: {name}: is larger than 1 MiB")),
            Err(error) => mistakes.push(format!("--from: {name}: {}", explain(&error).0)),
        }
    }
    let migration = migrate::translate(&foreign);
    mistakes.extend(migration.as_ref().err().into_iter().flatten().cloned());
    migration.ok().filter(|_| mistakes.is_empty()).ok_or_else(|| {
        Failure::new(Exit::BadConfig, format!("pintle: {}", mistakes.join("\npintle: ")))
    })
}

/// At most one byte more than is allowed: the length tells whether it was too much.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn explain(error: &io::Error) -> (String, Option<&'static str>) {
    match error.kind() {
        ErrorKind::NotFound => ("does not exist".to_owned(), Some("check the path")),
        ErrorKind::PermissionDenied => ("may not be read by this user".to_owned(), None),
        ErrorKind::IsADirectory => ("is a directory".to_owned(), Some("name the file in it")),
        _ => (format!("cannot be read: {error}"), None),
    }
}

#[cfg(test)]
mod tests;
