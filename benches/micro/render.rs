//! `pages_render LIBPDFIUM FILE PROCESSES BATCH DPI PAGES`: celeriac's renderer and nothing around it, to be measured beside pages_floor.
//!
//! PROCESSES processes take every PROCESSES-th batch of BATCH pages: each page rendered, encoded with its thumbnail, and read. Nothing is
//! written but the count of pages and characters, as one JSON object.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::process::{Command, Stdio};

use celeriac_tasks::render::{Kind, OpenArgs, PageArgs, RenderOptions, Renderer};

/// What was asked for.
struct Asked {
    pdfium: String,
    file: String,
    processes: u32,
    batch: u32,
    dpi: u16,
    pages: u32,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [pdfium, file, processes, batch, dpi, pages, part @ ..] = &args[..] else {
        eprintln!("pages_render LIBPDFIUM FILE PROCESSES BATCH DPI PAGES");
        std::process::exit(2)
    };
    let number = |text: &String| text.parse::<u32>().unwrap_or_else(|_| panic!("not a number: {text}"));
    let asked = Asked {
        pdfium: pdfium.clone(),
        file: file.clone(),
        processes: number(processes),
        batch: number(batch),
        dpi: u16::try_from(number(dpi)).unwrap(),
        pages: number(pages),
    };
    match part {
        [] => all(&asked, &args),
        [part, ..] => println!("{} {}", asked.pages_of(number(part)).count(), do_part(&asked, number(part))),
    }
}

impl Asked {
    /// Every PROCESSES-th batch from the `part`-th on, by pages from 0.
    fn pages_of(&self, part: u32) -> impl Iterator<Item = u32> {
        let (processes, batch) = (self.processes, self.batch);
        (0..self.pages).filter(move |page| page / batch % processes == part)
    }
}

/// Returns the characters.
fn do_part(asked: &Asked, part: u32) -> usize {
    let mut renderer = Renderer::new(Some(asked.pdfium.as_ref()));
    let document = OpenArgs { path: asked.file.clone().into(), kind: Kind::Pdf, password: None };
    let render = RenderOptions { dpi: asked.dpi, ..RenderOptions::default() };
    let mut characters = 0;
    for index in asked.pages_of(part) {
        let page = renderer.page(&PageArgs { document: document.clone(), index, render }).unwrap();
        characters += page.text.chars().count();
    }
    characters
}

/// One process a part: PDFium is bound once a process, and draws one page at a time.
fn all(asked: &Asked, args: &[String]) {
    let this = std::env::current_exe().unwrap();
    let start = |part: u32| Command::new(&this).args(args).arg(part.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = (0..asked.processes).map(start).collect();
    let (mut pages, mut characters) = (0, 0);
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "a process failed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (of_pages, of_characters) = text.trim().split_once(' ').unwrap();
        pages += of_pages.parse::<u64>().unwrap();
        characters += of_characters.parse::<u64>().unwrap();
    }
    println!("{{\"pages\": {pages}, \"characters\": {characters}}}");
}
