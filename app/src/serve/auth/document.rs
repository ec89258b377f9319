//! What the OpenAPI document says of access: how to send a key, and what is answered to who may not.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};

use super::super::document::{operations, refuses};
use super::{rules, session};

/// What each route may answer to who may not.
const REFUSALS: [(&str, &str); 3] = [
    ("401", "No API key, or one that is not known"),
    ("403", "The key's role does not allow it, the service is read-only, or the request comes from another site's page"),
    ("429", "The key calls too often, or too much waits already"),
];

/// Adds to each route how it is guarded.
pub(in super::super) fn documented(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key")).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    let text = "A session, made by POST /login; what changes something needs the header X-Celeriac-Request: 1 as well";
    let cookie = ApiKeyValue::with_description(session::COOKIE, text);
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if rules::needed(&method, path).is_some() {
                guard(operation);
            }
        }
    }
    document
}

fn guard(operation: &mut Operation) {
    let schemes = ["bearer", "key", "session"];
    operation.security = Some(schemes.map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())).to_vec());
    refuses(operation, &REFUSALS);
}
