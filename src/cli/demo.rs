//! `snova demo`: the main job without a camera, on made-up customers, leaving nothing behind.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use super::out;
use super::run::{refuse_busy_port, until_stopped};
use crate::app::settings::{self, Settings};
use crate::app::{self, Parts, Places, Supervision};
use crate::camera::{CameraConfig, DEMO_SCENE, SceneScript, SourceSpec};
use crate::clock::{Clock, WallTime};
use crate::config::Config;
use crate::customer::{Consent, ConsentMethod, Gender, HowKnown, PersonName, Purpose, VisitId};
use crate::enrolment::{EnrolRequest, Photo, enrol};
use crate::face::CameraId;
use crate::i18n::Language;
use crate::store::{Store, VisitRecord};
use crate::telemetry::{self, Metrics};
use crate::trouble::Troubles;
use crate::vision::Vision;

#[derive(Args)]
#[command(after_help = "Examples:\n  snova demo\n  snova demo --language uk --listen 127.0.0.1:9000")]
pub struct DemoArgs {
    /// Address to serve the cashier's page at
    #[arg(long, default_value = "127.0.0.1:8642", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Language of the greeting and the page: ru, uk or en
    #[arg(long, default_value = "ru")]
    language: Language,
}

/// A made-up customer and the sample photographs that enrol them. The scene shows another photograph of
/// the first; of the second there is only one, so enrolment and scene share it.
struct Sample {
    given: &'static str,
    patronymic: Option<&'static str>,
    family: &'static str,
    gender: Gender,
    tier: &'static str,
    photos: &'static [&'static str],
    /// Has been here before, so that the greeting is the one for a returning regular.
    known: bool,
}

pub fn run(args: DemoArgs) -> Result<()> {
    telemetry::init_logging("info", std::io::stderr)?;
    let media = Places::media()?;
    let runtime = super::runtime()?;
    refuse_busy_port(&runtime, args.listen)?;
    let data = tempfile::Builder::new().prefix("snova-demo-").tempdir().context("no folder for the demo's data")?;
    let mut config = Config::default();
    config.device.language = args.language;
    config.device.data_dir = data.path().to_owned();
    config.web.listen = args.listen;
    config.counters[0].language = args.language;
    // The scene's people come back within seconds: each time is a visit, so that each is greeted.
    config.visit.merge = std::time::Duration::from_secs(4);

    let (store, clock) = (super::open_store(&config)?, super::system_clock());
    let mut vision = super::open_calibrated_vision(&config)?;
    for sample in samples(args.language) {
        enrol_sample(sample, &media, &config, &mut vision, &store, &*clock)?;
    }
    let mut settings = Settings::from_config(&config)?;
    let camera = CameraConfig {
        counter: config.counters[0].name.clone(),
        camera: CameraId::new("demo-scene"),
        stall_after: settings::STALL_AFTER,
    };
    let script = SceneScript::BuiltIn { name: "the demo scene", text: DEMO_SCENE };
    settings.cameras.push((camera, SourceSpec::Scene { script, media, repeat: true }));
    let parts = Parts {
        store,
        vision: Box::new(vision),
        clock,
        metrics: Arc::new(Metrics::new()),
        supervision: Supervision::default(),
        troubles: Troubles::default(),
    };
    runtime.block_on(async {
        let service = app::start(settings, parts).await?;
        out::line(format_args!("The cashier's screen: http://{}/", service.address()));
        out::line(
            "A scene of 40 s plays over and over: a regular, a stranger, two regulars, nobody. Stop with Ctrl-C.",
        );
        out::line("The portraits are sample pictures of public figures, the names are made up; nothing is kept.");
        until_stopped(service).await
    })
}

fn samples(language: Language) -> [Sample; 2] {
    let (first, second) = (&["obama-1.jpg", "obama-3.jpg"] as &[_], &["astronaut-1.png"] as &[_]);
    let sample = |given, patronymic, family, gender, tier, photos: &'static [&'static str]| {
        let known = photos.len() > 1;
        Sample { given, patronymic, family, gender, tier, photos, known }
    };
    match language {
        Language::Russian => [
            sample("Иван", Some("Петрович"), "Соколов", Gender::Masculine, "Золотая карта", first),
            sample("Елена", Some("Андреевна"), "Белова", Gender::Feminine, "Серебряная карта", second),
        ],
        Language::Ukrainian => [
            sample("Іван", Some("Петрович"), "Соколенко", Gender::Masculine, "Золота картка", first),
            sample("Олена", Some("Андріївна"), "Біленко", Gender::Feminine, "Срібна картка", second),
        ],
        Language::English => [
            sample("John", None, "Falcon", Gender::Masculine, "Gold card", first),
            sample("Helen", None, "White", Gender::Feminine, "Silver card", second),
        ],
    }
}

fn enrol_sample(
    sample: Sample,
    media: &Path,
    config: &Config,
    vision: &mut dyn Vision,
    store: &Store,
    clock: &dyn Clock,
) -> Result<()> {
    let today = super::today(config, clock);
    let photos = sample.photos.iter().map(|file| {
        let path = media.join(file);
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}; run `snova setup`", path.display()))?;
        Ok(Photo { label: (*file).to_owned(), bytes })
    });
    let name = PersonName {
        patronymic: sample.patronymic.map(str::to_owned),
        family: Some(sample.family.to_owned()),
        gender: Some(sample.gender),
        ..PersonName::given(sample.given)
    };
    let request = EnrolRequest {
        name,
        language: None,
        tier: Some(sample.tier.to_owned()),
        note: None,
        consent: Consent {
            given_on: today,
            method: ConsentMethod::Demonstration,
            purposes: Purpose::ALL.to_vec(),
            valid_until: None,
            withdrawn_at: None,
        },
        identifiers: Vec::new(),
        photos: photos.collect::<Result<_>>()?,
        allow_similar: false,
    };
    let enrolled = enrol(request, settings::enrolment(config), vision, store, clock, today)?;
    if sample.known {
        let yesterday = WallTime { at: clock.wall().at - jiff::SignedDuration::from_hours(26), synchronised: true };
        let visit = VisitRecord {
            id: VisitId(clock.mint()),
            customer: enrolled.id,
            counter: config.counters[0].name.clone(),
            opened_at: yesterday,
            how: HowKnown::Match,
        };
        store.open_visit(&visit, today)?;
        store.close_visit(visit.id, yesterday, yesterday.at)?;
    }
    Ok(())
}
