//! A registry without its components: all that is needed to find a running supervisor, and by far the smaller part of
//! the file. A command like `status` reads no more than that.

use memchr::{memchr, memmem};

/// The elements below the root that have no part in it.
const COMPONENTS: [&[u8]; 2] = [b"servers", b"profiles"];

/// The text without these elements. Each ends with the end tag of its name, however broken it is inside, because what
/// follows it is still wanted.
pub(super) fn outline(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr(b'<', rest) {
        let (before, markup) = rest.split_at(at);
        kept.extend_from_slice(before);
        rest = if let Some(name) = COMPONENTS.into_iter().find(|name| begins(markup, name)) {
            after_end(markup, name)
        } else {
            let (markup, after) = markup.split_at(uninterpreted(markup).max(1));
            kept.extend_from_slice(markup);
            after
        };
    }
    kept.extend_from_slice(rest);
    kept
}

/// Whether the start tag of such an element stands here, and not one that is its end as well.
fn begins(markup: &[u8], name: &[u8]) -> bool {
    let Some(after) = markup[1..].strip_prefix(name) else { return false };
    let is_whole_name = after.first().is_some_and(|next| matches!(next, b'>' | b' ' | b'\t' | b'\r' | b'\n'));
    is_whole_name && !memchr(b'>', after).is_some_and(|end| after[..end].ends_with(b"/"))
}

/// What follows the end tag of this name; nothing where there is none.
fn after_end<'a>(text: &'a [u8], name: &[u8]) -> &'a [u8] {
    let tag = [b"</", name].concat();
    let end_from = |from| memmem::find(&text[from..], &tag).map(|at| from + at);
    let mut from = 0;
    let mut end = end_from(0);
    while let Some(found) = end {
        let Some(at) = memmem::find(&text[from..found], b"<!") else {
            return memchr(b'>', &text[found..]).map_or(b"", |last| &text[found + last + 1..]);
        };
        from += at;
        from += uninterpreted(&text[from..]).max(b"<!".len());
        if from > found {
            end = end_from(from);
        }
    }
    b""
}

/// The length of the comment or the CDATA section that stands here, in which no markup means anything.
fn uninterpreted(markup: &[u8]) -> usize {
    for (start, end) in [(&b"<!--"[..], &b"-->"[..]), (b"<![CDATA[", b"]]>")] {
        if let Some(content) = markup.strip_prefix(start) {
            return memmem::find(content, end).map_or(markup.len(), |at| start.len() + at + end.len());
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outlined(text: &str) -> String {
        String::from_utf8(outline(text.as_bytes())).unwrap()
    }

    #[test]
    fn components_are_left_out_and_all_else_is_kept() {
        for (text, expected) in [
            ("<s><config/><servers><server/></servers><settings/></s>", "<s><config/><settings/></s>"),
            ("<s><servers a='1'\n>x</servers ><a/><profiles>y</profiles>\n</s>", "<s><a/>\n</s>"),
            ("<s><servers/><a/><serverse>x</serverse></s>", "<s><servers/><a/><serverse>x</serverse></s>"),
            ("<s><servers></servers></s>", "<s></s>"),
            ("", ""),
            ("x < y", "x < y"),
        ] {
            assert_eq!(outlined(text), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_in_comments_and_cdata_begins_and_ends_nothing() {
        for (text, expected) in [
            ("<s><!-- <servers> --><a/></s>", "<s><!-- <servers> --><a/></s>"),
            ("<s><![CDATA[<servers>]]><a/></s>", "<s><![CDATA[<servers>]]><a/></s>"),
            ("<s><servers><!-- </servers> --> <x/></servers><a/></s>", "<s><a/></s>"),
            ("<s><servers><![CDATA[</servers>]]><!--</servers>--></servers><a/></s>", "<s><a/></s>"),
        ] {
            assert_eq!(outlined(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_broken_inside_ends_all_the_same_and_what_does_not_end_leaves_nothing() {
        assert_eq!(outlined("<s><servers><server id=' <!x <a></b></servers><c/></s>"), "<s><c/></s>");
        assert_eq!(outlined("<s><a/><servers><server/></s>"), "<s><a/>");
        assert_eq!(outlined("<s><a/><servers><!-- </servers></s>"), "<s><a/>");
        assert_eq!(outlined("<s><a/><!-- <servers>x</servers>"), "<s><a/><!-- <servers>x</servers>");
        assert_eq!(outlined("<s><servers>x</servers"), "<s>");
    }

    proptest! {
        #[test]
        fn any_text_has_an_outline_and_none_is_longer_than_it(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("<servers>"), Just("</servers>"), Just("<servers/>"), Just("<!--"), Just("-->"), Just("<![CDATA["),
                    Just("]]>"), Just("<"), Just(">"), Just("<profiles "), Just("</profiles"), Just("<!"), Just("x"),
                ],
                0..40,
            ),
        ) {
            let text = parts.concat();
            prop_assert!(outlined(&text).len() <= text.len());
        }
    }
}
