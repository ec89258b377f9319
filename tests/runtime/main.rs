//! The worker on the memory broker, under paused time: what a task's author and a caller are promised.

mod canvas;
mod failures;
mod house;
mod lifecycle;
mod shutdown;
mod time;
