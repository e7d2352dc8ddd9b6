//! Tests that build files message by message.

mod graph;
mod hostile;
mod spellings;
