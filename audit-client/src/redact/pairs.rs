//! Names of secrets with their values: `PASSWORD=…`, `password: …`, `"token": "…"`, `--password …`.
//!
//! The name must *end* in a word of the list, so that `max_tokens=3`, `passwordFile: /x` or
//! `secretName: y` say nothing. In a configuration (the name begins its line) whatever stands there is
//! the value; in prose (`invalid token: expired`) it has to look like one.

use super::mark;
use super::scan::{Anchor, Found, line_end, line_start, window};
use super::tokens::placeholder;

mod value;

use value::Value;

/// No name is longer.
const LONGEST_NAME: usize = 128;

/// What a name ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `password` and the like: whatever its value is, it is a secret.
    Password,
    /// `pass`: a word of its own, or at the end of one with a border.
    Pass,
    /// `pwd`: also the directory in which a shell stands.
    Pwd,
    /// `secret`.
    Secret,
    /// `token`.
    Token,
    /// `api_key` and the like.
    Key,
    /// Settings of Redis, whose value stands behind a space.
    Redis,
}

impl Word {
    fn kind(self) -> &'static str {
        match self {
            Self::Password | Self::Pass | Self::Pwd | Self::Redis => "password",
            Self::Secret => "secret",
            Self::Token => "token",
            Self::Key => "key",
        }
    }
}

const WORDS: &[(Word, &[&str])] = &[
    (Word::Password, &["password", "passwd", "passphrase", "pswd", "passcode"]),
    (Word::Pass, &["pass"]),
    (Word::Pwd, &["pwd"]),
    (Word::Secret, &["secret"]),
    (Word::Token, &["token"]),
    (Word::Redis, &["requirepass", "masterauth"]),
    (
        Word::Key,
        &[
            "api_key",
            "api-key",
            "apikey",
            "access_key",
            "access-key",
            "accesskey",
            "secret_key",
            "secret-key",
            "secretkey",
            "private_key",
            "private-key",
            "privatekey",
            "account_key",
            "account-key",
            "accountkey",
            "auth_key",
            "auth-key",
            "authkey",
            "signing_key",
            "signing-key",
            "signingkey",
            "encryption_key",
            "encryption-key",
            "encryptionkey",
            "master_key",
            "master-key",
            "masterkey",
            "shared_key",
            "shared-key",
            "sharedkey",
            "session_key",
            "session-key",
            "license_key",
            "license-key",
            "key-data",
            "key_data",
            "secret_base",
            "secret_key_base",
        ],
    ),
];

/// Names that end like a secret's and are none.
const NO_SECRETS: &[&str] = &[
    "cluster-token",
    "cluster_token",
    "page_token",
    "page-token",
    "pagetoken",
    "next_token",
    "nexttoken",
    "continuetoken",
    "synctoken",
    "fencing_token",
    "fencing-token",
    "fencingtoken",
    "eos_token",
    "bos_token",
    "pad_token",
    "unk_token",
    "stop_token",
    "per_token",
    "max_token",
    "min_token",
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "grpc_pass",
    "public_key",
    "no-pass",
    "nopass",
    "bypass",
];

/// All words.
pub(super) fn anchors() -> impl Iterator<Item = (&'static str, Anchor)> {
    WORDS.iter().flat_map(|(word, texts)| texts.iter().map(move |text| (*text, Anchor::Word(*word))))
}

/// How name and value are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    Equals,
    Colon,
    Space,
}

/// Where the name stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its first byte.
    start: usize,
    /// Nothing of weight stands before it in its line.
    begins_line: bool,
    /// The backslashes and the quote right before it.
    quote: Option<(usize, u8)>,
    /// It is a flag: `--password`.
    flag: bool,
    /// It stands in quotes alone, without its value.
    closed: bool,
}

