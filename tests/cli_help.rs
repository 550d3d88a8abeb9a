//! The command line's own description: completions and manual pages know every command.
//!
//! That each command shows examples is `tidy.rs`; what commands refuse is `cli_errors.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};

fn snova(arguments: &[&str]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_snova")).args(arguments).output().expect("the binary runs");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text")
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = snova(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<String> = listed.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    assert!(names.len() > 10, "{help}");
    names
}

#[test]
fn every_shell_learns_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = snova(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn bash_understands_its_completions_and_completes() {
    let ask = "COMP_WORDS=(snova cust); COMP_CWORD=1; _snova snova cust snova; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    let mut bash = bash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash runs");
    let script = format!("{}\n{ask}\n", snova(&["completions", "bash"]));
    bash.stdin.take().expect("its input").write_all(script.as_bytes()).expect("it listens");
    let answer = bash.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "customers");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let page = snova(&["man"]);
    assert!(page.contains(".TH snova 1"), "{page}");
    let dir = tempfile::tempdir().expect("a temporary folder");
    snova(&["man", "--dir", &dir.path().display().to_string()]);
    for command in commands().iter().filter(|name| *name != "help") {
        let page = std::fs::read_to_string(dir.path().join(format!("snova-{command}.1"))).expect(command);
        assert!(page.contains("Examples:"), "snova-{command}.1 shows how it is used");
    }
}
