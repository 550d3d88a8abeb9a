//! A box without cameras for tests of the web: the test says who is at the counter and hears the answers.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use snova::camera::CameraState;
use snova::clock::{SimulatedClock, WallTime};
use snova::customer::{Card, CustomerId, HowKnown, PersonName, Receipt, VisitId};
use snova::face::{CameraId, CounterId};
use snova::greeter::{Answer, CandidateCard, CounterState, Counters, Entry, EntryError, EntryTaken, Greeted, Present};
use snova::i18n::Language;
use snova::shutdown::{self, Stopper};
use snova::telemetry::Metrics;
use snova::web::{
    self, BookError, BookedState, BookedVisit, DeadLetter, HealthReport, Limits, OutboxHealth, SyncDesk, SyncError,
    VisitBook, WebError, WebParts,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// 12 May 2026, 14:07 in Kyiv.
pub const NOW: &str = "2026-05-12T11:07:00Z";

/// For what takes a moment in a browser on a busy machine.
pub const SOON: Duration = Duration::from_secs(15);

pub struct TestBox {
    pub address: SocketAddr,
    pub answers: mpsc::Receiver<Answer>,
    pub entries: mpsc::Receiver<Entry>,
    pub metrics: Arc<Metrics>,
    pub stopper: Stopper,
    screens: BTreeMap<CounterId, watch::Sender<Arc<CounterState>>>,
    served: JoinHandle<Result<(), WebError>>,
}

impl TestBox {
    pub async fn start(counters: &[&str]) -> Self {
        Self::with(counters, |_| {}).await
    }

    /// Starts after `change` has had its say.
    pub async fn with(counters: &[&str], change: impl FnOnce(&mut WebParts)) -> Self {
        let listener = web::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        Self::on(listener, counters, change).await
    }

    pub async fn on(listener: tokio::net::TcpListener, counters: &[&str], change: impl FnOnce(&mut WebParts)) -> Self {
        let address = listener.local_addr().unwrap();
        let (screens, seen): (BTreeMap<_, _>, BTreeMap<_, _>) = counters
            .iter()
            .map(|name| {
                let (sender, receiver) = watch::channel(Arc::new(nobody()));
                let counter = CounterId::new(name);
                ((counter.clone(), sender), (counter, receiver))
            })
            .unzip();
        let (to_greeter, answers) = mpsc::channel(4);
        let (by_card, entries) = mpsc::channel(4);
        let metrics = Arc::new(Metrics::new());
        let mut parts = WebParts {
            counters: Counters::new(seen, to_greeter, by_card),
            languages: BTreeMap::new(),
            time_zone: jiff::tz::TimeZone::get("Europe/Kyiv").unwrap(),
            clock: Arc::new(SimulatedClock::starting_at(at(NOW))),
            health: Arc::new(report),
            sync: Arc::new(OneDead),
            visits: Arc::new(OneVisit),
            stale_after: Duration::from_secs(24 * 60 * 60),
            metrics: metrics.clone(),
            host_names: vec!["till.shop.lan".to_owned()],
            limits: Limits::default(),
        };
        change(&mut parts);
        let (stopper, shutdown) = shutdown::channel();
        let served = tokio::spawn(web::serve(listener, parts, shutdown));
        Self { address, answers, entries, metrics, stopper, screens, served }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn show(&self, counter: &str, state: CounterState) {
        self.screens[&CounterId::new(counter)].send_replace(Arc::new(state));
    }

    /// How many screens listen to a counter: the handle itself holds one receiver.
    pub fn listeners(&self, counter: &str) -> usize {
        self.screens[&CounterId::new(counter)].receiver_count() - 1
    }

    /// Takes the next answer and replies with `outcome`.
    pub async fn hear(
        &mut self,
        outcome: Result<(), snova::greeter::AnswerError>,
    ) -> (VisitId, snova::customer::Verdict) {
        let answer = tokio::time::timeout(Duration::from_secs(10), self.answers.recv()).await;
        let answer = answer.expect("an answer in time").expect("the web is alive");
        answer.reply.send(outcome).expect("somebody waits for the reply");
        (answer.visit, answer.verdict)
    }

    /// Takes the next entry and replies with `outcome`; gives the counter and what was entered.
    pub async fn hear_entry(&mut self, outcome: Result<VisitId, EntryError>) -> (String, String) {
        let entry = tokio::time::timeout(Duration::from_secs(10), self.entries.recv()).await;
        let entry = entry.expect("an entry in time").expect("the web is alive");
        let outcome = outcome.map(|visit| EntryTaken { visit, recorded: true });
        entry.reply.send(outcome).expect("somebody waits for the reply");
        (entry.counter.to_string(), entry.entered)
    }

    /// Stops as the composition root does, and waits for the end.
    pub async fn stop(self) {
        self.stopper.stop();
        let end = tokio::time::timeout(Duration::from_secs(10), self.served).await;
        end.expect("the server stops in time").expect("the server does not panic").expect("a clean end");
    }
}

/// An outbox with one dead letter, of which everything may be decided.
struct OneDead;

impl SyncDesk for OneDead {
    fn report(&self) -> Result<OutboxHealth, SyncError> {
        Ok(outbox())
    }

    fn dead(&self, _most: usize) -> Result<Vec<DeadLetter>, SyncError> {
        Ok(vec![DeadLetter {
            event: visit(7).0,
            kind: "visit".to_owned(),
            visit: Some(visit(6).0),
            customer: customer(6).0,
            created_at: at(NOW),
            attempts: 2,
            error_class: Some("poison".to_owned()),
            error: None,
        }])
    }

    fn retry(&self, _event: uuid::Uuid) -> Result<(), SyncError> {
        Ok(())
    }

    fn retry_all(&self) -> Result<u64, SyncError> {
        Ok(1)
    }

    fn discard(&self, _event: uuid::Uuid) -> Result<(), SyncError> {
        Ok(())
    }
}

/// A book that has one visit, which is nobody's whom the tests know.
struct OneVisit;

impl VisitBook for OneVisit {
    fn of_day(&self, _: jiff::civil::Date, _: Option<&CounterId>) -> Result<Vec<BookedVisit>, BookError> {
        Ok(vec![BookedVisit {
            visit: visit(6),
            customer: customer(6),
            counter: CounterId::new("till-1"),
            name: Some(name("Олег", "", "")),
            how: HowKnown::Match,
            opened_at: at(NOW),
            closed_at: Some(at(NOW)),
            state: BookedState::Waiting,
            receipt: Some(Receipt { number: "A-1".to_owned(), sum: 100 }),
        }])
    }

    fn void(&self, _: VisitId, _: Option<CustomerId>) -> Result<Option<CustomerId>, BookError> {
        Err(BookError::UnknownVisit)
    }

    fn receipt(&self, _: VisitId, _: &Receipt) -> Result<(), BookError> {
        Ok(())
    }

    fn receipt_at(&self, _: &CounterId, _: &[VisitId], _: &Receipt) -> Result<VisitId, BookError> {
        Ok(visit(6))
    }
}

pub fn in_language(language: Language, counter: &str) -> impl FnOnce(&mut WebParts) {
    move |parts| {
        parts.languages.insert(CounterId::new(counter), language);
    }
}

pub fn report() -> HealthReport {
    HealthReport {
        pack: "opencv-zoo".to_owned(),
        customers: 120,
        outbox: outbox(),
        clock_synchronised: true,
        config_refused: false,
        overloaded: false,
        uptime: Duration::from_secs(86_400),
    }
}

pub fn outbox() -> OutboxHealth {
    OutboxHealth {
        crm: "salesforce".to_owned(),
        connected: true,
        depth: 3,
        oldest_age: Some(Duration::from_secs(90)),
        last_success: Some(at("2026-05-12T11:06:40.5Z")),
        ..OutboxHealth::default()
    }
}

pub fn at(time: &str) -> jiff::Timestamp {
    time.parse().unwrap()
}

pub fn visit(n: u128) -> VisitId {
    VisitId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n))
}

