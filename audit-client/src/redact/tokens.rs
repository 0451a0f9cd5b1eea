//! Secrets that are known by their own look: tokens with a prefix, headers, passwords in addresses.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::bytes::Regex;

use super::mark;
use super::scan::{Anchor, Found, begins_a_word, window};

/// No token is looked at further than this.
const LONGEST: usize = 16 << 10;

struct Rule {
    kind: &'static str,
    anchors: &'static [&'static str],
    /// From the anchor on. The first group that took part is the secret, else all of it.
    shape: &'static str,
    /// Whether the anchor begins a word.
    word: bool,
    /// A closer look at the secret.
    check: fn(&[u8]) -> bool,
}

const fn rule(kind: &'static str, anchors: &'static [&'static str], shape: &'static str) -> Rule {
    Rule { kind, anchors, shape, word: true, check: any }
}

const RULES: &[Rule] = &[
    // The secret key often stands beside its id, without a name of its own.
    rule(
        "aws-key",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        r#"^([A-Z0-9]{20}(?:[\s,;:|"'=]{1,8}[A-Za-z0-9/+]{40}\b)?)(?:[^A-Za-z0-9]|$)"#,
    ),
    rule("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"^gh[pousr]_[A-Za-z0-9_]{20,}"),
    rule("github-token", &["github_pat_"], r"^github_pat_[A-Za-z0-9_]{20,}"),
    rule(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-", "glagent-"],
        r"^gl[a-z]{2,5}-[A-Za-z0-9_.-]{20,}",
    ),
    rule(
        "slack-token",
        &["xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", "xoxe-", "xoxe.", "xoxo-", "xapp-"],
        r"^(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9-]{10,}",
    ),
    rule("slack-webhook", &["hooks.slack.com/"], r#"^hooks\.slack\.com/(?:services|workflows|triggers)/([^\s"'<>]+)"#),
    rule("anthropic-key", &["sk-ant-"], r"^sk-ant-[A-Za-z0-9_-]{16,}"),
    Rule {
        check: random,
        ..rule("api-key", &["sk-"], r"^sk-(?:proj-|svcacct-|admin-|or-v1-|None-)?[A-Za-z0-9_-]{20,}")
    },
    rule(
        "stripe-key",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"],
        r"^(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9+/=]{16,}",
    ),
    rule("npm-token", &["npm_"], r"^npm_[A-Za-z0-9]{36,}"),
    rule("pypi-token", &["pypi-"], r"^pypi-[A-Za-z0-9_-]{40,}"),
    rule("huggingface-token", &["hf_"], r"^hf_[A-Za-z0-9]{30,}"),
    rule("google-key", &["AIza"], r"^AIza[A-Za-z0-9_-]{35}"),
    rule("google-token", &["ya29."], r"^ya29\.[A-Za-z0-9_-]{20,}"),
    rule("google-key", &["GOCSPX-"], r"^GOCSPX-[A-Za-z0-9_-]{20,}"),
    rule("vault-token", &["hvs.", "hvb.", "hvr."], r"^hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    rule("docker-token", &["dckr_pat_", "dckr_oat_"], r"^dckr_[po]at_[A-Za-z0-9_-]{20,}"),
    rule("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"^do[por]_v1_[a-f0-9]{40,}"),
    rule("sendgrid-key", &["SG."], r"^SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    rule("grafana-token", &["glsa_", "glc_"], r"^gl(?:sa|c)_[A-Za-z0-9_+/=]{30,}"),
    rule("shopify-token", &["shpat_", "shpss_", "shpca_", "shppa_"], r"^shp[a-z]{2}_[a-fA-F0-9]{32}"),
    Rule { check: random, ..rule("databricks-token", &["dapi"], r"^(dapi[a-f0-9]{32}(?:-\d)?)(?:[^A-Za-z0-9]|$)") },
    rule("tailscale-key", &["tskey-"], r"^tskey-[A-Za-z0-9-]{16,}"),
    rule("age-key", &["AGE-SECRET-KEY-1"], r"^AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
    rule("newrelic-key", &["NRAK-"], r"^NRAK-[A-Z0-9]{20,}"),
    rule("jwt", &["eyJ"], r"^eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    // A half of one, cut off or wrapped: header and the start of the claims.
    rule("jwt", &["eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi"], r"^eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"),
    rule(
        "signature",
        &["x-amz-signature=", "x-amz-security-token=", "x-amz-credential=", "x-goog-signature=", "x-goog-credential="],
        r#"(?i)^x-(?:amz|goog)-[a-z-]+=([^&\s"'<>]+)"#,
    ),
    Rule {
        word: false,
        check: sas,
        ..rule("azure-signature", &["?sig=", "&sig=", ";sig="], r"^[?&;]sig=([A-Za-z0-9%+/=_-]{20,})")
    },
    // To the end of the line or of the string: some schemes have several parts.
    rule(
        "auth-header",
        &["authorization"],
        r#"(?i)^authorization\\*["']?\s*(?:=>|[:=,])\s*\\*["']?(?:basic|bearer|token|negotiate|apikey|key|digest|ntlm|splunk|aws4-hmac-sha256|sharedkey|github-bearer)\s+([^\s"'\\][^\r\n\x00"'\\]*)"#,
    ),
    Rule {
        check: header,
        ..rule(
            "auth-header",
            &["authorization"],
            r#"(?i)^authorization\\*["']?\s*(?:=>|[:=,])\s*\\*["']?(?:(?:basic|bearer|token|negotiate|apikey|key|digest|ntlm|splunk|aws4-hmac-sha256|sharedkey|github-bearer)\s+)?([^\s"'\\][^\r\n\x00"'\\]*)"#,
        )
    },
    rule(
        "auth-header",
        &[
            "x-api-key",
            "x-auth-token",
            "private-token",
            "x-vault-token",
            "x-access-token",
            "x-amz-security-token:",
            "x-gitlab-token",
            "x-csrf-token",
            "job-token",
            "deploy-token",
        ],
        r#"(?i)^[a-z-]+\\*["']?\s*:\s*\\*["']?([^\s"'\\,]+)"#,
    ),
    rule("cookie", &["set-cookie"], r#"(?i)^set-cookie\\*["']?\s*:\s*\\*["']?[^\s=;"']+=([^\s;"']+)"#),
    rule("cookie", &["cookie:"], r#"(?i)^cookie:\s*([^\r\n\x00"']+)"#),
    Rule { check: bearer, ..rule("auth-header", &["bearer "], r"(?i)^bearer\s+([A-Za-z0-9._~+/=:-]{8,})") },
    Rule { check: basic, ..rule("auth-header", &["basic "], r"(?i)^basic\s+([A-Za-z0-9+/]{6,}={0,2})") },
    Rule {
        check: basic,
        word: false,
        ..rule("auth-header", &["\"auth\""], r#"(?i)^"auth"\s*:\s*"([A-Za-z0-9+/]{6,}={0,2})"#)
    },
    Rule {
        check: basic,
        word: false,
        ..rule("auth-header", &["\\\"auth\\\""], r#"(?i)^\\"auth\\"\s*:\s*\\"([A-Za-z0-9+/]{6,}={0,2})"#)
    },
    Rule { word: false, ..rule("url-password", &["://"], r#"^://[^\s/?#:@"'<>\\]*:([^\s/?#"'<>]+)@"#) },
    Rule { word: false, check: random, ..rule("url-password", &["://"], r#"^://([^\s/?#:@"'<>\\]{16,})@"#) },
    // Hashes of passwords: the short ones are guessed in minutes.
    Rule {
        word: false,
        ..rule(
            "password-hash",
            &[
                "$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$argon2", "$apr1$", "$pbkdf2",
                "$scrypt$",
            ],
            r"^\$[a-z0-9-]{1,16}\$[A-Za-z0-9./$=,+-]{12,}",
        )
    },
    rule("password-hash", &["SCRAM-SHA-"], r"^SCRAM-SHA-(?:1|256|512)\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=:]+"),
    // Base64 of "-----BEGIN": a certificate may be read, a private key may not.
    Rule { check: wrapped_key, ..rule("private-key", &["LS0tLS1CRUdJTi"], r"^[A-Za-z0-9+/=]{40,}") },
];

static SHAPES: LazyLock<Vec<Option<Regex>>> =
    LazyLock::new(|| RULES.iter().map(|rule| Regex::new(&format!("(?-u){}", rule.shape)).ok()).collect());

/// One anchor leads to one rule; the rules behind it with the same anchor are tried as well.
pub(super) fn anchors() -> impl Iterator<Item = (&'static str, Anchor)> {
    let earlier = |index: usize, anchor: &str| RULES.iter().take(index).any(|rule| rule.anchors.contains(&anchor));
    RULES.iter().enumerate().flat_map(move |(index, rule)| {
        rule.anchors
            .iter()
            .filter(move |anchor| !earlier(index, anchor))
            .map(move |anchor| (*anchor, Anchor::Token(index)))
    })
}

/// Looks closer at an anchor of a rule, and of those that share it.
pub(super) fn check(first: usize, data: &[u8], at: usize, found: &mut Vec<Found<'_>>) {
    let same = |rule: &Rule| RULES.get(first).is_some_and(|one| one.anchors == rule.anchors);
    for (index, rule) in RULES.iter().enumerate().skip(first).filter(|(index, rule)| *index == first || same(rule)) {
        if rule.word && !begins_a_word(data, at) {
            continue;
        }
        let Some(shape) = SHAPES.get(index).and_then(Option::as_ref) else { continue };
        let Some(groups) = shape.captures(window(data, at, LONGEST)) else { continue };
        let Some(secret) = groups.iter().skip(1).flatten().next().or_else(|| groups.get(0)) else { continue };
        let bytes = trimmed(secret.as_bytes());
        if bytes.is_empty() || bytes.starts_with(mark::PREFIX) || placeholder(bytes) || !(rule.check)(bytes) {
            continue;
        }
        found.push(Found { start: at + secret.start(), end: at + secret.start() + bytes.len(), kind: rule.kind });
        return;
    }
}

/// Without what belongs to the sentence or the list around it.
fn trimmed(secret: &[u8]) -> &[u8] {
    let kept = secret.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b',' | b';' | b')'));
    secret.get(..kept.map_or(0, |last| last + 1)).unwrap_or_default()
}

/// Whether this stands for a value and is none: `$TOKEN`, `<token>`, `***`, `{{ token }}`, `...`. A
/// variable with a default (`${TOKEN:-x}`) is one, for the default may be a secret.
pub(super) fn placeholder(value: &[u8]) -> bool {
    let starts = |with: &[u8]| value.starts_with(with);
    if starts(b"${") {
        let default = [&b":-"[..], b":="].iter().find_map(|mark| memchr::memmem::find(value, mark));
        return default.is_none_or(|at| matches!(value.get(at + 2), None | Some(b'}' | b'$')));
    }
    if starts(b"$(") || starts(b"{{") || starts(b"%(") || starts(b"%{") || (starts(b"<") && value.ends_with(b">")) {
        return true;
    }
    if let Some(name) = value.strip_prefix(b"$") {
        return !name.first().is_some_and(u8::is_ascii_digit)
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    }
    value.iter().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'_' | b'#'))
}

fn any(_: &[u8]) -> bool {
    true
}

/// Looks drawn by lot: digits among letters, and a stretch without separators.
pub(super) fn random(secret: &[u8]) -> bool {
    let digits = secret.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = secret.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let stretch = secret.split(|byte| !byte.is_ascii_alphanumeric()).map(<[u8]>::len).max().unwrap_or_default();
    let mut seen = [false; 256];
    for byte in secret {
        seen[usize::from(*byte)] = true;
    }
    let kinds = seen.iter().filter(|seen| **seen).count();
    digits >= 2 && letters >= 4 && stretch >= 14 && kinds >= 9
}

/// A word after "bearer" in prose is none: a token has a digit, or is long.
fn bearer(secret: &[u8]) -> bool {
    secret.len() >= 24 || secret.iter().any(u8::is_ascii_digit)
}

/// Words after "authorization:" in prose are none.
fn header(secret: &[u8]) -> bool {
    !secret.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b' ' | b',' | b'.'))
}

/// The name and password of basic authentication.
fn basic(secret: &[u8]) -> bool {
    let whole = secret.len() / 4 * 4;
    let Ok(text) = STANDARD.decode(secret.get(..whole).unwrap_or_default()) else { return false };
    text.contains(&b':') && text.iter().all(|byte| !byte.is_ascii_control())
}

/// A signature in an address: bytes in base64, escaped for it.
fn sas(secret: &[u8]) -> bool {
    secret.iter().any(u8::is_ascii_digit) && secret.iter().any(u8::is_ascii_uppercase)
}

fn wrapped_key(secret: &[u8]) -> bool {
    let start = secret.get(..secret.len().min(64) / 4 * 4).unwrap_or_default();
    STANDARD.decode(start).is_ok_and(|text| memchr::memmem::find(&text, b"PRIVATE KEY").is_some())
}
