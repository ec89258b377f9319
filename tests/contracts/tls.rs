//! `rediss://`: certificates are verified unless the URL says otherwise, and our own is shown where it is asked for.

use std::path::Path;
use std::process::Command;

use celeriac::broker;
use tempfile::TempDir;

use crate::redis_server::RedisServer;

/// A server behind TLS that asks for certificates, and the folder of `ca.pem`, `cert.pem` (for both sides) and `key.pem`.
fn server() -> Option<(RedisServer, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        eprintln!("skipped: openssl is not installed");
        return None;
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    let listen = |port: u16| {
        let options = [
            ("--port", "0".to_owned()),
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file("cert.pem")),
            ("--tls-key-file", file("key.pem")),
            ("--tls-ca-cert-file", file("ca.pem")),
        ];
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    };
    let server = RedisServer::start_with(listen)?;
    Some((server, folder))
}

fn certificates(folder: &Path) -> bool {
    let extensions = "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    std::fs::write(folder.join("extensions"), extensions).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout key.pem -out request.pem -subj /CN=celeriac"),
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile extensions".to_owned(),
    ]
    .iter()
    .all(|line| Command::new("openssl").args(line.split(' ')).current_dir(folder).output().is_ok_and(|made| made.status.success()))
}

async fn queue_len(server: &RedisServer, query: &str) -> celeriac::Result<usize> {
    let url = format!("{}?{query}", server.url(0).replace("redis://", "rediss://"));
    broker::open(&url, broker::Options::default())?.queue_len("q").await
}

#[tokio::test]
async fn a_certificate_is_verified_and_ours_is_shown() {
    let Some((server, folder)) = server() else { return };
    let file = |name: &str| folder.path().join(name).display().to_string();
    let own = format!("ssl_certfile={}&ssl_keyfile={}", file("cert.pem"), file("key.pem"));
    let known = format!("{own}&ssl_ca_certs={}", file("ca.pem"));
    assert_eq!(queue_len(&server, &known).await.unwrap(), 0);
    assert_eq!(queue_len(&server, &format!("{own}&ssl_cert_reqs=none")).await.unwrap(), 0);
    assert!(queue_len(&server, &own).await.is_err(), "the authority is unknown");
    assert!(queue_len(&server, "ssl_cert_reqs=none").await.is_err(), "the server asks for ours");
}

#[tokio::test]
async fn a_missing_certificate_file_is_a_configuration_error() {
    let refused = broker::open("rediss://:hunter2@h/0?ssl_ca_certs=/no/such/file.pem", broker::Options::default()).unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("/no/such/file.pem") && !told.contains("hunter2"), "{told}");
}
