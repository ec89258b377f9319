//! Where a page stands, and who looks at it: under which path, on which entry of the menu, in which colours, and what he may press.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::super::auth::{Caller, Role};
use super::super::{Api, prefix};
use super::pace::Paces;
use super::words::segment;

/// The entries of the menu.
const NAV: [(&str, &str); 6] = [
    ("Overview", "/"),
    ("Jobs", "/jobs"),
    ("Queues", "/queues"),
    ("Workers", "/workers"),
    ("Failures", "/failures"),
    ("System", "/system"),
];

/// Where the pages are.
#[derive(Debug, Clone)]
pub(super) struct Mount {
    base: String,
    pub(super) paces: Paces,
}

impl Mount {
    /// At a path, with or without a slash at its end.
    pub(super) fn at(path: &str) -> Self {
        let path = path.trim_matches('/');
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        Self { base, paces: Paces::default() }
    }

    /// What stands before every path of ours; empty at the root.
    pub(super) fn base(&self) -> &str {
        &self.base
    }
}

/// What every page has around what it shows.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    /// What something before us has taken away from the path.
    pub(super) root: String,
    /// What stands before the paths of pages.
    pub(super) base: String,
    /// What stands before the paths of the API.
    pub(super) api: String,
    /// Where what happens is told; empty: nothing does.
    pub(super) events: String,
    /// `dark`, `light`, or empty: as the system has it.
    pub(super) theme: &'static str,
    pub(super) version: &'static str,
    pub(super) nav: Vec<Entry>,
    pub(super) powers: Powers,
    /// Who is logged in; empty: nobody had to.
    pub(super) who: String,
}

/// What somebody may do here: what he may not is not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Powers {
    /// Hand in jobs and act on them.
    pub(super) operate: bool,
    /// Act on queues, workers and dead letters.
    pub(super) admin: bool,
    /// Read what is for admins: settings, checks, who did what.
    pub(super) inspect: bool,
}

impl Powers {
    /// Of a role; where nothing can be changed, nobody may.
    fn of(role: Option<Role>, read_only: bool) -> Self {
        let at_least = |least| role.is_some_and(|role| role >= least);
        Self {
            operate: at_least(Role::Operate) && !read_only,
            admin: at_least(Role::Admin) && !read_only,
            inspect: at_least(Role::Admin),
        }
    }
}

/// An entry of the menu.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) here: bool,
}

impl Shell {
    fn of(mount: &Mount, path: &str, headers: &HeaderMap) -> Self {
        let root = prefix::told(headers);
        let within = path.strip_prefix(mount.base()).unwrap_or(path);
        let here = |entry: &str| if entry == "/" { within.trim_matches('/').is_empty() } else { within.starts_with(entry) };
        Self {
            base: format!("{root}{}", mount.base()),
            api: format!("{root}/v1"),
            events: format!("{root}/v1/events?topics=jobs,stats"),
            root,
            theme: theme(headers),
            version: env!("CARGO_PKG_VERSION"),
            nav: NAV.iter().map(|(name, path)| Entry { name, path, here: here(path) }).collect(),
            powers: Powers::default(),
            who: String::new(),
        }
    }

    /// The same, looked at by somebody.
    fn seen_by(self, caller: &Caller, read_only: bool) -> Self {
        let who = match (&caller.name, caller.role) {
            (Some(name), Some(role)) if caller.has_session() => format!("{name} · {}", role.as_str()),
            _ => String::new(),
        };
        Self { powers: Powers::of(caller.role, read_only), who, ..self }
    }

    /// The same, told of one job.
    pub(super) fn of_job(mut self, job_id: &str, ended: bool) -> Self {
        self.events = if ended { String::new() } else { format!("{}/jobs/{}/events", self.api, segment(job_id)) };
        self
    }
}

impl FromRequestParts<Api> for Shell {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let mount = parts.extensions.get::<Mount>().cloned().unwrap_or_else(|| Mount::at("/"));
        let shell = Self::of(&mount, parts.uri.path(), &parts.headers);
        Ok(match parts.extensions.get::<Caller>() {
            Some(caller) => shell.seen_by(caller, api.access.is_read_only()),
            None => shell,
        })
    }
}

/// The colours that were chosen in this browser.
pub(in super::super) fn theme(headers: &HeaderMap) -> &'static str {
    let mut cookies = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(';'));
    match cookies.find_map(|cookie| cookie.trim().strip_prefix("celeriac_theme=")) {
        Some("dark") => "dark",
        Some("light") => "light",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn pages_know_the_path_before_them() {
        let mount = Mount::at("/dashboard/");
        let shell = Shell::of(&mount, "/dashboard/jobs/7", &headers("x-forwarded-prefix", "/docs/"));
        assert_eq!((shell.base.as_str(), shell.api.as_str()), ("/docs/dashboard", "/docs/v1"));
        assert_eq!(shell.nav.iter().filter(|entry| entry.here).map(|entry| entry.name).collect::<Vec<_>>(), ["Jobs"]);
        let root = Shell::of(&Mount::at("/"), "/", &HeaderMap::new());
        assert_eq!((root.base.as_str(), root.nav[0].here), ("", true));
    }

    #[test]
    fn nobody_is_shown_what_he_may_not_press() {
        let powers = |role, read_only| {
            let Powers { operate, admin, inspect } = Powers::of(role, read_only);
            (operate, admin, inspect)
        };
        assert_eq!(powers(None, false), (false, false, false));
        assert_eq!(powers(Some(Role::Read), false), (false, false, false));
        assert_eq!(powers(Some(Role::Operate), false), (true, false, false));
        assert_eq!(powers(Some(Role::Admin), false), (true, true, true));
        assert_eq!(powers(Some(Role::Admin), true), (false, false, true), "he still reads what others may not");
    }

    #[test]
    fn the_colours_are_those_that_were_chosen() {
        assert_eq!(theme(&headers("cookie", "a=b; celeriac_theme=dark")), "dark");
        assert_eq!(theme(&headers("cookie", "celeriac_theme=x")), "");
    }

    #[test]
    fn a_job_that_has_ended_tells_nothing_more() {
        let shell = Shell::of(&Mount::at("/"), "/", &HeaderMap::new());
        assert_eq!(shell.clone().of_job("a/b", false).events, "/v1/jobs/a%2Fb/events");
        assert_eq!(shell.of_job("a", true).events, "");
    }
}
