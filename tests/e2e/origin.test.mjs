// Which pages may connect, and who a client is: the Origin header, X-Forwarded-For and the PROXY protocol.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { freePorts, mint, start, waitFor } from "./harness.mjs";
import { haproxy, noHaproxy } from "./haproxy.mjs";
import { Wire, Ws, exchange, upgradeHead } from "./raw.mjs";

const target = () => `/socket/websocket?vsn=2.0.0&token=${mint()}`;

/* The status of an upgrade with these fields. */
async function status(at, fields, more = target()) {
	return (await exchange(at, upgradeHead(more, fields))).status;
}

describe("origins of a list", { concurrency: false }, () => {
	const LIST = ["https://good.example", "//any.example", "//port.example:8080", "https://*.wild.example:8443", "bare.example", "https://[2001:db8::1]"];
	let daemon;

	before(async () => { daemon = await start({ options: { origins: LIST.join(" , "), "debug.echo_path": "/echo" } }); });
	after(() => daemon.stop());

	// First, while the log has room: what clients cause is said ten times a second.
	test("the answer is empty, and the log says whose origin it was", async () => {
		const mark = daemon.log.length;
		const { status: code, body, headers } = await exchange(daemon.port, upgradeHead(target(), { Origin: "https://evil.example" }));

		assert.equal(code, 403);
		assert.equal(body, "");
		assert.equal(headers["sec-websocket-accept"], undefined);
		await waitFor(() => daemon.log.slice(mark).includes('refused 403 /socket/websocket: origin "https://evil.example" is not allowed\n'), "its line");
	});

	test("what it holds cannot forge a line", async () => {
		const mark = daemon.log.length;

		await status(daemon.port, { Origin: `https://x\x1b[2J" is fine\t` }).catch(() => {});
		await status(daemon.port, { Origin: `https://${"x".repeat(5000)}.example` });
		await waitFor(() => daemon.log.slice(mark).includes("xxx"), "its line");
		for (const line of daemon.log.slice(mark).split("\n")) {
			// eslint-disable-next-line no-control-regex
			assert.doesNotMatch(line, /[\x00-\x1f]/);
			assert.ok(line.length <= 1024);
		}
	});

	test("is looked at before the version and the token", async () => {
		const before = (await daemon.metrics()).auth_failures_total;

		for (const more of ["/socket/websocket?vsn=9", "/socket/websocket?vsn=2.0.0&token=x"]) {
			const mark = daemon.log.length;

			assert.equal(await status(daemon.port, { Origin: "https://evil.example" }, more), 403);
			await waitFor(() => daemon.log.slice(mark).includes('origin "https://evil.example"'), "its line");
		}
		assert.equal((await daemon.metrics()).auth_failures_total, before);
	});

	for (const [origin, may] of [
		["https://good.example", true],
		["https://good.example:443", true],
		["HTTPS://GOOD.example", true],
		["http://good.example", false],
		["https://good.example:444", false],
		["http://any.example", true],
		["https://any.example:4443", true],
		["https://port.example:8080", true],
		["https://port.example", false],
		["https://a.b.wild.example:8443", true],
		["https://wild.example:8443", true],
		["https://a.wild.example", false],
		["https://evilwild.example:8443", false],
		["http://bare.example:99", true],
		["https://[2001:db8::1]", true],
		["https://[2001:db8::2]", false],
		["null", false],
		["", false],
		["good.example", false],
		["https://good.example.evil", false],
		["https://good.example@evil.example", false],
		["https://good@evil.example", false],
		["https://evil.example/https://good.example", false],
		["https://good.example https://good.example", false],
		["https://good.example, https://good.example", false],
		["https://g\xf6\xf6d.example", false],
		["file://", false],
	])
		test(`'${origin}' ${may ? "may" : "may not"}`, async () =>
			assert.equal(await status(daemon.port, { Origin: origin }), may ? 101 : 403));

	test("none, as of a program, may", async () => assert.equal(await status(daemon.port, {}), 101));

	test("two of them may not", async () =>
		assert.equal(await status(daemon.port, { Origin: ["https://good.example", "https://good.example"] }), 403));

	test("holds for the echo path, and not for pages", async () => {
		assert.equal(await status(daemon.port, { Origin: "https://evil.example" }, "/echo"), 403);
		assert.equal(await status(daemon.port, { Origin: "https://good.example" }, "/echo"), 101);
		assert.equal(await status(daemon.port, { Origin: "https://evil.example" }, "/healthz"), 200);
	});
});

