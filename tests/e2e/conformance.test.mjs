// The conformance table of the Phoenix Channels protocol, row by row, over raw WebSockets: every frame is compared as text, to the octet.
// The presence rows of several nodes (R09 to R12) stand with the cluster's tests; long polling (P) and the rows that need the HTTP API are
// for later.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import zlib from "node:zlib";
import { Presence } from "phoenix18";
import { FIXTURE, mint, sleep, start, waitFor } from "./harness.mjs";
import { KEY, OP, Wire, Ws, acceptOf, closePayload, frame, upgradeHead } from "./raw.mjs";

const R = (response) => `{"status":"ok","response":${response}}`;
const E = (response) => `{"status":"error","response":${response}}`;
const OK = R("{}");
const reason = (text) => E(`{"reason":"${text}"}`);
const unmatched = (ref, topic) => `[null,${ref},"${topic}","phx_reply",${reason("unmatched topic")}]`;

const HEARTBEAT = '[null,"1","phoenix","heartbeat",{}]';
const HEARTBEAT_REPLY = `[null,"1","phoenix","phx_reply",${OK}]`;

const CONFIG = `
	default_routes = no
	limits {
		max_channels = 3
		message_rate = 0
		join_timeout = 2s
		close_timeout = 1s
	}
	route "room:*" { module = "${FIXTURE}" }
	route "told:*" { class = "fixture" options = { "tell=yes" } }
`;

/* A connection that ends with its test. */
async function dial(t, daemon, options) {
	const ws = await Ws.open(daemon.port, options);

	t.after(() => ws.destroy());
	return ws;
}

/* What comes next, text for text. */
async function hears(ws, ...texts) {
	for (const text of texts)
		assert.equal(await ws.nextText(), text);
}

async function asks(ws, text, ...answers) {
	ws.text(text);
	await hears(ws, ...answers);
}

async function joins(ws, ref = "1", topic = "room:a") {
	await asks(ws, `["${ref}","${ref}","${topic}","phx_join",{}]`, `["${ref}","${ref}","${topic}","phx_reply",${OK}]`);
	return ws;
}

/* An upgrade's answer, whatever it is. */
async function handshake(t, daemon, target, fields, options) {
	const wire = await Wire.connect(daemon.port);

	t.after(() => wire.destroy());
	wire.write(upgradeHead(target, fields, options));
	return wire.response();
}

const target = (vsn = "vsn=2.0.0") => `/socket/websocket?${vsn}&token=${mint()}`;

async function refuses(t, daemon, at, status, fields) {
	const response = await handshake(t, daemon, at, fields);

	assert.equal(response.status, status);
	assert.equal(response.body, "");
}

