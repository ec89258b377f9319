//! TLS to Redis: kombu's `ssl_*` options, carried out by rustls on ring.

use redis::{Client, ClientTlsConfig, ConnectionInfo, TlsCertificates};

use crate::error::{Error, Result};

/// The `ssl_*` options of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsOptions {
    /// `ssl_cert_reqs=none`: any certificate will do.
    pub(super) insecure: bool,
    /// `ssl_ca_certs`: the authorities, instead of the system's.
    ca_certs: Option<String>,
    /// `ssl_certfile`: our own certificate.
    certfile: Option<String>,
    /// `ssl_keyfile`: its key.
    keyfile: Option<String>,
}

impl TlsOptions {
    pub(super) fn from_query(query: impl Fn(&str) -> Option<String>, setting: &str) -> Result<Self> {
        let insecure = match query("ssl_cert_reqs").as_deref() {
            None | Some("CERT_REQUIRED" | "required" | "CERT_OPTIONAL" | "optional") => false,
            Some("CERT_NONE" | "none") => true,
            Some(_) => return Err(Error::config(format!("{setting}: ssl_cert_reqs is one of required, optional, none"))),
        };
        Ok(Self { insecure, ca_certs: query("ssl_ca_certs"), certfile: query("ssl_certfile"), keyfile: query("ssl_keyfile") })
    }

    /// A client with these certificates. The files are read here and not by the program, because they stand in the URL.
    pub(super) fn client(&self, info: ConnectionInfo) -> Result<Client> {
        // rustls would choose by itself, but panics in a program that was built with two providers and chose none.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _raced = rustls::crypto::ring::default_provider().install_default();
        }
        let wrong = |cause: redis::RedisError| Error::config(format!("TLS to Redis: {cause}"));
        if self.ca_certs.is_none() && self.certfile.is_none() {
            return Client::open(info).map_err(wrong);
        }
        let read = |path: &String| std::fs::read(path).map_err(|cause| Error::config(format!("TLS to Redis: {path}: {cause}")));
        let client_tls = match (&self.certfile, &self.keyfile) {
            (Some(cert), key) => {
                Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key.as_ref().unwrap_or(cert))? })
            }
            (None, _) => None,
        };
        let root_cert = self.ca_certs.as_ref().map(read).transpose()?;
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert }).map_err(wrong)
    }
}
