//! The DET plot (detection error trade-off) as a self-contained SVG, both axes logarithmic.

use std::fmt::Write as _;

use super::Evaluation;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;
/// Rates below this lie on the axis: no such data set resolves them.
const LOWEST: f64 = 1e-4;

/// Draws FNIR over FPIR with the reported operating points marked.
pub fn det_svg(evaluation: &Evaluation) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}, {} enrolled, {} mated and {} non-mated searches</text>\n",
        escape(&evaluation.pack),
        evaluation.gallery,
        evaluation.mated,
        evaluation.non_mated
    );
    grid(&mut svg);
    let path: Vec<String> =
        evaluation.det.iter().map(|(fpir, fnir)| format!("{:.1},{:.1}", x(*fpir), y(*fnir))).collect();
    // Writing to a String cannot fail.
    let _ =
        writeln!(svg, "<polyline fill=\"none\" stroke=\"#0b5fa5\" stroke-width=\"2\" points=\"{}\"/>", path.join(" "));
    for point in &evaluation.points {
        let (cx, cy) = (x(point.fpir), y(point.fnir));
        let _ = writeln!(
            svg,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\" fill=\"#b3261e\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">FNIR {:.2} % at FPIR {} %, threshold {:.3}</text>",
            cx + 8.0,
            cy - 6.0,
            point.fnir * 100.0,
            point.fpir * 100.0,
            point.threshold
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String) {
    for (rate, label) in [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %")] {
        let (gx, gy) = (x(rate), y(rate));
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<path stroke=\"#ccc\" d=\"M{gx:.1} {TOP}V{bottom}M{LEFT} {gy:.1}H{right}\"/>\n\
             <text x=\"{gx:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            bottom + 18.0,
            LEFT - 8.0,
            gy + 4.0
        );
    }
    let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0);
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">FPIR: strangers greeted by a name</text>\n\
         <text x=\"16\" y=\"{:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {:.1})\">FNIR: regulars missed</text>",
        HEIGHT / 2.0,
        HEIGHT / 2.0
    );
}

/// Where a rate in [LOWEST, 1] lies between 0 and 1 on a logarithmic axis.
fn position(rate: f64) -> f64 {
    1.0 - rate.clamp(LOWEST, 1.0).log10() / LOWEST.log10()
}

fn x(rate: f64) -> f64 {
    LEFT + position(rate) * (WIDTH - LEFT - RIGHT)
}

fn y(rate: f64) -> f64 {
    HEIGHT - BOTTOM - position(rate) * (HEIGHT - TOP - BOTTOM)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
