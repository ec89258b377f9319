//! The numbers of signals that remote control names.
//!
//! # Celery
//! `platforms.py: Signals.signum`, with Linux's numbers, and its errors.

use crate::protocol::exception::Exception;
use crate::protocol::value::Value;

const SIGNALS: &[(&str, i64)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
];

/// The signal's number; SIGTERM where none is named.
pub(super) fn signum(signal: Option<&Value>) -> Result<i64, Exception> {
    let Some(signal) = signal else { return Ok(15) };
    if let Some(number) = signal.as_i64() {
        return Ok(number);
    }
    let upper = |name: &&str| *name == name.to_uppercase();
    let Some(name) = signal.as_str().filter(upper) else {
        return Err(Exception::type_error("signal name must be uppercase string."));
    };
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let found = SIGNALS.iter().find(|(known, _)| *known == short).map(|(_, number)| *number);
    found.ok_or_else(|| Exception::builtin("AttributeError", format!("module 'signal' has no attribute 'SIG{short}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_with_or_without_sig_or_numbered() {
        for (signal, number) in [(Value::from("SIGKILL"), 9), (Value::from("KILL"), 9), (Value::from(12), 12)] {
            assert_eq!(signum(Some(&signal)).unwrap(), number);
        }
        assert_eq!(signum(None).unwrap(), 15);
        let wrong = |name: &str| signum(Some(&Value::from(name))).unwrap_err().to_string();
        assert_eq!(wrong("kill"), "TypeError('signal name must be uppercase string.')");
        assert_eq!(wrong("FOO"), r#"AttributeError("module 'signal' has no attribute 'SIGFOO'")"#);
    }
}
