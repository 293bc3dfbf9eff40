//! The little XML that S3, Azure and AWS's token service answer with.

/// Returns the text of the first element with this name, without markup in it.
#[must_use]
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("<{name}>");
    let (_, rest) = xml.split_once(&start)?;
    let (text, rest) = rest.split_once('<')?;
    let end = rest.strip_prefix('/')?.strip_prefix(name)?;
    end.starts_with('>').then(|| text.trim())
}

/// Returns code and message of an error.
#[must_use]
pub fn error(body: &[u8]) -> (String, String) {
    let xml = String::from_utf8_lossy(body);
    let text = |name| element(&xml, name).unwrap_or_default().to_owned();
    (text("Code"), text("Message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_needs_its_end() {
        for (xml, expected) in [
            ("<Error><Code>SlowDown</Code></Error>", Some("SlowDown")),
            ("<Code>\n  A  </Code>", Some("A")),
            ("<Code></Code>", Some("")),
            ("<Code>A</Cod>", None),
            ("<Code>A<b/></Code>", None),
            ("<Code>A", None),
            ("<Codes>A</Codes>", None),
            ("", None),
        ] {
            assert_eq!(element(xml, "Code"), expected, "{xml}");
        }
    }

    #[test]
    fn error_without_xml_is_empty() {
        assert_eq!(error(b"\xff<html>"), (String::new(), String::new()));
        let body = b"<Error><Code>X</Code><Message>m</Message></Error>";
        assert_eq!(error(body), ("X".to_owned(), "m".to_owned()));
    }
}
