//! Commands to a Redis, over a connection of their own: what a new client would get.
//!
//! That the server refuses a command is an answer like any other, `{"error": "…"}`: a probe may well look for it
//! (`NOAUTH`, `LOADING`, `READONLY`). A probe that got no answer has failed.

mod info;
mod resp;

use crds::probe::RedisProbe;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer::{Answer, Failure, Read, Stage, plain};
use super::mistake::{Filling, Mistake};
use super::net::Address;
use super::room::{Collected, LONGEST_ANSWER};
use super::run::World;
use super::tcp;

/// Commands that are ready to be sent.
#[derive(Debug)]
pub(super) struct Redis {
    address: Address,
    commands: Vec<Command>,
}

#[derive(Debug)]
struct Command {
    bytes: Vec<u8>,
    /// Its answer is a text of `key:value` lines.
    info: bool,
}

pub(super) fn prepare(probe: &RedisProbe, fill: &Filling) -> Result<Redis, Mistake> {
    let address = tcp::address(&probe.address, fill)?;
    if probe.commands.is_empty() {
        return Err(fill.wrong("commands", "there is none"));
    }
    let mut commands = Vec::new();
    for (number, words) in probe.commands.iter().enumerate() {
        let field = format!("commands[{number}]");
        let words = words
            .iter()
            .enumerate()
            .map(|(at, word)| fill.text(&format!("{field}[{at}]"), word))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(name) = words.first().filter(|name| !name.is_empty()) else {
            return Err(fill.wrong(&field, "the command's name is missing"));
        };
        let second = words.get(1).map(String::as_str).unwrap_or_default();
        let info = name.eq_ignore_ascii_case("INFO")
            || (name.eq_ignore_ascii_case("CLUSTER") && second.eq_ignore_ascii_case("INFO"));
        commands.push(Command { bytes: resp::command(&words), info });
    }
    Ok(Redis { address, commands })
}

impl Redis {
    pub(super) async fn read(&self, world: &World, stage: &Stage) -> Read {
        let mut stream = world.dialer.connect(&self.address, stage).await?;
        stage.set("waiting for the answer");
        let mut room = world.room.collect();
        let mut unread = Vec::new();
        let mut seen = 0;
        let mut answers = Vec::new();
        for (number, command) in self.commands.iter().enumerate() {
            let failed = |error: String| {
                let (of, number) = (self.commands.len(), number + 1);
                Failure::new(if of == 1 { error } else { format!("command {number} of {of}: {error}") })
            };
            stream.write_all(&command.bytes).await.map_err(|error| failed(plain(&error)))?;
            let answer = reply(&mut stream, &mut unread, &mut seen, &mut room).await.map_err(failed)?;
            answers.push(match answer {
                Value::String(text) if command.info => info::map(&text),
                answer => answer,
            });
        }
        Ok(Answer { value: Some(Value::Array(answers)), place: room.into_place(), ..Answer::default() })
    }
}

/// The next answer of a stream, of which `unread` was read before. All answers of a reading count as one.
async fn reply(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    seen: &mut usize,
    room: &mut Collected<'_>,
) -> Result<Value, String> {
    let left = LONGEST_ANSWER.saturating_sub(*seen);
    loop {
        if let Some((value, used)) = resp::answer(unread, left)? {
            unread.drain(..used);
            *seen += used;
            return Ok(value);
        }
        room.make_room(*seen + unread.len() + 1).await?;
        unread.reserve(4 << 10);
        let read = stream.read_buf(unread).await.map_err(|error| plain(&error))?;
        if read == 0 {
            return Err("the connection was closed before the answer was complete".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(commands: &[&[&str]], target: Option<&str>) -> Result<Redis, String> {
        let commands = commands.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect();
        let probe = RedisProbe { address: "{{target}}:6379".into(), commands };
        prepare(&probe, &Filling::new("probes[0].redis", target)).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn commands_are_made_ready() {
        let redis = prepared(&[&["GET", "a {{target}}"], &["cluster", "info"], &["INFO"]], Some("r1")).unwrap();
        assert_eq!(redis.address, Address { host: "r1".into(), port: 6379 });
        assert_eq!(redis.commands[0].bytes, b"*2\r\n$3\r\nGET\r\n$4\r\na r1\r\n");
        assert_eq!(redis.commands.iter().map(|command| command.info).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn mistakes_name_their_place() {
        let said = |commands: &[&[&str]]| prepared(commands, Some("r1")).unwrap_err();
        assert!(said(&[]).starts_with("probes[0].redis.commands: there is none"));
        assert!(said(&[&["PING"], &[]]).starts_with("probes[0].redis.commands[1]: the command's name is missing"));
        assert!(said(&[&["GET", "{{key}}"]]).starts_with("probes[0].redis.commands[0][1]: {{key}} is not known"));
    }
}
