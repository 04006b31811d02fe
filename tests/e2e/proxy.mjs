// A TCP proxy between nodes and Redis, whose other end can be moved.

import { once } from "node:events";
import net from "node:net";

export class Proxy {
	static async start(target) {
		const proxy = new this(target);

		proxy.server.listen(0, "127.0.0.1");
		await once(proxy.server, "listening");
		return proxy;
	}

	constructor(target) {
		this.target = target;	// a port, for connections to come
		this.sockets = new Set();
		this.server = net.createServer((socket) => this.join(socket, net.connect({ host: "127.0.0.1", port: this.target })));
	}

	get port() { return this.server.address().port; }
	get url() { return `redis://127.0.0.1:${this.port}`; }

	join(...ends) {
		ends.forEach((end, i) => {
			this.sockets.add(end);
			end.pipe(ends[1 - i]);
			end.on("error", () => {});
			end.on("close", () => {
				this.sockets.delete(end);
				ends[1 - i].destroy();
			});
		});
	}

	cut() { this.sockets.forEach((socket) => socket.destroy()); }

	end() {
		this.server.close();
		this.cut();
	}
}
