//! Snova: a service for the device on a store counter.
//!
//! It sees a face, recognises a regular who has agreed to be recognised, puts the name on the cashier's
//! screen, and records the visit for the company's CRM. The modules stand in the order in which data
//! travels; which may use which is fixed in `ARCHITECTURE.md` and enforced by `tests/tidy.rs`.

// What everything may use.
pub mod clock;
pub mod i18n;
pub mod memory;
pub mod shutdown;
pub mod telemetry;
pub mod trouble;

// The words.
pub mod customer;
pub mod face;
pub mod names;

// The parts, in data order: frame, detection, track, decision, visit, phrase, record.
pub mod camera;
pub mod vision;

pub mod track;

pub mod gallery;

pub mod visit;

pub mod greeting;

pub mod vault;

pub mod crm;

pub mod vendors;

// The joins.
pub mod pipeline;
pub mod store;

// The uses.
pub mod enrolment;
pub mod eval;
pub mod greeter;
pub mod loader;
pub mod setup;
pub mod sync;
pub mod web;

// The root.
pub mod app;
pub mod cli;
pub mod config;
