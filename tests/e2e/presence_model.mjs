// Clients as people have them: the stock phoenix client with its Presence object. Each remembers all that it was told, and
// watches that it makes sense: a ref comes once and goes once, and never goes before it came.

import { after } from "node:test";
import { Presence, Socket } from "phoenix18";
import WebSocket from "ws";
import { PATIENCE, mint, waitFor, within } from "./harness.mjs";

// Those that a failed test has left behind would keep us.
const connected = new Set();

after(() => connected.forEach((member) => member.disconnect()));

export class Member {
	/*
	 *   at      a daemon, or a socket's URL
	 *   status  as which it appears
	 *   params  of the join, besides; or a function that gives them
	 *   reconnect, heartbeat  as a client in the wild, or one that stays where it is put
	 *   patience  for the answer to pushes
	 */
	constructor(at, topic, { user = "u1", status = "online", params = {}, reconnect = false, heartbeat = 30_000, patience = PATIENCE } = {}) {
		this.user = user;
		this.topic = topic;
		this.got = [];		// [event, payload] but for replies, presence included
		this.wrong = [];	// what should not have happened
		this.shown = null;	// ref -> { key, meta } by our own reckoning, null until the state has come
		this.in = false;	// joined by our own will
		this.status = status;
		this.patience = patience;
		this.closed = 0;
		this.socket = new Socket(at.socketUrl ?? at, {
			transport: WebSocket,
			params: () => ({ token: mint({ user_id: user, exp: Math.floor(Date.now() / 1000) + 3 * 86_400 }) }),
			heartbeatIntervalMs: heartbeat,
			reconnectAfterMs: () => reconnect ? 50 + Math.random() * 200 : 3_600_000,
			rejoinAfterMs: () => reconnect ? 50 + Math.random() * 200 : 3_600_000,
			timeout: patience,
		});
		this.lost = new Promise((_, reject) => this.lose = () => reject(new Error(`${user} has no connection`)));
		this.lost.catch(() => {});
		this.socket.onClose(() => {
			this.closed++;
			this.shown = null;
			if (!reconnect)
				this.lose();
		});
		this.channel = this.socket.channel(topic, () => ({ status: this.status, ...(typeof params === "function" ? params() : params) }));
		this.presence = new Presence(this.channel);
		this.channel.onMessage = (event, payload) => this.take(event, payload);
	}

	static async join(at, topic, options) {
		const member = new this(at, topic, options);

		await member.join();
		return member;
	}

	/* What the join was answered. */
	async join() {
		connected.add(this);
		this.socket.connect();
		this.shown = null;
		this.answer = await this.ok(this.channel.join(this.patience), `${this.user} to join ${this.topic}`);
		this.in = true;
		return this.answer;
	}

	ok(push, what) {
		const answer = new Promise((resolve, reject) => {
			push.receive("ok", resolve);
			for (const status of ["error", "timeout"])
				push.receive(status, (answer) => reject(Object.assign(new Error(`${what}: ${status} ${JSON.stringify(answer)}`), { status, answer })));
		});

		return within(Promise.race([answer, this.lost]), what, this.patience + 1000);
	}

	push(event, payload = {}) { return this.ok(this.channel.push(event, payload, this.patience), `${this.user} to push ${event}`); }

	async update(status) {
		await this.push("update_status", { status });
		this.status = status;
	}

	async leave() {
		this.in = false;
		await this.ok(this.channel.leave(this.patience), "leaving");
		this.disconnect();
	}

	/* As a lost client: no close frame. It does not come back. */
	cut() {
		const { conn } = this.socket;

		this.in = false;
		conn?.terminate?.();
		this.disconnect();
	}

	disconnect() {
		connected.delete(this);
		this.in = false;
		this.lose();
		this.socket.disconnect();
		this.channel.rejoinTimer.reset();
	}

	take(event, payload) {
		/* The client tells itself of nothing when a push that was given up times out. */
		if (event !== null && !event.startsWith("chan_reply_") && event !== "phx_reply")
			this.got.push([event, payload]);
		if (event === "phx_error" || event === "phx_close")
			this.shown = null;
		else if (event === "presence_state")
			this.takeState(payload);
		else if (event === "presence_diff")
			this.takeDiff(payload);
		return payload;
	}

