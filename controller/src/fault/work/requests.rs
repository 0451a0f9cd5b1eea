//! Requests from inside of a project's networks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::chain;
use crate::fault::job::{self, Request};
use crate::printable;

/// How long one of them may take.
const LIMIT: Duration = Duration::from_secs(10);
/// All of them together: who waits for the helper waits a little longer.
pub(crate) const TOGETHER: Duration = Duration::from_mins(5);
/// Of an answer that is shown.
const LONGEST: usize = 160;

/// Makes them, one after the other. Done is what had one answer below 400 at least: of many, some may be refused, and
/// that is often what is to be seen. The line counts them all.
pub(super) async fn make(request: &Request) -> Result<String, String> {
    job::check(request)?;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIMIT);
    let client = client.build().map_err(|error| format!("no client: {}", chain(&error)))?;
    let mut counts = Counts::default();
    let all = async {
        for _ in 0..request.times {
            counts.add(once(&client, request).await);
        }
    };
    let in_time = tokio::time::timeout(TOGETHER, all).await.is_ok();
    counts.say(request.times, in_time)
}

/// The status and the beginning of the body.
async fn once(client: &reqwest::Client, request: &Request) -> Result<(u16, String), String> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut call = client.request(method, &request.url);
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    if !request.body.is_empty() {
        call = call.body(request.body.clone());
    }
    let mut answer = call.send().await.map_err(|error| chain(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    // The rest of a long one is not waited for.
    while body.len() < LONGEST * 4 {
        match answer.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(LONGEST * 4);
    Ok((status, printable::short_line(&String::from_utf8_lossy(&body), LONGEST)))
}

#[derive(Debug, Default)]
struct Counts {
    answers: BTreeMap<u16, u64>,
    silent: u64,
    last: String,
    made: u64,
}

impl Counts {
    fn add(&mut self, one: Result<(u16, String), String>) {
        self.made += 1;
        match one {
            Ok((status, body)) => {
                *self.answers.entry(status).or_default() += 1;
                self.last = body;
            }
            Err(why) => {
                self.silent += 1;
                self.last = why;
            }
        }
    }

    fn say(&self, times: u64, in_time: bool) -> Result<String, String> {
        let count = |number: u64, what: String| if times == 1 { what } else { format!("{what} ({number} times)") };
        let mut said: Vec<_> =
            self.answers.iter().map(|(status, number)| count(*number, format!("answered {status}"))).collect();
        if self.silent > 0 {
            said.push(count(self.silent, "no answer".to_owned()));
        }
        if !in_time {
            said.push(format!("given up after {} of {times} in {} s", self.made, TOGETHER.as_secs()));
        }
        let said = said.join(", ");
        let good = self.answers.keys().any(|status| *status < 400);
        match (good, self.last.as_str()) {
            (true, _) => Ok(said),
            (false, "") => Err(said),
            (false, last) => Err(format!("{said}: {last}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server that says these, one after the other, and then nothing.
    async fn server(answers: Vec<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut heard = vec![0; 4096];
                let read = stream.read(&mut heard).await.unwrap();
                let heard = String::from_utf8_lossy(&heard[..read]).to_lowercase();
                assert!(heard.starts_with("put /limits ") && heard.contains("x-key: one"), "{heard}");
                let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}/limits")
    }

    fn request(url: String, times: u64) -> Request {
        let headers = [("x-key".to_owned(), "one".to_owned())].into();
        Request { method: "PUT".into(), url, headers, body: "{}".into(), times }
    }

    #[tokio::test]
    async fn requests_are_counted_by_their_answers() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = server(vec!["200 OK", "429 Too Many", "200 OK"]).await;
        assert_eq!(make(&request(url, 3)).await.unwrap(), "answered 200 (2 times), answered 429 (1 times)");
        let url = server(vec!["204 No"]).await;
        assert_eq!(make(&request(url, 1)).await.unwrap(), "answered 204");
        let url = server(vec!["503 No"]).await;
        assert_eq!(make(&request(url.clone(), 1)).await.unwrap_err(), "answered 503: yes");
        let error = make(&request(url, 1)).await.unwrap_err();
        assert!(error.starts_with("no answer: "), "{error}");
    }
}
