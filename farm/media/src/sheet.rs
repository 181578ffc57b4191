//! The contact sheet: one row a shot, its frames with the score on each.

use greenroom_domain::{Band, Pixels};
use image::{Rgb, RgbImage, imageops};

use crate::{
    camera_frame,
    draw::{Area, Style, plate},
};

/// One frame on the sheet.
#[derive(Clone, Debug)]
pub struct SheetCell {
    /// The frame, of any size.
    pub picture: RgbImage,
    /// What it is: `frame 12`.
    pub label: String,
    /// IDR, 0 to 1; none where nothing was scored.
    pub score: Option<f32>,
    /// The colour of its chip: excellent is green, good amber, what needs work red, and none grey.
    pub band: Option<Band>,
}

/// One shot on the sheet.
#[derive(Clone, Debug)]
pub struct SheetRow {
    /// Which shot, and which take of it.
    pub label: String,
    /// What the verdict says, in a sentence.
    pub verdict: String,
    /// Whether the take was accepted.
    pub accepted: bool,
    /// Its frames; more than eight go on in a second line.
    pub cells: Vec<SheetCell>,
}

const GROUND: [u8; 3] = [18, 19, 23];
const CARD: [u8; 3] = [30, 32, 38];
const BRIGHT: [u8; 3] = [236, 238, 242];
const DIM: [u8; 3] = [150, 156, 168];
const GREEN: [u8; 3] = [46, 174, 96];
const AMBER: [u8; 3] = [232, 160, 32];
const RED: [u8; 3] = [218, 62, 62];
const GREY: [u8; 3] = [108, 114, 126];

const CELL: u32 = 192;
const GAP: u32 = 8;
const MARGIN: u32 = 28;
const PADDING: u32 = 14;
const TITLE: u32 = 76;
const HEAD: u32 = 40;
const CAPTION: u32 = 22;
const ACROSS: usize = 8;

/// Draws the sheet: a title, and a card per row. Its width follows the longest row, up to eight frames.
#[must_use]
pub fn contact_sheet(title: &str, rows: &[SheetRow]) -> RgbImage {
    let across = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0).clamp(3, ACROSS) as u32;
    let width = 2 * (MARGIN + PADDING) + across * CELL + (across - 1) * GAP;
    let height = TITLE + rows.iter().map(|row| card_height(row) + GAP * 2).sum::<u32>() + MARGIN - GAP;
    let mut sheet = RgbImage::from_pixel(width, height, Rgb(GROUND));
    head(&mut sheet, title, rows);
    let mut y = TITLE;
    for row in rows {
        let card =
            Area { x: MARGIN as f32, y: y as f32, width: (width - 2 * MARGIN) as f32, height: card_height(row) as f32 };
        draw_row(&mut sheet, row, card);
        y += card_height(row) + GAP * 2;
    }
    sheet
}

fn head(sheet: &mut RgbImage, title: &str, rows: &[SheetRow]) {
    let accepted = rows.iter().filter(|row| row.accepted).count();
    let summary = format!("{accepted} of {} shots accepted", rows.len());
    let (bold, plain) = (Style::new(30.0, BRIGHT).bold(), Style::new(18.0, DIM));
    let (left, right) = (MARGIN as f32, sheet.width() as f32 - MARGIN as f32 - plain.width(&summary));
    let middle = TITLE as f32 / 2.0;
    bold.draw(sheet, left, middle, &bold.fit(title, right - left - 20.0));
    plain.draw(sheet, right, middle, &summary);
}

fn draw_row(sheet: &mut RgbImage, row: &SheetRow, card: Area) {
    plate(sheet, card, 8.0, CARD, 1.0);
    let (colour, word) = if row.accepted { (GREEN, "ACCEPTED") } else { (RED, "DRAFT") };
    plate(sheet, Area { width: 5.0, ..card }, 2.5, colour, 1.0);
    let (label, chip, verdict) =
        (Style::new(19.0, BRIGHT).bold(), Style::new(14.0, BRIGHT).bold(), Style::new(16.0, DIM));
    let (mut x, middle) = (card.x + PADDING as f32, card.y + HEAD as f32 / 2.0 + 1.0);
    let name = label.fit(&row.label, card.width * 0.5);
    label.draw(sheet, x, middle, &name);
    x += label.width(&name) + 14.0;
    let pill = Area { x, y: middle - 11.0, width: chip.width(word) + 16.0, height: 22.0 };
    plate(sheet, pill, 11.0, colour, 1.0);
    chip.draw(sheet, x + 8.0, middle, word);
    x += pill.width + 14.0;
    let sentence = verdict.fit(&row.verdict, card.x + card.width - PADDING as f32 - x);
    verdict.draw(sheet, x, middle, &sentence);
    let line = cell_height(row) + CAPTION + GAP;
    for (i, cell) in row.cells.iter().enumerate() {
        let x = MARGIN + PADDING + (i % ACROSS) as u32 * (CELL + GAP);
        let y = card.y as u32 + HEAD + (i / ACROSS) as u32 * line;
        draw_cell(sheet, cell, x, y, cell_height(row));
    }
}

