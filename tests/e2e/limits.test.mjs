// Every limit of section limits and every rate: what is within is taken, what is beyond gets its answer, and others do not notice.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import zlib from "node:zlib";
import { Client, crowd, probe } from "./crowd.mjs";
import { FIXTURE, freePorts, mint, run, sleep, start, waitFor, within } from "./harness.mjs";
import { OP, Wire, Ws, exchange, frame, upgradeHead } from "./raw.mjs";

const OK = { status: "ok", response: {} };
const refusal = (reason) => ({ status: "error", response: { reason } });
const target = (claims) => `/socket/websocket?vsn=2.0.0&token=${mint(claims)}`;

/* A daemon for one test. */
async function serving(t, options = {}, more = {}) {
	const daemon = await start({ options, ...more });

	t.after(() => daemon.stop());
	return daemon;
}

async function dial(t, daemon, options) {
	const ws = await Ws.open(daemon.port, options);

	t.after(() => ws.destroy());
	return ws;
}

/* What becomes of a join, but for the end of an earlier one on that topic. */
async function join(ws, topic, ref = "1") {
	ws.json([ref, ref, topic, "phx_join", {}]);
	for (;;) {
		const [, , , event, payload] = await ws.nextMessage();
		if (event === "phx_reply")
			return payload;
	}
}

/* Milliseconds that something took. */
async function timed(what) {
	const began = performance.now();

	await what();
	return performance.now() - began;
}

function between(ms, least, most) {
	assert.ok(ms >= least && ms <= most, `${Math.round(ms)} ms, expected ${least} to ${most}`);
}

describe("limits.max_message", { concurrency: false }, () => {
	const MAX = 1024;
	let daemon;

	before(async () => { daemon = await start({ options: { "limits.max_message": "1k" } }); });
	after(() => daemon.stop());

	/* A heartbeat of so many octets. */
	function heartbeat(octets) {
		const empty = JSON.stringify([null, "1", "phoenix", "heartbeat", { x: "" }]).length;

		return JSON.stringify([null, "1", "phoenix", "heartbeat", { x: "y".repeat(octets - empty) }]);
	}

	test("that many octets are taken", async (t) => {
		const ws = await dial(t, daemon);

		ws.text(heartbeat(MAX));
		assert.equal((await ws.nextMessage())[1], "1");
		ws.text(heartbeat(MAX).slice(0, 500), { fin: false });
		ws.send(OP.cont, heartbeat(MAX).slice(500));
		assert.equal((await ws.nextMessage())[1], "1");
	});

	for (const [what, bytes] of [
		["one more, at its header", frame(OP.text, "", { length: MAX + 1 })],
		["binary", frame(OP.binary, "", { length: MAX + 1 })],
		["in fragments, at the header that makes it so", Buffer.concat([frame(OP.text, "x".repeat(MAX), { fin: false }), frame(OP.cont, "", { length: 1 })])],
		["4 GiB", frame(OP.text, "", { length: 2 ** 32 })],
		["2^62", frame(OP.text, "", { length: 2n ** 62n })],
	])
		test(`${what}: 1009`, async (t) => {
			const ws = await dial(t, daemon);

			ws.write(bytes);
			await ws.closedWith(1009);
		});

	test("inflated: 1009", async (t) => {
		const ws = await dial(t, daemon, { fields: { "Sec-WebSocket-Extensions": "permessage-deflate" } });

		for (const [octets, taken] of [[MAX, true], [MAX + 1, false]]) {
			const all = zlib.deflateRawSync(heartbeat(octets), { finishFlush: zlib.constants.Z_SYNC_FLUSH });

			ws.send(OP.text, all.subarray(0, all.length - 4), { rsv: 4 });
			if (taken)
				assert.equal((await ws.nextMessage())[1], "1");
			else
				await ws.closedWith(1009);
		}
	});

	test("fragments are counted: 1008 beyond limits.max_fragments", async (t) => {
		const few = await serving(t, { "limits.max_fragments": "4" });
		const ws = await dial(t, few);
		const pieces = (n) => Array.from({ length: n }, (_, i) => frame(i === 0 ? OP.text : OP.cont,
			i < n - 1 ? "" : '[null,"1","phoenix","heartbeat",{}]', { fin: i === n - 1 }));

		ws.write(Buffer.concat(pieces(4)));
		assert.equal((await ws.nextMessage())[1], "1");
		ws.write(Buffer.concat(pieces(5)));
		await ws.closedWith(1008);
	});
});

