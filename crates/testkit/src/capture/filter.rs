//! The kernel-side filter of a capture: only the frames looked at wake its reader.
//!
//! It never decides what a frame means; that is the parser's part.

use socket2::SockFilter;

// Classic BPF, `linux/filter.h`.
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_BYTE_INDEXED: u16 = 0x50;
/// Loads 4 * (byte & 15): the length of an IPv4 header.
const LOAD_HEADER_LEN: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// FIN, SYN and RST.
const EDGE_FLAGS: u32 = 0x07;
/// Line of the program that refuses the frame.
const REJECT: u8 = 27;
/// Line of the program that takes the frame.
const ACCEPT: u8 = 28;

/// ARP, neighbour solicitations and advertisements, and the SYN, FIN and RST of one TCP port.
pub(crate) fn addresses_and_tcp(port: Option<u16>) -> Vec<SockFilter> {
    // No segment has port 0 (RFC 6335 section 6), so 0 takes none.
    let port = u32::from(port.unwrap_or(0));
    // (code, operand, line if true, line if false); loads have no lines. Offsets are from the start
    // of the Ethernet header.
    let lines: [(u16, u32, u8, u8); 29] = [
        /* 0 */ (LOAD_HALF, 12, 0, 0),
        /* 1 */ (JUMP_EQUAL, 0x0806, ACCEPT, 2),
        /* 2 */ (JUMP_EQUAL, 0x86dd, 15, 3),
        /* 3 */ (JUMP_EQUAL, 0x0800, 4, REJECT),
        /* 4: IPv4 */ (LOAD_BYTE, 23, 0, 0),
        /* 5 */ (JUMP_EQUAL, 6, 6, REJECT),
        /* 6: fragment? */ (LOAD_HALF, 20, 0, 0),
        /* 7 */ (JUMP_ANY_BIT, 0x1fff, REJECT, 8),
        /* 8 */ (LOAD_HEADER_LEN, 14, 0, 0),
        /* 9 */ (LOAD_HALF_INDEXED, 14, 0, 0),
        /* 10 */ (JUMP_EQUAL, port, 13, 11),
        /* 11 */ (LOAD_HALF_INDEXED, 16, 0, 0),
        /* 12 */ (JUMP_EQUAL, port, 13, REJECT),
        /* 13 */ (LOAD_BYTE_INDEXED, 27, 0, 0),
        /* 14 */ (JUMP_ANY_BIT, EDGE_FLAGS, ACCEPT, REJECT),
        /* 15: IPv6 */ (LOAD_BYTE, 20, 0, 0),
        /* 16 */ (JUMP_EQUAL, 58, 18, 17),
        /* 17 */ (JUMP_EQUAL, 6, 21, REJECT),
        /* 18: ICMPv6 */ (LOAD_BYTE, 54, 0, 0),
        /* 19 */ (JUMP_EQUAL, 135, ACCEPT, 20),
        /* 20 */ (JUMP_EQUAL, 136, ACCEPT, REJECT),
        /* 21: TCP */ (LOAD_HALF, 54, 0, 0),
        /* 22 */ (JUMP_EQUAL, port, 25, 23),
        /* 23 */ (LOAD_HALF, 56, 0, 0),
        /* 24 */ (JUMP_EQUAL, port, 25, REJECT),
        /* 25 */ (LOAD_BYTE, 67, 0, 0),
        /* 26 */ (JUMP_ANY_BIT, EDGE_FLAGS, ACCEPT, REJECT),
        /* 27 */ (RETURN, 0, 0, 0),
        /* 28 */ (RETURN, u32::MAX, 0, 0),
    ];
    (0_u8..)
        .zip(lines)
        .map(|(at, (code, operand, on_true, on_false))| match code {
            // The kernel counts a jump from the line that follows it.
            JUMP_EQUAL | JUMP_ANY_BIT => {
                SockFilter::new(code, on_true - at - 1, on_false - at - 1, operand)
            }
            _ => SockFilter::new(code, 0, 0, operand),
        })
        .collect()
}
