//! One child process and the task that owns it.
