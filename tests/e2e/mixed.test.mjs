// Rooms where all dialects meet: stock phoenix clients of both generations, version 1.0.0, long poll and Pusher-style clients,
// on one node and across two. Each hears and sees the others in its own words.

import assert from "node:assert/strict";
import net from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";
import { Cluster, SLACK } from "./cluster.mjs";
import { Client, crowd } from "./crowd.mjs";
import { PATIENCE, mint, sleep, start, waitFor, within } from "./harness.mjs";
import { ISO, PusherClient } from "./pusher.mjs";
import { OP, frame, upgradeHead } from "./raw.mjs";
import { noRedis } from "./redis.mjs";

const KEY = "a-key-of-the-API-but-without-blanks";
// Of presence, as it is by default.
const WINDOW_MS = 50;
// The greeting; the answers to two joins and a leave, twice the members, the end.
const OWN_FRAMES = 7;
const OPTIONS = { "limits.message_rate": 0, "longpoll.window": "1s" };

// What nobody listens to.
const SETTLING = "settling";

let n = 0;
/* A channel that no other test has. */
const fresh = (kind) => `${kind}-mixed-${++n}`;

const same = (members) => members;
const users = (members) => [...new Set(members.map(({ id }) => id))].sort();
const sorted = (members) => [...members].sort((a, b) => a.clientId < b.clientId ? -1 : 1);

/* As its predecessors had it: no arrays, so the client is given the old encoding. */
const V1 = {
	vsn: "1.0.0",
	encode: (message, done) => done(JSON.stringify(message)),
	decode: (text, done) => done(JSON.parse(text)),
};

/* A payload that the client sends as it stands here, and not as JavaScript would write it. */
class Raw {
	constructor(text) { this.text = text; }
}

// Those that a failed test has left behind would keep us.
const present = new Set();

after(() => present.forEach((one) => one.end()));

/* What they have in common: `heard` are the frames of what was said, as they came, `wrong` what should not have happened. */
class Someone {
	constructor(name, channel, { user, userInfo }) {
		Object.assign(this, { name, channel, user, userInfo, heard: [], wrong: [], texts: [] });
		present.add(this);
	}

	/* Everything that all were to hear is here, once, each speaker's in order; `said` is speaker => [[event, data], ...]. */
	async hears(said) {
		const speakers = [...said].filter(([speaker]) => speaker !== this), want = speakers.flatMap(([, lines]) => lines).length;

		await waitFor(() => this.heard.length >= want, `${this.name} to hear ${want}`).catch((e) => {
			throw new Error(`${e.message}; there were ${this.heard.length}, the last are\n${this.heard.slice(-3).join("\n")}`);
		});
		await this.ping();
		const heard = this.heard.splice(0);
		for (const [speaker, lines] of speakers)
			assert.deepEqual(heard.filter((text) => text.includes(`"say-${speaker.name}"`)),
				lines.map(([event, data]) => this.written(event, data, speaker)), `${this.name} hears ${speaker.name}`);
		assert.equal(heard.length, want, heard.join("\n"));
	}
}

/* A stock client with its Presence. */
class PhoenixOne extends Someone {
	static async enter(name, at, channel, options) {
		const one = new this(name, at, channel, options);

		one.answer = await one.ok(one.room.join(), "to join");
		if (!one.answer.me) {
			/* What others are to call it, it is told where members are shown. */
			const own = one.socket.channel(fresh("presence-own"), {});
			one.clientId = (await one.ok(own.join(), "to see itself")).me.clientId;
			await one.ok(own.leave(), "to forget itself");
		} else
			one.clientId = one.answer.me.clientId;
		return one;
	}

	constructor(name, at, channel, { phoenix, settings = {}, ...options }) {
		super(name, channel, options);
		this.socket = new phoenix.Socket(at.socketUrl, {
			transport: WebSocket,
			params: () => ({ token: mint({ user_id: this.user }) }),
			reconnectAfterMs: () => 3_600_000,
			rejoinAfterMs: () => 3_600_000,
			timeout: PATIENCE,
			...settings,
		});
		this.old = settings.vsn === "1.0.0";
		this.listen();
		this.socket.connect();
		this.room = this.socket.channel(channel, { userInfo: this.userInfo });
		this.presence = new phoenix.Presence(this.room);
		this.diffs = 0;
		this.room.on("presence_diff", () => this.diffs++);
	}

