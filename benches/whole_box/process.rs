//! The real program: how soon after its start the first frame was looked at, and how much memory it takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 10;
/// Long enough for every picture size and every kind of visit to have been there.
const WATCHED: Duration = Duration::from_secs(45);

pub fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("snova.toml");
    let (scene, data) = (std::path::absolute("scenes/demo.toml").expect("a path"), folder.path().join("data"));
    let mut text = format!("[device]\ndata_dir = \"{}\"\n[web]\nlisten = \"127.0.0.1:0\"\n", data.display());
    for counter in 1..=2 {
        text += &format!(
            "[[counter]]\nname = \"till-{counter}\"\n[[counter.camera]]\nname = \"front-{counter}\"\n\
             source = \"scene\"\npath = \"{}\"\nrepeat = true\n",
            scene.display()
        );
    }
    std::fs::write(&file, text).expect("the configuration is written");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let running = Running::start(&file);
        while running.processed() == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        starts.push(began.elapsed());
    }
    println!("{:<42} {}", "start to the first frame looked at", super::Sorted::new(starts));
    let running = Running::start(&file);
    std::thread::sleep(WATCHED);
    let (now, peak) = (running.memory_mb("VmRSS"), running.memory_mb("VmHWM"));
    let frames = running.processed();
    println!("{:<42} {now:.0} MB, at most {peak:.0} MB", "memory, two counters with a camera each");
    let rate = frames as f64 / WATCHED.as_secs_f64();
    println!("{:<42} {rate:.1} of 30 a second", "frames looked at, of both cameras");
}

struct Running {
    process: Child,
    address: String,
}

impl Running {
    fn start(config: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.args(["run", "--config"]).arg(config).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the binary runs");
        let printed = BufReader::new(process.stdout.take().expect("its output is ours"));
        let address = printed.lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("http://")?;
            Some(rest.split('/').next()?.to_owned())
        });
        Self { process, address: address.expect("it says where its page is") }
    }

    /// Frames looked at so far, of all cameras.
    fn processed(&self) -> u64 {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        let counts = text.lines().filter(|line| line.starts_with("snova_frames_processed_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    fn memory_mb(&self, what: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it lives");
        let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel says it");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") * 1024.0 / 1e6
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