describe("origins", { concurrency: false }, () => {
	test("a reload changes who may, and not who is here", async (t) => {
		const daemon = await start({ config: 'origins = { "https://old.example" }' });
		t.after(() => daemon.stop());
		const ws = await Ws.open(daemon.port, { fields: { Origin: "https://old.example" } });
		t.after(() => ws.destroy());

		daemon.configure('origins = { "https://new.example" }\nhttp { require_origin = yes }');
		await daemon.reload();
		assert.equal(await status(daemon.port, { Origin: "https://old.example" }), 403);
		assert.equal(await status(daemon.port, { Origin: "https://new.example" }), 101);
		assert.equal(await status(daemon.port, {}), 403);
		await ws.join("room:1");
	});

	test("one is demanded, whichever", async (t) => {
		const daemon = await start({ options: { "http.require_origin": "yes" } });
		t.after(() => daemon.stop());

		assert.equal(await status(daemon.port, {}), 403);
		await daemon.logged(/refused 403 \/socket\/websocket: no origin\n/);
		assert.equal(await status(daemon.port, { Origin: "https://any.example" }), 101);
		assert.equal((await daemon.get("/healthz")).status, 200);
	});

	for (const pattern of ["https://good.example/", "https://user@good.example", "ht tps://x", "https://good.*", "https://*", "https://x:99999"])
		test(`the pattern ${pattern} is refused by name`, async (t) => {
			const daemon = await start({ config: "" });
			t.after(() => daemon.stop());

			daemon.configure(`origins = { "${pattern}" }`);
			assert.ok((await daemon.reload({ refused: true })).includes(`got '${pattern}'`));
		});
});

/* Who a client was is seen by the log, and by how many may come from one address. */
const ONE_EACH = { "limits.connections_per_address": "1", "limits.message_rate": "0" };

/* Opens one WebSocket that stays until the test ends, or returns the status of the refusal. */
async function enter(t, at, fields) {
	const wire = await Wire.connect(at);

	t.after(() => wire.destroy());
	wire.write(upgradeHead(target(), fields));
	return (await wire.response()).status;
}

/* All of them may be here at once, and then a second of each may not. */
async function areDistinct(t, daemon, ...callers) {
	for (const [at, fields] of callers)
		assert.equal(await enter(t, at, fields), 101, JSON.stringify(fields));
	for (const [at, fields] of callers)
		assert.equal(await enter(t, at, fields), 429, JSON.stringify(fields));
	assert.equal((await daemon.metrics()).refused_total, callers.length);
}

