//! What the service says about itself: its log lines and its counters, neither of which knows a person.
//!
//! Who serves the metrics is `crate::web`'s; what is logged and counted is each room's own.

mod log;

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use log::{LogFile, Logging, LoggingError, init_logging, init_logging_to_file};

/// One number for each value of one label. Values are names from the configuration or from a closed list.
#[derive(Clone)]
pub struct Labelled<M> {
    label: &'static str,
    family: Family<[(&'static str, String); 1], M>,
}

impl<M: Default + Clone> Labelled<M> {
    fn by(label: &'static str) -> Self {
        Self { label, family: Family::default() }
    }

    fn of(&self, value: &str) -> M {
        self.family.get_or_create_owned(&[(self.label, value.to_owned())])
    }
}

impl Labelled<Counter> {
    pub fn inc(&self, value: &str) {
        self.of(value).inc();
    }

    pub fn inc_by(&self, value: &str, by: u64) {
        self.of(value).inc_by(by);
    }
}

impl Labelled<Gauge> {
    pub fn set(&self, value: &str, to: i64) {
        self.of(value).set(to);
    }
}

/// Which of its states each camera is in: 1 for that one, 0 for all others.
#[derive(Clone, Default)]
pub struct States(Family<[(&'static str, String); 2], Gauge>);

impl States {
    /// `state` is one of `all`, the closed list.
    pub fn set(&self, camera: &str, state: &str, all: &[&str]) {
        for each in all {
            let labels = [("camera", camera.to_owned()), ("state", (*each).to_owned())];
            self.0.get_or_create(&labels).set(i64::from(*each == state));
        }
    }
}

/// How long each step of a frame takes.
#[derive(Clone)]
pub struct StageSeconds(Family<[(&'static str, &'static str); 1], Histogram>);

impl StageSeconds {
    /// `stage` is a name from the pipeline's closed list.
    pub fn observe(&self, stage: &'static str, took: Duration) {
        self.0.get_or_create(&[("stage", stage)]).observe(took.as_secs_f64());
    }
}

/// A histogram of durations, in seconds.
#[derive(Clone)]
pub struct Seconds(Histogram);

impl Seconds {
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// Every number the service keeps about itself. Labels are names from the configuration or from closed
/// lists, so there is a bounded number of them, and none is a person.
pub struct Metrics {
    registry: Registry,
    /// Pictures that a camera gave.
    pub frames_captured: Labelled<Counter>,
    /// Pictures overwritten by a newer one before anybody looked.
    pub frames_skipped: Labelled<Counter>,
    pub frames_processed: Labelled<Counter>,
    pub stage_seconds: StageSeconds,
    /// The part of a frame's step that the models' graphs take.
    pub graphs_seconds: Seconds,
    /// By what was decided: match, maybe, no_match, undecided.
    pub decisions: Labelled<Counter>,
    pub refused_shots: Labelled<Counter>,
    pub visits_opened: Labelled<Counter>,
    /// From the capture of the frame that decided to the picture given to the screens.
    pub greeting_seconds: Seconds,
    /// From the showing of a visit's change to its being on the disk: what a power cut may take.
    pub unwritten_seconds: Seconds,
    /// Visits whose writing failed and is being retried.
    pub commit_failures: Counter,
    /// Events on their way to the CRM.
    pub outbox_depth: Gauge,
    /// Seconds since the oldest of them was written; 0 when there is none.
    pub outbox_oldest_age: Gauge,
    /// Events that were refused for good and wait for a person.
    pub outbox_dead: Gauge,
    /// Customers without a contact in the CRM: their visits wait.
    pub outbox_unlinked: Gauge,
    /// Events that the CRM has, by how that came: recorded, already_there, void, erased; and refused for good.
    pub crm_deliveries: Labelled<Counter>,
    /// Requests to the CRM that failed, by class: throttled, auth, transient, poison, tenant-blocked.
    pub crm_failures: Labelled<Counter>,
    /// Signs of life that did not arrive at `heartbeat_url`.
    pub beacon_failures: Counter,
    /// When the CRM last took something, in seconds since 1970; 0 before it ever did.
    pub crm_last_success: Gauge,
    /// 1 while this keeps visits from the CRM, else 0: refused, blocked, late, unlinked, unclear, other_key, skew. A login that is refused is not tried
    /// again, so no counter tells of it.
    pub crm_trouble: Labelled<Gauge>,
    /// Visits that were shown and are not on the disk yet.
    pub unsaved_visits: Gauge,
    /// 1 while the camera gives pictures, else 0.
    pub camera_live: Labelled<Gauge>,
    pub camera_state: States,
    /// How often each trouble of the box holds; 0 for none.
    pub trouble: Labelled<Gauge>,
    /// 1 while the service runs by the last good configuration because the file cannot be used.
    pub config_refused: Gauge,
    pub gallery_customers: Gauge,
    /// 1 while a live camera is looked at too rarely, else 0.
    pub overloaded: Gauge,
    /// By how many seconds the box's clock was ahead of the CRM's when that last answered.
    pub clock_skew: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let seconds = || Histogram::new([0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        let metrics = Self {
            registry: Registry::with_prefix("snova"),
            frames_captured: Labelled::by("camera"),
            frames_skipped: Labelled::by("camera"),
            frames_processed: Labelled::by("camera"),
            stage_seconds: StageSeconds(Family::new_with_constructor(seconds)),
            graphs_seconds: Seconds(seconds()),
            decisions: Labelled::by("decision"),
            refused_shots: Labelled::by("reason"),
            visits_opened: Labelled::by("counter"),
            greeting_seconds: Seconds(Histogram::new([0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0])),
            unwritten_seconds: Seconds(Histogram::new([
                0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0,
            ])),
            commit_failures: Counter::default(),
            outbox_depth: Gauge::default(),
            outbox_oldest_age: Gauge::default(),
            outbox_dead: Gauge::default(),
            outbox_unlinked: Gauge::default(),
            crm_deliveries: Labelled::by("outcome"),
            crm_failures: Labelled::by("class"),
            beacon_failures: Counter::default(),
            crm_last_success: Gauge::default(),
            crm_trouble: Labelled::by("trouble"),
            unsaved_visits: Gauge::default(),
            camera_live: Labelled::by("camera"),
            camera_state: States::default(),
            trouble: Labelled::by("what"),
            config_refused: Gauge::default(),
            gallery_customers: Gauge::default(),
            overloaded: Gauge::default(),
            clock_skew: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("frames_captured", "Pictures a camera gave", self.frames_captured.family.clone());
        r.register(
            "frames_skipped",
            "Pictures replaced before they were looked at",
            self.frames_skipped.family.clone(),
        );
        r.register("frames_processed", "Pictures looked at", self.frames_processed.family.clone());
        r.register_with_unit("stage", "Time of a frame's step", Unit::Seconds, self.stage_seconds.0.clone());
        r.register_with_unit("graphs", "Time of a frame in the models", Unit::Seconds, self.graphs_seconds.0.clone());
        r.register("decisions", "Decisions on tracks", self.decisions.family.clone());
        r.register("refused_shots", "Shots refused by the quality gate", self.refused_shots.family.clone());
        r.register("visits_opened", "Visits opened", self.visits_opened.family.clone());
        r.register_with_unit("greeting", "From capture to screen", Unit::Seconds, self.greeting_seconds.0.clone());
        r.register_with_unit("unwritten", "From screen to disk", Unit::Seconds, self.unwritten_seconds.0.clone());
        r.register("commit_failures", "Failed writes of visits", self.commit_failures.clone());
        r.register("outbox_depth", "Events waiting for the CRM", self.outbox_depth.clone());
        r.register_with_unit(
            "outbox_oldest_age",
            "Of the event that waits longest",
            Unit::Seconds,
            self.outbox_oldest_age.clone(),
        );
        r.register("outbox_dead", "Events refused for good", self.outbox_dead.clone());
        r.register("outbox_unlinked", "Customers without a contact in the CRM", self.outbox_unlinked.clone());
        r.register("crm_deliveries", "Events settled with the CRM", self.crm_deliveries.family.clone());
        r.register("crm_failures", "Failed requests to the CRM", self.crm_failures.family.clone());
        r.register("beacon_failures", "Signs of life that did not arrive", self.beacon_failures.clone());
        r.register_with_unit(
            "crm_last_success_timestamp",
            "When the CRM last took something",
            Unit::Seconds,
            self.crm_last_success.clone(),
        );
        r.register("crm_trouble", "1 while this keeps visits from the CRM", self.crm_trouble.family.clone());
        r.register("unsaved_visits", "Visits not on the disk yet", self.unsaved_visits.clone());
        r.register("camera_state", "1 for the state a camera is in", self.camera_state.0.clone());
        r.register("trouble", "Above 0 while a person must mend this", self.trouble.family.clone());
        r.register("config_refused", "1 while the last good configuration holds", self.config_refused.clone());
        r.register("camera_live", "1 while the camera gives pictures", self.camera_live.family.clone());
        r.register("gallery_customers", "Customers in the gallery", self.gallery_customers.clone());
        r.register("overloaded", "1 while a live camera is looked at too rarely", self.overloaded.clone());
        r.register_with_unit("clock_skew", "Of the clock ahead of the CRM's", Unit::Seconds, self.clock_skew.clone());
        self
    }

    /// Everything in the OpenMetrics text form, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; a metric of ours that cannot be encoded is a bug worth a line.
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_text_under_its_name() {
        let metrics = Metrics::new();
        metrics.frames_captured.inc_by("till-1", 3);
        metrics.frames_skipped.inc("till-1");
        metrics.frames_processed.inc("till-1");
        metrics.stage_seconds.observe("embed", Duration::from_millis(7));
        metrics.graphs_seconds.observe(Duration::from_millis(21));
        metrics.decisions.inc("match");
        metrics.refused_shots.inc("too_small");
        metrics.visits_opened.inc("till-1");
        metrics.greeting_seconds.observe(Duration::from_millis(640));
        metrics.unwritten_seconds.observe(Duration::from_millis(4));
        metrics.commit_failures.inc();
        metrics.outbox_depth.set(4);
        metrics.outbox_oldest_age.set(90);
        metrics.outbox_dead.set(2);
        metrics.outbox_unlinked.set(5);
        metrics.crm_deliveries.inc("already_there");
        metrics.crm_failures.inc("tenant-blocked");
        metrics.beacon_failures.inc();
        metrics.crm_last_success.set(1_778_583_600);
        metrics.crm_trouble.set("refused", 1);
        metrics.unsaved_visits.set(1);
        metrics.camera_live.set("till-1", 1);
        metrics.camera_state.set("till-1", "live", &["live", "lost"]);
        metrics.trouble.set("store_lost", 1);
        metrics.config_refused.set(1);
        metrics.gallery_customers.set(120);
        metrics.overloaded.set(1);
        let text = metrics.encode();
        for line in [
            "snova_frames_captured_total{camera=\"till-1\"} 3",
            "snova_frames_skipped_total{camera=\"till-1\"} 1",
            "snova_frames_processed_total{camera=\"till-1\"} 1",
            "snova_stage_seconds_bucket{le=\"0.01\",stage=\"embed\"} 1",
            "snova_stage_seconds_count{stage=\"embed\"} 1",
            "snova_graphs_seconds_bucket{le=\"0.05\"} 1",
            "snova_decisions_total{decision=\"match\"} 1",
            "snova_refused_shots_total{reason=\"too_small\"} 1",
            "snova_visits_opened_total{counter=\"till-1\"} 1",
            "snova_greeting_seconds_bucket{le=\"0.75\"} 1",
            "snova_unwritten_seconds_bucket{le=\"0.005\"} 1",
            "snova_commit_failures_total 1",
            "snova_outbox_depth 4",
            "snova_outbox_oldest_age_seconds 90",
            "snova_outbox_dead 2",
            "snova_outbox_unlinked 5",
            "snova_crm_deliveries_total{outcome=\"already_there\"} 1",
            "snova_crm_failures_total{class=\"tenant-blocked\"} 1",
            "snova_beacon_failures_total 1",
            "snova_crm_last_success_timestamp_seconds 1778583600",
            "snova_crm_trouble{trouble=\"refused\"} 1",
            "snova_unsaved_visits 1",
            "snova_camera_live{camera=\"till-1\"} 1",
            "snova_camera_state{camera=\"till-1\",state=\"live\"} 1",
            "snova_camera_state{camera=\"till-1\",state=\"lost\"} 0",
            "snova_trouble{what=\"store_lost\"} 1",
            "snova_config_refused 1",
            "snova_gallery_customers 120",
            "snova_overloaded 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
