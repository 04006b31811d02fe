// TCP, HTTP and WebSocket by hand, with every bit under the test's control.

import assert from "node:assert/strict";
import { randomBytes, createHash } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { PATIENCE, mint, waitFor, within } from "./harness.mjs";

export const OP = { cont: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/*
 * One frame as a client sends it.
 *   mask    true (random), false (unmasked) or 4 octets
 *   form    "min", or "16" or "64" for a longer form of the length than is needed
 *   length  the length to declare, if not the payload's (a BigInt may be given)
 */
export function frame(opcode, payload = "", { fin = true, rsv = 0, mask = true, form = "min", length } = {}) {
	const body = Buffer.from(payload);
	const n = BigInt(length ?? body.length);
	const key = mask === true ? randomBytes(4) : mask;
	const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
	const bit = key ? 0x80 : 0;

	if (form === "64" || n > 0xffffn) {
		const eight = Buffer.alloc(8);
		eight.writeBigUInt64BE(n);
		head.push(bit | 127, ...eight);
	} else if (form === "16" || n > 125n)
		head.push(bit | 126, Number(n >> 8n), Number(n & 0xffn));
	else
		head.push(bit | Number(n));
	if (!key)
		return Buffer.concat([Buffer.from(head), body]);
	return Buffer.concat([Buffer.from(head), Buffer.from(key), body.map((octet, i) => octet ^ key[i % 4])]);
}

export function closePayload(code, reason = "") {
	const two = Buffer.alloc(2);

	two.writeUInt16BE(code);
	return Buffer.concat([two, Buffer.from(reason)]);
}

/* A connection and the bytes that came. */
export class Wire {
	/*
	 * `at` is a port, or what net.connect() takes: { port, host, localAddress } or { path }, and besides
	 *   first   octets in front of everything, in the clear
	 *   tls     options of tls.connect(); {} will do
	 */
	static async connect(at, host = "127.0.0.1") {
		const { first, tls: secure, ...where } = typeof at === "number" ? { port: at } : at;
		let socket = net.connect({ host, ...where, noDelay: true, allowHalfOpen: true });

		await within(once(socket, "connect"), "a connection");
		if (first !== undefined)
			socket.write(first);
		if (secure !== undefined) {
			socket = tls.connect({ rejectUnauthorized: false, ...secure, socket, allowHalfOpen: true });
			await within(once(socket, "secureConnect"), "a TLS connection");
		}
		return new this(socket);
	}

	constructor(socket) {
		this.socket = socket;
		this.bytes = Buffer.alloc(0);
		this.ended = false;	// the peer closed, orderly or not
		this.failed = null;	// or with this error
		socket.on("data", (chunk) => this.bytes = Buffer.concat([this.bytes, chunk]));
		socket.on("end", () => this.ended = true);
		socket.on("error", (e) => { this.failed = e; this.ended = true; });
		socket.on("close", () => this.ended = true);
	}

	write(bytes) {
		if (!this.ended)
			this.socket.write(bytes);
		return this;
	}

	async flushed() {
		await waitFor(() => this.ended || this.socket.writableLength === 0, "the peer to take our bytes");
	}

	/* Octet for octet, each in a segment of its own. */
	async trickle(bytes) {
		for (const octet of bytes) {
			this.write(Buffer.of(octet));
			await new Promise((resolve) => setImmediate(resolve));
		}
	}

	take(n) {
		const taken = this.bytes.subarray(0, n);

		this.bytes = this.bytes.subarray(n);
		return taken;
	}

	untilEnd(timeout = PATIENCE) {
		return waitFor(() => this.ended, "the peer to close", timeout);
	}

	/* One response with its body: { status, reason, headers, body }, names in lower case. */
	async response({ headOnly = false, timeout = PATIENCE } = {}) {
		const end = await waitFor(() => {
			const at = this.bytes.indexOf("\r\n\r\n");
			if (at < 0 && this.ended)
				throw new Error(`closed without a response (${this.failed?.code ?? "in order"})`);
			return at >= 0 ? at + 4 : 0;
		}, "a response", timeout);
		const [line, ...fields] = this.take(end).toString("latin1").trimEnd().split("\r\n");
		const [, status, reason] = line.match(/^HTTP\/1\.1 (\d{3}) (.*)$/) ?? assert.fail(`status line: ${line}`);
		const headers = {};

		for (const field of fields) {
			const [, name, value] = field.match(/^([A-Za-z0-9-]+): (.*)$/) ?? assert.fail(`header: ${field}`);
			const key = name.toLowerCase();
			headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
		}
		const length = headOnly || status === "101" ? 0 : Number(headers["content-length"] ?? 0);
		await waitFor(() => this.bytes.length >= length || this.ended, "the response's body", timeout);
		return { status: Number(status), reason, headers, body: this.take(length).toString() };
	}

	destroy() { this.socket.destroy(); }
}

/* Sends bytes, and returns the response; the connection is cut afterwards. `closed` tells if the server closed it first. */
export async function exchange(port, bytes, { expectClose = false, headOnly = false } = {}) {
	const wire = await Wire.connect(port);

	try {
		wire.write(bytes);
		const response = await wire.response({ headOnly });
		if (expectClose)
			await wire.untilEnd();
		return { ...response, rest: wire.bytes };
	} finally {
		wire.destroy();
	}
}

/* The head of an upgrade. Fields may be replaced, added, or left out with undefined; an array repeats one. */
export function upgradeHead(target, fields = {}, { method = "GET", version = "HTTP/1.1" } = {}) {
	const all = {
		"Host": "127.0.0.1",
		"Upgrade": "websocket",
		"Connection": "Upgrade",
		"Sec-WebSocket-Key": KEY,
		"Sec-WebSocket-Version": "13",
		...fields,
	};
	const lines = Object.entries(all).filter(([, value]) => value !== undefined)
		.flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`));

	return `${method} ${target} ${version}\r\n${lines.join("")}\r\n`;
}

export function acceptOf(key) {
	return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/* A WebSocket opened by hand. */
export class Ws extends Wire {
	/* Opens `target`; by default the Phoenix socket with a good token. */
	static async open(port, { target, vsn = "2.0.0", token = mint(), fields = {} } = {}) {
		const ws = await this.connect(port);

		ws.write(upgradeHead(target ?? `/socket/websocket?vsn=${vsn}&token=${token}`, fields));
		ws.handshake = await ws.response();
		if (ws.handshake.status !== 101) {
			ws.destroy();
			throw new Error(`upgrade refused with ${ws.handshake.status}: ${ws.handshake.body}`);
		}
		assert.equal(ws.handshake.headers["sec-websocket-accept"], acceptOf(KEY));
		return ws;
	}

	send(opcode, payload, options) { return this.write(frame(opcode, payload, options)); }
	text(text, options) { return this.send(OP.text, text, options); }
	json(value) { return this.text(JSON.stringify(value)); }
	ping(payload = "") { return this.send(OP.ping, payload); }
	close(code, reason) { return this.send(OP.close, code === undefined ? "" : closePayload(code, reason)); }

	/* The next frame if all of it is here, else null. Server frames are unmasked and of minimal length. */
	parse() {
		const b = this.bytes;
		if (b.length < 2)
			return null;
		let length = b[1] & 0x7f, at = 2;

		assert.equal(b[1] & 0x80, 0, "a masked frame from the server");
		if (length === 126) {
			if (b.length < 4)
				return null;
			length = b.readUInt16BE(2);
			at = 4;
			assert.ok(length > 125, "a length that is not minimal");
		} else if (length === 127) {
			if (b.length < 10)
				return null;
			length = Number(b.readBigUInt64BE(2));
			at = 10;
			assert.ok(length > 0xffff, "a length that is not minimal");
		}
		if (b.length < at + length)
			return null;
		const payload = Buffer.from(b.subarray(at, at + length));
		const [first] = this.take(at + length);
		return { fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload };
	}

	/* Any frame. */
	async nextFrame(timeout = PATIENCE) {
		return waitFor(() => {
			const got = this.parse();
			if (got === null && this.ended)
				throw new Error(`the server closed without a frame (${this.failed?.code ?? "in order"})`);
			return got;
		}, "a frame", timeout);
	}

	/* The next frame but for the server's own pings, which are answered. */
	async next(timeout = PATIENCE) {
		for (;;) {
			const got = await this.nextFrame(timeout);
			if (got.opcode !== OP.ping)
				return got;
			this.send(OP.pong, got.payload);
		}
	}

	async nextText(timeout) {
		const { opcode, payload, ...rest } = await this.next(timeout);

		assert.equal(opcode, OP.text, `opcode ${opcode}: ${payload.toString("hex")}`);
		return payload.toString();
	}

	async nextMessage(timeout) { return JSON.parse(await this.nextText(timeout)); }

	/* Sends a message and returns the next one: for what is answered at once. */
	async ask(value) {
		this.json(value);
		return this.nextMessage();
	}

	/* Joins, and checks the answer. */
	async join(topic, ref = "1", payload = {}) {
		const answer = await this.ask([ref, ref, topic, "phx_join", payload]);

		assert.deepEqual(answer, [ref, ref, topic, "phx_reply", { status: "ok", response: {} }]);
		return this;
	}

	/* Nothing came before the answer to a ping that we send now. */
	async quiet() {
		const mark = randomBytes(4).toString("hex");

		this.ping(mark);
		const got = await this.next();
		assert.equal(got.opcode, OP.pong, `unexpected: ${got.payload}`);
		assert.equal(got.payload.toString(), mark);
	}

	/* The server fails the connection with one of these codes: a close frame, nothing behind it, then the end of TCP. */
	async closedWith(...codes) {
		let got;

		do
			got = await this.next();
		while (got.opcode !== OP.close);
		const code = got.payload.length === 0 ? 1005 : got.payload.readUInt16BE(0);
		assert.ok(codes.includes(code), `closed with ${code} (${got.payload.subarray(2)}), expected ${codes.join(" or ")}`);
		if (!this.socket.writableEnded)
			this.socket.end(frame(OP.close, got.payload.subarray(0, 2)));
		await this.untilEnd();
		assert.equal(this.bytes.length, 0, "bytes behind the server's close frame");
		this.destroy();
		return code;
	}
}
