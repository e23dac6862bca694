//! One text to one value, or what is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::Listen;
use super::mistake::{Complaint, quote};
use super::node::{Scalar, Style};
use super::suggest::nearest;
use crate::vip::Vip;

pub(super) type Parsed<T> = Result<T, Complaint>;

/// DNS-1123: a label has at most 63 characters (RFC 1123 §2.1, RFC 1035 §2.3.4).
const LABEL_LENGTH: usize = 63;
/// DNS-1123: a name has at most 253 characters as text (RFC 1035 §2.3.4).
const NAME_LENGTH: usize = 253;
/// IFNAMSIZ is 16, the closing zero included (linux/if.h).
const LINK_NAME_LENGTH: usize = 15;
/// PATH_MAX is 4096, the closing zero included (linux/limits.h).
const PATH_LENGTH: usize = 4095;
/// Longer than any health endpoint with its parameters, shorter than a request buffer.
const URL_PATH_LENGTH: usize = 256;

/// A text, whatever it looks like; true and false in a file are none.
pub(super) fn text(scalar: &Scalar) -> Parsed<&str> {
    if scalar.is_boolean() {
        let shown = &scalar.text;
        let advice = format!("if the word is meant, write \"{shown}\" in quotes");
        return Err(Complaint::with(format!("{shown} is a truth value, want a text"), advice));
    }
    if scalar.text.is_empty() {
        return Err(Complaint::with("is empty", "give a value or leave it out"));
    }
    Ok(&scalar.text)
}

/// `None` for the empty text, else what `parse` makes of it.
pub(super) fn optional<T>(
    scalar: &Scalar,
    parse: impl FnOnce(&Scalar) -> Parsed<T>,
) -> Parsed<Option<T>> {
    if scalar.text.is_empty() { Ok(None) } else { parse(scalar).map(Some) }
}

pub(super) fn boolean(scalar: &Scalar) -> Parsed<bool> {
    let shown = quote(&scalar.text);
    match (&*scalar.text, scalar.style) {
        ("true" | "True" | "TRUE", Style::Plain | Style::Argument) => Ok(true),
        ("false" | "False" | "FALSE", Style::Plain | Style::Argument) => Ok(false),
        ("true" | "false", Style::Quoted) => Err(Complaint::with(
            format!("{shown} is a text, want true or false"),
            "remove the quotes",
        )),
        ("yes" | "on", _) => {
            Err(Complaint::with(format!("{shown} is no truth value"), "write true"))
        }
        ("no" | "off", _) => {
            Err(Complaint::with(format!("{shown} is no truth value"), "write false"))
        }
        _ => Err(Complaint::new(format!("{shown} is no truth value, want true or false"))),
    }
}

