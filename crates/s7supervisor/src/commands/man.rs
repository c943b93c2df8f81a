//! `man`: manual pages, made of the same texts as `--help`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::arguments::Arguments;
use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// `man`
#[derive(Args, Debug)]
pub(crate) struct Pages {
    /// The folder for the pages, one for each command; it is made if it is missing [default: only print that of the program]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(crate) const HELP: &str = "\
Without DIR, prints the page s7supervisor(1). With DIR, writes that and one for
each command (s7supervisor-start.1, …), in place of those that are there.

Examples:
  s7supervisor man | man -l -
  s7supervisor man /usr/local/share/man/man1";

/// Prints the page of the program, or writes all of them.
pub(crate) fn man(asked: &Pages) -> Ended {
    let mut program = Arguments::command();
    program.build();
    let Some(folder) = &asked.folder else {
        let page =
            page(&program).map_err(|error| Failure::failed(format!("cannot make the page: {error}")))?;
        say::answer_bytes(&page);
        return Ok(Exit::Done);
    };
    let written = write_all(&program, folder).map_err(|error| {
        Failure::failed(format!("cannot write pages to {}: {error}; name another folder", folder.display()))
    })?;
    say::answer(&format!("{written} pages in {}", folder.display()));
    Ok(Exit::Done)
}

fn write_all(program: &Command, folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    let mut written = 0;
    for command in std::iter::once(program).chain(shown) {
        let name = Man::new(command.clone()).get_filename();
        std::fs::write(folder.join(name), page(command)?)?;
        written += 1;
    }
    Ok(written)
}

/// The page of the program, or of one of its commands.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let source = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source);
    let text = command.get_after_long_help().or_else(|| command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let sections = sections(&text);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut roff = Roff::default();
    roff.control("PP", []);
    sections.iter().filter(|section| section.heading.is_empty()).for_each(|section| section.write(&mut roff));
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::default();
    sections
        .iter()
        .filter(|section| !section.heading.is_empty())
        .for_each(|section| section.write(&mut roff));
    if !command.has_subcommands() {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([roman("s7supervisor(1)")]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// A part of the text that stands at the end of `--help`.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    /// Without the colon; empty where there is none.
    heading: &'a str,
    lines: Vec<&'a str>,
}

/// Splits a text at its headings: lines that begin at the margin after an empty one, or at the beginning, and end with a
/// colon, before lines that are set in.
fn sections(text: &str) -> Vec<Section<'_>> {
    let lines: Vec<_> = text.lines().collect();
    let mut sections = vec![Section { heading: "", lines: Vec::new() }];
    for (number, line) in lines.iter().enumerate() {
        let is_set_in = lines.get(number + 1).is_some_and(|next| next.starts_with(' '));
        let is_first = number == 0 || lines[number - 1].is_empty();
        match line.strip_suffix(':').filter(|_| is_first && is_set_in && !line.starts_with(' ')) {
            Some(heading) => sections.push(Section { heading, lines: Vec::new() }),
            None => sections.last_mut().into_iter().for_each(|section| section.lines.push(line)),
        }
    }
    sections
}

impl Section<'_> {
    /// Paragraphs are filled; what is set in stays as it is.
    fn write(&self, roff: &mut Roff) {
        if !self.heading.is_empty() {
            roff.control("SH", [self.heading.to_uppercase().as_str()]);
        }
        let mut is_literal = false;
        for line in &self.lines {
            if line.starts_with(' ') != is_literal && !line.is_empty() {
                is_literal = !is_literal;
                roff.control(if is_literal { "nf" } else { "fi" }, []);
            }
            match line.is_empty() {
                true => roff.control("PP", []),
                false => roff.text([roman(*line)]),
            };
        }
        if is_literal {
            roff.control("fi", []);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_headings_and_nowhere_else() {
        let text = "Prose, with an end:\nmore prose.\n\nExit codes:\n  0  done\n\nAt the end:\nprose\n\nExamples:\n  run";
        let found: Vec<_> =
            sections(text).iter().map(|section| (section.heading, section.lines.len())).collect();
        assert_eq!(found, [("", 3), ("Exit codes", 5), ("Examples", 1)]);
    }

    #[test]
    fn every_command_has_a_page_with_its_examples_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Arguments::command();
        program.build();
        let written = write_all(&program, folder.path()).unwrap();
        assert!(written > 20, "{written}");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let page = read("s7supervisor-restart.1");
        for fact in [".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES\n.nf\n", "\\-\\-no\\-wait", "SEE ALSO"] {
            assert!(page.contains(fact), "{fact} in {page}");
        }
        let manual = include_str!("../../../../docs/manual.md");
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(read(&format!("s7supervisor-{name}.1")).contains("\n.SH EXAMPLES\n"), "{name}");
            assert!(manual.contains(&format!("\n| `{name}")), "{name} is not in docs/manual.md");
        }
        assert!(read("s7supervisor.1").contains("s7supervisor\\-restart(1)"));
        assert!(!folder.path().join("s7supervisor-takeover-check.1").exists(), "nobody is to call it");
    }
}
