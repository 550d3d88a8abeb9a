//! From a request and its photos or cards to an enrolled customer, or to reasons that a person can act on.
//!
//! Consent comes before any photo is looked at, and no photo is kept. How quality is measured is
//! `crate::vision`'s, the rows are `crate::store`'s.

use std::fmt;

use image::RgbImage;

use crate::clock::{Clock, Days};
use crate::customer::{Candidate, Consent, ConsentError, CustomerId, Identifier, NameError, PersonName, Purpose};
use crate::face::{
    Embedding, FaceChip, FrameError, QualityReason, Similarity, Template, ThresholdTable, align, decode_picture, fuse,
};
use crate::gallery::Gallery;
use crate::i18n::Language;
use crate::store::{Erasure, NewCustomer, Store, StoreError};
use crate::vision::{PackFacts, Vision, VisionError};

/// The most photos of one enrolment; more teach nothing and make a person wait.
pub const MAX_PHOTOS: usize = 20;
const MAX_TIER_CHARS: usize = 80;
const MAX_NOTE_CHARS: usize = 200;

/// A search returns a confusable customer at this many times the FPIR at which it names one.
const CONFUSABLE_FPIR_FACTOR: f64 = 10.0;

/// A customer to be enrolled, who has agreed, with photos of them alone, or with a card or phone, or both.
pub struct EnrolRequest {
    pub name: PersonName,
    /// The language to greet in; the counter's own when `None`.
    pub language: Option<Language>,
    pub tier: Option<String>,
    pub note: Option<String>,
    pub consent: Consent,
    pub identifiers: Vec<Identifier>,
    pub photos: Vec<Photo>,
    /// Enrol although the face is taken for a customer already enrolled: for twins.
    pub allow_similar: bool,
}

/// One JPEG or PNG file. The label tells the person who gave it which one is meant; it may be a file name with
/// a customer's name in it: show it, never log it.
pub struct Photo {
    pub label: String,
    pub bytes: Vec<u8>,
}

/// What enrolment needs to know of recognition as it is configured.
#[derive(Clone, Copy, Debug)]
pub struct EnrolmentRules {
    /// The FPIR that the counter's searches aim at, in (0, 1).
    pub target_fpir: f64,
}

/// An enrolment that succeeded.
#[derive(Debug)]
pub struct Enrolled {
    pub id: CustomerId,
    /// How many photos became templates, at least 1.
    pub accepted: usize,
    /// Photos that were left out, in the order given.
    pub refused: Vec<Refused>,
    /// What to watch out for at the counter.
    pub warnings: Vec<Warning>,
}

/// A photo that was not used, by its label.
pub struct Refused {
    pub label: String,
    pub reason: RefusalReason,
}

/// Why a photo was not used. Each text says what is wrong and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RefusalReason {
    #[error(transparent)]
    Unreadable(#[from] FrameError),
    #[error("no face was found; use a photo that shows the face from the front")]
    NoFace,
    #[error("several people ({0} faces); crop the photo to one")]
    SeveralFaces(usize),
    #[error("eyes, nose and mouth were not found; use a photo that shows the face from the front")]
    NotAligned,
    /// Never empty.
    #[error("{}", in_one_line(.0))]
    Quality(Vec<QualityReason>),
    #[error("looks like another person than the other photos; leave it out or check whose it is")]
    AnotherPerson,
}

/// What the cashier may run into with this customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("looks much like customer {0}; the screen will ask rather than name, and may mistake one for the other")]
    Confusable(CustomerId),
}