describe("topics and channels", { concurrency: false }, () => {
	test("limits.max_channels of one connection", async (t) => {
		const daemon = await serving(t, { "limits.max_channels": "2" });
		const ws = await dial(t, daemon), other = await dial(t, daemon);

		assert.deepEqual(await join(ws, "room:1"), OK);
		assert.deepEqual(await join(ws, "room:2"), OK);
		assert.deepEqual(await join(ws, "room:3"), refusal("too many channels joined"));
		assert.deepEqual(await join(ws, "room:1", "2"), OK, "in place of the first");
		assert.deepEqual(await join(other, "room:3"), OK);
		assert.deepEqual((await ws.ask(["1", "9", "room:2", "phx_leave", {}]))[4], OK);
		assert.equal((await ws.nextMessage())[3], "phx_close");
		assert.deepEqual(await join(ws, "room:3"), OK);
	});

	test("limits.max_topic", async (t) => {
		const daemon = await serving(t, { "limits.max_topic": "10" });
		const ws = await dial(t, daemon);

		assert.deepEqual(await join(ws, "room:12345"), OK);
		assert.deepEqual(await join(ws, "room:123456"), refusal("invalid topic"));
		assert.deepEqual(await join(ws, "room:ééé"), refusal("invalid topic"), "octets, not characters");
		assert.deepEqual(await ws.ask([null, "1", "phoenix", "heartbeat", {}]), [null, "1", "phoenix", "phx_reply", OK]);
	});

	test("limits.max_topics of the node", async (t) => {
		const daemon = await serving(t, { "limits.max_topics": "2" });
		const [a, b] = [await dial(t, daemon), await dial(t, daemon)];

		assert.deepEqual(await join(a, "room:1"), OK);
		assert.deepEqual(await join(b, "room:2"), OK);
		assert.deepEqual(await join(a, "room:3"), refusal("too many topics"));
		assert.deepEqual(await join(b, "room:1"), OK, "one that is there");
		a.destroy();
		await waitFor(async () => (await daemon.metrics()).websockets === 1, "one to go");
		assert.deepEqual(await join(b, "room:3"), refusal("too many topics"), "the other one is still in room:1");
		await b.ask(["1", "9", "room:1", "phx_leave", {}]);
		assert.equal((await b.nextMessage())[3], "phx_close");
		assert.deepEqual(await join(b, "room:3"), OK);
	});
});

