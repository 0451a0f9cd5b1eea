//! What is masked, what is not, on cuts, in pieces.
//!
//! Tokens stand here in two halves, so that this file holds none.

#![allow(clippy::format_in_format_args, clippy::format_push_string)]

mod corpus;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::redact::config::{RedactionConfig, RedactionPattern};

fn redactor() -> Redactor {
    redactor_with(&RedactionConfig::default(), &[])
}

fn redactor_with(config: &RedactionConfig, own: &[&str]) -> Redactor {
    let session = "2026-01-28T20-54-48-3a029c12".to_owned().into();
    let own: Vec<String> = own.iter().map(|own| (*own).to_owned()).collect();
    Rules::compile(config, &own).unwrap().with(InstallationSecret::new([7; 32])).session(&session)
}

/// The text without its secrets; each must be gone, and each of `stays` be there.
fn check(text: &str, secrets: &[&str], stays: &[&str]) -> String {
    let masked = redactor().text(text);
    for secret in secrets {
        assert!(!masked.value.contains(secret), "{secret:?} is still in\n{}\nfrom\n{text}", masked.value);
    }
    for part in stays {
        assert!(masked.value.contains(part), "{part:?} is missing in\n{}\nfrom\n{text}", masked.value);
    }
    assert!(masked.count > 0, "nothing was found in\n{text}");
    let again = redactor().text(&masked.value);
    assert_eq!((again.value.as_str(), again.count), (masked.value.as_str(), 0), "not the same when masked twice");
    masked.value
}

#[test]
fn tokens_with_a_look_of_their_own() {
    let word = "Zx81mQp0Lk2Jd9Vb7Nc4Tr6Ws3Ye5Ug1";
    let tokens = [
        format!("ghp{}", format!("_{word}AbCd")),
        format!("github{}", format!("_pat_11AA{word}")),
        format!("glpat{}", "-x7Kd02nQpLm4RtVwYz9B"),
        format!("xoxb{}", "-123456789012-abcdefABCDEF"),
        format!("sk-{}", format!("ant-api03-{word}")),
        format!("sk-{}", format!("proj-{word}{word}")),
        format!("AKIA{}", "IOSFODNN7EXAMPLE"),
        format!("npm{}", format!("_{word}abcd")),
        format!("pypi{}", format!("-AgEIcHlwaS5vcmcC{word}{word}")),
        format!("hf{}", format!("_{word}")),
        format!("AIza{}", "SyA1234567890abcdefghijklmnopqrstuv"),
        format!("hvs{}", ".CAESIJ1234567890abcdefgh"),
        format!("dckr{}", format!("_pat_{word}")),
        format!("sk_live{}", format!("_{word}")),
        format!("SG{}", ".abcdefghijklmnop12.abcdefghijklmnopqrstuvwxyz1234"),
        format!("eyJ{}", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
    ];
    for token in &tokens {
        for text in [
            token.clone(),
            format!("the token is {token}, used at 10:00"),
            format!("a=\"{token}\" b"),
            format!("[{token}]"),
        ] {
            check(&text, &[token], &[]);
        }
        check(&format!("before\nx {token} y\nafter"), &[token], &["before\nx [redacted:", "] y\nafter"]);
    }
}

#[test]
fn a_secret_key_beside_its_id() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let id = format!("AKIA{}", "IOSFODNN7EXAMPLE");
    check(&format!("{id},{secret}\n"), &[&id, secret], &[]);
    check(
        &format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\nregion = eu-1"),
        &[&id, secret],
        &["region = eu-1"],
    );
    check(
        &format!("{{\"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"{secret}\", \"Region\": \"x\"}}"),
        &[&id, secret],
        &["\"Region\": \"x\""],
    );
}

