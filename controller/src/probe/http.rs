//! A request over HTTP.

use bytes::Bytes;
use crds::probe::{HttpMethod, HttpProbe, ReadAs};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use serde_json::Value;

use super::answer::{Answer, Failure, Read, Stage};
use super::client::{Origin, Request};
use super::mistake::{Filling, Mistake};
use super::net::Address;
use super::read_as;
use super::run::World;
use super::tls::Trust;

/// Who asks, in the logs of who is asked.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("operator-observe/", env!("CARGO_PKG_VERSION")));
/// Headers that belong to the connection, and are none of an author's business.
const OURS: [&str; 6] = ["connection", "content-length", "transfer-encoding", "te", "upgrade", "expect"];

/// A request that is ready to be made.
#[derive(Debug)]
pub(super) struct Http {
    request: Request,
    read_as: ReadAs,
}

pub(super) fn prepare(probe: &HttpProbe, fill: &Filling) -> Result<Http, Mistake> {
    let mut request = get(&probe.url, probe.insecure, "", fill)?;
    request.method = match probe.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Options => Method::OPTIONS,
    };
    for (name, value) in &probe.headers {
        let field = format!("headers.{name}");
        let value = fill.text(&field, value)?;
        let name = HeaderName::try_from(name).map_err(|_| fill.wrong(&field, "this is no name of a header"))?;
        if OURS.contains(&name.as_str()) {
            return Err(fill.wrong(&field, "this header is set by the observer"));
        }
        let value = HeaderValue::try_from(value).map_err(|_| fill.wrong(&field, "this is no value of a header"))?;
        request.headers.insert(name, value);
    }
    if let Some(body) = &probe.body {
        request.body = Bytes::from(fill.text("body", body)?);
    }
    Ok(Http { request, read_as: probe.read_as })
}

