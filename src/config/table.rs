//! What a setting is: its name, kind, default, documentation and environment names, once, as data.
//!
//! Everything that knows settings follows from these descriptors: loading, `config show`, the search for typos, the
//! reference pages. The [`settings!`](crate::settings) macro writes a typed struct and its descriptors from one text, so
//! that the two cannot drift apart; the program describes its own tables with the same macro.
//!
//! # Celery
//! Answers to `celery.app.defaults`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

/// The environment as it was handed in.
pub type Env = BTreeMap<String, String>;

/// The kind of value a setting takes: how text from the environment or the command line becomes a value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false` (also `yes`, `no`, `on`, `off`, `1`, `0`).
    Flag,
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A number, not negative.
    Number,
    /// A time span in seconds, not negative.
    Seconds,
    /// Any text.
    Text,
    /// A URL; a password in it is never shown.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of names; as text, separated by commas.
    Names,
    /// A list of whole numbers; as text, separated by commas.
    Integers,
    /// A number of slots, or `auto`.
    Concurrency,
    /// A rate as Celery writes it: `10/s`, `120/m`, `100/h`, or a number a second.
    Rate,
    /// `max,min` in either order, or one number.
    Autoscale,
    /// A table with keys of the user's choosing; as text, JSON.
    Mapping,
    /// Whatever the setting's type accepts; as text, JSON or the text itself.
    Any,
}

impl Kind {
    /// The kind in words, for messages and the reference.
    pub fn describe(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Integer(min, i64::MAX) => format!("a whole number, at least {min}"),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number => "a number".into(),
            Self::Seconds => "seconds".into(),
            Self::Text => "text".into(),
            Self::Url => "a URL".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Names => "a list of names".into(),
            Self::Integers => "a list of whole numbers".into(),
            Self::Concurrency => "a number of slots or \"auto\"".into(),
            Self::Rate => "a rate such as \"10/s\" or \"120/m\"".into(),
            Self::Autoscale => "\"max,min\"".into(),
            Self::Mapping => "a table".into(),
            Self::Any => "a value".into(),
        }
    }
}

/// What setting it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The runtime acts on it.
    Works,
    /// The name is known, the value changes nothing; why.
    Nothing(&'static str),
}

/// An environment name of a setting, apart from the generic one that follows from its own name.
#[derive(Clone, Copy)]
pub enum Var {
    /// The variable's text is the value.
    Is(&'static str),
    /// The variable holds megabytes, the setting kibibytes.
    Megabytes(&'static str),
    /// Several variables make one value; returns the names that were read, for the origin, and the text.
    Composed(fn(&Env) -> Option<(String, String)>),
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Is(name) | Self::Megabytes(name) => f.write_str(name),
            Self::Composed(_) => f.write_str("(composed)"),
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its name inside its table, lower case.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// Its default. A function, because a constant cannot hold a list or a map.
    pub default: fn() -> Json,
    /// Whether a value fits the setting's type; the error says why not.
    pub check: fn(&Json) -> Result<(), String>,
    /// Environment names that rank above the generic one, the strongest first.
    pub env: &'static [Var],
    /// Names it had in earlier versions of Celery or has in other programs' files, at the top level.
    pub old: &'static [&'static str],
    /// Whether it does anything.
    pub effect: Effect,
    /// Never shown.
    pub secret: bool,
}

impl Setting {
    /// A setting that works, without further names.
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        kind: Kind,
        default: fn() -> Json,
        check: fn(&Json) -> Result<(), String>,
    ) -> Self {
        Self { name, doc, kind, default, check, env: &[], old: &[], effect: Effect::Works, secret: false }
    }

    /// With environment names.
    pub const fn env(mut self, env: &'static [Var]) -> Self {
        self.env = env;
        self
    }

    /// With old names.
    pub const fn old(mut self, old: &'static [&'static str]) -> Self {
        self.old = old;
        self
    }

    /// Without effect, for this reason.
    pub const fn inert(mut self, reason: &'static str) -> Self {
        self.effect = Effect::Nothing(reason);
        self
    }

    /// Never shown.
    pub const fn secret(mut self, secret: bool) -> Self {
        self.secret = secret;
        self
    }

    /// True when "nothing" is a value it can have.
    pub fn is_optional(&self) -> bool {
        (self.check)(&Json::Null).is_ok()
    }
}

/// Settings that stand together in a file.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Where they stand: `""` for the top level, `celeriac`, `celeriac.storage`. A last part of `*` means one such table for each
    /// name the user chooses: `worker_pools.*`.
    pub path: &'static str,
    /// The settings.
    pub settings: &'static [Setting],
}

impl Table {
    /// The full name of one of its settings.
    pub fn full_name(&self, setting: &Setting) -> String {
        if self.path.is_empty() { setting.name.into() } else { format!("{}.{}", self.path, setting.name) }
    }

    /// True when the table exists once for each name the user chooses.
    pub fn is_keyed(&self) -> bool {
        self.path.ends_with(".*")
    }
}

/// A default as a value; the macro's own.
#[doc(hidden)]
pub fn json<T: Serialize>(value: &T) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// Whether a value fits a type; the macro's own.
#[doc(hidden)]
pub fn check<T: serde::de::DeserializeOwned>(value: &Json) -> Result<(), String> {
    T::deserialize(value).map(drop).map_err(|error| error.to_string())
}

/// Writes a struct of settings with its defaults, and the [`Table`] that describes it.
///
/// ```
/// use celeriac::config::{Kind, Var};
///
/// celeriac::settings! {
///     /// How letters are sorted.
///     pub struct Sorting at "celeriac.sorting" {
///         /// Letters a minute.
///         speed: u32 = 60, Kind::Integer(1, 1000), env: &[Var::Is("SORTING_SPEED")];
///         /// Where they go.
///         target: Option<String> = None, Kind::Text;
///     }
/// }
/// assert_eq!(Sorting::default().speed, 60);
/// assert_eq!(Sorting::TABLE.settings[1].doc, "Where they go.");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $Struct:ident at $path:literal {
            $(
                $(#[doc = $doc:literal])+
                $name:ident : $ty:ty = $default:expr, $kind:expr $(, $attribute:ident : $argument:expr)* ;
            )*
        }
        $( with { $( $(#[$table_meta:meta])* $table:ident : $Table:ty ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        $vis struct $Struct {
            $( $(#[doc = $doc])+ $vis $name: $ty, )*
            $( $( $(#[$table_meta])* $vis $table: $Table, )* )?
        }

        impl $Struct {
            /// The descriptors of these settings.
            $vis const TABLE: $crate::config::Table = $crate::config::Table {
                path: $path,
                settings: &[ $(
                    $crate::config::Setting::new(
                        stringify!($name),
                        concat!($($doc, "\n"),+).trim_ascii(),
                        $kind,
                        || { let value: $ty = $default; $crate::config::table::json(&value) },
                        $crate::config::table::check::<$ty>,
                    )
                    $( .$attribute($argument) )*
                ),* ],
            };
        }

        impl Default for $Struct {
            fn default() -> Self {
                Self {
                    $( $name: $default, )*
                    $( $( $table: Default::default(), )* )?
                }
            }
        }
    };
}
