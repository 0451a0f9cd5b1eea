//! CEL, as Subjects use it: what JSON becomes in it and what comes back, and the functions that stand ready.
//!
//! The library would take JSON by itself, but makes unsigned numbers of all that are not negative, and an unsigned 5
//! is not equal to the 5 in an expression: `v.a == 5` and `3 in v.list` would be false without a word. So numbers are
//! converted here: to `int` where they fit, to `uint` above that, to `double` where they have a fraction. `1.0` stays a
//! `double`, and is not equal to `1`, while `<` and `>` compare the two.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::core::cel::KubeCelExt as _;
use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::common::ast::{EntryExpr, Expr};
use kube::core::cel::cel::objects::{Key, Map};
use kube::core::cel::cel::{Context, ExecutionError, ParseErrors, Program, Value};
use serde_json::Value as Json;

use crate::printable;

/// Characters of an error that are shown: the library's errors repeat whole values.
const LONGEST_ERROR: usize = 300;

/// Names that stand before functions and are no variables.
const NAMESPACES: [&str; 9] = ["base64", "format", "ip", "jsonpatch", "lists", "math", "optional", "sets", "strings"];

/// What an expression finds: the functions of CEL and of Kubernetes (`sum`, `max`, `join`, `format` and so on), and no
/// variables.
#[must_use]
pub fn context() -> Context<'static> {
    Context::default().with_all()
}

/// Compiles an expression. An error is a sentence with line and column.
pub fn compile(source: &str) -> Result<Program, String> {
    match catch_unwind(|| Program::compile(source)) {
        // Beside an expression there are texts with expressions in them, and one is easily taken for the other.
        Ok(Err(errors)) if source.contains("{{") => {
            Err(format!("{} (this is an expression and no text: it stands without `{{{{ }}}}`)", mistake(&errors)))
        }
        Ok(compiled) => compiled.map_err(|errors| mistake(&errors)),
        Err(_) => Err("the expression cannot be read".into()),
    }
}

/// Evaluates a program. An error is a sentence; arithmetic that the library does not survive is an error, too.
pub fn evaluate(program: &Program, context: &Context) -> Result<Value, String> {
    match catch_unwind(AssertUnwindSafe(|| program.execute(context))) {
        Ok(evaluated) => evaluated.map_err(|error| said(&error)),
        Err(_) => Err("the expression cannot be evaluated on these values".into()),
    }
}

/// The variables that an expression takes from outside: not those that its own macros make, and not the names before
/// functions, such as `math` in `math.abs(x)`.
#[must_use]
pub fn variables(program: &Program) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(program.expression(), &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(expression: &'a IdedExpr, bound: &mut Vec<&'a str>, found: &mut BTreeSet<String>) {
    match &expression.expr {
        Expr::Ident(name) => {
            if !name.starts_with('@') && !bound.contains(&name.as_str()) {
                found.insert(name.clone());
            }
        }
        Expr::Call(call) => {
            match call.target.as_deref() {
                Some(IdedExpr { expr: Expr::Ident(name), .. })
                    if NAMESPACES.contains(&name.as_str()) && !bound.contains(&name.as_str()) => {}
                Some(target) => collect(target, bound, found),
                None => {}
            }
            call.args.iter().for_each(|argument| collect(argument, bound, found));
        }
        Expr::Comprehension(all) => {
            collect(&all.iter_range, bound, found);
            collect(&all.accu_init, bound, found);
            let outside = bound.len();
            bound.push(&all.accu_var);
            bound.push(&all.iter_var);
            bound.extend(all.iter_var2.as_deref());
            for inside in [&all.loop_cond, &all.loop_step, &all.result] {
                collect(inside, bound, found);
            }
            bound.truncate(outside);
        }
        Expr::List(list) => list.elements.iter().for_each(|element| collect(element, bound, found)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| collect_entry(&entry.expr, bound, found)),
        Expr::Struct(all) => all.entries.iter().for_each(|entry| collect_entry(&entry.expr, bound, found)),
        Expr::Select(select) => collect(&select.operand, bound, found),
        Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn collect_entry<'a>(entry: &'a EntryExpr, bound: &mut Vec<&'a str>, found: &mut BTreeSet<String>) {
    match entry {
        EntryExpr::StructField(field) => collect(&field.value, bound, found),
        EntryExpr::MapEntry(entry) => {
            collect(&entry.key, bound, found);
            collect(&entry.value, bound, found);
        }
    }
}

/// A value of JSON in CEL.
#[must_use]
pub fn to_cel(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(uint)) => Value::UInt(uint),
            (None, None) => number.as_f64().map_or(Value::Null, Value::Float),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Json::Object(fields) => map(fields.iter().map(|(name, field)| (name.clone(), to_cel(field)))),
    }
}

