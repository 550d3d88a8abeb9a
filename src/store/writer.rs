//! The writer: the one thread that waits for the disk on behalf of the visits, and the queue before it.
//!
//! The desk hands a write over and goes on. Writes keep their order, and one that may yet succeed is repeated until it
//! does; only what the request itself refuses is dropped ([`StoreError::recovers`]). When a write is due and what it says
//! is `crate::greeter`'s; nothing here is ever about somebody not enrolled.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Known, SeenAt, Store, StoreError, VisitRecord, lock};
use crate::clock::{Clock, Days, Monotonic, WallTime};
use crate::customer::{CustomerId, Verdict, VisitId};

/// Writes on their way to the writer. When it is full the rest waits in the desk's memory, and is counted as unsaved:
/// nothing is dropped, and the desk does not wait.
const ON_THE_WAY: usize = 256;
/// Waits between tries while the disk is in trouble.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A visit that takes so long to reach the disk is said to be unsaved even if nothing has failed yet: somebody may hold
/// the database.
const SLOW: Duration = Duration::from_secs(1);

/// One thing to be recorded.
#[derive(Clone, Debug)]
pub enum VisitWrite {
    /// With the key of the entry that opened it.
    Open {
        visit: VisitRecord,
        entry: Option<Uuid>,
    },
    /// An entry of a visit that had begun before.
    Entry {
        visit: VisitId,
        key: Uuid,
    },
    /// Who serves the customer, as the point of sale says it.
    Served {
        visit: VisitId,
        who: String,
    },
    Seen(Vec<(VisitId, SeenAt)>),
    Leave {
        visit: VisitId,
        left: SeenAt,
        at: WallTime,
        deliver_after: Timestamp,
    },
    /// Should the visit's event have left, `anew` begins in its place.
    Reopen {
        visit: VisitId,
        anew: VisitRecord,
    },
    Answer {
        visit: VisitId,
        answer: Verdict,
        at: WallTime,
    },
}

/// A write with its number and what it is judged by: the day on which it was due, not the one of a later try.
struct Job {
    number: u64,
    write: VisitWrite,
    days: Days,
    due: Monotonic,
}

/// What became of a write, in the order of writes.
pub enum Written {
    /// It is on the disk.
    Recorded {
        number: u64,
        /// From when it was due, which is when its change was shown.
        took: Duration,
        /// Whoever's card it changed.
        refreshed: Option<Box<Known>>,
        /// The visit that was to go on and has begun anew instead, with when that was.
        anew: Option<(VisitId, WallTime, Monotonic)>,
    },
    /// The request itself was refused, and there is nothing to be repeated.
    Refused {
        number: u64,
        /// Whose visit was to be opened and may not be.
        customer: Option<CustomerId>,
    },
}

impl Written {
    fn number(&self) -> u64 {
        match self {
            Self::Recorded { number, .. } | Self::Refused { number, .. } => *number,
        }
    }
}

/// What the writer says of itself while it works.
#[derive(Default)]
struct Fare {
    /// The last try failed.
    failing: AtomicBool,
    /// It failed for something that a person must look at.
    unreadable: AtomicBool,
    failures: AtomicU64,
    /// The service stops: what fails now is lost.
    last_words: Mutex<bool>,
    stopping: Condvar,
}

