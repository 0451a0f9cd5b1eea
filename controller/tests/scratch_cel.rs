#![allow(warnings, clippy::all)]
use std::collections::BTreeMap;
use controller::cel;
use controller::probe::{Round};
use serde_json::{Value, json};
#[path = "subjects/files.rs"]
mod files;

fn eval(src: &str, probes: &Value, key: Option<(&str, &Value)>, series: &BTreeMap<String, Value>) -> Result<Value, String> {
    let program = cel::compile(src)?;
    let mut c = cel::context();
    c.add_variable_from_value("probes", cel::to_cel(probes));
    if let Some((k, i)) = key { c.add_variable_from_value("key", k.to_owned()); c.add_variable_from_value("item", cel::to_cel(i)); }
    for (n, v) in series { c.add_variable_from_value(n.clone(), cel::to_cel(v)); }
    cel::evaluate(&program, &c).map(|v| cel::to_json(&v))
}
fn template(src: &str, probes: &Value, key: Option<(&str, &Value)>, series: &BTreeMap<String, Value>) -> String {
    let mut out = String::new(); let mut rest = src;
    while let Some(a) = rest.find("{{") { out.push_str(&rest[..a]); let b = rest[a..].find("}}").unwrap() + a;
        match eval(&rest[a+2..b], probes, key, series) { Ok(Value::String(s)) => out.push_str(&s), Ok(v) => out.push_str(&v.to_string()), Err(e) => out.push_str(&format!("<ERR {e}>")) }
        rest = &rest[b+2..]; }
    out + rest
}
#[test]
fn scratch() {
    let what = std::env::var("PLAY").unwrap();
    let (subj, file) = what.split_once(':').unwrap();
    let spec = files::subject(subj).spec;
    let text = std::fs::read_to_string(file).unwrap();
    let mut probes = json!({});
    let mut samples: BTreeMap<(String, String, String), Vec<(f64, Value)>> = BTreeMap::new();
    let mut last: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut first = None;
    for line in text.lines() {
        let r: Round = serde_json::from_str(line).unwrap();
        let t = r.at.as_millisecond() as f64 / 1000.0; let t0 = *first.get_or_insert(t);
        let reading = |x: &controller::probe::Reading| json!({"ok": x.ok, "error": x.error.clone().unwrap_or_default(), "ms": x.ms, "status": x.status.unwrap_or(0), "value": x.value.clone().unwrap_or(Value::Null), "age": 0.0});
        probes[&r.probe] = if let Some(x) = r.readings.get("") { reading(x) } else { Value::Object(r.readings.iter().map(|(k, x)| (k.clone(), reading(x))).collect()) };
        if probes.as_object().unwrap().len() < spec.probes.len() { continue }
        for inv in &spec.invariants {
            let none = BTreeMap::new();
            let keys: Result<Vec<(String, Value)>, String> = match &inv.for_each {
                None => Ok(vec![(String::new(), Value::Null)]),
                Some(f) => eval(f, &probes, None, &none).and_then(|v| match v {
                    Value::Object(m) => Ok(m.into_iter().collect()),
                    Value::Array(a) => a.into_iter().map(|i| match &inv.key { Some(k) => eval(k, &probes, Some(("", &i)), &none).map(|k| (k.as_str().unwrap().to_owned(), i)), None => Ok((i.as_str().unwrap_or("?").to_owned(), i)) }).collect(),
                    _ => Err("neither".into()) }),
            };
            let keys = match keys { Ok(k) => k, Err(e) => { say(&mut last, inv, "", format!("unknown: {e}"), t - t0); continue } };
            for (k, item) in keys {
                let mut series = BTreeMap::new(); let mut bad = None;
                for (n, s) in &inv.over {
                    let w = std::time::Duration::from(s.window).as_secs_f64();
                    let list = samples.entry((inv.name.clone(), k.clone(), n.clone())).or_default();
                    match eval(&s.value, &probes, Some((&k, &item)), &none) { Ok(v) => list.push((t, v)), Err(e) => { if std::env::var("V").is_ok() {println!("  no sample {} {k} {n}: {e}", inv.name)} } }
                    list.retain(|(at, _)| *at >= t - w);
                    if list.len() < 2 { bad = Some("samples"); continue }
                    let num = |v: &Value| v.as_f64().unwrap_or(0.0);
                    let vals: Vec<f64> = list.iter().map(|x| num(&x.1)).collect();
                    let inc: f64 = vals.windows(2).map(|w| if w[1] >= w[0] { w[1] - w[0] } else { w[1] }).sum();
                    let changes = list.windows(2).filter(|w| w[0].1 != w[1].1).count();
                    let since = list.windows(2).rev().find(|w| w[0].1 != w[1].1).map_or(list[0].0, |w| w[1].0);
                    let span = t - list[0].0;
                    series.insert(n.clone(), json!({"first": list[0].1, "last": list.last().unwrap().1, "min": vals.iter().cloned().fold(f64::MAX, f64::min), "max": vals.iter().cloned().fold(f64::MIN, f64::max), "changes": changes, "increase": inc, "rate": inc / span.max(0.001), "held": t - since, "samples": list.len(), "span": span}));
                }
                let state = if let Some(b) = bad { format!("unknown: {b}") } else { match eval(&inv.violated, &probes, Some((&k, &item)), &series) {
                    Ok(Value::Bool(false)) => "ok".into(), Ok(Value::Bool(true)) => { "VIOLATED".to_string() }, Ok(v) => format!("unknown: not bool {v}"), Err(e) => format!("unknown: {e}") } };
                if state == "VIOLATED" && last.get(&(inv.name.clone(), k.clone())).map(|s| s.as_str()) != Some("VIOLATED") { println!("     {}", template(&inv.message, &probes, Some((&k, &item)), &series)); }
                say(&mut last, inv, &k, state, t - t0);
            }
        }
    }
    let none = BTreeMap::new();
    if let Some(d) = &spec.display { for g in &d.groups {
        let rows: Vec<(String, Value)> = match &g.for_each { None => vec![(String::new(), Value::Null)], Some(f) => match eval(f, &probes, None, &none) { Ok(Value::Object(m)) => m.into_iter().collect(), Ok(Value::Array(a)) => a.into_iter().map(|i| (g.key.as_ref().map_or(i.to_string(), |k| eval(k, &probes, Some(("", &i)), &none).unwrap().to_string()), i)).collect(), x => {println!("{x:?}"); vec![]} } };
        for (k, i) in rows { println!("[{}] {} {:?} {}", g.title, if g.label.is_empty() { k.clone() } else { g.label.clone() }, eval(&g.state, &probes, Some((&k, &i)), &none), template(&g.text, &probes, Some((&k, &i)), &none)); }
    }
    if let Some(w) = &d.workload { println!("counter {:?}", w.counter.as_ref().map(|c| eval(c, &probes, None, &none))); } }
}
fn say(last: &mut BTreeMap<(String, String), String>, inv: &crds::invariant::Invariant, k: &str, state: String, t: f64) {
    if last.get(&(inv.name.clone(), k.to_owned())) != Some(&state) { println!("{t:6.1} {} [{k}] {state}", inv.name); last.insert((inv.name.clone(), k.to_owned()), state); }
}