	/* Its codec is its own, but for payloads that JavaScript cannot write. */
	listen() {
		const { encode, decode } = this.socket;

		this.socket.encode = (message, done) => encode(message, (text) =>
			done(message.payload instanceof Raw ? text.replace(JSON.stringify(message.payload), () => message.payload.text) : text));
		this.socket.decode = (text, done) => decode(text, (message) => {
			this.texts.push(text);
			if (message.topic === this.channel && message.event !== SETTLING && !/^(phx|presence|chan_reply)_/.test(message.event))
				this.heard.push(text);
			done(message);
		});
	}

	ok(push, what) {
		return within(new Promise((resolve, reject) => {
			push.receive("ok", resolve);
			for (const status of ["error", "timeout"])
				push.receive(status, (answer) => reject(Object.assign(new Error(`${this.name} ${what}: ${status} ${JSON.stringify(answer)}`), { answer })));
		}), `${this.name} ${what}`, PATIENCE + SLACK);
	}

	push(event, payload) { return this.ok(this.room.push(event, payload), `to push ${event}`); }

	/* Objects are payloads, other values are wrapped. */
	say(event, data) {
		return data.startsWith("{") ? this.push(event, new Raw(data))
			: this.push("channel:message", new Raw(`{"event":${JSON.stringify(event)},"data":${data}}`));
	}

	async update(userInfo) { return (await this.push("channel:update", { userInfo })).member; }
	sayUpdate(payload) { return this.push("channel:update", new Raw(payload)); }

	/* As it does when its channel has failed, and the server knows nothing of that. */
	async comeBack(userInfo) {
		const joined = new Promise((resolve) => this.room.joinPush.receive("ok", resolve));

		this.room.params = () => ({ userInfo });
		this.room.joinPush.payload = this.room.params;
		this.room.state = "errored";
		this.room.rejoin(PATIENCE);
		this.answer = await within(joined, `${this.name} to come back`);
	}

	/* How that is told to it. */
	written(event, data) {
		const payload = data.startsWith("{") ? data : `{"data":${data}}`;

		return this.old ? `{"topic":"${this.channel}","event":"${event}","payload":${payload},"ref":null}`
			: `[null,null,"${this.channel}","${event}",${payload}]`;
	}

	members() {
		return sorted(Object.entries(this.presence.state).flatMap(([id, { metas }]) => metas.map((meta) => {
			const { phx_ref: ref, phx_ref_prev: prev, ...info } = meta;
			assert.equal(typeof ref, "string");
			return { id, ...info };
		})));
	}

	ping() { return within(new Promise((resolve) => assert.ok(this.socket.ping(resolve))), `a heartbeat of ${this.name}`); }

	async leave() {
		await this.ok(this.room.leave(), "to leave");
		assert.equal(this.room.state, "closed");
	}

	/* Without a word. */
	cut() {
		this.socket.conn?.terminate?.();
		this.end();
	}

	end() {
		present.delete(this);
		this.socket.disconnect();
		this.room.rejoinTimer.reset();
	}
}

/* Where the user has another tab, it is not told that this one was gone in the meantime. */
const cameTwice = (known, { id, clientId }) => known.some((one) => one.clientId === clientId) &&
	!known.some((one) => one.id === id && one.clientId !== clientId);

class PusherOne extends Someone {
	plain = true;

	static async enter(name, at, channel, options) {
		const one = new this(name, channel, options);

		one.client = await PusherClient.open(at, { user: options.user });
		one.client.ws.on("message", (text) => one.take(text.toString()));
		one.clientId = one.client.clientId;
		one.answer = await one.client.ok("join", { channel, userInfo: options.userInfo });
		return one;
	}

