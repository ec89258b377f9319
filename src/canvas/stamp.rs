//! Stamps: names and values that every task of a canvas carries, for whoever watches or revokes by them.
//!
//! # Celery
//! `StampingVisitor`, `Signature.stamp` and its overrides in `canvas.py`. Differences: stamps keep the order in which they were set, and
//! what one task's visitor returns never reaches its sibling (Celery shares a list between them).

use super::inherit::listed;
use crate::protocol::{Map, Signature, Value};

/// The option that names the stamps among the options.
const NAMES: &str = "stamped_headers";

/// Decides what each part of a canvas is stamped with. Every method gets the part, and the stamps that reach it from the whole; what it
/// returns is added. A returned `stamped_headers` says which of the names are stamps; without it all are. Stamps travel among a call's
/// options: a name that means something there (`queue`, `name`, `args` …) makes a Python worker fail.
///
/// ```
/// use celeriac::canvas::{StampingVisitor, chain};
/// use celeriac::protocol::{Map, Signature, Value};
///
/// struct Names;
/// impl StampingVisitor for Names {
///     fn on_signature(&mut self, signature: &Signature, _: &Map) -> Map {
///         Map::from_iter([("task_name".to_owned(), Value::from(&signature.task))])
///     }
/// }
///
/// let stamped = chain([Signature::new("a"), Signature::new("b")]).stamp_with(&mut Names, false);
/// assert_eq!(stamped.tasks()[1].option_str("task_name"), Some("b"));
/// ```
pub trait StampingVisitor {
    /// One call.
    fn on_signature(&mut self, signature: &Signature, stamps: &Map) -> Map;

    /// A group, before its tasks.
    fn on_group_start(&mut self, _group: &Signature, _stamps: &Map) -> Map {
        Map::default()
    }

    /// A group, after its tasks.
    fn on_group_end(&mut self, _group: &Signature, _stamps: &Map) {}

    /// A chain, before its steps.
    fn on_chain_start(&mut self, _chain: &Signature, _stamps: &Map) -> Map {
        Map::default()
    }

    /// A chain, after its steps.
    fn on_chain_end(&mut self, _chain: &Signature, _stamps: &Map) {}

    /// A chord, before its header; as its header's group, unless told otherwise.
    fn on_chord_header_start(&mut self, chord: &Signature, stamps: &Map) -> Map {
        self.on_group_start(&header_of(chord), stamps)
    }

    /// A chord, after its header.
    fn on_chord_header_end(&mut self, chord: &Signature, stamps: &Map) {
        self.on_group_end(&header_of(chord), stamps);
    }

    /// A chord, before its body.
    fn on_chord_body(&mut self, _chord: &Signature, _stamps: &Map) -> Map {
        Map::default()
    }

    /// A callback (`link`), before it is stamped as a signature.
    fn on_callback(&mut self, _callback: &Signature, _stamps: &Map) -> Map {
        Map::default()
    }

    /// An errback (`link_error`), before it is stamped as a signature.
    fn on_errback(&mut self, _errback: &Signature, _stamps: &Map) -> Map {
        Map::default()
    }
}

fn header_of(chord: &Signature) -> Signature {
    chord.kwargs.get("header").cloned().and_then(|header| Signature::from_value(header).ok()).unwrap_or_default()
}

impl Signature {
    /// Stamps every task of a canvas, its callbacks and errbacks, with the same values. A chord's body is not reached, as in Celery: there
    /// only a visitor is asked for it.
    ///
    /// ```
    /// use celeriac::protocol::Signature;
    ///
    /// let stamped = Signature::new("proj.add").stamp([("tenant", "t1")]);
    /// assert_eq!(stamped.option_str("tenant"), Some("t1"));
    /// ```
    #[must_use]
    pub fn stamp<N: Into<String>, V: Into<Value>>(self, stamps: impl IntoIterator<Item = (N, V)>) -> Self {
        let stamps = stamps.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Stamping { visitor: None, append: false }.stamp(self, &stamps)
    }

    /// The same; a stamp it has already gets the new value beside the old one.
    #[must_use]
    pub fn append_stamps<N: Into<String>, V: Into<Value>>(self, stamps: impl IntoIterator<Item = (N, V)>) -> Self {
        let stamps = stamps.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Stamping { visitor: None, append: true }.stamp(self, &stamps)
    }

    /// Stamps a canvas with what a visitor says of each of its parts; `append_stamps` keeps the values of a stamp that comes twice in a
    /// list.
    #[must_use]
    pub fn stamp_with(self, visitor: &mut dyn StampingVisitor, append_stamps: bool) -> Self {
        Stamping { visitor: Some(visitor), append: append_stamps }.stamp(self, &Map::default())
    }

    /// The names of its stamps.
    pub(super) fn stamp_names(&self) -> impl Iterator<Item = &str> {
        self.option(NAMES).and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_str)
    }
}

/// One walk over a canvas.
struct Stamping<'a> {
    visitor: Option<&'a mut dyn StampingVisitor>,
    append: bool,
}