#[test]
fn headers_and_addresses() {
    check(
        "> Authorization: Bearer abc.def-123456\r\n> Host: x",
        &["abc.def-123456"],
        &["Authorization: ", "\r\n> Host: x"],
    );
    check("Authorization: Basic dXNlcjpwYXNzd29yZA==", &["dXNlcjpwYXNzd29yZA"], &["Authorization"]);
    check("curl -H 'Authorization: token hunter2hunter2' http://api/x", &["hunter2"], &["http://api/x"]);
    check(
        "proxy-authorization: Digest username=\"a\", response=\"b1946ac92492d2347c6235b4d2611184\"",
        &["username"],
        &[],
    );
    check("sent bearer a1b2c3d4e5f6 to api", &["a1b2c3d4e5f6"], &["to api"]);
    check("X-Api-Key: 0123abcd\nContent-Length: 4", &["0123abcd"], &["Content-Length: 4"]);
    check("Set-Cookie: sid=s3cr3tvalue; Path=/; HttpOnly", &["s3cr3tvalue"], &["Path=/; HttpOnly"]);
    check(
        "DATABASE_URL=postgres://shop:p@ss:w0rd@db:5432/shop?sslmode=off",
        &["p@ss:w0rd"],
        &["postgres://shop:", "@db:5432/shop"],
    );
    check("redis://:hunter2@redis:6379/0 is the cache", &["hunter2"], &["@redis:6379/0 is the cache"]);
    check(
        "see https://oauth2-a81Kd02nQpLm4RtVw9@git.example.org/x.git",
        &["a81Kd02nQpLm4RtVw9"],
        &["git.example.org/x.git"],
    );
    check(
        "https://b.blob.core.windows.net/c?sv=2022&sig=Ab3%2Fxyz0123456789ABCDEFabcdef%3D&se=2026",
        &["Ab3%2Fxyz0123456789"],
        &["sv=2022", "&se=2026"],
    );
    check("https://h/x?token=abcdefgh1&page=2", &["abcdefgh1"], &["&page=2"]);
    check(
        "https://s3/x?X-Amz-Credential=abc&X-Amz-Signature=0123456789abcdef&X-Amz-Date=1",
        &["0123456789abcdef"],
        &["X-Amz-Date=1"],
    );
    check(
        "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq==;EndpointSuffix=core",
        &["Eby8vdM02xNOcq"],
        &["AccountName=shop", "EndpointSuffix=core"],
    );
    check(
        "{\"auths\": {\"r.example.org\": {\"auth\": \"dXNlcjpwYXNzd29yZA==\"}}}",
        &["dXNlcjpwYXNzd29yZA"],
        &["r.example.org"],
    );
}

