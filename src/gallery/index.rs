//! The in-memory gallery: an exact scan over fused templates, swapped as a whole.
//!
//! Exact, because up to a hundred thousand customers the scan takes milliseconds and misses nobody, while
//! an approximate index silently misses some. Deciding is `gallery::decide`'s.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::customer::{Candidate, CustomerId};
use crate::face::{Embedding, Similarity, fuse, wipe};

/// Most customers of a segment. A change copies two segments at most besides what it adds; at 512 values a row that is
/// 2 MB each.
const MOST: usize = if cfg!(test) { 8 } else { 1024 };

/// Some customers: their ids and fused templates, row by row.
struct Segment {
    ids: Vec<CustomerId>,
    /// `ids.len()` × `dimension` values, each row of unit length.
    rows: Vec<f32>,
    /// How many templates were fused into each row.
    templates: Vec<usize>,
    /// The row of each customer.
    places: HashMap<CustomerId, usize>,
}

/// A customer, their fused template, and how many templates were fused.
type Row<'a> = (CustomerId, &'a [f32], usize);

impl Segment {
    fn of(rows: &[Row<'_>], dimension: usize) -> Self {
        // Of its size from the beginning: what grows leaves copies behind in freed memory.
        let mut values = Vec::with_capacity(rows.len() * dimension);
        rows.iter().for_each(|(_, row, _)| values.extend_from_slice(row));
        Self {
            ids: rows.iter().map(|row| row.0).collect(),
            rows: values,
            templates: rows.iter().map(|row| row.2).collect(),
            places: rows.iter().enumerate().map(|(place, row)| (row.0, place)).collect(),
        }
    }

    fn rows(&self, dimension: usize) -> impl Iterator<Item = Row<'_>> {
        let rows = self.rows.chunks_exact(dimension.max(1));
        self.ids.iter().zip(rows).zip(&self.templates).map(|((id, row), templates)| (*id, row, *templates))
    }

    fn has_any(&self, customers: &HashSet<CustomerId>) -> bool {
        if customers.len() < self.ids.len() {
            customers.iter().any(|customer| self.places.contains_key(customer))
        } else {
            self.ids.iter().any(|id| customers.contains(id))
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        wipe(&mut self.rows);
    }
}

/// One immutable picture of all enrolled customers with a live consent. All templates are of one pack.
///
/// A change makes a new gallery that shares the old one's segments except those it touches, so that a thousand
/// customers are not copied to add one. A segment that loses somebody is written anew without them: their template is
/// in no new gallery, and leaves the memory with the last snapshot of an old one. At most one segment is less than
/// half full, whatever was added and removed.
#[derive(Clone)]
pub struct Gallery {
    dimension: usize,
    segments: Vec<Arc<Segment>>,
}

impl Gallery {
    /// An empty gallery for embeddings of `dimension` values.
    pub fn empty(dimension: usize) -> Self {
        Self { dimension, segments: Vec::new() }
    }

    /// A gallery of `customers`, each with at least one template of the right dimension; others are left
    /// out, since nothing can be compared with them.
    pub fn build(dimension: usize, customers: impl IntoIterator<Item = (CustomerId, Vec<Embedding>)>) -> Self {
        Self::empty(dimension).with(customers)
    }

    /// This gallery plus `customers`; a customer who is already here is replaced.
    #[must_use]
    pub fn with(&self, customers: impl IntoIterator<Item = (CustomerId, Vec<Embedding>)>) -> Self {
        self.exchange([], customers)
    }

    /// This gallery without `customer`.
    #[must_use]
    pub fn without(&self, customer: CustomerId) -> Self {
        self.exchange([customer], [])
    }

    /// This gallery without the customers in `gone`, plus `customers`, in one step. Of several of one id the last
    /// counts.
    #[must_use]
    pub fn exchange(
        &self,
        gone: impl IntoIterator<Item = CustomerId>,
        customers: impl IntoIterator<Item = (CustomerId, Vec<Embedding>)>,
    ) -> Self {
        let mut gone: HashSet<CustomerId> = gone.into_iter().collect();
        let (mut order, mut added) = (Vec::new(), HashMap::new());
        for (id, templates) in customers {
            let Some(fused) = fuse(&templates).filter(|f| f.dimension() == self.dimension) else { continue };
            gone.insert(id);
            if added.insert(id, (fused, templates.len())).is_none() {
                order.push(id);
            }
        }
        let (touched, mut segments): (Vec<_>, Vec<_>) =
            self.segments.iter().cloned().partition(|s| s.ids.len() < MOST / 2 || s.has_any(&gone));
        let kept =
            touched.iter().flat_map(|segment| segment.rows(self.dimension)).filter(|(id, ..)| !gone.contains(id));
        let new = order.iter().filter_map(|id| added.get(id).map(|(fused, n)| (*id, fused.values(), *n)));
        let rows: Vec<Row<'_>> = kept.chain(new).collect();
        segments.extend(rows.chunks(MOST).map(|rows| Arc::new(Segment::of(rows, self.dimension))));
        Self { dimension: self.dimension, segments }
    }