impl Stamping<'_> {
    /// What a visitor says, if there is one.
    fn ask(&mut self, question: impl FnOnce(&mut dyn StampingVisitor) -> Map) -> Option<Map> {
        self.visitor.as_mut().map(|visitor| question(*visitor))
    }

    fn stamp(&mut self, signature: Signature, stamps: &Map) -> Signature {
        if signature.is_chain() {
            self.stamp_chain(signature, stamps)
        } else if signature.is_group() {
            self.stamp_group(signature, stamps)
        } else if signature.is_chord() {
            self.stamp_chord(signature, stamps)
        } else {
            let mut signature = self.stamp_links(signature, stamps);
            let said = self.ask(|visitor| visitor.on_signature(&signature, stamps));
            let stamps = collected(stamps, said, Some(&signature.options), self.append);
            signature.options.extend(stamps);
            signature
        }
    }

    fn stamp_chain(&mut self, chain: Signature, stamps: &Map) -> Signature {
        let said = self.ask(|visitor| visitor.on_chain_start(&chain, stamps));
        let stamps = collected(stamps, said, Some(&chain.options), self.append);
        let chain = self.stamp_links(chain, &stamps).map_tasks(|_, step| self.stamp(step, &stamps));
        if let Some(visitor) = &mut self.visitor {
            visitor.on_chain_end(&chain, &stamps);
        }
        chain
    }

    fn stamp_group(&mut self, group: Signature, stamps: &Map) -> Signature {
        let said = self.ask(|visitor| visitor.on_group_start(&group, stamps));
        let stamps = collected(stamps, said, Some(&group.options), self.append);
        let group = self.stamp_links(group, &stamps).map_tasks(|_, member| self.stamp(member, &stamps));
        if let Some(visitor) = &mut self.visitor {
            visitor.on_group_end(&group, &stamps);
        }
        group
    }

    fn stamp_chord(&mut self, mut chord: Signature, stamps: &Map) -> Signature {
        let said = self.ask(|visitor| visitor.on_chord_header_start(&chord, stamps));
        let stamps = collected(stamps, said, Some(&chord.options), self.append);
        // Errbacks kept on the chord are its body's.
        let of_the_body = chord.options.shift_remove("link_error");
        let mut chord = self.stamp_links(chord, &stamps).map_tasks(|_, part| self.stamp(part, &stamps));
        if let Some(errbacks) = of_the_body {
            chord.options.insert("link_error".to_owned(), errbacks);
        }
        if let Some(visitor) = &mut self.visitor {
            visitor.on_chord_header_end(&chord, &stamps);
        }
        let Some(said) = self.ask(|visitor| visitor.on_chord_body(&chord, &stamps)) else { return chord };
        let stamps = collected(&stamps, Some(said), Some(&chord.options), self.append);
        self.stamp_links(chord, &stamps).map_part("body", |body| self.stamp(body, &stamps))
    }

    /// Stamps callbacks and errbacks. They get nothing of the stamps that their task has itself.
    fn stamp_links(&mut self, mut signature: Signature, stamps: &Map) -> Signature {
        for name in ["link", "link_error"] {
            let Some(links) = signature.options.get_mut(name).map(Value::take).filter(Value::is_truthy) else { continue };
            let mut stamps = stamps.clone();
            let stamped = listed(links).into_iter().map(|link| {
                let Ok(link) = Signature::from_value(link.clone()) else { return link };
                let said = self.ask(|visitor| match name {
                    "link" => visitor.on_callback(&link, &stamps),
                    _ => visitor.on_errback(&link, &stamps),
                });
                stamps = collected(&stamps, said, None, self.append);
                self.stamp(link, &stamps).into_value()
            });
            let stamped = stamped.collect();
            signature.set_option(name, Value::List(stamped));
        }
        signature
    }
}

/// The stamps of a whole, of a visitor and of a signature itself, as one; of one that comes twice the earliest counts, or all do.
fn collected(stamps: &Map, said: Option<Map>, own: Option<&Map>, append: bool) -> Map {
    let mut all = stamps.clone();
    name_all(&mut all);
    if let Some(mut said) = said {
        name_all(&mut said);
        merge(&mut all, said, append);
    }
    if let Some(own) = own {
        let mut names = names_in(&all);
        names.extend(own.get(NAMES).cloned().map(listed).unwrap_or_default());
        let own = own.iter().filter(|(name, _)| names.iter().any(|known| known.as_str() == Some(name)));
        let own: Map = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        all.insert(NAMES.to_owned(), Value::List(names));
        merge(&mut all, own, append);
    }
    let mut names: Vec<Value> = Vec::new();
    names_in(&all).into_iter().for_each(|name| {
        if !names.contains(&name) {
            names.push(name)
        }
    });
    all.insert(NAMES.to_owned(), Value::List(names));
    all
}

fn names_in(stamps: &Map) -> Vec<Value> {
    stamps.get(NAMES).cloned().map(listed).unwrap_or_default()
}

/// Where nothing says which are the stamps, all are.
fn name_all(stamps: &mut Map) {
    if !stamps.contains_key(NAMES) {
        let names = stamps.keys().map(Value::from).collect();
        stamps.insert(NAMES.to_owned(), names);
    }
}

/// Celery's `_merge_dictionaries`: lists are joined in any case.
fn merge(into: &mut Map, from: Map, append: bool) {
    for (name, new) in from {
        match into.get_mut(&name) {
            None => drop(into.insert(name, new)),
            Some(Value::Map(old)) => {
                if let Value::Map(new) = new {
                    merge(old, new, append);
                }
            }
            Some(old) => join(old, new, append),
        }
    }
}

fn join(old: &mut Value, new: Value, append: bool) {
    if append && !matches!(old, Value::List(_)) {
        *old = Value::List(listed(old.take()));
    }
    match (old, new) {
        (Value::List(old), Value::List(new)) => old.extend(new),
        (Value::List(old), new) if append => old.push(new),
        _ => {}
    }
}
