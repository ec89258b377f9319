//! Servers that are not as they should be: one that evicts, and one that is a node of a cluster.

use std::time::Duration;

use celeriac::app::App;
use celeriac::config::Settings;
use celeriac::protocol::Signature;
use celeriac::{Error, backend, broker};

use crate::contracts;
use crate::ground::{Ground, message};
use crate::redis_server::RedisServer;

contracts!(a_server_that_keeps_everything_does_not_evict);

async fn a_server_that_keeps_everything_does_not_evict(ground: Ground) {
    assert_eq!(ground.broker.eviction().await.unwrap(), None);
    assert_eq!(ground.backend.eviction().await.unwrap(), None);
}

#[tokio::test]
async fn a_server_with_a_limit_and_a_policy_evicts() {
    let Some(ground) = Ground::redis() else { return };
    let set = |name: &str, value: &str| ::redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut ground.raw(0)).unwrap();
    set("maxmemory-policy", "allkeys-lru");
    assert_eq!(ground.broker.eviction().await.unwrap(), None, "without a limit it has no reason to");
    set("maxmemory", "100mb");
    for found in [ground.broker.eviction().await, ground.backend.eviction().await] {
        let found = found.unwrap().unwrap();
        assert_eq!((found.policy.as_str(), found.max_bytes), ("allkeys-lru", 100 << 20));
    }
    set("maxmemory-policy", "noeviction");
    assert_eq!(ground.broker.eviction().await.unwrap(), None);
}

fn cluster(folder: &tempfile::TempDir) -> Option<RedisServer> {
    let server = RedisServer::start_with(|port| {
        let folder = folder.path().display().to_string();
        let bus = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let words = ["--port", &port.to_string(), "--cluster-enabled", "yes", "--cluster-port", &bus, "--dir", &folder];
        words.map(str::to_owned).to_vec()
    })?;
    let mut raw = ::redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
    ::redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383).exec(&mut raw).unwrap();
    while !::redis::cmd("CLUSTER").arg("INFO").query::<String>(&mut raw).unwrap().contains("cluster_state:ok") {
        std::thread::yield_now();
    }
    Some(server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_a_cluster_is_refused_in_a_clear_sentence_whatever_is_asked_of_it_first() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = cluster(&folder) else { return };
    let open = |db| {
        let broker = broker::open(&server.url(db), broker::Options::default()).unwrap();
        (broker, backend::open(&server.url(db), backend::Options::default()).unwrap())
    };
    let (broker, backend) = open(0);
    let app = App::builder(Settings::default()).connect_with(broker.clone(), backend.clone());
    let answers = [
        ("a worker looks who it is", broker.location().await.map(drop)),
        ("and at its results", backend.location().await.map(drop)),
        ("a client sends", app.send(Signature::new("t")).await.map(drop)),
        ("a client asks", app.control().inspect().timeout(Duration::from_secs(5)).ping().await.map(drop)),
        ("messages for several queues", broker.publish(&[message("a", "1", 0), message("b", "1", 0)]).await),
        ("results of two tasks", backend.get(&["a".to_owned(), "b".to_owned()]).await.map(drop)),
        ("another database", open(1).0.queue_len("a").await.map(drop)),
    ];
    for (what, answer) in answers {
        match answer {
            Err(error @ Error::Config { .. }) => {
                assert!(error.to_string().contains("a node of a Redis Cluster"), "{what}: {error}")
            }
            // One command for one key is right even here.
            Ok(()) if what == "messages for several queues" => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}
