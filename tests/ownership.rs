//! Whose the data folder is: what root makes for the service's account is that account's, a stranger is refused, and
//! looking makes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "of use to other tests")]
mod command_line;

use command_line::Shop;

/// The service's account, and somebody else; nobody need have a name.
const SERVICE: u32 = 61_234;
const STRANGER: u32 = 61_235;
const CRM: &str = "[crm]\nkind = \"salesforce\"\n[crm.salesforce]\nurl = \"https://example.my.salesforce.com\"\nclient_id = \"3MVG9\"\n";

/// Only root can be two people.
fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        println!("not root: whose files are is not tested");
    }
    root
}

/// A shop whose data folder is the service's, with all that stands in the way of its account open.
fn shop() -> Shop {
    let shop = Shop::open();
    shop.configure(CRM);
    fs::create_dir(shop.data()).unwrap();
    fs::set_permissions(shop.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(shop.data(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(shop.data(), Some(SERVICE), Some(SERVICE)).unwrap();
    shop
}

/// While a copy is written no other thread may start a child: it would hold the copy open for writing until it has become
/// another program, and the copy could not be run (ETXTBSY).
static STARTING: Mutex<()> = Mutex::new(());

/// The program where every account may run it: the build's own folder may be root's alone.
fn program(shop: &Shop) -> PathBuf {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let copy = shop.path("snova-of-all");
    if !copy.exists() {
        fs::copy(env!("CARGO_BIN_EXE_snova"), &copy).unwrap();
    }
    copy
}

fn snova_as(shop: &Shop, user: u32, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program(shop));
    command.args(arguments).arg("--config").arg(shop.path("snova.toml")).current_dir("/").uid(user).gid(user);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = command.spawn().unwrap();
    drop(starting);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn owners(dir: &Path) -> Vec<(String, u32)> {
    let of = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().uid());
    fs::read_dir(dir).unwrap().map(|entry| of(entry.unwrap())).collect()
}

#[test]
fn what_root_makes_in_the_services_folder_is_the_services() {
    if !is_root() {
        return;
    }
    let shop = shop();
    let kept = snova_as(&shop, 0, &["crm", "secret", "crm/salesforce/client-secret"], "0815\n");
    assert!(kept.status.success(), "{}", String::from_utf8_lossy(&kept.stderr));
    let made = owners(&shop.data());
    assert!(made.len() >= 2 && made.iter().all(|(_, owner)| *owner == SERVICE), "{made:?}");
    // And the account itself can use it.
    let listed = snova_as(&shop, SERVICE, &["crm", "secret"], "");
    let told = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(told.contains("crm/salesforce/client-secret  kept"), "{told}{}", String::from_utf8_lossy(&listed.stderr));
}

#[test]
fn a_stranger_and_a_service_run_by_root_are_refused_in_one_line() {
    if !is_root() {
        return;
    }
    let shop = shop();
    assert!(snova_as(&shop, SERVICE, &["crm", "secret", "crm/salesforce/client-secret"], "0815\n").status.success());
    let before = owners(&shop.data());
    // Also where the folder lets them in.
    fs::set_permissions(shop.data(), fs::Permissions::from_mode(0o777)).unwrap();
    for (user, arguments) in [(STRANGER, &["customers", "list"][..]), (STRANGER, &["run"]), (0, &["run"])] {
        let refused = snova_as(&shop, user, arguments, "");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.lines().count() == 1, "{user} {arguments:?}: {told}");
        assert!(told.contains(&format!("belongs to user {SERVICE}")), "{user} {arguments:?}: {told}");
    }
    assert_eq!(owners(&shop.data()), before, "and nothing was made");
}

#[test]
fn a_check_by_root_finds_wrong_owners_and_modes() {
    if !is_root() {
        return;
    }
    let shop = shop();
    assert!(snova_as(&shop, SERVICE, &["crm", "secret", "crm/salesforce/client-secret"], "0815\n").status.success());
    chown(shop.data().join("device.key"), Some(0), Some(0)).unwrap();
    chown(shop.data().join("snova.db"), Some(0), Some(0)).unwrap();
    fs::set_permissions(shop.data(), fs::Permissions::from_mode(0o777)).unwrap();
    let found = String::from_utf8(snova_as(&shop, 0, &["check"], "").stdout).unwrap();
    for says in ["device.key belongs to user 0", "snova.db belongs to user 0", "(mode 777)", "chmod 700", "chown 61234"]
    {
        assert!(found.lines().any(|line| line.starts_with("error") && line.contains(says)), "{says}: {found}");
    }
}

#[test]
fn looking_makes_no_database() {
    let shop = Shop::open();
    shop.configure(CRM);
    for arguments in [
        &["crm", "probe"][..],
        &["crm", "secret"],
        &["customers", "list"],
        &["sync", "status"],
        &["sync", "retry"],
        &["sync", "dry-run"],
        &["store", "accept-loss", "--yes"],
        &["cameras"],
        &["check"],
    ] {
        shop.snova(arguments);
        assert!(!shop.data().exists(), "{arguments:?} made something");
    }
}
