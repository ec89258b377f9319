//! The typed name of an isolated function, and the register of what stands behind the names in a child.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Failure;
use super::frame::{self, ReplyHead};
use super::options::Settings;

/// The name of an isolated function with the types of its argument and its value; caller and child share it.
///
/// ```
/// use celeriac::pool::Isolated;
/// const SQUARE: Isolated<u64, u64> = Isolated::new("numbers.square");
/// assert_eq!(SQUARE.name(), "numbers.square");
/// ```
pub struct Isolated<A, R> {
    name: Cow<'static, str>,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> Isolated<A, R> {
    /// A function whose name is known when the program is built.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), types: PhantomData }
    }

    /// A function whose name is known only at run time (a task's name).
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), types: PhantomData }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<A, R> Clone for Isolated<A, R> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}

impl<A, R> fmt::Debug for Isolated<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Isolated").field(&self.name).finish()
    }
}

/// What a function is given once, when its child starts and before the sandbox closes: its settings.
#[derive(Debug)]
pub struct Setup {
    pub(super) settings: Settings,
}

impl Setup {
    /// The value set under `key` in [`super::ChildPoolOptions::settings`], if any.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failure> {
        self.settings.get(key)
    }
}

/// Encodes its whole reply; the flag says that the child must not be used again.
pub(super) type Body = Box<dyn FnMut(&[u8]) -> (Vec<u8>, Keep)>;
type Factory = Box<dyn FnOnce(&Setup) -> Result<Body, Failure>>;

/// Whether a child may serve another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    /// The function panicked: what it kept between calls can no longer be trusted.
    No,
}

/// The isolated functions a program offers; the same list in the worker's binary and in its children.
#[derive(Default)]
pub struct Functions {
    factories: Vec<(String, Factory)>,
}

impl Functions {
    /// No functions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers what stands behind `key`.
    ///
    /// `factory` runs once in each child when it starts, before the sandbox is applied: it binds native libraries, opens
    /// what must be open, and returns the function, which may keep state between its calls. If it fails, calls of this
    /// function end in [`super::CallError::Start`] with its text; other functions of the child are not affected.
    #[must_use]
    pub fn with<A, R, F, C>(mut self, key: &Isolated<A, R>, factory: F) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: FnOnce(&Setup) -> Result<C, Failure> + 'static,
        C: FnMut(A) -> Result<R, Failure> + 'static,
    {
        let factory: Factory = Box::new(move |setup| {
            let mut function = factory(setup)?;
            Ok(Box::new(move |payload: &[u8]| run(&mut function, payload)) as Body)
        });
        self.factories.push((key.name().to_owned(), factory));
        self
    }

    /// The registered names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.iter().map(|(name, _)| name.as_str())
    }

    /// Runs every factory; each function is ready or has its failure.
    pub(super) fn start(self, setup: &Setup) -> HashMap<String, Result<Body, Failure>> {
        let start = |factory: Factory| {
            catch_unwind(AssertUnwindSafe(|| factory(setup))).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
        };
        self.factories.into_iter().map(|(name, factory)| (name, start(factory))).collect()
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn run<A, R, C>(function: &mut C, payload: &[u8]) -> (Vec<u8>, Keep)
where
    A: DeserializeOwned,
    R: Serialize,
    C: FnMut(A) -> Result<R, Failure>,
{
    let args: A = match rmp_serde::from_slice(payload) {
        Ok(args) => args,
        Err(error) => return (frame::reply(&ReplyHead::Codec(format!("arguments: {error}"))), Keep::Yes),
    };
    match catch_unwind(AssertUnwindSafe(|| function(args))) {
        Ok(Ok(value)) => match frame::with_payload(&ReplyHead::Done, &value) {
            Ok(reply) => (reply, Keep::Yes),
            Err(error) => (frame::reply(&ReplyHead::Codec(format!("value: {error}"))), Keep::Yes),
        },
        Ok(Err(failure)) => (frame::reply(&ReplyHead::Failed(failure)), Keep::Yes),
        Err(panic) => (frame::reply(&ReplyHead::Panicked(panicked(panic.as_ref()))), Keep::No),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new("Panic", text.unwrap_or("the isolated function panicked"))
}
