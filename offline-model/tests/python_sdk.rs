//! The official Python SDK works against the server.
//!
//! It needs Python and, the first time, a package index. Where they are missing the test says so
//! and counts as ignored, which libtest cannot do at run time; so this is a harness of its own.
//! With `OFFLINE_MODEL_REQUIRE_SDK=1` a missing SDK is a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use offline_model::{Options, ScriptSet, Server};

const NAME: &str = "official_python_sdk";
/// The major version whose wire the server speaks.
const SDK: &str = "anthropic>=2,<3";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    if flag("--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    let filtered = args.iter().any(|arg| !arg.starts_with('-') && !NAME.contains(arg.as_str()));
    if filtered || flag("--ignored") {
        return result("filtered out");
    }
    println!("\nrunning 1 test");
    match python() {
        Err(why) if std::env::var_os("OFFLINE_MODEL_REQUIRE_SDK").is_none() => {
            println!("test {NAME} ... ignored, SKIPPED: {why}");
            result("ignored")
        }
        Err(why) => {
            println!("test {NAME} ... FAILED: {why}");
            result("failed")
        }
        Ok(python) => {
            let passed = run(&python);
            println!("test {NAME} ... {}", if passed { "ok" } else { "FAILED" });
            result(if passed { "passed" } else { "failed" })
        }
    }
}

/// The line that libtest ends with.
fn result(outcome: &str) -> ExitCode {
    let count = |word: &str| u8::from(word == outcome);
    let failed = count("failed");
    println!(
        "\ntest result: {}. {} passed; {failed} failed; {} ignored; 0 measured; {} filtered out\n",
        if failed == 0 { "ok" } else { "FAILED" },
        count("passed"),
        count("ignored"),
        count("filtered out"),
    );
    ExitCode::from(failed)
}

fn run(python: &Path) -> bool {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let scripts = ScriptSet::load_dir(&crate_dir.join("scripts")).unwrap();
        let server = Server::start(scripts, Options::default()).await.unwrap();
        let mut command = Command::new(python);
        command
            .arg(crate_dir.join("tests/python_sdk.py"))
            .env("OFFLINE_MODEL_URL", server.url())
            // Neither a proxy nor somebody's key has any part in this.
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("ANTHROPIC_AUTH_TOKEN");
        let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap();
        server.shutdown().await;
        status.is_ok_and(|status| status.success())
    })
}

/// A Python that has the SDK, made once and kept.
fn python() -> Result<PathBuf, String> {
    let home = cache_dir()?.join("operator/anthropic-sdk-2");
    let python = home.join("bin/python");
    if imports(&python) {
        return Ok(python);
    }
    // What an interrupted run left is of no use. Two runs at once would share the work badly, so
    // each makes its own and the first to finish gives it the name.
    let making = home.with_extension(std::process::id().to_string());
    let made = make(&making);
    if let Err(why) = made {
        let _ = std::fs::remove_dir_all(&making);
        return Err(why);
    }
    if !imports(&python) {
        let _ = std::fs::remove_dir_all(&home);
        std::fs::rename(&making, &home).map_err(|e| format!("{}: {e}", home.display()))?;
    }
    let _ = std::fs::remove_dir_all(&making);
    if imports(&python) { Ok(python) } else { Err("the SDK was installed but cannot be imported".to_owned()) }
}

fn make(dir: &Path) -> Result<(), String> {
    let venv = ["-m", "venv"].map(std::ffi::OsStr::new);
    step("python3 -m venv", Command::new("python3").args(venv).arg(dir))?;
    step(
        "pip install anthropic",
        Command::new(dir.join("bin/python")).args(["-m", "pip", "install", "--quiet", "--retries", "1"]).args([
            "--timeout",
            "20",
            "--disable-pip-version-check",
            SDK,
        ]),
    )
}

fn step(what: &str, command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{what}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!("{what} failed: {}", last.unwrap_or("no reason given")))
}

fn imports(python: &Path) -> bool {
    Command::new(python).args(["-c", "import anthropic"]).output().is_ok_and(|output| output.status.success())
}

fn cache_dir() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is set".to_owned())
}
