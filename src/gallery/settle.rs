//! Which of the faces before one camera gets a customer's name: made anew with each frame from the tracks' rankings.
//!
//! What a ranking is worth by itself is `gallery::decide`'s; which tracks are live is `crate::track`'s.

use super::decide::{DecisionConfig, Ranked, decide};
use crate::customer::{CustomerId, Decision};
use crate::face::Similarity;

/// What earlier frames have settled about a track. It lives and dies with the track.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The customer whose name the track bears.
    holds: Option<CustomerId>,
    /// Customers whom another face of the same frame resembled clearly more, each with that face's similarity.
    outdone: Vec<(CustomerId, Similarity)>,
}

/// One live track of a camera, as it takes part in settling.
pub struct Face<'a> {
    pub ranked: &'a Ranked,
    pub standing: &'a mut Standing,
    /// Whether this frame shows the face, and it is beyond doubt the one that was looked at. A face that the detector
    /// missed keeps its name while its track lives, but proves nothing about the others: it may be one of them.
    pub is_seen: bool,
}

impl Face<'_> {
    fn best(&self) -> Option<(CustomerId, f32)> {
        self.ranked.candidates.first().map(|c| (c.customer, c.similarity.0))
    }

    /// The similarity that counts where faces compete: who bears the name is ahead by what a takeover needs.
    fn strength(&self, config: &DecisionConfig) -> f32 {
        let ahead = |customer| if self.standing.holds == Some(customer) { config.takeover } else { 0.0 };
        self.best().map_or(f32::NEG_INFINITY, |(customer, similarity)| similarity + ahead(customer))
    }
}

impl Standing {
    /// Whether another face was seen to be this customer rather than this one, and nothing has changed since: it
    /// does not get the name by the other's going away.
    fn is_outdone(&self, (customer, similarity): (CustomerId, f32), config: &DecisionConfig) -> bool {
        self.outdone.iter().any(|(other, by)| *other == customer && similarity + config.takeover < by.0)
    }

    fn note_outdone(&mut self, customer: CustomerId, by: Similarity) {
        match self.outdone.iter_mut().find(|(other, _)| *other == customer) {
            Some((_, most)) => most.0 = most.0.max(by.0),
            None => self.outdone.push((customer, by)),
        }
    }
}

