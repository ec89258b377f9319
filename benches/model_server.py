#!/usr/bin/env python3
"""A model that answers every question alike, after a fixed time: OpenAI's chat completions as far as celeriac asks for them.

    model_server.py [--latency SECONDS] [--port N]

Prints its address as a line. `GET /asked` tells how often it was asked and how many questions it had at once at most.
"""

import argparse
import asyncio
import json

ANSWER = {
    "summary": "The page says what a page of a manual says.",
    "key_points": ["One thing is explained.", "Another is shown."],
    "themes": ["manual"],
    "sentiment": "neutral",
    "quotes": [],
    "entities": [],
    "language": "en",
    "transcript": "",
}


class Model:
    def __init__(self, latency):
        self.latency = latency
        self.asked = self.now = self.most = 0

    async def answer(self):
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.latency)
        self.now -= 1
        return {
            "id": f"chatcmpl-{self.asked}",
            "object": "chat.completion",
            "created": 1,
            "model": "stub",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(ANSWER)}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }

    async def serve(self, reader, writer):
        """One connection, kept alive."""
        try:
            while head := await request_head(reader):
                line, length = head
                await reader.readexactly(length)
                if line.startswith("POST ") and "/chat/completions" in line:
                    status, body = "200 OK", await self.answer()
                elif line.startswith("GET /asked"):
                    status, body = "200 OK", {"asked": self.asked, "most_at_once": self.most}
                else:
                    status, body = "404 Not Found", {"error": {"message": f"nothing here: {line}", "type": "not_found"}}
                content = json.dumps(body).encode()
                writer.write(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def request_head(reader):
    """(request line, length of the body); None at the end of the connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
    return lines[0], int(lengths[0]) if lengths else 0


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    server = await asyncio.start_server(Model(options.latency).serve, "127.0.0.1", options.port, limit=1 << 20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
