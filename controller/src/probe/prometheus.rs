//! Metrics: a page of them, of which the named ones are kept, or the answer of a Prometheus server to a query.
//!
//! In both cases numbers are `double` in CEL, also whole ones: were they now this and now that, `a / b` would be now a
//! fraction and now none. What is no number stands there as the words `NaN`, `+Inf` and `-Inf`.

mod query;
mod text;

use std::collections::BTreeSet;

use crds::probe::PrometheusProbe;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Failure, Read, Stage};
use super::client::Request;
use super::http;
use super::mistake::{Filling, Mistake};
use super::read_as;
use super::run::World;
use crate::cel::float_to_json;

/// The longest page of metrics that is read, in bytes. It is read piece by piece and not held.
const LONGEST_PAGE: u64 = 32 << 20;

/// A request for metrics that is ready to be made.
#[derive(Debug)]
pub(super) struct Prometheus {
    request: Request,
    what: What,
}

#[derive(Debug)]
enum What {
    Metrics(BTreeSet<String>),
    Query,
}

pub(super) fn prepare(probe: &PrometheusProbe, fill: &Filling) -> Result<Prometheus, Mistake> {
    match (&probe.metrics, &probe.query) {
        (Some(metrics), None) => {
            if metrics.is_empty() || metrics.iter().any(String::is_empty) {
                return Err(fill.wrong("metrics", "the names of the metrics that are kept are missing"));
            }
            let request = http::get(&probe.url, false, "", fill)?;
            Ok(Prometheus { request, what: What::Metrics(metrics.iter().cloned().collect()) })
        }
        (None, Some(query)) => {
            let query = fill.text("query", query)?;
            if query.trim().is_empty() {
                return Err(fill.wrong("query", "it is empty"));
            }
            let below = format!("/api/v1/query?query={}", query::escaped(&query));
            Ok(Prometheus { request: http::get(&probe.url, false, &below, fill)?, what: What::Query })
        }
        _ => Err(fill.wrong("metrics", "metrics or query: exactly one of the two")),
    }
}

impl Prometheus {
    pub(super) async fn read(&self, world: &World, stage: &Stage) -> Read {
        match &self.what {
            What::Metrics(wanted) => self.scrape(wanted, world, stage).await,
            What::Query => self.query(world, stage).await,
        }
    }

    async fn scrape(&self, wanted: &BTreeSet<String>, world: &World, stage: &Stage) -> Read {
        let mut response = world.client.send(&world.dialer, &self.request, stage).await?;
        let status = i64::from(response.status);
        let failed = |error: String| Failure::new(error).with_status(status);
        if status != 200 {
            return Err(failed(format!("the page of metrics answers {status}")));
        }
        stage.set("reading the answer");
        // Only what is wanted stays, and counts.
        let mut held = world.room.collect();
        let mut page = text::Page::new(wanted);
        let mut length = 0;
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            length += chunk.len() as u64;
            if length > LONGEST_PAGE {
                return Err(failed(format!("the page of metrics is longer than {LONGEST_PAGE} bytes")));
            }
            page.feed(&chunk).map_err(failed)?;
            held.make_room(page.kept()).await.map_err(failed)?;
        }
        let value = page.end(response.is_framed()).map_err(failed)?;
        response.finish(&world.client);
        Ok(Answer { status: Some(status), value: Some(value), error: None, place: held.into_place() })
    }

    async fn query(&self, world: &World, stage: &Stage) -> Read {
        let response = world.client.send(&world.dialer, &self.request, stage).await?;
        let status = i64::from(response.status);
        let failed = |error: String| Failure::new(error).with_status(status);
        let body = response.collect(&world.client, &world.room, stage).await?;
        let answer = read_as::json(body.bytes());
        match answer {
            Ok(answer) => {
                let value = query::value(answer).map_err(failed)?;
                Ok(Answer { status: Some(status), value: Some(value), error: None, place: body.into_place() })
            }
            Err(_) if status != 200 => Err(failed(format!("the Prometheus server answers {status}"))),
            Err(error) => Err(failed(error)),
        }
    }
}

/// One series, as it stands in a reading.
fn series(labels: Map<String, Value>, value: f64) -> Value {
    json!({ "labels": labels, "value": float_to_json(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(probe: &PrometheusProbe) -> String {
        prepare(probe, &Filling::new("probes[1].prometheus", None)).unwrap_err().to_string()
    }

    #[test]
    fn a_query_goes_to_the_server_s_api() {
        let probe = PrometheusProbe {
            url: "http://prom:9090/base/".into(),
            query: Some(r#"rate(x{a="{{target}}"}[1m]) + 1"#.into()),
            metrics: None,
        };
        let made = prepare(&probe, &Filling::new("probes[1].prometheus", Some("é&"))).unwrap();
        assert_eq!(
            made.request.path,
            "/base/api/v1/query?query=rate%28x%7Ba%3D%22%C3%A9%26%22%7D%5B1m%5D%29%20%2B%201"
        );
    }

    #[test]
    fn mistakes_name_their_place() {
        let url = "http://a/".to_owned();
        let probe = PrometheusProbe { url: url.clone(), metrics: None, query: None };
        assert_eq!(said(&probe), "probes[1].prometheus.metrics: metrics or query: exactly one of the two");
        let probe = PrometheusProbe { url: url.clone(), metrics: Some(Vec::new()), query: None };
        assert!(said(&probe).contains("names of the metrics"));
        let probe = PrometheusProbe { url: url.clone(), metrics: None, query: Some(" ".into()) };
        assert_eq!(said(&probe), "probes[1].prometheus.query: it is empty");
        let probe = PrometheusProbe { url: "http://a/?x".into(), metrics: None, query: Some("up".into()) };
        assert!(said(&probe).contains("has no '?'"));
    }
}
