//! How many pages one process renders and reads for each second of processor time.
//!
//! `cargo run --release -p celeriac-tasks --example page_speed -- LIBPDFIUM FILE.pdf [EVERY [DPI]]`: every EVERY-th page (10) at
//! DPI (150), JPEG of quality 85, thumbnail and text; then the same without them being asked for again (the document open).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::PathBuf;

use celeriac_tasks::render::{Kind, OpenArgs, PageArgs, RenderOptions, Renderer};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let library = PathBuf::from(args.get(1).ok_or("the path of libpdfium.so is missing")?);
    let path = PathBuf::from(args.get(2).ok_or("the path of a PDF is missing")?);
    let every: usize = args.get(3).map_or(Ok(10), |text| text.parse())?;
    let dpi: u16 = args.get(4).map_or(Ok(150), |text| text.parse())?;
    let mut renderer = Renderer::new(Some(&library));
    let document = OpenArgs { path, kind: Kind::Pdf, password: None };
    let begun = processor_ms()?;
    let pages = renderer.open(&document)?.pages;
    println!("open: {:.1} ms", processor_ms()? - begun);
    let render = RenderOptions { dpi, ..RenderOptions::default() };
    for round in 1..=3 {
        let begun = processor_ms()?;
        let (mut count, mut image, mut text, mut times) = (0u32, 0, 0, [0; 2]);
        for index in (0..pages).step_by(every) {
            let page = renderer.page(&PageArgs { document: document.clone(), index, render })?;
            count += 1;
            image += page.image.len() + page.thumb.len();
            text += page.text.len();
            times[0] += page.times.render;
            times[1] += page.times.extract;
        }
        let spent = processor_ms()? - begun;
        let per = |total: f64| total / f64::from(count);
        println!(
            "round {round}: {count} pages, {:.1} pages a processor second; a page: {:.2} ms of processor, render {:.2} ms, text {:.2} ms (wall), {:.0} KB of JPEG, {:.0} bytes of text; memory {} MB",
            f64::from(count) / spent * 1000.0,
            per(spent),
            per(times[0] as f64 / 1000.0),
            per(times[1] as f64 / 1000.0),
            per(image as f64 / 1000.0),
            per(text as f64),
            resident_mb()?
        );
    }
    Ok(())
}

/// User and system time of this process; the kernel counts hundredths of a second.
fn processor_ms() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) * 10.0)
}

fn resident_mb() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).unwrap_or("0").parse::<u64>()? / 1024)
}
