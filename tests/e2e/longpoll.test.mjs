// Long poll: protocol/phoenix.md section 4 and its rows P01 to P11, the stock clients, and sessions that are polled through
// any node, behind haproxy without stickiness.

import assert from "node:assert/strict";
import http from "node:http";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";
import { Cluster } from "./cluster.mjs";
import { haproxy, noHaproxy } from "./haproxy.mjs";
import { PATIENCE, freePorts, mint, sleep, start, waitFor, within } from "./harness.mjs";
import { noRedis } from "./redis.mjs";

const NDJSON = "application/x-ndjson";
const OPTIONS = { "longpoll.window": "1s", "limits.message_rate": 0 };
const QUICK = { "drain.delay": "100ms", "drain.time": "2s" };

const frame = (...parts) => JSON.stringify(parts);
const beat = (ref) => frame(null, ref, "phoenix", "heartbeat", {});
const ok = (response = {}) => ({ status: "ok", response });

/* A long-poll client as plain as can be: each request may go to another node. */
class Poller {
	static async open(port, options) {
		const poller = new this(port, options);
		const { json } = await poller.get();

		assert.equal(json.status, 410);
		assert.deepEqual(json.messages, []);
		poller.session = json.token;
		return poller;
	}

	constructor(port, { jwt = mint(), vsn = "2.0.0", agent } = {}) {
		Object.assign(this, { port, jwt, vsn, agent, session: undefined });
	}

	target(session = this.session) {
		const words = [];

		if (this.jwt)
			words.push(`token=${this.jwt}`);
		if (this.vsn)
			words.push(`vsn=${this.vsn}`);
		/* As the JavaScript client writes a token that it has not got. */
		words.push(session !== undefined ? `token=${encodeURIComponent(session)}` : "");
		return `/socket/longpoll?${words.join("&")}`;
	}

	request(method, { at = this.port, target = this.target(), headers = {}, body, abort } = {}) {
		return within(new Promise((resolve, reject) => {
			const request = http.request({ host: "127.0.0.1", port: at, method, path: target, headers, agent: this.agent ?? false }, (answer) => {
				let text = "";
				answer.setEncoding("utf8").on("data", (chunk) => text += chunk);
				answer.on("end", () => resolve({
					status: answer.statusCode, headers: answer.headers, text,
					json: /^application\/json/.test(answer.headers["content-type"]) ? JSON.parse(text) : undefined,
				}));
			});
			request.on("error", reject);
			abort?.addEventListener("abort", () => request.destroy(new Error("hung up")));
			request.end(body);
		}), `${method} ${target}`, 2 * PATIENCE);
	}

	get(options) { return this.request("GET", options); }

	post(frames, { type = NDJSON, ...options } = {}) {
		return this.request("POST", { headers: { "content-type": type }, body: [].concat(frames).join("\n"), ...options });
	}

	/* Messages must be taken. */
	async says(frames, options) {
		const { json } = await this.post(frames, options);

		assert.deepEqual(json, { status: 200 });
	}

	/* The next messages, decoded; polls until there are n of them. */
	async hears(n = 1, options) {
		const heard = [];

		while (heard.length < n) {
			const { json } = await this.get(options);
			assert.ok(json.status === 200 || json.status === 204, `status ${json.status}, with ${JSON.stringify(heard)}`);
			assert.equal(json.token, this.session);
			heard.push(...json.messages.map((text) => JSON.parse(text)));
		}
		return heard;
	}

	async joins(topic, payload = {}, options) {
		await this.says(frame("1", "1", topic, "phx_join", payload), options);
		assert.deepEqual(await this.hears(1, options), [["1", "1", topic, "phx_reply", ok()]]);
	}
}

/* What the client of 1.7 knows of requests. */
class XMLHttpRequest {
	headers = {};
	readyState = 0;
	responseText = "";

	open(method, url) { Object.assign(this, { method, url }); }
	setRequestHeader(name, value) { this.headers[name] = value; }

	send(body) {
		this.request = http.request(this.url, { method: this.method, headers: this.headers }, (answer) => {
			answer.setEncoding("utf8").on("data", (chunk) => this.responseText += chunk);
			answer.on("end", () => this.end());
			answer.on("error", () => this.fail());
		});
		this.request.on("error", () => this.fail());
		if (this.timeout)
			this.request.setTimeout(this.timeout, () => { this.over = true; this.request.destroy(); this.ontimeout?.(); });
		this.request.end(body ?? undefined);
	}

	end() {
		if (this.over)
			return;
		this.over = true;
		this.readyState = 4;
		this.onreadystatechange?.();
	}

	fail() {
		if (!this.over)
			this.onerror?.();
		this.over = true;
	}

	abort() { this.over = true; this.request?.destroy(); }
}

// The client of 1.7 looks for it in a browser's `self`, once, when it is loaded; that of 1.8 finds fetch.
globalThis.self = { XMLHttpRequest };
const phoenix17 = await import("phoenix17");
delete globalThis.self;