describe("connections", { concurrency: false }, () => {
	/* 429, with a word on when to come again, and without a body. */
	async function turnedAway(at, what, claims) {
		const { status, headers, body } = await exchange(at, upgradeHead(target(claims)));

		assert.equal(status, 429, what);
		assert.match(headers["retry-after"], /^\d+$/);
		assert.equal(body, "");
	}

	test("limits.connections_per_user", async (t) => {
		const daemon = await serving(t, { "limits.connections_per_user": "2", "auth.anonymous": "yes" });
		const first = await dial(t, daemon, { token: mint({ user_id: "ann" }) });

		await dial(t, daemon, { token: mint({ user_id: "ann" }) });
		await turnedAway(daemon.port, "a third", { user_id: "ann" });
		await daemon.logged(/refused 429 \/socket\/websocket: too many connections of user "ann"\n/);
		await dial(t, daemon, { token: mint({ user_id: "anna" }) });
		for (let i = 0; i < 5; i++)
			await dial(t, daemon, { target: "/socket/websocket?vsn=2.0.0" });
		first.close(1000);
		await first.closedWith(1000);
		await dial(t, daemon, { token: mint({ user_id: "ann" }) });
		await turnedAway(daemon.port, "a third again", { user_id: "ann" });
		assert.equal((await daemon.metrics()).refused_total, 2);
	});

	test("limits.connections_per_address", async (t) => {
		const daemon = await serving(t, { "limits.connections_per_address": "2" });
		const from = (last) => ({ port: daemon.port, localAddress: `127.0.0.${last}` });
		const first = await Ws.open(from(2)), second = await Ws.open(from(2));
		t.after(() => second.destroy());

		await turnedAway(from(2), "a third");
		await daemon.logged(/\[127\.0\.0\.2:\d+\] refused 429 \/socket\/websocket: too many connections from this address\n/);
		(await Ws.open(from(3))).destroy();
		// Cut, not closed.
		first.destroy();
		await waitFor(async () => (await daemon.metrics()).websockets === 1, "it to be gone");
		(await Ws.open(from(2))).destroy();
	});

	test("whoever is refused for his user takes no place of his address", async (t) => {
		const daemon = await serving(t, { "limits.connections_per_user": "1", "limits.connections_per_address": "2" });

		await dial(t, daemon, { token: mint({ user_id: "ann" }) });
		for (let i = 0; i < 3; i++)
			await turnedAway(daemon.port, "ann again", { user_id: "ann" });
		await dial(t, daemon, { token: mint({ user_id: "bob" }) });
	});

	test("a channel's own token does not count", async (t) => {
		const daemon = await serving(t, { "limits.connections_per_user": "1" });
		const ws = await dial(t, daemon, { token: mint({ user_id: "ann" }) });

		assert.deepEqual((await ws.ask(["1", "1", "room:1", "phx_join", { token: mint({ user_id: "bob" }) }]))[4], OK);
		await dial(t, daemon, { token: mint({ user_id: "bob" }) });
	});

	test("limits.max_connections: 503 at the door, whoever it is", async (t) => {
		const daemon = await serving(t, { "limits.max_connections": "3" });
		const idle = [];

		// Whoever asks for the metrics is one, too.
		await waitFor(async () => (await daemon.metrics()).connections === 1, "the door to be free");
		for (let i = 0; i < 3; i++)
			idle.push(await Wire.connect(daemon.port));
		t.after(() => idle.forEach((wire) => wire.destroy()));
		await waitFor(async () => (await daemon.metrics()).connections === 4, "all to be in");
		for (let i = 0; i < 3; i++) {
			const { status, headers } = await exchange(daemon.port, upgradeHead(target()), { expectClose: true });

			assert.equal(status, 503);
			assert.match(headers["retry-after"], /^\d+$/);
		}
		assert.equal((await daemon.metrics()).refused_total, 3, "the admin listener answers");
		idle.pop().destroy();
		const ws = await waitFor(() => Ws.open(daemon.port).catch(() => null), "a place");
		t.after(() => ws.destroy());
		await ws.join("room:1");
	});

	test("limits.max_connections is lowered by a reload, and nobody is thrown out", async (t) => {
		const daemon = await serving(t, {}, { config: "" });
		const all = await Promise.all([1, 2, 3].map(() => dial(t, daemon)));

		daemon.configure("limits { max_connections = 2 }");
		await daemon.reload();
		await exchange(daemon.port, upgradeHead(target())).then(({ status }) => assert.equal(status, 503));
		for (const ws of all)
			await ws.join("room:1");
	});

	test("limits.max_connections beyond the descriptors: it does not start", async () => {
		const { code, err } = await run(["-l", "127.0.0.1:0", "--admin-listen", "none", "-o", "limits.max_connections=1000000000"]);

		assert.equal(code, 71);
		assert.match(err, /^roostd: limits\.max_connections = 1000000000 needs 1000000064 descriptors, and this process may have \d+$/m);
	});
});

