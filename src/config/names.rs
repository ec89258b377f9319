//! Names of settings: what an old name is called today, and which name a typo was meant to be.
//!
//! # Celery
//! The old names are those of Celery 3 (`CELERYD_CONCURRENCY`) and of Django projects (`CELERY_TASK_ACKS_LATE`). Celery refuses
//! to mix them with new ones; here each is read, with a note that gives the modern name.

use super::inert;
use super::table::Table;

/// The name that is most like the given one, if any is so near that it was probably meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len().min(name.len()) / 4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What a top-level key that is no setting's name is called today.
pub(super) enum Modern {
    /// This setting, by its full name.
    Setting(String),
    /// A setting without effect, for this reason.
    Inert(&'static str),
}

/// Resolves an old or upper-case top-level name.
pub(super) fn modern(key: &str, tables: &[Table]) -> Option<Modern> {
    let lower = key.to_lowercase();
    let described = |name: &str| {
        let owner = tables.iter().find(|table| table.path.is_empty() && table.settings.iter().any(|setting| setting.name == name));
        owner.map(|_| Modern::Setting(name.to_owned())).or_else(|| inert::reason(name).map(Modern::Inert))
    };
    let by_old_name = || {
        tables.iter().find_map(|table| {
            let setting = table.settings.iter().find(|setting| setting.old.contains(&lower.as_str()))?;
            Some(Modern::Setting(table.full_name(setting)))
        })
    };
    let by_prefix = || {
        let (rest, prefixes): (&str, &[&str]) = if let Some(rest) = lower.strip_prefix("celeryd_") {
            (rest, &["worker_", ""])
        } else if let Some(rest) = lower.strip_prefix("celerybeat_") {
            (rest, &["beat_"])
        } else {
            (lower.strip_prefix("celery_")?, &["", "task_", "worker_", "result_"])
        };
        prefixes.iter().find_map(|prefix| described(&format!("{prefix}{rest}")))
    };
    described(&lower).or_else(by_old_name).or_else(by_prefix)
}

#[cfg(test)]
mod tests {
    use super::super::load::CORE;
    use super::*;

    fn name(key: &str) -> Option<String> {
        match modern(key, CORE)? {
            Modern::Setting(name) => Some(name),
            Modern::Inert(reason) => Some(format!("({reason})")),
        }
    }

    #[test]
    fn old_names_lead_to_the_modern_one() {
        for (old, modern) in [
            ("CELERYD_CONCURRENCY", "worker_concurrency"),
            ("CELERYD_TASK_TIME_LIMIT", "task_time_limit"),
            ("CELERY_ACKS_LATE", "task_acks_late"),
            ("CELERY_TASK_ACKS_LATE", "task_acks_late"),
            ("CELERY_RESULT_BACKEND", "result_backend"),
            ("CELERY_TASK_RESULT_EXPIRES", "result_expires"),
            ("CELERY_MESSAGE_COMPRESSION", "task_compression"),
            ("CELERY_SEND_EVENTS", "worker_send_task_events"),
            ("CELERYD_WORKER_LOST_WAIT", "worker_lost_wait"),
            ("BROKER_URL", "broker_url"),
            ("CELERYBEAT_SCHEDULE", "beat_schedule"),
            ("max_workers", "celeriac.max_workers"),
        ] {
            assert_eq!(name(old).as_deref(), Some(modern), "{old}");
        }
        assert_eq!(name("CELERY_ALWAYS_EAGER").as_deref(), Some("(Python's own)"));
        assert_eq!(name("CELERY_NONSENSE"), None);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["task_acks_late", "task_routes", "worker_concurrency"];
        assert_eq!(nearest("task_acks_lat", names), Some("task_acks_late"));
        assert_eq!(nearest("wroker_concurency", names), Some("worker_concurrency"));
        assert_eq!(nearest("colour", names), None);
    }
}
