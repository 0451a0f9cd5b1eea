//! JSON that is measured and not made.

use std::io;

use serde::Serialize;

/// The length of something in JSON, in bytes, without making the text.
#[must_use]
pub fn length(of: &impl Serialize) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // Counting does not fail, and a value that is no JSON is as good as too long.
    serde_json::to_writer(&mut count, of).map_or(usize::MAX / 2, |()| count.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn it_is_that_of_the_text() {
        for value in [json!(null), json!({"a": [1, 2.5, "ü\n\"", true]}), json!("")] {
            assert_eq!(super::length(&value), value.to_string().len());
        }
    }
}
