//! What the OpenAPI document says of access: how to send a key, and what is answered to who may not.

use axum::http::Method;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, ResponseBuilder};

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

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn guard(operation: &mut Operation) {
    let schemes = ["bearer", "key", "session"];
    operation.security = Some(schemes.map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())).to_vec());
    for (status, description) in REFUSALS {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(description).content("application/problem+json", content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
    }
}
