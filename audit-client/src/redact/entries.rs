//! Secrets in documents, in changes and in entries.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Edges, Masked, Redactor, commands, scan};
use crate::entry::{
    Bytes, CallOutcome, Change, ChangeEntry, ChangeOutcome, ChangeResult, CompletedChange, EntryBody, InputRecord,
    NoteEntry,
};

impl Redactor {
    /// Masks the secrets in a document: in its texts, under keys that name one, and in lists of
    /// arguments behind a flag that takes one.
    #[must_use]
    pub fn value(&self, value: &Value) -> Masked<Value> {
        let mut masked = Masked { value: value.clone(), count: 0 };
        masked.count = self.mask(&mut masked.value);
        masked
    }

    fn mask(&self, value: &mut Value) -> u64 {
        match value {
            Value::String(text) => self.mask_text(text),
            Value::Array(values) => {
                let count = self.mask_arguments(values);
                count + values.iter_mut().map(|value| self.mask(value)).sum::<u64>()
            }
            Value::Object(fields) => fields.iter_mut().map(|(key, value)| self.mask_field(key, value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }

    /// A text under a key is judged with its key, as it would stand in a file; under one that names a
    /// secret it is masked as a whole.
    fn mask_field(&self, key: &str, value: &mut Value) -> u64 {
        let Value::String(text) = value else { return self.mask(value) };
        let head = format!("{key}: ");
        let kind = |text: &str| {
            let line = format!("{head}{}", text.lines().next().unwrap_or_default());
            let found = scan::find(&self.custom, line.as_bytes(), Edges::WHOLE);
            found.into_iter().find(|one| one.start >= head.len() && one.start <= head.len() + 1).map(|one| one.kind)
        };
        match kind("aB3xZ9qLw7").and_then(|_| kind(text)) {
            Some(kind) => {
                *text = self.whole(kind, text);
                1
            }
            None => self.mask_text(text),
        }
    }

    fn mask_text(&self, text: &mut String) -> u64 {
        let masked = self.text(text);
        if masked.count > 0 {
            *text = masked.value;
        }
        masked.count
    }

    /// `["redis-cli", "-a", "x"]`: each argument alone says nothing.
    fn mask_arguments(&self, values: &mut [Value]) -> u64 {
        let texts: Vec<String> = values.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect();
        let programs: Vec<&str> = texts.iter().map(String::as_str).take(4).collect();
        let mut count = 0;
        for (flag, value) in texts.iter().zip(values.iter_mut().skip(1)) {
            if commands::takes_secret(flag, &programs)
                && let Value::String(text) = value
                && !text.is_empty()
                && !text.starts_with("[redacted:")
            {
                *text = self.whole("password", text);
                count += 1;
            }
        }
        count
    }

    /// A mark for all of a text.
    fn whole(&self, kind: &str, text: &str) -> String {
        let all = [scan::Found { start: 0, end: text.len(), kind }];
        String::from_utf8_lossy(&self.marker.replace(text.as_bytes(), &all).value).into_owned()
    }

    /// Masks the secrets in a change that is about to happen. What is sent to the engine is not touched.
    #[must_use]
    pub fn change(&self, change: &Change) -> Masked<Change> {
        let argv = self.value(&Value::from(change.argv.clone()));
        let summary = self.text(&change.summary);
        let call = self.value(&change.call);
        // The summary shows the arguments joined, where a flag and its value look like any two words.
        let shown = hide(&summary.value, &change.argv, &argv.value);
        let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Masked {
            count: argv.count.max(summary.count).max(call.count),
            value: Change {
                action: change.action.clone(),
                target: change.target.clone(),
                summary: shown,
                origin: change.origin,
                argv: argv.value.as_array().into_iter().flatten().map(words).collect(),
                call: call.value,
            },
        }
    }

    /// Masks the secrets in what came of a change.
    #[must_use]
    pub fn change_result(&self, result: &ChangeResult) -> Masked<ChangeResult> {
        let mut count = 0;
        let mut text = |text: &str| {
            let masked = self.text(text);
            count += masked.count;
            masked.value
        };
        let outcome = match &result.outcome {
            ChangeOutcome::Failed { status, message } => {
                ChangeOutcome::Failed { status: *status, message: text(message) }
            }
            ChangeOutcome::NotDone { reason } => ChangeOutcome::NotDone { reason: text(reason) },
            ChangeOutcome::Unknown { reason } => ChangeOutcome::Unknown { reason: text(reason) },
            outcome @ ChangeOutcome::Succeeded { .. } => outcome.clone(),
        };
        let details = self.value(&result.details);
        count += details.count;
        let input = result.input.as_ref().map(|input| {
            let masked = self.input(input);
            count += masked.count;
            masked.value
        });
        let value = ChangeResult { outcome, duration_ms: result.duration_ms, input, details: details.value };
        Masked { value, count }
    }

    /// The head of an input is cut where it ends.
    fn input(&self, input: &InputRecord) -> Masked<InputRecord> {
        let bytes = match &input.head {
            Bytes::Text(text) => text.clone().into_bytes(),
            Bytes::Base64(text) => STANDARD.decode(text).unwrap_or_default(),
        };
        let cut = (bytes.len() as u64) < input.bytes;
        let masked = self.bytes(&bytes, Edges { start: false, end: cut });
        let head = Bytes::from(masked.value);
        Masked { value: InputRecord { head, ..input.clone() }, count: masked.count }
    }

    /// How a call ended, as it goes on record: its reason may be the container's or the engine's.
    #[must_use]
    pub fn outcome(&self, outcome: CallOutcome) -> CallOutcome {
        match outcome {
            CallOutcome::NotStarted { reason } => CallOutcome::NotStarted { reason: self.text(&reason).value },
            CallOutcome::Unknown { reason } => CallOutcome::Unknown { reason: self.text(&reason).value },
            outcome => outcome,
        }
    }

    /// A person's words, as they go on record and as the model hears them.
    #[must_use]
    pub fn note(&self, note: &NoteEntry) -> NoteEntry {
        let author = note.author.as_ref().map(|author| self.text(author).value);
        NoteEntry { author, text: self.text(&note.text).value, ..note.clone() }
    }

    /// An entry of the loop, as it goes on record. The model's words stand in the `turn` word for word, and in a
    /// call's entry, for that is what runs; where they are repeated they are masked, and so is what a person said.
    #[must_use]
    pub fn repeated(&self, body: EntryBody) -> EntryBody {
        match body {
            EntryBody::Note(note) => EntryBody::Note(self.note(&note)),
            EntryBody::Reasoning(_) | EntryBody::Conclusion(_) => self.shown(&body).into_owned(),
            body => body,
        }
    }

    /// An entry as it is shown. What the model said stays in the trail word for word; a secret in it, which
    /// it can only have guessed or made, is masked wherever people look.
    #[must_use]
    pub fn shown<'a>(&self, body: &'a EntryBody) -> Cow<'a, EntryBody> {
        if !matches!(
            body,
            EntryBody::Reasoning(_) | EntryBody::ToolCall(_) | EntryBody::Conclusion(_) | EntryBody::Turn(_)
        ) {
            return Cow::Borrowed(body);
        }
        let mut shown = body.clone();
        let text = |text: &mut String| {
            self.mask_text(text);
        };
        match &mut shown {
            EntryBody::Reasoning(reasoning) => text(&mut reasoning.text),
            EntryBody::ToolCall(call) => {
                self.mask(&mut call.input);
                call.command.iter_mut().chain(call.reasoning.iter_mut()).for_each(text);
            }
            EntryBody::Conclusion(conclusion) => {
                [&mut conclusion.root_cause, &mut conclusion.summary].into_iter().for_each(text);
                conclusion.follow_up.iter_mut().for_each(text);
            }
            EntryBody::Turn(turn) => {
                self.mask(&mut turn.message);
            }
            _ => {}
        }
        Cow::Owned(shown)
    }

    /// An entry of a change as it goes on record.
    #[must_use]
    pub fn change_entry(&self, entry: &ChangeEntry) -> Masked<ChangeEntry> {
        match entry {
            ChangeEntry::Begun(change) => {
                let masked = self.change(change);
                Masked { value: ChangeEntry::Begun(masked.value), count: masked.count }
            }
            ChangeEntry::Completed(done) => {
                let masked = self.change_result(&done.result);
                let value = ChangeEntry::Completed(CompletedChange { change: done.change, result: masked.value });
                Masked { value, count: masked.count }
            }
        }
    }
}

/// A summary in which what was masked among the arguments is masked as well.
fn hide(summary: &str, argv: &[String], masked: &Value) -> String {
    let mut summary = summary.to_owned();
    for (before, after) in argv.iter().zip(masked.as_array().into_iter().flatten()) {
        let after = after.as_str().unwrap_or_default();
        if before != after && !before.is_empty() {
            summary = summary.replace(before.as_str(), after);
        }
    }
    summary
}