#[test]
fn names_with_values() {
    check("PASSWORD=hunter2\nHOME=/root\n", &["hunter2"], &["HOME=/root"]);
    check("PGPASSWORD=my long pass word\0PATH=/bin\0", &["my long"], &["PATH=/bin"]);
    check("POSTGRES_PASSWORD='a b c' docker compose up", &["a b c"], &["docker compose up"]);
    check("PGPASSWORD=hunter2 psql -h db -c 'select 1'", &["hunter2"], &["psql -h db -c 'select 1'"]);
    check("docker run -e REDIS_PASSWORD=hunter2 -p 80:80 image", &["hunter2"], &["-p 80:80 image"]);
    check(
        "      \"POSTGRES_PASSWORD=two words\",\n      \"PATH=/usr/bin\"",
        &["two words"],
        &["\",\n      \"PATH=/usr/bin\""],
    );
    check("{\"user\":\"a\",\"password\":\"x\\\"y z\",\"port\":1}", &["x\\\"y", "y z"], &["\"port\":1"]);
    check("{\\\"password\\\":\\\"hunter2\\\",\\\"port\\\":1}", &["hunter2"], &["\\\"port\\\":1"]);
    check("db:\n  password: correct horse battery\n  port: 5432", &["correct", "battery"], &["  port: 5432"]);
    check("db:\n  password: hunter2 # old\n", &["hunter2"], &["# old"]);
    check("stringData:\n  apiToken: |\n    line one\n    line two\nother: x", &["line one", "line two"], &["other: x"]);
    check("smtp_pass = hunter2", &["hunter2"], &[]);
    check("dbPass: hunter2", &["hunter2"], &[]);
    check("spring.datasource.password=hunter2", &["hunter2"], &[]);
    check("config['secret_key'] = 'hunter2hunter2'", &["hunter2"], &[]);
    check("password := \"hunter2\"", &["hunter2"], &[]);
    check("--password hunter2 --verbose", &["hunter2"], &["--verbose"]);
    check("client --api-key=hunter2 --verbose", &["hunter2"], &["--verbose"]);
    check("requirepass foobared\nport 6379", &["foobared"], &["port 6379"]);
    check("1) \"requirepass\"\n2) \"foobared\"\n", &["foobared"], &["2) \""]);
    check("requirepass\nfoobared\nport\n6379\n", &["foobared"], &["port\n6379"]);
    check("CONFIG SET requirepass foobared", &["foobared"], &[]);
    check("redis-cli -h redis -a foobared ping", &["foobared"], &["ping"]);
    check("mysql -h db -uroot -pfoobared shop", &["foobared"], &["shop"]);
    check("sshpass -p 'foobared' ssh x", &["foobared"], &["ssh x"]);
    check("curl -s -u admin:foobared http://x/", &["foobared"], &["admin:", "http://x/"]);
    check("ALTER USER shop WITH PASSWORD 'foobared';", &["foobared"], &["ALTER USER shop"]);
    check("CREATE USER 'a' IDENTIFIED BY 'foobared';", &["foobared"], &[]);
    check("machine x login me password foobared", &["foobared"], &["login me"]);
    check("- name: DB_PASSWORD\n  value: foobared\n- name: DB_HOST\n  value: db", &["foobared"], &["value: db"]);
    check(
        "{\"name\":\"DB_PASSWORD\",\"value\":\"foobared\"},{\"name\":\"DB_HOST\",\"value\":\"db\"}",
        &["foobared"],
        &["\"db\""],
    );
    check("config/.env:12:API_TOKEN=foobared", &["foobared"], &["config/.env:12:"]);
    check("api  | TOKEN=foobared1", &["foobared"], &["api  | "]);
    check("level=info msg=\"connecting\" user=shop password=foobared db=x", &["foobared"], &["user=shop", "db=x"]);
    check("connecting with password: hunter2", &["hunter2"], &["connecting with"]);
    check("host=db user=shop password=foobared,ssl=true", &["foobared"], &["ssl=true"]);
    check("password: ${DB_PASSWORD:-foobared}", &["foobared"], &[]);
    check(
        "root:$6$abcdefgh$0123456789abcdefABCDEF/.0123456789:19000:0:99999:7:::",
        &["0123456789abcdefABCDEF"],
        &["root:", ":19000:"],
    );
    check("SCRAM-SHA-256$4096:c2FsdHNhbHQ=$c3RvcmVk:c2VydmVy", &["c3RvcmVk"], &[]);
    check("db:5432:shop:me:foobared", &["foobared"], &["db:5432:shop:me:"]);
}

fn key(kind: &str) -> String {
    let line = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB";
    format!("-----BEGIN {kind}-----\n{line}\n{line}\nabcd+/==\n-----END {kind}-----")
}

#[test]
fn private_keys() {
    for kind in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
        let key = key(kind);
        let masked = check(&format!("before\n{key}\nafter"), &["MIIE", "abcd+"], &["before\n", "\nafter"]);
        assert_eq!(masked.matches("[redacted:private-key:").count(), 1, "{masked}");
        let escaped = key.replace('\n', "\\n");
        check(&format!("{{\"private_key\": \"{escaped}\\n\", \"client_email\": \"a@b\"}}"), &["MIIE"], &["a@b"]);
        check(&format!("x {escaped} y"), &["MIIE"], &["x ", " y"]);
        // head and tail of a file
        let lines: Vec<&str> = key.lines().collect();
        check(&lines[..3].join("\n"), &["MIIE"], &[]);
        check(&format!("{}\nnext line", lines[..3].join("\n")), &["MIIE"], &["next line"]);
        check(&lines[2..].join("\n"), &["MIIE", "abcd+"], &[]);
        let wrapped = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &key);
        check(&format!("    client-key-data: {wrapped}"), &[&wrapped[..40]], &[]);
        check(&format!("tls {wrapped} x"), &[&wrapped[..40]], &[" x"]);
    }
}

