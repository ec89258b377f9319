//! Documents on their way in: written to the store as they come, so that none is ever whole in memory.

mod form;
mod images;

pub(crate) use self::form::{Form, is as is_form, of as form};
pub(crate) use self::images::read as read_json;
