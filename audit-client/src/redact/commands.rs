//! Passwords that programs take as arguments, and lists of arguments.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::mark;
use super::scan::{Anchor, Found, line_end};
use super::tokens::placeholder;

/// A program that takes a password as an argument without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// `-a PASSWORD`, `--pass PASSWORD`.
    RedisCli,
    /// `-pPASSWORD`.
    Mysql,
    /// `-p PASSWORD`.
    Sshpass,
    /// `-u USER:PASSWORD`.
    Curl,
    /// `ACL SETUSER x >PASSWORD`.
    SetUser,
    /// `PASSWORD` in `IDENTIFIED BY 'PASSWORD'`.
    IdentifiedBy,
    /// A line of `.pgpass`: `HOST:PORT:DATABASE:USER:PASSWORD`.
    Pgpass,
}

const PROGRAMS: &[(Program, &str)] = &[
    (Program::RedisCli, "redis-cli"),
    (Program::Mysql, "mysql"),
    (Program::Mysql, "mariadb"),
    (Program::Sshpass, "sshpass"),
    (Program::Curl, "curl"),
    (Program::SetUser, "setuser"),
    (Program::IdentifiedBy, "identified by"),
    (Program::Pgpass, ":5432:"),
    (Program::Pgpass, ":*:"),
];

static SHAPES: LazyLock<Vec<(Program, Option<Regex>)>> = LazyLock::new(|| {
    let shape = |program, text: &str| (program, Regex::new(&format!("(?-u){text}")).ok());
    vec![
        shape(Program::RedisCli, r#"^[^|;&\n]*?\s(?:-a|--pass)[\s=]+["']?([^\s"'\\]+)"#),
        shape(Program::Mysql, r#"^[a-z]*[^|;&\n]*?\s-p["']?([^\s"'\\]+)"#),
        shape(Program::Sshpass, r#"^[^|;&\n]*?\s-p\s*["']?([^\s"'\\]+)"#),
        shape(Program::Curl, r#"^[^|;&\n]*?\s(?:-u|--user|-U|--proxy-user)[\s=]*["']?[^\s:"'\\]+:([^\s"'\\]+)"#),
        shape(Program::SetUser, r#"^\\*"?\s[^|;&\n]*?\s\\*["']?>([^\s"'\\]+)"#),
        shape(Program::IdentifiedBy, r"^(?i:identified by)\s+'([^'\n]+)'"),
        shape(Program::Pgpass, r"^:(?:[0-9]+|\*):[^:\s]+:[^:\s]+:([^:\s]+)\s*$"),
    ]
});

pub(super) fn anchors() -> impl Iterator<Item = (&'static str, Anchor)> {
    PROGRAMS.iter().map(|(program, text)| (*text, Anchor::Program(*program)))
}

/// Looks closer at a program's name that stands from `start` to `end`.
pub(super) fn check(program: Program, data: &[u8], start: usize, end: usize, found: &mut Vec<Found<'_>>) {
    let from = if matches!(program, Program::IdentifiedBy | Program::Pgpass) { start } else { end };
    let line = data.get(from..line_end(data, end).min(from + (4 << 10))).unwrap_or_default();
    let shape = SHAPES.iter().find(|(one, _)| *one == program).and_then(|(_, regex)| regex.as_ref());
    let Some(secret) = shape.and_then(|regex| regex.captures(line)).and_then(|groups| groups.get(1)) else { return };
    let bytes = secret.as_bytes();
    if bytes.starts_with(mark::PREFIX) || placeholder(bytes) {
        return;
    }
    found.push(Found { start: from + secret.start(), end: from + secret.end(), kind: "password" });
}

/// Whether an argument is a flag whose value is a secret, so that the next argument is one. `program` is
/// the list's first argument, or the one that a shell of that list would run.
pub(super) fn takes_secret(flag: &str, programs: &[&str]) -> bool {
    static FLAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i-u)^(?:--?[a-z0-9_.-]*(?:password|passwd|pass|passphrase|token|api[_-]?key|secret|secret[_-]?key)|requirepass|masterauth)$").ok()
    });
    let runs = |name: &str| programs.iter().any(|program| program.rsplit('/').next() == Some(name));
    FLAG.as_ref().is_some_and(|regex| regex.is_match(flag.as_bytes()))
        || (flag == "-a" && runs("redis-cli"))
        || (flag == "-p" && runs("sshpass"))
}
