//! Figures as people say them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "–";

/// Seconds, in the two greatest units.
pub(super) fn spell(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let pair = |large: i64, unit: &str, small: i64, rest: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {rest}"),
    };
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => pair(seconds / 60, "min", seconds % 60, "s"),
        _ if minutes < 60 => format!("{minutes} min"),
        _ if minutes < 1440 => pair(minutes / 60, "h", minutes % 60, "min"),
        _ => format!("{} d", minutes / 1440),
    }
}

/// How long ago.
pub(super) fn age(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    at.map_or_else(|| NOTHING.to_owned(), |at| spell((now - at).num_seconds()))
}

/// A span in milliseconds: seconds below ten with a digit behind the point.
pub(super) fn short(span: TimeDelta) -> String {
    match span.num_milliseconds().max(0) {
        ms @ 0..950 => format!("{ms} ms"),
        ms @ 950..9950 => format!("{}.{} s", (ms + 50) / 1000, (ms + 50) % 1000 / 100),
        ms => spell((ms + 500) / 1000),
    }
}

/// A price.
pub(super) fn price(usd: f64) -> String {
    match usd {
        usd if usd <= 0.0 => NOTHING.to_owned(),
        usd if usd < 0.01 => "< $0.01".to_owned(),
        usd => format!("${usd:.2}"),
    }
}

/// Bytes.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word of an address: everything but plain letters and digits is escaped.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// A value whose JSON is one word.
pub(super) fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_two_units_at_most() {
        let cases =
            [(-3, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (120, "2 min"), (618, "10 min"), (5400, "1 h 30 min"), (200_000, "2 d")];
        for (seconds, text) in cases {
            assert_eq!(spell(seconds), text);
        }
        let short = |ms| short(TimeDelta::milliseconds(ms));
        assert_eq!([short(12), short(2110), short(61_000)], ["12 ms", "2.1 s", "1 min 1 s"]);
    }

    #[test]
    fn figures_read_easily() {
        assert_eq!([price(0.0), price(0.004), price(1.239)], ["–", "< $0.01", "$1.24"]);
        assert_eq!([size(10), size(2_500_000), size(3_000_000_000)], ["1 kB", "2.5 MB", "3.0 GB"]);
        assert_eq!([count(7), count(1204), count(1_000_000)], ["7", "1,204", "1,000,000"]);
    }

    #[test]
    fn a_name_stays_one_word_of_an_address() {
        assert_eq!(segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }
}
