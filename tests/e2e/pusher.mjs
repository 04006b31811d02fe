// A client of the Pusher-style protocol: what it asks is answered, and what it was told besides waits until a test looks at it.

import assert from "node:assert/strict";
import { after } from "node:test";
import { isDeepStrictEqual } from "node:util";
import WebSocket from "ws";
import { mint, waitFor, within } from "./harness.mjs";

export const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

// Those that a failed test has left behind would keep us.
const open = new Set();

after(() => open.forEach((client) => client.ws.terminate()));

const fits = (message, want) => Object.entries(want).every(([name, value]) => isDeepStrictEqual(message[name], value));

export class PusherClient {
	/*
	 * Opened, and greeted: { clientId, user }.
	 *   at      a daemon
	 *   user    null is nobody; claims are added to the token
	 *   path    with which parameters, besides the token
	 */
	static async open(at, { user = "u1", claims, path = "/ws", token = user === null ? undefined : mint({ user_id: user, ...claims }) } = {}) {
		const client = new this(`ws://127.0.0.1:${at.port}${path}${token === undefined ? "" : `?token=${token}`}`);

		Object.assign(client, await client.hears({ type: "connected" }));
		return client;
	}

	/* The same, joined to that channel: `joined` is the answer. */
	static async join(at, channel, { userInfo, ...options } = {}) {
		const client = await this.open(at, options);

		client.joined = await client.ok("join", { channel, userInfo });
		return client;
	}

	constructor(url, protocols, options) {
		this.ws = new WebSocket(url, protocols, options);
		this.raw = [];		// all texts
		this.told = [];		// all that was not looked at
		this.lastId = 0;
		this.code = null;	// once it is closed
		this.failure = null;
		this.ws.on("message", (data) => {
			this.raw.push(data.toString());
			this.told.push(JSON.parse(data));
		});
		this.ws.on("error", (e) => this.failure = e);
		this.closed = new Promise((resolve) => this.ws.on("close", (code) => resolve(this.code = code)));
		open.add(this);
	}

	send(message) { this.ws.send(typeof message === "string" ? message : JSON.stringify(message)); }

	/* The next message that has all of these members, or for which the function says yes; it is looked at, then. */
	async hears(want, what = JSON.stringify(want)) {
		const is = typeof want === "function" ? want : (message) => fits(message, want);

		await waitFor(() => {
			if (!this.told.some(is) && (this.failure ?? this.code) !== null)
				throw this.failure ?? new Error(`closed with ${this.code}, without ${what}`);
			return this.told.some(is);
		}, what).catch((e) => { throw new Error(`${e.message}; heard were ${JSON.stringify(this.told)}`); });
		return this.told.splice(this.told.findIndex(is), 1)[0];
	}

	/* The answer to a request. */
	async ask(type, members = {}) {
		const requestId = ++this.lastId;

		this.send({ type, requestId, ...members });
		const { requestId: same, ...answer } = await this.hears({ requestId }, `an answer to ${type} ${JSON.stringify(members)}`);
		assert.equal(same, requestId);
		return answer;
	}

	async ok(type, members) {
		const answer = await this.ask(type, members);

		assert.notEqual(answer.type, "error", JSON.stringify(answer));
		return answer;
	}

	/* Refused with that code; returns the message. */
	async refused(code, type, members) {
		const answer = await this.ask(type, members);

		assert.deepEqual([answer.type, answer.code], ["error", code], JSON.stringify(answer));
		assert.equal(typeof answer.message, "string");
		return answer.message;
	}

	say(channel, event, data) { return this.ok("channel:message", { channel, event, data }); }

	/* Whatever was on its way to it is here by now, and nothing was left to look at. */
	async hearsNothing() {
		await this.ok("ping");
		assert.deepEqual(this.told, []);
	}

	async close() {
		open.delete(this);
		this.ws.close();
		await within(this.closed, "the end");
	}

	/* Without a word. */
	cut() {
		open.delete(this);
		this.ws.terminate();
	}
}
