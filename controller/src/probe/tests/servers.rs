//! Servers of a few lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server that ends with the test's runtime.
pub(super) struct Server {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/x", self.port)
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Serves each connection; the handler gets its number, from 0.
pub(super) async fn serve<F, Fut>(handle: F) -> Server
where
    F: Fn(TcpStream, usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream, count.fetch_add(1, Ordering::SeqCst)));
        }
    });
    Server { port, connections }
}

/// Reads the head of one request; nothing at the end of the connection.
pub(super) async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let read = stream.read_line(&mut head).await.ok()?;
        if read == 0 {
            return None;
        }
        if head.ends_with("\r\n\r\n") {
            return Some(head);
        }
    }
}

/// Answers the first request of each connection with these bytes and closes it.
pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Server {
    let answer: Arc<[u8]> = answer.into().into();
    serve(move |stream, _| {
        let answer = answer.clone();
        async move {
            let mut stream = BufReader::new(stream);
            if head(&mut stream).await.is_some() {
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                // Who closes with something unread resets the connection.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await
}

/// An answer with a length.
pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A port on which nobody listens.
pub(super) async fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Takes what comes and says nothing.
pub(super) async fn silent() -> Server {
    serve(|mut stream, _| async move {
        let mut sink = [0; 1024];
        while let Ok(1..) = stream.read(&mut sink).await {}
        std::future::pending::<()>().await;
    })
    .await
}

/// Says something and then repeats something for ever, as fast as it is taken.
pub(super) async fn flooding(first: &'static [u8], then: &'static [u8]) -> Server {
    serve(move |mut stream, _| async move {
        let _ = stream.write_all(first).await;
        let many = then.repeat((64 << 10) / then.len());
        while stream.write_all(&many).await.is_ok() {}
    })
    .await
}
