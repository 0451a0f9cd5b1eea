use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::servers::{answering, flooding, head, nobody, ok, serve, silent};
use super::{SHORT, again, fails, read, runner};

#[tokio::test]
async fn an_answer_is_read_whatever_its_status() {
    let server = answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 17\r\n\r\n{\"status\":\"down\"}").await;
    let reading = read(json!({"http": {"url": server.url()}})).await;
    assert!(reading.ok, "{reading:?}");
    assert_eq!((reading.status, reading.value, reading.error), (Some(503), Some(json!({"status": "down"})), None));
}

#[tokio::test]
async fn text_is_read_as_text() {
    let server = answering(b"HTTP/1.1 200 OK\r\n\r\nall \xff good\n".as_slice()).await;
    let reading = read(json!({"http": {"url": server.url(), "as": "text"}})).await;
    assert_eq!((reading.ok, reading.value), (true, Some(json!("all \u{fffd} good\n"))));
    let said = fails(json!({"http": {"url": server.url()}})).await;
    assert!(said.starts_with("the answer is not JSON: expected value"), "{said}");
}

#[tokio::test]
async fn a_redirect_is_a_reading_and_not_followed() {
    let server = answering("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").await;
    let reading = read(json!({"http": {"url": server.url()}})).await;
    assert_eq!((reading.ok, reading.status, reading.value), (true, Some(302), None));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn method_headers_and_body_are_sent_for_each_target() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = seen.clone();
    let server = serve(move |stream, _| {
        let sees = sees.clone();
        async move {
            let mut stream = BufReader::new(stream);
            let head = head(&mut stream).await.unwrap();
            let mut body = [0; 3];
            stream.read_exact(&mut body).await.unwrap();
            sees.lock().unwrap().push(format!("{head}{}", String::from_utf8_lossy(&body)));
            stream.write_all(ok("1").as_bytes()).await.unwrap();
        }
    })
    .await;
    let probe = json!({"targets": ["a", "b"], "http": {
        "url": format!("{}?t={{{{target}}}}", server.url()), "method": "POST",
        "headers": {"X-Target": "{{target}}"}, "body": "{{target}}23"
    }});
    let rounds = runner(probe).once().await;
    assert_eq!(rounds[0].readings.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(rounds[0].readings.values().all(|reading| reading.ok), "{rounds:?}");
    let seen = seen.lock().unwrap().join("\n---\n");
    assert!(seen.contains("POST /x?t=a HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-target: b\r\n"), "{seen}");
    assert!(seen.contains("\r\n\r\nb23"), "{seen}");
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    let reading = read(json!({"http": {"url": server.url(), "method": "HEAD"}})).await;
    assert_eq!((reading.ok, reading.status, reading.value), (true, Some(200), None));
}

#[tokio::test]
async fn what_never_answers_says_where_it_stood() {
    let server = silent().await;
    let said = fails(json!({"timeout": SHORT, "http": {"url": server.url()}})).await;
    assert_eq!(said, "no answer within 300ms, while waiting for the answer");

    let server = serve(|stream, _| async move {
        let mut stream = BufReader::new(stream);
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let said = fails(json!({"timeout": SHORT, "http": {"url": server.url()}})).await;
    assert_eq!(said, "no answer within 300ms, while reading the answer");
}

#[tokio::test]
async fn what_sends_too_much_is_cut_off() {
    let server = flooding(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", b"0").await;
    assert_eq!(fails(json!({"http": {"url": server.url()}})).await, "the answer is longer than 1048576 bytes");
    let server = flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"x").await;
    let said = fails(json!({"http": {"url": server.url(), "as": "text"}})).await;
    assert_eq!(said, "the answer is longer than 1048576 bytes");
    let server = flooding(b"HTTP/1.1 200 OK\r\nX-A: ", b"x").await;
    assert_eq!(fails(json!({"http": {"url": server.url()}})).await, "the head of the answer is longer than 65536 bytes");
    let server = flooding(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n").await;
    assert_eq!(fails(json!({"http": {"url": server.url()}})).await, "the head of the answer is longer than 65536 bytes");
}

#[tokio::test]
async fn what_is_no_http_is_said() {
    let server = flooding(b"\x00\x01garbage\xff\r\n", b"\xfe").await;
    let said = fails(json!({"http": {"url": server.url()}})).await;
    assert!(said.starts_with("the answer is not HTTP"), "{said}");
}

#[tokio::test]
async fn what_closes_early_is_said() {
    let closed = "the connection was closed before the answer was complete";
    for answer in ["", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":"] {
        let server = answering(answer).await;
        assert_eq!(fails(json!({"http": {"url": server.url()}})).await, closed, "{answer:?}");
    }
    let chunked = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n").await;
    let said = fails(json!({"http": {"url": chunked.url()}})).await;
    assert!(said.starts_with("the connection was closed"), "{said}");
}

#[tokio::test]
async fn what_resets_the_connection_is_said() {
    let server = serve(|stream, _| async move {
        // Closed with something unread: the other side is told at once.
        stream.readable().await.unwrap();
        drop(stream);
    })
    .await;
    let said = fails(json!({"http": {"url": server.url()}})).await;
    assert!(said.starts_with("connection reset") || said.starts_with("the connection was closed"), "{said}");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let port = nobody().await;
    let said = fails(json!({"http": {"url": format!("http://127.0.0.1:{port}/")}})).await;
    assert_eq!(said, format!("127.0.0.1:{port}: connection refused"));
    let said = fails(json!({"http": {"url": "http://nobody.invalid/"}})).await;
    assert!(said.starts_with("the name nobody.invalid has no address"), "{said}");
}

/// A server that keeps its connections.
async fn keeping(stream: tokio::net::TcpStream) {
    let mut stream = BufReader::new(stream);
    while head(&mut stream).await.is_some() {
        stream.write_all(ok("1").as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = serve(|stream, _| keeping(stream)).await;
    let runner = runner(json!({"http": {"url": server.url()}}));
    for _ in 0..5 {
        assert!(again(&runner).await.ok);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_that_must_not_be_made_twice_gets_its_own_connection() {
    let server = serve(|stream, _| keeping(stream)).await;
    let runner = runner(json!({"http": {"url": server.url(), "method": "POST"}}));
    for _ in 0..3 {
        assert!(again(&runner).await.ok);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_died_meanwhile_is_no_failure() {
    // It looks alive until the second request comes, and is closed without a word then.
    let server = serve(|stream, _| async move {
        let mut stream = BufReader::new(stream);
        head(&mut stream).await;
        stream.write_all(ok("1").as_bytes()).await.unwrap();
        head(&mut stream).await;
    })
    .await;
    let runner = runner(json!({"http": {"url": server.url()}}));
    for _ in 0..4 {
        let reading = again(&runner).await;
        assert!(reading.ok, "{reading:?}");
    }
    assert_eq!(server.connections(), 4);
    // A new connection that is closed without a word is a failure.
    let server = answering("").await;
    assert!(!read(json!({"http": {"url": server.url()}})).await.ok);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_was_not_read_to_its_end_is_in_no_other_s_way() {
    let server = serve(|stream, number| async move {
        let mut stream = BufReader::new(stream);
        head(&mut stream).await;
        let length = if number == 0 { 50 << 20 } else { 2 };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "1".repeat(length));
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let runner = runner(json!({"http": {"url": server.url()}}));
    assert!(!again(&runner).await.ok);
    assert_eq!(again(&runner).await.value, Some(json!(11)));
}
