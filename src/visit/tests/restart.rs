//! A process that stops, and the one that takes up its visits.
