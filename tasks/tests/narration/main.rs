//! Narration by real programs and by a speech server made here: what is spoken can be played, and is as long as its words.

#![allow(clippy::unwrap_used, reason = "in tests a failed unwrap is a failed test")]

mod encoders;
mod espeak;
mod openai;
mod support;
