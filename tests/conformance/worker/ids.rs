//! The group *ids*: tasks that tell where in a canvas they are.

use celeriac::app::AppBuilder;
use celeriac::protocol::Value;
use celeriac::task::{Context, TaskError};
use serde::Deserialize;

use crate::name;

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("ids"), ids);
    app.task(&name("collect_ids"), collect_ids);
}

/// `(root_id, parent_id, i)`.
type Place = (String, Option<String>, Value);

fn place(ctx: &Context, i: Value) -> Place {
    (ctx.request().root_id().to_owned(), ctx.request().parent_id().map(str::to_owned), i)
}

#[derive(Deserialize)]
struct Ids {
    i: Value,
}

async fn ids(ctx: Context, Ids { i }: Ids) -> Result<Place, TaskError> {
    Ok(place(&ctx, i))
}

#[derive(Deserialize)]
struct CollectIds {
    res: Value,
    i: Value,
}

async fn collect_ids(ctx: Context, CollectIds { res, i }: CollectIds) -> Result<(Value, Place), TaskError> {
    Ok((res, place(&ctx, i)))
}
