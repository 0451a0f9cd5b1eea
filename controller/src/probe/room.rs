//! Room for what comes in. Most answers are small; of large ones few are held at the same time, whatever 32 probes with
//! 64 targets each get thrown at them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest answer that is read, in bytes. What is longer is a reading that failed.
pub(super) const LONGEST_ANSWER: usize = 1 << 20;
/// Up to here an answer is small.
const SMALL: usize = 16 << 10;
/// Large answers that are held at the same time.
const LARGE: usize = 4;

/// Shared by all probes of a process.
pub(super) struct Room(Arc<Semaphore>);

/// The place of a large answer, or of what was made of it.
pub(super) type Place = Option<OwnedSemaphorePermit>;

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LARGE)))
    }

    pub(super) fn collect(&self) -> Collected<'_> {
        Collected { room: self, place: None, bytes: Vec::new() }
    }
}

/// The bytes of one answer, and its place among the large ones as long as they are needed.
pub(super) struct Collected<'a> {
    room: &'a Room,
    place: Place,
    bytes: Vec<u8>,
}

impl Collected<'_> {
    /// Takes more; waits when too many large answers are held already.
    pub(super) async fn push(&mut self, more: &[u8]) -> Result<(), String> {
        self.make_room(self.bytes.len() + more.len()).await?;
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Sees to it that `length` bytes may be held, here or by whoever says so.
    pub(super) async fn make_room(&mut self, length: usize) -> Result<(), String> {
        if length > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
        }
        if length > SMALL && self.place.is_none() {
            self.place = self.room.0.clone().acquire_owned().await.ok();
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lets the bytes go and keeps the place, for what was made of them.
    pub(super) fn into_place(self) -> Place {
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_large_answers_are_held_and_none_that_is_too_long() {
        let room = Room::new();
        let large = vec![0; SMALL + 1];
        let mut held = Vec::new();
        for _ in 0..LARGE {
            let mut one = room.collect();
            one.push(&large).await.unwrap();
            held.push(one);
        }
        let mut small = room.collect();
        small.push(&large[..SMALL]).await.unwrap();
        let mut waits = room.collect();
        assert!(futures::poll!(Box::pin(waits.push(&large))).is_pending());
        held.pop();
        waits.push(&large).await.unwrap();
        let error = waits.push(&vec![0; LONGEST_ANSWER]).await.unwrap_err();
        assert_eq!(error, "the answer is longer than 1048576 bytes");
    }
}
