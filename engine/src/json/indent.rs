//! JSON on several lines. In: compact JSON of our own. Out: the same with white space between its tokens.
//! Always: strings stay as they are; no more is written than the caller allows.

/// Appends `compact` with each member and element on a line of its own, `width` spaces further in than what holds it, and a space behind
/// each colon; `{}` and `[]` stay together. That is how protobuf's own printers do it. False if that would be more than `len_max`
/// bytes, and then `out` holds a part of it.
pub(crate) fn indent(compact: &[u8], width: u8, len_max: usize, out: &mut Vec<u8>) -> bool {
    let out_len_max = out.len().saturating_add(len_max);
    let mut depth = 0_usize;
    let mut rest = compact;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let (string, after) = rest.split_at(string_len(rest));
                out.push(b'"');
                out.extend_from_slice(string);
                rest = after;
            }
            b':' => out.extend_from_slice(b": "),
            b',' => {
                out.push(b',');
                line(depth, width, out);
            }
            b'{' | b'[' => {
                out.push(byte);
                if let Some((&close @ (b'}' | b']'), after)) = rest.split_first() {
                    out.push(close);
                    rest = after;
                } else {
                    depth += 1;
                    line(depth, width, out);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(depth, width, out);
                out.push(byte);
            }
            _ => out.push(byte),
        }
        if out.len() > out_len_max {
            return false;
        }
    }
    true
}

/// The length of the rest of a string, with its closing quote.
fn string_len(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let quote = rest.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    quote.map_or(rest.len(), |quote| quote + 1)
}

/// Begins a line.
fn line(depth: usize, width: u8, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + depth * usize::from(width), b' ');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn indented(compact: &str, width: u8) -> String {
        let mut out = Vec::new();
        assert!(indent(compact.as_bytes(), width, usize::MAX, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_and_elements_have_lines_and_empty_brackets_none() {
        let compact = r#"{"a":[1,{"b":"x,\"{:\\"},[]],"c":{},"d":null}"#;
        let expected = r#"{
  "a": [
    1,
    {
      "b": "x,\"{:\\"
    },
    []
  ],
  "c": {},
  "d": null
}"#;
        assert_eq!(indented(compact, 2), expected);
        assert_eq!(indented("{}", 2), "{}");
        assert_eq!(indented("\"a,b\"", 2), "\"a,b\"");
    }

    #[test]
    fn more_than_the_limit_is_not_written() {
        let compact = "[".repeat(90) + &"]".repeat(90);
        let mut out = Vec::new();
        assert!(!indent(compact.as_bytes(), u8::MAX, 10_000, &mut out));
        assert!(out.len() < 10_000 + 100 * 255);
    }

    proptest! {
        /// serde_json indents by two, and does it the same way.
        #[test]
        fn lines_are_those_of_serde_json(numbers in prop::collection::vec(any::<u16>(), 0..9), text in "\\PC{0,9}") {
            let value = serde_json::json!({"list": numbers, &text: {"in": [&text, {}, []]}});
            let compact = value.to_string();
            let pretty = indented(&compact, 2);
            prop_assert_eq!(&pretty, &serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(serde_json::from_str::<Value>(&pretty).unwrap(), value);
        }
    }
}