/// Settles who is who among all live tracks of one camera, oldest first, so that a customer is given to one of them at
/// most: to the most similar one, in whatever order they came. Who bears the name keeps it against a face that is not
/// better by `config.takeover`, so that a name does not go to and fro between two alike.
pub fn settle(faces: &mut [Face<'_>], config: &DecisionConfig) -> Vec<Decision> {
    let mut order: Vec<usize> = (0..faces.len()).collect();
    let strength: Vec<f32> = faces.iter().map(|face| face.strength(config)).collect();
    let holds = |i: usize| faces[i].standing.holds.is_some();
    order.sort_by(|a, b| strength[*b].total_cmp(&strength[*a]).then(holds(*b).cmp(&holds(*a))));
    let (mut taken, mut winners) = (Vec::new(), Vec::new());
    let mut decisions = vec![Decision::NoMatch; faces.len()];
    for index in order {
        let face = &faces[index];
        if face.best().is_some_and(|best| face.standing.is_outdone(best, config)) {
            continue;
        }
        let decision = decide(face.ranked, &taken, config);
        if let Decision::Match(candidate) = &decision {
            taken.push(candidate.customer);
            winners.push((*candidate, face.is_seen));
        }
        decisions[index] = decision;
    }
    for (face, decision) in faces.iter_mut().zip(&decisions) {
        face.standing.holds = match decision {
            Decision::Match(candidate) => Some(candidate.customer),
            _ => None,
        };
        let Some((customer, similarity)) = face.best().filter(|_| face.is_seen) else { continue };
        let winner = winners.iter().find(|(winner, is_seen)| *is_seen && winner.customer == customer);
        if let Some((winner, _)) = winner.filter(|(winner, _)| winner.similarity.0 > similarity + config.takeover) {
            face.standing.note_outdone(customer, winner.similarity);
        }
    }
    decisions
}

/// The same for faces without a past, as those of a single picture.
pub fn settle_once(rankings: &[Ranked], config: &DecisionConfig) -> Vec<Decision> {
    let mut standings = vec![Standing::default(); rankings.len()];
    let mut faces: Vec<Face<'_>> = rankings
        .iter()
        .zip(&mut standings)
        .map(|(ranked, standing)| Face { ranked, standing, is_seen: true })
        .collect();
    settle(&mut faces, config)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::customer::Candidate;

    const TAKEOVER: f32 = 0.05;

    fn id(n: u128) -> CustomerId {
        CustomerId(Uuid::from_u128(n))
    }

    fn ranked(candidates: &[(u128, f32)]) -> Ranked {
        let candidates =
            candidates.iter().map(|(n, s)| Candidate { customer: id(*n), similarity: Similarity(*s) }).collect();
        Ranked { candidates, match_at: Similarity(0.5), maybe_at: Similarity(0.4), agreed: true }
    }

    fn matched(decision: &Decision) -> Option<CustomerId> {
        match decision {
            Decision::Match(candidate) => Some(candidate.customer),
            _ => None,
        }
    }

    /// Tracks that stay before a camera, with whether each frame shows them.
    #[derive(Default)]
    struct Camera(Vec<(Ranked, Standing, bool)>);

    impl Camera {
        fn come(&mut self, candidates: &[(u128, f32)]) {
            self.0.push((ranked(candidates), Standing::default(), true));
        }

        fn frame(&mut self) -> Vec<Option<CustomerId>> {
            let tracks = self.0.iter_mut();
            let mut faces: Vec<Face<'_>> =
                tracks.map(|(ranked, standing, seen)| Face { ranked, standing, is_seen: *seen }).collect();
            let decisions = settle(&mut faces, &DecisionConfig::default());
            decisions.iter().map(matched).collect()
        }
    }

    #[test]
    fn a_customer_is_given_to_the_most_similar_face_of_a_frame_only() {
        let rankings = [ranked(&[(1, 0.6), (2, 0.5)]), ranked(&[(1, 0.8), (2, 0.1)])];
        let decisions = settle_once(&rankings, &DecisionConfig::default());
        assert_eq!(matched(&decisions[1]), Some(id(1)));
        assert_eq!(decisions[0], Decision::NoMatch);
    }

    #[test]
    fn the_true_customer_takes_the_name_back_from_a_stranger() {
        let mut camera = Camera::default();
        camera.come(&[(1, 0.55)]);
        assert_eq!(camera.frame(), [Some(id(1))]);
        camera.come(&[(1, 0.8)]);
        assert_eq!(camera.frame(), [None, Some(id(1))]);
    }

    #[test]
    fn a_stranger_does_not_get_the_name_when_its_owner_goes() {
        let mut camera = Camera::default();
        camera.come(&[(1, 0.55)]);
        camera.come(&[(1, 0.8)]);
        camera.frame();
        camera.0.pop();
        assert_eq!(camera.frame(), [None]);
        // Later looks that resemble the customer as much as the other face did are another matter.
        camera.0[0].0 = ranked(&[(1, 0.78)]);
        assert_eq!(camera.frame(), [Some(id(1))]);
    }

    #[test]
    fn two_alike_do_not_flicker() {
        let mut camera = Camera::default();
        camera.come(&[(1, 0.70)]);
        camera.come(&[(1, 0.69)]);
        for better in [0.69, 0.73, 0.70, 0.74, 0.66, 0.74] {
            camera.0[1].0 = ranked(&[(1, better)]);
            assert_eq!(camera.frame(), [Some(id(1)), None], "{better}");
        }
        camera.0[1].0 = ranked(&[(1, 0.76)]);
        assert_eq!(camera.frame(), [None, Some(id(1))]);
    }

    #[test]
    fn a_face_that_a_frame_does_not_show_keeps_its_name_and_proves_nothing() {
        let mut camera = Camera::default();
        camera.come(&[(1, 0.8)]);
        camera.frame();
        camera.0[0].2 = false;
        // The same customer, who moved too fast for the tracker, is another track.
        camera.come(&[(1, 0.7)]);
        assert_eq!(camera.frame(), [Some(id(1)), None]);
        camera.0.remove(0);
        assert_eq!(camera.frame(), [Some(id(1))], "once the old track has ended");
    }

    proptest! {
        /// Tracks come, go, are looked at and missed in any order.
        #[test]
        fn no_customer_has_two_faces_and_the_clearly_better_one_has_the_name(
            steps in prop::collection::vec((0usize..4, 1u128..4, 0.30f32..0.95, 0u8..4), 1..80),
        ) {
            let mut camera = Camera::default();
            for (place, customer, similarity, what) in steps {
                match what {
                    0 => camera.come(&[(customer, similarity)]),
                    1 if place < camera.0.len() => { camera.0.remove(place); }
                    2 if place < camera.0.len() => camera.0[place].2 ^= true,
                    _ if place < camera.0.len() => camera.0[place].0 = ranked(&[(customer, similarity)]),
                    _ => {}
                }
                let given = camera.frame();
                let best = |n: usize| camera.0[n].0.candidates[0];
                for (n, who) in given.iter().enumerate() {
                    prop_assert!(who.is_none_or(|who| who == best(n).customer && best(n).similarity.0 >= 0.5));
                    prop_assert!(who.is_none() || given.iter().filter(|other| *other == who).count() == 1);
                }
                for n in 0..given.len() {
                    let rivals = || (0..given.len()).filter(|r| *r != n && best(*r).customer == best(n).customer);
                    let is_best = rivals().all(|r| best(n).similarity.0 > best(r).similarity.0 + TAKEOVER);
                    let reaches = |by: f32| best(n).similarity.0 + TAKEOVER >= by;
                    let outdone = &camera.0[n].1.outdone;
                    let was_outdone = outdone.iter().any(|(c, by)| *c == best(n).customer && !reaches(by.0));
                    if is_best && best(n).similarity.0 >= 0.5 && !was_outdone {
                        prop_assert_eq!(given[n], Some(best(n).customer));
                    }
                    let is_worse = rivals().any(|r| {
                        given[r].is_some() && best(r).similarity.0 > best(n).similarity.0 + TAKEOVER
                    });
                    prop_assert!(!is_worse || given[n].is_none());
                }
            }
        }
    }
}