describe("limits.message_rate", { concurrency: false }, () => {
	const HEARTBEAT = [null, "1", "phoenix", "heartbeat", {}];
	// Answered ok, and nobody else is concerned.
	const PUSH = [null, "1", "room:nowhere", "phx_leave", {}];

	test("beyond it, pushes are refused and not heard for a while; others are not delayed", async (t) => {
		const daemon = await serving(t, { "limits.message_rate": "20", "limits.message_burst": "30" });
		const watch = await probe(daemon.port, { every: 60 });
		let ok = 0, refused = 0;
		const flooder = await Client.open(daemon.port, {
			onText: (payload) => {
				const { status, response } = JSON.parse(payload)[4];

				if (status === "ok")
					ok++;
				else {
					assert.equal(response.reason, "rate_limited");
					assert.ok(response.retry_after_ms > 0 && response.retry_after_ms <= 1000, `${response.retry_after_ms}`);
					refused++;
				}
			},
		});
		t.after(() => flooder.cut());

		const flood = Buffer.concat(Array.from({ length: 1000 }, () => frame(OP.text, JSON.stringify(PUSH))));
		const began = performance.now();
		while (performance.now() - began < 2000) {
			if (flooder.socket.writableLength < 1 << 20)
				flooder.write(flood);
			await sleep(20);
		}
		const seconds = (performance.now() - began) / 1000;
		const { p99, lost } = await watch.stop();

		assert.ok(ok >= 30 && ok <= 30 + 20 * (seconds + 0.5) + 1, `${ok} were taken in ${seconds} s`);
		assert.ok(refused > 0);
		// At most one read of 64 KiB in 100 ms.
		assert.ok(ok + refused <= (seconds * 10 + 2) * (65536 / frame(OP.text, JSON.stringify(PUSH)).length + 1), `${ok + refused} were read`);
		assert.ok(p99 < 100, `others waited ${p99} ms`);
		assert.equal(lost, 0);
		assert.equal(flooder.code, null);
		assert.ok((await daemon.metrics()).rate_limited_total >= refused);
	});

	test("within it, nothing is", async (t) => {
		const daemon = await serving(t, { "limits.message_rate": "50", "limits.message_burst": "5" });
		const ws = await dial(t, daemon);

		for (let i = 0; i < 5; i++)
			ws.json(PUSH);
		for (let i = 0; i < 5; i++)
			assert.deepEqual((await ws.nextMessage())[4], OK);
		for (let i = 0; i < 20; i++) {
			await sleep(25);
			assert.deepEqual((await ws.ask(PUSH))[4], OK);
		}
	});

	test("is over after retry_after_ms", async (t) => {
		const daemon = await serving(t, { "limits.message_rate": "2", "limits.message_burst": "1" });
		const ws = await dial(t, daemon);

		assert.deepEqual((await ws.ask(PUSH))[4], OK);
		const { response: { reason, retry_after_ms: wait } } = (await ws.ask(PUSH))[4];
		assert.equal(reason, "rate_limited");
		between(wait, 300, 500);
		await sleep(wait + 20);
		assert.deepEqual((await ws.ask(PUSH))[4], OK);
	});

	test("each connection has its own", async (t) => {
		const daemon = await serving(t, { "limits.message_rate": "1", "limits.message_burst": "1" });

		for (let i = 0; i < 5; i++)
			assert.deepEqual((await (await dial(t, daemon)).ask(PUSH))[4], OK);
	});

	test("heartbeats count, and are answered ok all the same", async (t) => {
		const daemon = await serving(t, { "limits.message_rate": "1", "limits.message_burst": "3" });
		const ws = await dial(t, daemon);
		// In one segment: all of the burst is spent in the turn in which the push is refused.
		const began = performance.now();
		ws.write(Buffer.concat([HEARTBEAT, HEARTBEAT, HEARTBEAT, PUSH].map((m) => frame(OP.text, JSON.stringify(m)))));

		for (let i = 0; i < 3; i++)
			assert.deepEqual((await ws.nextMessage())[4], OK);
		assert.equal((await ws.nextMessage())[4].response.reason, "rate_limited");
		assert.deepEqual((await ws.ask(HEARTBEAT))[4], OK);
		// The last one was not heard for a while, and not for ever.
		between(performance.now() - began, 80, 5000);
	});

	test("0 is none", async (t) => {
		const daemon = await serving(t, { "limits.message_rate": "0" });
		const ws = await dial(t, daemon);

		ws.write(Buffer.concat(Array.from({ length: 1000 }, () => frame(OP.text, JSON.stringify(PUSH)))));
		for (let i = 0; i < 1000; i++)
			assert.deepEqual((await ws.nextMessage())[4], OK);
	});
});