	constructor(...args) {
		super(...args);
		this.told = [];		// [type, member] of members
		this.known = null;	// the members by its own reckoning
	}

	take(text) {
		const message = JSON.parse(text), { type, member } = message;

		this.texts.push(text);
		if (type === "channel:message")
			this.takeWords(text, message.event);
		else if (type === "channel:joined")
			this.known = message.members;
		else if (type === "channel:updated")
			this.know(member);
		else if (type.startsWith("presence:")) {
			this.told.push([type.slice("presence:member_".length), member]);
			this.takeMember(type, member, message);
		} else if (!["pong", "channel:sent", "channel:left"].includes(type))
			this.wrong.push(text);
	}

	/* The time differs, but must be one. */
	takeWords(text, event) {
		const [, words, timestamp] = text.match(/^(.*),"timestamp":"([^"]*)"\}$/) ?? [];

		if (!ISO.test(timestamp))
			this.wrong.push(text);
		if (event !== SETTLING)
			this.heard.push(words);
	}

	know(member) { this.known = [...this.known.filter(({ clientId }) => clientId !== member.clientId), member]; }

	takeMember(type, member, { channel, timestamp }) {
		const there = this.known.some(({ id, clientId }) => type === "presence:member_left" ? id === member.id : clientId === member.clientId);

		if ((type === "presence:member_joined" ? cameTwice(this.known, member) : !there) || member.clientId === this.clientId)
			this.wrong.push(`${type} of ${JSON.stringify(member)}`);
		if (channel !== this.channel || !ISO.test(timestamp))
			this.wrong.push(`${type} in ${channel} at ${timestamp}`);
		if (type === "presence:member_left")
			this.known = this.known.filter(({ id }) => id !== member.id);
		else
			this.know(member);
	}

	say(event, data) {
		const requestId = ++this.client.lastId;

		this.client.send(`{"type":"channel:message","requestId":${requestId},"channel":"${this.channel}","event":"${event}","data":${data}}`);
		return this.client.hears({ requestId }).then((answer) => {
			assert.equal(answer.type, "channel:sent", JSON.stringify(answer));
			return { delivered: answer.delivered };
		});
	}

	async update(userInfo) { return (await this.client.ok("channel:update", { channel: this.channel, userInfo })).member; }

	sayUpdate(payload) {
		this.client.send(`{"type":"channel:update","channel":"${this.channel}",${payload.slice(1)}`);
		return this.client.hears({ type: "channel:updated" });
	}

	async comeBack(userInfo) {
		const { channel, client } = this;

		[, this.answer] = await Promise.all([client.ok("leave", { channel }), client.ok("join", { channel, userInfo })]);
	}

	written(event, data, { clientId, user }) {
		return `{"type":"channel:message","channel":"${this.channel}","event":"${event}","data":${data},` +
			`"from":{"clientId":"${clientId}","userId":${JSON.stringify(user)}}`;
	}

	members() { return sorted(this.known); }
	ping() { return this.client.ok("ping"); }
	leave() { return this.client.ok("leave", { channel: this.channel }); }
	cut() { this.end(); }

	end() {
		present.delete(this);
		this.client?.cut();
	}
}

const KINDS = [
	["p17", PhoenixOne, { phoenix: phoenix17 }],
	["p18", PhoenixOne, { phoenix: phoenix18 }],
	["old", PhoenixOne, { phoenix: phoenix17, settings: V1 }],
	["poll", PhoenixOne, { phoenix: phoenix18, settings: { transport: phoenix18.LongPoll } }],
	["plain1", PusherOne, {}],
	["plain2", PusherOne, {}],
];

// Objects, and what is none: as they stand here they are to arrive.
const WORDS = [
	'{"b":1.10,"a":1e2,"z":-0.0,"big":123456789012345678901234567890}',
	'{"text":"\\u00e9\\u2028\\ud83d\\ude00\\/ é 😀 \\"","n":null,"list":[{"y":1,"x":2},[],{}]}',
	"{}",
	'{"data":{"data":1}}',
	'{"event":"x","type":"join","channel":"public-y","from":null,"userId":"forged"}',
	'{"":"","data":[1.0]}',
	"1.10", "-0", "12345678901234567890", '"\\u00e9"', '""', "null", "true", '[1.0,[{"b":2,"a":1}]]', "[]",
];

