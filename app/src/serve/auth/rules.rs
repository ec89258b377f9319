//! What a route asks for: nothing, or a role. A route that nobody thought of here asks for the highest.

use axum::http::Method;

use super::keys::Role;

/// Routes anybody may ask: they tell whether and what runs, and how to come in. `/health` tells more to who is known.
const OPEN: [&str; 7] = ["/livez", "/readyz", "/version", "/health", "/openapi.json", "/login", "/logout"];
/// What the page looks like on which people log in.
const LOOK: &str = "/login";
/// Where those who operate may act: on jobs, by the native routes and those of the sources.
const OPERATED: [&str; 7] =
    ["/v1/jobs", "/v1/uploads", "/v1/estimate", "/v1/dlq/requeue", "/process-large-document", "/cancel-job", "/api"];
/// What only an admin may read.
const TOLD_TO_ADMINS: [&str; 3] = ["/v1/audit", "/v1/doctor", "/v1/settings"];
/// What changes nothing though it is no `GET`: it may be asked of a service that only tells.
const HARMLESS: [&str; 3] = ["/v1/estimate", "/login", "/logout"];

/// The role a request needs; `None`: none.
pub(super) fn needed(method: &Method, path: &str) -> Option<Role> {
    let under = |roots: &[&str]| roots.iter().any(|root| is_under(path, root));
    if OPEN.contains(&path) || (!changes(method) && under(&[LOOK])) {
        return None;
    }
    Some(match changes(method) {
        false if under(&TOLD_TO_ADMINS) => Role::Admin,
        false => Role::Read,
        true if under(&OPERATED) => Role::Operate,
        true => Role::Admin,
    })
}

/// Whether a method changes something.
pub(super) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request is refused where nothing may be changed.
pub(super) fn is_write(method: &Method, path: &str) -> bool {
    changes(method) && !HARMLESS.contains(&path)
}

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_asks_for_its_role_and_an_unknown_one_for_the_highest() {
        let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
        for (method, path, role) in [
            (&get, "/livez", None),
            (&get, "/metrics", Some(Role::Read)),
            (&get, "/v1/jobs", Some(Role::Read)),
            (&get, "/", Some(Role::Read)),
            (&get, "/v1/audit", Some(Role::Admin)),
            (&post, "/v1/jobs", Some(Role::Operate)),
            (&post, "/v1/jobs/a/cancel", Some(Role::Operate)),
            (&delete, "/v1/jobs/a", Some(Role::Operate)),
            (&post, "/v1/estimate", Some(Role::Operate)),
            (&post, "/v1/dlq/requeue", Some(Role::Operate)),
            (&post, "/v1/dlq/discard", Some(Role::Admin)),
            (&post, "/v1/dlq/requeue-all", Some(Role::Admin)),
            (&post, "/v1/queues/default/pause", Some(Role::Admin)),
            (&post, "/v1/workers/a/shutdown", Some(Role::Admin)),
            (&post, "/v1/jobsite", Some(Role::Admin)),
            (&post, "/process-large-document", Some(Role::Operate)),
            (&post, "/cancel-job/a", Some(Role::Operate)),
            (&post, "/api/jobs/status", Some(Role::Operate)),
            (&Method::PATCH, "/something/new", Some(Role::Admin)),
            (&get, "/livez/", Some(Role::Read)),
            (&post, "/login", None),
            (&get, "/login/dashboard.css", None),
            (&post, "/login/dashboard.css", Some(Role::Admin)),
            (&get, "/loginx", Some(Role::Read)),
            (&get, "/v1/settings", Some(Role::Admin)),
        ] {
            assert_eq!(needed(method, path), role, "{method} {path}");
        }
        assert!(is_write(&post, "/v1/jobs") && !is_write(&post, "/v1/estimate") && !is_write(&get, "/v1/jobs"));
    }
}
