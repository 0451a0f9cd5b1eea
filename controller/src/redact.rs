//! Secrets that come in from outside: what masks them is shared with whoever reads the trail
//! ([`audit_client::redact`]); what is here is the controller's own.

pub use audit_client::redact::*;

/// The passwords in the addresses of databases and the like, as they are and as they are written there.
#[must_use]
pub fn passwords_in(url: &str) -> Vec<String> {
    let Some(written) = reqwest::Url::parse(url).ok().and_then(|url| url.password().map(str::to_owned)) else {
        return Vec::new();
    };
    let plain = percent_decoded(&written);
    vec![written, plain]
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let pair = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::passwords_in;

    #[test]
    fn the_password_of_a_database_is_found_in_its_address() {
        assert_eq!(passwords_in("postgres://operator:p%40ss%2Fw0rd@db:5432/x"), ["p%40ss%2Fw0rd", "p@ss/w0rd"]);
        assert!(passwords_in("postgres://operator@db/x").is_empty() && passwords_in("db").is_empty());
    }
}
