"""A way to Redis that can become a black hole: what is sent into it is swallowed, and nobody is told."""

import socket
import threading


class Proxy:
    """Forwards connections to a port of this machine. While it swallows, connections stay open and carry nothing any more, for ever.

    After `heal`, new connections are forwarded again; those of the hole stay silent, as when a firewall has forgotten them.
    """

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._forwarded, self._silent = [], []
        self._lock = threading.Lock()
        self._swallowing = False
        # How many connections were asked for.
        self.attempts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        with self._lock:
            for connection in [*self._silent, *(end for pair in self._forwarded for end in pair)]:
                connection.close()

    def swallow(self):
        with self._lock:
            self._swallowing = True
            self._forwarded_before, self._forwarded = self._forwarded, []
            for pair in self._forwarded_before:
                self._silent += pair

    def heal(self):
        with self._lock:
            self._swallowing = False

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.attempts += 1
                if self._swallowing:
                    self._silent.append(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                self._forwarded.append((client, server))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(one, other, client), daemon=True).start()

    def _forward(self, one, other, client):
        try:
            while data := one.recv(1 << 16):
                with self._lock:
                    silent = client in self._silent
                if not silent:
                    other.sendall(data)
        except OSError:
            pass
        with self._lock:
            silent = client in self._silent
        if not silent:
            for end in (one, other):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