/*
 * What holds of rooms.
 *   nodes()   the daemons
 */
function rooms(nodes) {
	const people = [];

	afterEach(() => {
		const all = people.splice(0);

		all.forEach((one) => one.end());
		for (const one of all)
			assert.deepEqual([one.wrong, one.heard], [[], []], one.name);
	});

	const at = (i) => nodes()[i % nodes().length];

	async function enter(name, i, channel, [, Kind, options] = KINDS.find(([kind]) => kind === name), more = {}) {
		const one = await Kind.enter(name, at(i), channel, { user: `user-${name}`, userInfo: { name, tags: ["é", 1.5], more: { none: null } }, ...options, ...more });

		people.push(one);
		return one;
	}

	/* One of each kind, every other on another node. */
	const all = (channel) => Promise.all(KINDS.map((kind, i) => enter(kind[0], i, channel, kind)));

	async function apiMembers(node, channel) {
		const answer = await fetch(`http://127.0.0.1:${node.adminPort}/api/channels/${channel}/members`, { headers: { Authorization: `Bearer ${KEY}` } });

		assert.ok([200, 404].includes(answer.status), String(answer.status));
		return answer.status === 200 ? sorted((await answer.json()).members) : [];
	}

	/*
	 * They see each other, and nobody else, and so does the API of every node. `tabs`: users have several, and Pusher-style
	 * clients are told of the last one's end alone.
	 */
	async function agree(who, { tabs = false } = {}) {
		const [{ channel }] = who, want = who.map(({ clientId }) => clientId).sort();
		let why;

		await waitFor(async () => {
			const [truth, ...others] = await Promise.all(nodes().map((node) => apiMembers(node, channel)));
			const lists = [["the API", others], ...who.map((one) => [one.name, [one.members()], tabs && one.plain ? users : same])];

			assert.deepEqual(who.flatMap(({ wrong }) => wrong), []);
			try {
				assert.deepEqual(truth.map(({ clientId }) => clientId), want);
				for (const [name, views, reduced = same] of lists)
					for (const view of views)
						assert.deepEqual(reduced(view), reduced(truth), name);
			} catch (e) {
				why = e;
				return false;
			}
			return true;
		}, "all to agree").catch((e) => { throw why ?? e; });
	}

	/* All are counted, so all hear each other. */
	async function settle(who) {
		await Promise.all(who.map((one) => waitFor(async () => (await one.say(SETTLING, "0")).delivered === who.length - 1, `${one.name} to count all`)));
	}

	async function conversation(who, said) {
		await Promise.all([...said].map(async ([speaker, lines]) => {
			for (const answer of await Promise.all(lines.map(([event, data]) => speaker.say(event, data))))
				assert.deepEqual(answer, { delivered: who.length - 1 });
		}));
		for (const one of who)
			await one.hears(said);
	}

	const everyWord = (who) => new Map(who.map((one) => [one, WORDS.map((data) => [`say-${one.name}`, data])]));

	/* What the Pusher-style ones were told of members, since they were asked last. */
	const told = (who) => who.filter((one) => one.told).map((one) => [one.name, one.told.splice(0)]);
	const allTold = (who, ...news) => assert.deepEqual(told(who), who.filter((one) => one.told).map(({ name }) => [name, news]));

	for (const kind of ["presence", "private", "public"])
		test(`all hear each other: ${kind}`, async () => {
			const channel = fresh(kind), who = await all(channel);

			for (const one of who)
				assert.equal(one.answer.channelType, kind);
			if (kind === "public")
				who.push(await enter("nobody", 0, channel, KINDS.at(-1), { user: null }));
			await settle(who);
			await conversation(who, everyWord(who));
		});

	test("all see each other", async () => {
		const channel = fresh("presence"), who = await all(channel);

		await agree(who);
		for (const { answer: { me }, clientId, user, userInfo } of who) {
			const { joinedAt, ...rest } = me;
			assert.match(joinedAt, ISO);
			assert.deepEqual(rest, { id: user, clientId, ...userInfo });
		}
		/* Nobody was told twice, and nobody of itself. */
		for (const [name, news] of told(who)) {
			const known = who.find((one) => one.name === name).answer.members.map(({ clientId }) => clientId);
			const came = news.map(([what, { clientId }]) => what === "joined" && clientId);
			assert.deepEqual([...known, ...came].sort(), who.map(({ clientId }) => clientId).sort(), name);
		}

		for (const [i, one] of who.entries()) {
			const { updatedAt, ...member } = await one.update({ status: `away ${i}`, tags: null });
			assert.match(updatedAt, ISO);
			assert.deepEqual(member, { ...one.answer.me, status: `away ${i}`, tags: null });
			await waitFor(() => who.every((other) => other.members().some(({ status }) => status === `away ${i}`)), "all to see it");
			await agree(who);
			allTold(who.filter((other) => other !== one), ["updated", { ...member, updatedAt }]);
			assert.deepEqual(one.told ?? [], []);
		}
	});

	for (const way of ["leave", "cut"])
		test(`who goes is gone: ${way}`, async () => {
			const channel = fresh("presence"), here = await all(channel), gone = [];
			const watchers = [await enter("p18", 0, channel, undefined, { user: "watcher-1" }), await enter("plain1", 1, channel, undefined, { user: "watcher-2" })];

			await agree([...here, ...watchers]);
			told([...here, ...watchers]);
			while (here.length > 0) {
				const one = here.shift(), rest = [...here, ...watchers];
				await one[way]();
				gone.push({ one, diffs: one.diffs });
				await agree(rest);
				allTold(rest, ["left", one.answer.me]);
			}
			await conversation(watchers, everyWord(watchers));
			for (const { one, diffs } of gone)
				assert.deepEqual([one.told ?? [], one.heard, one.diffs], [[], [], diffs], one.name);
		});

	test("who comes back at once is told as it is now", async () => {
		const channel = fresh("presence"), who = await all(channel);

		await agree(who);
		/* In version 1.0.0 the end of its old channel looks like that of the new one. */
		for (const [i, one] of who.filter((one) => !one.old).entries()) {
			told(who);
			await one.comeBack({ again: i });
			await waitFor(() => who.every((other) => other.members().some(({ again }) => again === i)), "all to see it");
			await agree(who);
			for (const [name, news] of told(who.filter((other) => other !== one)))
				assert.ok([["updated"], ["left", "joined"]].some((want) => isDeepStrictEqual(want, news.map(([what]) => what))), `${name}: ${JSON.stringify(news)}`);
			assert.deepEqual(one.told ?? [], []);
		}
		await conversation(who, everyWord(who));
	});

	test("what members say of themselves arrives as it was written", async () => {
		const channel = fresh("presence"), who = await all(channel), info = '"n":1.10,"e":"\\u00e9","big":12345678901234567890,"o":{"b":1e2,"a":0.0}';

		await agree(who);
		for (const one of who.filter((_, i) => i % 2 === 1)) {
			for (const other of who)
				other.texts.length = 0;
			await one.sayUpdate(`{"userInfo":{"mark":"${one.name}",${info}}}`);
			for (const other of who.filter((other) => other !== one))
				await waitFor(() => other.texts.some((text) => text.includes(info) && text.includes(`"mark":"${one.name}"`)), `${other.name} to see ${one.name}`);
		}
		await agree(who);
	});

	for (const first of ["phoenix", "plain"])
		test(`a user with tabs of both kinds: the ${first} one is closed first`, async () => {
			const channel = fresh("presence");
			const watchers = await Promise.all(["plain1", "plain2", "p17"].map((name, i) => enter(name, i, channel)));
			const tabs = [];

			await agree(watchers);
			told(watchers);
			for (const [i, name] of ["p18", "plain1"].entries()) {
				tabs.push(await enter(name, i, channel, undefined, { user: "both", userInfo: { tab: name } }));
				await agree([...watchers, ...tabs]);
				allTold(watchers, ["joined", tabs[i].answer.me]);
			}
			if (first === "plain")
				tabs.reverse();
			await tabs[0].leave();
			const [, , phoenix] = watchers;
			await waitFor(() => phoenix.presence.state.both.metas.length === 1, "the first tab to be gone");
			/* Behind it comes what all are told. */
			const member = await phoenix.update({ mark: 1 });
			await waitFor(() => watchers.every((one) => one.members().some(({ mark }) => mark === 1)), "the mark");
			allTold(watchers, ["updated", member]);
			const left = tabs[1].answer.me;
			tabs[1].cut();
			await agree(watchers);
			allTold(watchers, ["left", left]);
		});

	test("raw bytes are refused, and harm nobody", async () => {
		const channel = fresh("presence"), who = await all(channel);

		await agree(who);
		told(who);
		for (const one of who.filter((one) => one.room && !one.old))
			for (const event of ["bytes", "channel:message", "channel:update", "message"])
				await assert.rejects(one.push(event, new Uint8Array([1, 0, 255, 34]).buffer), ({ answer }) => {
					assert.equal(answer.reason, "invalid_payload", `${one.name} ${event}`);
					return true;
				});
		await conversation(who, everyWord(who));
		await agree(who);
		allTold(who);
	});

	test("what one says is heard in order", async () => {
		const channel = fresh("private"), who = await all(channel), speakers = [who[1], who[4]];
		const lines = (one) => Array.from({ length: 200 }, (_, i) => [`say-${one.name}`, i % 3 === 0 ? String(i) : `{"n":${i}}`]);

		await settle(who);
		await conversation(who, new Map(speakers.map((one) => [one, lines(one)])));
	});

	for (const tabs of [false, true])
		test(`a storm of both kinds: ${tabs ? "two tabs" : "one"} a user`, async () => {
			const channel = fresh("presence"), watchers = await Promise.all(["p18", "plain1", "plain2"].map((name, i) => enter(name, i, channel)));
			const storm = await crowd(400, (i) => StormOne.open(at(i), channel, i, tabs ? i % 199 : i));

			await agree(watchers);
			const begun = performance.now();
			await Promise.all(storm.map((one) => one.blow()));
			const stayed = storm.filter((one) => one.in), here = [...watchers, ...stayed];
			try {
				assert.equal(stayed.length, 200);
				await agree(here, { tabs });
				const windows = Math.ceil((performance.now() - begun) / WINDOW_MS);
				for (const { plain, frames, name, wrong } of storm) {
					assert.deepEqual(wrong, []);
					/* Who comes, goes and comes back; or one frame for all that changed in a window. */
					assert.ok(frames <= OWN_FRAMES + (plain ? 3 * (storm.length + watchers.length) : windows), `${name} got ${frames} frames`);
				}
			} finally {
				await Promise.all(storm.map((one) => one.cut()));
			}
			await agree(watchers);
		});
}

