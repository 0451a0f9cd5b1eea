//! Looks as escape sequences, where a person sits in front of a terminal; elsewhere text alone.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;

use crate::text;

/// A line, with colours if the output is a terminal.
#[must_use]
pub(super) fn line(line: &Line) -> String {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    painted(line, *COLOURS.get_or_init(|| std::io::stdout().is_terminal()))
}

pub(super) fn painted(line: &Line, colours: bool) -> String {
    let mut out = String::new();
    for span in &line.spans {
        let words = text::clean(&span.content);
        let codes = if colours { codes(line.style.patch(span.style)) } else { String::new() };
        if codes.is_empty() {
            out.push_str(&words);
        } else {
            out.extend(["\u{1b}[", &codes, "m", &words, "\u{1b}[0m"]);
        }
    }
    if colours { out } else { out.trim_end().to_owned() }
}

/// The codes of a style: those that the themes use.
fn codes(style: Style) -> String {
    let mut codes: Vec<String> = Vec::new();
    let modifiers = [
        (Modifier::BOLD, 1),
        (Modifier::DIM, 2),
        (Modifier::ITALIC, 3),
        (Modifier::UNDERLINED, 4),
        (Modifier::REVERSED, 7),
    ];
    for (modifier, code) in modifiers {
        if style.add_modifier.contains(modifier) {
            codes.push(code.to_string());
        }
    }
    codes.extend(style.fg.and_then(number).map(|number| number.to_string()));
    codes.extend(style.bg.and_then(number).map(|number| (number + 10).to_string()));
    codes.join(";")
}

fn number(colour: Color) -> Option<u8> {
    Some(match colour {
        Color::Black => 30,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Blue => 34,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::Gray => 37,
        Color::DarkGray => 90,
        Color::LightRed => 91,
        Color::LightGreen => 92,
        Color::LightYellow => 93,
        Color::LightBlue => 94,
        Color::LightMagenta => 95,
        Color::LightCyan => 96,
        Color::White => 97,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ratatui::text::Span;

    use super::*;
    use crate::theme::{Role, Theme, ThemeName};

    #[test]
    fn only_a_terminal_gets_escape_sequences_and_only_ours() {
        let theme = Theme::new(ThemeName::Ansi);
        let shown =
            Line::from(vec![Span::styled("FIRE", theme.style(Role::Trouble)), Span::raw(" \u{1b}[2Jover_limit  ")]);
        assert_eq!(painted(&shown, false), "FIRE over_limit");
        assert_eq!(painted(&shown, true), "\u{1b}[1;31mFIRE\u{1b}[0m over_limit  ");
    }
}