describe("rates of events", { concurrency: false }, () => {
	const CONFIG = `
		rate "shout" = 2/1s
		rate "free" = 0/1s
		route "loud:*" { class = "room"  echo = no  rate "shout" = 4/1s }
		route "calm:*" { class = "room"  echo = no  rate "sing" = 1/60s }
		route "room:*" { class = "room"  echo = no }
	`;
	let daemon;
	let users = 0;

	before(async () => { daemon = await start({ config: CONFIG, options: { "limits.message_rate": "0" } }); });
	after(() => daemon.stop());

	/* A user of its own in that room. */
	async function enter(t, topic, user = `user-${++users}`) {
		const ws = await dial(t, daemon, { token: mint({ user_id: user }) });

		await ws.join(topic);
		return Object.assign(ws, { user });
	}

	const push = async (ws, topic, event) => (await ws.ask(["1", "2", topic, event, {}]))[4];

	/* So many are taken, and the next is not. */
	async function takes(n, ws, topic, event) {
		for (let i = 0; i < n; i++)
			assert.deepEqual(await push(ws, topic, event), OK, `${event} ${i + 1}`);
		const { status, response } = await push(ws, topic, event);
		assert.equal(status, "error");
		assert.equal(response.reason, "rate_limit");
		return response.retry_after_ms;
	}

	test("for all routes", async (t) => {
		const ws = await enter(t, "room:1");
		const wait = await takes(2, ws, "room:1", "shout");

		between(wait, 500, 1000);
		for (let i = 0; i < 20; i++)
			assert.deepEqual(await push(ws, "room:1", "whisper"), OK);
		for (let i = 0; i < 20; i++)
			assert.deepEqual(await push(ws, "room:1", "free"), OK);
	});

	test("a route's own instead", async (t) => {
		const loud = await enter(t, "loud:1"), calm = await enter(t, "calm:1");

		await takes(4, loud, "loud:1", "shout");
		await takes(2, calm, "calm:1", "shout");
		between(await takes(1, calm, "calm:1", "sing"), 59_000, 60_000);
	});

	test("what is refused is not heard, and does not count", async (t) => {
		const ws = await enter(t, "room:2"), other = await enter(t, "room:2");
		const wait = await takes(2, ws, "room:2", "shout");

		for (let i = 0; i < 5; i++)
			assert.equal((await push(ws, "room:2", "shout")).status, "error");
		for (let i = 0; i < 2; i++)
			assert.equal((await other.nextMessage())[3], "shout");
		await other.quiet();
		await sleep(wait + 20);
		assert.deepEqual(await push(ws, "room:2", "shout"), OK);
	});

	test("by user, over all connections, and by topic", async (t) => {
		const ws = await enter(t, "room:3"), again = await enter(t, "room:3", ws.user), other = await enter(t, "room:3");

		await takes(2, ws, "room:3", "shout");
		again.json(["1", "2", "room:3", "shout", {}]);
		for (let message; message?.[3] !== "phx_reply";) {
			message = await again.nextMessage();
			if (message[3] === "phx_reply")
				assert.equal(message[4].response.reason, "rate_limit");
		}
		await ws.join("room:4", "1");
		assert.deepEqual(await push(ws, "room:4", "shout"), OK);
		other.json(["1", "2", "room:3", "shout", {}]);
		for (let message; message?.[3] !== "phx_reply";) {
			message = await other.nextMessage();
			if (message[3] === "phx_reply")
				assert.deepEqual(message[4], OK);
		}
	});

	test("windows slide", async (t) => {
		const ws = await enter(t, "room:5");

		assert.deepEqual(await push(ws, "room:5", "shout"), OK);
		await sleep(600);
		assert.deepEqual(await push(ws, "room:5", "shout"), OK);
		await sleep(500);
		// The first is out of the window, the second is not.
		between(await takes(1, ws, "room:5", "shout"), 100, 500);
	});
});

