//! Errors in one sentence.

use std::error::Error;

/// An error and its sources, joined by colons. Sources that only repeat what stands there already
/// are left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = said(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let said = said(cause);
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// What an error says of itself. The client's API errors repeat themselves as a data structure.
fn said(error: &dyn Error) -> String {
    let text = error.to_string();
    match text.find(" (Status { ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_error_is_one_sentence() {
        let status = kube::core::Status::failure("pods is forbidden", "Forbidden").with_code(403);
        let said = chain(&kube::Error::Api(Box::new(status)));
        assert_eq!(said, "ApiError: pods is forbidden: Forbidden");
    }
}
