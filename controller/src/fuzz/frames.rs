//! What supervisor and gateway send: frames of both protocols, cut out of a stream that comes in any pieces.

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::gateway::protocol::{FromController, FromGateway};
use crate::sandbox::CommandResult;
use crate::sandbox::changes::play;
use crate::supervisor::frames::{FrameError, codec, decode, encode};
use crate::supervisor::protocol::{MAX_FRAME, Reply, Request};

/// The bytes of a frame's length.
const HEAD: usize = 4;

/// A stream of frames. The first byte says in what pieces it comes; the second whether the rest is the stream itself
/// (even), or lines of which each is a frame's text (odd), which is easier to mutate.
///
/// # Panics
///
/// If something does not hold that must.
pub fn frames(data: &[u8]) {
    let [piece, kind, rest @ ..] = data else { return };
    let stream = if kind % 2 == 0 { BytesMut::from(rest) } else { framed(rest.split(|byte| *byte == b'\n')) };
    let whole = cut(&[&stream]);
    let pieces: Vec<&[u8]> = stream.chunks(usize::from(*piece).max(1)).collect();
    assert_eq!(cut(&pieces), whole, "pieces make a difference");
    let (frames, broken) = whole;
    let length: usize = frames.iter().map(|frame| HEAD + frame.len()).sum();
    assert!(frames.iter().all(|frame| frame.len() <= MAX_FRAME) && length <= stream.len());
    let again = framed(frames.iter().map(Vec::as_slice));
    assert_eq!(again[..], stream[..length], "frames are written as they were read");
    if !broken && length == stream.len() && kind % 2 == 1 {
        assert_eq!(frames.len(), rest.split(|byte| *byte == b'\n').count());
    }
    let mut changes = Vec::new();
    for frame in &frames {
        round::<Request>(frame);
        round::<FromController>(frame);
        if let Some(Reply::Finished(outcome)) = round::<Reply>(frame) {
            let (size, is_consistent) = (outcome.size(), outcome.is_consistent());
            let result = CommandResult::from(*outcome);
            assert!(size >= result.stdout.head.len() + result.stderr.tail.len());
            let kept = (result.stdout.head.len() + result.stdout.tail.len()) as u64;
            assert!(!is_consistent || result.stdout.total >= kept);
        }
        changes.extend(round::<FromGateway>(frame));
    }
    play::changes(changes, *piece);
}

/// The stream that has these frames, without those that are too long.
fn framed<'a>(frames: impl Iterator<Item = &'a [u8]>) -> BytesMut {
    let mut stream = BytesMut::new();
    for frame in frames {
        let written = codec().encode(bytes::Bytes::copy_from_slice(frame), &mut stream);
        assert!(written.is_ok(), "a frame of {} bytes could not be written", frame.len());
    }
    stream
}

/// The frames of a stream in pieces, and whether it broke.
fn cut(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let (mut codec, mut waiting, mut frames) = (codec(), BytesMut::new(), Vec::new());
    for piece in pieces {
        waiting.extend_from_slice(piece);
        loop {
            match codec.decode(&mut waiting) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
        // A stranger's word on how long a frame will be is believed up to a limit.
        assert!(waiting.capacity() <= 2 * (HEAD + MAX_FRAME), "{} bytes are held", waiting.capacity());
    }
    (frames, false)
}

/// What was read is written so that it reads the same, and what is written is the same each time.
fn round<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(frame: &[u8]) -> Option<T> {
    let value = decode::<T>(frame).ok()?;
    match encode(&value) {
        Ok(written) => {
            assert!(written.len() <= MAX_FRAME);
            let again = decode::<T>(&written);
            assert_eq!(again.as_ref().ok(), Some(&value), "{again:?}");
            assert!(encode(&value).is_ok_and(|again| again == written));
        }
        // A short text may need more room when it is written plainly.
        Err(FrameError::TooLong(length)) => assert!(length > MAX_FRAME),
        Err(FrameError::Garbage(error)) => unreachable!("what was read cannot be written: {error}"),
    }
    Some(value)
}
