//! The few sentences of our own in a summary, in the document's language where we know it.

/// Our sentences in one language.
#[derive(Debug)]
pub(super) struct Phrases {
    /// `{pages}` pages, `{sections}` sections.
    pub size: &'static str,
    /// The same without sections.
    pub size_only: &'static str,
    /// Where only some pages were read: `{pages}` of them.
    pub read: &'static str,
    /// Before the themes' names.
    pub themes: &'static str,
    /// Before the last of several names.
    pub and: &'static str,
    /// Title of a run of pages: `{from}`, `{to}`.
    pub run: &'static str,
    /// Title of a single page: `{from}`.
    pub one: &'static str,
    /// The largest section: `{title}`, `{pages}`, `{percent}`.
    pub largest: &'static str,
    /// A theme found only in a part: `{theme}`, `{from}`, `{to}`.
    pub concentrated: &'static str,
    /// A theme found all over: `{theme}`, `{sections}`, `{all}`.
    pub spread: &'static str,
    /// Pages without running text: `{pages}`.
    pub without: &'static str,
    /// Pages that are missing: `{pages}`.
    pub missing: &'static str,
    /// How numbers group thousands.
    pub thousands: &'static str,
}

const ENGLISH: Phrases = Phrases {
    size: "The document has {pages} pages in {sections} sections.",
    size_only: "The document has {pages} pages.",
    read: "The summary rests on {pages} of them.",
    themes: "Its main themes are ",
    and: " and ",
    run: "Pages {from}–{to}",
    one: "Page {from}",
    largest: "The longest section is “{title}” with {pages} pages, {percent} % of the document.",
    concentrated: "“{theme}” is treated almost only on pages {from} to {to}.",
    spread: "“{theme}” runs through the document: it comes up in {sections} of {all} sections.",
    without: "{pages} pages hold lists, program text or figures rather than running text.",
    missing: "{pages} pages could not be read and are not covered.",
    thousands: ",",
};

const GERMAN: Phrases = Phrases {
    size: "Das Dokument hat {pages} Seiten in {sections} Abschnitten.",
    size_only: "Das Dokument hat {pages} Seiten.",
    read: "Die Zusammenfassung beruht auf {pages} davon.",
    themes: "Die wichtigsten Themen sind ",
    and: " und ",
    run: "Seiten {from}–{to}",
    one: "Seite {from}",
    largest: "Der längste Abschnitt ist „{title}“ mit {pages} Seiten, {percent} % des Dokuments.",
    concentrated: "„{theme}“ wird fast nur auf den Seiten {from} bis {to} behandelt.",
    spread: "„{theme}“ zieht sich durch das Dokument: das Thema kommt in {sections} von {all} Abschnitten vor.",
    without: "{pages} Seiten enthalten Listen, Programmtext oder Abbildungen statt Fließtext.",
    missing: "{pages} Seiten konnten nicht gelesen werden und fehlen hier.",
    thousands: ".",
};

const FRENCH: Phrases = Phrases {
    size: "Le document compte {pages} pages en {sections} sections.",
    size_only: "Le document compte {pages} pages.",
    read: "Le résumé repose sur {pages} d’entre elles.",
    themes: "Ses thèmes principaux sont ",
    and: " et ",
    run: "Pages {from}–{to}",
    one: "Page {from}",
    largest: "La section la plus longue est « {title} » avec {pages} pages, soit {percent} % du document.",
    concentrated: "« {theme} » n’est traité presque que des pages {from} à {to}.",
    spread: "« {theme} » traverse le document : le thème apparaît dans {sections} sections sur {all}.",
    without: "{pages} pages contiennent des listes, du code ou des figures plutôt que du texte suivi.",
    missing: "{pages} pages n’ont pas pu être lues et ne sont pas prises en compte.",
    thousands: "\u{202f}",
};

const SPANISH: Phrases = Phrases {
    size: "El documento tiene {pages} páginas en {sections} secciones.",
    size_only: "El documento tiene {pages} páginas.",
    read: "El resumen se basa en {pages} de ellas.",
    themes: "Sus temas principales son ",
    and: " y ",
    run: "Páginas {from}–{to}",
    one: "Página {from}",
    largest: "La sección más larga es «{title}», con {pages} páginas, el {percent} % del documento.",
    concentrated: "«{theme}» se trata casi solo en las páginas {from} a {to}.",
    spread: "«{theme}» recorre el documento: aparece en {sections} de {all} secciones.",
    without: "{pages} páginas contienen listas, código o figuras en lugar de texto corrido.",
    missing: "No se pudieron leer {pages} páginas y no están incluidas.",
    thousands: ".",
};

impl Phrases {
    /// Those of a language; English for languages we do not write.
    pub(super) fn of(language: Option<&str>) -> &'static Self {
        match language {
            Some("de") => &GERMAN,
            Some("fr") => &FRENCH,
            Some("es") => &SPANISH,
            _ => &ENGLISH,
        }
    }

    /// Whether a language is one of ours, so that our sentences may stand among the document's.
    pub(super) fn knows(language: Option<&str>) -> bool {
        matches!(language, None | Some("en" | "de" | "fr" | "es"))
    }

    /// A number with its thousands apart.
    pub(super) fn number(&self, number: usize) -> String {
        let digits = number.to_string();
        let mut out = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push_str(self.thousands);
            }
            out.push(digit);
        }
        out
    }

    /// `a, b and c`.
    pub(super) fn list(&self, names: &[String]) -> String {
        match names {
            [] => String::new(),
            [one] => one.clone(),
            [rest @ .., last] => format!("{}{}{last}", rest.join(", "), self.and),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists_are_written_as_the_language_does() {
        let english = Phrases::of(Some("en"));
        assert_eq!(
            (english.number(7), english.number(1158), english.number(1_234_567)),
            ("7".into(), "1,158".into(), "1,234,567".into())
        );
        assert_eq!(Phrases::of(Some("de")).number(1158), "1.158");
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(
            (english.list(&names), english.list(&names[..1]), english.list(&[])),
            ("a, b and c".into(), "a".into(), String::new())
        );
    }
}