impl Fare {
    /// Waits up to `limit`; true if the service stops.
    fn wait(&self, limit: Duration) -> bool {
        let stops = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopping.wait_timeout_while(stops, limit, |stops| !*stops);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn stops(&self) -> bool {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The desk's end: takes writes at once, and knows which of them are on the disk.
pub struct WriteQueue {
    jobs: Option<SyncSender<Job>>,
    /// What did not fit into the channel.
    kept: VecDeque<Job>,
    written: Receiver<Written>,
    fare: Arc<Fare>,
    last: u64,
    done: u64,
    /// Visits that are shown and not on the disk yet, with since when.
    opens: BTreeMap<u64, Monotonic>,
}

/// The disk's end. [`Writer::run`] on a thread of its own; [`Writer::work`] where there are no threads.
pub struct Writer {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    jobs: Receiver<Job>,
    front: Option<Job>,
    written: Sender<Written>,
    fare: Arc<Fare>,
    wait: Duration,
    retry_at: Monotonic,
    /// Visits that go on under another id, since their first event had left.
    renamed: HashMap<VisitId, VisitId>,
}

/// What a write has changed beside itself.
#[derive(Default)]
struct Done {
    /// Whose card is another one now.
    customer: Option<CustomerId>,
    /// The visit that began anew, and when.
    anew: Option<(VisitId, WallTime)>,
}

/// A queue and its writer.
pub fn visit_writer(store: Arc<Store>, clock: Arc<dyn Clock>) -> (WriteQueue, Writer) {
    let ((jobs, taken), (said, written), fare) = (sync_channel(ON_THE_WAY), channel(), Arc::<Fare>::default());
    let retry_at = clock.monotonic();
    let queue = WriteQueue {
        jobs: Some(jobs),
        kept: VecDeque::new(),
        written,
        fare: Arc::clone(&fare),
        last: 0,
        done: 0,
        opens: BTreeMap::new(),
    };
    let (front, renamed) = (None, HashMap::new());
    (queue, Writer { store, clock, jobs: taken, front, written: said, fare, wait: FIRST_WAIT, retry_at, renamed })
}

impl WriteQueue {
    /// Hands `write` over, which became due `now` and is judged by `days`; gives its number.
    pub fn put(&mut self, write: VisitWrite, days: Days, now: Monotonic) -> u64 {
        self.last += 1;
        if matches!(write, VisitWrite::Open { .. }) {
            self.opens.insert(self.last, now);
        }
        self.kept.push_back(Job { number: self.last, write, days, due: now });
        self.send_on();
        self.last
    }

    /// What became of writes since the last call, in order.
    pub fn take_written(&mut self) -> Vec<Written> {
        self.send_on();
        let all: Vec<Written> = self.written.try_iter().collect();
        for written in &all {
            self.done = written.number();
            self.opens.remove(&self.done);
        }
        all
    }

    /// The number of the last write.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether the write of that number, and all before it, are done with.
    pub fn is_done(&self, number: u64) -> bool {
        self.done >= number
    }

    /// Visits that were shown and are not on the disk: 0 while they get there as they should.
    pub fn unsaved(&self, now: Monotonic) -> usize {
        let oldest = self.opens.values().next();
        let late = self.fare.failing.load(Ordering::Acquire) || oldest.is_some_and(|since| now.since(*since) >= SLOW);
        if late { self.opens.len() } else { 0 }
    }

    /// Failed tries since the start.
    pub fn failures(&self) -> u64 {
        self.fare.failures.load(Ordering::Acquire)
    }

    /// Whether writes fail because the database is not what it should be.
    pub fn is_unreadable(&self) -> bool {
        self.fare.unreadable.load(Ordering::Acquire)
    }

    /// Nothing more will come: the writer tries what waits once, and ends.
    pub fn finish(&mut self) {
        *self.fare.last_words.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.fare.stopping.notify_all();
        let Some(jobs) = self.jobs.take() else { return };
        for job in self.kept.drain(..) {
            // Waits for the writer at most; one that is gone takes no more.
            if jobs.send(job).is_err() {
                return;
            }
        }
    }

    fn send_on(&mut self) {
        let Some(jobs) = &self.jobs else { return };
        while let Some(job) = self.kept.pop_front() {
            if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = jobs.try_send(job) {
                self.kept.push_front(job);
                return;
            }
        }
    }
}

impl Writer {
    /// Until the queue is finished or gone.
    pub fn run(mut self) {
        let mut lost = 0;
        while let Some(job) = self.front.take().or_else(|| self.jobs.recv().ok()) {
            let is_visit = matches!(job.write, VisitWrite::Open { .. });
            self.front = Some(job);
            if self.attempt() {
                continue;
            }
            let wait = self.wait_on();
            if !self.fare.wait(wait) {
                continue;
            }
            // The last try, since the service stops and the disk may have come back this very moment.
            if !self.attempt() {
                self.front = None;
                lost += usize::from(is_visit);
            }
        }
        if lost > 0 {
            tracing::error!(
                visits = lost,
                "visits could not be recorded before the stop and are lost; free disk space"
            );
        }
    }

    /// Writes what is due now, and returns.
    pub fn work(&mut self) {
        loop {
            if self.front.is_none() {
                match self.jobs.try_recv() {
                    Ok(job) => self.front = Some(job),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
                }
            }
            if self.clock.monotonic() < self.retry_at && !self.fare.stops() {
                return;
            }
            if !self.attempt() {
                self.retry_at = self.clock.monotonic() + self.wait_on();
                return;
            }
        }
    }

    /// How long to wait before the next try, and twice as long before the one after.
    fn wait_on(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        wait
    }

    /// Tries the write at the front. `false`: it failed, stays there, and may succeed later.
    fn attempt(&mut self) -> bool {
        let Some(job) = self.front.take() else { return true };
        let written = match self.write(&job) {
            Ok(Done { customer, anew }) => {
                let refreshed = customer.and_then(|id| self.store.known(id).ok().flatten()).map(Box::new);
                let took = self.clock.monotonic().since(job.due);
                let anew = anew.map(|(visit, at)| (visit, at, job.due));
                Written::Recorded { number: job.number, took, refreshed, anew }
            }
            Err(error) if error.recovers() => {
                self.fail(&error);
                self.front = Some(job);
                return false;
            }
            Err(error) => {
                tracing::info!(%error, "a visit was not recorded");
                let customer = match job.write {
                    VisitWrite::Open { visit, .. } | VisitWrite::Reopen { anew: visit, .. } => Some(visit.customer),
                    _ => None,
                };
                Written::Refused { number: job.number, customer }
            }
        };
        if self.fare.failing.swap(false, Ordering::AcqRel) {
            tracing::info!("visits are recorded again");
        }
        self.fare.unreadable.store(false, Ordering::Release);
        self.wait = FIRST_WAIT;
        // A desk that is gone needs no news.
        let _ = self.written.send(written);
        true
    }

    fn fail(&self, error: &StoreError) {
        self.fare.failures.fetch_add(1, Ordering::AcqRel);
        self.fare.unreadable.store(error.is_unreadable(), Ordering::Release);
        if error.is_unreadable() {
            self.store.forget_pages();
        }
        if !self.fare.failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "visits are shown but cannot be recorded; they are kept in memory and tried again");
        }
    }

    fn write(&mut self, job: &Job) -> Result<Done, StoreError> {
        let store = &self.store;
        let customer_of = |visit| {
            let customer = store.visit(visit).ok().flatten().map(|visit| visit.record.customer);
            Ok(Done { customer, anew: None })
        };
        let own = |visit: &VisitId| *self.renamed.get(visit).unwrap_or(visit);
        match &job.write {
            VisitWrite::Open { visit, entry: None } => store.open_visit(visit, job.days)?,
            VisitWrite::Open { visit, entry: Some(key) } => store.open_visit_by(*key, visit, job.days)?,
            VisitWrite::Entry { visit, key } => store.keep_entry(own(visit), *key)?,
            VisitWrite::Served { visit, who } => store.note_served_by(own(visit), who)?,
            VisitWrite::Seen(seen) => {
                let seen: Vec<_> = seen.iter().map(|(visit, seen)| (own(visit), seen.clone())).collect();
                store.note_seen(&seen)?;
            }
            VisitWrite::Leave { visit, left, at, deliver_after } => {
                let visit = own(visit);
                store.leave_visit(visit, left, *at, *deliver_after)?;
                return customer_of(visit);
            }
            VisitWrite::Reopen { visit, anew } => {
                let before = own(visit);
                let goes_on = store.reopen_or_begin(before, anew, job.days)?;
                let anew_at = (goes_on != before).then_some((*visit, anew.opened_at));
                if anew_at.is_some() {
                    self.renamed.insert(*visit, goes_on);
                }
                return Ok(Done { customer: Some(anew.customer), anew: anew_at });
            }
            VisitWrite::Answer { visit, answer, at } => {
                let visit = own(visit);
                store.answer_visit(visit, *answer, *at, job.days)?;
                return customer_of(visit);
            }
        }
        Ok(Done::default())
    }
}

impl Store {
    /// What was read from a failing disk is read again by the next call, not remembered.
    fn forget_pages(&self) {
        for connection in [&self.writer, &self.reader] {
            if let Err(error) = lock(connection).execute_batch("PRAGMA shrink_memory") {
                tracing::debug!(%error, "the pages in memory stay");
            }
        }
    }
}
