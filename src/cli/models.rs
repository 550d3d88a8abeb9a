//! (being built)
#[derive(clap::Args)]
pub struct ModelsArgs {}

pub fn run(_: &ModelsArgs, _: &crate::config::Config) -> anyhow::Result<()> {
    Ok(())
}
