"""A master, its replica, and the sentinels that watch them."""

import json
import shutil

import redis
from processes import Process, RedisServer, free_port, wait_until

MASTER = "mymaster"


class Sentinel(Process):
    """One sentinel; it gives a master up after three seconds.

    After one it would now and then give up the master that it has just been told of: it pings each second, and has not heard of it yet.
    """

    def __init__(self, folder, number, master_port, quorum):
        self.port = free_port()
        file = folder / f"sentinel{number}.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {master_port} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} 3000\nsentinel failover-timeout {MASTER} 10000\n"
        )
        super().__init__(f"sentinel{number}", [shutil.which("redis-server"), file, "--sentinel"], folder)
        self.client = redis.Redis(port=self.port)

    def master(self):
        try:
            return self.client.sentinel_master(MASTER)
        except redis.RedisError:  # Not there yet.
            return None


class Watched:
    """`server` is the master as it is now, `replica` the other one. All are ended with the `with` block."""

    def __init__(self, folder, server, flags=(), sentinels=3):
        self._folder, self._flags, self.server = folder, flags, server
        self.replica = self._start(None, server.port, "replica")
        self.until_in_step()
        # They ask for replicas when they start, and then every ten seconds.
        quorum = sentinels // 2 + 1
        self.sentinels = [Sentinel(folder, number, server.port, quorum) for number in range(sentinels)]
        for sentinel in self.sentinels:
            wait_until(lambda s=sentinel: (s.master() or {}).get("num-other-sentinels") == sentinels - 1, 30, "sentinels know each other")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (*self.sentinels, self.replica, self.server):
            process.__exit__()

    def url(self, db):
        return ";".join(f"sentinel://127.0.0.1:{sentinel.port}/{db}" for sentinel in self.sentinels)

    def environment(self, **options):
        """What a worker of either language reads."""
        options = json.dumps({"master_name": MASTER, **options})
        return {
            "CELERY_BROKER_URL": self.url(0),
            "CELERY_RESULT_BACKEND": self.url(1),
            "CELERY_BROKER_TRANSPORT_OPTIONS": options,
            "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": json.dumps({"master_name": MASTER}),
        }

    def until_in_step(self):
        """Waits until the replica has what the master has."""
        master = redis.Redis(port=self.server.port)

        def has_all():
            master.set("in-step", 1, ex=60)
            return master.wait(1, 1000) == 1

        wait_until(has_all, 30, "the replica follows")

    def kill(self):
        """The master's machine is gone; returns when the replica takes writes."""
        self.server.kill_9()
        self.server.__exit__()
        self._promoted()
        self.replica = self._start(self.replica.port, self.server.port, "old")

    def change_places(self):
        """Both live on; returns when the replica takes writes and the master does no more."""

        def begins():
            try:
                return self.sentinels[0].client.sentinel_failover(MASTER)
            except redis.ResponseError:  # It has not yet heard of the replica what it must know, or is not done with the last one.
                return False

        wait_until(begins, 60, "a sentinel begins")
        self._promoted()
        old = redis.Redis(port=self.replica.port)
        wait_until(lambda: old.info("replication")["role"] == "slave", 60, "the old master obeys", poll=0.005)

    def _promoted(self):
        client = redis.Redis(port=self.replica.port)
        wait_until(lambda: client.info("replication")["role"] == "master", 60, "the replica is promoted", poll=0.005)
        self.server, self.replica = self.replica, self.server

    def until_whole(self):
        """Waits until all sentinels know the new master with its replica, which has everything."""
        self.until_in_step()
        for sentinel in self.sentinels:
            wait_until(lambda s=sentinel: self._is_known(s), 60, "the sentinels know who is who", poll=0.1)

    def _is_known(self, sentinel):
        master = sentinel.master() or {}
        replicas = sentinel.client.sentinel_slaves(MASTER) if master.get("port") == self.server.port else []
        return any(replica["port"] == self.replica.port and replica["flags"] == "slave" for replica in replicas)

    def _start(self, port, master_port, name):
        folder = self._folder / f"{name}-{port or 'first'}"
        folder.mkdir(exist_ok=True)
        return RedisServer(folder, port, (*self._flags, "--replicaof", "127.0.0.1", str(master_port))).ready()
