//! The documents a child keeps open between calls: a few, the last used first, and closed again when others come.

use pdfium_render::prelude::{PdfDocument, Pdfium};

use crate::error::DocumentError;

use super::{OpenArgs, pdf};

/// More would cost memory and hardly ever be asked for: a child is given pages of the document it has.
const KEPT: usize = 3;

/// The open PDFs of one child.
#[derive(Default)]
pub(super) struct Documents {
    open: Vec<(OpenArgs, PdfDocument<'static>)>,
}

impl Documents {
    /// The document, opened now or before; the flag says whether it was opened now.
    pub(super) fn get(
        &mut self,
        pdfium: &'static Pdfium,
        wanted: &OpenArgs,
    ) -> Result<(&PdfDocument<'static>, bool), DocumentError> {
        let known = self.open.iter().position(|(args, _)| args == wanted);
        let entry = match known {
            Some(at) => self.open.remove(at),
            None => {
                self.open.truncate(KEPT - 1);
                (wanted.clone(), pdf::load(pdfium, &wanted.path, wanted.password.as_deref())?)
            }
        };
        self.open.insert(0, entry);
        Ok((&self.open[0].1, known.is_none()))
    }
}
