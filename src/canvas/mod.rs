//! Room: canvas.
