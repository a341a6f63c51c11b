//! TLS by files: a certificate and its key, read again when the files change, so that a renewed certificate needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::ServerConfig as ServerKeys;

/// The largest file of certificates or keys.
const MOST_BYTES: u64 = 1 << 20;

/// What the two files were when they were read: when they changed, and how long they are.
type Stamp = [(Option<SystemTime>, u64); 2];

/// The certificate that the server shows, and its key.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    read: Mutex<(Stamp, TlsAcceptor)>,
}

impl Tls {
    /// Reads what the configuration names; `None` where it names nothing.
    ///
    /// # Errors
    /// One of the two is missing, can't be read or is no such file, or they don't belong together.
    pub fn new(keys: &ServerKeys) -> anyhow::Result<Option<Self>> {
        let (certificate, key) = (&keys.tls_certificate, &keys.tls_key);
        match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) => return Ok(None),
            (false, false) => {}
            (true, false) => bail!("server.tls_key is set and server.tls_certificate is not: TLS needs both"),
            (false, true) => bail!("server.tls_certificate is set and server.tls_key is not: TLS needs both"),
        }
        let stamp = [stamp(certificate), stamp(key)];
        let read = Mutex::new((stamp, acceptor(certificate, key)?));
        Ok(Some(Self { certificate: certificate.clone(), key: key.clone(), read }))
    }

    /// Takes connections with the certificate that the files hold now. Files that are wrong leave the last good one in place.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = [stamp(&self.certificate), stamp(&self.key)];
        if now != read.0 {
            read.0 = now;
            match acceptor(&self.certificate, &self.key) {
                Ok(renewed) => {
                    tracing::info!("server.tls_certificate has changed and was read again");
                    read.1 = renewed;
                }
                Err(error) => tracing::warn!("{error:#}; the certificate read before stays in use"),
            }
        }
        read.1.clone()
    }
}

fn stamp(path: &Path) -> (Option<SystemTime>, u64) {
    fs::metadata(path).map_or((None, 0), |about| (about.modified().ok(), about.len()))
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let place = |name: &str, path: &Path| format!("server.{name} {}", path.display());
    let pem = text(certificate).with_context(|| place("tls_certificate", certificate))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} is not in PEM", place("tls_certificate", certificate)))?;
    if chain.is_empty() {
        bail!(
            "{} holds no certificate: it must be in PEM, as in \"-----BEGIN CERTIFICATE-----\"",
            place("tls_certificate", certificate)
        );
    }
    let pem = text(key).with_context(|| place("tls_key", key))?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let place = place("tls_key", key);
        anyhow::anyhow!(
            "{place} holds no private key without a password: it must be in PEM, as in \"-----BEGIN PRIVATE KEY-----\""
        )
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| {
            let certificate = place("tls_certificate", certificate);
            let message = match error {
                rustls::Error::InconsistentKeys(_) => format!("server.tls_key does not belong to {certificate}"),
                _ => format!("{} can't be used with {certificate}", place("tls_key", key)),
            };
            anyhow::Error::new(error).context(message)
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A file of bounded length.
fn text(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MOST_BYTES {
        return Err(io::Error::other(format!("is larger than {MOST_BYTES} bytes")));
    }
    fs::read(path)
}
