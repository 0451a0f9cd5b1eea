//! Doors for the fuzzer into what reads bytes of strangers; see `fuzz/`. Not in an ordinary build.

use http::{Method, Uri};

use crate::gateway::protocol::{FromController, FromGateway};
use crate::gateway::{call, request};
use crate::supervisor::frames;
use crate::supervisor::protocol::{Reply, Request};

/// A request to the gateway: a line with method and target, then the body. What is accepted must be written
/// anew in the safe alphabet.
pub fn request(data: &[u8]) {
    let (head, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (method, target) = head.split_once(' ').unwrap_or(("GET", head));
    let (Ok(method), Ok(target)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    if let Ok(ask) = request::parse(&method, &target, body.get(1..).unwrap_or_default()) {
        let _ = call::is_change(&ask);
    }
}

/// Frames of both protocols, cut out of a stream.
pub fn frames(data: &[u8]) {
    let mut bytes = bytes::BytesMut::from(data);
    let mut codec = frames::codec();
    while let Ok(Some(frame)) = tokio_util::codec::Decoder::decode(&mut codec, &mut bytes) {
        round::<Request>(&frame);
        round::<Reply>(&frame);
        round::<FromController>(&frame);
        round::<FromGateway>(&frame);
    }
}

/// What was read is written so that it reads the same.
fn round<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(frame: &[u8]) {
    if let Ok(value) = frames::decode::<T>(frame)
        && let Ok(again) = frames::encode(&value)
    {
        assert_eq!(frames::decode::<T>(&again).ok().as_ref(), Some(&value));
    }
}

/// The model's event stream, in pieces; the first byte says how large.
pub fn events(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    crate::model::anthropic::read_all(stream, usize::from(*size).max(1));
}
