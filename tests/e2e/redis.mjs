// A real Redis for tests, and a client of it in as few lines as it takes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePorts, waitFor, within } from "./harness.mjs";

const SERVER = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].find((file) => existsSync(file));

/* For the option `skip` of a test. */
export const noRedis = SERVER === undefined ? "redis-server is not installed" : false;

/* One value at `at`: [value, the place behind it], or null if it has not come yet. An error is a value, too. */
function parse(bytes, at = 0) {
	const end = bytes.indexOf("\r\n", at);
	if (end < 0)
		return null;
	const text = bytes.toString("utf8", at + 1, end), next = end + 2;

	switch (String.fromCharCode(bytes[at])) {
	case "+": return [text, next];
	case "-": return [new Error(text), next];
	case ":": return [Number(text), next];
	case "$": return parseBulk(bytes, Number(text), next);
	case "*": return parseArray(bytes, Number(text), next);
	default: throw new Error(`not RESP: ${bytes.subarray(at, at + 20)}`);
	}
}

function parseBulk(bytes, length, at) {
	if (length < 0)
		return [null, at];
	return bytes.length < at + length + 2 ? null : [bytes.toString("utf8", at, at + length), at + length + 2];
}

function parseArray(bytes, length, at) {
	const list = [];

	for (let i = 0; i < length; i++) {
		const got = parse(bytes, at);
		if (got === null)
			return null;
		list.push(got[0]);
		at = got[1];
	}
	return [length < 0 ? null : list, at];
}

/* One connection; `onPush` gets what comes unasked, once it is subscribed. */
export class RedisClient {
	static async connect(port, { onPush, password } = {}) {
		const socket = net.connect({ host: "127.0.0.1", port });
		const client = new this(socket, onPush);

		await once(socket, "connect");
		if (password !== undefined)
			await client.command("AUTH", password);
		return client;
	}

	constructor(socket, onPush) {
		this.socket = socket;
		this.bytes = Buffer.alloc(0);
		this.waiting = [];
		this.onPush = onPush;
		socket.on("data", (chunk) => this.take(chunk));
		socket.on("error", () => {});
		socket.on("close", () => this.waiting.splice(0).forEach(({ reject }) => reject(new Error("Redis closed the connection"))));
	}

	take(chunk) {
		this.bytes = Buffer.concat([this.bytes, chunk]);
		for (let got; (got = parse(this.bytes)) !== null;) {
			this.bytes = this.bytes.subarray(got[1]);
			this.hand(got[0]);
		}
	}

	hand(value) {
		const call = this.waiting.shift();

		if (call === undefined)
			this.onPush?.(value);
		else if (value instanceof Error)
			call.reject(value);
		else
			call.resolve(value);
	}

	command(...words) {
		const parts = words.map((word) => {
			const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word));
			return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]);
		});

		this.socket.write(Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts]));
		return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
	}

	close() { this.socket.destroy(); }
}

/* A server with a port and a folder of its own. `append`: what was written survives a kill. */
export class Redis {
	static async start({ append = false, password, args = [] } = {}) {
		const [port] = await freePorts(1);
		const redis = new this(port, { append, password, args });

		await redis.start();
		return redis;
	}

	constructor(port, { append, password, args }) {
		this.port = port;
		this.dir = mkdtempSync(path.join(tmpdir(), "roost-redis-"));
		this.append = append;
		this.password = password;
		this.args = args;
		this.taps = [];
	}

	get url() { return `redis://127.0.0.1:${this.port}`; }

	/* Also again, after kill(); `empty` forgets what was appended. */
	async start({ empty = false } = {}) {
		if (empty)
			for (const name of readdirSync(this.dir))
				rmSync(path.join(this.dir, name), { recursive: true });
		this.child = spawn(SERVER, ["--port", this.port, "--bind", "127.0.0.1", "--dir", this.dir, "--save", "",
			"--appendonly", this.append ? "yes" : "no", "--appendfsync", "always",
			...(this.password ? ["--requirepass", this.password] : []), ...this.args], { stdio: "ignore" });
		this.ended = once(this.child, "close");
		this.client = await waitFor(async () => {
			if (this.child.exitCode !== null)
				throw new Error(`redis-server ended with ${this.child.exitCode}`);
			const client = await RedisClient.connect(this.port, this).catch(() => null);
			return await client?.command("PING").catch(() => client.close()) && client;
		}, "redis-server to answer");
	}

	command(...words) { return within(this.client.command(...words), `Redis to answer ${words[0]}`); }

	/* Everything that is published on channels of these patterns from now on: a growing list of { channel, text }. */
	async tap(...patterns) {
		const heard = [];
		const client = await RedisClient.connect(this.port, {
			password: this.password,
			onPush: (value) => {
				if (value[0] === "pmessage")
					heard.push({ channel: value[2], text: value[3] });
			},
		});

		for (const pattern of patterns)
			await client.command("PSUBSCRIBE", pattern);
		this.taps.push(client);
		return heard;
	}

	async keys(pattern = "*") { return (await this.command("KEYS", pattern)).sort(); }

	pause() { this.child.kill("SIGSTOP"); }
	resume() { this.child.kill("SIGCONT"); }

	async kill() {
		this.client.close();
		this.taps.splice(0).forEach((tap) => tap.close());
		this.child.kill("SIGKILL");
		await within(this.ended, "redis-server to end");
	}

	async end() {
		if (this.child.exitCode === null && this.child.signalCode === null)
			await this.kill();
		rmSync(this.dir, { recursive: true, force: true });
	}
}