/// A map with names as its keys.
#[must_use]
pub fn map(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (Key::String(Arc::new(name)), value));
    Value::Map(Map { map: Arc::new(fields.collect::<HashMap<_, _>>()) })
}

/// A value of CEL in JSON, a map's keys in order. What JSON has not becomes: a number that is none the words `NaN`, `+Inf`
/// and `-Inf`, bytes base64, a duration its seconds, a time its text, and everything else `null`.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(int) => Json::from(*int),
        Value::UInt(uint) => Json::from(*uint),
        Value::Float(float) => float_to_json(*float),
        Value::String(text) => Json::String(text.to_string()),
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes.as_slice())),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(fields) => {
            let mut fields: Vec<_> = fields.map.iter().map(|(key, field)| (key.to_string(), to_json(field))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(fields.into_iter().collect())
        }
        Value::Duration(duration) => {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of a duration in a CEL expression")]
            let milliseconds = duration.num_milliseconds() as f64;
            float_to_json(milliseconds / 1000.0)
        }
        Value::Timestamp(time) => Json::String(time.to_rfc3339()),
        _ => Json::Null,
    }
}

/// A number with a fraction in JSON; `NaN`, `+Inf` and `-Inf` as words, as Prometheus writes them.
#[must_use]
pub fn float_to_json(float: f64) -> Json {
    let word = match float {
        float if float.is_nan() => "NaN",
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        float => return Json::from(float),
    };
    Json::String(word.into())
}

/// The first mistake of an expression, with its line and column.
fn mistake(errors: &ParseErrors) -> String {
    let Some(error) = errors.errors.first() else { return "the expression cannot be read".into() };
    let (line, column) = error.pos;
    format!("{line}:{column}: {}", printable::short_line(&error.msg, LONGEST_ERROR))
}