describe("conformance: handshake", { concurrency: false }, () => {
	let daemon;

	before(async () => { daemon = await start({ config: CONFIG }); });
	after(() => daemon.stop());

	test("H01 an upgrade", async (t) => {
		const { status, headers } = await handshake(t, daemon, target());

		assert.equal(status, 101);
		assert.equal(headers["sec-websocket-accept"], acceptOf(KEY));
		assert.equal(headers["sec-websocket-protocol"], undefined);
		assert.equal(headers["sec-websocket-extensions"], undefined);
	});

	test("H02 without vsn it is V1", async (t) => {
		const ws = await dial(t, daemon, { target: target("") });

		await asks(ws, '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
			`{"topic":"phoenix","event":"phx_reply","payload":${OK},"ref":"1"}`);
	});

	test("H03 patch versions", async (t) => {
		await asks(await dial(t, daemon, { vsn: "2.0.5" }), HEARTBEAT, HEARTBEAT_REPLY);
		await asks(await dial(t, daemon, { vsn: "1.0.3" }), '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
			`{"topic":"phoenix","event":"phx_reply","payload":${OK},"ref":"1"}`);
	});

	for (const vsn of ["vsn=3.0.0", "vsn=2.1.0", "vsn=2.0", "vsn=2", "vsn=v2.0.0", "vsn=abc", "vsn=", "vsn=2.0.0-rc.1", "vsn[]=2.0.0", "vsn%5B%5D=2.0.0"])
		test(`H04 ${vsn} is refused`, (t) => refuses(t, daemon, target(vsn), 403));

	test("H05 a token that is refused", (t) => refuses(t, daemon, "/socket/websocket?vsn=2.0.0&token=reject", 403));

	test("H05 too many connections", async (t) => {
		const crowded = await start({ options: { "limits.connections_per_user": 1 } });
		t.after(() => crowded.stop());
		const first = await handshake(t, crowded, target());
		const second = await handshake(t, crowded, target());

		assert.equal(first.status, 101);
		assert.equal(second.status, 429);
		assert.match(second.headers["retry-after"], /^\d+$/);
	});

	test("H06 an origin by its host", async (t) => {
		const picky = await start({ options: { origins: "//ok.example" } });
		t.after(() => picky.stop());

		await refuses(t, picky, target(), 403, { Origin: "http://evil.example" });
		await refuses(t, picky, target(), 403, { Origin: "null" });
		for (const fields of [{}, { Origin: "http://ok.example:999" }])
			assert.equal((await handshake(t, picky, target(), fields)).status, 101);
	});

	test("H07 an origin by scheme, port and a star", async (t) => {
		const picky = await start({ options: { origins: "https://*.w.example:8443" } });
		t.after(() => picky.stop());

		for (const origin of ["https://a.b.w.example:8443", "https://w.example:8443"])
			assert.equal((await handshake(t, picky, target(), { Origin: origin })).status, 101);
		await refuses(t, picky, target(), 403, { Origin: "https://a.w.example" });
	});

	test("H08 no upgrade", async (t) => {
		const posted = await handshake(t, daemon, target(), { "Content-Length": "0" }, { method: "POST" });

		assert.equal(posted.status, 405);
		assert.equal(posted.headers.allow, "GET");
		for (const fields of [{ Upgrade: undefined, Connection: undefined }, { Connection: "close" }])
			assert.ok([400, 426].includes((await handshake(t, daemon, target(), fields)).status));
		await refuses(t, daemon, target("vsn=9.0.0"), 403, { Upgrade: undefined, Connection: undefined });
	});

	test("H09 the token as a subprotocol", async (t) => {
		const token = Buffer.from(mint({ user_id: "secret" })).toString("base64").replace(/=+$/, "");
		const ws = await dial(t, daemon, {
			target: "/socket/websocket?vsn=2.0.0",
			fields: { "Sec-WebSocket-Protocol": `phoenix, base64url.bearer.phx.${token}` },
		});

		assert.equal(ws.handshake.headers["sec-websocket-protocol"], "phoenix");
		await joins(ws);
		const [, , , , { response }] = await ws.ask(["1", "2", "room:a", "whoami", {}]);
		assert.equal(response.user, "secret");
	});

	test("H10 empty parameters", async (t) => {
		const ws = await dial(t, daemon, { target: `/socket/websocket?a=1&&vsn=2.0.0&token=${mint()}&` });

		await asks(ws, HEARTBEAT, HEARTBEAT_REPLY);
	});

	test("H11 compression is off", async (t) => {
		const plain = await start({ options: { "websocket.compression": "no", "websocket.compression_min": 0 } });
		t.after(() => plain.stop());
		const ws = await dial(t, plain, { fields: { "Sec-WebSocket-Extensions": "permessage-deflate" } });

		assert.equal(ws.handshake.headers["sec-websocket-extensions"], undefined);
		ws.text(HEARTBEAT);
		const got = await ws.next();
		assert.equal(got.rsv, 0);
		assert.equal(got.payload.toString(), HEARTBEAT_REPLY);
	});

	test("H12 compression is on", async (t) => {
		const squeezing = await start({ options: { "websocket.compression_min": 0 } });
		t.after(() => squeezing.stop());
		const ws = await dial(t, squeezing, { fields: { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" } });

		assert.match(ws.handshake.headers["sec-websocket-extensions"], /^permessage-deflate/);
		ws.text(HEARTBEAT);
		const got = await ws.next();
		assert.equal(got.rsv, 4);
		assert.equal(zlib.inflateRawSync(Buffer.concat([got.payload, Buffer.from("0000ffff", "hex")]),
			{ finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString(), HEARTBEAT_REPLY);
	});
});

describe("conformance: frames", { concurrency: false }, () => {
	let daemon;

	before(async () => { daemon = await start({ config: CONFIG }); });
	after(() => daemon.stop());

	test("W01 a heartbeat in three fragments, a ping between", async (t) => {
		const ws = await dial(t, daemon);

		ws.text(HEARTBEAT.slice(0, 5), { fin: false });
		ws.send(OP.cont, HEARTBEAT.slice(5, 20), { fin: false });
		ws.ping("pp");
		ws.send(OP.cont, HEARTBEAT.slice(20));
		const pong = await ws.next();
		assert.deepEqual([pong.opcode, pong.payload.toString()], [OP.pong, "pp"]);
		await hears(ws, HEARTBEAT_REPLY);
	});

	test("W02 pings and pongs", async (t) => {
		const ws = await dial(t, daemon);

		for (const text of ["", "abc"]) {
			ws.ping(text);
			const pong = await ws.next();
			assert.deepEqual([pong.opcode, pong.payload.toString()], [OP.pong, text]);
		}
		ws.send(OP.pong, "zz");
		await ws.quiet();
	});

	test("W03 nothing behind a close is heard", async (t) => {
		const a = await joins(await dial(t, daemon)), b = await joins(await dial(t, daemon));

		a.write(Buffer.concat([frame(OP.close, closePayload(1000)), frame(OP.text, '["1","2","room:a","bcast",{"late":1}]')]));
		const close = await a.next();
		assert.deepEqual([close.opcode, close.payload.readUInt16BE(0)], [OP.close, 1000]);
		await a.untilEnd();
		assert.equal(a.bytes.length, 0);
		await b.quiet();
	});

	for (const [what, bytes] of [
		["an unmasked frame", frame(OP.text, HEARTBEAT, { mask: false })],
		["RSV2", frame(OP.text, HEARTBEAT, { rsv: 2 })],
		["opcode 3", frame(3, "")],
		["a stray continuation", frame(OP.cont, "x")],
		["text inside fragments", Buffer.concat([frame(OP.text, "[", { fin: false }), frame(OP.text, HEARTBEAT)])],
		["a ping of 126 octets", frame(OP.ping, "x".repeat(126))],
	])
		test(`W04 ${what} gets 1002`, async (t) => {
			const ws = await dial(t, daemon);

			ws.write(bytes);
			await ws.closedWith(1002);
		});

	test("W05 text that is no UTF-8 gets 1007", async (t) => {
		const ws = await dial(t, daemon);

		ws.text(Buffer.from("5bfffe", "hex"));
		await ws.closedWith(1007);
	});

	test("W06 a message too big gets 1009", async (t) => {
		const small = await start({ options: { "limits.max_message": 200 } });
		t.after(() => small.stop());
		const ws = await dial(t, small);

		ws.text("x".repeat(300));
		await ws.closedWith(1009);
	});

	test("W07 silence ends a connection, pings keep it", async (t) => {
		const impatient = await start({ options: { "limits.idle_timeout": "1s", "websocket.ping_interval": 0 } });
		t.after(() => impatient.stop());
		const [silent, talking] = [await dial(t, impatient), await dial(t, impatient)];

		for (let i = 0; i < 5; i++) {
			await sleep(300);
			talking.ping("");
			assert.equal((await talking.next()).opcode, OP.pong);
		}
		assert.notEqual(await silent.closedWith(1001, 1002, 1012), 1000);
		await asks(talking, HEARTBEAT, HEARTBEAT_REPLY);
	});

	test("W08 an octet at a time", async (t) => {
		const ws = await dial(t, daemon);

		await ws.trickle(frame(OP.text, HEARTBEAT));
		await hears(ws, HEARTBEAT_REPLY);
	});
});

describe("conformance: messages", { concurrency: false }, () => {
	let daemon;

	before(async () => { daemon = await start({ config: CONFIG }); });
	after(() => daemon.stop());

	const open = (t, options) => dial(t, daemon, options);
	const joined = async (t, options) => joins(await open(t, options));
	const V1 = { vsn: "1.0.0" };

	test("M01 a heartbeat is answered at once", async (t) => {
		const ws = await open(t), times = [];

		// The best of several: other things run on this machine.
		for (let i = 0; i < 5; i++) {
			const began = Date.now();

			await asks(ws, HEARTBEAT, HEARTBEAT_REPLY);
			times.push(Date.now() - began);
		}
		assert.ok(Math.min(...times) < 100, `${times} ms`);
	});

	test("M02 its refs come back as they were", async (t) => {
		const ws = await open(t);

		for (const ref of ['"2"', "3", "null"])
			await asks(ws, `["9",${ref},"phoenix","heartbeat",{}]`, `[null,${ref},"phoenix","phx_reply",${OK}]`);
	});

	test("M03 the topic phoenix has nothing else", async (t) => {
		const ws = await open(t);

		await asks(ws, '[null,"1","phoenix","other",{}]', unmatched('"1"', "phoenix"));
		await asks(ws, '["1","1","phoenix","phx_join",{}]', unmatched('"1"', "phoenix"));
		await asks(ws, '["1","2","phoenix","phx_leave",{}]', `["1","2","phoenix","phx_reply",${OK}]`);
	});

	for (const text of ["{oops", "", "5", '["1","1","room:a"]', '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}'])
		test(`M04 '${text}' gets 1011`, async (t) => {
			const ws = await joined(t);

			ws.text(text);
			await ws.closedWith(1011);
		});

	test("M05 more than five elements", async (t) => {
		await asks(await open(t), '["1","1","room:a","phx_join",{},"x"]', `["1","1","room:a","phx_reply",${OK}]`);
	});

	for (const text of ['{"topic":"room:a","event":"phx_join","payload":{}}', '["1","1","room:a","phx_join",{}]'])
		test(`M06 '${text}' in V1 gets 1011`, async (t) => {
			const ws = await open(t, V1);

			ws.text(text);
			await ws.closedWith(1011);
		});

	for (const topic of ["null", "5", '""'])
		test(`M07 the topic ${topic}`, async (t) => {
			await asks(await open(t), `["1","1",${topic},"phx_join",{}]`, `[null,"1",${topic},"phx_reply",${reason("unmatched topic")}]`);
		});

	test("M08 a number that is none is not relayed", async (t) => {
		const a = await joined(t), b = await joined(t);

		a.text('["1","2","room:a","bcast",{"a":NaN}]');
		await a.closedWith(1011);
		await b.quiet();
	});

	test("J01 a join", async (t) => {
		const ws = await joined(t);

		await ws.quiet();
	});

	test("J02 a join with a response", async (t) => {
		await asks(await open(t), '["1","1","room:reply","phx_join",{}]', `["1","1","room:reply","phx_reply",${R('{"hello":"world"}')}]`);
	});

	test("J03 a refused join", async (t) => {
		const ws = await open(t);

		await asks(ws, '["1","1","room:denied","phx_join",{}]', `["1","1","room:denied","phx_reply",${reason("unauthorized")}]`);
		await asks(ws, '["2","2","room:because","phx_join",{}]', `["2","2","room:because","phx_reply",${E('{"reason":"I \\"say\\" so"}')}]`);
		await ws.quiet();
	});

	test("J04 a topic without a route", async (t) => {
		await asks(await open(t), '["2","2","nope:x","phx_join",{}]', unmatched('"2"', "nope:x"));
	});

	test("J05 a join that crashes", async (t) => {
		const ws = await open(t);

		await asks(ws, '["3","3","room:crashjoin","phx_join",{}]', `["3","3","room:crashjoin","phx_reply",${reason("join crashed")}]`);
		await ws.quiet();
	});

	test("J06 too many channels, but rejoining is not one more", async (t) => {
		const ws = await open(t);

		for (const [ref, topic] of [["1", "room:a"], ["2", "room:b"], ["3", "room:c"]])
			await joins(ws, ref, topic);
		await asks(ws, '["4","4","room:d","phx_join",{}]', `["4","4","room:d","phx_reply",${reason("too many channels joined")}]`);
		await asks(ws, '["5","5","room:a","phx_join",{}]', '["1","1","room:a","phx_close",{}]', `["5","5","room:a","phx_reply",${OK}]`);
	});

	test("J07, J08 a join in place of another", async (t) => {
		const ws = await joined(t);

		await asks(ws, '["5","5","room:a","phx_join",{}]', '["1","1","room:a","phx_close",{}]', `["5","5","room:a","phx_reply",${OK}]`);
		ws.text('["1","6","room:a","echo",{}]');
		await asks(ws, '["5","7","room:a","echo",{}]', `["5","7","room:a","phx_reply",${OK}]`);
		await asks(ws, '[null,"8","room:a","echo",{}]', `["5","8","room:a","phx_reply",${OK}]`);
	});

	test("J09 a whole conversation in one write", async (t) => {
		const ws = await open(t);

		ws.write(Buffer.concat([
			'["1","1","room:a","phx_join",{}]', '["1","2","room:a","echo",{"x":1}]', '["1","3","room:a","phx_leave",{}]',
			'["4","4","room:a","phx_join",{}]', '["4","5","room:a","echo",{"x":2}]',
		].map((text) => frame(OP.text, text))));
		await hears(ws,
			`["1","1","room:a","phx_reply",${OK}]`,
			`["1","2","room:a","phx_reply",${R('{"x":1}')}]`,
			`["1","3","room:a","phx_reply",${OK}]`,
			'["1","1","room:a","phx_close",{}]',
			`["4","4","room:a","phx_reply",${OK}]`,
			`["4","5","room:a","phx_reply",${R('{"x":2}')}]`);
		await ws.quiet();
	});

	test("J10 a slow join holds up nobody but its own topic", async (t) => {
		const ws = await open(t), began = Date.now();

		ws.text('["1","1","room:slow","phx_join",{}]');
		ws.text('["1","2","room:slow","echo",{"x":1}]');
		await asks(ws, '[null,"3","phoenix","heartbeat",{}]', `[null,"3","phoenix","phx_reply",${OK}]`);
		await joins(ws, "4", "room:b");
		await hears(ws, `["1","1","room:slow","phx_reply",${OK}]`, `["1","2","room:slow","phx_reply",${R('{"x":1}')}]`);
		assert.ok(Date.now() - began >= 500);
	});

	test("J11 refs keep their type", async (t) => {
		const ws = await open(t);

		await asks(ws, '[1,1,"room:a","phx_join",{}]', `[1,1,"room:a","phx_reply",${OK}]`);
		await asks(ws, '[1,2,"room:a","echo",{}]', `[1,2,"room:a","phx_reply",${OK}]`);
		ws.text('["1","3","room:a","echo",{}]');
		await ws.quiet();
		await asks(ws, '[1,4,"room:a","phx_leave",{}]', `[1,4,"room:a","phx_reply",${OK}]`, '[1,1,"room:a","phx_close",{}]');
	});

	test("J12 a ref that is not the join_ref", async (t) => {
		const ws = await open(t);

		await asks(ws, '["7","8","room:a","phx_join",{}]', `["7","8","room:a","phx_reply",${OK}]`);
		await asks(ws, '["7","9","room:a","push",{}]', '["7",null,"room:a","pushed",{}]');
		await asks(ws, '["7","10","room:a","phx_leave",{}]', `["7","10","room:a","phx_reply",${OK}]`, '["7","7","room:a","phx_close",{}]');
	});

	test("J13 a slow join, left and joined anew", async (t) => {
		const ws = await open(t);

		ws.text('["1","1","room:slow","phx_join",{}]');
		await sleep(100);
		ws.text('["1","2","room:slow","phx_leave",{}]');
		ws.text('["3","3","room:slow","phx_join",{}]');
		await hears(ws,
			`["1","1","room:slow","phx_reply",${OK}]`,
			`["1","2","room:slow","phx_reply",${OK}]`,
			'["1","1","room:slow","phx_close",{}]',
			`["3","3","room:slow","phx_reply",${OK}]`);
		ws.text('["1","4","room:slow","echo",{}]');
		await asks(ws, '["3","5","room:slow","echo",{}]', `["3","5","room:slow","phx_reply",${OK}]`);
	});

	test("J: a join without a join_ref stands on its ref", async (t) => {
		const ws = await open(t);

		await asks(ws, '[null,"1","room:a","phx_join",{}]', `[null,"1","room:a","phx_reply",${OK}]`);
		await asks(ws, '[null,"2","room:a","push",{}]', '["1",null,"room:a","pushed",{}]');
		await asks(ws, '["1","3","room:a","echo",{}]', `["1","3","room:a","phx_reply",${OK}]`);
		await asks(ws, '["1","4","room:a","boom",{}]', '["1","1","room:a","phx_error",{"reason":"channel_crash"}]');
	});

	test("J: what a join causes comes behind its reply", async (t) => {
		const ws = await open(t);

		await asks(ws, '["3","3","room:greeting","phx_join",{}]',
			`["3","3","room:greeting","phx_reply",${OK}]`,
			'["3",null,"room:greeting","after_push",{"n":1}]',
			'[null,null,"room:greeting","after_bcast",{"n":2}]');
		await asks(ws, '["4","4","room:crashjoined","phx_join",{}]',
			`["4","4","room:crashjoined","phx_reply",${OK}]`,
			'["4","4","room:crashjoined","phx_error",{"reason":"channel_crash"}]');
	});

	test("J: a slow join that is refused, and one that never ends", async (t) => {
		const ws = await open(t);

		ws.text('["1","1","room:slowno","phx_join",{}]');
		await asks(ws, '["1","2","room:slowno","echo",{}]',
			`["1","1","room:slowno","phx_reply",${reason("no")}]`, unmatched('"2"', "room:slowno"));
		await asks(ws, '["3","3","room:never","phx_join",{}]', `["3","3","room:never","phx_reply",${reason("timeout")}]`);
		await asks(ws, '["3","4","room:never","echo",{}]', unmatched('"4"', "room:never"));
	});

	test("J: join params reach the class", async (t) => {
		const ws = await open(t);

		await asks(ws, '["1","1","room:params","phx_join",{"a":[1,{"b":null}]}]',
			`["1","1","room:params","phx_reply",${R('{"a":[1,{"b":null}]}')}]`);
		await asks(ws, '["2","2","room:params","phx_join",null]',
			'["1","1","room:params","phx_close",{}]', `["2","2","room:params","phx_reply",${OK}]`);
	});

	test("E01 replies of both kinds", async (t) => {
		const ws = await joined(t);

		await asks(ws, '["1","2","room:a","echo",{"k":[1,2.5,null]}]', `["1","2","room:a","phx_reply",${R('{"k":[1,2.5,null]}')}]`);
		await asks(ws, '["1","3","room:a","err",{"r":"x"}]', `["1","3","room:a","phx_reply",${E('{"r":"x"}')}]`);
		await asks(ws, '["1","4","room:a","twice",{"n":1}]', `["1","4","room:a","phx_reply",${R('{"n":1}')}]`);
		await ws.quiet();
	});

	test("E02 no reply", async (t) => {
		const ws = await joined(t);

		ws.text('["1","2","room:a","noreply",{}]');
		await sleep(500);
		await ws.quiet();
	});

	test("E03 a push", async (t) => {
		await asks(await joined(t), '["1","2","room:a","push",{"b":1}]', '["1",null,"room:a","pushed",{"b":1}]');
	});

	test("E04 a broadcast", async (t) => {
		const a = await joined(t), b = await joined(t);

		await asks(a, '["1","2","room:a","bcast",{"m":1}]', '[null,null,"room:a","bcast",{"m":1}]', `["1","2","room:a","phx_reply",${OK}]`);
		await hears(b, '[null,null,"room:a","bcast",{"m":1}]');
	});

	test("E05 a broadcast to the others", async (t) => {
		const a = await joined(t), b = await joined(t);

		await asks(a, '["1","2","room:a","bcast_from",{"m":1}]', `["1","2","room:a","phx_reply",${OK}]`);
		await hears(b, '[null,null,"room:a","bcast_from",{"m":1}]');
		await a.quiet();
	});

	test("E06 a broadcast to both versions", async (t) => {
		const a = await joined(t), b = await open(t, V1);

		await asks(b, '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}',
			`{"topic":"room:a","event":"phx_reply","payload":${OK},"ref":"1"}`);
		await asks(a, '["1","2","room:a","bcast",{"m":1}]', '[null,null,"room:a","bcast",{"m":1}]', `["1","2","room:a","phx_reply",${OK}]`);
		await hears(b, '{"topic":"room:a","event":"bcast","payload":{"m":1},"ref":null}');
	});

	test("E07 an intercepted broadcast is a push", async (t) => {
		const a = await joined(t), b = await joins(await open(t), "3"), c = await open(t, V1);

		await asks(c, '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}',
			`{"topic":"room:a","event":"phx_reply","payload":${OK},"ref":"1"}`);
		await asks(a, '["1","2","room:a","shout",{"m":3}]', '["1",null,"room:a","shouted",{"m":3,"seen_by":null}]');
		await hears(b, '["3",null,"room:a","shouted",{"m":3,"seen_by":null}]');
		await hears(c, '{"topic":"room:a","event":"shouted","payload":{"m":3,"seen_by":null},"ref":null}');
	});

	test("E08 an event on a topic that is not joined", async (t) => {
		await asks(await open(t), '["1","1","room:a","echo",{}]', unmatched('"1"', "room:a"));
	});

	test("E09 a null ref is answered", async (t) => {
		await asks(await joined(t), '["1",null,"room:a","echo",{"n":1}]', `["1",null,"room:a","phx_reply",${R('{"n":1}')}]`);
	});

	test("E10 text goes through untouched", async (t) => {
		const ws = await joins(await open(t), "1", "room:é/x");
		const payload = '{"s":"</script> é 😀 / \\\\"}';

		await asks(ws, `["1","2","room:é/x","echo",${payload}]`, `["1","2","room:é/x","phx_reply",${R(payload)}]`);
	});

	test("E11 big numbers go through untouched", async (t) => {
		const payload = '{"a":123456789012345678901234567890,"b":1.10,"c":-0,"d":1e400}';

		await asks(await joined(t), `["1","2","room:a","echo",${payload}]`, `["1","2","room:a","phx_reply",${R(payload)}]`);
	});

	test("E12 a slow answer holds up nobody", async (t) => {
		const ws = await joins(await joined(t), "2", "room:b");

		ws.text('["1","3","room:a","slow",{}]');
		await asks(ws, '["2","4","room:b","echo",{}]', `["2","4","room:b","phx_reply",${OK}]`);
		await asks(ws, '[null,"5","phoenix","heartbeat",{}]', `[null,"5","phoenix","phx_reply",${OK}]`);
		await asks(ws, '["1","6","room:a","echo",{}]', `["1","6","room:a","phx_reply",${OK}]`);
		await hears(ws, `["1","3","room:a","phx_reply",${R('{"slow":true}')}]`);
	});

	test("E13 a thousand broadcasts in order", async (t) => {
		const a = await joined(t), b = await joined(t);

		for (let n = 0; n < 1000; n++)
			a.text(`["1","${n + 2}","room:a","bcast",{"n":${n}}]`);
		for (let n = 0; n < 1000; n++)
			await hears(b, `[null,null,"room:a","bcast",{"n":${n}}]`);
		for (let n = 0; n < 1000; n++)
			await hears(a, `[null,null,"room:a","bcast",{"n":${n}}]`, `["1","${n + 2}","room:a","phx_reply",${OK}]`);
	});

	test("E: timers push, are reset and stopped", async (t) => {
		const ws = await joined(t);
		const tick = '["1",null,"room:a","tick",{}]';

		await asks(ws, '["1","2","room:a","tick",{}]', tick, tick, tick);
		ws.text('["1","3","room:a","tick",{}]');
		await asks(ws, '["1","4","room:a","tick",{}]', tick, tick, tick);
		ws.text('["1","5","room:a","tick",{}]');
		await asks(ws, '["1","6","room:a","untick",{}]', `["1","6","room:a","phx_reply",${OK}]`);
		await sleep(100);
		await ws.quiet();
	});

	test("E: answers outlive their channel and their connection", async (t) => {
		const a = await joined(t), b = await joined(t), c = await joined(t);

		a.text('["1","2","room:a","late",{}]');
		a.text('["1","3","room:a","late",{}]');
		await asks(a, '["1","4","room:a","phx_leave",{}]', `["1","4","room:a","phx_reply",${OK}]`, '["1","1","room:a","phx_close",{}]');
		b.text('["1","5","room:a","late",{}]');
		await asks(b, '["1","6","room:a","echo",{}]', `["1","6","room:a","phx_reply",${OK}]`);
		b.destroy();
		await asks(c, '["1","7","room:a","late",{}]');
		await waitFor(async () => (await daemon.get("/healthz")).status === 200);
		await asks(c, '["1","8","room:a","settle",{"n":1}]', `["1","7","room:a","phx_reply",${R('{"n":1}')}]`,
			`["1","8","room:a","phx_reply",${R('{"settled":4}')}]`);
		await a.quiet();
	});

	test("E: an answer for later is for its own instance", async (t) => {
		const ws = await joined(t);

		ws.text('["1","2","room:a","late",{}]');
		await asks(ws, '["3","3","room:a","phx_join",{}]', '["1","1","room:a","phx_close",{}]', `["3","3","room:a","phx_reply",${OK}]`);
		await asks(ws, '["3","4","room:a","settle",{}]', `["3","4","room:a","phx_reply",${R('{"settled":1}')}]`);
		await ws.quiet();
	});

	test("L01 a leave", async (t) => {
		const ws = await joined(t);

		await asks(ws, '["1","2","room:a","phx_leave",{}]', `["1","2","room:a","phx_reply",${OK}]`, '["1","1","room:a","phx_close",{}]');
		await asks(ws, '["1","3","room:a","echo",{}]', unmatched('"3"', "room:a"));
	});

	test("L02 a leave of what is not joined", async (t) => {
		await asks(await open(t), '["1","4","room:a","phx_leave",{}]', `["1","4","room:a","phx_reply",${OK}]`);
	});

	test("L03 a leave of another instance, and of no one's", async (t) => {
		const ws = await joined(t);

		ws.text('["9","2","room:a","phx_leave",{}]');
		await ws.quiet();
		await asks(ws, '[null,"3","room:a","phx_leave",{}]', `["1","3","room:a","phx_reply",${OK}]`, '["1","1","room:a","phx_close",{}]');
	});

	test("L04 a channel that stops", async (t) => {
		const ws = await joined(t);

		await asks(ws, '["1","2","room:a","stop",{}]', '["1","1","room:a","phx_close",{}]');
		await joins(ws, "3");
		await asks(ws, '["3","4","room:a","stopreply",{"z":1}]', `["3","4","room:a","phx_reply",${R('{"z":1}')}]`, '["3","3","room:a","phx_close",{}]');
		await ws.quiet();
	});

	test("L05, L06 a channel that crashes, and is joined again", async (t) => {
		const ws = await joined(t);

		await asks(ws, '["1","2","room:a","boom",{}]', '["1","1","room:a","phx_error",{"reason":"channel_crash"}]');
		await asks(ws, '["1","3","room:a","echo",{}]', unmatched('"3"', "room:a"));
		await joins(ws, "4");
		await asks(ws, '["4","5","room:a","boom_later",{}]', '["4","4","room:a","phx_error",{"reason":"channel_crash"}]');
		await joins(ws, "6");
		await asks(ws, '["6","7","room:a","fail",{}]', '["6","6","room:a","phx_error",{"reason":"told \\"so\\""}]');
	});

	for (const [how, event, why] of [
		["leaves", '["1","2","told:a","phx_leave",{}]', "leave"],
		["is replaced", '["2","2","told:a","phx_join",{}]', "replaced"],
		["stops", '["1","2","told:a","stop",{}]', "stopped"],
		["crashes", '["1","2","told:a","boom",{}]', "crashed"],
		["fails", '["1","2","told:a","fail",{}]', "crashed"],
		["loses its connection", null, "closed"],
	])
		test(`L: the class is told when a channel ${how}`, async (t) => {
			const a = await joins(await open(t), "1", "told:a"), b = await joins(await open(t), "1", "told:a");

			if (event !== null)
				a.text(event);
			else
				a.destroy();
			await hears(b, `[null,null,"told:a","left",{"why":"${why}"}]`);
			await b.quiet();
		});

	test("L08 a drain closes with 1012", async (t) => {
		const draining = await start({ config: CONFIG, options: { "drain.time": "1s", "drain.delay": "0" } });
		t.after(() => draining.stop());
		const clients = [await dial(t, draining), await dial(t, draining, V1)];

		await joins(clients[0]);
		await asks(clients[1], '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}',
			`{"topic":"room:a","event":"phx_reply","payload":${OK},"ref":"1"}`);
		draining.signal("SIGTERM");
		for (const ws of clients) {
			const close = await ws.next();

			assert.deepEqual([close.opcode, close.payload.readUInt16BE(0)], [OP.close, 1012], close.payload.toString());
			ws.socket.end(frame(OP.close, close.payload.subarray(0, 2)));
		}
		await draining.exited();
	});

	test("L09 what V1 is told at the end", async (t) => {
		const ws = await open(t, V1);
		const reply = (ref) => `{"topic":"room:a","event":"phx_reply","payload":${OK},"ref":"${ref}"}`;

		await asks(ws, '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}', reply("1"));
		await asks(ws, '{"topic":"room:a","event":"phx_leave","payload":{},"ref":"2"}', reply("2"),
			'{"topic":"room:a","event":"phx_close","payload":{},"ref":null}');
		await asks(ws, '{"topic":"room:a","event":"phx_join","payload":{},"ref":"3","join_ref":"1"}', reply("3"));
		await asks(ws, '{"topic":"room:a","event":"phx_leave","payload":{},"ref":"4"}', reply("4"),
			'{"topic":"room:a","event":"phx_close","payload":{},"ref":"1"}');
	});

	const bytes = (head, text, data = "") => Buffer.concat([head, text, data].map((part, i) =>
		i === 1 ? Buffer.from(part) : Buffer.from(part.replace(/ /g, ""), "hex")));

	async function hearsBinary(ws, expected) {
		const got = await ws.next();

		assert.deepEqual([got.opcode, got.payload.toString("hex")], [OP.binary, expected.toString("hex")]);
	}

	test("B01 a binary push, its push and its reply", async (t) => {
		const ws = await joined(t);

		ws.send(OP.binary, bytes("00 01 01 06 03", "12room:abin", "01 02 ff"));
		await hearsBinary(ws, bytes("00 01 06 07", "1room:abinpush", "09 01 02 ff"));
		await hearsBinary(ws, bytes("01 01 01 06 02", "12room:aok", "01 02 ff 07"));
	});

	test("B02 a binary broadcast", async (t) => {
		const a = await joined(t), b = await joined(t);

		a.send(OP.binary, bytes("00 01 01 06 04", "12room:abinb", "05"));
		for (const ws of [a, b])
			await hearsBinary(ws, bytes("02 06 04", "room:abinb", "05"));
	});

	test("B03 a binary heartbeat", async (t) => {
		const ws = await open(t);

		ws.send(OP.binary, bytes("00 00 01 07 09", "7phoenixheartbeat"));
		await hears(ws, `[null,"7","phoenix","phx_reply",${OK}]`);
	});

	for (const data of ["01 01 01 01 01 31 32 61 62", "00 09 09 09 09 41", "", "02 01 01 61 62", "03 01 01 0a 06 00 01"])
		test(`B04 the binary message '${data}' gets 1011`, async (t) => {
			const ws = await open(t);

			ws.send(OP.binary, bytes(data, ""));
			await ws.closedWith(1011);
		});

	test("B05 a binary broadcast passes V1 by", async (t) => {
		const a = await joined(t), b = await open(t, V1);

		await asks(b, '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}',
			`{"topic":"room:a","event":"phx_reply","payload":${OK},"ref":"1"}`);
		a.send(OP.binary, bytes("00 01 01 06 04", "12room:abinb", "05"));
		await hearsBinary(a, bytes("02 06 04", "room:abinb", "05"));
		await asks(a, '["1","3","room:a","echo",{}]', `["1","3","room:a","phx_reply",${OK}]`);
		await b.quiet();
	});

	test("B: a message without join_ref is for the live instance", async (t) => {
		const ws = await joined(t);

		ws.send(OP.binary, bytes("00 00 01 06 03", "2room:abin", ""));
		await hearsBinary(ws, bytes("00 01 06 07", "1room:abinpush", "09"));
		await hearsBinary(ws, bytes("01 01 01 06 02", "12room:aok", "07"));
	});

	test("B: raw bytes as join params", async (t) => {
		const ws = await open(t);

		ws.send(OP.binary, bytes("00 01 01 0b 08", "11room:paramsphx_join", "00 ff"));
		await hearsBinary(ws, bytes("01 01 01 0b 02", "11room:paramsok", "00 ff"));
	});

	test("B: a JSON event with a binary answer", async (t) => {
		const ws = await joined(t);

		ws.text('["1","2","room:a","bin",{}]');
		await hearsBinary(ws, bytes("00 01 06 07", "1room:abinpush\x09{}"));
		await hearsBinary(ws, bytes("01 01 01 06 02", "12room:aok{}\x07"));
	});

	test("B: V1 reads JSON from binary frames", async (t) => {
		const ws = await open(t, V1);

		ws.send(OP.binary, '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}');
		await hears(ws, `{"topic":"phoenix","event":"phx_reply","payload":${OK},"ref":"1"}`);
	});
});

describe("conformance: presence", { concurrency: false }, () => {
	const TOPIC = "room:pres";
	const WINDOWS = 250;	/* ms: several of them */
	let daemon;

	before(async () => { daemon = await start({ config: CONFIG }); });
	after(() => daemon.stop());

	/* Sends a push, and returns its reply; nothing else comes before it. */
	async function pushes(ws, ref, event, payload, joinRef = "1") {
		const [, gotRef, , name, { status, response }] = await ws.ask([joinRef, ref, TOPIC, event, payload]);

		assert.deepEqual([gotRef, name], [ref, "phx_reply"]);
		return [status, response];
	}

	async function nextPayload(ws, event, joinRef) {
		const [at, ref, topic, name, payload] = await ws.nextMessage();

		assert.deepEqual([at, ref, topic, name], [joinRef, null, TOPIC, event], JSON.stringify(payload));
		return payload;
	}

	const nextState = (ws, joinRef = "1") => nextPayload(ws, "presence_state", joinRef);
	const nextDiff = (ws) => nextPayload(ws, "presence_diff", null);

	/* Joined, with the state that it was told. */
	async function enters(t, key, name, joinRef = "1") {
		const ws = await dial(t, daemon);

		assert.deepEqual(await pushes(ws, joinRef, "phx_join", key === undefined ? {} : { key, name }, joinRef), ["ok", {}]);
		return [ws, await nextState(ws, joinRef)];
	}

	/* Nothing comes for some windows. */
	async function hearsNothing(...all) {
		await sleep(WINDOWS);
		for (const ws of all)
			await ws.quiet();
	}

	/* Only that meta, under that key. */
	function alone(part, key) {
		assert.deepEqual(Object.keys(part), [key]);
		assert.equal(part[key].metas.length, 1);
		assert.equal(typeof part[key].metas[0].phx_ref, "string");
		return part[key].metas[0];
	}

	test("R01 who joins is in the state", async (t) => {
		const [ws, state] = await enters(t, "u1", "A");
		const { phx_ref: ref, ...meta } = alone(state, "u1");

		assert.deepEqual(meta, { name: "A" });
		assert.match(ref, /^[A-Za-z0-9_-]+$/);
		await hearsNothing(ws);
	});

	test("R01 who looks on is told an empty state", async (t) => {
		const [ws, state] = await enters(t);

		assert.deepEqual(state, {});
		await hearsNothing(ws);
	});

	test("R02 R03 R04 two of one name: a diff, an update, a leave", async (t) => {
		const [a, own] = await enters(t, "u1", "A"), [b, both] = await enters(t, "u1", "B");
		const joined = await nextDiff(a);

		assert.deepEqual(joined.leaves, {});
		assert.equal(alone(joined.joins, "u1").name, "B");
		assert.deepEqual(both.u1.metas.map((meta) => meta.name).sort(), ["A", "B"]);
		assert.ok(both.u1.metas.some((meta) => meta.phx_ref === own.u1.metas[0].phx_ref));

		assert.deepEqual(await pushes(b, "2", "pupdate", { key: "u1", name: "B2" }), ["ok", {}]);
		const changed = await nextDiff(a), after = alone(changed.joins, "u1");
		assert.deepEqual(await nextDiff(b), changed);
		assert.equal(after.name, "B2");
		assert.equal(after.phx_ref_prev, alone(joined.joins, "u1").phx_ref);
		assert.notEqual(after.phx_ref, after.phx_ref_prev);
		assert.deepEqual(changed.leaves, joined.joins);

		await asks(a, `["1","3","${TOPIC}","phx_leave",{}]`, `["1","3","${TOPIC}","phx_reply",${OK}]`, `["1","1","${TOPIC}","phx_close",{}]`);
		const left = await nextDiff(b);
		assert.deepEqual(left.joins, {});
		assert.deepEqual(alone(left.leaves, "u1"), own.u1.metas[0]);
		await hearsNothing(a, b);
	});

	test("R05 twice the same, and what was never there", async (t) => {
		const [ws] = await enters(t, "u1", "A"), [other] = await enters(t);

		assert.equal((await pushes(ws, "2", "ptrack", { key: "u1", name: "A" }))[0], "error");
		assert.deepEqual(await pushes(ws, "3", "puntrack", { key: "unknown" }), ["ok", {}]);
		assert.equal((await pushes(ws, "4", "pupdate", { key: "unknown", name: "X" }))[0], "error");
		await hearsNothing(ws, other);
	});

	test("R05 an update that changes nothing is not told", async (t) => {
		const [ws] = await enters(t, "u1", "A");

		assert.deepEqual(await pushes(ws, "2", "pupdate", { key: "u1", name: "A" }), ["ok", {}]);
		await hearsNothing(ws);
	});

	test("R06 a lost connection leaves in one diff", async (t) => {
		const [a] = await enters(t, "u1", "A"), [b] = await enters(t);

		assert.deepEqual(await pushes(a, "2", "ptrack", { key: "u2", name: "A" }), ["ok", {}]);
		assert.equal(alone((await nextDiff(b)).joins, "u2").name, "A");
		a.destroy();
		const { joins: none, leaves } = await nextDiff(b);
		assert.deepEqual(none, {});
		assert.deepEqual(Object.keys(leaves).sort(), ["u1", "u2"]);
		await hearsNothing(b);
	});

	test("R07 a join anew: the old one leaves, then the new one is there", async (t) => {
		const [a, before] = await enters(t, "u1", "A"), [b, seen] = await enters(t);

		a.json(["5", "5", TOPIC, "phx_join", { key: "u1", name: "A" }]);
		await hears(a, `["1","1","${TOPIC}","phx_close",{}]`, `["5","5","${TOPIC}","phx_reply",${OK}]`);
		const fresh = alone(await nextState(a, "5"), "u1");
		assert.notEqual(fresh.phx_ref, alone(before, "u1").phx_ref);
		const state = Presence.syncDiff(structuredClone(seen), await nextDiff(b));
		assert.deepEqual({ ...state }, { u1: { metas: [fresh] } });
		await hearsNothing(a, b);
	});

	for (const key of ["", "__proto__", "constructor", "k".repeat(257)])
		test(`R: the key "${key.slice(0, 12)}" is not taken`, async (t) => {
			const [ws] = await enters(t);

			assert.deepEqual(await pushes(ws, "2", "ptrack", { key, name: "X" }), ["error", { reason: "EINVAL" }]);
			await hearsNothing(ws);
		});

	test("R08 an observer that joins among 200", { timeout: 60_000 }, async (t) => {
		const crowd = [], keys = (n) => Array.from({ length: n }, (_, i) => `u${i}`);
		let state;

		for (let i = 0; i < 200; i++)
			crowd.push(await dial(t, daemon));
		const observer = await dial(t, daemon);
		crowd.forEach((ws, i) => {
			ws.json(["1", "1", TOPIC, "phx_join", { key: `u${i}`, name: "x" }]);
			if (i === 100)
				observer.json(["1", "1", TOPIC, "phx_join", {}]);
			/* Some are gone at once. */
			if (i % 10 === 9)
				ws.json(["1", "2", TOPIC, "phx_leave", {}]);
		});
		await hears(observer, `["1","1","${TOPIC}","phx_reply",${OK}]`);
		await sleep(4 * WINDOWS);
		const [, , , , list] = await observer.ask(["1", "9", TOPIC, "plist", {}]).then(async (first) => {
			let message = first;

			/* The algorithm of the client: a state, then diffs. */
			while (message[3] !== "phx_reply") {
				if (message[3] === "presence_state")
					state = Presence.syncState(state ?? {}, message[4]);
				else
					state = Presence.syncDiff(state, message[4]);
				message = await observer.nextMessage();
			}
			return message;
		});
		const wanted = keys(200).filter((_, i) => i % 10 !== 9).sort();
		assert.equal(list.response.count, wanted.length);
		assert.deepEqual(Object.keys(state).sort(), wanted);
		assert.deepEqual(Object.entries(state).flatMap(([key, { metas }]) => metas.map((meta) => [key, meta])).sort(),
			list.response.list.sort());
	});
});

describe("conformance: modules", { concurrency: false }, () => {
	test("options that a class does not like refuse the configuration", async () => {
		for (const [option, complaint] of [["slow=soon", /expected ms/], ["tell=perhaps", /expected yes or no/], ["loud=yes", /no option "loud"/]])
			await assert.rejects(start({ config: `route "x:*" { module = "${FIXTURE}" options = { "${option}" } }` }),
				(e) => e.message.includes('"code":78') && complaint.test(e.message));
	});

	test("a module that is none refuses the configuration", async () => {
		for (const module of ["/nonexistent.so", "libz.so.1"])
			await assert.rejects(start({ config: `route "x:*" { module = "${module}" }` }), /"code":78/);
	});

	test("a reload brings new options; channels that are there keep theirs", async (t) => {
		const config = (slow) => `route "room:*" { module = "${FIXTURE}" options = { "slow=${slow}" } }`;
		const daemon = await start({ config: config(10) });
		t.after(() => daemon.stop());
		const old = await joins(await dial(t, daemon));

		writeFileSync(path.join(daemon.dir, "roost.conf"), config(60000));
		daemon.signal("SIGHUP");
		await daemon.logged(/reload/);
		const fresh = await joins(await dial(t, daemon));
		fresh.text('["1","2","room:a","slow",{}]');
		await asks(old, '["1","3","room:a","slow",{}]', `["1","3","room:a","phx_reply",${R('{"slow":true}')}]`);
		await asks(old, '["1","4","room:a","bcast",{}]', '[null,null,"room:a","bcast",{}]', `["1","4","room:a","phx_reply",${OK}]`);
		await hears(fresh, '[null,null,"room:a","bcast",{}]');
		await fresh.quiet();
	});

	test("options reach the class", async (t) => {
		const daemon = await start({ config: `route "room:*" { module = "${FIXTURE}" options = { "slow=20", "join=10" } }` });
		t.after(() => daemon.stop());
		const ws = await dial(t, daemon), began = Date.now();

		await joins(ws, "1", "room:slow");
		await asks(ws, '["1","2","room:slow","slow",{}]', `["1","2","room:slow","phx_reply",${R('{"slow":true}')}]`);
		assert.ok(Date.now() - began < 1000);
	});
});