const CLIENTS = [["1.7.14", phoenix17], ["1.8.16", phoenix18]];

/* The stock client of one test; it is done with when the test is. */
function dial(t, phoenix, url, { user = "u1", ...options } = {}) {
	const socket = new phoenix.Socket(url, {
		transport: phoenix.LongPoll,
		params: () => ({ token: mint({ user_id: user }) }),
		reconnectAfterMs: () => 100,
		rejoinAfterMs: () => 100,
		...options,
	});

	socket.connect();
	t.after(() => new Promise((resolve) => socket.disconnect(resolve)));
	return socket;
}

async function joined(socket, topic, params = {}) {
	const channel = socket.channel(topic, params);

	await within(new Promise((resolve, reject) => {
		channel.join().receive("ok", resolve).receive("error", (r) => reject(new Error(JSON.stringify(r))));
	}), `joining ${topic}`, 2 * PATIENCE);
	return channel;
}

function pushed(channel, event, payload) {
	return within(new Promise((resolve, reject) => {
		channel.push(event, payload).receive("ok", resolve).receive("error", (r) => reject(new Error(JSON.stringify(r))))
			.receive("timeout", () => reject(new Error(`${event} timed out`)));
	}), `${event} to be answered`, 2 * PATIENCE);
}

function collect(channel, event) {
	const got = [];

	channel.on(event, (payload) => got.push(payload));
	return got;
}

