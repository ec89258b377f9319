//! The documents a child keeps open between calls: a few, the last used first, and closed again when others come.

use std::time::{Duration, Instant};

use pdfium_render::prelude::{PdfDocument, Pdfium};

use crate::error::DocumentError;

use super::{OpenArgs, Opened, pdf};

/// More would cost memory and hardly ever be asked for: a child is given pages of the document it has.
const KEPT: usize = 3;
/// After so many pages a document is opened anew: PDFium keeps all that it has read of one, fonts, images and the contents of pages, for
/// as long as it is open. Opening costs as much as half a page; with a long document, whose every entry is read, it costs more.
const WORN: u32 = 64;
/// So a document is kept for as many pages as make this the most that opening costs each of them.
const OPENING_A_PAGE: Duration = Duration::from_micros(100);

/// An open PDF.
struct Open {
    args: OpenArgs,
    document: PdfDocument<'static>,
    /// Pages that were read of it since.
    pages: u32,
    /// After how many it is opened anew.
    worn: u32,
}

/// The open PDFs of one child.
#[derive(Default)]
pub(super) struct Documents {
    open: Vec<Open>,
}

impl Documents {
    /// The document for one page, opened now or before; the flag says whether it was opened now.
    pub(super) fn get(
        &mut self,
        pdfium: &'static Pdfium,
        wanted: &OpenArgs,
    ) -> Result<(&PdfDocument<'static>, bool), DocumentError> {
        let known = self.take(wanted).filter(|open| open.pages < open.worn);
        let opened = known.is_none();
        let open = match known {
            Some(open) => Open { pages: open.pages + 1, ..open },
            None => Open { pages: 1, ..self.load(pdfium, wanted)? },
        };
        self.open.insert(0, open);
        Ok((&self.open[0].document, opened))
    }

    /// What the document is. All its pages are looked at, so that a long one is opened anew for the first of them.
    pub(super) fn describe(&mut self, pdfium: &'static Pdfium, wanted: &OpenArgs) -> Result<Opened, DocumentError> {
        let open = match self.take(wanted) {
            Some(open) => open,
            None => self.load(pdfium, wanted)?,
        };
        let described = pdf::describe(&open.document)?;
        self.open.insert(0, Open { pages: open.pages.saturating_add(described.pages), ..open });
        Ok(described)
    }

    fn take(&mut self, wanted: &OpenArgs) -> Option<Open> {
        let at = self.open.iter().position(|open| open.args == *wanted)?;
        Some(self.open.remove(at))
    }

    fn load(&mut self, pdfium: &'static Pdfium, wanted: &OpenArgs) -> Result<Open, DocumentError> {
        self.open.truncate(KEPT - 1);
        let began = Instant::now();
        let document = pdf::load(pdfium, &wanted.path, wanted.password.as_deref())?;
        let worth = began.elapsed().as_micros() / OPENING_A_PAGE.as_micros();
        let worn = WORN.max(u32::try_from(worth).unwrap_or(u32::MAX));
        Ok(Open { args: wanted.clone(), document, pages: 0, worn })
    }
}
