//! Durations as operators write them: a number with a unit, whole milliseconds.

use std::time::Duration;

use super::mistake::{Complaint, quote};
use super::node::Scalar;
use super::parse::{Parsed, text};

/// `2500ms`, `2.5s`, `1m`, `1h`, between two bounds, both included.
pub(super) fn between(scalar: &Scalar, min: Duration, max: Duration) -> Parsed<Duration> {
    let text = text(scalar)?;
    let length = bare_duration(text)?;
    if (min..=max).contains(&length) {
        return Ok(length);
    }
    let (min, max) = (show(min), show(max));
    Err(Complaint::new(format!("{} is out of range, want {min} to {max}", quote(text))))
}

fn bare_duration(text: &str) -> Parsed<Duration> {
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if !number.is_empty() => {
            let advice = format!("write {}ms or {}s", shorten(number), shorten(number));
            return Err(Complaint::with(format!("{} has no unit", quote(text)), advice));
        }
        _ => return Err(no_duration(text)),
    };
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let whole: u64 = whole.parse().map_err(|_| no_duration(text))?;
    let fraction = fraction.map_or(Ok(0), |digits| fraction_of(digits, milliseconds, text))?;
    let total = whole.checked_mul(milliseconds).and_then(|whole| whole.checked_add(fraction));
    total.map(Duration::from_millis).ok_or_else(|| no_duration(text))
}

/// The part behind the point, in milliseconds.
fn fraction_of(digits: &str, milliseconds: u64, text: &str) -> Parsed<u64> {
    // Nine digits of an hour in milliseconds stay far below the end of u64.
    let value = (1..=9).contains(&digits.len()).then(|| digits.parse::<u64>().ok()).flatten();
    let value = value.ok_or_else(|| no_duration(text))?;
    let scale = 10_u64.pow(u32::try_from(digits.len()).unwrap_or(9));
    let product = value * milliseconds;
    if !product.is_multiple_of(scale) {
        let message = format!("{} is finer than a millisecond", quote(text));
        return Err(Complaint::with(message, "round it to whole milliseconds"));
    }
    Ok(product / scale)
}

fn no_duration(text: &str) -> Complaint {
    Complaint::with(format!("{} is no duration", quote(text)), "write it as 2500ms, 2.5s or 1m")
}

fn shorten(text: &str) -> String {
    text.chars().take(20).collect()
}

/// A duration as an operator would write it.
pub(super) fn show(length: Duration) -> String {
    let milliseconds = length.as_millis();
    if milliseconds > 0 && milliseconds.is_multiple_of(1000) {
        format!("{}s", milliseconds / 1000)
    } else {
        format!("{milliseconds}ms")
    }
}
