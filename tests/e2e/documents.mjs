// Where the tests of the documents (the guides to the channels that clients were written by) take place: on one node without
// Redis and on three with it. People have the stock client, each at a node of their own, and pages as the snippets expect them.

import assert from "node:assert/strict";
import { after, afterEach, before, describe } from "node:test";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";
import { Cluster } from "./cluster.mjs";
import { PATIENCE, mint, start, waitFor, within } from "./harness.mjs";
import { Ws } from "./raw.mjs";
import { noRedis } from "./redis.mjs";

/* The stock client of two generations by turns, so that both have to do with all that is tested. */
const CLIENTS = [phoenix18, phoenix17];

/* What a push or join was answered; a refusal throws, and has `answer`. */
export async function ok(push, what = "an answer") {
	const { status, response } = await answered(push, what);

	if (status !== "ok")
		throw Object.assign(new Error(`${what}: ${status} ${JSON.stringify(response)}`), { answer: response });
	return response;
}

/* What it was refused with. */
export async function refused(push, what = "a refusal") {
	const { status, response } = await answered(push, what);

	assert.equal(status, "error", `${what}: ${status} ${JSON.stringify(response)}`);
	return response;
}

export function answered(push, what) {
	return within(new Promise((resolve) => {
		for (const status of ["ok", "error", "timeout"])
			push.receive(status, (response) => resolve({ status, response }));
	}), what);
}

/* One person's channel, and all that it was told. */
export class Seat {
	constructor(socket, topic, params) {
		this.socket = socket;
		this.got = [];		// [event, payload] but for replies
		this.channel = socket.channel(topic, params);
		this.channel.onMessage = (event, payload) => {
			if (event !== null && event !== "phx_reply" && !event.startsWith("chan_reply_"))
				this.got.push([event, payload]);
			return payload;
		};
	}

	/* Who is refused does not try again by itself. */
	async join() {
		this.answer = await ok(this.channel.join(PATIENCE), `joining ${this.channel.topic}`)
			.catch((e) => { this.channel.leave(); throw e; });
		return this;
	}

	push(event, payload = {}) { return ok(this.channel.push(event, payload, PATIENCE), `push of ${event}`); }
	refused(event, payload = {}) { return refused(this.channel.push(event, payload, PATIENCE), `push of ${event}`); }
	leave() { return ok(this.channel.leave(PATIENCE), "leaving"); }
	/* As a client that is lost, and stays away. */
	cut() {
		this.socket.conn.terminate();
		this.socket.disconnect();
	}

	heard(event) { return this.got.filter(([name]) => name === event).map(([, payload]) => payload); }

	/* Waits for the n-th of these events and returns it; those before n may have been looked at already. */
	async hears(event, n = 1, timeout = PATIENCE) {
		await waitFor(() => this.heard(event).length >= n, `${event} no ${n} at ${this.channel.topic}`, timeout)
			.catch((e) => { throw new Error(`${e.message}; it heard ${JSON.stringify(this.got.slice(-12))}`); });
		return this.heard(event)[n - 1];
	}

	/* Waits for an event with these members, and returns it. */
	async hearsThat(event, members, timeout = PATIENCE) {
		const fits = (payload) => Object.entries(members).every(([name, value]) => payload[name] === value);

		await waitFor(() => this.heard(event).some(fits), `${event} ${JSON.stringify(members)} at ${this.channel.topic}`, timeout)
			.catch((e) => { throw new Error(`${e.message}; it heard ${JSON.stringify(this.got.slice(-12))}`); });
		return this.heard(event).find(fits);
	}

	forget() { this.got.length = 0; }
}

export class Ground {
	constructor(n) {
		this.n = n;
		this.sockets = [];
		this.wires = [];
		this.turn = 0;
	}

	get clustered() { return this.cluster !== undefined; }

	async start({ config = "", options = {}, redis = {} } = {}) {
		if (this.n > 1)
			this.cluster = await Cluster.start({ nodes: this.n, config, options, redis });
		else
			this.single = await start({ config, options: { "limits.message_rate": 0, "drain.delay": "100ms", "drain.time": "1s", ...options } });
	}

	async end() {
		await this.cluster?.end();
		await this.single?.stop();
	}

	/* The k-th node, of as many as there are. */
	at(k) { return this.single ?? this.cluster.node(`n${1 + k % this.n}`); }

	/* Socket as a page of that node has it: an address without a host, or with the documents', is the node's. */
	pageSocket(k) {
		const ground = this, { Socket } = CLIENTS[this.turn++ % CLIENTS.length];

		return class extends Socket {
			constructor(endPoint, options) {
				super(`ws://127.0.0.1:${ground.at(k).port}${endPoint.replace(/^ws:\/\/[^/]*/, "")}`,
					{ transport: WebSocket, reconnectAfterMs: () => 100, rejoinAfterMs: () => 100, timeout: PATIENCE, ...options });
				ground.sockets.push(this);
			}
		};
	}

	/* A user's connection to the k-th node. */
	dial(user, k, { claims = {}, params, ...options } = {}) {
		const Socket = this.pageSocket(k);
		const socket = new Socket("/socket", { params: params ?? (() => ({ token: mint({ user_id: user, ...claims }) })), ...options });

		socket.connect();
		return socket;
	}

	/* A user who has joined there, by a connection of their own. */
	join(user, k, topic, { params = {}, ...options } = {}) {
		return new Seat(this.dial(user, k, options), topic, params).join();
	}

	/* What a user is refused with who wants to join. */
	joinRefused(user, k, topic, { params = {}, ...options } = {}) {
		const { channel } = new Seat(this.dial(user, k, options), topic, params);

		return refused(channel.join(PATIENCE), `joining ${topic}`).finally(() => channel.leave());
	}

	async wire(k, options) {
		const ws = await Ws.open(this.at(k).port, options);

		this.wires.push(ws);
		return ws;
	}

	async clear() {
		this.wires.splice(0).forEach((ws) => ws.destroy());
		await Promise.all(this.sockets.splice(0).map((socket) => {
			/* Those that are to be joined anew some day would keep us. */
			socket.channels.forEach((channel) => channel.rejoinTimer.reset());
			return within(new Promise((resolve) => socket.disconnect(resolve)), "a socket to close");
		}));
	}
}

let n = 0;
/* A name that no other test has. */
export const fresh = (name) => `${name}${process.pid}-${++n}`;

/* The same tests on one node without Redis and on three with it. */
export function everywhere(title, options, tests) {
	for (const [where, nodes] of [["one node", 1], ["three nodes", 3]])
		describe(`${title}: ${where}`, { skip: nodes > 1 && noRedis, concurrency: false }, () => {
			const ground = new Ground(nodes);

			before(() => ground.start(options));
			after(() => ground.end());
			afterEach(() => ground.clear());
			tests(ground);
		});
}

/* A console that remembers: what was logged, each as a list. */
export function notebook() {
	const lines = [], log = (...words) => lines.push(words);

	return { lines, log, error: log, logged: (first) => waitFor(() => lines.find((words) => words[0] === first), `"${first}"`) };
}
