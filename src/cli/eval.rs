//! `snova eval`: open-set accuracy on the owner's own photographs, and the threshold tables of packs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::out;
use crate::config::Config;
use crate::eval::{Calibration, Evaluation, calibrate, det_svg, evaluate, read_folder};
use crate::vision::Vision;

#[derive(Args)]
#[command(after_help = "Folders hold one folder an identity with its pictures: FOLDER/<identity>/<picture>.
Identities of the probe folder that are not in the enrol folder are the strangers.

Examples:
  snova eval --enrol photos/enrol --probe photos/probe
  snova eval --enrol photos/enrol --probe photos/probe --per-visit 2 --json
  snova eval --calibrate photos/all")]
pub struct EvalArgs {
    /// Every picture becomes a template of its identity
    #[arg(long, value_name = "FOLDER", required_unless_present = "calibrate")]
    enrol: Option<PathBuf>,
    /// Pictures to search for
    #[arg(long, value_name = "FOLDER", required_unless_present = "calibrate")]
    probe: Option<PathBuf>,
    /// Probe pictures that make one visit, in name order
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    per_visit: u16,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Where the DET plot goes
    #[arg(long, value_name = "FILE", default_value = "det.svg")]
    plot: PathBuf,
    /// Measure the pack's thresholds on this folder and print them as rows for its pack.toml
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["enrol", "probe", "json"])]
    calibrate: Option<PathBuf>,
}

pub fn run(args: &EvalArgs, config: &Config) -> Result<()> {
    if let Some(folder) = &args.calibrate {
        return calibrate_on(folder, config);
    }
    let (Some(enrol), Some(probe)) = (&args.enrol, &args.probe) else {
        anyhow::bail!("give both --enrol and --probe");
    };
    // Both folders are read before the models are, so that a mistyped name is told at once.
    let (enrol, probe) = (read_folder(enrol)?, read_folder(probe)?);
    let mut vision = super::open_vision(config)?;
    let mut progress = |done, of| out::progress("looking at pictures", done, of);
    let evaluation = evaluate(&mut vision, &enrol, &probe, usize::from(args.per_visit), &mut progress)?;
    std::fs::write(&args.plot, det_svg(&evaluation))
        .with_context(|| format!("cannot write the plot {}; give another place with --plot", args.plot.display()))?;
    if args.json {
        out::line(as_json(&evaluation))
    } else {
        print(&evaluation, &args.plot)
    }
    Ok(())
}

fn as_json(evaluation: &Evaluation) -> serde_json::Value {
    let points: Vec<_> = evaluation
        .points
        .iter()
        .map(|p| json!({"fpir": p.fpir, "threshold": rounded(f64::from(p.threshold)), "fnir": rounded(p.fnir)}))
        .collect();
    json!({
        "pack": evaluation.pack,
        "gallery": evaluation.gallery,
        "mated": evaluation.mated,
        "non_mated": evaluation.non_mated,
        "failure_to_enrol": evaluation.failure_to_enrol,
        "failure_to_acquire": evaluation.failure_to_acquire,
        "left_over": evaluation.left_over,
        "rank1": rounded(evaluation.rank1),
        "points": points,
    })
}

/// Six decimals: a threshold of seven bits more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn print(evaluation: &Evaluation, plot: &Path) {
    out::line(format_args!("pack                {}", evaluation.pack));
    out::line(format_args!("gallery             {} customers", evaluation.gallery));
    out::line(format_args!("searches            {} mated, {} non-mated", evaluation.mated, evaluation.non_mated));
    out::line(format_args!("failure to enrol    {} identities", evaluation.failure_to_enrol));
    out::line(format_args!("failure to acquire  {} searches", evaluation.failure_to_acquire));
    if evaluation.left_over > 0 {
        out::line(format_args!("left over           {} pictures, too few to fill a visit", evaluation.left_over));
    }
    out::line(format_args!("rank-1              {:.2} %", evaluation.rank1 * 100.0));
    for point in &evaluation.points {
        out::line(format_args!(
            "FPIR {:>4} %         FNIR {:.2} % at threshold {:.4}",
            point.fpir * 100.0,
            point.fnir * 100.0,
            point.threshold
        ));
    }
    if (evaluation.non_mated as f64) < 1000.0 {
        out::line(format_args!("note: {} non-mated searches cannot resolve an FPIR of 0.1 %", evaluation.non_mated));
    }
    out::line(format_args!("DET plot            {}", plot.display()));
}

fn calibrate_on(folder: &Path, config: &Config) -> Result<()> {
    let faces = read_folder(folder)?;
    let mut vision = super::open_vision(config)?;
    let mut progress = |done, of| out::progress("looking at pictures", done, of);
    let calibration = calibrate(&mut vision, &faces, &mut progress)?;
    print_rows(&calibration, &vision.pack().name);
    Ok(())
}

fn print_rows(calibration: &Calibration, pack: &str) {
    let (chosen, checked) = (calibration.calibrating, calibration.checking);
    out::line(format_args!(
        "# {pack}: chosen on {chosen} identities, checked on {checked} others (FPIR and FNIR there)"
    ));
    out::line("[thresholds]");
    out::line("evaluation = \"say here which photographs, when, and by which release\"");
    out::line("row = [");
    for calibrated in &calibration.rows {
        let row = &calibrated.row;
        out::line(format_args!(
            "  {{ fpir = {}, gallery = {}, templates = {}, shots = {}, threshold = {:.4} }}, # {:.2} %, {:.2} %",
            row.fpir,
            row.gallery,
            row.templates,
            row.shots,
            row.threshold,
            calibrated.checked_fpir * 100.0,
            calibrated.checked_fnir * 100.0
        ));
    }
    out::line("]");
}