describe("time for a request: limits.handshake_timeout", { concurrency: false }, () => {
	const TIMEOUT = 600;
	let daemon, proxied;

	before(async () => {
		[proxied] = await freePorts(1);
		daemon = await start({ options: { "limits.handshake_timeout": `${TIMEOUT}ms`, "limits.close_timeout": "500ms" }, args: ["-l", `127.0.0.1:${proxied},proxy`] });
	});
	after(() => daemon.stop());

	/* Octets that are sent one at a time; the time from the connect to the end. */
	async function drip(t, at, octets, every = 100) {
		const wire = await Wire.connect(at);
		t.after(() => wire.destroy());
		let i = 0;
		const timer = setInterval(() => wire.write(octets.subarray(i, ++i)), every);

		const ms = await timed(() => wire.untilEnd());
		clearInterval(timer);
		return { wire, ms };
	}

	test("an idle connection is closed without a word", async (t) => {
		const { wire, ms } = await drip(t, daemon.port, Buffer.alloc(0));

		between(ms, TIMEOUT - 20, TIMEOUT + 1500);
		assert.equal(wire.bytes.length, 0);
	});

	test("a slow head gets 408, counted from its beginning", async (t) => {
		const { wire, ms } = await drip(t, daemon.port, Buffer.from(upgradeHead(target())));

		between(ms, TIMEOUT - 20, TIMEOUT + 1500);
		assert.match(wire.bytes.toString(), /^HTTP\/1\.1 408 /);
	});

	test("so does a request behind an answered one", async (t) => {
		const wire = await Wire.connect(daemon.port);
		t.after(() => wire.destroy());

		wire.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he");
		assert.equal((await wire.response()).status, 200);
		between(await timed(() => wire.untilEnd()), TIMEOUT - 100, TIMEOUT + 1500);
		assert.match(wire.bytes.toString(), /^HTTP\/1\.1 408 /);
	});

	test("an idle keep-alive connection is closed without a word", async (t) => {
		const wire = await Wire.connect(daemon.port);
		t.after(() => wire.destroy());

		wire.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
		assert.equal((await wire.response()).status, 200);
		between(await timed(() => wire.untilEnd()), TIMEOUT - 100, TIMEOUT + 1500);
		assert.equal(wire.bytes.length, 0);
	});

	for (const [what, octets] of [["no PROXY header", ""], ["a slow PROXY header", "PROXY TCP4 192.0.2.1 127.0.0.1 5000 80\r\n"]])
		test(`${what}: closed without a word`, async (t) => {
			const { wire, ms } = await drip(t, proxied, Buffer.from(octets));

			between(ms, TIMEOUT - 20, TIMEOUT + 1500);
			assert.equal(wire.bytes.length, 0);
		});

	test("the PROXY header's time is the request's", async (t) => {
		const began = performance.now();
		const wire = await Wire.connect(proxied);
		t.after(() => wire.destroy());

		await sleep(TIMEOUT / 2);
		wire.write("PROXY TCP4 192.0.2.1 127.0.0.1 5000 80\r\nGET /");
		await wire.untilEnd();
		between(performance.now() - began, TIMEOUT - 20, TIMEOUT + 1500);
	});

	test("a WebSocket has all the time it wants", async (t) => {
		const ws = await dial(t, daemon);

		await sleep(2 * TIMEOUT);
		await ws.join("room:1");
	});

	test("they are counted", async () => {
		assert.ok((await daemon.metrics()).timeouts_total >= 7);
	});
});

