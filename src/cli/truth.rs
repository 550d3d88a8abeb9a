//! A scene's ground truth beside what the counter made of it: who entered when, and who was named after how long.
//!
//! Whether the name is the right one is for the reader: a scene knows identities, not customers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::camera::Truth;
use crate::face::BoundingBox;

/// One stay of somebody in the picture.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    identity: Arc<str>,
    entered: Duration,
    last_seen: Duration,
    /// When, and by which name.
    named: Option<(Duration, String)>,
    /// When the cashier was first asked about them.
    asked: Option<Duration>,
}

#[derive(Default)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// The last frame, and who was in it.
    frame: Option<Duration>,
    present: Vec<Truth>,
}

impl Entries {
    /// Takes the truth of the frame at `at`.
    pub fn see(&mut self, at: Duration, truth: Vec<Truth>) {
        let before = self.frame.replace(at);
        for seen in &truth {
            let here =
                |e: &&mut Entry| e.identity == seen.identity && (Some(e.last_seen) == before || e.last_seen == at);
            match self.entries.iter_mut().find(here) {
                Some(entry) => entry.last_seen = at,
                None => self.entries.push(Entry {
                    identity: Arc::clone(&seen.identity),
                    entered: at,
                    last_seen: at,
                    named: None,
                    asked: None,
                }),
            }
        }
        self.present = truth;
    }

    /// The face at `bounds` of this frame was named.
    pub fn name(&mut self, bounds: &BoundingBox, name: &str) {
        if let Some((at, entry)) = self.at(bounds) {
            entry.named.get_or_insert_with(|| (at, name.to_owned()));
        }
    }

    /// The cashier was asked about the face at `bounds` of this frame.
    pub fn ask(&mut self, bounds: &BoundingBox) {
        if let Some((at, entry)) = self.at(bounds) {
            entry.asked.get_or_insert(at);
        }
    }

    /// Who truly is where a face was found.
    fn at(&mut self, bounds: &BoundingBox) -> Option<(Duration, &mut Entry)> {
        // A detector's box and a scene's differ by taste; a neighbour's overlaps less than this.
        const SAME_FACE_IOU: f32 = 0.2;
        let at = self.frame?;
        let iou = |truth: &&Truth| truth.bounds.iou(bounds);
        let truth = self.present.iter().max_by(|a, b| iou(a).total_cmp(&iou(b)))?;
        if iou(&truth) < SAME_FACE_IOU {
            return None;
        }
        let entry = self.entries.iter_mut().find(|e| e.identity == truth.identity && e.last_seen == at)?;
        Some((at, entry))
    }

    /// One line an entry, in the order of entering.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(|entry| {
            let after = |at: Duration| (at - entry.entered).as_secs_f64();
            let outcome = match (&entry.named, entry.asked) {
                (Some((at, name)), _) => format!("named {name} after {:.1} s", after(*at)),
                (None, Some(at)) => format!("asked about after {:.1} s, never named", after(at)),
                (None, None) => "never named".to_owned(),
            };
            let stayed = (entry.last_seen - entry.entered).as_secs_f64();
            format!(
                "{} {} in the picture for {stayed:.1} s: {outcome}",
                super::replay::stamp(entry.entered),
                entry.identity
            )
        })
    }

    pub fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            let named = entry.named.as_ref();
            json!({
                "identity": &*entry.identity,
                "entered_s": entry.entered.as_secs_f64(),
                "last_seen_s": entry.last_seen.as_secs_f64(),
                "named": named.map(|(_, name)| name),
                "named_after_s": named.map(|(at, _)| (*at - entry.entered).as_secs_f64()),
                "asked_after_s": entry.asked.map(|at| (at - entry.entered).as_secs_f64()),
            })
        };
        Value::Array(self.entries.iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn place(x1: f32) -> BoundingBox {
        BoundingBox { x1, y1: 0.0, x2: x1 + 50.0, y2: 50.0 }
    }

    fn truth(identity: &str, x1: f32) -> Truth {
        Truth { identity: Arc::from(identity), bounds: place(x1) }
    }

    #[test]
    fn a_name_goes_to_whoever_truly_stands_there() {
        let mut entries = Entries::default();
        entries.see(ms(0), vec![truth("ann", 0.0)]);
        entries.see(ms(100), vec![truth("ann", 0.0), truth("bob", 200.0)]);
        entries.see(ms(600), vec![truth("ann", 0.0), truth("bob", 200.0)]);
        entries.name(&place(190.0), "Роман");
        entries.ask(&place(5.0));
        entries.name(&place(400.0), "nobody stands there");
        let lines: Vec<String> = entries.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("ann") && lines[0].contains("asked about after 0.6 s"), "{lines:?}");
        assert!(lines[1].contains("bob") && lines[1].ends_with("named Роман after 0.5 s"), "{lines:?}");
    }

    #[test]
    fn whoever_was_gone_for_a_frame_enters_anew() {
        let mut entries = Entries::default();
        entries.see(ms(0), vec![truth("ann", 0.0)]);
        entries.name(&place(0.0), "Анна");
        entries.see(ms(100), Vec::new());
        entries.see(ms(200), vec![truth("ann", 0.0)]);
        let json = entries.json();
        assert_eq!(json.as_array().map(Vec::len), Some(2));
        assert_eq!(json[0]["named"], "Анна");
        assert_eq!(json[1]["entered_s"], 0.2);
        assert!(json[1]["named"].is_null());
    }
}
