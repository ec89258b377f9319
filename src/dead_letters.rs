//! Dead letters for a person: found by what they are, put back or thrown away.
//!
//! # Celery
//! None: Python's workers keep nothing of what they give up.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, Dead};
use crate::error::Result;
use crate::protocol::envelope::Envelope;

/// How many letters are in memory at once.
const PAGE: usize = 200;

/// A message that was given up, and the task it called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message, and why it was given up.
    pub dead: Dead,
    /// The task's name; `None`: it cannot be read.
    pub task: Option<String>,
    /// The task's id.
    pub task_id: Option<String>,
}

impl Letter {
    fn read(dead: Dead) -> Self {
        let envelope = Envelope::parse(&dead.envelope).ok();
        let text = |field: fn(&Envelope) -> Option<&str>| envelope.as_ref().and_then(field).map(str::to_owned);
        let (task, task_id) = (text(Envelope::task_name), text(Envelope::task_id));
        Self { dead, task, task_id }
    }
}

/// Which dead letters are meant: those that fit everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Letters under one of these ids, or of tasks with one of them; empty: any.
    pub ids: Vec<String>,
    /// From this queue.
    pub queue: Option<String>,
    /// Calls of this task.
    pub task: Option<String>,
    /// Whose reason contains this, in whatever case.
    pub reason: Option<String>,
    /// Given up so long ago at least.
    pub min_age: Duration,
    /// Given up so long ago at most.
    pub max_age: Option<Duration>,
}

impl Filter {
    /// True for all letters there are.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fits(&self, letter: &Letter) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let reason = self.reason.as_ref().map(|reason| reason.to_lowercase());
        let is = |id: &String| *id == letter.dead.id || letter.task_id.as_ref() == Some(id);
        (self.ids.is_empty() || self.ids.iter().any(is))
            && same(&self.queue, Some(&letter.dead.queue))
            && same(&self.task, letter.task.as_deref())
            && reason.is_none_or(|reason| letter.dead.letter.reason.to_lowercase().contains(&reason))
    }
}

/// A letter as far as one has to know it to act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its id.
    pub id: String,
    /// The queue it came from.
    pub queue: String,
    /// The task's name.
    pub task: Option<String>,
}

/// The dead letters of a broker.
///
/// ```no_run
/// # async fn example(app: celeriac::app::App) -> celeriac::Result<()> {
/// use celeriac::dead_letters::Filter;
///
/// let letters = app.dead_letters();
/// let mended = Filter { task: Some("tasks.process_page".to_owned()), ..Filter::default() };
/// let ids: Vec<String> = letters.select(&mended).await?.into_iter().map(|letter| letter.id).collect();
/// let gone = letters.requeue(&ids).await?;
/// println!("{} of {} went back to their queues", gone.len(), ids.len());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct DeadLetters {
    broker: Arc<dyn Broker>,
}

impl DeadLetters {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker }
    }

    /// How many there are.
    pub async fn count(&self) -> Result<usize> {
        Ok(self.broker.vitals().await?.dead_letters)
    }

    /// Those that fit, youngest first: `limit` of them after the first `skip`.
    pub async fn list(&self, filter: &Filter, skip: usize, limit: usize) -> Result<Vec<Letter>> {
        let mut ids = self.broker.dead_letter_ids(filter.min_age, filter.max_age).await?;
        ids.reverse();
        let (mut found, mut passed) = (Vec::new(), 0);
        for page in ids.chunks(PAGE) {
            for letter in self.read(page).await?.into_iter().filter(|letter| filter.fits(letter)) {
                if found.len() == limit {
                    return Ok(found);
                }
                passed += 1;
                if passed > skip {
                    found.push(letter);
                }
            }
        }
        Ok(found)
    }

    /// The letter under this id, or the youngest of the task with it.
    pub async fn find(&self, id: &str) -> Result<Option<Letter>> {
        if let Some(letter) = self.read(&[id.to_owned()]).await?.pop() {
            return Ok(Some(letter));
        }
        let filter = Filter { ids: vec![id.to_owned()], ..Filter::default() };
        Ok(self.list(&filter, 0, 1).await?.pop())
    }

    /// Those that fit, oldest first.
    pub async fn select(&self, filter: &Filter) -> Result<Vec<Selected>> {
        let ids = self.broker.dead_letter_ids(filter.min_age, filter.max_age).await?;
        let mut found = Vec::new();
        for page in ids.chunks(PAGE) {
            let fitting = self.read(page).await?.into_iter().filter(|letter| filter.fits(letter));
            found.extend(fitting.map(|Letter { dead, task, .. }| Selected { id: dead.id, queue: dead.queue, task }));
        }
        Ok(found)
    }

    /// Puts letters back to the tails of their queues as if they were new, each in one step: however this is cut short, a letter lies in
    /// its queue or here, never in both. Returns the ids of those that went; what is no envelope, or whose queue is no queue, stays.
    pub async fn requeue(&self, ids: &[String]) -> Result<Vec<String>> {
        self.broker.requeue_dead_letters(ids).await
    }

    /// Throws letters away, and returns how many there were.
    pub async fn discard(&self, ids: &[String]) -> Result<usize> {
        self.broker.discard_dead_letters(ids).await
    }

    async fn read(&self, ids: &[String]) -> Result<Vec<Letter>> {
        Ok(self.broker.dead_letters(ids).await?.into_iter().map(Letter::read).collect())
    }
}
