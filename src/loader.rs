//! The loader: keeps the gallery and the roster true to the database, by whatever process that was changed.
//!
//! It reads what changed and exchanges that, off the visit thread; everything is read at the start and when the date
//! changes, since consents begin and end with a day. Who leaves a screen for it is `crate::greeter`'s.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::clock::{Clock, Days};
use crate::customer::{CustomerId, Purpose};
use crate::face::Embedding;
use crate::gallery::{Gallery, GalleryHandle};
use crate::shutdown::Shutdown;
use crate::store::{RosterChange, RosterRead, RosterRow, RosterStamp, Store, StoreError};
use crate::trouble::{Trouble, Troubles};

/// How often it is asked whether anything changed: so long may an erased customer stay on a screen.
const LOOK: Duration = Duration::from_millis(250);

/// Whose templates are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackName {
    pub name: String,
    /// The length of its embeddings.
    pub dimension: usize,
}

/// What the loader works with.
pub struct LoaderParts {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub time_zone: TimeZone,
    pub pack: PackName,
    pub gallery: GalleryHandle,
    pub troubles: Troubles,
    /// Whether the database cannot be read for what it is.
    pub unreadable: Arc<AtomicBool>,
    /// To the roster. A change of the gallery is seen by nobody before its customers are on their way here.
    pub changes: Sender<RosterChange>,
}

/// See the head of this file. One thread has it at a time.
pub struct Loader {
    parts: LoaderParts,
    loaded: Loaded,
    failing: bool,
}

/// What gallery and roster were made from.
#[derive(Default)]
struct Loaded {
    stamp: RosterStamp,
    on: Option<Days>,
    /// Everybody enrolled, with the templates that the gallery has of them; none where their consent does not cover it.
    known: HashMap<CustomerId, Vec<Uuid>>,
    unreadable: HashSet<CustomerId>,
}

/// Everything, read for a pack on a day, and not in use yet.
pub struct Whole {
    pack: PackName,
    on: Days,
    read: RosterRead,
}

impl Loader {
    /// Reads everything once. A database that cannot be read for what it is gives nobody for now: it is tried again.
    pub fn new(parts: LoaderParts) -> Result<Self, StoreError> {
        let mut loader = Self { parts, loaded: Loaded::default(), failing: false };
        match loader.read(loader.parts.pack.clone()) {
            Ok(whole) => loader.use_whole(whole),
            Err(error) if error.is_unreadable() => loader.look(),
            Err(error) => return Err(error),
        }
        Ok(loader)
    }

    /// Everything, for another pack perhaps; nothing is exchanged yet.
    pub fn read(&self, pack: PackName) -> Result<Whole, StoreError> {
        let on = self.parts.clock.days(&self.parts.time_zone);
        Ok(Whole { read: self.parts.store.read_roster(&pack.name, None)?, pack, on })
    }

    /// The pack whose templates are in the gallery.
    pub fn pack(&self) -> &PackName {
        &self.parts.pack
    }

    /// The zone whose days are asked from now on.
    pub fn use_zone(&mut self, time_zone: TimeZone) {
        self.parts.time_zone = time_zone;
    }

    /// Puts everything in the place of what was there.
    pub fn use_whole(&mut self, whole: Whole) {
        let Whole { pack, on, read } = whole;
        let unreadable = read.unreadable.into_iter().collect();
        self.loaded = Loaded { stamp: read.stamp, on: Some(on), known: HashMap::new(), unreadable };
        let (mut known, mut recognised) = (Vec::with_capacity(read.rows.len()), Vec::new());
        for row in read.rows {
            let (id, templates) = (row.known.customer.id, in_gallery(&row, on));
            self.loaded.known.insert(id, templates.iter().map(|(id, _)| *id).collect());
            recognised.push((id, embeddings(templates)));
            known.push(row.known);
        }
        let (gallery, cards_as_of) = (Gallery::build(pack.dimension, recognised), read.stamp.cards_as_of);
        self.parts.pack = pack;
        self.tell(RosterChange { is_whole: true, known, gone: Vec::new(), cards_as_of });
        tracing::info!(customers = gallery.len(), pack = self.parts.pack.name, "gallery loaded");
        self.parts.gallery.replace(gallery);
    }