describe("silence", { concurrency: true }, () => {
	test("limits.idle_timeout: 1001, counted from the last octet", async (t) => {
		const daemon = await serving(t, { "limits.idle_timeout": "500ms", "websocket.ping_interval": "0" });
		// Its time runs from before its first octet.
		const silence = timed(async () => (await dial(t, daemon)).closedWith(1001));
		const [pinging, dripping] = [await dial(t, daemon), await dial(t, daemon)];
		const octets = frame(OP.text, JSON.stringify([null, "1", "phoenix", "heartbeat", {}]));
		const timer = setInterval(() => pinging.ping("x"), 100);
		let i = 0;
		const drops = setInterval(() => dripping.write(octets.subarray(i, ++i)), 100);
		t.after(() => { clearInterval(timer); clearInterval(drops); });

		between(await silence, 400, 3000);
		await daemon.logged(/\] closed with 1001: idle \(user "u1", 0 channels\)\n/);
		await sleep(1000);
		for (const ws of [pinging, dripping])
			assert.ok(!ws.ended);
		clearInterval(timer);
		await pinging.closedWith(1001).catch((e) => assert.fail(e));
		assert.ok((await daemon.metrics()).timeouts_total >= 2);
	});

	test("what the server sends does not keep a client", async (t) => {
		const daemon = await serving(t, { "limits.idle_timeout": "600ms", "websocket.ping_interval": "0" });
		const listener = await dial(t, daemon), speaker = await dial(t, daemon);

		await listener.join("room:1");
		await speaker.join("room:1");
		const timer = setInterval(() => speaker.json(["1", null, "room:1", "tick", {}]), 100);
		t.after(() => clearInterval(timer));
		const ms = await timed(async () => {
			for (;;) {
				const got = await listener.nextFrame();
				if (got.opcode === OP.close) {
					assert.equal(got.payload.readUInt16BE(0), 1001);
					return;
				}
			}
		});
		between(ms, 400, 2500);
	});

	test("websocket.ping_interval: the silent are asked, and stay if they answer", async (t) => {
		const daemon = await serving(t, { "limits.idle_timeout": "10s", "websocket.ping_interval": "200ms", "websocket.pong_timeout": "500ms" });
		const ws = await dial(t, daemon);

		for (let i = 0; i < 4; i++) {
			let got;

			const ms = await timed(async () => { got = await ws.nextFrame(); });
			assert.equal(got.opcode, OP.ping);
			between(ms, 150, 1200);
			ws.send(OP.pong, got.payload);
		}
		await ws.join("room:1");
	});

	test("websocket.pong_timeout: 1001 for those who do not", async (t) => {
		const daemon = await serving(t, { "limits.idle_timeout": "10s", "websocket.ping_interval": "200ms", "websocket.pong_timeout": "400ms" });
		const ws = await dial(t, daemon);

		assert.equal((await ws.nextFrame()).opcode, OP.ping);
		const ms = await timed(async () => assert.equal((await ws.nextFrame()).opcode, OP.close));
		between(ms, 350, 1500);
		await daemon.logged(/closed with 1001: no answer to a ping/);
	});

	test("any octet is an answer, and who speaks is not asked", async (t) => {
		const daemon = await serving(t, { "limits.idle_timeout": "10s", "websocket.ping_interval": "400ms", "websocket.pong_timeout": "600ms" });
		const ws = await dial(t, daemon);

		for (let i = 0; i < 12; i++) {
			await sleep(100);
			const [, ref] = JSON.parse((await ws.json([null, `${i}`, "phoenix", "heartbeat", {}]).nextFrame()).payload);
			assert.equal(ref, `${i}`);
		}
		assert.equal((await ws.nextFrame()).opcode, OP.ping);
		await sleep(300);
		ws.write(frame(OP.text, "[").subarray(0, 3));
		await sleep(600);
		assert.ok(!ws.ended);
	});

	test("the defaults ask before they close", async () => {
		const { out } = await run(["--dump"]);
		const seconds = (name) => Number(out.match(new RegExp(`^${name} = (\\d+)(s|m) `, "m")).slice(1, 3).map((v) => (v === "m" ? 60 : v === "s" ? 1 : v)).reduce((a, b) => a * b));

		assert.ok(seconds("websocket\\.ping_interval") + seconds("websocket\\.pong_timeout") < seconds("limits\\.idle_timeout"));
	});

	/* Its answer lies unread here, as reading from it rests until it has read. */
	test("a client that reads slowly is not taken for dead", async (t) => {
		const daemon = await serving(t, {
			"limits.max_queue": "32m", "limits.message_rate": "0", "limits.max_message": "2m",
			"websocket.ping_interval": "500ms", "websocket.pong_timeout": "1500ms",
		});
		const slow = await Client.open(daemon.port), speaker = await Client.open(daemon.port);
		t.after(() => Promise.all([slow.cut(), speaker.cut()]));
		const big = { x: "x".repeat(1 << 20) };

		await slow.join("room:1");
		await speaker.join("room:1");
		slow.pause();
		// It is asked while it does not read, and then there is more than kernels keep: much of it waits in the daemon.
		await sleep(700);
		let sent = 0;
		for (; sent < 24; sent++)
			await within(speaker.ask("room:1", "big", big), "an answer");
		// A little at a time, for longer than a ping may go without its answer.
		for (let i = 0; i < 20; i++) {
			slow.resume();
			await Promise.race([once(slow.socket, "data"), slow.closed]);
			slow.pause();
			await sleep(100);
		}
		assert.equal(slow.code, null);
		slow.resume();
		await waitFor(() => slow.texts >= sent + 1, "all of it");
		assert.deepEqual(await within(slow.ask("phoenix", "heartbeat"), "an answer"), OK);
		assert.equal(slow.code, null);
	});
});

