use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::probe::Probe;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use super::super::output::Sink;
use super::super::round::Round;
use super::super::run::Runner;
use super::servers::{head, nobody, ok, serve, silent};
use super::{SHORT, again, fails, read, runner};

/// Counts rounds, and has room as long as it is told.
#[derive(Default)]
struct Counts {
    rounds: Mutex<BTreeMap<String, usize>>,
    full: std::sync::atomic::AtomicBool,
}

impl Counts {
    fn of(&self, probe: &str) -> usize {
        self.rounds.lock().unwrap().get(probe).copied().unwrap_or_default()
    }

    async fn reaches(&self, probe: &str, rounds: usize) {
        while self.of(probe) < rounds {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Sink for Counts {
    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst)
    }

    fn put(&self, round: Round) {
        *self.rounds.lock().unwrap().entry(round.probe).or_default() += 1;
    }
}

fn several(probes: Value) -> Runner {
    Runner::new(&serde_json::from_value::<Vec<Probe>>(probes).unwrap()).unwrap()
}

#[tokio::test]
async fn a_port_is_open_or_not() {
    let server = silent().await;
    let reading = read(json!({"tcp": {"address": server.address()}})).await;
    assert_eq!((reading.ok, reading.value, reading.status), (true, None, None));
    let port = nobody().await;
    let said = fails(json!({"tcp": {"address": format!("localhost:{port}")}})).await;
    assert_eq!(said, format!("localhost:{port}: connection refused"));
}

#[tokio::test]
async fn each_target_has_its_own_reading() {
    let (good, bad, hangs) = (silent().await.port, nobody().await, silent().await.port);
    let targets = [good, bad].map(|port| port.to_string());
    let probe = json!({"targets": targets, "tcp": {"address": "127.0.0.1:{{target}}"}});
    let round = runner(probe).once().await.remove(0);
    assert!(round.readings[&good.to_string()].ok);
    assert!(!round.readings[&bad.to_string()].ok);
    // Sixty-three that hang cost no more than one.
    let targets: Vec<_> = (0..64).map(|n| n.to_string()).collect();
    let url = format!("http://127.0.0.1:{hangs}/{{{{target}}}}");
    let round = runner(json!({"timeout": SHORT, "targets": targets, "http": {"url": url}})).once().await.remove(0);
    assert_eq!(round.readings.len(), 64);
    assert!(round.readings.values().all(|reading| reading.error.as_deref().unwrap().starts_with("no answer within")));
}

#[tokio::test]
async fn a_round_that_hangs_holds_nobody_up() {
    let server = silent().await;
    let runner = several(json!([
        {"name": "hangs", "interval": "1s", "timeout": "60s", "http": {"url": server.url()}},
        {"name": "quick", "interval": "1s", "tcp": {"address": server.address()}}
    ]));
    let (counts, end) = (Arc::new(Counts::default()), CancellationToken::new());
    let seen = async {
        counts.reaches("quick", 3).await;
        end.cancel();
    };
    tokio::join!(runner.run(counts.clone(), end.clone()), seen);
    assert_eq!(counts.of("hangs"), 0);
}

#[tokio::test]
async fn rounds_of_a_probe_do_not_overlap() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let server = serve(|stream, _| async move {
        let mut stream = BufReader::new(stream);
        while head(&mut stream).await.is_some() {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1500)).await;
            NOW.fetch_sub(1, Ordering::SeqCst);
            stream.write_all(ok("1").as_bytes()).await.unwrap();
        }
    })
    .await;
    let runner = several(json!([{"name": "slow", "interval": "1s", "timeout": "60s", "http": {"url": server.url()}}]));
    let (counts, end) = (Arc::new(Counts::default()), CancellationToken::new());
    let seen = async {
        counts.reaches("slow", 2).await;
        end.cancel();
    };
    tokio::join!(runner.run(counts.clone(), end.clone()), seen);
    assert_eq!(MOST.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_room_nothing_is_looked_at() {
    let server = silent().await;
    let probe = json!([{"name": "p", "interval": "1s", "tcp": {"address": server.address()}}]);
    let (counts, end) = (Arc::new(Counts::default()), CancellationToken::new());
    counts.full.store(true, Ordering::SeqCst);
    let seen = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!((counts.of("p"), server.connections()), (0, 0));
        counts.full.store(false, Ordering::SeqCst);
        counts.reaches("p", 1).await;
        end.cancel();
    };
    let runner = several(probe);
    tokio::join!(runner.run(counts.clone(), end.clone()), seen);
}

#[test]
fn an_expression_without_end_costs_only_its_own_probe() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let list = "0,".repeat(2000);
        let body = ok(&format!("[{list}0]"));
        let server = serve(move |stream, _| {
            let body = body.clone();
            async move {
                let mut stream = BufReader::new(stream);
                while head(&mut stream).await.is_some() {
                    stream.write_all(body.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        let endless = runner(json!({"timeout": SHORT, "http": {"url": server.url()}, "select": {
            "x": "value.exists(a, value.exists(b, value.exists(c, a + b + c == 1)))"
        }}));
        for _ in 0..2 {
            let reading = again(&endless).await;
            assert_eq!(reading.error.as_deref(), Some("no answer within 300ms, while evaluating select"));
        }
        let other = read(json!({"http": {"url": server.url()}, "select": {"n": "value.size()"}})).await;
        assert_eq!(other.value, Some(json!({"n": 2001})));
    });
    // The expression still goes on: nobody waits for it.
    runtime.shutdown_background();
}

#[tokio::test]
async fn select_makes_a_large_answer_small() {
    let body = json!({"stores": (0..1000).map(|n| json!({"id": n, "pad": "x".repeat(100)})).collect::<Vec<_>>()});
    let body = ok(&body.to_string());
    let server = serve(move |stream, _| {
        let body = body.clone();
        async move {
            let mut stream = BufReader::new(stream);
            while head(&mut stream).await.is_some() {
                stream.write_all(body.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let whole = read(json!({"http": {"url": server.url()}})).await;
    assert!(whole.ok && whole.value.is_none());
    assert!(whole.error.unwrap().contains("is left out: a round has at most 65536"));
    let select = json!({"n": "value.stores.size()", "last": "value.stores[999].id == 999"});
    let small = read(json!({"http": {"url": server.url()}, "select": select})).await;
    assert_eq!(small.value, Some(json!({"last": true, "n": 1000})));
}
