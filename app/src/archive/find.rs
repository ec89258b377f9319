//! Finding archived jobs, youngest first, as the ledger finds those that live.

use celeriac_tasks::ledger::{Cursor, Found, Query};
use celeriac_tasks::result::JobStatus;
use sqlx::{Any, Row};

use super::{Archive, Result, kept, read, unreachable};

impl Archive {
    /// Jobs that fit, youngest first.
    pub(crate) async fn find(&self, query: &Query) -> Result<Found> {
        // Documents of one job stand by their numbers, others by their time.
        let (place, from) = match &query.parent {
            Some(_) => ("parts.place", "celeriac_jobs AS jobs JOIN celeriac_job_parts AS parts ON parts.job_id = jobs.job_id"),
            None => ("jobs.created_ms", "celeriac_jobs AS jobs"),
        };
        let mut select = Select::default();
        conditions(&mut select, query, place);
        let limit = select.value(Value::count(query.limit));
        let skip = select.value(Value::count(query.skip));
        let text = format!(
            "SELECT jobs.entry, {place}, jobs.job_id FROM {from} WHERE 1 = 1{} \
             ORDER BY {place} DESC, jobs.job_id DESC LIMIT {limit} OFFSET {skip}",
            select.conditions
        );
        let rows = select.bound(&text).fetch_all(&self.pool).await.map_err(unreachable)?;
        let mut found = Found::default();
        for row in &rows {
            found.jobs.push(read(row.try_get::<String, _>(0).map_err(unreachable)?.as_str())?);
        }
        if let Some(last) = rows.last().filter(|_| rows.len() == query.limit) {
            let milliseconds = last.try_get(1).map_err(unreachable)?;
            found.next = Some(Cursor { milliseconds, job_id: last.try_get(2).map_err(unreachable)? });
        }
        Ok(found)
    }

    /// How many jobs ended so.
    pub(crate) async fn count(&self, status: JobStatus) -> Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM celeriac_jobs WHERE status = $1").bind(status.as_str());
        let count: i64 = row.fetch_one(&self.pool).await.map_err(unreachable)?.try_get(0).map_err(unreachable)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// What is asked, in numbered places: SQLite and Postgres both read `$1`. (sqlx's own builder writes `?`, which Postgres does not read.)
#[derive(Default)]
struct Select {
    conditions: String,
    values: Vec<Value>,
}

enum Value {
    Text(String),
    Number(i64),
}

impl Value {
    fn text(text: &str) -> Self {
        Self::Text(kept(text))
    }

    fn count(count: usize) -> Self {
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl Select {
    /// Takes in a value; its place.
    fn value(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// One condition more, with a value in each of its braces.
    fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        let condition = values.into_iter().fold(condition.to_owned(), |text, value| text.replacen("{}", &self.value(value), 1));
        self.conditions.push_str(" AND ");
        self.conditions.push_str(&condition);
    }

    fn bound(self, text: &str) -> sqlx::query::Query<'_, Any, sqlx::any::AnyArguments> {
        let query = sqlx::query(sqlx::AssertSqlSafe(text.to_owned()));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }
}

fn conditions(select: &mut Select, query: &Query, place: &str) {
    if let Some(parent) = &query.parent {
        select.and("parts.parent = {}", [Value::text(parent)]);
    }
    if query.whole {
        select.and("jobs.job_id NOT IN (SELECT job_id FROM celeriac_job_parts)", []);
    }
    if !query.status.is_empty() {
        let places: Vec<String> = query.status.iter().map(|status| select.value(Value::text(status.as_str()))).collect();
        select.and(&format!("status IN ({})", places.join(", ")), []);
    }
    if let Some(user) = &query.user_id {
        select.and("user_id = {}", [Value::text(user)]);
    }
    if let Some(tag) = &query.tag {
        select.and("jobs.job_id IN (SELECT job_id FROM celeriac_job_tags WHERE tag = {})", [Value::text(tag)]);
    }
    if let Some(text) = &query.text {
        let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        select.and("words_of_it LIKE {} ESCAPE '\\'", [Value::text(&format!("%{escaped}%"))]);
    }
    if let Some(after) = query.created_after {
        select.and("created_ms > {}", [Value::Number(after.timestamp_millis())]);
    }
    if let Some(cursor) = &query.cursor {
        let (at, id) = (|| Value::Number(cursor.milliseconds), Value::text(&cursor.job_id));
        let after = format!("({place} < {{}} OR ({place} = {{}} AND jobs.job_id < {{}}))");
        select.and(&after, [at(), at(), id]);
    }
}