#[test]
fn kubernetes_secrets() {
    let yaml =
        "apiVersion: v1\ndata:\n  password: aHVudGVyMg==\n  user: c2hvcA==\nkind: Secret\nmetadata:\n  name: db\n";
    check(yaml, &["aHVudGVyMg", "c2hvcA"], &["kind: Secret", "name: db", "  user: ["]);
    let list = format!(
        "apiVersion: v1\nitems:\n- apiVersion: v1\n  data:\n    a: aGVsbG8=\n  kind: Secret\n  metadata:\n    name: x\nkind: List\n---\n{}",
        "apiVersion: v1\ndata:\n  level: info\nkind: ConfigMap\n"
    );
    check(&list, &["aGVsbG8"], &["level: info", "name: x"]);
    let json = "{\"apiVersion\":\"v1\",\"data\":{\"a.b\":\"aGVsbG8=\",\"c\":\"d29ybGQ=\"},\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\"}}";
    check(json, &["aGVsbG8", "d29ybGQ"], &["\"name\":\"x\"", "\"a.b\":\""]);
    let applied = serde_json::to_string(json).unwrap();
    check(&applied, &["aGVsbG8", "d29ybGQ"], &["\\\"name\\\":\\\"x\\\""]);
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap();
    check(&pretty, &["aGVsbG8", "d29ybGQ"], &["\"name\": \"x\""]);
}

#[test]
fn colours_hide_nothing() {
    let token = format!("ghp{}", "_Zx81mQp0Lk2Jd9Vb7Nc4Tr6Ws3Ye5Ug1AbCd");
    for at in 1..token.len() {
        let painted = format!("x {}\u{1b}[01;31m\u{1b}[K{}\u{1b}[m y", &token[..at], &token[at..]);
        check(&painted, &["mQp0Lk2", "Tr6Ws3Ye5Ug1"], &["x [redacted:github-token:", "\u{1b}[m y"]);
    }
    check("PASS\u{1b}[31mWORD\u{1b}[0m=hunter2\n", &["hunter2"], &[]);
}

#[test]
fn what_is_configured() {
    let pattern = |name: &str, regex: &str| RedactionPattern { name: name.into(), regex: regex.into() };
    let config = RedactionConfig {
        patterns: vec![pattern("badge", "badge no\\. ([0-9]{4})")],
        values: vec!["tr0ub4dor&3".to_owned().into()],
        ..RedactionConfig::default()
    };
    let redactor = redactor_with(&config, &["sk-own-key-of-ours", "any"]);
    let text = "badge no. 1234; tr0ub4dor&3; tr0ub4dor%263; dHIwdWI0ZG9yJjM=; sk-own-key-of-ours; any";
    let masked = redactor.text(text).value;
    for secret in ["1234", "tr0ub4dor", "dHIwdWI0ZG9yJjM", "sk-own"] {
        assert!(!masked.contains(secret), "{masked}");
    }
    assert!(masked.contains("badge no. [redacted:badge:") && masked.ends_with("; any"), "{masked}");
    for wrong in [pattern("a", "("), pattern("b", "x*")] {
        let config = RedactionConfig { patterns: vec![wrong], ..RedactionConfig::default() };
        assert!(Rules::compile(&config, &[]).is_err());
    }
    let short = RedactionConfig { values: vec!["abc".to_owned().into()], ..RedactionConfig::default() };
    let error = Rules::compile(&short, &[]).err().unwrap();
    assert!(error.to_string().contains("values[0]") && !error.to_string().contains("abc"), "{error}");
}