pub fn customer(n: u128) -> CustomerId {
    CustomerId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + n))
}

pub fn live(camera: &str) -> (CameraId, CameraState) {
    (CameraId::new(camera), CameraState::Live)
}

/// Lost at 14:03 in Kyiv, with a cause that no screen may show.
pub fn lost(camera: &str) -> (CameraId, CameraState) {
    let since = WallTime { at: at("2026-05-12T11:03:20Z"), synchronised: true };
    (CameraId::new(camera), CameraState::Lost { since, cause: "rtsp://admin:secret@10.0.0.9 refused".to_owned() })
}

pub fn nobody() -> CounterState {
    CounterState { present: Vec::new(), cameras: vec![live("till-1-front")], ..CounterState::default() }
}

pub fn with(present: Vec<Present>) -> CounterState {
    CounterState { present, ..nobody() }
}

pub fn name(given: &str, patronymic: &str, family: &str) -> PersonName {
    let some = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    PersonName { patronymic: some(patronymic), family: some(family), ..PersonName::given(given) }
}

pub fn ivan() -> Present {
    greeted(1, "С возвращением, Иван Петрович!", name("Иван", "Петрович", "Сидоров"))
}

pub fn greeted(n: u128, greeting: &str, name: PersonName) -> Present {
    let card = Card {
        tier: Some("Золотая карта".to_owned()),
        note: Some("берёт без сахара".to_owned()),
        visits: 12,
        last_visit: Some(at("2026-05-11T09:30:00Z")),
        crm: None,
    };
    Present {
        visit: visit(n),
        entered: false,
        since: at("2026-05-12T11:06:55.123456Z"),
        who: Greeted::Match { customer: customer(n), name, greeting: greeting.to_owned(), card },
    }
}

/// Somebody who may be any of the names, the likeliest first; candidate `i` is customer `n * 10 + i`.
pub fn perhaps(n: u128, names: Vec<PersonName>) -> Present {
    let candidates = (n * 10..).zip(names).map(|(id, name)| CandidateCard { customer: customer(id), name }).collect();
    let who = Greeted::Maybe { candidates };
    Present { visit: visit(n), since: at("2026-05-12T11:06:58Z"), who, entered: false }
}
