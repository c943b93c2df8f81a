//! The XSD of a registry, made from the grammar, so that the two cannot know different names.
//!
//! XSD 1.0 cannot say "these in any order, some once, some often": an element whose children may repeat takes them in
//! any number. And a value may be a setting, so that every type also takes `SV::`.

use std::fmt::Write;

use super::grammar::{COMPONENT, Content, ElementRule, SUPERVISOR};
use super::values::Kind;

/// The whole of `docs/SupervisorRegistry.xsd`.
fn schema() -> String {
    let mut schema = Schema { text: BEGINNING.to_owned(), indent: 1 };
    schema.simple_type(" name=\"text\"", "<xs:minLength value=\"1\"/>");
    schema.simple_type(" name=\"nothing\"", "<xs:maxLength value=\"0\"/>");
    for (name, pattern) in PATTERNS {
        schema.simple_type(&format!(" name=\"{name}\""), &format!("<xs:pattern value=\"{pattern}\"/>"));
    }
    schema.line("<xs:group name=\"component\">");
    schema.indented(|schema| schema.choice("<xs:choice>", COMPONENT));
    schema.line("</xs:group>");
    schema.element(&SUPERVISOR, "");
    schema.text.push_str("</xs:schema>\n");
    schema.text
}

const BEGINNING: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- The grammar of SupervisorRegistry.xml, for editors. It never refuses what the supervisor accepts; what it cannot
     say (references, ranges, what may stand only once, what is not supported yet) `s7supervisor check` tells.
     Made from the table in crates/supervisor/src/registry/grammar.rs by
     UPDATE=1 cargo test -p supervisor the_xsd_is_made_from_the_grammar -->
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
"#;

/// The types of values that have a form. All but names of settings may be settings, whose values are not known here.
const PATTERNS: [(&str, &str); 11] = [
    ("id", r"[A-Za-z0-9][A-Za-z0-9._\-]*|.*SV::.*"),
    ("settingName", r"SV::[A-Za-z0-9_]+|TC::maxDays"),
    ("variableName", r"[^=\s]+|.*SV::.*"),
    ("wholeNumber", r"-?[0-9]+|.*SV::.*"),
    ("octalNumber", r"[0-7]{1,4}|.*SV::.*"),
    ("decimalNumber", r"[0-9]+(\.[0-9]+)?|.*SV::.*"),
    ("time", r"[0-9]+(\.[0-9]+)?(ms|s|m|h)?|.*SV::.*"),
    ("size", r"[0-9]+[kmg]?|.*SV::.*"),
    ("httpUrl", r"http://.+|.*SV::.*"),
    ("httpStatus", r"[0-9]+(-[0-9]+)?|.*SV::.*"),
    ("amount", r"unlimited|[0-9]+[kmg]?|.*SV::.*"),
];

struct Schema {
    text: String,
    indent: usize,
}

impl Schema {
    fn element(&mut self, rule: &ElementRule, occurs: &str) {
        let about = if rule.later { format!("{} Not supported yet.", rule.about) } else { rule.about.into() };
        self.line(&format!("<xs:element name=\"{}\"{occurs}>", rule.name));
        self.indented(|schema| {
            schema.line(&format!(
                "<xs:annotation><xs:documentation>{about}</xs:documentation></xs:annotation>"
            ));
            schema.line("<xs:complexType>");
            schema.indented(|schema| schema.content(rule));
            schema.line("</xs:complexType>");
        });
        self.line("</xs:element>");
    }

    fn content(&mut self, rule: &ElementRule) {
        match rule.content {
            // An extension can only have a named type: words that may be chosen are left to `check` here.
            Content::Value(kind) => self.simple_content(rule, type_name(kind).unwrap_or("text")),
            Content::Elements(children) => {
                if std::ptr::eq(children, COMPONENT) {
                    self.line("<xs:group ref=\"component\" minOccurs=\"0\" maxOccurs=\"unbounded\"/>");
                } else if children.iter().any(|child| child.many) {
                    let least = if rule.filled { 1 } else { 0 };
                    let start = format!("<xs:choice minOccurs=\"{least}\" maxOccurs=\"unbounded\">");
                    self.choice(&start, children);
                } else {
                    self.line("<xs:all>");
                    self.indented(|schema| {
                        for child in children {
                            schema.element(child, " minOccurs=\"0\"");
                        }
                    });
                    self.line("</xs:all>");
                }
                self.attributes(rule);
            }
            Content::OneOf(children) => {
                self.choice("<xs:choice>", children);
                self.attributes(rule);
            }
            // XSD's own empty content would not even take white space.
            Content::Nothing => self.simple_content(rule, "nothing"),
        }
    }