/* One of many, of either kind: it keeps a list of members, and counts frames. */
class StormOne {
	static async open(at, channel, i, user) {
		const one = new this(channel, i), token = mint({ user_id: `storm-${user}` });

		one.client = new Client(net.connect({ host: "127.0.0.1", port: at.port, noDelay: true }), (bytes) => one.take(JSON.parse(bytes)));
		one.client.write(upgradeHead(one.plain ? `/ws?token=${token}` : `/socket/websocket?vsn=2.0.0&token=${token}`));
		await within(one.client.opened, "an upgrade");
		return one;
	}

	constructor(channel, i) {
		Object.assign(this, { channel, i, plain: i % 4 < 2, name: `storm-${i}`, list: new Map(), wrong: [], frames: 0, in: false, answers: [] });
	}

	/* Comes in its turn, and stays, or goes again, by a word, or without, or is back at once. */
	async blow() {
		await sleep(this.i);
		const way = ["stay", "leave", "cut", "return"][(this.i >> 2) % 4];
		const { me } = await this.join();

		this.clientId = me.clientId;
		this.in = way === "stay" || way === "return";
		await sleep(this.i % 7 * 60);
		if (way === "leave")
			await this.leave();
		else if (way === "return")
			await Promise.all([this.leave(), this.join({ again: true })]);
		else if (way === "cut")
			await this.cut();
	}

