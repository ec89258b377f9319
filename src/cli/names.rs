//! What a node is called, and the files that bear its name.
//!
//! # Celery
//! `utils/nodenames.py`: a name without `@` is a host, so that `-n worker1` is `celery@worker1`.

use super::exit::Failure;
use crate::config::Celeriac;

/// The name of this machine, as it stands in node names for `%h`.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".into() } else { name.into() }
}

/// The node's name as `-n` says; `default` stands before the `@` where nothing else does.
fn nodename(asked: Option<&str>, default: &str, host: &str) -> Result<String, Failure> {
    let (name, at) = match asked.unwrap_or_default().split_once('@') {
        Some((name, at)) => (name, at),
        None => ("", asked.unwrap_or_default()),
    };
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let format = format!("{}@{}", or(name, default), or(at, host));
    expand(&format, host, host.split('.').next().unwrap_or(host), None)
}

/// Puts the node's whole name into the settings, and into the name of its log; the node's name.
pub(super) fn apply(settings: &mut Celeriac, default: &str) -> Result<String, Failure> {
    let nodename = nodename(settings.hostname.as_deref(), default, &host())?;
    settings.log_file = settings.log_file.as_deref().map(|path| file(path, &nodename)).transpose()?;
    settings.hostname = Some(nodename.clone());
    Ok(nodename)
}

/// A file's name, in which `%n` is the node's name before the `@`, `%h` what is behind it and `%p` all of it.
pub(super) fn file(format: &str, nodename: &str) -> Result<String, Failure> {
    let (name, host) = nodename.split_once('@').unwrap_or(("celery", nodename));
    expand(format, host, name, Some(nodename))
}

fn expand(format: &str, host: &str, name: &str, nodename: Option<&str>) -> Result<String, Failure> {
    let domain = host.split_once('.').map_or("", |(_, domain)| domain);
    let mut expanded = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        match (characters.next(), nodename) {
            (Some('h'), _) => expanded.push_str(host),
            (Some('n'), _) => expanded.push_str(name),
            (Some('d'), _) => expanded.push_str(domain),
            (Some('p'), Some(nodename)) => expanded.push_str(nodename),
            // The index of the main process; with its prefix it is nothing.
            (Some('i'), _) => expanded.push('0'),
            (Some('I'), _) => {}
            (Some('%') | None, _) => expanded.push('%'),
            (Some(other), _) => {
                return Err(Failure::usage(format!("unknown format %{other} in {format:?}"))
                    .fix("a percent sign is written %%; %h is the host, %n its name, %d its domain, %i the process's index"));
            }
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodenames_expand_as_celerys() {
        for (asked, expected) in [
            ("celery@%h", "celery@web.example.com"),
            ("w1@%n", "w1@web"),
            ("%n.%d@x", "web.example.com@x"),
            ("worker1", "celery@worker1"),
            ("w@", "w@web.example.com"),
            ("@h", "celery@h"),
            ("", "celery@web.example.com"),
            ("a%%b@%h", "a%b@web.example.com"),
            ("w%i@%n", "w0@web"),
            ("w%I@%n", "w@web"),
        ] {
            assert_eq!(nodename(Some(asked), "celery", "web.example.com").unwrap(), expected, "{asked}");
        }
        assert_eq!(nodename(None, "celery", "web").unwrap(), "celery@web");
        assert_eq!(nodename(Some("%n-%d@%h"), "celery", "web").unwrap(), "web-@web");
        for unknown in ["w%x@h", "w%p@h"] {
            assert_eq!(nodename(Some(unknown), "celery", "web").unwrap_err().exit, crate::cli::exit::Exit::Usage);
        }
    }

    #[test]
    fn files_bear_the_nodes_name() {
        for (format, expected) in [
            ("/var/run/%n.pid", "/var/run/w1.pid"),
            ("%n%I.log", "w1.log"),
            ("%p.log", "w1@web.example.com.log"),
            ("%h-%d-%i", "web.example.com-example.com-0"),
            ("plain", "plain"),
        ] {
            assert_eq!(file(format, "w1@web.example.com").unwrap(), expected);
        }
    }
}
