//! Pixels in memory, and making fewer of them: a box filter, exact or by samples.

/// How pixels lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Red, green, blue, one byte of no meaning.
    Rgbx,
    /// Red, green, blue.
    Rgb,
    /// Brightness.
    Gray,
}

impl Layout {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Rgbx => 4,
            Self::Rgb => 3,
            Self::Gray => 1,
        }
    }
}

/// A picture: rows from the top, without gaps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixels<'a> {
    pub data: &'a [u8],
    pub width: u32,
    pub height: u32,
    pub layout: Layout,
}

/// The size with this aspect that has at most `max_pixels` and no side above `max_side`; the same size where it fits.
pub(super) fn fit(width: u32, height: u32, max_pixels: u32, max_side: u32) -> (u32, u32) {
    let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let by_area = (f64::from(max_pixels) / (w * h)).sqrt();
    let by_side = f64::from(max_side) / w.max(h);
    let scale = by_area.min(by_side).min(1.0);
    if scale >= 1.0 {
        return (width.max(1), height.max(1));
    }
    // Rounding down keeps both promises; a side of a thread-thin page stays visible.
    (((w * scale) as u32).clamp(1, max_side), ((h * scale) as u32).clamp(1, max_side))
}

/// How many of the covered pixels a smaller picture is made from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Samples {
    /// All: for pictures that are kept.
    All,
    /// At most so many rows of each: for thumbnails, where nobody sees the difference and every page pays for it.
    Few(usize),
}

/// The picture in `width` times `height`, each new pixel the mean of those it covers. Never enlarges.
pub(super) fn shrink(pixels: &Pixels<'_>, width: u32, height: u32, samples: Samples) -> Vec<u8> {
    match pixels.layout {
        Layout::Rgbx => boxes::<4>(pixels, width, height, samples),
        Layout::Rgb => boxes::<3>(pixels, width, height, samples),
        Layout::Gray => boxes::<1>(pixels, width, height, samples),
    }
}

/// Rows whose bytes can be added up in 16 bits.
const BAND: usize = 256;

fn boxes<const DEPTH: usize>(pixels: &Pixels<'_>, width: u32, height: u32, samples: Samples) -> Vec<u8> {
    let (width, height) = (width.clamp(1, pixels.width.max(1)) as usize, height.clamp(1, pixels.height.max(1)) as usize);
    let (from_width, from_height) = (pixels.width as usize, pixels.height as usize);
    let lines: Vec<&[u8]> = pixels.data.chunks_exact((from_width * DEPTH).max(1)).collect();
    let step = |covered: usize| match samples {
        Samples::All => 1,
        Samples::Few(most) => covered.div_ceil(most).max(1),
    };
    // Divided once, not once a row: the boxes of all rows begin and end at the same columns.
    let columns: Vec<(usize, usize)> =
        (0..width).map(|column| (column * from_width / width, (column + 1) * from_width / width)).collect();
    let mut out = Vec::with_capacity(width * height * DEPTH);
    let mut sums = vec![[0u32; DEPTH]; width];
    let mut band = vec![0u16; from_width * DEPTH];
    for row in 0..height {
        let (top, bottom) = (row * from_height / height, (row + 1) * from_height / height);
        let covered: Vec<&[u8]> = lines.get(top..bottom).unwrap_or_default().iter().step_by(step(bottom - top)).copied().collect();
        sums.fill([0; DEPTH]);
        // Whole rows are added up first, many bytes at once; then what they come to, box by box.
        for lines in covered.chunks(BAND) {
            band.fill(0);
            for line in lines {
                band.iter_mut().zip(*line).for_each(|(sum, byte)| *sum += u16::from(*byte));
            }
            add_columns(&mut sums, &columns, band.as_chunks().0);
        }
        for (sum, (left, right)) in sums.iter().zip(&columns) {
            let count = (covered.len() * (right - left)).max(1) as u32;
            out.extend(sum.map(|sum| (sum / count) as u8));
        }
    }
    out
}

fn add_columns<const DEPTH: usize>(sums: &mut [[u32; DEPTH]], columns: &[(usize, usize)], band: &[[u16; DEPTH]]) {
    for (sum, (left, right)) in sums.iter_mut().zip(columns) {
        for pixel in band.get(*left..*right).unwrap_or_default() {
            sum.iter_mut().zip(pixel).for_each(|(sum, channel)| *sum += u32::from(*channel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_the_mean_of_what_is_covered() {
        let data = [0, 100, 200, 50, 10, 20, 30, 40];
        let pixels = Pixels { data: &data, width: 4, height: 2, layout: Layout::Gray };
        assert_eq!(shrink(&pixels, 2, 1, Samples::All), vec![(100 + 10 + 20) / 4, (320u32 / 4) as u8]);
        assert_eq!(shrink(&pixels, 4, 2, Samples::All), data);
        assert_eq!(shrink(&pixels, 400, 200, Samples::Few(4)), data, "never enlarges");
    }

    #[test]
    fn channels_stay_apart() {
        let data = [255, 0, 10, 9, 255, 0, 20, 9];
        let pixels = Pixels { data: &data, width: 2, height: 1, layout: Layout::Rgbx };
        assert_eq!(shrink(&pixels, 1, 1, Samples::All), vec![255, 0, 15, 9]);
    }

    #[test]
    fn samples_are_spread_over_the_box() {
        let data: Vec<u8> = (0..64u8).map(|i| if i % 8 < 4 { 0 } else { 200 }).collect();
        let pixels = Pixels { data: &data, width: 8, height: 8, layout: Layout::Gray };
        assert_eq!(shrink(&pixels, 1, 1, Samples::Few(4)), vec![100]);
    }

    #[test]
    fn a_very_tall_box_does_not_overflow() {
        let data = vec![255u8; 100_000];
        let pixels = Pixels { data: &data, width: 1, height: 100_000, layout: Layout::Gray };
        assert_eq!(shrink(&pixels, 1, 1, Samples::All), vec![255]);
    }

    #[test]
    fn fitting_keeps_the_aspect_and_both_limits() {
        assert_eq!(fit(1240, 1754, 40_000_000, 65_500), (1240, 1754));
        let (w, h) = fit(17_500, 17_500, 40_000_000, 65_500);
        assert!(w * h <= 40_000_000 && w == h && w > 6_300);
        assert_eq!(fit(200_000, 1, 40_000_000, 65_500), (65_500, 1));
        assert_eq!(fit(0, 0, 100, 100), (1, 1));
    }
}
