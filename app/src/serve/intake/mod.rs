//! Documents on their way in: written to the store as they come, so that none is ever whole in memory.

mod form;
mod json;
mod value;

pub(crate) use self::form::{Form, is as is_form, of as form};
pub(crate) use self::json::read as read_json;

/// The most bytes a field has that is no document.
const FIELD_MAX: usize = 1024 * 1024;
/// The most such fields that are kept of one request.
const FIELDS_MAX: usize = 100;
