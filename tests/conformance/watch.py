"""Follows what goes through the broker by Redis MONITOR: task messages, events and control commands, as they are published."""

import base64
import json
import re
import socket
import threading

QUEUE = "celery"
PRIORITY_SEP = "\x06\x16"

WATCHED = re.compile(rb'\+[\d.]+ \[[^\]]*\] "(LPUSH|RPUSH|PUBLISH|ECHO)" ', re.IGNORECASE)
QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
CONTROL_CHARS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def unescape(match):
    code = match.group(1)
    if len(code) == 3:
        return bytes([int(code[1:], 16)])
    return CONTROL_CHARS.get(code, code)


def split_monitor_line(line):
    """The arguments of one line of MONITOR, if it is one we watch."""
    if not WATCHED.match(line):
        return []
    return [ESCAPE.sub(unescape, arg) if b"\\" in arg else arg for arg in QUOTED.findall(line)]


class BrokerWatch(threading.Thread):
    """Reports task messages, events and control commands to three functions."""

    def __init__(self, host, port, on_task, on_event, on_control):
        super().__init__(name="extworker-watch", daemon=True)
        self.address = (host, port)
        self.handlers = on_task, on_event, on_control
        self.problems = []
        self._marks = {}
        self._mark_lock = threading.Lock()
        self._serial = 0
        self._sock = None

    def connect(self):
        self._sock = socket.create_connection(self.address, timeout=10)
        self._sock.settimeout(None)
        self._sock.sendall(b"MONITOR\r\n")

    def close(self):
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
            self._sock.close()
        except OSError:
            pass

    def run(self):
        with self._sock.makefile("rb") as lines:
            try:
                for line in lines:
                    if not line.startswith(b"+OK"):
                        self.handle(split_monitor_line(line))
            except (OSError, ValueError):
                pass

    def handle(self, args):
        if len(args) < 2:
            return
        try:
            command = args[0].upper()
            if command in (b"LPUSH", b"RPUSH"):
                self.pushed(args[1].decode("utf-8", "replace"), args[2:])
            elif command == b"PUBLISH" and len(args) == 3:
                self.published(args[1].decode("utf-8", "replace"), args[2])
            elif command == b"ECHO" and args[1].startswith(b"extworker-mark-"):
                with self._mark_lock:
                    waiting = self._marks.pop(args[1], None)
                if waiting:
                    waiting.set()
        except Exception as exc:  # one odd message must not end the watch
            self.problems.append(f"{type(exc).__name__}: {exc}: {args[:2]!r}")

    def pushed(self, queue, messages):
        if queue == QUEUE or queue.startswith(QUEUE + PRIORITY_SEP):
            for raw in messages:
                self.handlers[0](json.loads(raw))

    def published(self, channel, raw):
        events = "celeryev" in channel
        if not events and ".pidbox" not in channel:
            return
        body = json.loads(base64.b64decode(json.loads(raw)["body"]))
        if events:
            for event in body if isinstance(body, list) else [body]:
                self.handlers[1](event)
        elif "reply" not in channel:
            self.handlers[2](body)

    def catch_up(self, client, timeout=5.0):
        """Waits until everything Redis has done by now was handled here."""
        if threading.current_thread() is self or not self.is_alive():
            return
        event = threading.Event()
        with self._mark_lock:
            self._serial += 1
            mark = b"extworker-mark-%d" % self._serial
            self._marks[mark] = event
        client.execute_command("ECHO", mark)
        event.wait(timeout)


def message_from_envelope(envelope):
    """The message object a consumer would get for this envelope."""
    from kombu.message import Message
    from kombu.serialization import prepare_accept_content

    properties = envelope["properties"]
    body = envelope.get("body")
    if properties.get("body_encoding") == "base64":
        body = base64.b64decode(body)
    return Message(
        body=body,
        channel=None,
        delivery_tag=properties.get("delivery_tag"),
        content_type=envelope.get("content-type"),
        content_encoding=envelope.get("content-encoding"),
        headers=envelope.get("headers") or {},
        properties=properties,
        delivery_info=properties.get("delivery_info") or {},
        accept=prepare_accept_content(["json"]),
    )


def request_from_message(app, message):
    """Decodes a task message as a worker does, protocol 1 and 2."""
    from celery.worker.request import Request
    from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2

    if not message.headers.get("task"):
        convert = proto1_to_proto2
    elif isinstance(message.payload, dict) and "args" in message.payload:
        convert = hybrid_to_proto2
    else:
        return Request(message, app=app)
    body, headers, decoded, utc = convert(message, message.payload)
    return Request(message, app=app, body=body, headers=headers, decoded=decoded, utc=utc)
