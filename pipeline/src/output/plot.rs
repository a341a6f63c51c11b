//! Plots of a window: one panel a sensor, its course with lowest and highest, gaps shaded, anomalies marked. As SVG, whose
//! letters are the reader's, or as PNG with letters of a built-in font, so that no font has to be found on the machine.

use std::io::Cursor;

use anyhow::Context;
use font8x8::UnicodeFonts;
use jiff::tz::TimeZone;
use nearfield_stages::messages::WindowSummary;
use nearfield_telemetry::Moment;
use nearfield_telemetry::anomaly::Anomaly;
use nearfield_telemetry::windows::SensorSummary;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendStyle, BackendTextStyle, DrawingErrorKind};

/// A panel, in pixels.
const WIDTH: u32 = 900;
const HEIGHT: u32 = 220;
/// Panels of one picture: those with anomalies first.
const MAX_PANELS: usize = 8;

const COURSE: RGBColor = RGBColor(31, 90, 140);
const BAND: RGBColor = RGBColor(170, 200, 225);
const GAP: RGBColor = RGBColor(225, 225, 225);
const GAP_WORD: RGBColor = RGBColor(110, 110, 110);
const MARK: RGBColor = RGBColor(200, 40, 40);

fn thick(width: u32) -> ShapeStyle {
    ShapeStyle { color: MARK.to_rgba(), filled: false, stroke_width: width }
}

/// The plots of a window as SVG.
///
/// # Errors
/// If it can't be drawn.
pub fn svg(summary: &WindowSummary, zone: &TimeZone) -> anyhow::Result<String> {
    let mut text = String::new();
    let panels = panels(summary);
    let size = (WIDTH, HEIGHT * panels.len().max(1) as u32);
    draw(&SVGBackend::with_string(&mut text, size).into_drawing_area(), summary, &panels, zone)?;
    Ok(text)
}