describe("X-Forwarded-For", { concurrency: false }, () => {
	const serving = async (t, trusted, args = []) => {
		const daemon = await start({ options: { ...ONE_EACH, "http.trusted_proxies": trusted }, args });

		t.after(() => daemon.stop());
		return daemon;
	};
	const from = (...addresses) => ({ "X-Forwarded-For": addresses.join(", ") });

	test("of a stranger is ignored", async (t) => {
		const daemon = await serving(t, "10.0.0.0/8");

		assert.equal(await enter(t, daemon.port, from("192.0.2.1")), 101);
		assert.equal(await enter(t, daemon.port, from("192.0.2.2")), 429);
		await daemon.logged(/\[127\.0\.0\.1:\d+\] refused 429 \/socket\/websocket: too many connections from this address\n/);
		assert.doesNotMatch(daemon.log, /192\.0\.2/);
	});

	test("of a trusted proxy is the client", async (t) => {
		const daemon = await serving(t, "127.0.0.0/8");

		await areDistinct(t, daemon, [daemon.port, from("192.0.2.1")], [daemon.port, from("192.0.2.2")], [daemon.port, from("2001:db8::1")], [daemon.port, {}]);
		await daemon.logged(/\[192\.0\.2\.1:0\] refused 429/);
		await daemon.logged(/\[\[2001:db8::1\]:0\] refused 429/);
		await daemon.logged(/\[127\.0\.0\.1:\d+\] refused 429/);
	});

	test("counts from the right, beyond the proxies that are trusted", async (t) => {
		const daemon = await serving(t, "127.0.0.1, 10.0.0.0/8");

		assert.equal(await enter(t, daemon.port, from("192.0.2.1", "198.51.100.1")), 101);
		// What a client wrote itself stands to the left of what the proxies wrote.
		assert.equal(await enter(t, daemon.port, from("192.0.2.2", "198.51.100.1")), 429);
		assert.equal(await enter(t, daemon.port, from("192.0.2.2", "198.51.100.1", "10.1.1.1", "10.2.2.2")), 429);
		assert.equal(await enter(t, daemon.port, { "X-Forwarded-For": ["192.0.2.3", "198.51.100.1, 10.1.1.1"] }), 429);
		assert.equal(await enter(t, daemon.port, from("198.51.100.1", "192.0.2.9")), 101);
	});

	test("of trusted proxies alone: the first of them", async (t) => {
		const daemon = await serving(t, "127.0.0.1, 10.0.0.0/8");

		await areDistinct(t, daemon, [daemon.port, from("10.0.0.1", "10.0.0.2")], [daemon.port, from("10.0.0.2", "10.0.0.3")]);
	});

	test("that is no address ends where it can be read", async (t) => {
		const daemon = await serving(t, "127.0.0.1, 10.0.0.0/8");

		assert.equal(await enter(t, daemon.port, from("unknown")), 101);
		for (const value of ["garbage", "192.0.2.999", "1.2.3.4.5", "192.0.2.1:80x", "", ",,,"])
			assert.equal(await enter(t, daemon.port, from(value)), 429, value);
		assert.equal(await enter(t, daemon.port, from("192.0.2.1", "unknown", "10.0.0.7")), 101);
		assert.equal(await enter(t, daemon.port, from("192.0.2.2", "unknown", "10.0.0.7")), 429);
	});

	test("an IPv4 address in IPv6 is that IPv4 address", async (t) => {
		const daemon = await serving(t, "127.0.0.1");

		assert.equal(await enter(t, daemon.port, from("192.0.2.1")), 101);
		assert.equal(await enter(t, daemon.port, from("::ffff:192.0.2.1")), 429);
	});

	test("a thousand of them are a few", async (t) => {
		const daemon = await serving(t, "127.0.0.1, 10.0.0.0/8");
		const many = Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);

		assert.equal(await enter(t, daemon.port, from("192.0.2.1", ...many)), 101);
		assert.equal((await daemon.get("/healthz")).status, 200);
	});

	test("of a proxy on a unix socket, where that is trusted", async (t) => {
		const daemon = await serving(t, "unix", ["-l", "unix:roost.sock"]);
		const at = { path: daemon.file("roost.sock") };

		await areDistinct(t, daemon, [at, from("192.0.2.1")], [at, from("192.0.2.2")], [at, {}]);
		assert.equal(await enter(t, daemon.port, from("192.0.2.3")), 101);
		assert.equal(await enter(t, daemon.port, from("192.0.2.4")), 429);
	});

	test("a place is free again when its client has gone", async (t) => {
		const daemon = await serving(t, "127.0.0.1");

		for (let i = 0; i < 3; i++) {
			const ws = await Ws.open(daemon.port, { fields: from("192.0.2.1") });

			assert.equal(await enter(t, daemon.port, from("192.0.2.1")), 429);
			ws.close(1000);
			await ws.closedWith(1000);
			await waitFor(async () => (await daemon.metrics()).websockets === 0, "it to be gone");
		}
	});
});

