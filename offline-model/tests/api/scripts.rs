//! The script format: conditions, captures, uses, and what is refused.

use offline_model::ScriptSet;
use serde_json::{Value, json};

use crate::support::{Agent, offline, request};

#[tokio::test]
async fn the_first_rule_that_matches_answers() {
    let offline = offline(
        r"
rules:
  - {name: system, when: {system: 'no such prompt'}, answer: {text: s}}
  - {name: title, when: {turn: 0, user: ['redis', '(?<n>\d+) nodes']}, answer: {text: 'title {{n}}', tools: [{name: shell, input: {}}]}}
  - {name: failed, when: {is_error: true}, answer: {text: e}}
  - {name: conclude, when: {last_tool: conclude}, answer: {text: c}}
  - {name: not, when: {turn: {min: 1}, last_tool: shell, is_error: false, not_result: 'bad', not_any_result: 'worse'}, answer: {text: n, tools: [{name: conclude, input: {}}]}}
  - {name: late, when: {turn: {min: 2, max: 3}, any_result: 'good'}, answer: {text: l}}
  - {name: told, when: {newest_user: 'please'}, answer: {text: t}}
",
    )
    .await;
    let rule = async |messages: Value| {
        let answer = offline.post(&request(messages)).await;
        let rule = answer.headers.get("x-offline-rule");
        rule.map(|rule| rule.to_str().unwrap().to_owned())
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    let call = |id: &str, name: &str| json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": {}}]});
    let result = |id: &str, text: &str, error: bool| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": text, "is_error": error}]});
    let begin = user("redis\non 3 nodes");
    assert_eq!(rule(json!([begin])).await.as_deref(), Some("title"));
    assert_eq!(rule(json!([user("redis")])).await, None);
    let shell = call("a", "shell");
    assert_eq!(rule(json!([begin, shell, result("a", "x", true)])).await.as_deref(), Some("failed"));
    assert_eq!(rule(json!([begin, shell, result("a", "good", false)])).await.as_deref(), Some("not"));
    assert_eq!(rule(json!([begin, shell, result("a", "bad", false)])).await, None);
    let good_then_bad =
        json!([begin, shell, result("a", "good", false), call("b", "shell"), result("b", "bad", false)]);
    assert_eq!(rule(good_then_bad).await.as_deref(), Some("late"));
    let concluded = json!([begin, call("a", "conclude"), result("a", "x", false)]);
    assert_eq!(rule(concluded).await.as_deref(), Some("conclude"));
    let note = json!([begin, shell, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "bad"}, {"type": "text", "text": "please"}]}]);
    assert_eq!(rule(note).await.as_deref(), Some("told"));
}

#[tokio::test]
async fn without_a_rule_it_says_so() {
    let offline = offline("rules: [{name: never, when: {turn: 99}, answer: {text: x}}]").await;
    let message = offline.say("hello").await.json();
    let text = "The offline script test has no rule for what happened here.";
    assert_eq!(message["content"], json!([{"type": "text", "text": text}]));
    assert_eq!(message["stop_reason"], "end_turn");
}

#[tokio::test]
async fn captures_come_from_every_pattern() {
    let offline = offline(
        r"
rules:
  - name: start
    when: {turn: 0}
    answer: {tools: [{name: shell, input: {command: a}}, {name: shell, input: {command: b}}]}
  - name: use
    when:
      user: 'incident (?<id>\w+)'
      system: 'in a (?<where>\w+)'
      result: ['(?s)entry (?<role>\d+).*role:(?<kind>\w+)', 'port:(?<port>\d+)']
      any_result: 'entry (?<last>\d+)'
    answer:
      text: '{{id}} {{where}}'
      tools:
        - name: conclude
          input: {evidence: ['{{role:int}}', '{{last:int}}'], text: '{{kind}}:{{port}}', go: '{{.Names}}', yes: true}
",
    )
    .await;
    let mut agent = Agent::new(&offline, "incident i7");
    let calls = agent.turn().await;
    agent.answer(&calls, &["role:slave", "port:6379"]);
    let calls = agent.turn().await;
    let expected = json!({"evidence": [2, 4], "text": "slave:6379", "go": "{{.Names}}", "yes": true});
    assert_eq!(calls[0].input, expected);
    assert_eq!(agent.messages[3]["content"][0]["text"], "i7 test");
}

#[tokio::test]
async fn a_group_that_caught_nothing_is_a_script_error() {
    let offline = offline("rules: [{name: r, when: {user: 'a(?<b>b)?'}, answer: {text: '{{b}}'}}]").await;
    assert_eq!(offline.say("ab").await.status, 200);
    let answer = offline.say("ac").await;
    assert_eq!(answer.status, 500);
    let expected = "offline script error: rule \"r\" uses {{b}}, but the group of that name caught nothing";
    assert_eq!(answer.message(), expected);
}

