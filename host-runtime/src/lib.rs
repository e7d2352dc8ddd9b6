//! Device and Session: reference, simulator, rtl.
