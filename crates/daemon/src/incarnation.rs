//! Which boot of which machine this is, and for which VIPs it stands (docs/adr/0011).
//!
//! A node name alone does not tell a restart of pintle from a reboot of the host or from another
//! host with a cloned name; the hash of machine-id and boot-id does. Hosts that share a kernel (LXC,
//! kind) have a network namespace each, and a second pintle with other VIPs and the same Lease is no
//! restart either. The machine-id is confidential (machine-id(5)), so only the hash leaves the host.

use std::path::Path;

use pintle_core::Vip;
use ring::digest::{SHA256, digest};

const MACHINE_ID: &str = "/etc/machine-id";
/// Names the network namespace by its inode.
const NETWORK: &str = "/proc/self/ns/net";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Hexadecimal digits of the hash that are published: 64 bits are plenty among a few hosts.
const DIGITS: usize = 16;

/// The incarnation of this host for `vips`. The boot-id alone is random and unique; a missing machine-id (a
/// container without the mount) costs nothing but its share of the hash.
///
/// # Errors
///
/// When the boot-id cannot be read: without it a reboot would look like a restart.
pub(crate) fn of_this_host(vips: &[Vip]) -> std::io::Result<String> {
    let boot_id = read_short(Path::new(BOOT_ID))?;
    let machine_id = read_short(Path::new(MACHINE_ID)).unwrap_or_default();
    let network = std::fs::read_link(NETWORK)?;
    Ok(hash([machine_id.trim(), boot_id.trim(), &network.to_string_lossy()], vips))
}

fn read_short(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    // Both files hold 37 bytes at the most; whatever else lies there is not read to its end.
    let mut text = String::new();
    std::fs::File::open(path)?.take(256).read_to_string(&mut text)?;
    Ok(text)
}

fn hash(host: [&str; 3], vips: &[Vip]) -> String {
    let mut vips: Vec<String> = vips.iter().map(ToString::to_string).collect();
    // The same ones in another order are the same.
    vips.sort();
    let text = format!("pintle\n{}\n{}\n", host.join("\n"), vips.join("\n"));
    let hashed = digest(&SHA256, text.as_bytes());
    let mut hex: String = hashed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(DIGITS);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_boot_or_another_machine_is_another_incarnation() {
        let vip = |text: &str| Vip(text.parse().unwrap());
        let vips = [vip("192.0.2.10"), vip("2001:db8::10")];
        let here = hash(["m1", "b1", "n1"], &vips);
        assert_eq!(here, hash(["m1", "b1", "n1"], &[vips[1], vips[0]]));
        assert_eq!(here.len(), DIGITS);
        for other in [["m2", "b1", "n1"], ["m1", "b2", "n1"], ["m1", "b1", "n2"]] {
            assert_ne!(here, hash(other, &vips));
        }
        assert_ne!(here, hash(["m1", "b1", "n1"], &vips[..1]));
    }

    #[test]
    fn this_host_has_one() {
        assert_eq!(of_this_host(&[]).unwrap(), of_this_host(&[]).unwrap());
    }
}