#[test]
fn a_mark_is_the_same_for_the_same_secret_in_one_session() {
    let mark = |redactor: &Redactor, text: &str| redactor.text(text).value;
    let (one, again) = (redactor(), redactor());
    let first = mark(&one, "password=hunter2");
    assert_eq!(first, mark(&again, "password=hunter2"));
    assert_eq!(
        first.strip_prefix("password="),
        mark(&one, "x://a:hunter2@b")
            .strip_prefix("x://a:")
            .unwrap()
            .replace("url-password", "password")
            .strip_suffix("@b")
    );
    assert_ne!(first, mark(&one, "password=hunter3"));
    let other = Rules::compile(&RedactionConfig::default(), &[])
        .unwrap()
        .with(InstallationSecret::new([7; 32]))
        .session(&"2026-01-28T20-54-48-00000000".to_owned().into());
    assert_ne!(first, mark(&other, "password=hunter2"));
    assert_ne!(one.boundary(), other.boundary());
    assert_eq!((one.boundary(), one.boundary().len()), (again.boundary(), 16));
    assert_eq!(mark(Redactor::for_readers(), "password=hunter2"), "password=[redacted:password]");
}

#[test]
fn documents_and_arguments() {
    let redactor = redactor();
    let call = json!({
        "method": "POST",
        "body": {
            "Cmd": ["redis-cli", "-a", "foobared", "ping"],
            "Env": ["DB_PASSWORD=two words", "HOME=/root"],
            "AuthConfig": {"username": "me", "password": "it's \"quoted\" # and long"},
            "note": "password: hunter2",
            "AttachStdin": true,
        },
    });
    let masked = redactor.value(&call);
    let text = masked.value.to_string();
    for secret in ["foobared", "two words", "quoted", "and long", "hunter2"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!((masked.count, &masked.value["body"]["username"]), (4, &serde_json::Value::Null));
    assert_eq!(masked.value["body"]["AuthConfig"]["username"], "me");
    assert_eq!(masked.value["body"]["Env"][1], "HOME=/root");
    assert_eq!(masked.value["body"]["Cmd"][3], "ping");
}

fn cut(head: &str, tail: &str) -> (String, String) {
    let captured = CapturedStream { head: head.into(), tail: tail.into(), total: 1 << 30 };
    let masked = redactor().captured(&captured);
    (String::from_utf8(masked.head).unwrap(), String::from_utf8(masked.tail).unwrap())
}

#[test]
fn half_a_secret_on_the_cut_is_masked() {
    let token = format!("ghp{}", "_Zx81mQp0Lk2Jd9Vb7Nc4Tr6Ws3Ye5Ug1AbCd");
    for at in 1..token.len() {
        let (head, tail) = cut(&format!("one\ntwo {}", &token[..at]), &format!("{} three\nfour\n", &token[at..]));
        let mark = head.strip_prefix("one\ntwo [redacted:").unwrap().strip_suffix(']').unwrap();
        assert!(mark == "cut" || mark.starts_with("github-token:"), "{head}");
        assert_eq!(tail, "[redacted:cut]\nfour\n");
    }
    let key = key("RSA PRIVATE KEY");
    for at in 1..key.len() {
        let (head, tail) = cut(&format!("one\n{}", &key[..at]), &format!("{}\nfour\n", &key[at..]));
        let both = format!("{head}{tail}");
        assert!(!both.contains("MIIEp") && !both.contains("cds3xfn") && !both.contains("abcd+"), "cut at {at}: {both}");
        assert!(head.starts_with("one\n") && tail.ends_with("\nfour\n"), "cut at {at}: {both}");
    }
    let yaml = "apiVersion: v1\ndata:\n  password: aHVudGVyMg==\n  user: c2hvcGtlZXBlcg==\nkind: Secret\nmetadata:\n  name: db\n";
    for at in 1..yaml.len() {
        let (head, tail) = cut(&yaml[..at], &yaml[at..]);
        let both = format!("{head}|{tail}");
        for part in ["aHVudG", "dGVyMg", "c2hvcG", "GVlcGVy", "lZXBlcg"] {
            assert!(!both.contains(part), "cut at {at}: {both}");
        }
    }
    for line in [
        "password: correct horse battery",
        "PASSWORD=correct horse battery",
        "{\"password\": \"correct horse battery\"}",
        "Authorization: Digest correct horse battery",
    ] {
        for at in 1..line.len() {
            let (head, tail) = cut(&format!("x\n{}", &line[..at]), &format!("{}\nnext\n", &line[at..]));
            let both = format!("{head}|{tail}");
            assert!(!both.contains("correct") && !both.contains("battery"), "cut at {at}: {both}");
        }
    }
    let (head, tail) = cut("all of it\n", "the rest\nis here\n");
    assert_eq!((head.as_str(), tail.as_str()), ("all of it\n", "[redacted:cut]\nis here\n"));
}

/// Gives the text in pieces of these lengths.
fn in_pieces(text: &[u8], lengths: &[usize]) -> (Vec<u8>, u64) {
    let mut stream = redactor().stream();
    let (mut out, mut at, mut turn) = (Vec::new(), 0, 0);
    while at < text.len() {
        let length = lengths[turn % lengths.len()].max(1).min(text.len() - at);
        out.extend(stream.push(&text[at..at + length]));
        (at, turn) = (at + length, turn + 1);
    }
    let (rest, count) = stream.finish();
    out.extend(rest);
    (out, count)
}

#[test]
fn a_password_in_one_word_with_a_key_that_is_still_coming() {
    let text =
        "redis-cli -a hunter2hunter2-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----\nPONG\n";
    for length in 1..text.len() {
        let (out, _) = in_pieces(text.as_bytes(), &[length]);
        let out = String::from_utf8_lossy(&out).into_owned();
        assert!(!out.contains("hunter2") && !out.contains("MIIB"), "in pieces of {length}: {out}");
        assert!(
            out.starts_with("redis-cli -a [redacted:") && out.ends_with("\nPONG\n"),
            "in pieces of {length}: {out}"
        );
    }
}

#[test]
fn pieces_become_what_the_whole_becomes() {
    let text = corpus::with_secrets();
    let whole = redactor().bytes(text.as_bytes(), Edges::WHOLE);
    for lengths in [&[1][..], &[2], &[7], &[64], &[1000], &[3, 50, 1, 400]] {
        let (out, count) = in_pieces(text.as_bytes(), lengths);
        let (out, text) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole.value));
        for (left, right) in out.lines().zip(text.lines()) {
            assert_eq!(left, right, "{lengths:?}");
        }
        assert_eq!(out.len(), text.len(), "{lengths:?}");
        assert_eq!(count, whole.count, "{lengths:?}");
    }
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut stream = redactor().stream();
    let mut out = stream.push(b"-----BEGIN RSA PRIVATE KEY-----\n");
    for _ in 0..5_000 {
        out.extend(stream.push(b"MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\n"));
        assert!(stream.held() < 512 << 10);
    }
    out.extend(stream.push(b"-----END RSA PRIVATE KEY-----\nafter\n"));
    out.extend(stream.finish().0);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("MIIE") && text.ends_with("\nafter\n"), "{} {}", text.len(), &text[text.len().min(200)..]);
    let mut stream = redactor().stream();
    let mut given = 0;
    for _ in 0..2000 {
        given += stream.push(&[b'x'; 1000]).len();
        assert!(stream.held() < 512 << 10);
    }
    assert_eq!(given + stream.finish().0.len(), 2_000_000);
}

#[test]
fn ordinary_output_stays_as_it_is() {
    for text in corpus::ORDINARY {
        let masked = redactor().text(text);
        assert_eq!(masked.value, *text);
    }
}

proptest! {
    #[test]
    fn never_panics_and_masks_the_same_twice(data in proptest::collection::vec(any::<u8>(), 0..400), start: bool, end: bool) {
        let _ = redactor().bytes(&data, Edges { start, end });
    }

    #[test]
    fn words_of_rules_in_any_order(parts in proptest::collection::vec(proptest::sample::select(corpus::PARTS), 0..30), lengths in proptest::collection::vec(1usize..40, 1..5)) {
        let text = parts.concat();
        let once = redactor().text(&text);
        prop_assert!(once.value.len() < 100_000);
        // In pieces no more is given out than as a whole.
        let (out, _) = in_pieces(text.as_bytes(), &lengths);
        let out = String::from_utf8_lossy(&out).into_owned();
        for secret in ["hunter2hunter2", "aHVudGVyMmh1bnRlcjI="] {
            if !once.value.contains(secret) {
                prop_assert!(!out.contains(secret), "{out}\n---\n{}", once.value);
            }
        }
    }
}
