use serde_json::json;

use super::servers::{answering, flooding, nobody, ok, silent};
use super::{SHORT, fails, read};

#[tokio::test]
async fn the_named_metrics_of_a_page_are_kept() {
    let page = "# TYPE up gauge\nup{a=\"b\"} 1\nother 2\nlatency_seconds 0.25 1395066363000\n";
    let server = answering(ok(page)).await;
    let reading = read(json!({"prometheus": {"url": server.url(), "metrics": ["up", "latency_seconds"]}})).await;
    assert_eq!((reading.ok, reading.status, reading.error), (true, Some(200), None));
    assert_eq!(
        reading.value,
        Some(json!({
            "latency_seconds": [{"labels": {}, "value": 0.25}],
            "up": [{"labels": {"a": "b"}, "value": 1.0}]
        }))
    );
}

#[tokio::test]
async fn what_is_no_page_of_metrics_fails() {
    let probe = |url: String| json!({"timeout": "60s", "prometheus": {"url": url, "metrics": ["up"]}});
    let server = answering(ok("<html><body>up 1</body></html>")).await;
    let said = fails(probe(server.url())).await;
    assert_eq!(said, "line 1 of the page is not in the text format of Prometheus: the name is missing");
    let server = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let reading = read(probe(server.url())).await;
    assert_eq!((reading.ok, reading.status), (false, Some(404)));
    assert_eq!(reading.error.as_deref(), Some("the page of metrics answers 404"));
    let server = answering("HTTP/1.1 200 OK\r\n\r\nup 12").await;
    assert_eq!(fails(probe(server.url())).await, "the page of metrics ends within a line");
    let port = nobody().await;
    assert!(fails(probe(format!("http://127.0.0.1:{port}/"))).await.contains("connection refused"));
}

#[tokio::test]
async fn a_page_without_end_is_cut_off() {
    let probe = |url: String| json!({"prometheus": {"url": url, "metrics": ["up"]}});
    let server = flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"some_other_metric{with=\"labels\"} 1\n").await;
    assert_eq!(fails(probe(server.url())).await, "the page of metrics is longer than 33554432 bytes");
    let server = flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"up 1\n").await;
    assert_eq!(fails(probe(server.url())).await, "the named metrics have more than 5000 series");
    let server = flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"up").await;
    assert!(fails(probe(server.url())).await.contains("is longer than 65536 bytes"));
    let server = silent().await;
    let said = fails(json!({"timeout": SHORT, "prometheus": {"url": server.url(), "metrics": ["up"]}})).await;
    assert_eq!(said, "no answer within 300ms, while waiting for the answer");
}

#[tokio::test]
async fn a_query_s_vector_is_the_value() {
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"store": "1"}, "value": [1_435_781_451.781, "0.5"]}
    ]}});
    let server = answering(ok(&answer.to_string())).await;
    let reading = read(json!({"prometheus": {"url": server.url(), "query": "up"}})).await;
    assert_eq!(reading.value, Some(json!([{"labels": {"store": "1"}, "value": 0.5}])));
}

#[tokio::test]
async fn an_error_of_the_server_is_the_reading_s() {
    let body = json!({"status": "error", "errorType": "bad_data", "error": "parse error"}).to_string();
    let length = body.len();
    let server = answering(format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    let reading = read(json!({"prometheus": {"url": server.url(), "query": "up{"}})).await;
    assert_eq!((reading.ok, reading.status), (false, Some(400)));
    assert_eq!(reading.error.as_deref(), Some("the query failed: bad_data: parse error"));
    let server = answering("HTTP/1.1 502 Bad Gateway\r\n\r\n<html>").await;
    let said = fails(json!({"prometheus": {"url": server.url(), "query": "up"}})).await;
    assert_eq!(said, "the Prometheus server answers 502");
}
