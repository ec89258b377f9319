"""Streams of events: what ends them, and that a WebSocket hears whoever is at its other end."""

import base64
import http.server
import json
import os
import signal
import socket
import threading

import requests
from conftest import Service
from processes import wait_until

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket:
    """As much of RFC 6455 as a client needs."""

    def __init__(self, service, path):
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{service.port}", "Connection: Upgrade", "Upgrade: websocket"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.stream = self.socket.makefile("rb")
        assert b" 101 " in self.stream.readline()
        while self.stream.readline().strip():
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, kind, data=b""):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(bytes([0x80 | kind, 0x80 | len(data)]) + mask + masked)

    def frame(self):
        """The next frame, as its kind and its bytes."""
        kind, length = self.stream.read(2)
        if length == 126:
            length = int.from_bytes(self.stream.read(2), "big")
        return kind & 15, self.stream.read(length)


def submit(service, job_id):
    body = {"job_id": job_id, "source": {"kind": "path", "path": str(service.document("waits.pdf", 1))}}
    assert service.post("/v1/jobs", json=body).status_code == 202


def test_a_websocket_answers_pings_and_farewells(idle):
    submit(idle, "pinged")
    with WebSocket(idle, "/v1/jobs/pinged/ws") as client:
        assert client.frame()[0] == TEXT
        client.send(PING, b"still there?")
        assert client.frame() == (PONG, b"still there?")
        client.send(CLOSE)
        assert client.frame()[0] == CLOSE
        assert client.stream.read() == b""


class Model:
    """A language model that answers when it may."""

    def __init__(self):
        self.asked, self.may_answer = threading.Event(), threading.Event()
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                model.asked.set()
                model.may_answer.wait(120)
                message = {"role": "assistant", "content": "{}"}
                answer = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.settings = f'[celeriac.analysis]\nprovider = "openai"\nbase_url = "http://127.0.0.1:{self.server.server_port}/v1"\n'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def heard(connection, *words):
    """Reads until all of these words have come."""
    answer = b""
    while not all(word in answer for word in words):
        more = connection.recv(4000)
        assert more, answer
        answer += more


def test_a_stop_ends_streams_and_lets_work_and_requests_be_finished(tmp_path):
    model = Model()
    with Service(tmp_path, "--with-worker", env={"OPENAI_API_KEY": "k"}, settings=model.settings) as service:
        submit(service, "asks")
        assert model.asked.wait(60)
        body = b'{"job_id": "late", "source": {"kind": "store_key", "key": "k"}}'
        with (
            requests.get(f"{service.url}/v1/events", stream=True, timeout=60) as stream,
            WebSocket(service, "/v1/jobs/asks/ws") as client,
            socket.create_connection(("127.0.0.1", service.port), timeout=60) as probe,
            socket.create_connection(("127.0.0.1", service.port), timeout=60) as waiting,
            socket.create_connection(("127.0.0.1", service.port), timeout=60) as request,
        ):
            host = f"127.0.0.1:{service.port}"
            probe.sendall(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\n".encode())
            waiting.sendall(f"GET /v1/jobs/asks?wait=60 HTTP/1.1\r\nHost: {host}\r\n".encode())
            head = f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
            request.sendall(head.encode())
            heard(request, b" 100 ")
            service.signal(signal.SIGTERM)
            # Neither has an end of its own.
            stream.raw.read()
            while client.frame()[0] != CLOSE:
                pass
            wait_until(lambda: "worker: Warm shutdown running=1" in service.output(), 60, "the worker stops while a request is read")
            probe.sendall(b"\r\n")
            heard(probe, b" 503 ", b'"draining":true')
            waiting.sendall(b"\r\n")
            heard(waiting, b" 200 ", b'"status":"processing"')
            request.sendall(body)
            heard(request, b" 202 ")
        model.may_answer.set()
        assert service.ended(60) == 0
        log = service.output()
        assert "worker: stopped\n" in log and "cut off" not in log, log
