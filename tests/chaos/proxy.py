"""Ways to Redis: one that can become a black hole, which swallows what is sent and tells nobody; one that ends at a command."""

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
            shut(one, other)


class Counter(Proxy):
    """Forwards whole commands and keeps their words. At the one with number `end` the way ends: before it, or between it and its answer.

    `ended` says so. Nothing passes any more in either direction; the server still does all that it was sent.
    """

    def __init__(self, port, end=None, before=True):
        self._end, self._before = end, before
        self.commands, self.ended = [], threading.Event()
        self._passing = threading.Lock()
        super().__init__(port)

    def _forward(self, one, other, client):
        try:
            for data, words in commands(one) if one is client else answers(one):
                with self._passing:
                    if not self.ended.is_set():
                        self._pass(other, data, words)
        except (OSError, ValueError):  # A client that dies may leave half a command.
            pass
        shut(one, other)

    def _pass(self, other, data, words):
        if words:
            self.commands.append(words)
        last = words and len(self.commands) == self._end
        if not (last and self._before):
            other.sendall(data)
        if last:
            self.ended.set()


def shut(*ends):
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def commands(connection):
    """The commands that a client sends, each as its bytes and its words."""
    with connection.makefile("rb") as file:
        while head := file.readline():
            data, words = head, []
            for _ in range(int(head[1:])):
                length = file.readline()
                word = file.read(int(length[1:]) + 2)
                data += length + word
                words.append(word[:-2])
            yield data, words


def answers(connection):
    """What a server sends, as it comes."""
    while data := connection.recv(1 << 16):
        yield data, None
