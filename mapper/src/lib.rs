//! Network x Arch to Mapspace to Mapping to Program.
