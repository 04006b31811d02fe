// RFC 6455 and 7692 bit by bit: every frame that may not be gets its close code, and what may be cut anywhere works.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import zlib from "node:zlib";
import { start, waitFor } from "./harness.mjs";
import { OP, Ws, closePayload, frame, upgradeHead, Wire } from "./raw.mjs";

const HELLO = '[null,"1","phoenix","heartbeat",{}]';
const HELLO_REPLY = '[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]';
const MAX = 64 * 1024;
const TAIL = Buffer.from("0000ffff", "hex");

const hex = (text) => Buffer.from(text.replace(/ /g, ""), "hex");
const deflate = (data) => {
	const out = zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
	return out.subarray(0, out.length - 4);
};
const inflate = (data) => zlib.inflateRawSync(Buffer.concat([data, TAIL]), { finishFlush: zlib.constants.Z_SYNC_FLUSH });

describe("WebSocket frames", { concurrency: false }, () => {
	let daemon;

	before(async () => {
		daemon = await start({
			options: {
				"debug.echo_path": "/echo",
				"limits.max_message": MAX,
				"limits.max_fragments": 100,
				"limits.message_rate": 0,
				"limits.close_timeout": "1s",
			},
		});
	});
	after(() => daemon.stop());

	const echo = (fields) => Ws.open(daemon.port, { target: "/echo", fields });
	const phoenix = () => Ws.open(daemon.port);
	const deflating = (offer = "permessage-deflate") => echo({ "Sec-WebSocket-Extensions": offer });
	const alive = async () => assert.equal((await daemon.get("/healthz")).status, 200);

	/* One text or binary message comes back as it went. */
	async function echoes(ws, opcode, payload) {
		const got = await ws.next();

		assert.equal(got.opcode, opcode);
		assert.equal(got.fin, true);
		assert.deepEqual(got.payload, Buffer.from(payload));
	}

	/* The bytes end the connection with one of the codes, on the echo path and on the Phoenix one. */
	function fails(what, bytes, ...codes) {
		for (const [where, open] of [["echo", echo], ["phoenix", phoenix]])
			test(`${what} (${where})`, async () => {
				const ws = await open();

				ws.write(bytes);
				await ws.closedWith(...codes);
			});
	}

	describe("sizes", { concurrency: false }, () => {
		for (const n of [0, 1, 125, 126, 127, 65535, 65536])
			test(`${n} octets`, async () => {
				const ws = await echo();
				const text = "x".repeat(n), bytes = Buffer.from(Array.from({ length: n }, (_, i) => i & 0xff));

				ws.text(text);
				await echoes(ws, OP.text, text);
				ws.send(OP.binary, bytes);
				await echoes(ws, OP.binary, bytes);
				ws.destroy();
			});
	});

	describe("what may not be: 1002", { concurrency: false }, () => {
		fails("RSV1 without a negotiation", frame(OP.text, HELLO, { rsv: 4 }), 1002);
		fails("RSV2", frame(OP.text, HELLO, { rsv: 2 }), 1002);
		fails("RSV3", frame(OP.text, HELLO, { rsv: 1 }), 1002);
		fails("RSV on a ping", frame(OP.ping, "", { rsv: 4 }), 1002);
		for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
			fails(`opcode ${opcode}`, frame(opcode, ""), 1002);
		fails("an unmasked frame", frame(OP.text, HELLO, { mask: false }), 1002);
		fails("an unmasked ping", frame(OP.ping, "", { mask: false }), 1002);
		fails("a ping of 126 octets", frame(OP.ping, "x".repeat(126)), 1002);
		fails("a close of 126 octets", frame(OP.close, closePayload(1000, "x".repeat(124))), 1002);
		fails("a fragmented ping", frame(OP.ping, "", { fin: false }), 1002);
		fails("a fragmented close", frame(OP.close, "", { fin: false }), 1002);
		fails("a continuation of nothing", frame(OP.cont, "x"), 1002);
		fails("an unfinished continuation of nothing", frame(OP.cont, "x", { fin: false }), 1002);
		fails("text inside a message", Buffer.concat([frame(OP.text, "x", { fin: false }), frame(OP.text, "y")]), 1002);
		fails("binary inside a message", Buffer.concat([frame(OP.text, "x", { fin: false }), frame(OP.binary, "y")]), 1002);
		fails("a short length in 16 bits", frame(OP.text, HELLO, { form: "16" }), 1002);
		fails("a short length in 64 bits", frame(OP.text, HELLO, { form: "64" }), 1002);
		fails("a medium length in 64 bits", frame(OP.text, "x".repeat(200), { form: "64" }), 1002);
		after(alive);
	});

	describe("UTF-8 that is not: 1007", { concurrency: false }, () => {
		for (const [what, octets] of [
			["a stray continuation", "80"],
			["0xff", "5b ff fe"],
			["an overlong slash", "c0 af"],
			["an overlong slash of three", "e0 80 af"],
			["an overlong slash of four", "f0 80 80 af"],
			["a surrogate", "ed a0 80"],
			["a pair of surrogates", "ed a0 bd ed b8 80"],
			["beyond U+10FFFF", "f4 90 80 80"],
			["five octets", "f8 88 80 80 80"],
			["a character cut at the end", "5b e2 82"],
		])
			fails(what, frame(OP.text, hex(octets)), 1007);
		fails("a character that the next fragment does not continue", Buffer.concat([
			frame(OP.text, hex("e2 82"), { fin: false }), frame(OP.cont, "x")]), 1007);
		fails("in the reason of a close", frame(OP.close, Buffer.concat([closePayload(1000), hex("ff")])), 1007);

		test("noticed in the fragment that holds it, though the message goes on", async () => {
			const ws = await echo();

			ws.write(frame(OP.text, hex("5b ff fe"), { fin: false }));
			await ws.closedWith(1007);
		});

		test("binary messages may hold anything", async () => {
			const ws = await echo();

			ws.send(OP.binary, hex("ff fe c0 af"));
			await echoes(ws, OP.binary, hex("ff fe c0 af"));
			ws.destroy();
		});

		test("characters cut by fragments and by packets are whole", async () => {
			const text = "κόσμε 😀 \u0000 \u{10ffff} é";
			const octets = Buffer.from(text);

			for (let cut = 0; cut <= octets.length; cut++) {
				const ws = await echo();

				ws.text(octets.subarray(0, cut), { fin: false });
				await ws.trickle(frame(OP.cont, octets.subarray(cut)));
				await echoes(ws, OP.text, octets);
				ws.destroy();
			}
		});
	});

	describe("fragments", { concurrency: false }, () => {
		test("a heartbeat in three, a ping between", async () => {
			const ws = await phoenix();

			ws.text(HELLO.slice(0, 5), { fin: false });
			ws.send(OP.cont, HELLO.slice(5, 9), { fin: false });
			ws.ping("pp");
			ws.send(OP.cont, HELLO.slice(9));
			const pong = await ws.next();
			assert.equal(pong.opcode, OP.pong);
			assert.equal(pong.payload.toString(), "pp");
			assert.equal(await ws.nextText(), HELLO_REPLY);
			ws.destroy();
		});

		test("a heartbeat, one octet in a packet", async () => {
			const ws = await phoenix();

			await ws.trickle(frame(OP.text, HELLO));
			assert.equal(await ws.nextText(), HELLO_REPLY);
			ws.destroy();
		});

		test("empty fragments are fragments", async () => {
			const ws = await echo();

			ws.text("", { fin: false });
			for (let i = 0; i < 50; i++)
				ws.send(OP.cont, "", { fin: false });
			ws.send(OP.cont, "");
			await echoes(ws, OP.text, "");
			ws.destroy();
		});

		test("every cut of two messages and a ping", async () => {
			const whole = Buffer.concat([frame(OP.text, "hello"), frame(OP.ping, "p"), frame(OP.binary, "x".repeat(130))]);

			for (let cut = 1; cut < whole.length; cut++) {
				const ws = await echo();

				ws.write(whole.subarray(0, cut));
				await ws.flushed();
				await new Promise((resolve) => setImmediate(resolve));
				ws.write(whole.subarray(cut));
				await echoes(ws, OP.text, "hello");
				assert.equal((await ws.next()).opcode, OP.pong);
				await echoes(ws, OP.binary, "x".repeat(130));
				ws.destroy();
			}
		});

		fails("more of them than max_fragments", Buffer.concat([frame(OP.text, "", { fin: false }),
			...Array.from({ length: 101 }, () => frame(OP.cont, "", { fin: false }))]), 1008);
	});

	describe("too big: 1009, at the header that says so", { concurrency: false }, () => {
		const headOnly = (options) => frame(OP.text, "", options);

		for (const [what, length] of [["one octet too many", MAX + 1], ["2^32", 2n ** 32n], ["2^62", 2n ** 62n], ["2^63 - 1", 2n ** 63n - 1n], ["2^63", 2n ** 63n], ["2^64 - 1", 2n ** 64n - 1n]])
			fails(what, headOnly({ length, form: "64" }), 1009);
		fails("the sum of fragments", Buffer.concat([frame(OP.text, "x".repeat(MAX), { fin: false }), frame(OP.cont, "", { length: 1 })]), 1009);

		test("just the maximum passes, whole and in fragments", async () => {
			const ws = await echo();

			ws.text("x".repeat(MAX));
			await echoes(ws, OP.text, "x".repeat(MAX));
			ws.text("y".repeat(MAX - 1), { fin: false });
			ws.send(OP.cont, "y");
			await echoes(ws, OP.text, "y".repeat(MAX));
			ws.destroy();
		});

		test("a declared length costs no memory", async () => {
			const rss = () => Number(readFileSync(`/proc/${daemon.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);
			const sockets = await Promise.all(Array.from({ length: 100 }, () => echo()));
			const before = rss();

			for (const ws of sockets)
				ws.write(frame(OP.binary, "x", { length: MAX }));
			await Promise.all(sockets.map((ws) => ws.flushed()));
			await alive();
			assert.ok(rss() - before < 100 * MAX / 1024 / 2, `grew by ${rss() - before} KiB`);
			sockets.forEach((ws) => ws.destroy());
		});
	});

	describe("pings and pongs", { concurrency: false }, () => {
		test("a ping is answered with its payload", async () => {
			const ws = await phoenix();

			for (const payload of ["", "abc", "x".repeat(125)]) {
				ws.ping(payload);
				const got = await ws.next();
				assert.equal(got.opcode, OP.pong);
				assert.equal(got.payload.toString(), payload);
			}
			ws.destroy();
		});

		test("a pong that nobody asked for is ignored", async () => {
			const ws = await phoenix();

			ws.send(OP.pong, "zz");
			await ws.quiet();
			ws.destroy();
		});

		test("a flood of pings from one who does not read does not grow the daemon", async () => {
			const ws = await phoenix();
			const other = await phoenix();
			const burst = Buffer.concat(Array.from({ length: 1000 }, (_, i) => frame(OP.ping, `${i % 10}`.repeat(125))));

			ws.socket.pause();
			for (let i = 0; i < 100; i++)
				ws.write(burst);
			for (let i = 0; i < 20; i++)
				assert.deepEqual(await other.ask(JSON.parse(HELLO)), JSON.parse(HELLO_REPLY));
			ws.socket.resume();
			ws.ping("the last");
			await waitFor(async () => (await ws.next()).payload.toString() === "the last", "the last pong");
			ws.destroy();
			other.destroy();
		});
	});

	describe("closing", { concurrency: false }, () => {
		for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
			test(`${code} is echoed`, async () => {
				const ws = await phoenix();

				ws.close(code, "bye");
				await ws.closedWith(code);
			});
		test("an empty one is answered", async () => {
			const ws = await phoenix();

			ws.close();
			await ws.closedWith(1000, 1005);
		});
		for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
			fails(`${code} is no code`, frame(OP.close, closePayload(code)), 1002);
		fails("a payload of one octet", frame(OP.close, "x"), 1002);

		test("what follows a close is not processed", async () => {
			const ws = await echo();

			ws.write(Buffer.concat([frame(OP.close, closePayload(1000)), frame(OP.text, "late"), frame(OP.ping, "late")]));
			const got = await ws.next();
			assert.equal(got.opcode, OP.close);
			await ws.untilEnd();
			assert.equal(ws.bytes.length, 0);
			ws.destroy();
		});

		test("a message before the close is answered before it", async () => {
			const ws = await echo();

			ws.write(Buffer.concat([frame(OP.text, "first"), frame(OP.close, closePayload(1000))]));
			await echoes(ws, OP.text, "first");
			await ws.closedWith(1000);
		});

		test("the server ends TCP, though the client does not", async () => {
			const ws = await phoenix();

			ws.close(1000);
			assert.equal((await ws.next()).opcode, OP.close);
			await ws.untilEnd();	// our side is still open
			ws.destroy();
		});

		test("a client that does not answer a close is cut in time", async () => {
			const ws = await phoenix();
			const since = Date.now();

			ws.write(frame(3, ""));
			assert.equal((await ws.next()).payload.readUInt16BE(0), 1002);
			await ws.untilEnd();
			assert.ok(Date.now() - since < 4000);
			ws.destroy();
		});

		test("a client that vanishes leaves nothing behind", async () => {
			for (let i = 0; i < 50; i++) {
				const ws = await phoenix();

				await ws.join("room:vanish");
				ws.write(frame(OP.text, HELLO).subarray(0, 9));
				ws.socket.resetAndDestroy();
			}
			await alive();
		});
	});

	describe("silence", { concurrency: false }, () => {
		test("a client that neither speaks nor answers pings is closed, but not with 1000", async (t) => {
			const strict = await start({ options: { "limits.idle_timeout": "1s", "websocket.ping_interval": "0" } });
			t.after(() => strict.stop());
			const [silent, pinging] = [await Ws.open(strict.port), await Ws.open(strict.port)];
			const timer = setInterval(() => pinging.send(OP.ping, "i"), 200);
			let got;

			do
				got = await silent.nextFrame().catch(() => null);
			while (got !== null && got.opcode !== OP.close);
			if (got !== null)
				assert.notEqual(got.payload.readUInt16BE(0), 1000);
			await silent.untilEnd();
			assert.equal(pinging.ended, false);
			clearInterval(timer);
			silent.destroy();
			pinging.destroy();
		});

		test("the server pings, and misses the answer", async (t) => {
			const strict = await start({ options: { "websocket.ping_interval": "300ms", "websocket.pong_timeout": "500ms" } });
			t.after(() => strict.stop());
			const [deaf, good] = [await Ws.open(strict.port), await Ws.open(strict.port)];
			let answered = 0;

			assert.equal((await deaf.nextFrame()).opcode, OP.ping);
			while (answered < 4) {
				const { opcode, payload } = await good.nextFrame();

				assert.equal(opcode, OP.ping);
				good.send(OP.pong, payload);
				answered++;
			}
			await deaf.untilEnd();
			assert.equal(good.ended, false);
			deaf.destroy();
			good.destroy();
		});
	});

	describe("permessage-deflate", { concurrency: false }, () => {
		const answer = (ws) => ws.handshake.headers["sec-websocket-extensions"];

		test("is agreed on, and both sides keep no context", async () => {
			const ws = await deflating("permessage-deflate; client_max_window_bits");

			assert.match(answer(ws), /^permessage-deflate\b/);
			assert.match(answer(ws), /server_no_context_takeover/);
			assert.match(answer(ws), /client_no_context_takeover/);
			ws.destroy();
		});

		test("is not used where it was not offered", async () => {
			const ws = await echo();

			assert.equal(answer(ws), undefined);
			ws.text("x".repeat(5000));
			assert.equal((await ws.next()).rsv, 0);
			ws.destroy();
		});

		test("is off where the configuration says so", async (t) => {
			const plain = await start({ options: { "websocket.compression": "no" } });
			t.after(() => plain.stop());
			const ws = await Ws.open(plain.port, { fields: { "Sec-WebSocket-Extensions": "permessage-deflate" } });

			assert.equal(answer(ws), undefined);
			assert.deepEqual(await ws.ask(JSON.parse(HELLO)), JSON.parse(HELLO_REPLY));
			ws.destroy();
		});

		for (const offer of ["permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=abc",
			"permessage-deflate; server_max_window_bits=012", "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "permessage-deflate; client_max_window_bits=7",
			"permessage-deflate; server_no_context_takeover=1", "permessage-deflate; unknown", "permessage-deflate; server_max_window_bits", "x-webkit-deflate-frame", "permessage-deflate-x"])
			test(`'${offer}' is declined`, async () => {
				const ws = await deflating(offer);

				assert.equal(answer(ws), undefined);
				ws.text("still plain");
				await echoes(ws, OP.text, "still plain");
				ws.destroy();
			});

		test("the first acceptable of several offers is taken", async () => {
			const ws = await deflating("permessage-deflate; unknown, foo, permessage-deflate; server_max_window_bits=10");

			assert.match(answer(ws), /server_max_window_bits=10/);
			ws.destroy();
		});

		test("messages of all sizes come back", async () => {
			const ws = await deflating();

			for (const n of [0, 1, 500, 5000, MAX]) {
				const text = "wörd ".repeat(Math.floor(n / 6)) + "x".repeat(n % 6);	// n octets

				ws.send(OP.text, deflate(text), { rsv: 4 });
				const got = await ws.next();
				assert.equal(got.opcode, OP.text);
				assert.equal((got.rsv === 4 ? inflate(got.payload) : got.payload).toString(), text);
				assert.ok(n < 5000 || got.rsv === 4, "a long text was not compressed");
			}
			ws.destroy();
		});

		test("a message in fragments, RSV1 on the first alone, cut at every octet", async () => {
			const body = deflate("fragments ".repeat(20));

			for (let cut = 0; cut <= body.length; cut++) {
				const ws = await deflating();

				ws.send(OP.text, body.subarray(0, cut), { rsv: 4, fin: false });
				ws.ping("between");
				ws.send(OP.cont, body.subarray(cut));
				assert.equal((await ws.next()).opcode, OP.pong);
				const got = await ws.next();
				assert.equal((got.rsv === 4 ? inflate(got.payload) : got.payload).toString(), "fragments ".repeat(20));
				ws.destroy();
			}
		});

		test("plain messages pass beside compressed ones", async () => {
			const ws = await deflating();

			ws.text("plain");
			const got = await ws.next();
			assert.equal((got.rsv === 4 ? inflate(got.payload) : got.payload).toString(), "plain");
			ws.destroy();
		});

		for (const [what, bytes, ...codes] of [
			["RSV1 on a continuation", Buffer.concat([frame(OP.text, deflate("x"), { rsv: 4, fin: false }), frame(OP.cont, "", { rsv: 4 })]), 1002],
			["RSV1 on a ping", frame(OP.ping, "", { rsv: 4 }), 1002],
			["RSV2", frame(OP.text, deflate("x"), { rsv: 6 }), 1002],
			["garbage", frame(OP.text, hex("ff ff ff ff ff ff"), { rsv: 4 }), 1002, 1007],
			["a reserved block", frame(OP.text, hex("06"), { rsv: 4 }), 1002, 1007],
			["a reference before the start", frame(OP.text, hex("02 03 00"), { rsv: 4 }), 1002, 1007],
			["invalid UTF-8 inside", frame(OP.text, deflate(hex("5b ff fe")), { rsv: 4 }), 1007],
			["a message too big inside", frame(OP.text, deflate("x".repeat(MAX + 1)), { rsv: 4 }), 1009],
			["a bomb", frame(OP.binary, deflate(Buffer.alloc(32 * 1024 * 1024)), { rsv: 4 }), 1009],
		])
			test(`${what} ends the connection`, async () => {
				const ws = await deflating();

				ws.write(bytes);
				await ws.closedWith(...codes);
				await alive();
			});

		test("a bomb in fragments ends the connection", async () => {
			const ws = await deflating();
			const bomb = deflate(Buffer.alloc(16 * 1024 * 1024));

			for (let at = 0; at < bomb.length && !ws.ended; at += 1000)
				ws.send(at === 0 ? OP.binary : OP.cont, bomb.subarray(at, at + 1000),
					{ rsv: at === 0 ? 4 : 0, fin: at + 1000 >= bomb.length });
			await ws.closedWith(1009);
		});

		test("a broadcast reaches those with and those without it", async () => {
			const fields = { "Sec-WebSocket-Extensions": "permessage-deflate" };
			const [a, b, c] = [await Ws.open(daemon.port, { fields }), await Ws.open(daemon.port, { fields }), await phoenix()];
			const payload = { text: "compress me ".repeat(200) };

			for (const ws of [a, b, c])
				ws.text('["1","1","room:deflate","phx_join",{}]');
			for (const ws of [a, b, c]) {
				const got = await ws.next();
				assert.match((got.rsv === 4 ? inflate(got.payload) : got.payload).toString(), /"status":"ok"/);
			}
			c.json(["1", "2", "room:deflate", "new_msg", payload]);
			for (const [ws, rsv] of [[a, 4], [b, 4], [c, 0]]) {
				const got = await ws.next();

				assert.equal(got.rsv, rsv);
				assert.deepEqual(JSON.parse(rsv ? inflate(got.payload) : got.payload), [null, null, "room:deflate", "new_msg", payload]);
				ws.destroy();
			}
		});
	});

	describe("the echo path", { concurrency: false }, () => {
		test("is not there unless it is configured", async (t) => {
			const plain = await start();
			t.after(() => plain.stop());
			const wire = await Wire.connect(plain.port);

			wire.write(upgradeHead("/echo"));
			assert.equal((await wire.response()).status, 404);
			wire.destroy();
		});
	});
});