/// The plots of a window as PNG.
///
/// # Errors
/// If it can't be drawn.
pub fn png(summary: &WindowSummary, zone: &TimeZone) -> anyhow::Result<Vec<u8>> {
    let panels = panels(summary);
    let (width, height) = (WIDTH, HEIGHT * panels.len().max(1) as u32);
    let mut pixels = vec![0u8; (width * height * 3) as usize];
    let backend = Lettered(BitMapBackend::with_buffer(&mut pixels, (width, height)));
    draw(&backend.into_drawing_area(), summary, &panels, zone)?;
    let picture =
        image::RgbImage::from_raw(width, height, pixels).context("the picture has the size it was made with")?;
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// Whether a file that begins like this (24 bytes at least) can be a plot of this program's: a picture of its size.
pub fn is_plot(head: &[u8]) -> bool {
    let svg = format!("<svg width=\"{WIDTH}\" height=\"");
    // PNG: 8 bytes of signature, 8 of the first chunk's head, then width and height.
    let number = |at: usize| head.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let is_png = head.starts_with(b"\x89PNG\r\n\x1a\n") && number(16) == Some(WIDTH);
    head.starts_with(svg.as_bytes()) || is_png && number(20).is_some_and(|height| height % HEIGHT == 0)
}

fn panels(summary: &WindowSummary) -> Vec<&SensorSummary> {
    let mut panels: Vec<&SensorSummary> = summary.window.sensors.iter().filter(|s| s.statistics.is_some()).collect();
    panels.sort_by_key(|s| s.anomalies.is_empty());
    panels.truncate(MAX_PANELS);
    panels
}

type Area<B> = DrawingArea<B, plotters::coord::Shift>;

fn draw<B: DrawingBackend>(
    area: &Area<B>,
    summary: &WindowSummary,
    panels: &[&SensorSummary],
    zone: &TimeZone,
) -> anyhow::Result<()> {
    let wrong = |e: &dyn std::fmt::Display| anyhow::anyhow!("the plot can't be drawn: {e}");
    area.fill(&WHITE).map_err(|e| wrong(&e))?;
    if panels.is_empty() {
        let style = ("sans-serif", 16).into_font().color(&BLACK);
        area.draw_text("no readings", &style, (20, 20)).map_err(|e| wrong(&e))?;
    }
    for (panel, part) in panels.iter().zip(area.split_evenly((panels.len().max(1), 1))) {
        draw_panel(&part, summary, panel, zone).map_err(|e| wrong(&e))?;
    }
    area.present().map_err(|e| wrong(&e))
}

fn draw_panel<B: DrawingBackend>(
    area: &Area<B>,
    summary: &WindowSummary,
    sensor: &SensorSummary,
    zone: &TimeZone,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let Some(figures) = &sensor.statistics else { return Ok(()) };
    let traits = &summary.traits[sensor.sensor.0 as usize];
    let span = summary.window.span;
    // In units in which round steps make round labels.
    let unit_seconds = match span.seconds() {
        s if s <= 2.0 * 3600.0 => 60.0,
        s if s <= 2.0 * 86_400.0 => 3600.0,
        _ => 86_400.0,
    };
    let x = |at: Moment| at.seconds_since(span.from) / unit_seconds;
    let room = ((figures.high.0 - figures.low.0) * 0.08).max(figures.high.0.abs() * 1e-3).max(1e-6);
    // Above the course a line stays free for what is marked.
    let line = if sensor.anomalies.is_empty() { 0.0 } else { room * 1.6 };
    let (low, high) = (figures.low.0 - room, figures.high.0 + room + line);
    let unit = if traits.unit.is_empty() { String::new() } else { format!(" ({})", traits.unit) };
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}{unit}", traits.name), ("sans-serif", 16))
        .margin(8)
        .margin_right(26)
        .x_label_area_size(22)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..span.seconds() / unit_seconds, low..high)?;
    let long = span.seconds() > 2.0 * 86_400.0;
    let label = |units: &f64| {
        let at = span.from.plus_seconds(*units * unit_seconds);
        let text = at.timestamp().to_zoned(zone.clone()).strftime(if long { "%d.%m." } else { "%H:%M" }).to_string();
        // As in the sentences: the end of a day is 24:00 of that day.
        if text == "00:00" && at == span.to { "24:00".to_owned() } else { text }
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(13)
        .y_labels(5)
        .x_label_formatter(&label)
        .y_label_formatter(&|v| plain(*v, high - low))
        .draw()?;
    for anomaly in &sensor.anomalies {
        if let Anomaly::Gap { span: gap } = anomaly {
            chart.draw_series([Rectangle::new([(x(gap.from), low), (x(gap.to), high)], GAP.filled())])?;
        }
    }
    let slots = sensor.track.slots();
    let gaps: Vec<_> = sensor.anomalies.iter().filter(|a| matches!(a, Anomaly::Gap { .. })).collect();
    let broken = |from: Moment, to: Moment| gaps.iter().any(|g| from <= g.begins() && g.begins() < to);
    if !sensor.track.is_exact() {
        let band = slots.iter().filter(|s| s.count > 1);
        chart
            .draw_series(band.map(|s| Rectangle::new([(x(s.first), s.low.0), (x(s.last), s.high.0)], BAND.filled())))?;
    }
    let mut stretch: Vec<(f64, f64)> = Vec::new();
    let mut last: Option<Moment> = None;
    let mut stretches = Vec::new();
    for slot in slots {
        if last.is_some_and(|last| broken(last, slot.first)) {
            stretches.push(std::mem::take(&mut stretch));
        }
        stretch.push((x(slot.first), slot.mean()));
        last = Some(slot.last);
    }
    stretches.push(stretch);
    for stretch in stretches {
        chart.draw_series([PathElement::new(stretch, COURSE)])?;
    }
    let mut words: Vec<(f64, f64)> = Vec::new();
    let letters = |color: &RGBColor| {
        ("sans-serif", 11).into_font().color(color).pos(plotters::style::text_anchor::Pos::new(HPos::Center, VPos::Top))
    };
    for anomaly in &sensor.anomalies {
        let (word, from, to) = match *anomaly {
            Anomaly::Spike { at, .. } => ("spike", at, at),
            Anomaly::Drift { from, .. } => ("drift", from, from),
            Anomaly::Stuck { span, .. } => ("stuck", span.from, span.to),
            Anomaly::Above { span, .. } => ("above limit", span.from, span.to),
            Anomaly::Below { span, .. } => ("below limit", span.from, span.to),
            Anomaly::Gap { span } => ("no readings", span.from, span.to),
        };
        // What stands at the rim is moved into the picture; a word that would stand on another is left out.
        let (x, width) = ((x(from) + x(to)) / 2.0, span.seconds() / unit_seconds);
        let half = (word.len() as f64 * 4.0 + 3.0) / f64::from(WIDTH - 95) * width;
        let at = x.clamp(half, width - half);
        if words.iter().any(|(other, room)| (at - other).abs() < half + room) {
            continue;
        }
        words.push((at, half));
        let color = if matches!(anomaly, Anomaly::Gap { .. }) { &GAP_WORD } else { &MARK };
        chart.draw_series([Text::new(word, (at, high), letters(color))])?;
    }
    for anomaly in &sensor.anomalies {
        match *anomaly {
            Anomaly::Spike { value, at, .. } => {
                chart.draw_series([Circle::new((x(at), value), 5, thick(2))])?;
            }
            Anomaly::Drift { from, .. } => {
                chart.draw_series([PathElement::new([(x(from), low), (x(from), high - line)], MARK)])?;
            }
            Anomaly::Stuck { value, span } => {
                let line = [(x(span.from), value), (x(span.to), value)];
                chart.draw_series([PathElement::new(line, thick(3))])?;
            }
            Anomaly::Above { limit, span, .. } | Anomaly::Below { limit, span, .. } => {
                let line = [(x(span.from), limit), (x(span.to), limit)];
                chart.draw_series([PathElement::new(line, thick(3))])?;
            }
            Anomaly::Gap { .. } => {}
        }
    }
    Ok(())
}

