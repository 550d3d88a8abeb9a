//! The in-memory gallery: an exact scan over fused templates, swapped as a whole.
//!
//! Exact, because up to a hundred thousand customers the scan takes milliseconds and misses nobody, while
//! an approximate index silently misses some. Deciding is `gallery::decide`'s.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::customer::{Candidate, CustomerId};
use crate::face::{Embedding, Similarity, fuse};

/// Customers enrolled together: their ids and fused templates, row by row.
struct Segment {
    ids: Vec<CustomerId>,
    /// `ids.len()` × `dimension` values, each row of unit length.
    rows: Vec<f32>,
    /// How many templates were fused into each row.
    templates: Vec<usize>,
}

/// One immutable picture of all enrolled customers with a live consent. All templates are of one pack.
///
/// A change makes a new gallery that shares the old one's segments, so that a thousand customers are not
/// copied to add one, and an erasure is a mark in a mask that holds at once.
#[derive(Clone)]
pub struct Gallery {
    dimension: usize,
    segments: Vec<Arc<Segment>>,
    /// Rows that no search sees, as (segment, row).
    removed: Arc<HashSet<(usize, usize)>>,
    /// Where each live customer stands, as (segment, row).
    places: Arc<HashMap<CustomerId, (usize, usize)>>,
}

impl Gallery {
    /// An empty gallery for embeddings of `dimension` values.
    pub fn empty(dimension: usize) -> Self {
        Self { dimension, segments: Vec::new(), removed: Arc::default(), places: Arc::default() }
    }

    /// A gallery of `customers`, each with at least one template of the right dimension; others are left
    /// out, since nothing can be compared with them.
    pub fn build(dimension: usize, customers: impl IntoIterator<Item = (CustomerId, Vec<Embedding>)>) -> Self {
        Self::empty(dimension).with(customers)
    }

    /// This gallery plus `customers`; a customer who is already here is replaced.
    #[must_use]
    pub fn with(&self, customers: impl IntoIterator<Item = (CustomerId, Vec<Embedding>)>) -> Self {
        let mut segment = Segment { ids: Vec::new(), rows: Vec::new(), templates: Vec::new() };
        let mut removed = (*self.removed).clone();
        let mut places = (*self.places).clone();
        let next = self.segments.len();
        for (id, templates) in customers {
            let Some(fused) = fuse(&templates).filter(|f| f.dimension() == self.dimension) else { continue };
            if let Some(old) = places.insert(id, (next, segment.ids.len())) {
                removed.insert(old);
            }
            segment.ids.push(id);
            segment.rows.extend_from_slice(fused.values());
            segment.templates.push(templates.len());
        }
        let mut segments = self.segments.clone();
        segments.push(Arc::new(segment));
        Self { dimension: self.dimension, segments, removed: Arc::new(removed), places: Arc::new(places) }
    }

    /// This gallery without `customer`.
    #[must_use]
    pub fn without(&self, customer: CustomerId) -> Self {
        let mut places = (*self.places).clone();
        let Some(place) = places.remove(&customer) else { return self.clone() };
        let mut removed = (*self.removed).clone();
        removed.insert(place);
        Self {
            dimension: self.dimension,
            segments: self.segments.clone(),
            removed: Arc::new(removed),
            places: Arc::new(places),
        }
    }

    /// The same gallery in one piece, where single changes have left it in many or with rows that nobody searches: those
    /// may be of somebody erased, and are not kept in memory.
    #[must_use]
    pub fn compacted(&self) -> Self {
        const MOST_SEGMENTS: usize = 16;
        if self.segments.len() <= MOST_SEGMENTS && self.removed.is_empty() {
            return self.clone();
        }
        let mut whole = Segment { ids: Vec::new(), rows: Vec::new(), templates: Vec::new() };
        let mut places = HashMap::with_capacity(self.places.len());
        for (s, segment) in self.segments.iter().enumerate() {
            for (row, values) in segment.rows.chunks_exact(self.dimension).enumerate() {
                if self.removed.contains(&(s, row)) {
                    continue;
                }
                places.insert(segment.ids[row], (0, whole.ids.len()));
                whole.ids.push(segment.ids[row]);
                whole.rows.extend_from_slice(values);
                whole.templates.push(segment.templates[row]);
            }
        }
        let segments = vec![Arc::new(whole)];
        Self { dimension: self.dimension, segments, removed: Arc::default(), places: Arc::new(places) }
    }