	takeState(state) {
		this.shown = new Map();
		for (const [key, { metas }] of Object.entries(state))
			for (const meta of metas)
				this.enter(key, meta);
	}

	takeDiff({ joins, leaves }) {
		if (this.shown === null) {
			this.wrong.push("a diff before the state");
			return;
		}
		/* The new meta of an update comes with the leave of the old one. */
		const before = new Map(this.shown);
		for (const [key, { metas }] of Object.entries(joins))
			for (const meta of metas)
				this.enter(key, meta);
		for (const [key, { metas }] of Object.entries(leaves))
			for (const { phx_ref: ref } of metas) {
				if (before.get(ref)?.key !== key)
					this.wrong.push(`leave of ${key}/${ref}, who was not there`);
				this.shown.delete(ref);
			}
	}

	enter(key, meta) {
		if (typeof meta.phx_ref !== "string")
			this.wrong.push(`a meta of ${key} without phx_ref`);
		if (this.shown.has(meta.phx_ref))
			this.wrong.push(`join of ${key}/${meta.phx_ref}, who was there`);
		this.shown.set(meta.phx_ref, { key, meta });
	}

	/* Payloads of an event. */
	heard(event) { return this.got.filter(([name]) => name === event).map(([, payload]) => payload); }

	/* Refs that came and went since a mark in `got`, with repeats. */
	changes(since = 0) {
		const refs = (side) => Object.entries(side).flatMap(([key, { metas }]) => metas.map((meta) => `${key}/${meta.phx_ref}`));
		const diffs = this.got.slice(since).filter(([event]) => event === "presence_diff").map(([, diff]) => diff);

		return { diffs: diffs.length, joins: diffs.flatMap((d) => refs(d.joins)), leaves: diffs.flatMap((d) => refs(d.leaves)) };
	}

	/* "KEY/REF meta" of each, sorted: by the stock Presence object. */
	view() { return lines(Object.entries(this.presence.state).flatMap(([key, { metas }]) => metas.map((meta) => ({ key, meta })))); }
	reckoned() { return this.shown === null ? null : lines([...this.shown.values()]); }
}

function lines(items) {
	return items.map(({ key, meta }) => {
		const { phx_ref: ref, phx_ref_prev: prev, ...rest } = meta;
		return `${key}/${ref} ${JSON.stringify(rest)}`;
	}).sort();
}

const KEY_AND_META = /^(.*)\/[^/]* (.*)$/;

/* A line of a view as the truth is told. */
function keyAndStatus(line) {
	const [, key, meta] = line.match(KEY_AND_META);

	return `${key} ${JSON.parse(meta).status}`;
}

/* What stands against it that all who are in see each other, and nobody else; null if nothing. */
export function disagreement(members) {
	const here = members.filter((m) => m.in);
	const truth = here.map((m) => `${m.user} ${m.status}`).sort().join("\n");
	const bad = members.find((m) => m.wrong.length > 0);

	if (bad)
		return `${bad.user}: ${bad.wrong.join("; ")}`;
	for (const member of here) {
		const view = member.view().join("\n"), reckoned = member.reckoned()?.join("\n");
		const seen = member.view().map(keyAndStatus).sort().join("\n");

		if (seen !== truth)
			return `${member.user} sees\n${seen}\nwhere there are\n${truth}`;
		if (view !== reckoned)
			return `${member.user}: Presence has\n${view}\nand the frames say\n${reckoned}`;
		if (view !== here[0].view().join("\n"))
			return `${member.user} sees\n${view}\nand ${here[0].user}\n${here[0].view().join("\n")}`;
	}
	return null;
}

/* Waits until all agree; returns how long it took. */
export async function agreed(members, timeout = PATIENCE) {
	const begun = performance.now();
	let why = null;

	await waitFor(() => {
		why = disagreement(members);
		if (members.some((m) => m.wrong.length > 0))
			throw new Error(why);
		return why === null;
	}, "all to agree", timeout).catch((e) => { throw new Error(`${e.message}: ${why}`); });
	return performance.now() - begun;
}
