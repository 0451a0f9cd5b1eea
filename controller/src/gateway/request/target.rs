//! The path of a request: cut into its segments, or refused. Nothing is decoded and nothing is tidied up,
//! so there is no second reading of it.

use super::Reference;
use crate::gateway::refusal::Refusal;

/// No path that makes sense is longer.
const LONGEST_PATH: usize = 4096;

/// The engine's own limit is lower for most names; an image with a digest is longest.
const LONGEST_REFERENCE: usize = 255;

/// The segments of a path, without the version in front.
pub(super) fn segments(path: &str) -> Result<Vec<&str>, Refusal> {
    if path.len() > LONGEST_PATH {
        return Err(Refusal::bad(format!("the path is longer than {LONGEST_PATH} bytes")));
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Refusal::bad("the request's target must be a path that begins with /"));
    };
    if let Some(byte) = path.bytes().find(|byte| !byte.is_ascii_graphic() || b"%\\#?".contains(byte)) {
        return Err(Refusal::bad(format!("the path has the byte 0x{byte:02x}, which no path of the API has")));
    }
    let mut segments: Vec<&str> = rest.split('/').collect();
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(Refusal::bad("the path has an empty segment, `.` or `..`: write it out"));
    }
    if segments.first().is_some_and(|first| is_version(first)) {
        segments.remove(0);
    }
    Ok(segments)
}

/// `v1.24` to `v1.99`: which one does not matter, as the call is written anew.
fn is_version(segment: &str) -> bool {
    let minor = segment.strip_prefix("v1.").filter(|minor| minor.len() == 2);
    minor.is_some_and(|minor| {
        minor.bytes().all(|b| b.is_ascii_digit()) && (24..=99).contains(&minor.parse().unwrap_or(0))
    })
}

/// A container, network or volume, by id or name.
pub(super) fn reference(text: &str) -> Result<Reference, Refusal> {
    checked(text, b"_.-")
}

/// An image, by id or name.
pub(super) fn image(text: &str) -> Result<Reference, Refusal> {
    checked(text, b"_.-/:@")
}

/// The id of an exec, as the engine gives it.
pub(super) fn exec_id(text: &str) -> Result<String, Refusal> {
    let is_id = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_id { Ok(text.to_owned()) } else { Err(Refusal::not_found("exec instance", &super::shortened(text))) }
}

fn checked(text: &str, others: &[u8]) -> Result<Reference, Refusal> {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte));
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !letters || !begins || text.len() > LONGEST_REFERENCE {
        return Err(Refusal::bad(format!(
            "{:?} is not a name or an id: letters, digits and `_.-`, at most {LONGEST_REFERENCE} of them",
            super::shortened(text)
        )));
    }
    Ok(Reference(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_dropped_whatever_it_is() {
        for path in ["/info", "/v1.24/info", "/v1.41/info", "/v1.99/info"] {
            assert_eq!(segments(path), Ok(vec!["info"]), "{path}");
        }
        for path in ["/v1.23/info", "/v1.100/info", "/v2/info", "/v1.4a/info", "/v1.+9/info", "/V1.41/info"] {
            assert_eq!(segments(path).map(|segments| segments.len()), Ok(2), "{path}");
        }
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        let long = format!("/{}", "a".repeat(5000));
        for path in [
            "",
            "*",
            "info",
            "/",
            "//info",
            "/info/",
            "/./info",
            "/../info",
            "/v1.41/../info",
            "/containers//json",
            "/a%2fb",
            "/a%00",
            "/a b",
            "/a\u{7f}",
            "/ä",
            "/a\\b",
            "/a#b",
            "/\r\n",
            &long,
        ] {
            assert!(segments(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn references_have_few_characters() {
        for text in ["a", "shop-redis-1", "0f", "a.b_c", &"a".repeat(255)] {
            assert!(reference(text).is_ok(), "{text}");
        }
        for text in ["", "-a", ".a", "/a", "a/b", "a:b", "a b", "ä", "a,b", "a=b", &"a".repeat(256)] {
            assert!(reference(text).is_err(), "{text}");
        }
        assert!(image("docker.io/library/redis:7@sha256:00").is_ok());
        assert!(image(":7").is_err());
        assert!(exec_id(&"0a".repeat(32)).is_ok());
        assert!(exec_id(&"0A".repeat(32)).is_err());
    }
}