describe("one node", { concurrency: false }, () => {
	let daemon;

	before(async () => { daemon = await start({ options: OPTIONS, config: 'route "seen:{id}" { class = "room" presence = yes }\n' }); });
	after(() => daemon.stop());

	const open = (options) => Poller.open(daemon.port, options);
	const sessions = async () => (await daemon.metrics()).longpolls;

	test("P01: a GET without a token begins a session", async () => {
		const { status, headers, json } = await new Poller(daemon.port).get();

		assert.equal(status, 200);
		assert.equal(headers["content-type"], "application/json; charset=utf-8");
		assert.equal(headers["access-control-allow-origin"], "*");
		assert.equal(headers["cache-control"], "no-store");
		assert.deepEqual(Object.keys(json).sort(), ["messages", "status", "token"]);
		assert.equal(json.status, 410);
		assert.deepEqual(json.messages, []);
		assert.match(json.token, /^[A-Za-z0-9._~-]{44,}$/);
	});

	test("P02: a batch is taken, and its answers come in order", async () => {
		const p = await open();

		await p.says([frame("1", "1", "room:a", "phx_join", {}), frame("1", "2", "room:a", "x", { x: 1 })]);
		assert.deepEqual(await p.hears(3), [["1", "1", "room:a", "phx_reply", ok()], [null, null, "room:a", "x", { x: 1 }],
			["1", "2", "room:a", "phx_reply", ok()]]);
	});

	test("P03: a poll without messages ends with its window", async () => {
		const p = await open();
		const began = Date.now();
		const { json } = await p.get();

		assert.deepEqual(json, { messages: [], status: 204, token: p.session });
		assert.ok(Date.now() - began >= 950, `after ${Date.now() - began} ms`);
	});

	test("P04: no session: a POST is told, a GET gets another one", async () => {
		const p = new Poller(daemon.port);

		assert.deepEqual((await p.post(beat("1"))).json, { status: 410 });
		for (const session of ["bogus", "a.b.c", "undefined", "", (await open()).session.replace(/.$/, "_")]) {
			const target = p.target(session);
			assert.deepEqual((await p.post(beat("1"), { target })).json, { status: 410 }, session);
			const { json } = await p.get({ target });
			assert.equal(json.status, 410, session);
			assert.deepEqual(json.messages, []);
			p.session = json.token;
			await p.says(beat("1"));
		}
	});

	test("P05: refusals are 403 in the JSON", async (t) => {
		const guarded = await start({ options: { ...OPTIONS, origins: "https://good.example" } });
		t.after(() => guarded.stop());
		const refused = async (p, options) => {
			const { status, headers, json } = await p.get(options);
			assert.equal(status, 200);
			assert.equal(headers["cache-control"], "no-store");
			assert.deepEqual(json, { status: 403 });
		};

		await refused(new Poller(daemon.port, { jwt: null }));
		await refused(new Poller(daemon.port, { jwt: mint({ exp: 1 }) }));
		await refused(new Poller(daemon.port, { jwt: "no.such.token" }));
		for (const vsn of ["3.0.0", "2.0", "abc"])
			await refused(new Poller(daemon.port, { vsn }));
		const p = new Poller(guarded.port);
		await refused(p, { headers: { origin: "https://evil.example" } });
		await refused(p, { headers: { origin: "null" } });
		const { json } = await p.get({ headers: { origin: "https://good.example" } });
		p.session = json.token;
		assert.deepEqual((await p.post(beat("1"), { headers: { origin: "https://evil.example" } })).json, { status: 403 });
		await p.says(beat("1"));
	});

	test("P06: one frame as JSON, lines that end in CR LF, base64", async () => {
		const p = await open();
		const raw = Buffer.concat([Buffer.from([0, 1, 1, 6, 1]), Buffer.from("1" + "3" + "room:b" + "x" + "bytes")]);

		await p.says(frame("1", "1", "room:b", "phx_join", {}), { type: "application/json" });
		await p.says(`${beat("2")}\r\n\r\n${raw.toString("base64")}\r\n`);
		await p.says(beat("4"), { type: `${NDJSON}; charset=utf-8` });
		const heard = await p.hears(4);
		assert.deepEqual(heard.map(([, ref]) => ref), ["1", "2", "3", "4"]);
		/* The broadcast of raw bytes itself has no form here. */
		assert.deepEqual(heard[2], ["1", "3", "room:b", "phx_reply", ok()]);
	});

	test("P07: a refused join is told by polling", async () => {
		const p = await open();

		await p.says(frame("1", "1", "nowhere:1", "phx_join", {}));
		assert.deepEqual(await p.hears(), [[null, "1", "nowhere:1", "phx_reply", { status: "error", response: { reason: "unmatched topic" } }]]);
	});

	test("P08: the header wins over the parameter", async () => {
		const p = await open();
		const headers = { "x-phoenix-longpoll-token": p.session };

		for (const session of ["bogus", undefined]) {
			await p.says(beat("1"), { target: p.target(session), headers });
			assert.equal((await p.hears(1, { target: p.target(session), headers })).length, 1);
		}
		/* And a bogus one, over one that is good. */
		assert.equal((await p.get({ headers: { "x-phoenix-longpoll-token": "bogus" } })).json.status, 410);
	});

	test("parameters that are not UTF-8", async () => {
		const p = new Poller(daemon.port);

		for (const target of ["/socket/longpoll?vsn=2.0.0&token=%ff", "/socket/longpoll?vsn=%ff"])
			assert.equal((await p.get({ target })).status, 400);
	});

	test("P09: OPTIONS, and other methods", async () => {
		const p = new Poller(daemon.port);
		const { status, headers, text } = await p.request("OPTIONS", { headers: { "access-control-request-headers": "content-type,x-phoenix-authtoken" } });

		assert.equal(status, 200);
		assert.equal(text, "");
		assert.equal(headers["access-control-allow-headers"], "content-type,x-phoenix-authtoken");
		assert.equal(headers["access-control-allow-methods"], "get, post, options");
		assert.equal(headers["access-control-max-age"], "3600");
		assert.equal(headers["access-control-allow-origin"], "*");
		for (const method of ["PUT", "DELETE", "HEAD", "PATCH"]) {
			const answer = await p.request(method);
			assert.equal(answer.status, 400, method);
			assert.equal(answer.text, "");
		}
	});

	test("P10: who does not poll is gone, channels and presences too", async (t) => {
		const p = await open({ jwt: mint({ user_id: "ghost" }) });
		const watcher = dial(t, phoenix18, daemon.socketUrl, { transport: WebSocket, user: "watcher" });
		const room = await joined(watcher, "seen:1");
		const presence = new phoenix18.Presence(room);
		const seen = () => presence.list((key) => key).sort().join();

		await waitFor(() => seen() === "watcher", "the watcher");
		await p.says(frame("1", "1", "seen:1", "phx_join", {}));
		await waitFor(() => seen() === "ghost,watcher", "both");
		const began = Date.now();
		while (Date.now() - began < 1200)
			await p.says(beat("2"));
		await waitFor(() => seen() === "watcher", "it to leave", 4000);
		assert.ok(Date.now() - began > 1300);
		assert.deepEqual((await p.post(beat("3"))).json, { status: 410 });
	});

	test("of several token parameters the last is the session's, and the one before it the client's", async () => {
		const p = await open();

		await p.says(beat("1"), { target: `/socket/longpoll?token=x.y.z&token=${mint()}&vsn=2.0.0&token=${p.session}` });
		/* Its JWT need not be good as long as the session lives. */
		assert.equal((await p.get({ target: `/socket/longpoll?token=x.y.z&token=${p.session}` })).json.status, 200);
		assert.deepEqual((await p.get({ target: `/socket/longpoll?token=x.y.z&token=bogus` })).json, { status: 403 });
	});

	test("tokens in fields: X-Phoenix-AuthToken, then a bearer", async () => {
		const p = new Poller(daemon.port, { jwt: null });

		assert.equal((await p.get({ headers: { "x-phoenix-authtoken": mint() } })).json.status, 410);
		assert.equal((await p.get({ headers: { authorization: `Bearer ${mint()}` } })).json.status, 410);
		assert.equal((await p.get({ headers: { "x-phoenix-authtoken": mint(), authorization: "Bearer bad" } })).json.status, 410);
		assert.deepEqual((await p.get({ headers: { "x-phoenix-authtoken": "bad" } })).json, { status: 403 });
		/* With a field, a parameter is the session's. */
		assert.equal((await p.get({ target: "/socket/longpoll?token=bogus&vsn=2.0.0", headers: { "x-phoenix-authtoken": mint() } })).json.status, 410);
	});

	test("without vsn it is version 1, which speaks objects", async () => {
		const p = await open({ vsn: null });

		await p.says(JSON.stringify({ topic: "room:v1", event: "phx_join", payload: {}, ref: "1" }), { type: "application/json" });
		assert.deepEqual(await p.hears(), [{ topic: "room:v1", event: "phx_reply", payload: ok(), ref: "1" }]);
		/* The version of the first request stays. */
		p.vsn = "2.0.0";
		await p.says(JSON.stringify({ topic: "phoenix", event: "heartbeat", payload: {}, ref: "2" }), { type: "application/json" });
		assert.equal((await p.hears())[0].ref, "2");
	});

	test("of two polls the later waits", async () => {
		const p = await open();
		const first = p.get();
		await sleep(100);
		const second = p.get();

		assert.deepEqual((await first).json, { messages: [], status: 204, token: p.session });
		await p.says(beat("1"));
		assert.equal((await second).json.status, 200);
	});

	test("a poll that hung up takes no messages with it", async () => {
		const p = await open();
		const abort = new AbortController();
		const hung = p.get({ abort: abort.signal });

		await sleep(100);
		abort.abort();
		await assert.rejects(hung, /hung up/);
		await sleep(50);
		await p.says(beat("1"));
		assert.deepEqual(await p.hears(), [[null, "1", "phoenix", "phx_reply", ok()]]);
	});

	test("what cannot be decoded ends the session", async () => {
		for (const [body, type] of [["xyz"], ["[1]"], ["["], ["{}"], ["AAEC"], [Buffer.from([0x5b, 0xff, 0x5d])], ["", "application/json"],
			["5", "text/plain"], [`${beat("1")}\n${beat("2")}`, "application/json"]]) {
			const p = await open();
			assert.deepEqual((await p.request("POST", { headers: { "content-type": type ?? NDJSON }, body })).json, { status: 410 }, `${body}`);
			assert.equal((await p.get()).json.status, 410);
		}
	});

	test("batches of more than 100 lines are taken whole", async () => {
		const p = await open();

		await p.says(Array.from({ length: 1000 }, (_, i) => beat(`${i}`)));
		assert.deepEqual((await p.hears(1000)).map(([, ref]) => ref), Array.from({ length: 1000 }, (_, i) => `${i}`));
	});

	test("bodies up to limits.max_message, and no further", async () => {
		const p = await open();
		const about = (n) => frame("1", "2", "room:big", "x", { x: "y".repeat(n) });

		await p.joins("room:big");
		await p.says(about(1000000));
		assert.equal((await p.hears(2)).find(([, , , event]) => event === "x")[4].x.length, 1000000);
		assert.equal((await p.post(about(1048576))).status, 413);
		/* That was an answer, not the session's end. */
		await p.says(beat("3"));
	});

	test("connections are kept", async () => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const p = await open({ agent });
		const before = (await daemon.metrics()).accepted_total;

		for (let i = 0; i < 10; i++) {
			await p.says(beat("1"));
			await p.hears();
		}
		assert.equal((await p.get()).json.status, 204);
		assert.ok((await daemon.metrics()).accepted_total - before <= 3);
		agent.destroy();
	});

	test("requests that come behind each other on one connection", async () => {
		const p = await open();
		const request = (method, body = "") => `${method} ${p.target()} HTTP/1.1\r\nHost: x\r\nContent-Type: ${NDJSON}\r\n` +
			(method === "POST" ? `Content-Length: ${body.length}\r\n` : "") + `\r\n${body}`;
		const { connect } = await import("node:net");
		const socket = connect(daemon.port, "127.0.0.1");
		let text = "";

		socket.setEncoding("utf8").on("data", (chunk) => text += chunk);
		socket.write(request("GET") + request("POST", beat("1")) + request("GET") + request("GET"));
		await waitFor(() => (text.match(/HTTP\/1.1 200/g) ?? []).length === 4, "four answers", 5000);
		assert.deepEqual([...text.matchAll(/"status":(\d+)/g)].map(([, s]) => s).filter((s) => s !== "ok"), ["204", "200", "200", "204"]);
		socket.destroy();
	});

	test("the gauge of sessions, and their end", async () => {
		await waitFor(async () => await sessions() === 0, "earlier ones to end", 5000);
		const p = await open();

		assert.equal(await sessions(), 1);
		await waitFor(async () => await sessions() === 0, "it to end", 5000);
		assert.equal((await p.get()).json.status, 410);
	});
});

