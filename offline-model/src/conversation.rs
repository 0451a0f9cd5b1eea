//! What a script can ask about a conversation.
//!
//! The server keeps no conversation: a view is made from the request's messages, whole or cut
//! short, so that an earlier moment can be looked at in the same way as the present one.

use crate::request::{Block, Message, Role};

/// One result of a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResultText<'a> {
    /// Its text.
    pub(crate) text: &'a str,
    /// Whether it is an error.
    pub(crate) is_error: bool,
}

/// A conversation up to some message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The system prompt.
    pub(crate) system: &'a str,
    messages: &'a [Message],
}

impl<'a> View<'a> {
    /// The conversation as the request has it.
    pub(crate) fn new(system: &'a str, messages: &'a [Message]) -> Self {
        Self { system, messages }
    }

    /// How many times the model has answered.
    pub(crate) fn turns(&self) -> usize {
        self.answers().count()
    }

    /// The indexes of the model's messages.
    fn answers(&self) -> impl Iterator<Item = usize> {
        self.messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant).map(|(index, _)| index)
    }

    /// The conversation as it was before each of the model's answers.
    pub(crate) fn history(&self) -> impl Iterator<Item = View<'a>> {
        let View { system, messages } = *self;
        self.answers().map(move |index| View { system, messages: messages.get(..index).unwrap_or_default() })
    }

    /// What came after the model's last answer.
    fn newest(&self) -> &'a [Message] {
        let from = self.answers().last().map_or(0, |index| index + 1);
        self.messages.get(from..).unwrap_or_default()
    }

    /// All words of the user, joined by line breaks.
    pub(crate) fn user_text(&self) -> String {
        texts(self.messages).join("\n")
    }

    /// The user's words since the model's last answer.
    pub(crate) fn newest_user_text(&self) -> String {
        texts(self.newest()).join("\n")
    }

    /// The words of the user's first message.
    pub(crate) fn first_user_text(&self) -> String {
        let first = self.messages.iter().position(|message| message.role == Role::User).map_or(0, |index| index + 1);
        texts(self.messages.get(..first).unwrap_or_default()).join("\n")
    }

    /// The last text block of the user.
    pub(crate) fn last_user_text(&self) -> Option<&'a str> {
        texts(self.messages).pop()
    }

    /// The results since the model's last answer.
    pub(crate) fn newest_results(&self) -> Vec<ResultText<'a>> {
        results(self.newest())
    }

    /// All results, oldest first.
    pub(crate) fn all_results(&self) -> Vec<ResultText<'a>> {
        results(self.messages)
    }

    /// The tool that the model called last.
    pub(crate) fn last_tool(&self) -> Option<&'a str> {
        let index = self.answers().last()?;
        self.messages.get(index)?.blocks.iter().rev().find_map(|block| match block {
            Block::ToolUse { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .filter(|message| message.role == Role::User)
        .flat_map(|message| &message.blocks)
        .filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn results(messages: &[Message]) -> Vec<ResultText<'_>> {
    messages
        .iter()
        .flat_map(|message| &message.blocks)
        .filter_map(|block| match block {
            Block::ToolResult { text, is_error, .. } => Some(ResultText { text, is_error: *is_error }),
            _ => None,
        })
        .collect()
}
