//! How fast 10,000 waiting visits drain into each CRM at the rate that its vendor permits, and what memory that takes.
//!
//! The rate is in simulated time: waiting moves the clock, and each fake holds its vendor's limits against it. Memory is
//! the process's, with the fake CRM and its rows in it, so it is more than a box needs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a bench reports so")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time too")]

#[path = "../tests/support/crm/mod.rs"]
mod crm;

use std::time::{Duration, Instant};

use crm::road::Road;

const VISITS: usize = 10_000;
const CUSTOMERS: u32 = 100;

fn main() {
    // `cargo bench` hands its own arguments through.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [vendor] = wanted.as_slice()
        && crm::VENDORS.contains(&vendor.as_str())
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        println!("{}", runtime.block_on(drain(vendor)));
        return;
    }
    println!(
        "{VISITS} waiting visits of {CUSTOMERS} customers; a visit is written to the disk before and after it is sent"
    );
    println!(
        "{:<16} {:>12} {:>10} {:>10} {:>9} {:>10} {:>12}",
        "CRM", "simulated", "visits/s", "requests", "real", "CPU/visit", "memory"
    );
    for vendor in crm::VENDORS {
        // A process for each: memory that one has freed would be taken for the next one's.
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        assert!(own.arg(vendor).status().unwrap().success(), "{vendor}");
    }
}

async fn drain(vendor: &str) -> String {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let customers: Vec<_> = (0..CUSTOMERS).map(|number| road.regular(number)).collect();
    // Linked and with their cards before the clock starts: that happens once a customer, not once a visit.
    road.idle(Duration::from_secs(900)).await;
    for number in 0..VISITS {
        road.visit(customers[number % customers.len()], "till-1");
        road.clock.advance(Duration::from_millis(2));
    }
    road.server.forget_asked();
    reset_peak();
    let (before, began, cpu, from) = (memory("VmRSS"), Instant::now(), cpu_time(), road.now());
    while road.store.outbox_status().unwrap().depth > 0 {
        road.step().await;
        // What was asked is the fake's, not the box's, and would grow without end.
        if road.server.asked_so_far() > 1_000 {
            road.server.count_and_forget();
        }
    }
    let simulated = Duration::try_from(road.now().duration_since(from)).unwrap();
    let (real, cpu, grown) = (began.elapsed(), cpu_time() - cpu, memory("VmHWM").saturating_sub(before));
    assert_eq!(road.in_crm().len(), VISITS, "{vendor}");
    let rate = VISITS as f64 / simulated.as_secs_f64();
    format!(
        "{vendor:<16} {:>10.0} s {rate:>10.1} {:>10} {:>7.1} s {:>7.2} ms {:>9.1} MB",
        simulated.as_secs_f64(),
        road.server.count_and_forget(),
        real.as_secs_f64(),
        cpu.as_secs_f64() * 1000.0 / VISITS as f64,
        grown as f64 / 1024.0,
    )
}

/// Forgets the highest memory so far (proc_pid_clear_refs(5)).
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// In kilobytes.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Of all threads, user and system.
fn cpu_time() -> Duration {
    // SAFETY: all zeroes is a valid `rusage`, and the pointer is to a live local for the length of the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec.unsigned_abs(), t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
