//! `snova enrol`: a customer who has consented, from photographs, or with a card or phone.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::civil::Date;

use super::out;
use crate::app::settings;
use crate::clock::{Clock, REMEDY, Trust};
use crate::config::Config;
use crate::customer::{Consent, ConsentMethod, FormOfAddress, Gender, PersonName, Purpose};
use crate::enrolment::{EnrolRequest, Photo, enrol_without_photos, prepare};
use crate::i18n::Language;
use crate::vision::Vision;

#[derive(Args)]
#[command(after_help = "Examples:
  snova enrol --given Иван --patronymic Петрович --family Соколов \\
      --consent-on 2026-11-20 --consent-method paper-form ivan-1.jpg ivan-2.jpg ivan-3.jpg
  snova enrol --given Іван --family Шевченко --gender m --address title-family --language uk \\
      --consent-on 2026-11-20 --consent-method signed-on-screen photo.jpg
  snova enrol --given Анна --card 4820000123456 --phone +79123456789 \\
      --consent-on 2026-11-20 --consent-method paper-form")]
pub struct EnrolArgs {
    #[arg(long)]
    given: String,
    #[arg(long)]
    patronymic: Option<String>,
    #[arg(long)]
    family: Option<String>,
    /// Grammatical gender for titles and word forms, as the customer says: f or m
    #[arg(long)]
    gender: Option<Gender>,
    /// How to address the customer: given-patronymic, given or title-family
    #[arg(long, default_value = "given-patronymic")]
    address: FormOfAddress,
    /// The exact words to address the customer by, for names that the rules get wrong
    #[arg(long, value_name = "WORDS")]
    spoken: Option<String>,
    /// Language to greet in: ru, uk or en [default: the counter's]
    #[arg(long)]
    language: Option<Language>,
    /// Loyalty tier for the card
    #[arg(long)]
    tier: Option<String>,
    /// A note for the card that the customer knows of
    #[arg(long)]
    note: Option<String>,
    /// The day the customer consented
    #[arg(long, value_name = "YYYY-MM-DD")]
    consent_on: Option<Date>,
    /// How: paper-form, signed-on-screen or own-device
    #[arg(long, value_name = "METHOD")]
    consent_method: Option<ConsentMethod>,
    /// The last day on which the consent holds [default: until withdrawn]
    #[arg(long, value_name = "YYYY-MM-DD")]
    consent_until: Option<Date>,
    /// The customer did not agree that visits are sent to the CRM
    #[arg(long)]
    no_visit_records: bool,
    #[command(flatten)]
    given_ids: super::Given,
    /// Enrol although the face resembles a customer who is enrolled already (twins)
    #[arg(long)]
    allow_similar: bool,
    /// Three or more photographs of the face from different days are best; none for a customer who is to be greeted
    /// by card or phone alone
    #[arg(required_unless_present_any = ["card", "phone", "email"], value_name = "PHOTO")]
    photos: Vec<PathBuf>,
}

pub fn run(args: EnrolArgs, config: &Config) -> Result<()> {
    let (Some(given_on), Some(method)) = (args.consent_on, args.consent_method) else {
        anyhow::bail!(
            "nobody is enrolled without a consent; give --consent-on YYYY-MM-DD and --consent-method (paper-form, signed-on-screen, own-device)"
        );
    };
    let identifiers = args.given_ids.identifiers(config)?;
    let mut purposes = Vec::new();
    purposes.extend((!args.photos.is_empty()).then_some(Purpose::Recognition));
    purposes.extend((!identifiers.is_empty()).then_some(Purpose::CardGreeting));
    purposes.extend((!args.no_visit_records).then_some(Purpose::VisitRecords));
    let consent = Consent { given_on, method, purposes, valid_until: args.consent_until, withdrawn_at: None };
    let photos = args.photos.iter().map(|path| {
        let label = path.display().to_string();
        let bytes = super::read_photo(path).map_err(|why| anyhow::anyhow!("the photo {label} {why}"))?;
        Ok(Photo { label, bytes })
    });
    let request = EnrolRequest {
        name: PersonName {
            given: args.given,
            patronymic: args.patronymic,
            family: args.family,
            gender: args.gender,
            form: args.address,
            spoken: args.spoken,
        },
        language: args.language,
        tier: args.tier,
        note: args.note,
        consent,
        identifiers,
        photos: photos.collect::<Result<_>>()?,
        allow_similar: args.allow_similar,
    };
    let clock = super::trusted_clock(super::existing_store(config)?.as_deref());
    refuse_implausible(&*clock)?;
    let today = super::today(config, &*clock);
    // A consent that does not hold is refused before a model is loaded, a photo before there is a store.
    request.consent.check(Purpose::CardGreeting, today)?;
    if request.photos.is_empty() {
        let id = enrol_without_photos(request, &*super::open_store(config)?, &*clock, today)?;
        out::line(format_args!("enrolled as {id} without photos: greeted by card or phone alone"));
        return Ok(());
    }
    let mut vision = super::open_calibrated_vision(config)?;
    let prepared = prepare(request, &mut vision, &*clock, today)?;
    let store = super::open_store(config)?;
    let enrolled = prepared.enrol(settings::enrolment(config), vision.pack(), &store, today)?;
    for refused in &enrolled.refused {
        out::line(format_args!("not used: {}: {}", refused.label, refused.reason));
    }
    for warning in &enrolled.warnings {
        out::line(format_args!("note: {warning}"));
    }
    let plural = if enrolled.accepted == 1 { "photo" } else { "photos" };
    out::line(format_args!("enrolled as {} from {} {plural}", enrolled.id, enrolled.accepted));
    if enrolled.accepted < 3 {
        out::line("three or more photos of different days recognise much better: enrol them together next time");
    }
    Ok(())
}

/// Whatever day is given for the consent: when it was recorded, and whether it has begun, stand by the box's clock, and
/// one that is wrong would prove nothing.
fn refuse_implausible(clock: &dyn Clock) -> Result<()> {
    match clock.judgement().filter(|judgement| judgement.trust != Trust::Plausible) {
        Some(judgement) => anyhow::bail!("nobody is enrolled by a clock that cannot be right; {judgement}; {REMEDY}"),
        None => Ok(()),
    }
}
