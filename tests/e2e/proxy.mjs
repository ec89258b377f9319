// A proxy that shows a service under a path and takes that path away, as a front server does.
import { createServer, request } from "node:http";
import { once } from "node:events";

export class Proxy {
  constructor(service, path) {
    this.path = path;
    this.server = createServer((asked, answer) => {
      if (asked.url !== path && !asked.url.startsWith(`${path}/`)) return answer.writeHead(404).end(`outside of ${path}: ${asked.url}`);
      const { hostname, port } = new URL(service.url);
      const headers = { ...asked.headers, "x-forwarded-prefix": path };
      const passed = request({ hostname, port, path: asked.url.slice(path.length) || "/", method: asked.method, headers }, (got) => {
        answer.writeHead(got.statusCode, got.headers);
        got.pipe(answer);
      });
      passed.on("error", () => answer.destroy());
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
    });
  }

  async start() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}${this.path}`;
    return this;
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}
