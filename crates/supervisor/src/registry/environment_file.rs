//! Files of environment variables: a line `NAME=VALUE` each, `#` comments, quotes, no expansion.
//!
//! No line of such a file is ever shown in a problem: secrets are what people keep in them.

use std::rc::Rc;

use super::problem::{FileId, Place, Problems, Span};
use super::values;
use super::xml::MAX_VALUE;

/// The variables of a file whose text `problems` knows, in order.
pub(super) fn read(file: FileId, problems: &mut Problems) -> Vec<(Rc<str>, Rc<str>)> {
    let text = problems.text(file);
    problems.hide(Place { file, span: Span::new(0, text.len()) });
    let mut variables = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let place = Place { file, span: Span::new(start, start + line.len()) };
        start += line.len();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        match variable(trimmed) {
            Ok((name, value)) => variables.push((name.into(), value.into())),
            Err(problem) => {
                problems.add(place, problem);
            }
        }
    }
    variables
}

fn variable(line: &str) -> Result<(&str, String), &'static str> {
    let (name, value) = line.split_once('=').ok_or("the line must be NAME=VALUE, or begin with #")?;
    let name = name.trim_end();
    if name.starts_with("export ") {
        return Err("\"export\" does not belong here: this is no shell script");
    }
    values::variable_name(name).map_err(|_| "the name of the variable is empty or contains blanks")?;
    if line.contains('\0') {
        return Err("the line contains the character U+0000");
    }
    if line.len() > MAX_VALUE {
        return Err("the line is longer than 64 KiB");
    }
    Ok((name, unquote(value.trim_start())?))
}

/// In single quotes everything stands for itself; in double quotes a backslash takes the meaning from a quote or
/// another backslash, and `\n`, `\r` and `\t` are what they are elsewhere. Without quotes everything stands for itself.
fn unquote(value: &str) -> Result<String, &'static str> {
    const UNCLOSED: &str = "the closing quote is missing on this line";
    const FOLLOWED: &str = "nothing may follow the closing quote";
    if let Some(quoted) = value.strip_prefix('\'') {
        let (text, after) = quoted.split_once('\'').ok_or(UNCLOSED)?;
        return if after.is_empty() { Ok(text.to_owned()) } else { Err(FOLLOWED) };
    }
    let Some(quoted) = value.strip_prefix('"') else { return Ok(value.to_owned()) };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next().ok_or(UNCLOSED)? {
            '"' => break,
            '\\' => text.push(match characters.next().ok_or(UNCLOSED)? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('"' | '\\' | '$' | '`') => same,
                _ => return Err("a backslash in quotes may stand only before \" \\ $ ` n r t"),
            }),
            character => text.push(character),
        }
    }
    if characters.as_str().is_empty() { Ok(text) } else { Err(FOLLOWED) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let mut problems = Problems::default();
        let file = problems.add_file(Path::new("a.env"), text.into());
        let variables = read(file, &mut problems);
        let owned = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let error = problems.finish();
        assert!(error.as_ref().is_none_or(|error| !error.render(false).contains("hunter2")));
        let lines =
            error.map_or(Vec::new(), |error| error.problems().iter().map(ToString::to_string).collect());
        (owned, lines)
    }

    #[test]
    fn a_line_is_a_name_and_a_value_that_may_stand_in_quotes() {
        let text = "# a comment\n\n A=1\r\nB = two words # no comment\nC='a \"b\" \\n'\nD=\"a \\\"b\\\"\\n\"\nE=\nF=x=y\nG=SV::log $A";
        let (variables, problems) = parse(text);
        assert_eq!(problems, [""; 0]);
        let expected = [
            ("A", "1"),
            ("B", "two words # no comment"),
            ("C", "a \"b\" \\n"),
            ("D", "a \"b\"\n"),
            ("E", ""),
            ("F", "x=y"),
            ("G", "SV::log $A"),
        ];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn every_bad_line_is_told_with_its_number_and_without_its_text() {
        let text = "hunter2\n=hunter2\nA B=hunter2\nexport A=hunter2\nA='hunter2\nA=\"hunter2\nA='hunter2'x\nA=\"\\hunter2\"\nA=ok";
        let (variables, problems) = parse(text);
        assert_eq!(variables.len(), 1);
        let lines: Vec<_> = problems.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
        assert_eq!(lines, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }
}
