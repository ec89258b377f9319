//! Pixels in memory, and making fewer of them: an exact box filter, fast because it adds whole rows first.

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

/// The picture in `width` times `height`, each new pixel the mean of those it covers. Never enlarges.
pub(super) fn shrink(pixels: &Pixels<'_>, width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width.clamp(1, pixels.width.max(1)) as usize, height.clamp(1, pixels.height.max(1)) as usize);
    let (from_width, from_height, depth) = (pixels.width as usize, pixels.height as usize, pixels.layout.bytes());
    let stride = from_width * depth;
    let edges = |from: usize, to: usize| -> Vec<usize> { (0..=to).map(|i| i * from / to).collect() };
    let (columns, rows) = (edges(from_width, width), edges(from_height, height));
    let mut out = Vec::with_capacity(width * height * depth);
    let mut sums = vec![0u16; stride];
    for row in rows.windows(2) {
        // 257 rows of bytes are what a 16-bit sum holds; of a taller box every n-th row is taken.
        let step = (row[1] - row[0]).div_ceil(257).max(1);
        sums.fill(0);
        let mut taken = 0u32;
        for y in (row[0]..row[1]).step_by(step) {
            let line = pixels.data.get(y * stride..(y + 1) * stride).unwrap_or_default();
            for (sum, byte) in sums.iter_mut().zip(line) {
                *sum += u16::from(*byte);
            }
            taken += 1;
        }
        for column in columns.windows(2) {
            let covered = &sums[column[0] * depth..column[1] * depth];
            let count = (column[1] - column[0]) as u32 * taken;
            for channel in 0..depth {
                let sum: u32 = covered.iter().skip(channel).step_by(depth).map(|sum| u32::from(*sum)).sum();
                out.push((sum / count.max(1)) as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_the_mean_of_what_is_covered() {
        let data = [0, 100, 200, 50, 10, 20, 30, 40];
        let pixels = Pixels { data: &data, width: 4, height: 2, layout: Layout::Gray };
        assert_eq!(shrink(&pixels, 2, 1), vec![(100 + 10 + 20) / 4, (320u32 / 4) as u8]);
        assert_eq!(shrink(&pixels, 4, 2), data);
        assert_eq!(shrink(&pixels, 400, 200), data, "never enlarges");
    }

    #[test]
    fn channels_stay_apart() {
        let data = [255, 0, 10, 9, 255, 0, 20, 9];
        let pixels = Pixels { data: &data, width: 2, height: 1, layout: Layout::Rgbx };
        assert_eq!(shrink(&pixels, 1, 1), vec![255, 0, 15, 9]);
    }

    #[test]
    fn a_very_tall_box_does_not_overflow() {
        let data = vec![255u8; 100_000];
        let pixels = Pixels { data: &data, width: 1, height: 100_000, layout: Layout::Gray };
        assert_eq!(shrink(&pixels, 1, 1), vec![255]);
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
