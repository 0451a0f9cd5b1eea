//! What a helper of our own image is told to do: one line of JSON in its environment.

use std::net::IpAddr;

use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};
use serde::{Deserialize, Serialize};

pub use super::plan::Request;

/// The variable in which a helper is told.
pub const VARIABLE: &str = "OPERATOR_FAULT";
/// Where a helper that fills a volume has it.
pub const VOLUME: &str = "/fill";
/// No program takes a longer variable than 128 KiB.
const LONGEST: usize = 120_000;

/// What is to be done. `mark` is the key's hash: what is made bears it, and what is removed is found by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "job", deny_unknown_fields)]
pub enum Job {
    /// Drops what comes from these addresses and goes to them.
    Partition {
        /// Whose rules these are.
        mark: String,
        /// The addresses.
        from: Vec<IpAddr>,
    },
    /// Removes these rules.
    Rejoin {
        /// Whose.
        mark: String,
    },
    /// Removes the rules of all partitions.
    Heal,
    /// Delays what leaves.
    Delay {
        /// Whose delay this is.
        mark: String,
        /// Milliseconds.
        delay_ms: u64,
        /// Milliseconds earlier or later.
        jitter_ms: u64,
    },
    /// Removes this delay.
    Hasten {
        /// Whose.
        mark: String,
    },
    /// Writes a file.
    Fill {
        /// Whole path.
        file: String,
        /// How large, at most.
        mebibytes: u64,
    },
    /// Removes a file.
    Empty {
        /// Whole path.
        file: String,
    },
    /// Makes requests.
    Request {
        /// Which.
        request: Request,
    },
}

/// The file that fills a folder. Its name says nothing of who made it: it is found as any other is.
#[must_use]
pub fn file(folder: &str, mark: &str) -> String {
    format!("{}/fill-{mark}", folder.trim_end_matches('/'))
}

/// A folder's path as it is: absolute, and without a way up.
pub fn folder(path: &str) -> Result<String, String> {
    if !path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(format!("{path:?} is no folder: a path that begins with / and has no .."));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(format!("/{}", parts.join("/")))
}

/// Whether these requests can be made at all. An error is a sentence.
pub fn check(request: &Request) -> Result<(), String> {
    Method::from_bytes(request.method.as_bytes()).map_err(|_| format!("{:?} is no method", request.method))?;
    let uri: Uri = request.url.parse().map_err(|error| format!("url is no URL: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err("url begins with http:// or https:// and names a host".into());
    }
    for (name, value) in &request.headers {
        HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
        HeaderValue::try_from(value).map_err(|_| format!("the value of the header {name} cannot be sent"))?;
    }
    if crate::json::length(request) > LONGEST {
        return Err("the headers and the body are together longer than 120 kB".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        Request {
            method: "GET".into(),
            url: url.into(),
            headers: std::collections::BTreeMap::new(),
            body: String::new(),
            times: 1,
        }
    }

    #[test]
    fn a_folder_is_a_path_without_a_way_up() {
        assert_eq!(folder("/data//db/./").unwrap(), "/data/db");
        assert_eq!((folder("/").unwrap(), file("/", "ab")), ("/".to_owned(), "/fill-ab".to_owned()));
        for wrong in ["data", "", "/data/../etc", "/a\0b"] {
            assert!(folder(wrong).unwrap_err().contains("no folder"), "{wrong:?}");
        }
    }

    #[test]
    fn a_request_that_cannot_be_made_says_why() {
        assert_eq!(check(&request("http://node1:8080/limits?a=b")), Ok(()));
        for (url, why) in [("node1:8080", "begins with"), ("http:///x", "URL"), ("ftp://a/", "begins with")] {
            assert!(check(&request(url)).unwrap_err().contains(why), "{url}: {:?}", check(&request(url)));
        }
        let mut wrong = request("http://a");
        wrong.headers.insert("a b".into(), "c".into());
        assert!(check(&wrong).unwrap_err().contains("no name of a header"));
        let large = Request { body: "\u{1}".repeat(30_000), ..request("http://a") };
        assert!(check(&large).unwrap_err().contains("longer"), "escaped it is six times as long");
    }
}
