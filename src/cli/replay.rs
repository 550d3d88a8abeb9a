//! (being built)
#[derive(clap::Args)]
pub struct ReplayArgs {}

pub fn run(_: &ReplayArgs, _: &crate::config::Config) -> anyhow::Result<()> {
    Ok(())
}
