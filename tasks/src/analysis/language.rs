//! What depends on a language: recognising it, its function words, its stems.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};
use whatlang::{Detector, Lang};

use super::script::{is_han, is_hiragana, is_katakana};

/// Characters that are enough to recognise a language.
const SAMPLE: usize = 700;

/// ISO 639-1 codes with their function words and stemmers. Lists are our own.
const LANGUAGES: [(&str, &str, Option<Algorithm>); 20] = [
    ("en", include_str!("stopwords/en.txt"), Some(Algorithm::English)),
    ("de", include_str!("stopwords/de.txt"), Some(Algorithm::German)),
    ("fr", include_str!("stopwords/fr.txt"), Some(Algorithm::French)),
    ("es", include_str!("stopwords/es.txt"), Some(Algorithm::Spanish)),
    ("it", include_str!("stopwords/it.txt"), Some(Algorithm::Italian)),
    ("pt", include_str!("stopwords/pt.txt"), Some(Algorithm::Portuguese)),
    ("nl", include_str!("stopwords/nl.txt"), Some(Algorithm::Dutch)),
    ("sv", include_str!("stopwords/sv.txt"), Some(Algorithm::Swedish)),
    ("da", include_str!("stopwords/da.txt"), Some(Algorithm::Danish)),
    ("no", include_str!("stopwords/no.txt"), Some(Algorithm::Norwegian)),
    ("fi", include_str!("stopwords/fi.txt"), Some(Algorithm::Finnish)),
    ("ru", include_str!("stopwords/ru.txt"), Some(Algorithm::Russian)),
    ("ro", include_str!("stopwords/ro.txt"), Some(Algorithm::Romanian)),
    ("tr", include_str!("stopwords/tr.txt"), Some(Algorithm::Turkish)),
    ("pl", include_str!("stopwords/pl.txt"), None),
    ("cs", include_str!("stopwords/cs.txt"), None),
    ("id", include_str!("stopwords/id.txt"), None),
    ("vi", include_str!("stopwords/vi.txt"), None),
    ("ja", include_str!("stopwords/ja.txt"), None),
    ("zh", include_str!("stopwords/zh.txt"), None),
];

/// The function words of all languages: for each, a bit a language.
pub(crate) struct Languages {
    words: HashMap<&'static str, u32>,
}

impl std::fmt::Debug for Languages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Languages").field("words", &self.words.len()).finish()
    }
}

impl Languages {
    pub(crate) fn new() -> Self {
        let mut words = HashMap::new();
        for (at, (_, list, _)) in LANGUAGES.iter().enumerate() {
            for word in list.lines() {
                *words.entry(word).or_insert(0) |= 1 << at;
            }
        }
        Self { words }
    }

    /// What words of `code` are and how they are cut down to stems.
    pub(crate) fn language(&self, code: Option<&str>) -> Language<'_> {
        let at = code.and_then(|code| LANGUAGES.iter().position(|(known, _, _)| *known == code));
        let algorithm = at.and_then(|at| LANGUAGES[at].2);
        Language { words: &self.words, bit: at.map(|at| 1 << at), stemmer: algorithm.map(Stemmer::create) }
    }

    /// The language of running text, ISO 639-1; none when it is too short or could be several.
    pub(crate) fn detect(&self, text: &str) -> Option<&'static str> {
        let end = text.char_indices().nth(SAMPLE).map_or(text.len(), |(at, _)| at);
        let sample = &text[..end];
        by_script(sample).or_else(|| self.by_function_words(sample)).or_else(|| {
            let info = Detector::new().detect(sample)?;
            let code = iso_639_1(info.lang())?;
            // Where a list exists and did not match, the trigrams have seen names and commands, not sentences.
            let listed = LANGUAGES.iter().any(|(known, _, _)| *known == code);
            let letters = sample.chars().filter(|c| c.is_alphabetic()).count();
            (info.is_reliable() && letters >= if listed { 60 } else { 200 }).then_some(code)
        })
    }

    /// A third of running text is function words, and few of them are shared: a count of them is quicker than trigrams
    /// and does not take a program listing for Latin.
    fn by_function_words(&self, text: &str) -> Option<&'static str> {
        let mut hits = [0u32; LANGUAGES.len()];
        let mut total = 0;
        for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
            total += 1;
            let lower = word.to_lowercase();
            let mask = self.words.get(lower.as_str()).copied().unwrap_or(0);
            for (at, hit) in hits.iter_mut().enumerate() {
                *hit += mask >> at & 1;
            }
        }
        let best = (0..hits.len()).max_by_key(|at| (hits[*at], usize::MAX - at))?;
        let second = (0..hits.len()).filter(|at| *at != best).map(|at| hits[at]).max().unwrap_or(0);
        (total >= 20 && hits[best] * 5 >= total && hits[best] * 2 >= second * 3).then_some(LANGUAGES[best].0)
    }
}

