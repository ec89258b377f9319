//! What the OpenAPI document says of all routes alike, said once: what stands in their paths, and how they refuse what they cannot
//! read.

use axum::http::Method;
use celeriac_tasks::pipeline::QUEUES;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};

/// How errors are sent.
const PROBLEM: &str = "application/problem+json";
/// Where its shape stands.
const PROBLEM_SHAPE: &str = "#/components/schemas/Problem";

/// What a route answers where its parameters cannot be read.
const UNREADABLE: [(&str, &str); 1] = [("422", "It makes no sense")];
/// And where its body cannot.
const BODY_UNREADABLE: [(&str, &str); 4] = [
    ("400", "The body cannot be read"),
    ("413", "The body is larger than this service takes"),
    ("415", "The body is of another kind than this route takes"),
    ("422", "It makes no sense"),
];

/// The document with all of that.
pub(super) fn finished(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let named = in_path(path);
        for (_, operation) in operations(item) {
            finish(operation, &named);
        }
    }
    document
}

/// The operations of a path with their methods.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds what an operation may answer with a problem, where it does not say so itself.
pub(super) fn refuses(operation: &mut Operation, refusals: &[(&str, &str)]) {
    for (status, description) in refusals {
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| problem(description).into());
    }
}

fn problem(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::new(PROBLEM_SHAPE))).build();
    ResponseBuilder::new().description(description).content(PROBLEM, content).build()
}

fn finish(operation: &mut Operation, named: &[Parameter]) {
    let parameters = operation.parameters.get_or_insert_default();
    let asks = !parameters.is_empty();
    parameters.splice(0..0, named.iter().cloned().map(RefOr::T));
    if asks {
        refuses(operation, &UNREADABLE);
    }
    if operation.request_body.is_some() {
        refuses(operation, &BODY_UNREADABLE);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content = std::mem::take(&mut response.content).into_iter().map(named_by_kind).collect();
        }
    }
}

/// A problem has a media type of its own.
fn named_by_kind((media_type, content): (String, RefOr<Content>)) -> (String, RefOr<Content>) {
    let is_problem =
        matches!(&content, RefOr::T(Content { schema: Some(RefOr::Ref(shape)), .. }) if shape.ref_location == PROBLEM_SHAPE);
    (if is_problem { PROBLEM.to_owned() } else { media_type }, content)
}

/// The parameters that stand in a path.
fn in_path(path: &str) -> Vec<Parameter> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(named).collect()
}

fn named(name: &str) -> Parameter {
    let text = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    let number = || ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(1));
    let (description, schema) = match name {
        "job_id" => ("The job's id", text().min_length(Some(1))),
        "page" => ("The number of a page, from 1", number()),
        "part" => ("The number of a part, from 1", number()),
        "queue" => ("The name of a queue", text().enum_values(Some(QUEUES))),
        _ => ("", text()),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