	join(more) { return this.ask(this.plain ? "join" : "phx_join", { userInfo: { name: this.name, ...more } }); }
	leave() { return this.ask(this.plain ? "leave" : "phx_leave", {}); }

	ask(type, more) {
		const answer = new Promise((resolve) => this.answers.push(resolve)), ref = String(this.answers.length);

		this.client.write(frame(OP.text, JSON.stringify(this.plain ? { type, requestId: ref, channel: this.channel, ...more }
			: ["1", ref, this.channel, type, more])));
		return within(answer, `${this.name} to be answered`);
	}

	take(message) {
		this.frames++;
		if (this.plain)
			this.takePlain(message);
		else
			this.takePhoenix(...message);
	}

	takePlain({ type, requestId, member, ...rest }) {
		if (type === "error")
			this.wrong.push(JSON.stringify(rest));
		if (type === "channel:joined")
			this.list = new Map(rest.members.map((member) => [member.clientId, member]));
		if (requestId !== undefined)
			this.answers[requestId - 1](rest);
		else if (type === "presence:member_joined") {
			if (cameTwice([...this.list.values()], member))
				this.wrong.push(`${member.id} came twice`);
			this.list.set(member.clientId, member);
		} else if (type === "presence:member_updated") {
			if (!this.list.has(member.clientId))
				this.wrong.push(`${member.id} changed, and was not there`);
			this.list.set(member.clientId, member);
		} else if (type === "presence:member_left") {
			const tabs = [...this.list.values()].filter(({ id }) => id === member.id);
			if (tabs.length === 0)
				this.wrong.push(`${member.id} left, and was not there`);
			for (const { clientId } of tabs)
				this.list.delete(clientId);
		}
	}