/// A whole number between two bounds, both included.
pub(super) fn integer(scalar: &Scalar, min: i64, max: i64) -> Parsed<i64> {
    let shown = quote(&scalar.text);
    let digits = scalar.text.strip_prefix('-').unwrap_or(&scalar.text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Complaint::new(format!("{shown} is no whole number, want {min} to {max}")));
    }
    if scalar.style == Style::Quoted {
        return Err(Complaint::with(
            format!("{shown} is a text, want a whole number"),
            "remove the quotes",
        ));
    }
    match scalar.text.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(Complaint::new(format!("{shown} is out of range, want {min} to {max}"))),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(scalar: &Scalar, words: &[(&'static str, T)]) -> Parsed<T> {
    let text = text(scalar)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("{} is not one of {}", quote(text), names.join(", "));
    let meant = nearest(text, names.iter().copied())
        // `warning` is too far from `warn` to be a slip, and is what everyone writes.
        .or_else(|| names.iter().copied().find(|name| text.to_ascii_lowercase().starts_with(name)));
    Err(match meant {
        Some(meant) => Complaint::with(message, format!("did you mean {meant}?")),
        None => Complaint::new(message),
    })
}

/// A DNS-1123 label: a namespace.
pub(super) fn label(scalar: &Scalar) -> Parsed<String> {
    let text = text(scalar)?;
    if is_label(text) {
        return Ok(text.to_owned());
    }
    Err(Complaint::with(
        format!("{} is no name of a namespace", quote(text)),
        "want at most 63 lower-case letters, digits and '-', with a letter or digit at both ends",
    ))
}

/// A DNS-1123 name: a node, a Lease.
pub(super) fn name(scalar: &Scalar) -> Parsed<String> {
    let text = text(scalar)?;
    if text.len() <= NAME_LENGTH && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is no name that Kubernetes takes", quote(text));
    let lower = text.to_ascii_lowercase();
    if lower.len() <= NAME_LENGTH && lower.split('.').all(is_label) {
        return Err(Complaint::with(message, format!("did you mean {lower}?")));
    }
    Err(Complaint::with(
        message,
        "want at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part",
    ))
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=LABEL_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// The name in a certificate: a DNS name or an address.
pub(super) fn server_name(scalar: &Scalar) -> Parsed<String> {
    let text = text(scalar)?;
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let lower = text.to_ascii_lowercase();
    if lower.len() <= NAME_LENGTH && lower.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err(Complaint::with(
        format!("{} is neither a DNS name nor an address", quote(text)),
        "write a name from the certificate, without scheme and port",
    ))
}

/// The name of a link, as the kernel takes it (dev_valid_name, net/core/dev.c).
pub(super) fn link(scalar: &Scalar) -> Parsed<String> {
    let text = text(scalar)?;
    if text.len() > LINK_NAME_LENGTH {
        let message = format!("{} is longer than 15 bytes", quote(text));
        return Err(Complaint::with(message, "`ip link` lists the links"));
    }
    let strange =
        |letter: char| matches!(letter, '/' | ':') || letter.is_whitespace() || letter.is_control();
    if matches!(text, "." | "..") || text.contains(strange) {
        let message = format!("{} is no name of a link", quote(text));
        return Err(Complaint::with(message, "`ip link` lists the links"));
    }
    Ok(text.to_owned())
}

/// A virtual address: one that a client can reach and a link can carry.
pub(super) fn vip(scalar: &Scalar) -> Parsed<Vip> {
    let text = text(scalar)?;
    let shown = quote(text);
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(no_vip(text));
    };
    let refuse = |why: &str, advice: &str| Err(Complaint::with(format!("{shown} {why}"), advice));
    let pick = "pick a free address of the nodes' subnet";
    match address {
        _ if address.is_unspecified() => refuse("is no address of anyone", pick),
        _ if address.is_loopback() => {
            refuse("is a loopback address, which no client reaches", pick)
        }
        _ if address.is_multicast() => {
            refuse("is a multicast address, which no node can own", pick)
        }
        IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0 => {
            refuse("is no address that one node can own", pick)
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => refuse(
            "is link-local: clients would have to name their own link with it",
            "pick a global or unique local address",
        ),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(Ok(Vip(address)), |v4| {
            refuse("is an IPv4 address in IPv6 form", &format!("write {v4}"))
        }),
        IpAddr::V4(_) => Ok(Vip(address)),
    }
}

/// Why a text is no address, and which part of it may be.
fn no_vip(text: &str) -> Complaint {
    let shown = quote(text);
    if let Ok(socket) = text.parse::<SocketAddr>() {
        let message = format!("{shown} is an address with a port, want an address");
        return Complaint::with(message, format!("write {}", socket.ip()));
    }
    if let Some((address, _)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let message = format!("{shown} has a prefix length, which a VIP does not need");
        return Complaint::with(message, format!("write {address}"));
    }
    Complaint::with(format!("{shown} is no address"), "write it as 192.0.2.10 or 2001:db8::10")
}

/// `ADDRESS:PORT`; the port may be zero (any free one) only where something listens for a test.
pub(super) fn socket(scalar: &Scalar, zero_port: bool) -> Parsed<SocketAddr> {
    let text = text(scalar)?;
    let shown = quote(text);
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 && !zero_port => {
            Err(Complaint::with(format!("{shown} has port 0"), "give the port that is used"))
        }
        Ok(address) => Ok(address),
        Err(_) => Err(match (text.parse::<IpAddr>(), text.parse::<u16>()) {
            (Ok(IpAddr::V4(address)), _) => Complaint::with(
                format!("{shown} has no port"),
                format!("write it as {address}:PORT"),
            ),
            (Ok(IpAddr::V6(address)), _) => Complaint::with(
                format!("{shown} has no port"),
                format!("write it as [{address}]:PORT"),
            ),
            (Err(_), Ok(port)) => Complaint::with(
                format!("{shown} has no address"),
                format!("write it as 127.0.0.1:{port}"),
            ),
            (Err(_), Err(_)) => Complaint::with(
                format!("{shown} is not ADDRESS:PORT"),
                "write it as 127.0.0.1:6443 or [::1]:6443, names are not looked up",
            ),
        }),
    }
}

/// `PORT` or `ADDRESS:PORT`.
pub(super) fn listen(scalar: &Scalar) -> Parsed<Listen> {
    let text = text(scalar)?;
    let port = text.parse().ok().filter(|port| *port > 0).map(Listen::Port);
    let address = || text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    if let Some(listen) = port.or_else(|| address().map(Listen::Address)) {
        return Ok(listen);
    }
    let message = format!("{} is neither PORT nor ADDRESS:PORT", quote(text));
    Err(Complaint::with(message, "write it as 6444 or 127.0.0.1:6444"))
}

/// An absolute path.
pub(super) fn path(scalar: &Scalar) -> Parsed<PathBuf> {
    let text = text(scalar)?;
    let shown = quote(text);
    if text.len() > PATH_LENGTH || text.contains(char::is_control) {
        return Err(Complaint::new(format!("{shown} is no path")));
    }
    if !text.starts_with('/') {
        let message = format!("{shown} is no absolute path");
        return Err(Complaint::with(message, "begin it with /"));
    }
    if text.ends_with('/') {
        return Err(Complaint::with(format!("{shown} is a directory"), "name the file in it"));
    }
    Ok(PathBuf::from(text))
}

/// The path of an HTTP request.
pub(super) fn url_path(scalar: &Scalar) -> Parsed<String> {
    let text = text(scalar)?;
    let shown = quote(text);
    if text.contains("://") {
        let message = format!("{shown} is an URL, want its path");
        return Err(Complaint::with(message, "write it as /readyz"));
    }
    if !text.starts_with('/') {
        let message = format!("{shown} does not begin with /");
        return Err(Complaint::with(message, "write it as /readyz"));
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>');
    if text.len() > URL_PATH_LENGTH || !text.bytes().all(is_plain) {
        return Err(Complaint::new(format!("{shown} is no path of an HTTP request")));
    }
    Ok(text.to_owned())
}
