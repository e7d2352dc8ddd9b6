//! Tests that build files message by message.

mod functions;
mod graph;
mod hostile;
mod spellings;
