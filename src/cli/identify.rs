//! `snova identify`: whom photographs show, as the counter would say from one shot.
//!
//! Nothing is written. The rules are `crate::gallery`'s, the quality gate is `crate::vision`'s.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use image::RgbImage;
use serde_json::{Value, json};

use super::known::Known;
use super::out;
use crate::app::settings;
use crate::config::Config;
use crate::customer::{Candidate, Decision};
use crate::face::{BoundingBox, QualityReason, decode_picture};
use crate::gallery::{DecisionConfig, Gallery, Ranked, Shot, conclude, settle_once};
use crate::vision::{Vision, VisionError, portrait};

#[derive(Args)]
#[command(after_help = "The counter decides on several shots of a face; here one photograph is one shot.

--numbers is for the owner's own diagnosis: whoever sees how similar chosen pictures are to a
template can rebuild the face behind it, so keep the numbers from others.

Examples:
  snova identify photo.jpg
  snova identify --json queue-1.jpg queue-2.jpg
  snova identify --numbers why-not-her.jpg")]
pub struct IdentifyArgs {
    /// Print one JSON object a photo
    #[arg(long)]
    json: bool,
    /// Print similarities, thresholds and quality too; not for other people's eyes
    #[arg(long)]
    numbers: bool,
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
}

/// One face of a photo.
struct Seen {
    bounds: BoundingBox,
    quality: f32,
    verdict: Verdict,
}

enum Verdict {
    /// By the quality gate; never empty.
    Refused(Vec<QualityReason>),
    /// The ranking is `None` where nobody is enrolled.
    Decided(Decision, Option<Ranked>),
}

pub fn run(args: &IdentifyArgs, config: &Config) -> Result<()> {
    let mut vision = super::open_calibrated_vision(config)?;
    let known = Known::load(config, vision.pack())?;
    if known.gallery.is_empty() && !args.json {
        out::line("note: nobody is enrolled, so nobody can be recognised; enrol somebody with `snova enrol`");
    }
    let rules = DecisionConfig { min_shots: 1, ..settings::pipeline(config).decision };
    let mut unusable = Vec::new();
    for photo in &args.photos {
        match read_picture(photo) {
            Ok(picture) => {
                let seen = look(&picture, &mut vision, &known.gallery, &rules)?;
                let view = View { known: &known, numbers: args.numbers };
                if args.json { out::line(view.json(photo, &seen)) } else { view.print(photo, &seen) }
            }
            Err(why) => {
                if args.json {
                    out::line(json!({ "photo": photo, "error": why }));
                }
                unusable.push(format!("{}: {why}", photo.display()));
            }
        }
    }
    if unusable.is_empty() { Ok(()) } else { anyhow::bail!("{}", unusable.join("; ")) }
}

fn read_picture(photo: &Path) -> Result<RgbImage, String> {
    let bytes = super::read_photo(photo)?;
    decode_picture(&bytes).map_err(|e| e.to_string())
}

/// Every face of a picture, from left to right, with what one shot of it leads to.
fn look(
    picture: &RgbImage,
    vision: &mut dyn Vision,
    gallery: &Gallery,
    rules: &DecisionConfig,
) -> Result<Vec<Seen>, VisionError> {
    let mut seen = Vec::new();
    let mut ranked: Vec<(usize, Ranked)> = Vec::new();
    let mut detections = vision.detect(picture)?;
    detections.sort_by(|a, b| a.bounds.x1.total_cmp(&b.bounds.x1));
    for detection in detections {
        let (quality, verdict) = match portrait(&*vision, picture, &detection) {
            Err(reason) => (0.0, Verdict::Refused(vec![reason])),
            Ok(face) if !face.quality.is_usable() => (face.quality.score, Verdict::Refused(face.quality.reasons)),
            Ok(face) => {
                let quality = face.quality.score;
                let embeddings = vision.embed(&[face.chip])?;
                let shots: Vec<Shot> = embeddings.into_iter().map(|embedding| Shot { embedding, quality }).collect();
                if let Some(ranking) = conclude(gallery, &shots, &vision.pack().thresholds, rules) {
                    ranked.push((seen.len(), ranking));
                }
                (quality, Verdict::Decided(Decision::NoMatch, None))
            }
        };
        seen.push(Seen { bounds: detection.bounds, quality, verdict });
    }
    let rankings: Vec<Ranked> = ranked.iter().map(|(_, ranking)| ranking.clone()).collect();
    for ((index, ranking), decision) in ranked.into_iter().zip(settle_once(&rankings, rules)) {
        seen[index].verdict = Verdict::Decided(decision, Some(ranking));
    }
    Ok(seen)
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Decided(Decision::Match(_), _) => "match",
            Self::Decided(Decision::Maybe(_), _) => "maybe",
            Self::Decided(Decision::NoMatch | Decision::Undecided(_), _) => "no match",
        }
    }

    fn candidates(&self) -> &[Candidate] {
        match self {
            Self::Decided(Decision::Match(candidate), _) => std::slice::from_ref(candidate),
            Self::Decided(Decision::Maybe(candidates), _) => candidates,
            _ => &[],
        }
    }

    fn ranking(&self) -> Option<&Ranked> {
        match self {
            Self::Decided(_, ranking) => ranking.as_ref(),
            Self::Refused(_) => None,
        }
    }
}

