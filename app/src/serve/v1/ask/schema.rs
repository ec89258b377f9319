//! What the document of the API says of bodies that ask for a job.

use utoipa::openapi::schema::{
    AllOfBuilder, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Ask, Part};

/// A JSON body: it may have its images, or its document, with it.
pub(crate) struct AskJson;

impl PartialSchema for AskJson {
    fn schema() -> RefOr<Schema> {
        let images = ArrayBuilder::new().items(text()).description(Some("In place of a source: one image a page, base64"));
        let pdf = text().description(Some("In place of a source: a document, base64"));
        with([("images_base64", images.min_items(Some(1)).build().into()), ("pdf_base64", pdf.build().into())])
    }
}

impl ToSchema for AskJson {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Part".to_owned(), Part::schema()));
        Part::schemas(schemas);
        Ask::schemas(schemas);
    }
}

/// A form: it may have its document with it.
pub(crate) struct AskForm;

impl PartialSchema for AskForm {
    fn schema() -> RefOr<Schema> {
        let file = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let several = ArrayBuilder::new().items(file()).min_items(Some(1));
        let files = AnyOfBuilder::new().item(file()).item(several);
        with([("file", files.description(Some("In place of a source: the document, or several as one job")).build().into())])
    }
}

impl ToSchema for AskForm {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Part".to_owned(), Part::schema()));
        Part::schemas(schemas);
        Ask::schemas(schemas);
    }
}

/// What is asked for, with further properties: it has a source, or of these and of documents at least one. What is null is not there.
fn with<const N: usize>(properties: [(&str, Schema); N]) -> RefOr<Schema> {
    let source = || Ref::from_schema_name("Source");
    let mut asked = Ask::schema();
    if let RefOr::T(Schema::Object(object)) = &mut asked {
        let maybe = AnyOfBuilder::new().item(source()).item(nothing());
        object.properties.insert("source".to_owned(), Schema::from(maybe.build()).into());
        object.properties.extend(properties.iter().map(|(name, property)| ((*name).to_owned(), property.clone().into())));
    }
    let has = |name: &str| ObjectBuilder::new().required(name);
    let list = ObjectBuilder::new().schema_type(Type::Array);
    let several = AnyOfBuilder::new().item(has("documents").property("documents", list));
    let several = properties.iter().fold(several, |several, (name, _)| several.item(has(name)));
    let one = OneOfBuilder::new().item(has("source").property("source", source())).item(several);
    Schema::from(AllOfBuilder::new().item(asked).item(one).build()).into()
}

/// Several documents: each with what is its own, or just its path or address.
pub(super) fn documents() -> RefOr<Schema> {
    let one = AnyOfBuilder::new().item(text()).item(Ref::from_schema_name("Part"));
    let several = ArrayBuilder::new().items(one).min_items(Some(1));
    Schema::from(AnyOfBuilder::new().item(several).item(nothing()).build()).into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn priority() -> RefOr<Schema> {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["high", "normal", "low"]));
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(-10)).maximum(Some(10));
    Schema::from(AnyOfBuilder::new().item(word).item(number).item(nothing()).build()).into()
}

pub(super) fn batch_size() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(u32::MAX));
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["auto"]));
    Schema::from(AnyOfBuilder::new().item(number).item(word).item(nothing()).build()).into()
}

fn nothing() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Null))
}
