// Clients for crowds: they parse without copying, count, and can stop reading. And a probe that measures, from a thread of
// its own, how long a message takes from one client to another.

import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { mint, within } from "./harness.mjs";
import { OP, closePayload, frame, upgradeHead } from "./raw.mjs";

/* A frame that costs the sender nothing to mask, for sending it often. */
export const ready = (text) => frame(OP.text, text, { mask: [0, 0, 0, 0] });

/*
 * One client. `at` is a port, or { host, port }, { path } for a unix socket, { port, tls: true }.
 *   onText   is given each text message as a Buffer that is only good until it returns
 *   code     the code that the server closed with, or null
 *   error    the error that ended the connection, or null
 */
export class Client {
	/* Resolves when the upgrade is answered with 101; fails with { status } otherwise. */
	static async open(at, { token = mint(), fields, onText, patience } = {}) {
		const where = typeof at === "number" ? { host: "127.0.0.1", port: at } : at;
		const socket = where.tls ? tls.connect({ ...where, rejectUnauthorized: false })
			: net.connect({ noDelay: true, ...where });
		const client = new this(socket, onText);

		client.write(upgradeHead(`/socket/websocket?vsn=2.0.0&token=${token}`, fields));
		await within(client.opened, "an upgrade", patience);
		return client;
	}

	constructor(socket, onText = () => {}) {
		this.socket = socket;
		this.onText = onText;
		this.rest = null;
		this.texts = 0;
		this.code = null;
		this.error = null;
		this.waiting = new Map();
		this.lastRef = 0;
		this.opened = new Promise((resolve, reject) => { this.open = resolve; this.refuse = reject; });
		this.closed = new Promise((resolve) => socket.on("close", () => resolve(this)));
		this.opened.catch(() => {});
		socket.on("data", (chunk) => this.take(chunk));
		socket.on("error", (e) => { this.error = e; this.refuse(e); });
		socket.on("close", () => this.refuse(new Error("closed before the upgrade")));
	}

	take(chunk) {
		let b = this.rest === null ? chunk : Buffer.concat([this.rest, chunk]);

		this.rest = null;
		if (this.open !== null)
			b = this.takeHead(b);
		while (b.length >= 2) {
			const short = b[1] & 0x7f;
			const at = short === 126 ? 4 : short === 127 ? 10 : 2;
			if (b.length < at)
				break;
			const length = short === 126 ? b.readUInt16BE(2) : short === 127 ? Number(b.readBigUInt64BE(2)) : short;
			if (b.length < at + length)
				break;
			this.frame(b[0] & 15, b.subarray(at, at + length));
			b = b.subarray(at + length);
		}
		if (b.length > 0)
			this.rest = Buffer.from(b);
	}

	takeHead(b) {
		const end = b.indexOf("\r\n\r\n");

		if (end < 0) {
			this.rest = Buffer.from(b);
			return b.subarray(b.length);
		}
		const status = Number(b.toString("latin1", 9, 12));
		if (status === 101)
			this.open();
		else
			this.refuse(Object.assign(new Error(`upgrade refused with ${status}`), { status }));
		this.open = null;
		return b.subarray(end + 4);
	}

	frame(opcode, payload) {
		if (opcode === OP.text) {
			this.texts++;
			this.onText(payload, this);
			if (this.waiting.size > 0)
				this.answer(payload);
		} else if (opcode === OP.ping)
			this.write(frame(OP.pong, payload));
		else if (opcode === OP.close) {
			this.code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
			this.socket.end(frame(OP.close, payload.subarray(0, 2)));
		}
	}

	answer(payload) {
		if (payload.indexOf("phx_reply") < 0)
			return;
		const [, ref, , event, { status, response }] = JSON.parse(payload);
		if (event === "phx_reply" && this.waiting.has(ref)) {
			this.waiting.get(ref)({ status, response });
			this.waiting.delete(ref);
		}
	}

	write(bytes) {
		if (!this.socket.destroyed && !this.socket.writableEnded)
			this.socket.write(bytes);
		return this;
	}

	/* Pushes; resolves with the reply's { status, response }. */
	ask(topic, event, payload = {}) {
		const ref = String(++this.lastRef);
		const reply = new Promise((resolve) => this.waiting.set(ref, resolve));

		this.write(frame(OP.text, JSON.stringify([event === "phx_join" ? ref : null, ref, topic, event, payload])));
		return reply;
	}

	async join(topic, patience) {
		const closed = this.closed.then(() => { throw new Error(`closed with ${this.code} before it joined ${topic}`); });
		const reply = Promise.race([this.ask(topic, "phx_join"), closed]);
		const { status, response } = await within(reply, `joining ${topic}`, patience);

		if (status !== "ok")
			throw new Error(`join refused: ${JSON.stringify(response)}`);
		return this;
	}

	/* Push without asking for a reply. */
	cast(topic, event, payload = {}) {
		return this.write(frame(OP.text, JSON.stringify([null, null, topic, event, payload])));
	}

	bye(code = 1000) { return this.write(frame(OP.close, closePayload(code))); }
	pause() { this.socket.pause(); return this; }
	resume() { this.socket.resume(); return this; }

	async cut() {
		this.socket.destroy();
		await this.closed;
	}
}

/* `n` clients, a few at a time. */
export async function crowd(n, make, width = 50) {
	const all = [];

	for (let i = 0; i < n; i += width)
		all.push(...await Promise.all(Array.from({ length: Math.min(width, n - i) }, (_, k) => make(i + k))));
	return all;
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

/* Starts to measure; stop() says { n, lost, p50, p99, max } in ms. */
export async function probe(at, { topic = "room:probe", every = 10 } = {}) {
	const worker = new Worker(new URL(import.meta.url), { workerData: { probe: { at, topic, every } } });
	const failed = once(worker, "error").then(([e]) => { throw e; });

	failed.catch(() => {});
	worker.unref();
	await within(Promise.race([once(worker, "message"), failed]), "the probe to start");
	return {
		async stop() {
			worker.postMessage("stop");
			const [figures] = await within(Promise.race([once(worker, "message"), failed]), "the probe's figures");
			await worker.terminate();
			return figures;
		},
	};
}

async function runProbe({ at, topic, every }) {
	const times = [], sent = [];
	let got = 0;

	const to = await Client.open(at, {
		onText: (payload) => {
			const [, , , event, { n }] = JSON.parse(payload);
			if (event === "probe") {
				times.push(performance.now() - sent[n]);
				got++;
			}
		},
	});
	const from = await Client.open(at);
	await to.join(topic);
	await from.join(topic);
	const timer = setInterval(() => {
		sent.push(performance.now());
		from.cast(topic, "probe", { n: sent.length - 1 });
	}, every);
	parentPort.postMessage("started");
	await once(parentPort, "message");
	clearInterval(timer);
	for (let i = 0; i < 200 && got < sent.length; i++)
		await new Promise((resolve) => setTimeout(resolve, 10));
	times.sort((a, b) => a - b);
	const [p50, p99, max] = [0.5, 0.99, 1].map((q) => Math.round(quantile(times, q) * 10) / 10);
	parentPort.postMessage({ n: sent.length, lost: sent.length - got, p50, p99, max });
	await Promise.all([to.cut(), from.cut()]);
}

if (!isMainThread && workerData?.probe)
	await runProbe(workerData.probe);