    /// How many customers a search may find.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn contains(&self, customer: CustomerId) -> bool {
        self.places.contains_key(&customer)
    }

    /// How many templates stand behind `customer`; 0 when not enrolled.
    pub fn templates(&self, customer: CustomerId) -> usize {
        self.places.get(&customer).map_or(0, |(segment, row)| self.segments[*segment].templates[*row])
    }

    /// The `limit` most similar customers, best first, one entry a customer. A probe of another dimension
    /// finds nobody.
    pub fn search(&self, probe: &Embedding, limit: usize) -> Vec<Candidate> {
        let mut best: Vec<Candidate> = Vec::with_capacity(limit + 1);
        if limit == 0 || probe.dimension() != self.dimension {
            return best;
        }
        for (s, segment) in self.segments.iter().enumerate() {
            for (row, values) in segment.rows.chunks_exact(self.dimension).enumerate() {
                let similarity = Similarity(dot(values, probe.values()));
                if best.len() == limit && best.last().is_some_and(|worst| similarity <= worst.similarity) {
                    continue;
                }
                if !self.removed.is_empty() && self.removed.contains(&(s, row)) {
                    continue;
                }
                let place = best.partition_point(|b| b.similarity >= similarity);
                best.insert(place, Candidate { customer: segment.ids[row], similarity });
                best.truncate(limit);
            }
        }
        best
    }
}

/// Eight running sums let the compiler use vector registers without reordering a single sum's roundings.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (x, y) in a8.iter().zip(b8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// The gallery in use, shared between threads. Readers hold a snapshot; a change is seen by the next
/// reader, and a removed customer by no search that starts later.
#[derive(Clone)]
pub struct GalleryHandle(Arc<ArcSwap<Gallery>>);

impl GalleryHandle {
    pub fn new(gallery: Gallery) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(gallery)))
    }

    pub fn snapshot(&self) -> Arc<Gallery> {
        self.0.load_full()
    }

    /// Puts `gallery` in the place of whatever was there.
    pub fn replace(&self, gallery: Gallery) {
        self.0.store(Arc::new(gallery));
    }

    /// Takes `customer` out, atomically with respect to other changes.
    pub fn remove(&self, customer: CustomerId) {
        self.0.rcu(|gallery| gallery.without(customer));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> CustomerId {
        CustomerId(Uuid::from_u128(n))
    }

    fn towards(axis: usize, lean: f32) -> Embedding {
        let mut raw = vec![lean; 4];
        raw[axis] = 1.0;
        Embedding::from_raw(raw).expect("not zero")
    }

    fn found(gallery: &Gallery, probe: &Embedding) -> Vec<CustomerId> {
        gallery.search(probe, 10).iter().map(|c| c.customer).collect()
    }

    #[test]
    fn the_most_similar_customer_comes_first_and_each_once() {
        let both = vec![towards(0, 0.0), towards(0, 0.3)];
        let gallery = Gallery::build(4, [(id(1), both), (id(2), vec![towards(1, 0.0)])]);
        assert_eq!(found(&gallery, &towards(0, 0.1)), [id(1), id(2)]);
        assert_eq!(gallery.templates(id(1)), 2);
        assert_eq!(gallery.search(&towards(1, 0.0), 1)[0].customer, id(2));
    }

    #[test]
    fn a_removed_customer_is_found_by_no_later_search_and_older_snapshots_are_untouched() {
        let handle = GalleryHandle::new(Gallery::build(4, [(id(1), vec![towards(0, 0.0)])]));
        let before = handle.snapshot();
        handle.remove(id(1));
        assert_eq!(found(&handle.snapshot(), &towards(0, 0.0)), []);
        assert_eq!((handle.snapshot().len(), before.len()), (0, 1));
        handle.replace(handle.snapshot().with([(id(1), vec![towards(1, 0.0)])]));
        assert_eq!(found(&handle.snapshot(), &towards(1, 0.0)), [id(1)]);
    }

    #[test]
    fn many_changes_leave_one_piece_that_finds_the_same() {
        let mut gallery = Gallery::empty(4);
        for n in 0..40 {
            gallery = gallery.with([(id(n), vec![towards(n as usize % 4, 0.1)])]).compacted();
        }
        gallery = gallery.without(id(3)).compacted();
        assert!(gallery.segments.len() <= 17, "{} segments", gallery.segments.len());
        assert_eq!((gallery.len(), gallery.contains(id(3)), gallery.templates(id(7))), (39, false, 1));
        assert!(gallery.search(&towards(3, 0.1), 40).iter().all(|found| found.customer != id(3)));
    }

    #[test]
    fn enrolling_again_replaces_what_was_there() {
        let gallery = Gallery::build(4, [(id(1), vec![towards(0, 0.0)])]).with([(id(1), vec![towards(1, 0.0)])]);
        assert_eq!(gallery.len(), 1);
        let only = gallery.search(&towards(1, 0.0), 10);
        assert_eq!(only.len(), 1);
        assert!(only[0].similarity.0 > 0.999);
    }

    #[test]
    fn a_probe_or_template_of_another_dimension_meets_nobody() {
        let stray = Embedding::from_raw(vec![1.0; 3]).expect("not zero");
        let gallery = Gallery::build(4, [(id(1), vec![stray.clone()]), (id(2), vec![towards(0, 0.0)])]);
        assert_eq!(gallery.len(), 1);
        assert!(gallery.search(&stray, 5).is_empty());
        assert!(gallery.search(&towards(0, 0.0), 0).is_empty());
    }
}