    /// How many customers a search may find.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.ids.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn contains(&self, customer: CustomerId) -> bool {
        self.templates(customer) > 0
    }

    /// How many templates stand behind `customer`; 0 when not enrolled.
    pub fn templates(&self, customer: CustomerId) -> usize {
        let place = |segment: &Arc<Segment>| segment.places.get(&customer).map(|row| segment.templates[*row]);
        self.segments.iter().find_map(place).unwrap_or(0)
    }

    /// The `limit` most similar customers, best first, one entry a customer; of two alike the lower id. A probe of
    /// another dimension finds nobody.
    pub fn search(&self, probe: &Embedding, limit: usize) -> Vec<Candidate> {
        let limit = limit.min(self.len());
        if limit == 0 || probe.dimension() != self.dimension {
            return Vec::new();
        }
        let before = |a: &Candidate, b: &Candidate| {
            b.similarity.0.total_cmp(&a.similarity.0).then_with(|| a.customer.0.cmp(&b.customer.0))
        };
        // Twice as many as are asked for, so that a search for everybody sorts now and then, not with each row.
        let room = 2 * limit;
        let mut best: Vec<Candidate> = Vec::with_capacity(room);
        let mut least = f32::NEG_INFINITY;
        for segment in &self.segments {
            for (id, values) in segment.ids.iter().zip(segment.rows.chunks_exact(self.dimension)) {
                let similarity = dot(values, probe.values());
                if similarity < least {
                    continue;
                }
                best.push(Candidate { customer: *id, similarity: Similarity(similarity) });
                if best.len() == room {
                    best.sort_unstable_by(before);
                    best.truncate(limit);
                    least = best.last().map_or(least, |last| last.similarity.0);
                }
            }
        }
        best.sort_unstable_by(before);
        best.truncate(limit);
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
    use proptest::prelude::*;
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

    /// Of a number, so that few are alike.
    fn face(n: u32) -> Embedding {
        let value = |k: u32| (n.wrapping_mul(2_654_435_761).rotate_left(7 * k) % 1_000) as f32 - 499.5;
        Embedding::from_raw((0..4).map(value).collect()).expect("not zero")
    }

    #[test]
    fn an_erased_template_is_in_no_later_gallery_and_the_others_are_shared() {
        let everybody = (0..50u32).map(|n| (id(u128::from(n)), vec![face(n)]));
        let gallery = Gallery::build(4, everybody);
        let erased = face(15);
        let holds = |gallery: &Gallery| {
            gallery.segments.iter().any(|s| s.rows.chunks_exact(4).any(|row| row == erased.values()))
        };
        let after = gallery.without(id(15));
        assert!(holds(&gallery) && !holds(&after), "not even as a row that no search sees");
        let shared = after.segments.iter().filter(|s| gallery.segments.iter().any(|old| Arc::ptr_eq(s, old))).count();
        assert!(shared >= 5, "the segments of the others are not copied");
        let segment = Arc::downgrade(&gallery.segments[1]);
        assert!(segment.upgrade().is_some_and(|s| s.places.contains_key(&id(15))));
        drop(gallery);
        assert!(segment.upgrade().is_none(), "and it has left the memory with the last snapshot that had it");
    }

    #[test]
    fn a_long_run_of_changes_leaves_few_segments_and_nothing_removed() {
        let mut gallery = Gallery::empty(4);
        for n in 0..600u32 {
            gallery = gallery.with([(id(u128::from(n % 300)), vec![face(n)])]);
            if n % 3 == 0 {
                gallery = gallery.without(id(u128::from(n / 2)));
            }
            let rows: usize = gallery.segments.iter().map(|s| s.rows.len() / 4).sum();
            assert_eq!(rows, gallery.len());
            assert!(gallery.segments.len() <= 2 * gallery.len() / MOST + 1, "{} segments", gallery.segments.len());
        }
    }

    proptest! {
        #[test]
        fn however_a_gallery_came_about_it_finds_what_a_fresh_one_finds(
            steps in prop::collection::vec((0u128..40, 0u32..60, 0u8..3), 1..120), probe in 0u32..60, limit in 0usize..50,
        ) {
            let mut gallery = Gallery::empty(4);
            let mut enrolled = std::collections::BTreeMap::new();
            for (customer, n, what) in steps {
                if what == 0 {
                    gallery = gallery.without(id(customer));
                    enrolled.remove(&customer);
                } else {
                    let templates = (0..u32::from(what)).map(|k| face(n + k)).collect::<Vec<_>>();
                    gallery = gallery.with([(id(customer), templates.clone())]);
                    enrolled.insert(customer, templates);
                }
            }
            let fresh = Gallery::build(4, enrolled.iter().map(|(customer, t)| (id(*customer), t.clone())));
            prop_assert_eq!(gallery.len(), enrolled.len());
            prop_assert_eq!(gallery.search(&face(probe), limit), fresh.search(&face(probe), limit));
            for customer in 0..40 {
                prop_assert_eq!(gallery.templates(id(customer)), enrolled.get(&customer).map_or(0, Vec::len));
            }
        }
    }
}
