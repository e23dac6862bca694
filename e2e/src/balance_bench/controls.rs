//! Runs that must fail: each breaks something and sees that no figure comes of it.

use anyhow::{Result, bail};

use super::backend::Spoil;
use super::bed::{BACKENDS, Bed};
use super::contender::{Contender, Programs};
use super::phases::Size;
use super::phases::speed::{connections, integrity};
use super::sys::Cores;
use crate::say::say;

/// What is broken.
#[derive(Debug, Clone, Copy)]
enum Control {
    /// A backend answers wrongly.
    Spoilt(Spoil),
    /// A backend hangs from the start, behind a balancer that does not look.
    Stopped,
    /// The balancer dies.
    Gone,
}

const CONTROLS: [(&str, Control); 5] = [
    ("a backend that spoils one echo in a hundred", Control::Spoilt(Spoil::Echo)),
    ("a backend that leaves out a byte", Control::Spoilt(Spoil::Shift)),
    ("a backend that sends one byte too few", Control::Spoilt(Spoil::Short)),
    ("a backend that hangs behind nginx, which does not look", Control::Stopped),
    ("a balancer that dies", Control::Gone),
];

/// Whether all of them were noticed.
///
/// # Errors
/// When a control could not be set up.
pub fn run(programs: &Programs, cores: &Cores) -> Result<bool> {
    let mut unnoticed = 0;
    for (title, control) in CONTROLS {
        match noticed(programs, cores, control)? {
            Some(why) => say(format!("noticed: {title}: {why}")),
            None => {
                say(format!("NOT NOTICED: {title}"));
                unnoticed += 1;
            }
        }
    }
    Ok(unnoticed == 0)
}

/// What the bench said of it, if it did.
fn noticed(programs: &Programs, cores: &Cores, control: Control) -> Result<Option<String>> {
    let spoil = if let Control::Spoilt(spoil) = control { Some(spoil) } else { None };
    let mut bed = Bed::start(cores, spoil)?;
    let running = match control {
        Control::Spoilt(_) => Contender::Pintle.start(&bed, programs)?,
        Control::Stopped | Control::Gone => Contender::Nginx.start(&bed, programs)?,
    };
    match control {
        Control::Spoilt(_) => {}
        Control::Stopped => bed.backend(BACKENDS - 1).stop()?,
        Control::Gone => bed.balancer_ns().kill_all()?,
    }
    let figures = match control {
        Control::Spoilt(Spoil::Shift | Spoil::Short) => integrity(&bed, &running),
        Control::Spoilt(Spoil::Echo) | Control::Stopped | Control::Gone => {
            connections(&bed, &running, Size::QUICK).map(|_figures| ())
        }
    };
    if let Control::Stopped = control {
        bed.backend(BACKENDS - 1).cont()?;
    }
    match figures {
        Ok(()) => Ok(None),
        Err(error) if error.to_string().is_empty() => bail!("an error without a word"),
        Err(error) => Ok(Some(format!("{error:#}"))),
    }
}
