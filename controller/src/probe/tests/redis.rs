use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::servers::{Server, answering, flooding, nobody, serve, silent};
use super::{SHORT, fails, read};

/// Answers the first bytes of each connection with the first text, the next ones with the second, and so on.
async fn playing(answers: &'static [&'static str]) -> Server {
    serve(move |mut stream, _| async move {
        for answer in answers {
            let mut command = [0; 1024];
            if !matches!(stream.read(&mut command).await, Ok(1..)) {
                return;
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

fn probe(server: &Server, commands: &Value) -> Value {
    json!({"redis": {"address": server.address(), "commands": commands}})
}

#[tokio::test]
async fn the_answers_are_a_list() {
    let server = playing(&["+PONG\r\n", "$20\r\n# A\r\nx:1\r\nrole:master\r\n", "*2\r\n:1\r\n$-1\r\n"]).await;
    let commands = json!([["PING"], ["INFO", "replication"], ["MGET", "a", "b"]]);
    let reading = read(probe(&server, &commands)).await;
    assert_eq!(reading.error.as_deref(), Some("command 2 of 3: this is no answer of a Redis: a text is longer than it says"));
    let server = playing(&["+PONG\r\n", "$23\r\n# A\r\nx:1\r\nrole:master\r\n\r\n", "*2\r\n:1\r\n$-1\r\n"]).await;
    let reading = read(probe(&server, &commands)).await;
    assert!(reading.ok, "{reading:?}");
    assert_eq!(reading.value, Some(json!(["PONG", {"x": 1, "role": "master"}, [1, null]])));
}

#[tokio::test]
async fn a_refused_command_is_an_answer() {
    let server = playing(&["-NOAUTH Authentication required.\r\n", "-ERR unknown command\r\n"]).await;
    let reading = read(probe(&server, &json!([["INFO"], ["NOPE"]]))).await;
    assert!(reading.ok, "{reading:?}");
    let expected = json!([{"error": "NOAUTH Authentication required."}, {"error": "ERR unknown command"}]);
    assert_eq!(reading.value, Some(expected));
}

#[tokio::test]
async fn no_answer_is_a_failure() {
    let ping = json!([["PING"]]);
    let two = json!([["PING"], ["PING"]]);
    let silent = silent().await;
    let mut slow = probe(&silent, &ping);
    slow["timeout"] = json!(SHORT);
    assert_eq!(fails(slow).await, "no answer within 300ms, while waiting for the answer");
    let server = playing(&["+PONG\r\n"]).await;
    assert_eq!(
        fails(probe(&server, &two)).await,
        "command 2 of 2: the connection was closed before the answer was complete"
    );
    let server = answering("").await;
    let mut slow = probe(&server, &ping);
    slow["timeout"] = json!(SHORT);
    assert!(!read(slow).await.ok);
    let server = playing(&["HTTP/1.1 400 Bad Request\r\n\r\n"]).await;
    assert_eq!(fails(probe(&server, &ping)).await, "this is no answer of a Redis: it begins with 'H'");
    let port = nobody().await;
    let said = fails(json!({"redis": {"address": format!("127.0.0.1:{port}"), "commands": ping}})).await;
    assert_eq!(said, format!("127.0.0.1:{port}: connection refused"));
}

#[tokio::test]
async fn what_sends_too_much_is_cut_off() {
    let ping = json!([["PING"]]);
    let server = flooding(b"$104857600\r\n", b"x").await;
    assert_eq!(fails(probe(&server, &ping)).await, "the answer is longer than 1048576 bytes");
    let server = flooding(b"+", b"x").await;
    assert_eq!(fails(probe(&server, &ping)).await, "this is no answer of a Redis: a line does not end");
    let server = flooding(b"*9000\r\n", b"$1000\r\n").await;
    assert!(!read(probe(&server, &ping)).await.ok);
}

/// A real one, which ends with the test.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_real_redis_is_read() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", "secret"]);
    command.args(["--save", "", "--appendonly", "no", "--dir", "/tmp"]).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        assert!(std::env::var_os("PROBE_TEST_NEEDS_REDIS").is_none(), "redis-server is not here");
        eprintln!("SKIPPED: redis-server is not here");
        return;
    };
    let _redis = Redis(child);
    let probe = |commands: Value| json!({"redis": {"address": format!("127.0.0.1:{port}"), "commands": commands}});
    for _ in 0..500 {
        if read(probe(json!([["PING"]]))).await.ok {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = read(probe(json!([["GET", "a"]]))).await;
    assert_eq!(refused.value, Some(json!([{"error": "NOAUTH Authentication required."}])));
    let reading = read(probe(json!([
        ["AUTH", "secret"], ["SET", "a", "with \"quotes\" and\r\nlines"], ["GET", "a"], ["INCR", "n"], ["INFO"],
        ["NOPE"], ["CONFIG", "GET", "appendonly"]
    ])))
    .await;
    assert!(reading.ok, "{reading:?}");
    let value = reading.value.unwrap();
    assert_eq!(value[0], "OK");
    assert_eq!(value[2], "with \"quotes\" and\r\nlines");
    assert_eq!(value[3], 1);
    assert_eq!(value[4]["role"], "master");
    assert_eq!(value[4]["connected_slaves"], 0);
    assert_eq!(value[4]["db0"]["keys"], 2);
    assert!(value[4]["used_memory"].is_i64());
    assert!(value[5]["error"].as_str().unwrap().starts_with("ERR unknown command"));
    assert_eq!(value[6], json!(["appendonly", "no"]));
}
