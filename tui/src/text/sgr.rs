//! Colours of what commands printed, as styles.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::bounded;
use super::escape::{clean, is_dropped};

/// One line with its colours, everything else harmless. `style` is what holds before the first colour; the style at the
/// end comes back, so that a colour can go over several lines.
#[must_use]
pub fn styled(line: &str, base: Style, style: Style, colour: bool) -> (Vec<Span<'static>>, Style) {
    let (line, left_out) = bounded(line);
    let mut spans = Vec::new();
    let mut now = style;
    let mut rest = line;
    while let Some(start) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(start);
        push(&mut spans, before, now);
        if let Some((parameters, length)) = sgr(sequence) {
            if colour {
                now = apply(parameters, base, now);
            }
            rest = &sequence[length..];
        } else {
            // All of the sequence goes: clean() of the whole rest is cheap, as it is done once a sequence.
            let mut chars = sequence[1..].chars();
            super::escape::skip_escape(&mut chars);
            rest = chars.as_str();
        }
    }
    push(&mut spans, rest, now);
    if left_out > 0 {
        spans.push(Span::styled(format!("… +{} bytes", super::number(left_out as u64)), base));
    }
    (spans, now)
}

fn push(spans: &mut Vec<Span<'static>>, text: &str, style: Style) {
    let harmless = if text.contains(is_dropped) { clean(text) } else { text.to_owned() };
    if !harmless.is_empty() {
        spans.push(Span::styled(harmless, style));
    }
}

/// The parameters of a sequence that sets a colour, and its length.
fn sgr(sequence: &str) -> Option<(&str, usize)> {
    let parameters = sequence.strip_prefix("\u{1b}[")?;
    let length = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';' || *b == b':').count();
    (parameters.as_bytes().get(length) == Some(&b'm') && length < 64).then(|| (&parameters[..length], length + 3))
}

fn apply(parameters: &str, base: Style, mut style: Style) -> Style {
    let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
    while let Some(code) = codes.next() {
        style = match code {
            0 => base,
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style.remove_modifier(Modifier::ITALIC),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            29 => style.remove_modifier(Modifier::CROSSED_OUT),
            30..=37 => style.fg(basic(code - 30)),
            // What cannot be read leaves nobody who knows where the next code begins.
            38 => match extended(&mut codes) {
                Some(colour) => style.fg(colour),
                None => return style,
            },
            39 => Style { fg: base.fg, ..style },
            40..=47 => style.bg(basic(code - 40)),
            48 => match extended(&mut codes) {
                Some(colour) => style.bg(colour),
                None => return style,
            },
            49 => Style { bg: base.bg, ..style },
            90..=97 => style.fg(bright(code - 90)),
            100..=107 => style.bg(bright(code - 100)),
            _ => style,
        };
    }
    style
}

fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<Color> {
    let byte = |code: Option<u16>| code.and_then(|code| u8::try_from(code).ok());
    match codes.next()? {
        5 => byte(codes.next()).map(Color::Indexed),
        2 => Some(Color::Rgb(byte(codes.next())?, byte(codes.next())?, byte(codes.next())?)),
        _ => None,
    }
}

fn basic(number: u16) -> Color {
    const COLOURS: [Color; 8] =
        [Color::Black, Color::Red, Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::Cyan, Color::Gray];
    COLOURS[usize::from(number) % 8]
}

fn bright(number: u16) -> Color {
    const COLOURS: [Color; 8] = [
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    COLOURS[usize::from(number) % 8]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(line: &str) -> Vec<(String, Style)> {
        let (spans, _) = styled(line, Style::new(), Style::new(), true);
        spans.into_iter().map(|span| (span.content.into_owned(), span.style)).collect()
    }

    #[test]
    fn colours_stay_and_nothing_else() {
        let red = Style::new().fg(Color::Red);
        assert_eq!(
            parts("a\x1b[31mb\x1b[2Jc\x1b[0md"),
            [
                ("a".to_owned(), Style::new()),
                ("b".to_owned(), red),
                ("c".to_owned(), red),
                ("d".to_owned(), Style::new())
            ]
        );
        let deep = Style::new().fg(Color::Indexed(208)).bg(Color::Rgb(1, 2, 3));
        assert_eq!(parts("\x1b[38;5;208;48;2;1;2;3mx"), [("x".to_owned(), deep)]);
        assert_eq!(parts("\x1b]0;title\x07x"), [("x".to_owned(), Style::new())]);
        assert_eq!(parts("\x1b[38;5m\x1b[38;9;9mx"), [("x".to_owned(), Style::new())]);
    }

    #[test]
    fn a_colour_goes_on_and_may_be_refused() {
        let (_, style) = styled("\x1b[1;32mok", Style::new(), Style::new(), true);
        assert_eq!(style, Style::new().fg(Color::Green).add_modifier(Modifier::BOLD));
        let (spans, style) = styled("\x1b[1;32mok", Style::new(), Style::new(), false);
        assert_eq!((spans[0].style, style), (Style::new(), Style::new()));
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left(text in "(\\PC|[\u{1b}\u{9b}\u{9d}\u{90}\u{7}\\[\\];m0-9\u{202e}\t]){0,60}") {
            let (spans, _) = styled(&text, Style::new(), Style::new(), true);
            prop_assert!(!spans.iter().any(|span| span.content.contains(is_dropped)));
        }
    }
}
