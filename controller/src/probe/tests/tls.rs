use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::servers::{Server, flooding, ok, serve, silent};
use super::{SHORT, again, fails, runner};

/// A certificate that nobody vouches for but itself, and its key: for tests, and for nothing else.
const CERTIFICATE: &str = include_str!("../../../tests/fixtures/tls/localhost.crt");
const KEY: &str = include_str!("../../../tests/fixtures/tls/localhost.key");

async fn secured() -> Server {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut request = [0; 4096];
            while let Ok(1..) = stream.read(&mut request).await {
                stream.write_all(ok("1").as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

fn probe(server: &Server, insecure: bool) -> Value {
    json!({"http": {"url": format!("https://localhost:{}/", server.port), "insecure": insecure}})
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_unless_the_author_says_so() {
    let server = secured().await;
    let said = fails(probe(&server, false)).await;
    assert_eq!(said, "nobody known vouches for the certificate of localhost");
    let runner = runner(probe(&server, true));
    for _ in 0..3 {
        assert_eq!(again(&runner).await.value, Some(json!(1)));
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_does_not_speak_tls_is_said() {
    let server = flooding(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x").await;
    assert_eq!(fails(probe(&server, false)).await, "localhost does not answer in TLS");
    let server = silent().await;
    let mut slow = probe(&server, false);
    slow["timeout"] = json!(SHORT);
    assert_eq!(fails(slow).await, "no answer within 300ms, while shaking hands in TLS");
}