describe("limits", () => {
	test("sessions count among a user's connections", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, "limits.connections_per_user": 2 } });
		t.after(() => daemon.stop());
		const first = await Poller.open(daemon.port);
		await Poller.open(daemon.port);
		const third = await new Poller(daemon.port).get();

		assert.equal(third.status, 429);
		assert.equal(third.headers["retry-after"], "5");
		await Poller.open(daemon.port, { jwt: mint({ user_id: "u2" }) });
		const socket = new WebSocket(`${daemon.socketUrl}/websocket?vsn=2.0.0&token=${mint()}`);
		const [, answer] = await once(socket.on("error", () => {}), "unexpected-response");
		assert.equal(answer.statusCode, 429);
		/* The second goes unpolled, and makes room. */
		const end = Date.now() + 3000;
		while (Date.now() < end && (await daemon.metrics()).longpolls > 1)
			await first.get();
		assert.equal((await new Poller(daemon.port).get()).json.status, 410);
	});

	test("and an address'", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, "limits.connections_per_address": 1 } });
		t.after(() => daemon.stop());

		await Poller.open(daemon.port);
		assert.equal((await new Poller(daemon.port, { jwt: mint({ user_id: "u2" }) }).get()).status, 429);
	});

	test("the rate holds for posts", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, "limits.message_rate": 20, "limits.message_burst": 5 } });
		t.after(() => daemon.stop());
		const p = await Poller.open(daemon.port);
		const began = Date.now();

		await p.says(Array.from({ length: 25 }, (_, i) => frame("1", `${i}`, "room:a", "x", {})));
		assert.ok(Date.now() - began > 700, `taken after ${Date.now() - began} ms`);
		const heard = await p.hears(25);
		const refused = heard.filter((m) => m[4].response.reason === "rate_limited");
		assert.ok(refused.length > 0 && refused.length < 20, `${refused.length} refused`);
		assert.ok(refused.every((m) => m[4].response.retry_after_ms > 0));
	});

	test("who does not fetch its messages is dropped", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, "longpoll.window": "30s", "limits.max_queue": "64k" } });
		t.after(() => daemon.stop());
		const p = await Poller.open(daemon.port);
		const big = frame("1", "2", "room:a", "x", { x: "y".repeat(10000) });

		await p.joins("room:a");
		for (let i = 0; i < 5; i++)
			await p.says(big);
		const { json } = await p.post([big, big, big]);
		assert.ok([200, 410].includes(json.status));
		await waitFor(async () => (await daemon.metrics()).longpolls === 0, "the end");
		assert.equal((await daemon.metrics()).slow_consumer_total, 1);
	});

	test("a token that expires ends the channels, and a fresh one renews", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, "auth.leeway": "0s", "auth.expiry_warning": "0s" } });
		t.after(() => daemon.stop());
		const p = await Poller.open(daemon.port, { jwt: mint({ exp: Math.floor(Date.now() / 1000) + 2 }) });

		await p.joins("room:a");
		assert.deepEqual((await p.hears())[0].slice(2, 4), ["room:a", "phx_error"]);
	});

	test("kick ends them, and the waiting poll is told at once", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, "longpoll.window": "20s" }, dev: true });
		t.after(() => daemon.stop());
		const jwt = mint({ user_id: "victim" }, { key: "roost-dev-secret" });
		const p = await Poller.open(daemon.port, { jwt });
		const waiting = p.get();
		await sleep(100);
		const kicked = await fetch(`http://127.0.0.1:${daemon.adminPort}/api/users/victim/connections`, {
			method: "DELETE", headers: { authorization: "Bearer roost-dev-key" },
		});

		assert.deepEqual(await kicked.json(), { disconnected: 1 });
		assert.deepEqual((await waiting).json, { status: 500 });
		assert.deepEqual((await p.post(beat("1"))).json, { status: 410 });
		assert.equal((await p.get()).json.status, 410);
	});
});

