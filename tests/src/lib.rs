//! End to end: golden flows, agreement between devices, tidiness.
