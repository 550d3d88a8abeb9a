//! The rules over random days.