describe("the end of a node", () => {
	test("SIGTERM with long polls alone: they go spread over the time, and it ends", async (t) => {
		const daemon = await start({ options: { ...OPTIONS, ...QUICK, "longpoll.window": "20s" } });
		const pollers = await Promise.all(Array.from({ length: 8 }, (_, i) => Poller.open(daemon.port, { jwt: mint({ user_id: `u${i}` }) })));
		const ends = pollers.map((p) => p.get().then(({ json }) => ({ json, at: Date.now() })));
		await sleep(100);
		const began = Date.now();

		daemon.signal("SIGTERM");
		const answers = await Promise.all(ends);
		assert.deepEqual(answers.map(({ json }) => json), Array(8).fill({ status: 500 }));
		const times = answers.map(({ at }) => at - began).sort((a, b) => a - b);
		assert.ok(times.at(-1) - times[0] > 500, `ended after ${times} ms`);
		await daemon.exited({ timeout: 5000 });
	});

	test("while it drains, sessions go on and new ones get 503", async () => {
		const daemon = await start({ options: { ...OPTIONS, "drain.delay": "2s", "drain.time": "3s" } });
		const p = await Poller.open(daemon.port);

		daemon.signal("SIGTERM");
		await daemon.logged(/draining/);
		await p.says(beat("1"));
		assert.equal((await p.hears()).length, 1);
		const fresh = await new Poller(daemon.port).get();
		assert.equal(fresh.status, 503);
		assert.equal(fresh.headers["retry-after"], "1");
		await daemon.exited();
	});

	test("SIGQUIT tells whoever waits", async () => {
		const daemon = await start({ options: { ...OPTIONS, "longpoll.window": "20s" } });
		const p = await Poller.open(daemon.port);
		const waiting = p.get();

		await sleep(100);
		daemon.signal("SIGQUIT");
		assert.deepEqual((await waiting).json, { status: 500 });
		await daemon.exited();
	});
});

