//! The answer to `INFO`: lines of `key:value`, as a map.

use serde_json::{Map, Value};

/// A map from key to value. Whole and decimal numbers are numbers; `slave0:ip=10.0.0.2,port=6379` is a map itself.
pub(super) fn map(text: &str) -> Value {
    let mut map = Map::new();
    for line in text.lines() {
        if let Some((key, value)) = line.split_once(':')
            && !line.starts_with('#')
        {
            map.insert(key.to_owned(), fields(value).unwrap_or_else(|| scalar(value)));
        }
    }
    Value::Object(map)
}

fn fields(text: &str) -> Option<Value> {
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    let fields = text.split(',').map(|field| {
        let (key, value) = field.split_once('=')?;
        is_key(key).then(|| (key.to_owned(), scalar(value)))
    });
    fields.collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// A number only if it would be written the same again: `00000000` is the beginning of a hash.
fn scalar(text: &str) -> Value {
    if let Ok(int) = text.parse::<i64>()
        && int.to_string() == text
    {
        return int.into();
    }
    let is_decimal = |text: &str| {
        let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.')?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        (digits(whole) && digits(fraction)).then_some(())
    };
    match text.parse::<f64>() {
        Ok(float) if is_decimal(text).is_some() => float.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_to_info_becomes_a_map() {
        let text = "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nuptime_in_seconds:12\r\n\
                    config_file:/etc/redis=1.conf\r\n\r\n# Memory\r\nmem_fragmentation_ratio:1.50\r\nused_memory_human:1.00M\r\n\
                    # Replication\r\nrole:master\r\nconnected_slaves:1\r\n\
                    slave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=0\r\n\
                    master_link_down_since_seconds:-1\r\nmaster_replid2:0000000000000000000000000000000000000000\r\n\
                    # Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n";
        assert_eq!(
            map(text),
            json!({
                "redis_version": "7.0.15",
                "redis_git_sha1": "00000000",
                "uptime_in_seconds": 12,
                "config_file": "/etc/redis=1.conf",
                "mem_fragmentation_ratio": 1.5,
                "used_memory_human": "1.00M",
                "role": "master",
                "connected_slaves": 1,
                "slave0": {"ip": "10.0.0.2", "port": 6379, "state": "online", "offset": 14, "lag": 0},
                "master_link_down_since_seconds": -1,
                "master_replid2": "0000000000000000000000000000000000000000",
                "db0": {"keys": 1, "expires": 0, "avg_ttl": 0}
            })
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([a-z0-9:=,.#-]|\r\n){0,60}") {
            let _ = map(&text);
        }
    }
}