/// A `GET` for a URL, with a path below it.
pub(super) fn get(url: &str, insecure: bool, below: &str, fill: &Filling) -> Result<Request, Mistake> {
    let mut url = fill.text("url", url)?;
    let wrong = |message: &str| fill.wrong("url", message);
    if !below.is_empty() {
        if url.contains(['?', '#']) {
            return Err(wrong("this is the address of a server, and has no '?' and no '#'"));
        }
        url = format!("{}{below}", url.trim_end_matches('/'));
    }
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("this is no URL: {error}")))?;
    let trust = if insecure { Trust::Anyone } else { Trust::Roots };
    let (tls, port) = match uri.scheme_str() {
        Some("http") => (None, 80),
        Some("https") => (Some(trust), 443),
        _ => return Err(wrong("a URL begins with http:// or https://")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("the host is missing"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("a user and a password belong into the header Authorization"));
    }
    let address = Address::parse(authority.as_str(), Some(port)).map_err(|message| wrong(&message))?;
    let host = HeaderValue::try_from(authority.as_str()).map_err(|_| wrong("this is no name of a host"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // A URL may have a query right behind the host.
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let path = path.parse().map_err(|_| wrong("this is no path"))?;
    let headers = [
        (http::header::HOST, host),
        (http::header::USER_AGENT, AGENT),
        (http::header::ACCEPT, HeaderValue::from_static("*/*")),
    ];
    let headers = headers.into_iter().collect::<HeaderMap>();
    Ok(Request { origin: Origin { address, tls }, method: Method::GET, path, headers, body: Bytes::new() })
}

impl Http {
    pub(super) async fn read(&self, world: &World, stage: &Stage) -> Read {
        let response = world.client.send(&world.dialer, &self.request, stage).await?;
        let status = response.status;
        let body = response.collect(&world.client, &world.room, stage).await?;
        let value = body_value(body.bytes(), status, self.read_as, self.request.method == Method::HEAD)
            .map_err(|error| Failure::new(error).with_status(status.into()))?;
        Ok(Answer { status: Some(status.into()), value, error: None, place: body.into_place() })
    }
}

/// What a body says. None is expected of an answer to `HEAD`, and none is missed in an answer that is not 200.
fn body_value(body: &[u8], status: u16, kind: ReadAs, head: bool) -> Result<Option<Value>, String> {
    match kind {
        ReadAs::Json if body.is_empty() && (head || status != 200) => Ok(None),
        kind => read_as::read(body, kind).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn prepared(probe: &HttpProbe, target: Option<&str>) -> Result<Http, String> {
        prepare(probe, &Filling::new("probes[0].http", target)).map_err(|mistake| mistake.to_string())
    }

    fn url(url: &str) -> Result<Request, String> {
        prepared(&HttpProbe { url: url.into(), ..HttpProbe::default() }, Some("node1")).map(|http| http.request)
    }

    #[test]
    fn a_url_is_taken_apart() {
        let request = url("http://{{target}}:8080/status?a={{target}}").unwrap();
        assert_eq!(request.origin.address, Address { host: "node1".into(), port: 8080 });
        assert_eq!(request.origin.tls, None);
        assert_eq!(request.path, "/status?a=node1");
        assert_eq!(request.headers["host"], "node1:8080");
        assert_eq!(url("https://a").unwrap().origin, Origin {
            address: Address { host: "a".into(), port: 443 },
            tls: Some(Trust::Roots)
        });
        assert_eq!(url("http://[::1]:80").unwrap().origin.address.host, "::1");
        assert_eq!(url("http://a?x=1").unwrap().path, "/?x=1");
    }

    #[test]
    fn a_wrong_url_names_its_place() {
        for (text, said) in [
            ("ftp://a/", "probes[0].http.url: a URL begins with http:// or https://"),
            ("http://a:99999/", "probes[0].http.url: \"99999\" is no port: a number between 1 and 65535"),
            ("http://u:p@a/", "probes[0].http.url: a user and a password belong into the header Authorization"),
            ("http://{{node}}/", "probes[0].http.url: {{node}} is not known: the only placeholder is {{target}}"),
        ] {
            assert_eq!(url(text).unwrap_err(), said);
        }
        assert!(url("http://a b/").unwrap_err().starts_with("probes[0].http.url: this is no URL"));
        let none = prepared(&HttpProbe { url: "http://{{target}}/".into(), ..HttpProbe::default() }, None);
        assert!(none.unwrap_err().ends_with("{{target}} stands here, and the probe has no targets"));
    }

    #[test]
    fn a_target_cannot_make_another_request() {
        let evil = Some("a\r\nX-Evil: 1");
        let said = prepared(&HttpProbe { url: "http://{{target}}/".into(), ..HttpProbe::default() }, evil);
        assert!(said.unwrap_err().contains("this is no URL"));
        let headers = BTreeMap::from([("x-a".to_owned(), "{{target}}".to_owned())]);
        let said = prepared(&HttpProbe { url: "http://a/".into(), headers, ..HttpProbe::default() }, evil);
        assert_eq!(
            said.unwrap_err(),
            "probes[0].http.headers.x-a: this is no value of a header (with the target \"a\\r\\nX-Evil: 1\")"
        );
    }

    #[test]
    fn headers_of_the_connection_are_ours() {
        let with = |name: &str| {
            let headers = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
            prepared(&HttpProbe { url: "http://a/".into(), headers, ..HttpProbe::default() }, None)
        };
        assert!(with("Content-Length").unwrap_err().contains("set by the observer"));
        assert!(with("a b").unwrap_err().contains("no name of a header"));
        assert_eq!(with("Host").unwrap().request.headers["host"], "1");
    }

    #[test]
    fn an_empty_body_is_missed_only_where_one_belongs() {
        assert_eq!(body_value(b"", 503, ReadAs::Json, false), Ok(None));
        assert_eq!(body_value(b"", 302, ReadAs::Json, false), Ok(None));
        assert_eq!(body_value(b"", 200, ReadAs::Json, true), Ok(None));
        assert!(body_value(b"", 200, ReadAs::Json, false).unwrap_err().contains("empty"));
        assert_eq!(body_value(b"", 200, ReadAs::Text, false), Ok(Some(json!(""))));
        assert_eq!(body_value(b"{\"a\":1}", 503, ReadAs::Json, false), Ok(Some(json!({"a": 1}))));
    }
}
