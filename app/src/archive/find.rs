//! Finding archived jobs, youngest first, as the ledger finds those that live.

use celeriac_tasks::ledger::{Cursor, Found, Query};
use sqlx::{Any, QueryBuilder, Row};

use super::{Archive, Result, read, unreachable};

impl Archive {
    /// Jobs that fit, youngest first.
    pub(crate) async fn find(&self, query: &Query) -> Result<Found> {
        let mut select = QueryBuilder::<Any>::new("SELECT entry, created_ms, job_id FROM celeriac_jobs WHERE 1 = 1");
        conditions(&mut select, query);
        select.push(" ORDER BY created_ms DESC, job_id DESC LIMIT ").push_bind(i64::try_from(query.limit).unwrap_or(i64::MAX));
        select.push(" OFFSET ").push_bind(i64::try_from(query.skip).unwrap_or(i64::MAX));
        let rows = select.build().fetch_all(&self.pool).await.map_err(unreachable)?;
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
}

fn conditions(select: &mut QueryBuilder<Any>, query: &Query) {
    if !query.status.is_empty() {
        select.push(" AND status IN (");
        let mut list = select.separated(", ");
        for status in &query.status {
            list.push_bind(status.as_str().to_owned());
        }
        select.push(")");
    }
    if let Some(user) = &query.user_id {
        select.push(" AND user_id = ").push_bind(user.clone());
    }
    if let Some(tag) = &query.tag {
        select.push(" AND job_id IN (SELECT job_id FROM celeriac_job_tags WHERE tag = ").push_bind(tag.clone()).push(")");
    }
    if let Some(text) = &query.text {
        let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        select.push(" AND words_of_it LIKE ").push_bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
    }
    if let Some(after) = query.created_after {
        select.push(" AND created_ms > ").push_bind(after.timestamp_millis());
    }
    if let Some(cursor) = &query.cursor {
        select.push(" AND (created_ms < ").push_bind(cursor.milliseconds);
        select.push(" OR (created_ms = ").push_bind(cursor.milliseconds);
        select.push(" AND job_id < ").push_bind(cursor.job_id.clone()).push("))");
    }
}
