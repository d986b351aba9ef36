//! The picture of the bench: for each cause and way one bar to the median, and a line to the maximum.

use std::fmt::Write as _;

use super::table::{Row, unique};

const WIDTH: u64 = 880;
/// Where the bars begin and end, in pixels.
const BARS: (u64, u64) = (190, 740);
const BAR_HEIGHT: u64 = 14;
const CAUSE_GAP: u64 = 14;
const LEGEND_LINE: u64 = 22;
/// One class of the style for each way, in the order of their first rows.
const CLASSES: usize = 6;

const STYLE: &str = "  <style>
    text { fill: #1f2328 }
    .small { font-size: 12px; fill: #57606a }
    .grid { stroke: #d0d7de }
    .most { stroke: #57606a; stroke-width: 1.5 }
    .way0 { fill: #8c959f } .way1 { fill: #1a7f37 } .way2 { fill: #bf8700 }
    .way3 { fill: #0969da } .way4 { fill: #8250df } .way5 { fill: #cf222e }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .small { fill: #8b949e }
      .grid { stroke: #30363d }
      .most { stroke: #8b949e }
      .way0 { fill: #6e7681 } .way1 { fill: #3fb950 } .way2 { fill: #d29922 }
      .way3 { fill: #58a6ff } .way4 { fill: #bc8cff } .way5 { fill: #f85149 }
    }
  </style>
";

/// Where things are: times on the x axis, rows below each other.
struct Sheet {
    text: String,
    y: u64,
    /// The time at the right end, in milliseconds.
    longest: u64,
}

impl Sheet {
    fn x(&self, milliseconds: u64) -> u64 {
        BARS.0 + milliseconds * (BARS.1 - BARS.0) / self.longest
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.text, "  {element}").expect("a string can be written to");
    }

    fn legend(&mut self, ways: &[&str]) {
        for (index, way) in ways.iter().enumerate() {
            let (y, class) = (self.y, index % CLASSES);
            let x = BARS.0;
            self.add(format_args!(r#"<rect class="way{class}" x="{x}" y="{y}" width="14" height="14"/>"#));
            self.add(format_args!(r#"<text x="{}" y="{}">{way}</text>"#, x + 22, y + 12));
            self.y += LEGEND_LINE;
        }
        self.y += CAUSE_GAP;
    }

    fn bar(&mut self, class: usize, (middle, most): (u64, u64)) {
        let (left, y, end, far) = (BARS.0, self.y, self.x(middle), self.x(most));
        let (line, width) = (y + BAR_HEIGHT / 2, (end - left).max(1));
        let height = BAR_HEIGHT - 2;
        self.add(format_args!(
            r#"<rect class="way{class}" x="{left}" y="{y}" width="{width}" height="{height}"/>"#
        ));
        self.add(format_args!(r#"<path class="most" d="M{end} {line}H{far}m0 -4v8"/>"#));
        let text = far + 8;
        self.add(format_args!(r#"<text class="small" x="{text}" y="{}">{middle} / {most}</text>"#, y + 11));
        self.y += BAR_HEIGHT;
    }

    fn cause(&mut self, rows: &[Row], ways: &[&str], cause: &str) {
        let bars: Vec<_> = ways
            .iter()
            .enumerate()
            .filter_map(|(index, way)| {
                let row = rows.iter().find(|row| row.way == *way && row.cause() == cause)?;
                Some((index % CLASSES, row.answer_p50_and_max()?))
            })
            .collect();
        if bars.is_empty() {
            return;
        }
        self.add(format_args!(r#"<text x="10" y="{}">{cause}</text>"#, self.y + 12));
        for (class, times) in bars {
            self.bar(class, times);
        }
        self.y += CAUSE_GAP;
    }

    /// A line for each half second, drawn below everything else.
    fn grid(&self, top: u64) -> String {
        let marks = (0..=self.longest).step_by(500);
        let line = |at: u64| {
            let (x, bottom) = (self.x(at), self.y);
            format!(
                "  <path class=\"grid\" d=\"M{x} {top}V{bottom}\"/>\n  \
                 <text class=\"small\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{at} ms</text>\n",
                bottom + 16
            )
        };
        marks.map(line).collect()
    }
}

/// The picture of all rows, as SVG.
pub(super) fn picture(rows: &[Row]) -> String {
    let ways = unique(rows.iter().map(|row| row.way));
    let longest = rows.iter().filter_map(Row::answer_p50_and_max).map(|(_, most)| most).max().unwrap_or(1);
    let mut sheet = Sheet { text: String::new(), y: 10, longest: longest.div_ceil(500) * 500 };
    sheet.legend(&ways);
    let top = sheet.y;
    for cause in unique(rows.iter().map(Row::cause)) {
        sheet.cause(rows, &ways, cause);
    }
    let height = sheet.y + 26;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"title\"\n     font-family=\"system-ui, sans-serif\" font-size=\"14\">\n  \
         <title id=\"title\">From the cause to the first answer of the new leader: p50 / maximum in \
         milliseconds</title>\n{STYLE}{}{}</svg>\n",
        sheet.grid(top),
        sheet.text
    )
}
