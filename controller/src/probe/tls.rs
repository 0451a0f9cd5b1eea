//! TLS for probes over HTTPS. The machine's root certificates cost memory and a moment: they are loaded when the first
//! such probe runs, and never in an observer that has none.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// Those that the machine's roots vouch for.
    Roots,
    /// Every one.
    Anyone,
}

/// Makes streams of TLS out of connections.
#[derive(Default)]
pub(super) struct Tls {
    roots: OnceCell<Option<TlsConnector>>,
    anyone: OnceCell<Option<TlsConnector>>,
}

impl Tls {
    /// Shakes hands as a client that asks for this host. An error is a sentence.
    pub(super) async fn connect(
        &self,
        trust: Trust,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let connector = match trust {
            Trust::Roots => self.roots.get_or_init(roots).await,
            Trust::Anyone => self.anyone.get_or_init(|| async { anyone() }).await,
        };
        let connector = connector.as_ref().ok_or("TLS could not be set up")?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name for a certificate"))?;
        connector.connect(name, stream).await.map_err(|error| said(&error, host))
    }
}

async fn roots() -> Option<TlsConnector> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await.ok()?;
    let mut store = RootCertStore::empty();
    // A machine without any believes no certificate, and each handshake says so.
    store.add_parsable_certificates(loaded.certs);
    connector(|builder| builder.with_root_certificates(store).with_no_client_auth())
}

fn anyone() -> Option<TlsConnector> {
    let verifier = Arc::new(Believing(Arc::new(ring::default_provider())));
    connector(|builder| builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn connector(finish: impl FnOnce(Builder) -> ClientConfig) -> Option<TlsConnector> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = finish(builder.with_safe_default_protocol_versions().ok()?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

/// Why a handshake failed, in a sentence.
fn said(error: &io::Error, host: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(error)) => certificate(error, host),
        Some(Error::InvalidMessage(_)) => format!("{host} does not answer in TLS"),
        Some(Error::AlertReceived(alert)) => format!("{host} ended the TLS handshake: {alert:?}"),
        Some(error) => format!("the TLS handshake with {host} failed: {error}"),
        None => format!("the TLS handshake with {host} failed: {}", super::answer::plain(error)),
    }
}

fn certificate(error: &CertificateError, host: &str) -> String {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => format!("the certificate of {host} has expired"),
        E::NotValidYet | E::NotValidYetContext { .. } => format!("the certificate of {host} is not valid yet"),
        E::UnknownIssuer => format!("nobody known vouches for the certificate of {host}"),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("the certificate of {host} is for another name")
        }
        E::Revoked => format!("the certificate of {host} is revoked"),
        E::BadEncoding => format!("the certificate of {host} cannot be read"),
        other => format!("the certificate of {host} is not valid: {other}"),
    }
}

/// Believes every certificate: the author of the probe says so (`insecure`).
#[derive(Debug)]
struct Believing(Arc<CryptoProvider>);

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
