//! A real Redis for a test: the machine's `redis-server`, else the project's image in Docker.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const IMAGE: &str = "operator-redis:dev";

enum Process {
    Native(Child),
    Docker(String),
}

/// A Redis that ends with the test.
pub(crate) struct Redis {
    process: Process,
    port: u16,
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Redis {
    /// `None`, and a line that says so, when the machine has no Redis in any form.
    pub(crate) fn start() -> Option<Self> {
        let native = runs("redis-server", &["--version"]);
        if !native && !runs("docker", &["image", "inspect", IMAGE]) {
            // CI sets this, so that a test that could not run is a failure there.
            assert!(
                std::env::var_os("RATELIMITER_TEST_NEEDS_REDIS").is_none(),
                "neither redis-server nor the image {IMAGE} is here"
            );
            eprintln!("SKIPPED: neither redis-server nor the image {IMAGE} is here; run subjects/ratelimiter/build");
            return None;
        }
        // Another program may take the port in between; then the next one is tried.
        (0..5).find_map(|_| {
            let port = free_port();
            let process = if native { spawn(port) } else { run(port) }?;
            let redis = Self { process, port };
            redis.wait().then_some(redis)
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn kill(&mut self) {
        match &mut self.process {
            Process::Native(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Process::Docker(name) => assert!(runs("docker", &["kill", name])),
        }
    }

    /// Starts it again where it was. It has forgotten everything.
    pub(crate) fn restart(&mut self) {
        match &self.process {
            Process::Native(_) => self.process = spawn(self.port).unwrap(),
            Process::Docker(name) => assert!(runs("docker", &["start", name])),
        }
        assert!(self.wait(), "Redis did not come back");
    }

    pub(crate) async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut connection).await.unwrap()
    }

    // Docker's proxy accepts before Redis does, so an answer counts, not a connection.
    fn wait(&self) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if answers(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        match &mut self.process {
            Process::Native(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Docker(name) => {
                runs("docker", &["rm", "--force", name]);
            }
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(port: u16) -> Option<Process> {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir", "/tmp"])
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    Some(Process::Native(child))
}

fn run(port: u16) -> Option<Process> {
    let name = format!("ratelimiter-test-{}-{port}", std::process::id());
    let publish = format!("127.0.0.1:{port}:6379");
    let started = runs(
        "docker",
        &[
            "run",
            "--detach",
            "--name",
            &name,
            "--label",
            "operator.dev/test=ratelimiter",
            "--publish",
            &publish,
            IMAGE,
            "redis-server",
            "--save",
            "",
            "--protected-mode",
            "no",
        ],
    );
    started.then_some(Process::Docker(name))
}

fn answers(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut reply = [0; 5];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut reply).is_ok() && &reply == b"+PONG"
}
