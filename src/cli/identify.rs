//! (being built)
#[derive(clap::Args)]
pub struct IdentifyArgs {}

pub fn run(_: &IdentifyArgs, _: &crate::config::Config) -> anyhow::Result<()> {
    Ok(())
}