/// A label's number: as many decimals as tell neighbouring labels apart.
fn plain(value: f64, range: f64) -> String {
    let decimals = (-(range / 5.0).max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// A bitmap that draws letters from a built-in font of 8 by 8 pixels, captions twice as high; plotters would look for a font on
/// the machine.
struct Lettered<'a>(BitMapBackend<'a>);

impl Lettered<'_> {
    /// How often each row of a letter is drawn.
    fn rows(size: f64) -> u32 {
        if size >= 15.0 { 2 } else { 1 }
    }

    fn width(text: &str) -> u32 {
        text.chars().count() as u32 * 8
    }
}

impl<'a> DrawingBackend for Lettered<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: (i32, i32), color: BackendColor) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: (i32, i32),
        to: (i32, i32),
        style: &S,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: (i32, i32),
        bottom_right: (i32, i32),
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Self::ErrorType>> {
        Ok((Self::width(text), 8 * Self::rows(style.size())))
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): (i32, i32),
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        let rows = Self::rows(style.size()) as i32;
        let width = Self::width(text) as i32;
        let anchor = style.anchor();
        let mut left = match anchor.h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        let top = match anchor.v_pos {
            VPos::Top => y,
            VPos::Center => y - 4 * rows,
            VPos::Bottom => y - 8 * rows,
        };
        for c in text.chars() {
            let basic = font8x8::BASIC_FONTS.get(c).or_else(|| font8x8::LATIN_FONTS.get(c));
            for (row, bits) in basic.unwrap_or([0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0]).into_iter().enumerate() {
                for column in (0..8).filter(|column| bits & (1 << column) != 0) {
                    for dy in 0..rows {
                        self.0.draw_pixel((left + column, top + row as i32 * rows + dy), style.color())?;
                    }
                }
            }
            left += 8;
        }
        Ok(())
    }
}
