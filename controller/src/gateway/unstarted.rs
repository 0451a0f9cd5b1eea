//! A refusal where a stream was to begin.
//!
//! Of an answer that is no stream Docker's client shows the number alone. So whoever offered its connection
//! gets it, with the sentence on it and nothing else; what the client asks next tells it that nothing ran: the
//! state of an exec, the end of a wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::timeout;

use super::body::{Body, BoxError, json};
use super::forward::{Caller, Gateway, Place};
use super::refusal::Refusal;
use super::request::{Ask, Reference};
use super::run::switching;

/// What a shell says of a command that cannot be run.
const NOT_RUN: i64 = 126;
/// The stream of errors, in the frames in which an engine sends several streams as one.
const ERRORS: u8 = 2;
/// How long a client gets to take its sentence.
const PATIENCE: Duration = Duration::from_secs(10);

impl Gateway {
    /// Runs a command or joins a container; if that is refused the refusal is told on the stream.
    pub(super) async fn streamed(self: Arc<Self>, ask: Ask, caller: Caller) -> Result<Response<Body>, Refusal> {
        let (upgrade, place) = (caller.upgrade.clone(), caller.place.clone());
        let done = match ask {
            Ask::ExecStart(..) => self.clone().exec_start(ask.clone(), caller).await,
            _ => self.clone().of_container(ask.clone(), caller).await,
        };
        if let (Ok(_), Ask::ExecStart(id, _)) = (&done, &ask) {
            self.execs().mark(id, false);
        }
        let (refusal, upgrade) = match (done, upgrade) {
            // What is not there looks as the engine has it.
            (Err(refusal), Some(upgrade)) if refusal.status != StatusCode::NOT_FOUND => (refusal, upgrade),
            (done, _) => return done,
        };
        let has_terminal = match &ask {
            Ask::ExecStart(id, _) => {
                self.execs().mark(id, true);
                self.execs().get(id).and_then(|exec| exec.config.tty).unwrap_or(false)
            }
            Ask::Container(reference, _) => self.refused_attach(reference).await,
            _ => false,
        };
        tokio::spawn(tell(upgrade, sentence(&refusal, has_terminal), place));
        Ok(switching())
    }

    /// Who waits for a container to which it cannot be attached would wait for as long as that runs: Docker's
    /// client does both at once. Says whether the container has a terminal.
    async fn refused_attach(&self, reference: &Reference) -> bool {
        let Ok(container) = self.inventory.container(reference, false).await else { return false };
        // Nobody waits.
        let _ = self.refused_attaches.send(container.id.clone());
        let inspect = self.inventory.inspect(&container.id).await.ok();
        inspect.and_then(|inspect| inspect.config.as_ref()?.tty).unwrap_or(false)
    }

    /// Waits for a container, at most until an attach to it is refused.
    pub(super) async fn waited(self: Arc<Self>, ask: Ask, caller: Caller) -> Result<Response<Body>, Refusal> {
        let refused = self.refused_attaches.subscribe();
        let Ask::Container(reference, _) = &ask else { return self.of_container(ask, caller).await };
        let id = self.inventory.container(reference, false).await?.id;
        let (head, body) = self.of_container(ask, caller).await?.into_parts();
        Ok(Response::from_parts(head, until(body, refused, id)))
    }

    /// What is said of an exec whose start was refused.
    pub(super) fn unstarted(&self, id: &str) -> Option<Response<Body>> {
        let exec = self.execs().get(id).filter(|exec| exec.refused)?;
        let state =
            json!({ "ID": id, "ContainerID": exec.container.id, "Running": false, "ExitCode": NOT_RUN, "Pid": 0 });
        Some(json(StatusCode::OK, &state))
    }
}

/// The sentence as it is read: as text on a terminal, in a frame otherwise.
fn sentence(refusal: &Refusal, has_terminal: bool) -> Bytes {
    let text = format!("operator gateway: {}", refusal.reason);
    if has_terminal {
        return Bytes::from(text + "\r\n");
    }
    let text = text + "\n";
    let mut frame = BytesMut::with_capacity(8 + text.len());
    frame.put_slice(&[ERRORS, 0, 0, 0]);
    frame.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frame.put_slice(text.as_bytes());
    frame.freeze()
}

/// Writes the sentence and ends the stream.
async fn tell(upgrade: OnUpgrade, sentence: Bytes, place: Place) {
    let telling = async {
        let Ok(upgraded) = upgrade.await else { return };
        let mut stream = TokioIo::new(upgraded);
        if stream.write_all(&sentence).await.is_ok() && stream.shutdown().await.is_ok() {
            // What the client typed meanwhile must be taken, or closing breaks the connection before it has read.
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
        }
    };
    let _ = timeout(PATIENCE, telling).await;
    drop(place);
}

/// A wait's answer, cut short when an attach to this container is refused. The answer has begun by then; the
/// client shows what is no JSON in it.
fn until(body: Body, refused: Receiver<String>, id: String) -> Body {
    let chunks = stream::try_unfold(Some((body, refused, id)), |state| async {
        let Some((mut body, mut refused, id)) = state else { return Ok(None) };
        let heard = async {
            loop {
                match refused.recv().await {
                    Ok(container) if container != id => {}
                    // Which ones were missed is not known; a wait can be repeated.
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            frame = body.frame() => match frame {
                Some(frame) => Ok::<_, BoxError>(Some((frame?, Some((body, refused, id))))),
                None => Ok(None),
            },
            () = heard => {
                let text = "operator gateway: waiting ended, for attaching to this container was refused";
                Ok(Some((Frame::data(Bytes::from_static(text.as_bytes())), None)))
            }
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_text_on_a_terminal_and_an_error_elsewhere() {
        let refusal = Refusal::forbidden("no");
        assert_eq!(sentence(&refusal, true), "operator gateway: no\r\n");
        let frame = sentence(&refusal, false);
        assert_eq!(frame[..8], [2, 0, 0, 0, 0, 0, 0, 21]);
        assert_eq!(&frame[8..], b"operator gateway: no\n");
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_own_containers_refusal() {
        let (refuse, refused) = tokio::sync::broadcast::channel(4);
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>()).boxed_unsync();
        let mut body = until(never, refused, "a".into());
        refuse.send("b".into()).unwrap();
        assert!(timeout(Duration::from_millis(20), body.frame()).await.is_err());
        refuse.send("a".into()).unwrap();
        let text = body.collect().await.unwrap().to_bytes();
        assert!(text.starts_with(b"operator gateway: "), "{text:?}");
    }
}