describe("the PROXY protocol", { concurrency: false }, () => {
	const SIGNATURE = "0d0a0d0a000d0a515549540a";
	const v1 = (source) => `PROXY TCP4 ${source} 127.0.0.1 5000 80\r\n`;
	const v2 = (last) => Buffer.from(`${SIGNATURE}2111000cc00002${last}7f00000113880050`, "hex");
	const LOCAL = Buffer.from(`${SIGNATURE}20000000`, "hex");
	let daemon, port;

	before(async () => {
		[port] = await freePorts(1);
		daemon = await start({ options: { ...ONE_EACH, "http.trusted_proxies": "203.0.113.0/24" }, args: ["-l", `127.0.0.1:${port},proxy`] });
	});
	after(() => daemon.stop());

	test("names the client", async (t) => {
		await areDistinct(t, daemon, [{ port, first: v1("192.0.2.1") }], [{ port, first: v2("02") }], [{ port, first: "PROXY TCP6 2001:db8::7 ::1 5000 80\r\n" }]);
		// The same client, by the other version.
		assert.equal(await enter(t, { port, first: v1("192.0.2.2") }), 429);
		await daemon.logged(/\[192\.0\.2\.2:5000\] refused 429/);
	});

	test("may say that there is none: it is the proxy then", async (t) => {
		assert.equal(await enter(t, { port, first: "PROXY UNKNOWN\r\n" }), 101);
		assert.equal(await enter(t, { port, first: LOCAL }), 429);
		assert.equal(await enter(t, { port, first: v2("01").fill(0, 13, 14) }), 429);
	});

	test("is believed before X-Forwarded-For, unless it names a proxy itself", async (t) => {
		const fields = { "X-Forwarded-For": "198.51.100.1" };

		assert.equal(await enter(t, { port, first: v1("192.0.2.10") }, fields), 101);
		assert.equal(await enter(t, { port, first: v1("192.0.2.11") }, fields), 101);
		assert.equal(await enter(t, { port, first: v1("203.0.113.1") }, fields), 101);
		assert.equal(await enter(t, { port, first: v1("203.0.113.2") }, fields), 429);
	});

	test("may come octet by octet, and with all that follows in one packet", async (t) => {
		for (const header of [Buffer.from(v1("192.0.2.20")), v2("15")]) {
			const wire = await Wire.connect(port);
			t.after(() => wire.destroy());

			await wire.trickle(header);
			await wire.trickle(Buffer.from(upgradeHead(target())));
			assert.equal((await wire.response()).status, 101);
			const together = await Wire.connect(port);
			t.after(() => together.destroy());
			together.write(Buffer.concat([header, Buffer.from(upgradeHead(target()))]));
			assert.equal((await together.response()).status, 429);
		}
	});

	test("carries extensions that are skipped", async (t) => {
		const tlvs = Buffer.from("0100026832" + "040003000000", "hex");
		const header = Buffer.concat([v2("1e"), tlvs]);

		header.writeUInt16BE(12 + tlvs.length, 14);
		assert.equal(await enter(t, { port, first: header }), 101);
	});

	for (const [what, header] of [
		["nothing of it", ""],
		["TLS", Buffer.from("160301020001000001fc0303", "hex")],
		["a broken address", "PROXY TCP4 192.0.2.999 127.0.0.1 5000 80\r\n"],
		["a family that does not fit", "PROXY TCP4 2001:db8::7 ::1 5000 80\r\n"],
		["two blanks", "PROXY TCP4  192.0.2.1 127.0.0.1 5000 80\r\n"],
		["a bare line feed", "PROXY TCP4 192.0.2.1 127.0.0.1 5000 80\n"],
		["no end", `PROXY TCP4 ${"1".repeat(200)}`],
		["another command", Buffer.from(`${SIGNATURE}2211000cc00002017f00000113880050`, "hex")],
		["a length beyond all", Buffer.from(`${SIGNATURE}2111ffffc00002017f00000113880050`, "hex")],
	])
		test(`${what}: closed without an answer`, async () => {
			const wire = await Wire.connect({ port, first: header });

			wire.write(upgradeHead(target()));
			await wire.untilEnd();
			assert.equal(wire.bytes.length, 0);
			wire.destroy();
		});

	test("twice: the second is no request", async () => {
		const wire = await Wire.connect({ port, first: `${v1("192.0.2.30")}${v1("192.0.2.31")}\r\n` });

		assert.equal((await wire.response()).status, 400);
		wire.destroy();
	});

	test("elsewhere it is no request", async () => {
		const { status: code } = await exchange(daemon.port, v1("192.0.2.40") + upgradeHead(target()));

		assert.equal(code, 400);
	});

	test("a thousand broken ones leave nothing behind", async () => {
		const before = (await daemon.metrics()).connections;

		for (let i = 0; i < 1000; i += 50)
			await Promise.all(Array.from({ length: 50 }, async () => {
				const wire = await Wire.connect({ port, first: v1("x") });
				await wire.untilEnd();
				wire.destroy();
			}));
		await waitFor(async () => (await daemon.metrics()).connections <= before, "all to be gone");
	});
});