fn draw_cell(sheet: &mut RgbImage, cell: &SheetCell, x: u32, y: u32, height: u32) {
    let size = Pixels { width: CELL, height };
    let picture = camera_frame(&cell.picture, greenroom_domain::CameraMove::Static, 0, 1, size);
    imageops::replace(sheet, &picture, i64::from(x), i64::from(y));
    let colour = match cell.band {
        Some(Band::Excellent) => GREEN,
        Some(Band::Good) => AMBER,
        Some(Band::NeedsWork) => RED,
        None => GREY,
    };
    let (x, y) = (x as f32, y as f32);
    plate(sheet, Area { x, y: y + height as f32, width: CELL as f32, height: 3.0 }, 1.0, colour, 1.0);
    let text = cell.score.map_or_else(|| "no score".to_owned(), |score| format!("{score:.2}"));
    let style = Style::new(16.0, if cell.band == Some(Band::Good) { GROUND } else { BRIGHT }).bold();
    let chip = Area { x: x + 5.0, y: y + height as f32 - 27.0, width: style.width(&text) + 14.0, height: 22.0 };
    plate(sheet, chip, 5.0, colour, 0.94);
    style.draw(sheet, chip.x + 7.0, chip.y + 11.0, &text);
    let caption = Style::new(13.0, DIM);
    caption.draw(
        sheet,
        x + 1.0,
        y + height as f32 + CAPTION as f32 / 2.0 + 2.0,
        &caption.fit(&cell.label, CELL as f32),
    );
}

/// Frames of a row share the shape of its first.
fn cell_height(row: &SheetRow) -> u32 {
    row.cells.first().map_or(0, |cell| {
        let (width, height) = cell.picture.dimensions();
        (CELL * height.max(1) / width.max(1)).clamp(CELL / 4, CELL * 2)
    })
}

fn card_height(row: &SheetRow) -> u32 {
    let lines = row.cells.len().div_ceil(ACROSS) as u32;
    HEAD + lines * (cell_height(row) + CAPTION + GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: usize, band: Band) -> SheetRow {
        let picture = RgbImage::from_pixel(192, 112, Rgb([90, 120, 150]));
        let cell =
            |i| SheetCell { picture: picture.clone(), label: format!("frame {i}"), score: Some(0.5), band: Some(band) };
        SheetRow { label: "1-1".into(), verdict: "ok".into(), accepted: true, cells: (0..cells).map(cell).collect() }
    }

    fn has(sheet: &RgbImage, colour: [u8; 3]) -> bool {
        sheet.pixels().any(|p| p.0 == colour)
    }

    #[test]
    fn a_frame_that_needs_work_is_red_and_an_excellent_one_is_green() {
        let red = contact_sheet("Hidden Lab", &[row(6, Band::NeedsWork)]);
        let green = contact_sheet("Hidden Lab", &[row(6, Band::Excellent)]);
        assert!(has(&red, RED) && !has(&green, RED) && has(&green, GREEN));
    }

    #[test]
    fn the_sheet_is_wide_enough_for_eight_and_then_wraps() {
        let eight = contact_sheet("t", &[row(8, Band::Excellent)]);
        let ten = contact_sheet("t", &[row(10, Band::Excellent)]);
        assert_eq!(eight.width(), ten.width());
        assert_eq!(ten.height() - eight.height(), 112 + CAPTION + GAP);
    }

    #[test]
    fn a_sheet_without_rows_is_still_a_picture() {
        assert!(contact_sheet("nothing", &[]).height() >= TITLE);
    }
}