/// Why nobody was enrolled. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the {what} is empty, longer than {max} characters or holds a line break; correct it or leave it out")]
    Text { what: &'static str, max: usize },
    #[error(transparent)]
    Consent(#[from] ConsentError),
    #[error("no photo was given; give one to {MAX_PHOTOS}, or a card or phone")]
    NoPhotos,
    #[error("{0} photos are too many; give at most {MAX_PHOTOS}")]
    TooManyPhotos(usize),
    #[error("no photo can be used: {}", in_one_line(.0))]
    NoUsablePhoto(Vec<Refused>),
    /// The labels, by person as far as it can be told.
    #[error("the photos do not agree on one person ({}); give photos of one person only", sides(.0))]
    PhotosDisagree(Vec<Vec<String>>),
    #[error(
        "this face is already enrolled as customer {0}; if it is somebody else (a twin), repeat with --allow-similar"
    )]
    AlreadyEnrolled(CustomerId),
    #[error(transparent)]
    Vision(#[from] VisionError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Enrols one customer: all of it or nothing. `today` is the shop's date.
pub fn enrol(
    request: EnrolRequest,
    rules: EnrolmentRules,
    vision: &mut dyn Vision,
    store: &Store,
    clock: &dyn Clock,
    today: impl Into<Days> + Copy,
) -> Result<Enrolled, EnrolError> {
    prepare(request, vision, clock, today)?.enrol(rules, vision.pack(), store, today)
}

/// Enrols one customer who is known by card or phone alone: needs no models, makes no template.
pub fn enrol_without_photos(
    request: EnrolRequest,
    store: &Store,
    clock: &dyn Clock,
    today: impl Into<Days> + Copy,
) -> Result<CustomerId, EnrolError> {
    if request.identifiers.is_empty() || !request.photos.is_empty() {
        return Err(EnrolError::NoPhotos);
    }
    request.consent.check(Purpose::CardGreeting, today)?;
    let customer = checked(request, clock)?;
    store.add_customer(&customer, &[], today)?;
    Ok(customer.id)
}

/// The request's words as a customer who could be written.
fn checked(request: EnrolRequest, clock: &dyn Clock) -> Result<NewCustomer, EnrolError> {
    let EnrolRequest { language, consent, identifiers, .. } = request;
    Ok(NewCustomer {
        id: CustomerId(clock.mint()),
        name: request.name.checked()?,
        language,
        tier: checked_text(request.tier, "tier", MAX_TIER_CHARS)?,
        note: checked_text(request.note, "note", MAX_NOTE_CHARS)?,
        consent,
        identifiers,
        enrolled_at: clock.wall().at,
    })
}

/// An enrolment whose photos were looked at; nothing is written yet.
pub struct Prepared {
    customer: NewCustomer,
    shots: Vec<Shot>,
    refused: Vec<Refused>,
    allow_similar: bool,
}

/// The first half of [`enrol`]: all that needs the models, and nothing that needs the store.
pub fn prepare(
    mut request: EnrolRequest,
    vision: &mut dyn Vision,
    clock: &dyn Clock,
    today: impl Into<Days> + Copy,
) -> Result<Prepared, EnrolError> {
    request.consent.check(Purpose::Recognition, today)?;
    let (photos, allow_similar) = (std::mem::take(&mut request.photos), request.allow_similar);
    let customer = checked(request, clock)?;

    let (shots, mut refused) = usable_shots(photos, vision)?;
    let (shots, outliers) = of_one_person(shots, loosest(&vision.pack().thresholds))?;
    refused.extend(outliers);
    refused.sort_by_key(|(order, _)| *order);
    let refused = refused.into_iter().map(|(_, refused)| refused).collect();
    Ok(Prepared { customer, shots, refused, allow_similar })
}

impl Prepared {
    /// The second half: compares with those enrolled, then writes all of it or nothing.
    pub fn enrol(
        self,
        rules: EnrolmentRules,
        pack: &PackFacts,
        store: &Store,
        today: impl Into<Days> + Copy,
    ) -> Result<Enrolled, EnrolError> {
        let Self { customer, shots, refused, allow_similar } = self;
        let warnings = look_for_similar(&shots, rules, allow_similar, pack, store, today)?;
        let template =
            |shot: Shot| Template { embedding: shot.embedding, pack: pack.name.clone(), quality: shot.quality };
        let templates: Vec<Template> = shots.into_iter().map(template).collect();
        store.add_customer(&customer, &templates, today)?;
        Ok(Enrolled { id: customer.id, accepted: templates.len(), refused, warnings })
    }
}

/// The gallery of everyone who may be recognised on `days`: templates of this pack, consents that are live.
pub fn load_gallery(store: &Store, pack: &PackFacts, days: impl Into<Days>) -> Result<Gallery, StoreError> {
    Ok(Gallery::build(pack.dimension, store.templates(&pack.name, days)?))
}

/// Erases a customer everywhere on this box; the CRM is told by the outbox.
pub fn erase(id: CustomerId, store: &Store, clock: &dyn Clock) -> Result<Erasure, StoreError> {
    store.erase(id, clock.wall())
}

/// A usable photo; `order` is its place in the request.
struct Shot {
    order: usize,
    label: String,
    quality: f32,
    embedding: Embedding,
}

type InOrder = Vec<(usize, Refused)>;

/// Looks at each photo, keeping of it only the chip; then embeds all chips at once.
fn usable_shots(photos: Vec<Photo>, vision: &mut dyn Vision) -> Result<(Vec<Shot>, InOrder), EnrolError> {
    match photos.len() {
        0 => return Err(EnrolError::NoPhotos),
        1..=MAX_PHOTOS => {}
        many => return Err(EnrolError::TooManyPhotos(many)),
    }
    let (mut chips, mut facts, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (order, Photo { label, bytes }) in photos.into_iter().enumerate() {
        match look_at(&bytes, vision)? {
            Ok((chip, quality)) => {
                chips.push(chip);
                facts.push((order, label, quality));
            }
            Err(reason) => refused.push((order, Refused { label, reason })),
        }
    }
    if chips.is_empty() {
        return Err(EnrolError::NoUsablePhoto(refused.into_iter().map(|(_, refused)| refused).collect()));
    }
    let embeddings = vision.embed(&chips)?;
    if embeddings.len() != chips.len() {
        let (got, expected) = (format!("{} embeddings", embeddings.len()), chips.len().to_string());
        return Err(VisionError::UnexpectedOutput { model: "embedder", got, expected }.into());
    }
    let shots = facts
        .into_iter()
        .zip(embeddings)
        .map(|((order, label, quality), embedding)| Shot { order, label, quality, embedding })
        .collect();
    Ok((shots, refused))
}

/// The one usable face of a photo with its quality score, or why there is none. The outer error is the models'.
fn look_at(bytes: &[u8], vision: &mut dyn Vision) -> Result<Result<(FaceChip, f32), RefusalReason>, VisionError> {
    let picture: RgbImage = match decode_picture(bytes) {
        Ok(picture) => picture,
        Err(error) => return Ok(Err(error.into())),
    };
    let faces = vision.detect(&picture)?;
    let face = match faces.as_slice() {
        [] => return Ok(Err(RefusalReason::NoFace)),
        [face] => face,
        several => return Ok(Err(RefusalReason::SeveralFaces(several.len()))),
    };
    let Some(chip) = align(&picture, &face.landmarks, &vision.pack().layout) else {
        return Ok(Err(RefusalReason::NotAligned));
    };
    let quality = vision.quality(&picture, face, &chip);
    Ok(if quality.is_usable() { Ok((chip, quality.score)) } else { Err(RefusalReason::Quality(quality.reasons)) })
}

/// Keeps the shots that agree on one person and refuses the rest. Without a majority it cannot be told who
/// is meant, and nobody is enrolled.
fn of_one_person(shots: Vec<Shot>, loosest: Similarity) -> Result<(Vec<Shot>, InOrder), EnrolError> {
    let mut people = people_in(&shots, loosest);
    people.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let of_one = people.first().map(Vec::as_slice).unwrap_or_default();
    if of_one.len() * 2 <= shots.len() {
        let labels = |members: &Vec<usize>| members.iter().map(|i| shots[*i].label.clone()).collect();
        return Err(EnrolError::PhotosDisagree(people.iter().map(labels).collect()));
    }
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for (i, shot) in shots.into_iter().enumerate() {
        if of_one.contains(&i) {
            kept.push(shot);
        } else {
            refused.push((shot.order, Refused { label: shot.label, reason: RefusalReason::AnotherPerson }));
        }
    }
    Ok((kept, refused))
}

/// Groups shots by person, closest first: two groups are one while their fused templates reach `loosest`.
/// Fusing before comparing lets a poor shot of the right person stay, which comparing pairs would not.
fn people_in(shots: &[Shot], loosest: Similarity) -> Vec<Vec<usize>> {
    let mut people: Vec<Vec<usize>> = (0..shots.len()).map(|i| vec![i]).collect();
    let fused = |members: &[usize]| fuse(members.iter().map(|i| &shots[*i].embedding));
    loop {
        let mut closest: Option<(Similarity, usize, usize)> = None;
        for b in 1..people.len() {
            for a in 0..b {
                let Some(similarity) = similarity(fused(&people[a]), fused(&people[b])) else { continue };
                if similarity >= loosest && closest.is_none_or(|(best, ..)| similarity > best) {
                    closest = Some((similarity, a, b));
                }
            }
        }
        let Some((_, a, b)) = closest else { return people };
        let joined = people.swap_remove(b);
        people[a].extend(joined);
    }
}

/// Compares the new template with every enrolled one, as a search at the counter would.
fn look_for_similar(
    shots: &[Shot],
    rules: EnrolmentRules,
    allow_similar: bool,
    pack: &PackFacts,
    store: &Store,
    today: impl Into<Days> + Copy,
) -> Result<Vec<Warning>, EnrolError> {
    let gallery = load_gallery(store, pack, today)?;
    let Some(fused) = fuse(shots.iter().map(|shot| &shot.embedding)) else { return Ok(Vec::new()) };
    let mut similar: Vec<(CustomerId, bool)> = Vec::new();
    // Best first, and everybody: each has a threshold of their own, by the number of their templates.
    for Candidate { customer, similarity } in gallery.search(&fused, gallery.len()) {
        let templates = gallery.templates(customer);
        let at = |fpir| pack.thresholds.threshold(fpir, gallery.len(), templates, shots.len());
        let same = similarity >= at(rules.target_fpir);
        if same || similarity >= at(rules.target_fpir * CONFUSABLE_FPIR_FACTOR) {
            similar.push((customer, same));
        }
    }
    match similar.iter().find(|(_, same)| *same) {
        Some((customer, _)) if !allow_similar => Err(EnrolError::AlreadyEnrolled(*customer)),
        _ => Ok(similar.into_iter().map(|(customer, _)| Warning::Confusable(customer)).collect()),
    }
}

/// `None` when one is missing or they come from different models.
fn similarity(a: Option<Embedding>, b: Option<Embedding>) -> Option<Similarity> {
    let (a, b) = a.zip(b)?;
    (a.dimension() == b.dimension()).then(|| a.similarity(&b))
}

fn loosest(table: &ThresholdTable) -> Similarity {
    Similarity(table.rows().iter().map(|row| row.threshold).fold(1.0, f32::min))
}

fn checked_text(text: Option<String>, what: &'static str, max: usize) -> Result<Option<String>, EnrolError> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(EnrolError::Text { what, max });
    }
    Ok(Some(text.to_owned()))
}

fn in_one_line<T: fmt::Display>(parts: &[T]) -> String {
    parts.iter().map(T::to_string).collect::<Vec<_>>().join("; ")
}

fn sides(people: &[Vec<String>]) -> String {
    people.iter().map(|labels| labels.join(", ")).collect::<Vec<_>>().join(" against ")
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.reason)
    }
}

/// Without the label: see [`Photo`].
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({:?})", self.reason)
    }
}

impl RefusalReason {
    /// A stable name for metrics and JSON; of several quality reasons the first.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NoFace => "no_face",
            Self::SeveralFaces(_) => "several_faces",
            Self::NotAligned => "not_aligned",
            Self::Quality(reasons) => reasons.first().map_or("quality", |reason| reason.as_str()),
            Self::AnotherPerson => "another_person",
        }
    }
}
