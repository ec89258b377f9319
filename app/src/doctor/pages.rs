//! PDFium: found, bound in a sandboxed child, and rendering a page that is built in.

use std::time::Duration;

use celeriac::config::{Env, Loaded};
use celeriac::pool::CallOptions;
use celeriac_tasks::render::{Kind, OpenArgs, PAGE, PageArgs, find_pdfium};

use crate::resources::{children, pdfium_options, pdfium_version, render_options};
use crate::scratch::Scratch;
use crate::settings::Documents;

use super::Check;

const NAME: &str = "pdfium";
const GET: &str = "run scripts/get-pdfium, or point CELERIAC_PDFIUM at a libpdfium.so";

/// One page with one word; its cross-reference table is left to PDFium to rebuild.
const PAGE_WITH_A_WORD: &[u8] = b"%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>> endobj
4 0 obj <</Length 40>> stream
BT /F 24 Tf 20 40 Td (celeriac) Tj ET   
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
trailer <</Root 1 0 R>>
%%EOF
";

pub(super) async fn pdfium(loaded: &Loaded, env: &Env, documents: &Documents) -> Check {
    let library = match find_pdfium(&pdfium_options(documents, env)) {
        Ok(library) => library,
        Err(missing) => return Check::fail(NAME, missing, GET),
    };
    let version = pdfium_version(documents, env).map(|version| format!(" ({version})")).unwrap_or_default();
    match render(loaded, env, documents).await {
        Ok((text, missing)) if text.trim() == "celeriac" => {
            let mut detail = format!("{}{}, renders and reads a page in a child", library.display(), version);
            if missing.is_empty() {
                return Check::ok(NAME, detail);
            }
            detail.push_str(&format!("; its sandbox lacks {}", missing.join(", ")));
            Check::warn(NAME, detail, "a newer kernel, or a container that allows landlock and seccomp")
        }
        Ok((text, _)) => Check::fail(NAME, format!("{} reads {text:?} from a page that says \"celeriac\"", library.display()), GET),
        Err(why) => Check::fail(NAME, format!("{}{}: {why}", library.display(), version), GET),
    }
}

/// The text of the built-in page, and what the child's sandbox lacks.
async fn render(loaded: &Loaded, env: &Env, documents: &Documents) -> Result<(String, Vec<String>), String> {
    let folder = Scratch::new("doctor").map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let path = folder.path().join("page.pdf");
    std::fs::write(&path, PAGE_WITH_A_WORD).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let pool = children(loaded, env, vec![folder.path().to_owned()], 1).map_err(|failure| failure.to_string())?;
    let document = OpenArgs { path, kind: Kind::Pdf, password: None };
    let args = PageArgs { document, index: 0, render: render_options(documents) };
    let answer = pool.call(&PAGE, args, CallOptions::default().time_limit(Duration::from_secs(20))).await;
    let missing = pool.children().await.into_iter().flat_map(|child| child.missing).collect();
    pool.close(Duration::from_secs(1)).await;
    let page = answer.map_err(|error| error.to_string())?.map_err(|error| error.message)?;
    Ok((page.text, missing))
}