/// Japanese, Chinese and Korean show in their characters, also among English commands.
fn by_script(text: &str) -> Option<&'static str> {
    let count = |is: fn(char) -> bool| text.chars().filter(|c| is(*c)).count();
    let letters = count(char::is_alphabetic);
    let (kana, han) = (count(|c| is_hiragana(c) || is_katakana(c)), count(is_han));
    let hangul = count(|c| matches!(c, '\u{ac00}'..='\u{d7a3}'));
    if (kana + han).max(hangul) < 8 || (kana + han + hangul) * 5 < letters {
        None
    } else if hangul > kana + han {
        Some("ko")
    } else {
        Some(if kana * 10 > kana + han { "ja" } else { "zh" })
    }
}

/// One language's words. A language without a list has only its short words as function words.
pub(crate) struct Language<'a> {
    words: &'a HashMap<&'static str, u32>,
    bit: Option<u32>,
    stemmer: Option<Stemmer>,
}

impl Language<'_> {
    /// Whether a word in lower case carries grammar rather than meaning.
    pub(crate) fn is_stop(&self, lower: &str) -> bool {
        match self.bit {
            Some(bit) => self.words.get(lower).is_some_and(|mask| mask & bit != 0) || lower.chars().nth(1).is_none(),
            None => lower.chars().nth(2).is_none(),
        }
    }

    /// Whether its function words are known.
    pub(crate) fn has_list(&self) -> bool {
        self.bit.is_some()
    }

    /// The stem of a word in lower case.
    pub(crate) fn stem(&self, lower: &str) -> String {
        match &self.stemmer {
            // Latin plurals, which the stemmer does not know: matrices, indices, vertices.
            Some(stemmer) if lower.ends_with("trices") => stemmer.stem(&lower.replace("trices", "trix")).into_owned(),
            Some(stemmer) if lower.ends_with("ndices") => stemmer.stem(&lower.replace("ndices", "ndex")).into_owned(),
            Some(stemmer) => stemmer.stem(lower).into_owned(),
            None => lower.to_owned(),
        }
    }
}

fn iso_639_1(lang: Lang) -> Option<&'static str> {
    Some(match lang {
        Lang::Eng => "en",
        Lang::Deu => "de",
        Lang::Fra => "fr",
        Lang::Spa => "es",
        Lang::Ita => "it",
        Lang::Por => "pt",
        Lang::Nld => "nl",
        Lang::Swe => "sv",
        Lang::Dan => "da",
        Lang::Nob => "no",
        Lang::Fin => "fi",
        Lang::Rus => "ru",
        Lang::Ukr => "uk",
        Lang::Bel => "be",
        Lang::Bul => "bg",
        Lang::Srp => "sr",
        Lang::Mkd => "mk",
        Lang::Ron => "ro",
        Lang::Tur => "tr",
        Lang::Pol => "pl",
        Lang::Ces => "cs",
        Lang::Slk => "sk",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Hun => "hu",
        Lang::Ell => "el",
        Lang::Lit => "lt",
        Lang::Lav => "lv",
        Lang::Est => "et",
        Lang::Cat => "ca",
        Lang::Ind => "id",
        Lang::Vie => "vi",
        Lang::Jpn => "ja",
        Lang::Cmn => "zh",
        Lang::Kor => "ko",
        Lang::Tha => "th",
        Lang::Ara => "ar",
        Lang::Pes => "fa",
        Lang::Urd => "ur",
        Lang::Heb => "he",
        Lang::Hin => "hi",
        Lang::Ben => "bn",
        Lang::Tam => "ta",
        Lang::Kat => "ka",
        Lang::Hye => "hy",
        Lang::Epo => "eo",
        Lang::Lat => "la",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_recognised() {
        let languages = Languages::new();
        let cases = [
            ("The committee has approved the plan, and the money will be paid to the regions before the end of the year.", "en"),
            (
                "Der Ausschuss hat den Plan gebilligt, und das Geld wird noch vor dem Ende des Jahres an die Regionen gezahlt, wie es im Gesetz steht.",
                "de",
            ),
            (
                "Le comité a approuvé le plan, et l'argent sera versé aux régions avant la fin de l'année, comme le dit la loi que nous avons votée.",
                "fr",
            ),
            ("システムの管理は管理者の仕事です。設定ファイルを編集して、サービスを再起動してください。", "ja"),
            ("系统管理员负责维护系统。请编辑配置文件，然后重新启动服务，并检查日志文件中的错误信息。", "zh"),
            (
                "Комитет одобрил план, и деньги будут выплачены регионам до конца года, как это и было обещано всем, кто об этом просил.",
                "ru",
            ),
        ];
        for (text, code) in cases {
            assert_eq!(languages.detect(text), Some(code), "{text}");
        }
        assert_eq!(languages.detect("x = y + z"), None);
        assert_eq!(languages.detect(""), None);
    }

    #[test]
    fn function_words_are_those_of_the_language() {
        let languages = Languages::new();
        assert!(languages.language(Some("en")).is_stop("the"));
        assert!(!languages.language(Some("de")).is_stop("the"));
        assert_eq!(languages.language(Some("en")).stem("matrices"), languages.language(Some("en")).stem("matrix"));
    }
}