/* A proxy that knows nothing of WebSockets. */
async function deafProxy(t, target) {
	const proxy = http.createServer((request, answer) => {
		const onward = http.request({ host: "127.0.0.1", port: target(), method: request.method, path: request.url, headers: request.headers },
			(back) => { answer.writeHead(back.statusCode, back.headers); back.pipe(answer); });
		onward.on("error", () => answer.destroy());
		answer.on("close", () => onward.destroy());
		request.pipe(onward);
	});

	proxy.on("upgrade", (request, socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
	proxy.listen(0, "127.0.0.1");
	await once(proxy, "listening");
	t.after(() => { proxy.close(); proxy.closeAllConnections(); });
	return proxy.address().port;
}

for (const [version, phoenix] of CLIENTS) {
	describe(`phoenix ${version}`, { concurrency: false }, () => {
		let daemon;

		before(async () => { daemon = await start({ options: { ...OPTIONS, "longpoll.window": "2s" }, config: 'route "seen:{id}" { class = "room" presence = yes }\n' }); });
		after(() => daemon.stop());

		test("joins, pushes, is answered, and leaves", async (t) => {
			const room = await joined(dial(t, phoenix, daemon.socketUrl), "room:lp");
			const got = collect(room, "hello");

			await pushed(room, "hello", { x: 1 });
			await waitFor(() => got.length === 1, "the broadcast");
			assert.deepEqual(got, [{ x: 1 }]);
			await within(new Promise((resolve) => room.leave().receive("ok", resolve)), "leaving");
		});

		test("300 messages keep their order, in one room with WebSockets", async (t) => {
			const rooms = [await joined(dial(t, phoenix, daemon.socketUrl), "room:mixed"),
				await joined(dial(t, phoenix, daemon.socketUrl, { transport: WebSocket, user: "u2" }), "room:mixed")];
			const got = rooms.map((room) => collect(room, "n"));

			for (const [who, room] of rooms.entries())
				for (let n = 0; n < 150; n++)
					room.push("n", { who, n });
			await waitFor(() => got.every((list) => list.length === 300), "300 messages for each");
			for (const list of got)
				for (const who of [0, 1])
					assert.deepEqual(list.filter((m) => m.who === who).map((m) => m.n), Array.from({ length: 150 }, (_, n) => n));
		});

		test("presences", async (t) => {
			const [a, b] = [dial(t, phoenix, daemon.socketUrl, { user: "a" }), dial(t, phoenix, daemon.socketUrl, { transport: WebSocket, user: "b" })];
			const views = (await Promise.all([a, b].map((s) => joined(s, "seen:2")))).map((room) => new phoenix.Presence(room));

			await waitFor(() => views.every((v) => v.list((key) => key).sort().join() === "a,b"), "both views");
			a.disconnect();
			await waitFor(() => views[1].list((key) => key).join() === "b", "it to leave", 3 * 2000 + 4000);
		});

		test("recovers when the server was restarted", async (t) => {
			let own = await start({ options: { ...OPTIONS, ...QUICK } });
			const room = await joined(dial(t, phoenix, own.socketUrl), "room:again");
			const got = collect(room, "hello");

			const { port } = own;
			await own.stop("SIGTERM");
			own = await start({ port, options: { ...OPTIONS, ...QUICK } });
			t.after(() => own.stop());
			await waitFor(async () => room.state === "joined" && (await own.metrics()).channels === 1, "the room to be joined again", 2 * PATIENCE);
			await pushed(room, "hello", { x: 2 });
			await waitFor(() => got.length === 1, "the broadcast");
		});

		if (phoenix === phoenix18) {
			test("authToken", async (t) => {
				const socket = dial(t, phoenix, daemon.socketUrl, { params: {}, authToken: mint() });

				await pushed(await joined(socket, "room:auth"), "hello", {});
			});

			test("falls back by longPollFallbackMs, and comes back when the server was away", async (t) => {
				let own = await start({ options: { ...OPTIONS, ...QUICK } });
				const port = await deafProxy(t, () => own.port);
				const socket = dial(t, phoenix, `ws://127.0.0.1:${port}/socket`, { transport: WebSocket, longPollFallbackMs: 500 });
				const room = await joined(socket, "room:fallback");
				const got = collect(room, "hello");

				assert.equal((await own.metrics()).longpolls, 1);
				await pushed(room, "hello", { x: 1 });
				await own.stop("SIGTERM");
				own = await start({ options: { ...OPTIONS, ...QUICK } });
				t.after(() => own.stop());
				await waitFor(async () => room.state === "joined" && (await own.metrics()).channels === 1, "the room to be joined again", 2 * PATIENCE);
				await pushed(room, "hello", { x: 2 });
				await waitFor(() => got.length === 2, "the broadcast");
			});
		}
	});
}

/* Turns about, without stickiness: each request of a client goes to another node. */
const frontend = (port, nodes) => `
defaults
	mode http
	option redispatch
	retries 2
	timeout connect 2s
	timeout client 30s
	timeout server 30s
	timeout tunnel 1m
frontend clients
	bind 127.0.0.1:${port}
	default_backend nodes
backend nodes
	balance roundrobin
	option httpchk GET /readyz
	default-server check inter 200ms fall 2 rise 1
${nodes.map((n) => `	server ${n.id} 127.0.0.1:${n.port}`).join("\n")}
`;

describe("several nodes", { skip: noRedis, concurrency: false }, () => {
	const serve = (t, nodes = 2, options = {}) => Cluster.serve(t, { nodes, options: { ...OPTIONS, "longpoll.window": "2s", ...options } });

	/* What a dead node left in Redis is cleared away. */
	const buried = (c, id) => waitFor(async () => !(await c.redis.keys()).includes(`roost:node:${id}`), `${id} to be buried`, 2 * PATIENCE);

	test("P11: polls and posts through any node", async (t) => {
		const c = await serve(t, 3);
		const [a, b, d] = c.nodes.map((n) => n.port);
		const p = await Poller.open(a);

		await p.says(frame("1", "1", "room:x", "phx_join", {}), { at: b });
		assert.deepEqual(await p.hears(1, { at: d }), [["1", "1", "room:x", "phx_reply", ok()]]);
		await p.says([beat("2"), beat("3")], { at: d });
		assert.deepEqual((await p.hears(2, { at: a })).map(([, ref]) => ref), ["2", "3"]);
		/* One that waits elsewhere. */
		const waiting = p.get({ at: b });
		await sleep(200);
		await p.says(beat("4"), { at: a });
		assert.deepEqual(JSON.parse((await waiting).json.messages[0])[1], "4");
		assert.deepEqual((await p.get({ at: d })).json, { messages: [], status: 204, token: p.session });
		assert.equal((await c.node("n1").metrics()).longpolls, 1);
		assert.equal(await c.sum("longpolls"), 1);
		assert.ok(await c.sum("longpolls_forwarded_total") >= 5);
		assert.equal(await c.sum("bus_malformed_total"), 0);
		/* Bad and big bodies travel as well. */
		await p.joins("room:big", {}, { at: b });
		await p.says(frame("1", "2", "room:big", "x", { x: "é\"".repeat(200000) }), { at: b });
		assert.equal((await p.hears(2, { at: d })).find((m) => m[3] === "x")[4].x.length, 400000);
		assert.deepEqual((await p.request("POST", { at: b, headers: { "content-type": NDJSON }, body: Buffer.from([0x5b, 0, 0xff]) })).json, { status: 410 });
		const fresh = await p.get({ at: d });
		assert.equal(fresh.json.status, 410);
		assert.notEqual(fresh.json.token, p.session);
		assert.equal((await c.node("n3").metrics()).longpolls, 1);
	});

	test("a session that is not there is told at once, on every node", async (t) => {
		const c = await serve(t);
		const p = await Poller.open(c.node("n1").port);
		const gone = p.session.replace(/.$/, (last) => last === "A" ? "B" : "A");
		const nobody = Buffer.from("n9").toString("base64url") + p.session.slice(p.session.indexOf("."));
		const began = Date.now();

		for (const session of [gone, nobody])
			for (const at of c.nodes.map((n) => n.port)) {
				assert.deepEqual((await p.post(beat("1"), { at, target: p.target(session) })).json, { status: 410 });
				assert.equal((await p.get({ at, target: p.target(session) })).json.status, 410);
				assert.deepEqual((await p.get({ at, target: `/socket/longpoll?token=${session}&vsn=2.0.0` })).json, { status: 403 });
			}
		assert.ok(Date.now() - began < 2000, `${Date.now() - began} ms`);
	});

	test("a client that hangs up at another node takes no messages with it", async (t) => {
		const c = await serve(t);
		const [a, b] = c.nodes.map((n) => n.port);
		const p = await Poller.open(a);
		const abort = new AbortController();
		const hung = p.get({ at: b, abort: abort.signal });

		await sleep(200);
		abort.abort();
		await assert.rejects(hung, /hung up/);
		await sleep(200);
		await p.says(beat("1"), { at: b });
		assert.deepEqual((await p.hears(1, { at: b })).map(([, ref]) => ref), ["1"]);
	});

	test("messages for a poll at a node that has died wait for the next one", async (t) => {
		const c = await serve(t, 3, { "longpoll.window": "20s" });
		const [a, b, d] = c.nodes.map((n) => n.port);
		const p = await Poller.open(a);
		const lost = p.get({ at: b }).catch((e) => e);

		await sleep(200);
		await c.kill("n2");
		await lost;
		await sleep(100);
		await p.says(beat("1"), { at: d });
		assert.deepEqual((await p.hears(1, { at: d })).map(([, ref]) => ref), ["1"]);
		await buried(c, "n2");
	});

	test("the session's node dies: a poll that waits elsewhere begins anew there", async (t) => {
		const c = await serve(t, 2, { "longpoll.window": "20s" });
		const [a, b] = c.nodes.map((n) => n.port);
		const p = await Poller.open(a);
		const waiting = p.get({ at: b });

		await sleep(200);
		const began = Date.now();
		await c.kill("n1");
		const { json } = await waiting;
		assert.equal(json.status, 410);
		assert.ok(Date.now() - began < 8000, `after ${Date.now() - began} ms`);
		p.session = json.token;
		await p.says(beat("1"), { at: b });
		assert.equal((await p.hears(1, { at: b })).length, 1);
		await buried(c, "n1");
	});

	test("without Redis, requests for another node's session fail, and those for our own go on", async (t) => {
		const c = await serve(t);
		const [a, b] = c.nodes.map((n) => n.port);
		const p = await Poller.open(a);

		await c.redis.kill();
		await waitFor(async () => (await p.get({ at: b })).json.status === 500, "status 500");
		assert.deepEqual((await p.post(beat("1"), { at: b })).json, { status: 500 });
		await p.says(beat("1"));
		assert.equal((await p.hears()).length, 1);
	});

	test("a node that drains lets go of polls for others' sessions, which go on elsewhere", async (t) => {
		const c = await serve(t, 3, { "longpoll.window": "20s" });
		const [a, b, d] = c.nodes.map((n) => n.port);
		const p = await Poller.open(a);
		const waiting = p.get({ at: b });

		await sleep(200);
		await c.node("n2").stop("SIGTERM");
		assert.deepEqual((await waiting).json, { messages: [], status: 204, token: p.session });
		await p.says(beat("1"), { at: d });
		assert.equal((await p.hears(1, { at: d })).length, 1);
	});

	test("nonsense on a node's channel is counted, and nothing else", async (t) => {
		const c = await serve(t);

		for (const text of ["", "{}", "nonsense", '{"v":9}', '{"v":1,"type":"gone","node":"n2","id":"abcdefghijklmnopqrstuv"}',
			'{"v":1,"type":"answer","node":"n2","id":"abcdefghijklmnopqrstuv","status":200}'])
			assert.equal(await c.redis.command("PUBLISH", "roost:n:n1", text), 1);
		await waitFor(async () => (await c.node("n1").metrics()).bus_malformed_total === 4, "four to be counted");
	});

	for (const [version, phoenix] of CLIENTS)
		for (const nodes of [2, 3])
			test(`phoenix ${version} behind haproxy over ${nodes} nodes, one of which dies`, { skip: noHaproxy }, async (t) => {
				const c = await serve(t, nodes);
				const [port] = await freePorts(1);
				await haproxy(t, port, frontend(port, c.nodes));
				const url = `ws://127.0.0.1:${port}/socket`;
				const room = await joined(dial(t, phoenix, url), "room:ha");
				const other = await joined(dial(t, phoenix, c.nodes.at(-1).socketUrl, { transport: WebSocket, user: "u2" }), "room:ha");
				const got = collect(room, "n");

				for (let n = 0; n < 200; n++) {
					other.push("n", { n });
					if (n % 20 === 0)
						await pushed(room, "mine", { n });
				}
				await waitFor(() => got.length === 200, "200 messages", 2 * PATIENCE);
				assert.deepEqual(got.map(({ n }) => n), Array.from({ length: 200 }, (_, n) => n));
				assert.equal(await c.sum("longpolls"), 1);
				assert.ok(await c.sum("longpolls_forwarded_total") > 0);

				/* 1.7 takes a 410 for an open connection whose channels it need not join again: only an orderly end helps it. */
				const holder = (await Promise.all(c.nodes.map(async (n) => [n, (await n.metrics()).longpolls]))).find(([, k]) => k === 1)[0];
				if (phoenix === phoenix18)
					await c.kill(holder.id);
				else
					await holder.stop("SIGTERM");
				await waitFor(async () => room.state === "joined" && await c.sum("longpolls") >= 1 &&
					await pushed(room, "mine", {}).then(() => true, () => false), "the room to be joined again", 3 * PATIENCE);
				await buried(c, holder.id);
			});
});
