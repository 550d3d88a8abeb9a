//! `snova setup`: makes the machine ready to run Snova.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::out;
use crate::setup::{self, FileState, Options, Plan, Report, progress, tools};

/// Fetches, verifies and installs ONNX Runtime, the models and the sample pictures
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  snova setup\n  snova setup --dir /usr/lib/snova\n  snova setup --tools test")]
pub struct SetupArgs {
    /// Folder to install into
    #[arg(long, value_name = "FOLDER", default_value = setup::DEFAULT_DIR)]
    pub dir: PathBuf,
    /// Programs to look for, and to install with apt-get when run as root
    #[arg(long, value_enum, default_value_t = Tools::Run)]
    pub tools: Tools,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Tools {
    /// What running Snova needs
    Run,
    /// What its tests need as well
    Test,
    /// None
    None,
}

/// Runs the command; progress goes to standard error, the result to standard output.
pub fn run(args: SetupArgs) -> anyhow::Result<()> {
    let mut options = Options::into_dir(args.dir);
    options.tools = match args.tools {
        Tools::Run => Some(tools::Purpose::Run),
        Tools::Test => Some(tools::Purpose::Test),
        Tools::None => None,
    };
    let plan = Plan::shipped()?;
    let report = setup::run(&options, &plan, progress::for_stderr().as_mut())?;
    print(&options, &report);
    Ok(())
}

fn print(options: &Options, report: &Report) {
    let dir = options.dir.display();
    match report.installed.len() {
        0 => out::line(format_args!("{dir}: all {} files are there and verified", report.verified)),
        count => out::line(format_args!("{dir}: {count} files installed, {} were there and verified", report.verified)),
    }
    for supplied in &report.supplied {
        let (file, at) = (&supplied.file, options.dir.join(&supplied.file.path));
        match &supplied.state {
            FileState::Right => out::line(format_args!("pack {}: {} is there and verified", file.pack, at.display())),
            FileState::Absent => {
                out::line(format_args!(
                    "pack {} (optional): to use it, put {} at {}",
                    file.pack,
                    file.what,
                    at.display()
                ));
            }
            FileState::Wrong(got) => out::line(format_args!(
                "pack {} (optional): {} is another file (sha256 {got}); replace it by {}",
                file.pack,
                at.display(),
                file.what
            )),
        }
    }
    for missing in &report.missing_tools {
        out::line(format_args!("{} is missing ({}): {}", missing.program, missing.needed_for, missing.remedy));
    }
}