	takePhoenix(joinRef, ref, topic, event, payload) {
		if (event === "phx_reply") {
			if (payload.status !== "ok")
				this.wrong.push(JSON.stringify(payload));
			this.answers[ref - 1](payload.response);
		} else if (event === "presence_state") {
			this.list.clear();
			this.enter(payload);
		} else if (event === "presence_diff") {
			this.enter(payload.joins);
			for (const [id, { metas }] of Object.entries(payload.leaves))
				for (const { phx_ref: ref } of metas)
					if (!this.list.delete(ref))
						this.wrong.push(`${id} left, and was not there`);
		}
	}

	enter(presences) {
		for (const [id, { metas }] of Object.entries(presences))
			for (const { phx_ref: ref, ...info } of metas) {
				if (this.list.has(ref))
					this.wrong.push(`${id} came twice`);
				this.list.set(ref, { id, ...info });
			}
	}

	members() { return sorted(this.list.values()); }
	cut() { return this.client.cut(); }
}

describe("mixed rooms", { concurrency: 2 }, () => {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-mixed-")), file = path.join(dir, "api.key");
	const options = { ...OPTIONS, "admin.api_key_file": file };

	before(() => writeFileSync(file, KEY, { mode: 0o600 }));
	after(() => rmSync(dir, { recursive: true, force: true }));

	describe("on one node", { concurrency: false }, () => {
		let daemon;

		before(async () => { daemon = await start({ options }); });
		after(() => daemon.stop());
		rooms(() => [daemon]);
	});

	describe("across two nodes", { skip: noRedis, concurrency: false }, () => {
		let c;

		before(async () => { c = await Cluster.start({ nodes: 2, options }); });
		after(() => c?.end());
		rooms(() => c.nodes);
	});
});
