//! The queues: each has somebody who takes from it.

use std::time::Duration;

use celeriac::app::App;
use celeriac::config::Loaded;
use celeriac_tasks::pipeline::QUEUES;
use serde_json::Value;

use crate::jobs::queue_names;

use super::Check;

const NAME: &str = "queues";
/// How long the broker and the workers may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who takes from which queue; nothing where no broker answers, which another check says.
pub(super) async fn check(loaded: &Loaded) -> Option<Check> {
    if loaded.settings.broker_url.as_deref().is_some_and(|url| url.starts_with("memory:")) {
        return None;
    }
    let app = App::builder(loaded.settings.clone()).connect().ok()?;
    let (workers, alone) = tokio::time::timeout(PATIENCE, look(&app)).await.ok()?.ok()?;
    Some(judge(workers, &alone))
}

/// How many workers there are, and the queues none of them takes from with how many messages wait there.
async fn look(app: &App) -> celeriac::Result<(usize, Vec<(&'static str, usize)>)> {
    let told: Vec<Value> = app.control().inspect().active_queues().await?.into_iter().map(|(_, queues)| queues.into()).collect();
    let mut alone = Vec::new();
    for queue in QUEUES {
        if !told.iter().flat_map(queue_names).any(|served| served == queue) {
            alone.push((queue, app.broker().depth(queue).await?.total()));
        }
    }
    Ok((told.len(), alone))
}

fn judge(workers: usize, alone: &[(&str, usize)]) -> Check {
    if alone.is_empty() {
        return Check::ok(NAME, format!("each has a worker; {workers} answer"));
    }
    let waiting = |(queue, count): &(&str, usize)| if *count > 0 { format!("{queue} ({count} wait)") } else { (*queue).to_owned() };
    let detail = format!("no worker takes from {}", alone.iter().map(waiting).collect::<Vec<_>>().join(", "));
    let queues: Vec<&str> = alone.iter().map(|(queue, _)| *queue).collect();
    Check::warn(NAME, detail, format!("celeriac worker -Q {}; `process` needs none", queues.join(",")))
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_queue_nobody_takes_from_is_named_with_what_waits_in_it() {
        assert_eq!(judge(3, &[]).status, Status::Ok);
        let check = judge(1, &[("page_processing", 7), ("audio_generation", 0)]);
        assert_eq!(
            (check.status, check.detail.as_str()),
            (Status::Warn, "no worker takes from page_processing (7 wait), audio_generation")
        );
        assert!(check.fix.unwrap().starts_with("celeriac worker -Q page_processing,audio_generation"));
    }
}