/// The server keeps nothing: how often a rule answered is found in the conversation itself.
#[tokio::test]
async fn uses_are_counted_from_the_conversation() {
    let script = "
rules:
  - {name: fault, when: {user: hello}, answer: {error: {status: 500, times: 1}}}
  - {name: twice, when: {uses: 2}, answer: {text: again, tools: [{name: shell, input: {}}]}}
  - {name: once, when: {uses: 1}, answer: {text: other, tools: [{name: shell, input: {}}]}}
  - {name: end, answer: {text: end}}
";
    let offline = offline(script).await;
    let mut agent = Agent::new(&offline, "go");
    let mut ids = Vec::new();
    for _ in 0..4 {
        let calls = agent.turn().await;
        agent.answer(&calls, &vec!["out"; calls.len()]);
        ids.extend(calls.into_iter().map(|call| call.id));
        if agent.rules.last().unwrap() == "end" {
            break;
        }
    }
    assert_eq!(agent.rules, ["twice", "twice", "once", "end"]);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "ids are unique in a conversation");

    let elsewhere = crate::support::offline(script).await;
    let middle = request(json!(agent.messages[..5]));
    let answer = elsewhere.post(&middle).await;
    assert_eq!(answer.headers["x-offline-rule"], "once", "another server goes on in the middle");
}

#[test]
fn wrong_scripts_are_refused_with_their_place() {
    let cases = [
        ("rules: []", "f.yaml: a script needs at least one rule"),
        ("rules:\n  - name: a\n    answr: {text: x}\n", "f.yaml:3:5: unknown field"),
        ("rules:\n  - name: a\n    when: {results: x}\n    answer: {text: x}\n", "f.yaml:3:12: unknown field"),
        (
            "rules:\n  - name: a\n    when: {result: '('}\n    answer: {text: x}\n",
            "f.yaml:3:20: wrong regular expression: error: unclosed group",
        ),
        ("rules:\n  - name: a\n    when: {turn: {mix: 1}}\n    answer: {text: x}\n", "unknown field"),
        ("rules:\n  - name: a\n    when: {turn: {min: 2, max: 1}}\n    answer: {text: x}\n", "min is greater than max"),
        ("rules:\n  - name: a\n    when: {turn: -1}\n    answer: {text: x}\n", "f.yaml:3:18:"),
        (
            "rules:\n  - name: a\n    answer: {text: '{{who}}'}\n",
            "f.yaml:2:11: rule \"a\": {{who}} is caught by no named group",
        ),
        (
            "rules:\n  - name: a\n    answer: {tools: [{name: shell, input: {a: ['{{x:int}}']}}]}\n",
            "{{x}} is caught by no named group",
        ),
        (
            "rules:\n  - name: a\n    answer: {tools: [{name: shell, input: ls}]}\n",
            "the input of tool \"shell\" is not an object",
        ),
        ("rules:\n  - name: a\n    answer: {tools: [{name: sh ell, input: {}}]}\n", "\"sh ell\" is no name of a tool"),
        ("rules:\n  - name: a\n    answer: {}\n", "the answer is empty"),
        ("rules:\n  - name: a\n    answer: {text: ' '}\n", "text and thinking must not be empty"),
        ("rules:\n  - name: a\n    answer: {text: x, times: 2}\n", "times counts for"),
        ("rules:\n  - name: a\n    answer: {text: x, invalid_tool_json: true}\n", "invalid_tool_json needs a tool"),
        ("rules:\n  - name: a\n    answer: {error: {status: 200}}\n", "200 is no error status"),
        ("rules:\n  - name: a\n    answer: {stop_reason: bored}\n", "unknown variant"),
        (
            "rules:\n  - {name: a, answer: {text: x}}\n  - {name: a, answer: {text: y}}\n",
            "f.yaml:3:12: rule \"a\": another rule has this name",
        ),
        ("rules: [", "f.yaml:"),
    ];
    for (yaml, expected) in cases {
        let said = ScriptSet::check("f.yaml", yaml).unwrap_err().to_string();
        assert!(said.starts_with("f.yaml") && said.contains(expected), "{yaml}\nsaid: {said}\nnot:  {expected}");
        assert!(!said.contains('\n'), "one line: {said}");
    }
}

#[test]
fn a_directory_is_read_as_a_config_map_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("..2026_data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("redis.yaml"), "rules: [{name: a, answer: {text: x}}]").unwrap();
    std::fs::write(data.join("notes.txt"), "no script").unwrap();
    std::os::unix::fs::symlink("..2026_data", dir.path().join("..data")).unwrap();
    for name in ["redis.yaml", "notes.txt"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
    }
    let set = ScriptSet::load_dir(dir.path()).unwrap();
    assert_eq!(set.models(), ["offline-summary", "offline-auto", "offline-redis"]);

    let refused = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, "rules: [{name: a, answer: {text: x}}]").unwrap();
        let error = ScriptSet::load_dir(dir.path()).unwrap_err().to_string();
        std::fs::remove_file(path).unwrap();
        error
    };
    assert!(refused("redis.yml").contains("two scripts called \"redis\""));
    assert!(refused("summary.yaml").contains("built in"));
    assert!(refused("Redis_1.yaml").contains("cannot be called"));
    let empty = ScriptSet::load_dir(tempfile::tempdir().unwrap().path());
    assert!(empty.unwrap_err().to_string().contains("there is no script"));
}
