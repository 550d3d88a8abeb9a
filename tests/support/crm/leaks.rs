//! Every log line of a test's process, at every level, looked through as it is written: for names, phones, e-mail
//! addresses and secrets of the tests' customers and CRMs.
//!
//! What the store keeps of errors is looked through as well, when a road ends.

use std::io::Write;
use std::sync::{Mutex, Once, OnceLock};

use tracing_subscriber::fmt::MakeWriter;

/// Parts of what people and logins of these tests are called. Phones are told by their shape.
const NAMES: &[&str] = &["Имя", "Петрович", "Соколов", "Иоанн", "Менеджерова", "Чужой", "без сахара", "Кофе в подарок"];

static SECRETS: OnceLock<Vec<String>> = OnceLock::new();
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: Mutex<usize> = Mutex::new(0);

/// Writes nothing and reads everything.
#[derive(Clone, Copy)]
struct Reader;

impl Write for Reader {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        *LINES.lock().unwrap() += 1;
        let text = String::from_utf8_lossy(line);
        if let Some(what) = leak_in(&text) {
            FOUND.lock().unwrap().push(format!("{what} in: {text}"));
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Reader {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Reads along from now on, for the whole process.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        SECRETS.get_or_init(secrets);
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(Reader).finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else reads the log of this test");
    });
}

/// The values of every fake's secrets.
pub fn secrets() -> Vec<String> {
    let of = |vendor: &&str| super::vendor(vendor).lock().unwrap().secrets();
    super::VENDORS.iter().flat_map(of).map(|(_, value)| value).collect()
}

/// What of a line must not be there.
pub fn leak_in(text: &str) -> Option<String> {
    if let Some(name) = NAMES.iter().find(|name| text.contains(**name)) {
        return Some((*name).to_owned());
    }
    let secrets = SECRETS.get_or_init(secrets);
    if let Some(secret) = secrets.iter().find(|secret| text.contains(secret.as_str())) {
        return Some(format!("the secret {secret}"));
    }
    // A phone of these tests, however it is written: 912 and seven digits after them.
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '(' | ')' | '-' | '+')).collect();
    let phone = digits.match_indices("912000").find(|(at, _)| {
        let rest = digits[at + 6..].chars();
        rest.take_while(char::is_ascii_digit).count() >= 4
            && !digits[..*at].ends_with(|c: char| c.is_ascii_hexdigit() && !matches!(c, '7' | '8'))
    });
    phone.map(|_| "a phone".to_owned())
}

/// Fails if anything was found so far.
pub fn assert_none() {
    let found = FOUND.lock().unwrap();
    assert!(found.is_empty(), "personal data or a secret was logged:\n{}", found.join("\n"));
}

/// How many lines were looked through.
pub fn lines() -> usize {
    *LINES.lock().unwrap()
}
