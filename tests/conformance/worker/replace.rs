//! The group *replace*: tasks that let others take their place.

use celeriac::app::AppBuilder;
use celeriac::canvas::{StampingVisitor, chain, group};
use celeriac::protocol::{Map, Signature, Value};
use celeriac::task::{Arguments, Context, RequestInfo, TaskError};
use serde::Deserialize;

use crate::basic::Pair;
use crate::chord::AddToAll;
use crate::python::{self, Args, task};
use crate::{name, redis_client};

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("add_replaced"), add_replaced);
    app.task(&name("add_replaced_with_chain"), add_replaced_with_chain);
    app.task(&name("replace_with_chain"), replace_with_chain);
    app.task(&name("replace_with_chain_which_raises"), replace_with_chain_which_raises);
    app.task(&name("replace_with_chain_which_contains_a_group"), replace_with_chain_which_contains_a_group);
    app.task(&name("replace_with_empty_chain"), replace_with_empty_chain);
    app.task(&name("add_to_all"), add_to_all);
    app.task(&name("fail_replaced"), fail_replaced);
    app.task(&name("second_order_replace1"), second_order_replace1);
    app.task(&name("second_order_replace2"), second_order_replace2);
    app.task(&name("record_replaced_task_nesting"), record_replaced_task_nesting);
    app.task(&name("replace_with_stamped_task"), replace_with_stamped_task).on_replace(stamp_on_replace);
}

async fn add_replaced(ctx: Context, Pair { x, y }: Pair) -> Result<(), TaskError> {
    Err(ctx.replace(task("add").arg(x).arg(y)))
}

async fn add_replaced_with_chain(ctx: Context, Pair { x, y }: Pair) -> Result<(), TaskError> {
    Err(ctx.replace(chain([task("add").arg(x).arg(y), task("identity")])))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    link_msg: Value,
}

/// `redis_echo` with a message of its own, or with what it is called with.
fn echo(Link { link_msg }: Link) -> Signature {
    if link_msg.is_null() { task("redis_echo") } else { task("redis_echo").arg(link_msg).immutable() }
}

async fn replace_with_chain(ctx: Context, call: Arguments) -> Result<(), TaskError> {
    let link = echo(python::keywords(call.kwargs)?);
    Err(ctx.replace(chain([task("identity").args(call.args), task("identity")]).link(link)))
}

async fn replace_with_chain_which_raises(ctx: Context, call: Arguments) -> Result<(), TaskError> {
    let link = echo(python::keywords(call.kwargs)?);
    Err(ctx.replace(chain([task("identity").args(call.args), task("raise_error")]).link_error(link)))
}

async fn replace_with_chain_which_contains_a_group(ctx: Context, (): ()) -> Result<(), TaskError> {
    let add = |number: i64| task("add").arg(number);
    Err(ctx.replace(chain([add(1).arg(2), group([add(1), add(1)])])))
}

async fn replace_with_empty_chain(ctx: Context, _: Args) -> Result<(), TaskError> {
    Err(ctx.replace(chain([])))
}

async fn add_to_all(ctx: Context, AddToAll { nums, val }: AddToAll) -> Result<(), TaskError> {
    Err(ctx.replace(group(nums.into_iter().map(|num| task("add").arg(num).arg(val.clone())))))
}

async fn fail_replaced(ctx: Context, args: Args) -> Result<(), TaskError> {
    Err(ctx.replace(task("fail").args(args).immutable()))
}

/// Whether a task that replaces itself by a chain, which ends in itself, is at its end.
#[derive(Deserialize)]
struct Second {
    #[serde(default)]
    state: bool,
}

async fn second_order_replace1(ctx: Context, Second { state }: Second) -> Result<(), TaskError> {
    say(&ctx, if state { "Out A" } else { "In A" }).await?;
    let again = task("second_order_replace1").kwarg("state", true).immutable();
    if state { Ok(()) } else { Err(ctx.replace(chain([task("second_order_replace2"), again]))) }
}

async fn second_order_replace2(ctx: Context, Second { state }: Second) -> Result<(), TaskError> {
    say(&ctx, if state { "Out B" } else { "In B" }).await?;
    let again = task("second_order_replace2").kwarg("state", true).immutable();
    if state { Ok(()) } else { Err(ctx.replace(chain([task("redis_echo").arg("In/Out C"), again]))) }
}

async fn say(ctx: &Context, message: &str) -> Result<(), TaskError> {
    redis_client::push(ctx, "redis-echo", &Value::from(message)).await
}

#[derive(Deserialize)]
struct RecordNesting {
    replacements: i64,
    #[serde(default)]
    nesting: Option<Vec<u32>>,
}

async fn record_replaced_task_nesting(ctx: Context, args: RecordNesting) -> Result<Vec<u32>, TaskError> {
    let mut nesting = args.nesting.unwrap_or_default();
    nesting.push(ctx.request().replaced_task_nesting());
    if args.replacements == 0 {
        return Ok(nesting);
    }
    let next = task("record_replaced_task_nesting").arg(args.replacements - 1).arg(nesting);
    Err(ctx.replace(next.set("reply_to", ctx.request().properties().reply_to.clone())))
}

#[derive(Deserialize)]
struct ReplaceWith {
    #[serde(default)]
    replace_with: Option<Signature>,
}

async fn replace_with_stamped_task(ctx: Context, ReplaceWith { replace_with }: ReplaceWith) -> Result<(), TaskError> {
    Err(ctx.replace(replace_with.unwrap_or_else(|| task("replaced_with_me"))))
}

/// The suite's `StampOnReplace`: one stamp more on whatever takes the task's place.
struct StampOnReplace;

impl StampingVisitor for StampOnReplace {
    fn on_signature(&mut self, _: &Signature, _: &Map) -> Map {
        Map::from_iter([("StampOnReplace".to_owned(), "This is the replaced task".into())])
    }
}

fn stamp_on_replace(_: &RequestInfo, signature: Signature) -> Signature {
    signature.stamp_with(&mut StampOnReplace, false)
}
