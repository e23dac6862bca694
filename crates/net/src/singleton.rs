//! One pintle per VIP and host: a lock that dies with its process.
//!
//! An abstract unix socket belongs to a network namespace, as the VIP does: two pods with the host's
//! network meet here although they share no file system and no process ids.

use std::io;
use std::os::fd::OwnedFd;

use pintle_core::Vip;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::packet;

/// The lock. It is released when dropped, and by the kernel when the process ends.
#[derive(Debug)]
pub struct Singleton {
    _socket: OwnedFd,
}

/// Why the lock was not acquired. Try again later.
#[derive(Debug, thiserror::Error)]
pub enum Taken {
    /// Another process has it.
    #[error("another pintle on this host has the VIP: process {}", pid.map_or_else(|| "of another pod".to_owned(), |pid| pid.to_string()))]
    By {
        /// Which; `None` when it lives in a pid namespace that this process cannot see into, or has
        /// just gone.
        pid: Option<u32>,
    },
    /// The kernel refused the socket.
    #[error("cannot open the lock's socket")]
    Io(#[from] io::Error),
}

// === impl Singleton ===

impl Singleton {
    /// Takes the lock of these VIPs in the host's network namespace, or says who has it. Never waits.
    ///
    /// # Errors
    /// [`Taken`], until the other process has ended.
    pub fn acquire(vips: &[Vip]) -> Result<Self, Taken> {
        let mut sorted = vips.to_vec();
        sorted.sort();
        let texts: Vec<String> = sorted.iter().map(ToString::to_string).collect();
        // Two IPv6 addresses at their longest stay below the 107 bytes of a name.
        let name = format!("pintle/{}", texts.join(","));
        let address =
            SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(io::Error::from)?;
        let socket = open()?;
        match bind(&socket, &address) {
            Ok(()) => {
                // Only who listens can be asked for its pid; nobody is ever accepted.
                listen(&socket, 1).map_err(io::Error::from)?;
                Ok(Self { _socket: socket })
            }
            Err(rustix::io::Errno::ADDRINUSE) => Err(Taken::By { pid: holder(&address)? }),
            Err(error) => Err(Taken::Io(error.into())),
        }
    }
}

fn holder(address: &SocketAddrUnix) -> io::Result<Option<u32>> {
    let socket = open()?;
    match connect(&socket, address) {
        Ok(()) => packet::peer_pid(&socket),
        // Just gone, or (EAGAIN) asked by many at the same time.
        Err(_) => Ok(None),
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vips(last: u8) -> [Vip; 2] {
        [Vip([192, 0, 2, last].into()), Vip("2001:db8::10".parse().unwrap())]
    }

    #[test]
    fn there_is_one_and_the_loser_learns_who() {
        let held = Singleton::acquire(&vips(10)).unwrap();
        for _ in 0..5 {
            let mut other_order = vips(10);
            other_order.reverse();
            let taken = Singleton::acquire(&other_order);
            let own = Some(std::process::id());
            assert!(
                matches!(&taken, Err(Taken::By { pid }) if *pid == own || pid.is_none()),
                "{taken:?}"
            );
        }
        assert!(Singleton::acquire(&vips(11)).is_ok(), "another VIP is another lock");
        drop(held);
        assert!(Singleton::acquire(&vips(10)).is_ok());
    }

    #[test]
    fn the_first_loser_learns_the_pid() {
        let _held = Singleton::acquire(&vips(20)).unwrap();
        let taken = Singleton::acquire(&vips(20)).map(|_| ()).unwrap_err();
        let text = taken.to_string();
        assert!(text.ends_with(&format!("process {}", std::process::id())), "{text}");
    }
}
