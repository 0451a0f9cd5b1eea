//! The answer of a Prometheus server to an instant query.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::series;

/// Text in a URL's query: everything but what is never special stands there in percent.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte.into()),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    kind: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    metric: Map<String, Value>,
    value: Option<(f64, String)>,
}

/// The series of an answer: a list of `{labels, value}`. A scalar is one series without labels.
pub(super) fn value(answer: Value) -> Result<Value, String> {
    let strange = |error| format!("this is no answer of a Prometheus server: {error}");
    let envelope: Envelope = serde_json::from_value(answer).map_err(strange)?;
    let data = match envelope.data {
        _ if envelope.status != "success" => {
            return Err(format!("the query failed: {}: {}", envelope.kind, envelope.error));
        }
        None => return Err("this is no answer of a Prometheus server: it has no data".into()),
        Some(data) => data,
    };
    match data.kind.as_str() {
        "vector" => {
            let samples: Vec<Sample> = serde_json::from_value(data.result).map_err(strange)?;
            let all = samples.into_iter().map(|sample| match sample.value {
                Some((_, value)) => Ok(series(sample.metric, number(&value)?)),
                None => Err("the query gives native histograms: histogram_quantile and others make numbers of them".into()),
            });
            all.collect::<Result<Vec<_>, String>>().map(Value::Array)
        }
        "scalar" => {
            let (_, value): (f64, String) = serde_json::from_value(data.result).map_err(strange)?;
            Ok(Value::Array(vec![series(Map::new(), number(&value)?)]))
        }
        "matrix" => Err("the query gives a range of values over time (a matrix): a probe wants one value a series".into()),
        "string" => Err("the query gives a text: a probe wants numbers".into()),
        _ => Err("the query gives something that is no vector".into()),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(40).collect();
        format!("this is no answer of a Prometheus server: {text:?} is no number")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The samples of Prometheus' own documentation of its API.
    #[test]
    fn the_documented_answer_is_read() {
        let answer = json!({
            "status": "success",
            "data": { "resultType": "vector", "result": [
                { "metric": { "__name__": "up", "job": "prometheus", "instance": "localhost:9090" },
                  "value": [1_435_781_451.781, "1"] },
                { "metric": { "__name__": "up", "job": "node", "instance": "localhost:9100" },
                  "value": [1_435_781_451.781, "NaN"] }
            ]}
        });
        assert_eq!(
            value(answer).unwrap(),
            json!([
                { "labels": { "__name__": "up", "job": "prometheus", "instance": "localhost:9090" }, "value": 1.0 },
                { "labels": { "__name__": "up", "job": "node", "instance": "localhost:9100" }, "value": "NaN" }
            ])
        );
        let scalar = json!({"status": "success", "data": {"resultType": "scalar", "result": [1.0, "+Inf"]}});
        assert_eq!(value(scalar).unwrap(), json!([{ "labels": {}, "value": "+Inf" }]));
        let none = json!({"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": ["x"]});
        assert_eq!(value(none).unwrap(), json!([]));
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        let of = |kind: &str, result: Value| {
            value(json!({"status": "success", "data": {"resultType": kind, "result": result}})).unwrap_err()
        };
        assert!(of("matrix", json!([])).contains("a range of values"));
        assert!(of("string", json!([1, "x"])).contains("a text"));
        assert!(of("vector", json!([{"metric": {}, "histogram": [1, {}]}])).contains("native histograms"));
        assert!(of("vector", json!([{"metric": {}, "value": [1, "x"]}])).contains("no number"));
        assert!(of("vector", json!("x")).starts_with("this is no answer"));
    }

    #[test]
    fn an_error_of_the_api_is_the_reading_s() {
        let answer = json!({"status": "error", "errorType": "bad_data", "error": "1:3: parse error: unexpected end"});
        assert_eq!(value(answer).unwrap_err(), "the query failed: bad_data: 1:3: parse error: unexpected end");
        assert!(value(json!({"hello": 1})).unwrap_err().starts_with("this is no answer of a Prometheus server"));
        assert!(value(json!({"status": "success"})).unwrap_err().ends_with("it has no data"));
    }
}
