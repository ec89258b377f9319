//! The group *reject*: tasks that refuse their message.

use celeriac::app::AppBuilder;
use celeriac::task::{Context, TaskError};

use crate::name;

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("reject_then_succeed"), reject_then_succeed).acks_late();
    app.task(&name("reject_without_requeue"), reject_without_requeue);
    app.task(&name("store_success_then_reject"), store_success_then_reject).acks_late();
}

async fn reject_then_succeed(ctx: Context, (): ()) -> Result<&'static str, TaskError> {
    if ctx.request().redelivered() { Ok("second-pass") } else { Err(requeue()) }
}

async fn reject_without_requeue(_: Context, (): ()) -> Result<(), TaskError> {
    Err(TaskError::Reject { requeue: false, reason: "rejected".to_owned() })
}

async fn store_success_then_reject(ctx: Context, (): ()) -> Result<&'static str, TaskError> {
    if ctx.request().redelivered() {
        return Ok("dedup-pass");
    }
    ctx.update_state("SUCCESS", &"first-pass").await?;
    Err(requeue())
}

fn requeue() -> TaskError {
    TaskError::Reject { requeue: true, reason: "the first delivery".to_owned() }
}