/// Looks closer at a word that stands from `start` to `end`.
pub(super) fn check(word: Word, data: &[u8], start: usize, end: usize, found: &mut Vec<Found<'_>>) {
    let place = place_of(data, start);
    if !is_name(word, data, &place, start, end) {
        return;
    }
    let kind = word.kind();
    if let Some((joint, at, closed)) = joint(data, end) {
        let place = Place { closed, quote: place.quote.filter(|_| !closed), ..place };
        if let Some(secret) = secret_at(word, data, &place, joint, at) {
            found.push(Found { start: secret.start, end: secret.end, kind });
        }
        return;
    }
    let beside = beside(word, data, &place, end).or_else(|| value_below(word, data, &place, end));
    if let Some(secret) = beside {
        found.push(Found { start: secret.start, end: secret.end, kind });
    }
}

fn secret_at(word: Word, data: &[u8], place: &Place, joint: Joint, at: usize) -> Option<Value> {
    let secret = value::at(data, place, joint, at)?;
    let bytes = data.get(secret.start..secret.end)?;
    is_secret(word, bytes, place, joint, &secret).then_some(secret)
}

fn place_of(data: &[u8], word: usize) -> Place {
    let floor = word.saturating_sub(LONGEST_NAME);
    let name = data.get(floor..word).unwrap_or_default();
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let length = name.iter().rev().take_while(|byte| inside(byte)).count();
    let start = word - length;
    let line = line_start(data, start);
    // A line that is longer than a name's way to its start is no configuration.
    let before = data.get(line.max(start.saturating_sub(256))..start).unwrap_or_default();
    let quote = before.last().copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`')).map(|quote| {
        let slashes = before.iter().rev().skip(1).take_while(|byte| **byte == b'\\').count();
        (slashes, quote)
    });
    let bare = before.trim_ascii();
    let begins_line = start - line <= 256
        && (bare.is_empty()
            || matches!(
                bare,
                b"-" | b"#"
                    | b"//"
                    | b"+"
                    | b">"
                    | b"<"
                    | b";"
                    | b"export"
                    | b"set"
                    | b"setenv"
                    | b"ENV"
                    | b"ARG"
                    | b"declare -x"
                    | b"\""
                    | b"'"
                    | b"- \""
                    | b"- '"
            )
            || bare.ends_with(b"|")
            || (bare.ends_with(b":") && !bare.contains(&b' ') && !before.ends_with(b" ")));
    Place { start, begins_line, quote, flag: data.get(start) == Some(&b'-'), closed: false }
}

/// Whether the word ends a name that means a secret.
fn is_name(word: Word, data: &[u8], place: &Place, start: usize, end: usize) -> bool {
    if matches!(word, Word::Pass | Word::Pwd) {
        let before = start.checked_sub(1).and_then(|at| data.get(at)).copied().unwrap_or(b' ');
        let first = data.get(start).copied().unwrap_or_default();
        let camel = before.is_ascii_lowercase() && first.is_ascii_uppercase();
        if before.is_ascii_alphabetic() && !camel {
            return false;
        }
    }
    let name = data.get(place.start..end).unwrap_or_default().to_ascii_lowercase();
    !NO_SECRETS.iter().any(|other| name.ends_with(other.as_bytes()))
}

/// What joins a name that ends at `end` to its value, and where the value begins.
fn joint(data: &[u8], end: usize) -> Option<(Joint, usize, bool)> {
    let rest = window(data, end, 96);
    let skip = |from: usize, these: &[u8]| {
        from + rest.get(from..).unwrap_or_default().iter().take_while(|byte| these.contains(byte)).count()
    };
    // PASSWORD1, TOKEN_2
    let digits = skip(0, b"_0123456789");
    let mut at = if digits <= 4 && rest.get(..digits).is_some_and(|text| text.iter().any(u8::is_ascii_digit)) {
        digits
    } else {
        0
    };
    // The end of a quoted name, or of config['password'].
    at = skip(at, b"\\");
    let closed = rest.get(at).is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    if closed {
        at += 1;
        if rest.get(at) == Some(&b']') {
            at += 1;
        }
    }
    let spaced = skip(at, b" \t");
    let (joint, length) = match rest.get(spaced..)? {
        [b'=', b'>' | b'=', ..] | [b':', b'=', ..] => (Joint::Equals, 2),
        [b'=', ..] => (Joint::Equals, 1),
        [b':', next, ..] if *next != b':' => (Joint::Colon, 1),
        [b':'] => (Joint::Colon, 1),
        _ => return None,
    };
    let value = skip(spaced + length, b" \t");
    // `password= token=x`: the value is empty.
    let is_empty = joint == Joint::Equals && length == 1 && spaced == at && value > spaced + length;
    (!is_empty).then_some((joint, end + value, closed))
}

/// A value behind a space: of a flag, of Redis' settings, of SQL, of `.netrc`.
fn beside(word: Word, data: &[u8], place: &Place, end: usize) -> Option<Value> {
    let rest = window(data, end, 64);
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if spaces == 0 {
        return None;
    }
    let before = data.get(place.start.saturating_sub(96)..place.start).unwrap_or_default().to_ascii_lowercase();
    let line = before.get(line_start(&before, before.len())..).unwrap_or_default();
    let setting = word == Word::Redis && (place.begins_line || line.trim_ascii_end().ends_with(b"set"));
    let flag = place.flag && word != Word::Secret;
    let netrc = word == Word::Password && line.contains(&b' ') && memchr::memmem::find(line, b"login ").is_some();
    let sql = word == Word::Password && rest.get(spaces) == Some(&b'\'');
    if !(setting || flag || netrc || sql) {
        return None;
    }
    secret_at(word, data, place, Joint::Space, end + spaces)
}

/// A value in the next line: `requirepass` as `CONFIG GET` prints it, and `name: DB_PASSWORD` above
/// `value: …`, as containers' environments are written.
fn value_below(word: Word, data: &[u8], place: &Place, end: usize) -> Option<Value> {
    let rest = window(data, end, 512);
    let mut at = rest.iter().take_while(|byte| matches!(byte, b'\\' | b'"' | b'\'')).count();
    if word == Word::Redis {
        let line = line_start(data, place.start);
        let before = data.get(line..place.start)?;
        let numbered = before.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b')' | b' ' | b'"' | b'\t'));
        if !numbered || !matches!(rest.get(at), Some(b'\n' | b'\r')) {
            return None;
        }
        at += if rest.get(at..)?.starts_with(b"\r\n") { 2 } else { 1 };
        let start = end + at;
        let line = data.get(start..line_end(data, start))?;
        let number = line.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b')' | b' ')).count();
        let number = if line.get(..number).is_some_and(|text| text.contains(&b')')) { number } else { 0 };
        return secret_at(word, data, place, Joint::Space, start + number);
    }
    let before = data.get(place.start.saturating_sub(24)..place.start)?.to_ascii_lowercase();
    let before = before.trim_ascii_end_matches(b"\\\"' \t");
    if !before
        .strip_suffix(b":")
        .or_else(|| before.strip_suffix(b"="))?
        .trim_ascii_end_matches(b"\\\"' \t")
        .ends_with(b"name")
    {
        return None;
    }
    at += rest
        .get(at..)?
        .iter()
        .take_while(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n' | b'\\' | b'"' | b'\''))
        .count();
    let name = rest.get(at..)?.get(..5)?;
    if !name.eq_ignore_ascii_case(b"value") {
        return None;
    }
    let (joint, at, _) = joint(data, end + at + name.len())?;
    // The name says what it is, wherever the value stands.
    let place = Place { quote: None, flag: true, ..*place };
    secret_at(word, data, &place, joint, at)
}

/// `trim_end` with a set of bytes.
trait TrimEnd {
    fn trim_ascii_end_matches(&self, these: &[u8]) -> &[u8];
}

impl TrimEnd for [u8] {
    fn trim_ascii_end_matches(&self, these: &[u8]) -> &[u8] {
        let end = self.iter().rposition(|byte| !these.contains(byte)).map_or(0, |last| last + 1);
        self.get(..end).unwrap_or_default()
    }
}

/// Words that stand where a secret would, and say why it does not.
const NO_VALUES: &[&str] = &[
    "null",
    "nil",
    "none",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "undefined",
    "unset",
    "empty",
    "required",
    "optional",
    "missing",
    "invalid",
    "expired",
    "failed",
    "denied",
    "revoked",
    "unknown",
    "malformed",
    "unauthorized",
    "forbidden",
    "rejected",
    "wrong",
    "incorrect",
    "mismatch",
    "not",
    "is",
    "was",
    "has",
    "must",
    "cannot",
    "could",
    "string",
    "str",
    "bytes",
    "text",
    "int",
    "integer",
    "bool",
    "boolean",
    "object",
    "char",
    "varchar",
    "optional[str]",
    "&str",
    "secretstring",
    "files",
    "compat",
    "sss",
    "systemd",
    "ok",
    "passed",
    "skip",
    "disabled",
    "enabled",
    "hidden",
    "masked",
    "redacted",
    "authentication",
];

fn is_secret(word: Word, value: &[u8], place: &Place, joint: Joint, shape: &Value) -> bool {
    let text = value.trim_ascii();
    if text.is_empty() || text.starts_with(mark::PREFIX) || placeholder(text) {
        return false;
    }
    let first = text.split(|byte| matches!(byte, b' ' | b'\t' | b',' | b';')).next().unwrap_or_default();
    let lower = first.to_ascii_lowercase();
    let lower = lower.trim_ascii_end_matches(b".:!?,");
    if !shape.quoted && NO_VALUES.iter().any(|no| no.as_bytes() == lower) {
        return false;
    }
    if shape.quoted
        && first.len() == text.len()
        && matches!(lower, b"null" | b"true" | b"false" | b"none" | b"redacted")
    {
        return false;
    }
    if is_path(word, text) || (!shape.quoted && is_call(text)) {
        return false;
    }
    let number = text.iter().all(u8::is_ascii_digit);
    if word != Word::Password && word != Word::Redis && (text.len() < 4 || (number && text.len() <= 6)) {
        return false;
    }
    let configured = place.begins_line || place.flag || place.closed || place.quote.is_some() || shape.quoted;
    configured || joint != Joint::Colon || !prose(word, text, shape)
}

/// Where files stand.
const ROOTS: [&[u8]; 14] = [
    b"/run/",
    b"/var/",
    b"/etc/",
    b"/home/",
    b"/opt/",
    b"/usr/",
    b"/tmp/",
    b"/mnt/",
    b"/data/",
    b"/secrets/",
    b"/proc/",
    b"/root/",
    b"/dev/",
    b"file://",
];

/// A path to a secret is none. Base64 may begin with a slash, so only known roots count.
fn is_path(word: Word, text: &[u8]) -> bool {
    if word == Word::Pwd {
        return matches!(text.first(), Some(b'/' | b'~' | b'.'));
    }
    ROOTS.iter().any(|root| text.starts_with(root)) && !text.contains(&b' ')
}

/// `getenv("X")`, `os.environ["X"]`, `settings.get(…)`: code that fetches a secret.
fn is_call(text: &[u8]) -> bool {
    let name = text.iter().take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b':')).count();
    name >= 3 && matches!(text.get(name), Some(b'(' | b'[' | b'<'))
}

/// After a colon in the middle of a line: a word that a sentence goes on with.
fn prose(word: Word, text: &[u8], shape: &Value) -> bool {
    let plain = text.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'.' | b'\''));
    let status = text.len() <= 5 && text.iter().all(u8::is_ascii_digit);
    let goes_on = shape.goes_on;
    status || (plain && (goes_on || word != Word::Password)) || text.iter().all(u8::is_ascii_punctuation)
}