describe("joins that take their time", { concurrency: false }, () => {
	let daemon;

	before(async () => {
		daemon = await start({
			config: `route "room:*" { module = "${FIXTURE}"  options = { "join=400" } }`,
			options: { "limits.join_queue": "3", "limits.join_timeout": "700ms", "limits.message_rate": "0" },
		});
	});
	after(() => daemon.stop());

	test("limits.join_queue: so many wait behind it, in order; others are refused", async (t) => {
		const ws = await dial(t, daemon);

		ws.json(["1", "1", "room:slow", "phx_join", {}]);
		for (let n = 2; n <= 6; n++)
			ws.json(["1", `${n}`, "room:slow", "echo", { n }]);
		for (const ref of ["5", "6"])
			assert.deepEqual(await ws.nextMessage(), ["1", ref, "room:slow", "phx_reply", refusal("join_pending")]);
		assert.equal((await ws.nextMessage())[1], "1");
		for (let n = 2; n <= 4; n++)
			assert.deepEqual(await ws.nextMessage(), ["1", `${n}`, "room:slow", "phx_reply", { status: "ok", response: { n } }]);
		assert.deepEqual((await ws.ask(["1", "7", "room:slow", "echo", { n: 7 }]))[4], { status: "ok", response: { n: 7 } });
	});

	test("other topics, and other clients, do not wait", async (t) => {
		const ws = await dial(t, daemon), other = await dial(t, daemon);

		ws.json(["1", "1", "room:slow", "phx_join", {}]);
		between(await timed(async () => {
			await ws.ask([null, "2", "phoenix", "heartbeat", {}]);
			assert.deepEqual(await join(ws, "room:quick"), OK);
			assert.deepEqual(await join(other, "room:quick"), OK);
		}), 0, 350);
	});

	test("limits.join_timeout", async (t) => {
		const ws = await dial(t, daemon);

		between(await timed(async () => assert.deepEqual(await join(ws, "room:never"), refusal("timeout"))), 650, 2000);
		assert.deepEqual(await join(ws, "room:quick"), OK);
	});
});

describe("limits.close_timeout", { concurrency: false }, () => {
	test("for whoever does not end the connection that it has closed", async (t) => {
		const daemon = await serving(t, { "limits.close_timeout": "400ms" });
		const ws = await dial(t, daemon);

		ws.close(1000);
		assert.equal((await ws.nextFrame()).opcode, OP.close);
		await ws.untilEnd();
		assert.equal((await daemon.metrics()).connections - 1, 1, "it has not ended its side");
		between(await timed(() => waitFor(async () => (await daemon.metrics()).connections <= 1, "it to be cut")), 100, 2000);
	});

	test("and for whoever does not answer a close", async (t) => {
		const daemon = await serving(t, { "limits.close_timeout": "400ms" });
		const ws = await dial(t, daemon);

		ws.text("{oops");
		assert.equal((await ws.nextFrame()).payload.readUInt16BE(0), 1011);
		between(await timed(() => ws.untilEnd()), 200, 2000);
	});
});

describe("limits.memory_high", { concurrency: false }, () => {
	test("above it, new clients get 503; those who are here go on, and it is over with it", async (t) => {
		const daemon = await serving(t, {}, { config: "" });
		const ws = await dial(t, daemon);

		daemon.configure("limits { memory_high = 1m }");
		await daemon.reload();
		await daemon.logged(/warn memory is short: new clients get 503\n/);
		const { status, headers } = await exchange(daemon.port, upgradeHead(target()));
		assert.equal(status, 503);
		assert.match(headers["retry-after"], /^\d+$/);
		await daemon.logged(/refused 503 \/socket\/websocket: memory is short\n/);
		assert.equal((await daemon.get("/healthz")).status, 200);
		await ws.join("room:1");
		daemon.configure("");
		await daemon.reload();
		await daemon.logged(/memory is no more short\n/);
		assert.equal((await exchange(daemon.port, upgradeHead(target()))).status, 101);
	});
});

describe("all of them together", { concurrency: false }, () => {
	test("300 connections come and go, and every count is what it was", async (t) => {
		const daemon = await serving(t, { "limits.connections_per_user": "100", "limits.connections_per_address": "1000" });

		for (let round = 0; round < 3; round++) {
			const all = await crowd(300, (i) => Client.open(daemon.port, { token: mint({ user_id: `user-${i % 3}` }) }));
			await assert.rejects(Client.open(daemon.port, { token: mint({ user_id: "user-1" }) }), /429/);
			await Promise.all(all.map((client, i) => (i % 2 === 0 ? client.cut() : client.bye().closed)));
			await waitFor(async () => (await daemon.metrics()).websockets === 0, "all to be gone");
		}
		const { channels, topics, connections } = await daemon.metrics();
		assert.deepEqual([channels, topics, connections], [0, 0, 1]);
	});
});
