//! Pages that are images: every format, every trick of theirs, and the broken ones.

use std::io::Cursor;

use celeriac_tasks::Code;
use celeriac_tasks::render::{Kind, PageArgs, RenderOptions, Renderer};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use crate::support::{decoded, open, page, stored};

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A picture that is red on its left half and green on its right.
fn halves(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([250, 10, 10]) } else { Rgb([10, 250, 10]) }).into()
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(&halves(width, height), ImageFormat::Png)
}

/// A TIFF of uncompressed grey pages, each of one brightness.
fn tiff(pages: &[u8]) -> Vec<u8> {
    let (width, height) = (20u32, 30u32);
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    for (index, brightness) in pages.iter().enumerate() {
        let directory = out.len() as u32;
        let data = directory + 2 + 9 * 12 + 4;
        let next = if index + 1 == pages.len() { 0 } else { data + width * height };
        let tags: [(u16, u16, u32); 9] = [
            (256, 4, width),
            (257, 4, height),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, data),
            (277, 3, 1),
            (278, 4, height),
            (279, 4, width * height),
        ];
        out.extend(9u16.to_le_bytes());
        for (tag, kind, value) in tags {
            out.extend(tag.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend(1u32.to_le_bytes());
            out.extend(value.to_le_bytes());
        }
        out.extend(next.to_le_bytes());
        out.extend(std::iter::repeat_n(*brightness, (width * height) as usize));
    }
    out
}

fn near(found: Rgb<u8>, wanted: [u8; 3]) -> bool {
    found.0.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 20)
}

#[test]
fn every_format_becomes_a_jpeg_page() {
    let mut renderer = Renderer::new(None);
    for (kind, format) in [
        (Kind::Png, ImageFormat::Png),
        (Kind::Jpeg, ImageFormat::Jpeg),
        (Kind::Webp, ImageFormat::WebP),
        (Kind::Tiff, ImageFormat::Tiff),
    ] {
        let bytes = encoded(&halves(400, 100), format);
        assert_eq!(Kind::sniff(&bytes), Some(kind));
        let opened = open(&mut renderer, kind, &bytes).unwrap();
        assert_eq!((opened.pages, opened.sizes), (1, vec![(400.0, 100.0)]), "{kind:?}");
        let page = page(&mut renderer, kind, &bytes, 0).unwrap();
        let picture = decoded(&page.image);
        assert_eq!((page.width, page.height, picture.dimensions(), page.has_images), (400, 100, (400, 100), true));
        assert!(near(*picture.get_pixel(100, 50), [250, 10, 10]) && near(*picture.get_pixel(300, 50), [10, 250, 10]), "{kind:?}");
        assert_eq!(decoded(&page.thumb).dimensions(), (160, 40));
    }
}

#[test]
fn each_image_of_a_tiff_is_a_page() {
    let mut renderer = Renderer::new(None);
    let bytes = tiff(&[0, 120, 255]);
    assert_eq!(open(&mut renderer, Kind::Tiff, &bytes).unwrap().pages, 3);
    for (index, brightness) in [0, 120, 255].into_iter().enumerate() {
        let page = page(&mut renderer, Kind::Tiff, &bytes, index as u32).unwrap();
        assert!(near(*decoded(&page.image).get_pixel(10, 15), [brightness; 3]), "page {index}");
    }
    let error = page(&mut renderer, Kind::Tiff, &bytes, 3).unwrap_err();
    assert_eq!((error.code, error.page), (Code::ImageCorrupt, Some(4)));
    // Cut in its last page: the others are whole.
    let cut = &bytes[..bytes.len() - 100];
    assert!(page(&mut renderer, Kind::Tiff, cut, 1).is_ok());
    assert_eq!(page(&mut renderer, Kind::Tiff, cut, 2).unwrap_err().code, Code::ImageCorrupt);
}

#[test]
fn what_is_transparent_shows_white_paper() {
    let mut renderer = Renderer::new(None);
    let clear = RgbaImage::from_fn(64, 64, |x, _| if x < 32 { Rgba([0, 0, 0, 0]) } else { Rgba([0, 0, 0, 255]) });
    for (kind, format) in [(Kind::Png, ImageFormat::Png), (Kind::Webp, ImageFormat::WebP)] {
        let page = page(&mut renderer, kind, &encoded(&clear.clone().into(), format), 0).unwrap();
        let picture = decoded(&page.image);
        assert!(near(*picture.get_pixel(8, 32), [255; 3]) && near(*picture.get_pixel(56, 32), [0; 3]));
    }
}

#[test]
fn a_photograph_taken_sideways_stands_upright() {
    let mut renderer = Renderer::new(None);
    let flat = encoded(&halves(200, 100), ImageFormat::Jpeg);
    // Exif with one entry: orientation 6, turn clockwise.
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut turned = flat[..2].to_vec();
    turned.extend([0xff, 0xe1]);
    turned.extend((exif.len() as u16 + 2).to_be_bytes());
    turned.extend(exif);
    turned.extend(&flat[2..]);
    let page = page(&mut renderer, Kind::Jpeg, &turned, 0).unwrap();
    let picture = decoded(&page.image);
    assert_eq!((page.width, page.height), (100, 200));
    assert!(near(*picture.get_pixel(50, 40), [250, 10, 10]) && near(*picture.get_pixel(50, 160), [10, 250, 10]));
}

#[test]
fn a_huge_image_is_kept_smaller() {
    let mut renderer = Renderer::new(None);
    let big = stored(Kind::Png, &png(600, 400));
    let render = RenderOptions { max_image_pixels: 60_000, ..RenderOptions::default() };
    let page = renderer.page(&PageArgs { document: big.args.clone(), index: 0, render }).unwrap();
    assert_eq!((page.width, page.height, page.size, page.reduced), (300, 200, (600.0, 400.0), true));
    assert!(near(*decoded(&page.image).get_pixel(75, 100), [250, 10, 10]));
}

#[test]
fn a_bomb_is_refused_by_what_it_says_of_itself() {
    let mut renderer = Renderer::new(None);
    // A PNG that claims 60,000 times 60,000 pixels; its checksum is right.
    let mut bomb = png(1, 1);
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let sum = bomb[12..29].iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    });
    bomb[29..33].copy_from_slice(&(!sum).to_be_bytes());
    let error = page(&mut renderer, Kind::Png, &bomb, 0).unwrap_err();
    assert_eq!((error.code, error.page, error.retryable()), (Code::ImageCorrupt, Some(1), false), "{error}");
}

#[test]
fn a_broken_image_fails_alone() {
    let mut renderer = Renderer::new(None);
    for (kind, format) in [(Kind::Png, ImageFormat::Png), (Kind::Webp, ImageFormat::WebP), (Kind::Tiff, ImageFormat::Tiff)] {
        let whole = encoded(&halves(100, 100), format);
        let error = page(&mut renderer, kind, &whole[..whole.len() / 2], 0).unwrap_err();
        assert_eq!((error.code, error.page), (Code::ImageCorrupt, Some(1)), "{kind:?}");
    }
    assert_eq!(page(&mut renderer, Kind::Jpeg, b"\xff\xd8\xff and no more", 0).unwrap_err().code, Code::ImageCorrupt);
    assert!(page(&mut renderer, Kind::Png, &png(4, 4), 0).is_ok());
}