/// An error of an evaluation, on one short line.
fn said(error: &ExecutionError) -> String {
    printable::short_line(&error.to_string(), LONGEST_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn eval(expression: &str, value: &Json) -> Result<Json, String> {
        let mut context = context();
        context.add_variable_from_value("v", to_cel(value));
        evaluate(&compile(expression)?, &context).map(|value| to_json(&value))
    }

    /// The trap for which this module is there: with the library's own conversion these are false.
    #[test]
    fn whole_numbers_are_equal_to_those_of_an_expression() {
        let value = json!({"a": 5, "zero": 0, "minus": -1, "list": [1, 2, 3], "map": {"x": {"n": 7}}});
        for expression in [
            "v.a == 5",
            "v.zero == 0",
            "v.minus == -1",
            "3 in v.list",
            "v.list.exists(x, x == 2)",
            "v.map.x.n == 7",
            "v.list[0] + 4 == v.a",
            "v.list == [1, 2, 3]",
            "v.list.sum() == 6",
            "v.list.max() == 3",
            "size(v.list) == 3",
        ] {
            assert_eq!(eval(expression, &value), Ok(json!(true)), "{expression}");
        }
    }

    #[test]
    fn the_trap_is_still_there_in_the_library() {
        let mut context = context();
        context.add_variable("v", json!({"a": 5})).unwrap();
        let equal = evaluate(&compile("v.a == 5").unwrap(), &context).map(|value| to_json(&value));
        assert_ne!(equal, Ok(json!(true)), "the library takes JSON well by now: this module can go");
    }

    #[test]
    fn numbers_with_a_fraction_compare_and_are_not_equal_to_whole_ones() {
        let value = json!({"one": 1.0, "half": 0.5});
        for (expression, expected) in [
            ("v.one == 1.0", true),
            ("v.one == 1", false),
            ("v.one >= 1 && v.one <= 1", true),
            ("v.half < 1", true),
            ("int(v.one) == 1", true),
        ] {
            assert_eq!(eval(expression, &value), Ok(json!(expected)), "{expression}");
        }
    }

    #[test]
    fn large_numbers_keep_their_value() {
        for value in [json!(i64::MAX), json!(i64::MIN), json!(u64::MAX), json!(1.5e300), json!(-0.25)] {
            assert_eq!(to_json(&to_cel(&value)), value);
        }
        assert!(matches!(to_cel(&json!(u64::MAX)), Value::UInt(u64::MAX)));
        assert!(matches!(to_cel(&json!(9_223_372_036_854_775_807_u64)), Value::Int(i64::MAX)));
    }

    #[test]
    fn what_json_has_not_becomes_words() {
        assert_eq!(eval("0.0 / 0.0", &json!(null)), Ok(json!("NaN")));
        assert_eq!(eval("[1.0 / 0.0, -1.0 / 0.0]", &json!(null)), Ok(json!(["+Inf", "-Inf"])));
        assert_eq!(eval("b'ab'", &json!(null)), Ok(json!("YWI=")));
        assert_eq!(eval("duration('1500ms')", &json!(null)), Ok(json!(1.5)));
        assert_eq!(eval("timestamp('2026-01-02T03:04:05Z')", &json!(null)), Ok(json!("2026-01-02T03:04:05+00:00")));
        assert_eq!(eval("{2: 'two', 1: 'one'}", &json!(null)).unwrap().to_string(), r#"{"1":"one","2":"two"}"#);
    }

    #[test]
    fn the_functions_of_kubernetes_are_there() {
        for expression in [
            "['a', 'b'].join('-') == 'a-b'",
            "'a,b'.split(',').size() == 2",
            "math.greatest(1, 2) == 2",
            "'%s has %d'.format(['a', 2]) == 'a has 2'",
            "sets.contains([1, 2], [2])",
        ] {
            assert_eq!(eval(expression, &json!(null)), Ok(json!(true)), "{expression}");
        }
    }

    #[test]
    fn errors_are_short_sentences() {
        assert_eq!(eval("v.b", &json!({"a": 1})), Err("No such key: b".into()));
        assert_eq!(eval("nope + 1", &json!(null)), Err("Undeclared reference to 'nope'".into()));
        let parse = eval("1 +\n + 2", &json!(null)).unwrap_err();
        assert!(parse.starts_with("2:"), "{parse}");
        let long = eval("v + 1", &json!(vec!["x"; 10_000])).unwrap_err();
        assert!(long.chars().count() <= LONGEST_ERROR + 1, "{long}");
    }

    #[test]
    fn the_variables_of_an_expression_are_those_from_outside() {
        let of = |expression| variables(&compile(expression).unwrap()).into_iter().collect::<Vec<_>>();
        assert_eq!(of("v.a.filter(x, x.b > limit).map(x, x.c + v.d)"), ["limit", "v"]);
        assert_eq!(of("math.abs(x) > 1 && has(y.z)"), ["x", "y"]);
        assert_eq!(of("[x].exists(x, x == 1)"), ["x"]);
        assert_eq!(of("{'a': b, c: 1}"), ["b", "c"]);
        assert_eq!(of("true ? a : b[c]"), ["a", "b", "c"]);
        assert_eq!(of("'%d'.format([n])"), ["n"]);
        assert_eq!(of("v.exists(math, math.size() > 0)"), ["v"]);
    }

    #[test]
    fn nothing_in_an_expression_takes_the_process_down() {
        for expression in ["-v", "v - 1", "v * v", "v / -1", "v % -1", "v / 0", "int(1e300)", "'x'.matches('(')"] {
            let _ = eval(expression, &json!(i64::MIN));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_compiler_panic(text in ".{0,60}") {
            let _ = compile(&text);
        }
    }
}