struct View<'a> {
    known: &'a Known,
    numbers: bool,
}

impl View<'_> {
    fn print(&self, photo: &Path, seen: &[Seen]) {
        let count = match seen.len() {
            0 => "no face was found".to_owned(),
            1 => "1 face".to_owned(),
            many => format!("{many} faces, from left to right"),
        };
        out::line(format_args!("{}: {count}", photo.display()));
        for face in seen {
            out::line(format_args!("  {}", self.face(face)));
        }
    }

    fn face(&self, face: &Seen) -> String {
        let who = |c: &Candidate| format!("{} ({})", self.known.name(c.customer), c.customer);
        let mut line = face.verdict.word().to_owned();
        if let Verdict::Refused(reasons) = &face.verdict {
            line = format!("{line}: {}", list(reasons, QualityReason::to_string, "; "));
        } else if !face.verdict.candidates().is_empty() {
            line = format!("{line}: {}", list(face.verdict.candidates(), who, " or "));
        }
        if self.numbers {
            line = format!("{line}  [{:.0} px wide, quality {:.2}", face.bounds.width(), face.quality);
            if let Some(ranking) = face.verdict.ranking() {
                let similar = |c: &Candidate| format!("{:.4} {}", c.similarity.0, c.customer);
                let (match_at, maybe_at) = (ranking.match_at.0, ranking.maybe_at.0);
                let candidates = list(&ranking.candidates, similar, ", ");
                line = format!("{line}, match at {match_at:.4}, maybe at {maybe_at:.4}, similarity {candidates}");
            }
            line.push(']');
        }
        line
    }

    fn json(&self, photo: &Path, seen: &[Seen]) -> Value {
        let customer = |c: &Candidate| json!({ "id": c.customer.to_string(), "name": self.known.name(c.customer) });
        let face = |face: &Seen| {
            let BoundingBox { x1, y1, x2, y2 } = face.bounds;
            let mut value = json!({
                "box": [x1.round() as i64, y1.round() as i64, x2.round() as i64, y2.round() as i64],
                "decision": face.verdict.word().replace(' ', "_"),
                "customers": face.verdict.candidates().iter().map(customer).collect::<Vec<_>>(),
            });
            if let Verdict::Refused(reasons) = &face.verdict {
                let reason = |r: &QualityReason| json!({ "reason": r.as_str(), "remedy": r.remedy() });
                value["refused"] = reasons.iter().map(reason).collect();
            }
            if self.numbers {
                value["numbers"] = numbers(face);
            }
            value
        };
        json!({ "photo": photo, "faces": seen.iter().map(face).collect::<Vec<_>>() })
    }
}

fn numbers(face: &Seen) -> Value {
    let candidate = |c: &Candidate| json!({ "id": c.customer.to_string(), "similarity": c.similarity.0 });
    let ranking = face.verdict.ranking();
    json!({
        "face_px": face.bounds.width(),
        "quality": face.quality,
        "match_at": ranking.map(|r| r.match_at.0),
        "maybe_at": ranking.map(|r| r.maybe_at.0),
        "candidates": ranking.map(|r| r.candidates.iter().map(candidate).collect::<Vec<_>>()),
    })
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String, between: &str) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(between)
}