    /// Looks once whether anything changed, and exchanges that. What cannot be read stays as it was.
    pub fn look(&mut self) {
        let outcome = self.follow();
        let unreadable = outcome.as_ref().is_err_and(StoreError::is_unreadable);
        self.parts.unreadable.store(unreadable, Ordering::Release);
        let was = std::mem::replace(&mut self.failing, outcome.is_err());
        match outcome {
            Err(error) if !was => {
                tracing::error!(%error, "customers cannot be read; the box goes on with those it knows, and tries again");
            }
            Ok(()) if was => tracing::info!("customers are read again"),
            _ => {}
        }
    }

    /// Until the stop is asked, four looks a second.
    pub fn run(shared: &Mutex<Self>, stop: &Shutdown) {
        while !stop.wait_for(LOOK) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).look();
        }
    }

    fn follow(&mut self) -> Result<(), StoreError> {
        let days = self.parts.clock.days(&self.parts.time_zone);
        if self.loaded.on != Some(days) {
            let whole = self.read(self.parts.pack.clone())?;
            self.use_whole(whole);
            return Ok(());
        }
        if self.parts.store.roster_stamp()? == self.loaded.stamp {
            return Ok(());
        }
        let read = self.parts.store.read_roster(&self.parts.pack.name, Some(self.loaded.stamp))?;
        self.use_difference(read, days);
        Ok(())
    }

    fn use_difference(&mut self, read: RosterRead, days: Days) {
        let RosterRead { stamp, rows, unreadable, enrolled } = read;
        let readable: HashSet<CustomerId> = rows.iter().map(|row| row.known.customer.id).collect();
        // Somebody of whom nothing can be read any more is not greeted by what was known before.
        let mut gone: Vec<CustomerId> = unreadable.iter().filter(|id| !readable.contains(id)).copied().collect();
        if let Some(enrolled) = enrolled {
            gone.extend(self.loaded.known.keys().filter(|id| !enrolled.contains(id)));
            self.loaded.unreadable.retain(|id| enrolled.contains(id));
        }
        self.loaded.unreadable.retain(|id| !readable.contains(id));
        self.loaded.unreadable.extend(unreadable);
        self.loaded.stamp = stamp;
        let (mut out, mut into, mut known) = (gone.clone(), Vec::new(), Vec::with_capacity(rows.len()));
        for id in &gone {
            self.loaded.known.remove(id);
        }
        for row in rows {
            let (id, templates) = (row.known.customer.id, in_gallery(&row, days));
            let ids: Vec<Uuid> = templates.iter().map(|(id, _)| *id).collect();
            if self.loaded.known.get(&id) != Some(&ids) {
                self.loaded.known.insert(id, ids);
                if templates.is_empty() { out.push(id) } else { into.push((id, embeddings(templates))) }
            }
            known.push(row.known);
        }
        let handle = &self.parts.gallery;
        // First out, then known, then in: nobody is found who may not be, or whom the roster does not know yet.
        let mut gallery = (*handle.snapshot()).clone();
        let before = gallery.len();
        let changes = !into.is_empty();
        out.retain(|id| gallery.contains(*id));
        if !out.is_empty() {
            gallery = out.iter().fold(gallery, |gallery, id| gallery.without(*id));
            handle.replace(gallery.clone());
        }
        self.tell(RosterChange { is_whole: false, known, gone, cards_as_of: stamp.cards_as_of });
        if !into.is_empty() {
            gallery = gallery.with(into);
        }
        if gallery.len() != before || changes {
            gallery = gallery.compacted();
            handle.replace(gallery.clone());
        }
        if gallery.len() != before {
            tracing::info!(customers = gallery.len(), "gallery changed");
        }
    }

    fn tell(&self, change: RosterChange) {
        self.parts.troubles.count(Trouble::RowUnreadable, self.loaded.unreadable.len() as u64);
        // A desk that is gone needs no news.
        let _ = self.parts.changes.send(change);
    }
}

/// The templates by which this customer may be recognised on `days`.
fn in_gallery(row: &RosterRow, days: Days) -> &[(Uuid, Embedding)] {
    if row.known.customer.consent.is_live(Purpose::Recognition, days) { &row.templates } else { &[] }
}

fn embeddings(templates: &[(Uuid, Embedding)]) -> Vec<Embedding> {
    templates.iter().map(|(_, embedding)| embedding.clone()).collect()
}