describe("behind haproxy", { concurrency: false, skip: noHaproxy }, () => {
	/* A client that comes from an address of its own. */
	const client = (port, last) => ({ port, localAddress: `127.0.0.${last}` });

	async function works(daemon, port) {
		const [a, b] = await Promise.all([31, 32].map((last) => Ws.open(client(port, last))));

		await a.join("room:1");
		await b.join("room:1");
		a.json(["1", "2", "room:1", "hello", { n: 1 }]);
		assert.deepEqual(await b.nextMessage(), [null, null, "room:1", "hello", { n: 1 }]);
		a.destroy();
		b.destroy();
		await waitFor(async () => (await daemon.metrics()).websockets === 0, "them to be gone");
	}

	for (const how of ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
		test(how, async (t) => {
			const [port, back] = await freePorts(2);
			const daemon = await start({ options: ONE_EACH, args: ["-l", `127.0.0.1:${back},proxy`] });
			t.after(() => daemon.stop());
			await haproxy(t, port, `
frontend in
	mode tcp
	bind 127.0.0.1:${port}
	unique-id-format %{+X}o%ci%cp
	default_backend out
backend out
	mode tcp
	option httpchk GET /readyz
	server roost 127.0.0.1:${back} ${how} check check-send-proxy inter 100ms
`);
			await works(daemon, port);
			await areDistinct(t, daemon, [client(port, 41)], [client(port, 42)]);
			await daemon.logged(/\[127\.0\.0\.41:\d+\] refused 429/);
		});

	test("in HTTP mode, with X-Forwarded-For", async (t) => {
		const port = (await freePorts(1))[0];
		const daemon = await start({ options: { ...ONE_EACH, "http.trusted_proxies": "127.0.0.1" } });
		t.after(() => daemon.stop());
		await haproxy(t, port, `
listen in
	mode http
	option forwardfor
	bind 127.0.0.1:${port}
	server roost 127.0.0.1:${daemon.port}
`);
		await works(daemon, port);
		await areDistinct(t, daemon, [client(port, 51)], [client(port, 52), { "X-Forwarded-For": "192.0.2.1" }]);
		await daemon.logged(/\[127\.0\.0\.52:0\] refused 429/);
	});
});
