//! Frames: four bytes of length (big endian) and that many bytes of JSON, never more than [`MAX_FRAME`].

use std::time::Duration;

use bytes::Bytes;
use futures::{Sink, SinkExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedWrite, LengthDelimitedCodec};

use super::protocol::MAX_FRAME;

/// A peer that takes no bytes for this long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not the JSON of a frame.
    #[error("not a frame of this protocol: {0}")]
    Garbage(#[from] serde_json::Error),
    /// It would be longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
}

/// Cuts a stream of bytes into frames.
#[must_use]
pub fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec()
}

/// A frame's bytes, without the length.
pub fn encode<T: Serialize>(frame: &T) -> Result<Bytes, FrameError> {
    let bytes = serde_json::to_vec(frame)?;
    if bytes.len() > MAX_FRAME { Err(FrameError::TooLong(bytes.len())) } else { Ok(bytes.into()) }
}

/// The frame in these bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes the queue's frames until the queue ends or the peer takes no more.
pub async fn write_all<W: AsyncWrite + Send + Unpin>(write: W, mut queue: mpsc::Receiver<Bytes>) {
    let mut sink = FramedWrite::new(write, codec());
    while let Some(frame) = queue.recv().await {
        if !matches!(timeout(PATIENCE, write_some(&mut sink, frame, &mut queue)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(PATIENCE, SinkExt::<Bytes>::close(&mut sink)).await;
}

/// All that waits goes out together: one write, one wake-up of the peer.
async fn write_some<S>(sink: &mut S, first: Bytes, queue: &mut mpsc::Receiver<Bytes>) -> Result<(), S::Error>
where
    S: Sink<Bytes> + Unpin,
{
    sink.feed(first).await?;
    while let Ok(frame) = queue.try_recv() {
        sink.feed(frame).await?;
    }
    sink.flush().await
}