    fn simple_content(&mut self, rule: &ElementRule, base: &str) {
        self.line("<xs:simpleContent>");
        self.indented(|schema| {
            if rule.attributes.is_empty() {
                schema.line(&format!("<xs:extension base=\"{base}\"/>"));
            } else {
                schema.line(&format!("<xs:extension base=\"{base}\">"));
                schema.indented(|schema| schema.attributes(rule));
                schema.line("</xs:extension>");
            }
        });
        self.line("</xs:simpleContent>");
    }

    fn choice(&mut self, start: &str, children: &[&ElementRule]) {
        self.line(start);
        self.indented(|schema| {
            for child in children {
                schema.element(child, "");
            }
        });
        self.line("</xs:choice>");
    }

    fn attributes(&mut self, rule: &ElementRule) {
        for attribute in rule.attributes {
            let needed = if attribute.required { " use=\"required\"" } else { "" };
            let start = format!("<xs:attribute name=\"{}\"{needed}", attribute.name);
            match type_name(attribute.kind) {
                Some(name) => self.line(&format!("{start} type=\"{name}\"/>")),
                None => {
                    self.line(&format!("{start}>"));
                    let pattern = format!("{}|.*SV::.*", words(attribute.kind).join("|"));
                    let rule = format!("<xs:pattern value=\"{pattern}\"/>");
                    self.indented(|schema| schema.simple_type("", &rule));
                    self.line("</xs:attribute>");
                }
            }
        }
    }

    fn simple_type(&mut self, name: &str, rule: &str) {
        self.line(&format!("<xs:simpleType{name}>"));
        self.indented(|schema| {
            schema.line("<xs:restriction base=\"xs:token\">");
            schema.indented(|schema| schema.line(rule));
            schema.line("</xs:restriction>");
        });
        self.line("</xs:simpleType>");
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:1$}{line}", "", self.indent * 2);
    }

    fn indented(&mut self, content: impl FnOnce(&mut Self)) {
        self.indent += 1;
        content(self);
        self.indent -= 1;
    }
}

/// The name of the type; `None` for words that may be chosen.
fn type_name(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Text | Kind::Path | Kind::File | Kind::Name | Kind::Signal | Kind::Pattern => "text",
        Kind::Id => "id",
        Kind::SettingName => "settingName",
        Kind::VariableName => "variableName",
        Kind::Number { .. } => "wholeNumber",
        Kind::Octal => "octalNumber",
        Kind::Decimal { .. } => "decimalNumber",
        Kind::Duration | Kind::PositiveDuration | Kind::Interval => "time",
        Kind::Size => "size",
        Kind::Amount => "amount",
        Kind::HttpUrl => "httpUrl",
        Kind::HttpStatus => "httpStatus",
        Kind::Boolean | Kind::Choice { .. } => return None,
    })
}

fn words(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Choice { values, .. } => values,
        _ => &["true", "false"],
    }
}

#[test]
fn the_xsd_is_made_from_the_grammar() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SupervisorRegistry.xsd");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written == schema(),
        "{path} does not follow the grammar: see its first lines for how to make it"
    );
}

#[test]
fn the_manual_explains_every_element_and_attribute() {
    let manual = include_str!("../../../../docs/registry.md");
    super::grammar::visit(&SUPERVISOR, &mut |element| {
        assert!(manual.contains(&format!("`{}`", element.name)), "<{}> is missing", element.name);
        for attribute in element.attributes {
            let name = format!("`{}`", attribute.name);
            let qualified = format!("`{}/@{}`", element.name, attribute.name);
            assert!(
                manual.contains(&name) || manual.contains(&qualified),
                "{} of <{}> is missing",
                attribute.name,
                element.name
            );
        }
    });
}
