//! Documents fetched by `https`, from public addresses only.
//!
//! Every hop is checked by itself: scheme, then host, then each address the host has; the connection is pinned to the
//! addresses that were checked, so a name that changes its mind (DNS rebinding) gains nothing. Redirects are followed by
//! hand for that reason, and nothing that identifies this service or its user is sent along.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::TryStreamExt;
use reqwest::{Client, Response, StatusCode, header, redirect};
use tokio::time::Instant;
use url::{Host, Url};

use crate::error::{Code, DocumentError, Stage};
use crate::store::{Spool, Store};

use super::{SourceOptions, is_public, name_of, refused};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence in the middle of a download.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The document's bytes in a spool, and its name as the address gives it.
pub(super) async fn download(
    address: &str,
    store: &Store,
    options: &SourceOptions,
) -> Result<(Spool, Option<String>), DocumentError> {
    let deadline = Instant::now() + options.fetch_timeout;
    tokio::time::timeout_at(deadline, fetch(address, store, options))
        .await
        .unwrap_or_else(|_| Err(unreachable(format!("the download took longer than {} s", options.fetch_timeout.as_secs()))))
}

async fn fetch(address: &str, store: &Store, options: &SourceOptions) -> Result<(Spool, Option<String>), DocumentError> {
    let mut url = Url::parse(address).map_err(|error| refused(format!("this is no address: {error}")))?;
    for _ in 0..=options.max_redirects {
        let response = ask(&url, options).await?;
        if !response.status().is_redirection() {
            return receive(response, &url, store, options).await;
        }
        let target = response.headers().get(header::LOCATION).and_then(|target| target.to_str().ok());
        let target = target.ok_or_else(|| unreachable(format!("{} redirects to nowhere", host_of(&url))))?;
        url = url.join(target).map_err(|error| refused(format!("{} redirects to no address: {error}", host_of(&url))))?;
    }
    Err(refused(format!("more than {} redirects", options.max_redirects)))
}

/// One request to one checked address.
async fn ask(url: &Url, options: &SourceOptions) -> Result<Response, DocumentError> {
    let client = client(url, options).await?;
    client.get(url.clone()).send().await.map_err(|error| unreachable(format!("{} does not answer: {}", host_of(url), last(&error))))
}

/// Somebody who may be told things, and can be: his address is checked, and the connection will go where the check looked.
#[derive(Debug)]
pub struct Guarded {
    client: Client,
    url: Url,
}

impl Guarded {
    /// Checks an address.
    ///
    /// # Errors
    /// `source_refused` unless it is one that these options allow, `source_unreachable` if its name has no address.
    pub async fn open(address: &str, options: &SourceOptions) -> Result<Self, DocumentError> {
        let url = Url::parse(address).map_err(|error| refused(format!("this is no address: {error}")))?;
        Ok(Self { client: client(&url, options).await?, url })
    }

    /// Checks what an address says by itself, and asks nobody what its name leads to.
    ///
    /// # Errors
    /// `source_refused` if it would be refused wherever its name leads.
    pub fn check(address: &str, options: &SourceOptions) -> Result<(), DocumentError> {
        let url = Url::parse(address).map_err(|error| refused(format!("this is no address: {error}")))?;
        written(&url, options).map(drop)
    }

    /// A request to it, which follows no redirect.
    pub fn post(&self) -> reqwest::RequestBuilder {
        self.client.post(self.url.clone())
    }
}

/// A client that speaks to the checked addresses of this address only.
async fn client(url: &Url, options: &SourceOptions) -> Result<Client, DocumentError> {
    let (host, addresses) = checked(url, options).await?;
    crate::tls::use_ring();
    Client::builder()
        .redirect(redirect::Policy::none())
        .resolve_to_addrs(&host, &addresses)
        // A proxy would resolve the name again, out of reach of the check.
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("celeriac/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| DocumentError::new(Code::Internal, Stage::Fetch, format!("no HTTP client: {}", last(&error))))
}

/// The host and its addresses, once scheme, host and every address are found good.
async fn checked(url: &Url, options: &SourceOptions) -> Result<(String, Vec<SocketAddr>), DocumentError> {
    let (host, address) = written(url, options)?;
    let addresses = match address {
        Some(address) => vec![address],
        None => {
            let found = options.resolver.resolve(&host, port_of(url)).await;
            found.map_err(|error| unreachable(format!("{host} has no address: {error}")))?
        }
    };
    if addresses.is_empty() {
        return Err(unreachable(format!("{host} has no address")));
    }
    // One bad address among good ones is enough: which of them is tried first is not ours to say.
    if !addresses.iter().all(|address| may_be_spoken_to(url, address.ip(), options)) {
        return Err(not_public(&host));
    }
    Ok((host, addresses))
}

/// The host, with its address where it is written as one, once what is written is found good.
fn written(url: &Url, options: &SourceOptions) -> Result<(String, Option<SocketAddr>), DocumentError> {
    let plain = match url.scheme() {
        "https" => false,
        "http" if options.allow_loopback_http || options.allow_private => true,
        other => return Err(refused(format!("only https is spoken to, not {other}"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("an address with a user or password in it is not fetched"));
    }
    let (host, address) = match url.host() {
        Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
        Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
        // Whatever a resolver makes of it, this name means this machine.
        Some(Host::Domain(name)) if !plain && is_local_name(name) => return Err(not_public(name)),
        Some(Host::Domain(name)) => (name.to_owned(), None),
        None => return Err(refused("an address without a host is not fetched")),
    };
    if address.is_some_and(|address| !may_be_spoken_to(url, address, options)) {
        return Err(not_public(&host));
    }
    Ok((host, address.map(|address| SocketAddr::new(address, port_of(url)))))
}

fn port_of(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(443)
}

fn may_be_spoken_to(url: &Url, address: IpAddr, options: &SourceOptions) -> bool {
    options.allow_private || if url.scheme() == "http" { address.is_loopback() } else { is_public(address) }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn not_public(host: &str) -> DocumentError {
    refused(format!("{host} is not on the public internet, and nothing else is spoken to"))
}

async fn receive(
    response: Response,
    url: &Url,
    store: &Store,
    options: &SourceOptions,
) -> Result<(Spool, Option<String>), DocumentError> {
    let (status, host) = (response.status(), host_of(url));
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Err(DocumentError::new(Code::SourceMissing, Stage::Fetch, format!("{host} answers {status}")));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(refused(format!("{host} answers {status}"))),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(unreachable(format!("{host} answers {status}")));
        }
        status => return Err(unreachable(format!("{host} answers {status}")).permanent()),
    }
    let mut spool = store.spool(options.max_bytes).await?;
    spool.announce(response.content_length().unwrap_or(0))?;
    let broken = |error| unreachable(format!("{host} broke off the download: {}", last(&error)));
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(broken)? {
        spool.write(&chunk).await?;
    }
    Ok((spool, name_of(url.path())))
}

/// An address without its user, password and query: those hold keys and tokens.
pub fn without_secrets(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) => {
            // Setting these fails only for addresses that cannot have them.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        Err(_) => "(no address)".into(),
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("the server").to_owned()
}

fn unreachable(message: String) -> DocumentError {
    DocumentError::new(Code::SourceUnreachable, Stage::Fetch, message)
}

/// The last cause: reqwest's outer layers repeat the address, which may hold a token.
fn last(error: &reqwest::Error) -> String {
    let mut current: &dyn std::error::Error = error;
    while let Some(source) = current.source() {
        current = source;
    }
    if std::ptr::addr_eq(current, error) { "the request failed".into() } else { current.to_string() }
}
