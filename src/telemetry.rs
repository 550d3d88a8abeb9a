//! What the service says about itself: its log lines and its counters, neither of which knows a person.
//!
//! Who serves the metrics is `crate::web`'s; what is logged and counted is each room's own.

use std::io::IsTerminal;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error(
        "log level \"{level}\" is not understood ({cause}); give error, warn, info, debug or trace, \
         or a list like info,snova::camera=debug"
    )]
    Level { level: String, cause: String },
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sends the process's log lines to `writer` (`std::io::stderr` outside tests). `level` is a level or a list
/// of levels by module: `info,snova::camera=debug`. Colours only where standard error is a terminal.
pub fn init_logging<W>(level: &str, writer: W) -> Result<(), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = subscriber(level, writer, colours)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::AlreadySet)
}

fn subscriber<W>(level: &str, writer: W, colours: bool) -> Result<impl Subscriber + Send + Sync, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter: Targets = level.parse().map_err(|e: tracing_subscriber::filter::ParseError| LoggingError::Level {
        level: level.to_owned(),
        cause: e.to_string(),
    })?;
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(writer);
    Ok(tracing_subscriber::registry().with(filter).with(lines))
}

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
    /// By what was decided: match, maybe, no_match, undecided.
    pub decisions: Labelled<Counter>,
    pub refused_shots: Labelled<Counter>,
    pub visits_opened: Labelled<Counter>,
    /// From the capture of the frame that decided to the picture given to the screens.
    pub greeting_seconds: Seconds,
    /// Visits whose writing failed and is being retried.
    pub commit_failures: Counter,
    /// Events on their way to the CRM.
    pub outbox_depth: Gauge,
    /// 1 while the camera gives pictures, else 0.
    pub camera_live: Labelled<Gauge>,
    pub gallery_customers: Gauge,
    /// 1 while a live camera is looked at too rarely, else 0.
    pub overloaded: Gauge,
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
            decisions: Labelled::by("decision"),
            refused_shots: Labelled::by("reason"),
            visits_opened: Labelled::by("counter"),
            greeting_seconds: Seconds(Histogram::new([0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0])),
            commit_failures: Counter::default(),
            outbox_depth: Gauge::default(),
            camera_live: Labelled::by("camera"),
            gallery_customers: Gauge::default(),
            overloaded: Gauge::default(),
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
        r.register("decisions", "Decisions on tracks", self.decisions.family.clone());
        r.register("refused_shots", "Shots refused by the quality gate", self.refused_shots.family.clone());
        r.register("visits_opened", "Visits opened", self.visits_opened.family.clone());
        r.register_with_unit("greeting", "From capture to screen", Unit::Seconds, self.greeting_seconds.0.clone());
        r.register("commit_failures", "Failed writes of visits", self.commit_failures.clone());
        r.register("outbox_depth", "Events waiting for the CRM", self.outbox_depth.clone());
        r.register("camera_live", "1 while the camera gives pictures", self.camera_live.family.clone());
        r.register("gallery_customers", "Customers in the gallery", self.gallery_customers.clone());
        r.register("overloaded", "1 while a live camera is looked at too rarely", self.overloaded.clone());
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
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log_at(level: &str, colours: bool) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = subscriber(level, move || writer.clone(), colours).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(after_ms = 30_000, "no frame");
            tracing::debug!(target: "snova::camera", "camera detail");
            tracing::debug!(target: "snova::store", "store detail");
        });
        paper.text()
    }

    #[test]
    fn level_alone_hides_what_is_below_it() {
        let text = log_at("info", false);
        assert!(text.contains("no frame") && text.contains("after_ms=30000"), "{text}");
        assert!(!text.contains("detail"), "{text}");
    }

    #[test]
    fn one_room_can_be_listened_to_closely() {
        let text = log_at("info,snova::camera=debug", false);
        assert!(text.contains("camera detail") && !text.contains("store detail"), "{text}");
    }

    #[test]
    fn log_that_is_not_a_terminal_has_no_colours() {
        assert!(!log_at("info", false).contains('\u{1b}'));
        assert!(log_at("info", true).contains('\u{1b}'));
    }

    #[test]
    fn level_that_is_not_one_is_refused_with_the_right_words() {
        let error = subscriber("loud,snova=shout", std::io::sink, false).err().unwrap().to_string();
        assert!(error.contains("loud") && error.contains("give error, warn, info"), "{error}");
    }

    #[test]
    fn every_number_is_in_the_text_under_its_name() {
        let metrics = Metrics::new();
        metrics.frames_captured.inc_by("till-1", 3);
        metrics.frames_skipped.inc("till-1");
        metrics.frames_processed.inc("till-1");
        metrics.stage_seconds.observe("embed", Duration::from_millis(7));
        metrics.decisions.inc("match");
        metrics.refused_shots.inc("too_small");
        metrics.visits_opened.inc("till-1");
        metrics.greeting_seconds.observe(Duration::from_millis(640));
        metrics.commit_failures.inc();
        metrics.outbox_depth.set(4);
        metrics.camera_live.set("till-1", 1);
        metrics.gallery_customers.set(120);
        metrics.overloaded.set(1);
        let text = metrics.encode();
        for line in [
            "snova_frames_captured_total{camera=\"till-1\"} 3",
            "snova_frames_skipped_total{camera=\"till-1\"} 1",
            "snova_frames_processed_total{camera=\"till-1\"} 1",
            "snova_stage_seconds_bucket{le=\"0.01\",stage=\"embed\"} 1",
            "snova_stage_seconds_count{stage=\"embed\"} 1",
            "snova_decisions_total{decision=\"match\"} 1",
            "snova_refused_shots_total{reason=\"too_small\"} 1",
            "snova_visits_opened_total{counter=\"till-1\"} 1",
            "snova_greeting_seconds_bucket{le=\"0.75\"} 1",
            "snova_commit_failures_total 1",
            "snova_outbox_depth 4",
            "snova_camera_live{camera=\"till-1\"} 1",
            "snova_gallery_customers 120",
            "snova_overloaded 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
