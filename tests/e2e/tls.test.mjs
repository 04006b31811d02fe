// TLS, unix sockets and IPv6: the same daemon, other ways to reach it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import tls from "node:tls";
import WebSocket from "ws";
import { freePorts, mint, run, sleep, start, waitFor, within } from "./harness.mjs";
import { haproxy, noHaproxy } from "./haproxy.mjs";
import { OP, Wire, Ws, exchange, frame, upgradeHead } from "./raw.mjs";

const dir = mkdtempSync(path.join(tmpdir(), "roost-tls-"));
after(() => rmSync(dir, { recursive: true, force: true }));

/* A key and a certificate of that name: the options that name them. */
function certify(name) {
	const cert = path.join(dir, `${name}.crt`), key = path.join(dir, `${name}.key`);

	execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", `/CN=${name}`,
		"-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert], { stdio: "ignore" });
	chmodSync(key, 0o600);
	return { "tls.cert": cert, "tls.key": key };
}

const ONE = certify("one"), TWO = certify("two");
const GET = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
const target = () => `/socket/websocket?vsn=2.0.0&token=${mint()}`;

/* A daemon with one more listener, on a free port if the address has none: { daemon, port }. */
async function serving(t, listen, { options = {}, ...more } = {}) {
	const [port] = await freePorts(1);
	const daemon = await start({ options: { ...ONE, ...options }, args: ["-l", listen.replace("PORT", port)], ...more });

	t.after(() => daemon.stop());
	return { daemon, port };
}

const CLOSED = /^ECONNRESET$|^EPIPE$/;

/* The name in the certificate that a port shows. */
async function nameAt(port) {
	const wire = await Wire.connect({ port, tls: {} });
	const { CN } = wire.socket.getPeerCertificate().subject;

	wire.destroy();
	return CN;
}

/* A handshake fails with that error. */
async function fails(code, options) {
	const socket = tls.connect({ host: "127.0.0.1", rejectUnauthorized: false, ...options });

	await assert.rejects(within(once(socket, "secureConnect"), "the handshake's end"), (e) => {
		socket.destroy();
		return code.test(e.code) || assert.fail(e);
	});
}

/*
 * A TCP relay for one caller at a time.
 *   drip    passes on an octet at a time
 *   first   octets that go in front of the caller's, in one packet with them
 *   cut()   ends the connection behind it, without a word of TLS
 */
async function relay(t, to, { drip = false, first = "" } = {}) {
	const upstreams = [];
	const server = net.createServer({ noDelay: true }, (from) => {
		const on = net.connect({ port: to, host: "127.0.0.1", noDelay: true });
		let last = Promise.resolve(), head = Buffer.from(first);

		upstreams.push(on);
		from.on("data", (chunk) => {
			const all = Buffer.concat([head, chunk]);

			head = Buffer.alloc(0);
			last = last.then(async () => {
				for (const piece of drip ? Array.from(all, (octet) => Buffer.of(octet)) : [all]) {
					if (on.writable)
						on.write(piece);
					await new Promise((resolve) => setImmediate(resolve));
				}
			});
		});
		on.on("data", (chunk) => from.write(chunk));
		for (const [one, other] of [[from, on], [on, from]]) {
			one.on("error", () => {});
			one.on("close", () => other.destroy());
		}
	}).listen(0, "127.0.0.1");

	await once(server, "listening");
	t.after(() => server.close());
	return { port: server.address().port, cut: () => upstreams.at(-1).end() };
}

describe("TLS", { concurrency: false }, () => {
	const TIMEOUT = 700;
	let daemon, port, at;

	before(async () => {
		[port] = await freePorts(1);
		at = { port, tls: {} };
		daemon = await start({ options: { ...ONE, "limits.handshake_timeout": `${TIMEOUT}ms` }, args: ["-l", `127.0.0.1:${port},tls`] });
	});
	after(() => daemon.stop());

	for (const version of ["TLSv1.2", "TLSv1.3"])
		test(`${version}`, async (t) => {
			const ws = await Ws.open({ port, tls: { minVersion: version, maxVersion: version } });
			t.after(() => ws.destroy());

			assert.equal(ws.socket.getProtocol(), version);
			await ws.join("room:1");
			ws.json(["1", "2", "room:1", "hello", { n: 1 }]);
			assert.deepEqual(await ws.nextMessage(), [null, null, "room:1", "hello", { n: 1 }]);
			assert.equal((await ws.nextMessage())[3], "phx_reply");
			ws.close(1000);
			await ws.closedWith(1000);
		});

	for (const version of ["TLSv1.1", "TLSv1"])
		test(`${version} is refused`, async () => {
			await fails(/^ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION$/, { port, minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" });
		});

	test("the certificate holds for a client that checks it", async (t) => {
		const ws = new WebSocket(`wss://127.0.0.1:${port}${target()}`, ["phoenix"], { ca: execFileSync("cat", [ONE["tls.cert"]]) });
		t.after(() => ws.terminate());

		await within(once(ws, "open"), "the WebSocket");
		assert.equal(ws.protocol, "phoenix");
		ws.send('["1","1","room:wss","phx_join",{}]');
		const [data] = await within(once(ws, "message"), "an answer");
		assert.equal(data.toString(), '["1","1","room:wss","phx_reply",{"status":"ok","response":{}}]');
		ws.close(1000);
		const [code] = await within(once(ws, "close"), "its end");
		assert.equal(code, 1000);
	});

	test("a megabyte arrives as it was", async (t) => {
		const [a, b] = [await Ws.open(at), await Ws.open(at)];
		t.after(() => [a, b].forEach((ws) => ws.destroy()));
		const text = Array.from({ length: 100_000 }, (_, i) => `${i % 9973}.`).join("").slice(0, 500_000);

		await a.join("room:big");
		await b.join("room:big");
		a.json(["1", "2", "room:big", "big", { text, more: text }]);
		for (const ws of [a, b])
			assert.deepEqual((await ws.nextMessage())[4], { text, more: text });
	});

	test("pages and health checks", async () => {
		const { status, body } = await exchange(at, GET);

		assert.equal(status, 200);
		assert.equal(body, "ok\n");
	});

	test("the end is said", async () => {
		const wire = await Wire.connect(at);

		wire.write("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
		assert.equal((await wire.response()).status, 404);
		await wire.untilEnd();
		// Without a close_notify, Node reports an error.
		assert.equal(wire.failed, null);
		wire.destroy();
	});

	test("plain HTTP is closed without an answer in plain text", async () => {
		const wire = await Wire.connect(port);

		wire.write(GET);
		await wire.untilEnd();
		assert.doesNotMatch(wire.bytes.toString("latin1"), /HTTP/);
		wire.destroy();
	});

	for (const [what, octets] of [["nothing", Buffer.alloc(0)], ["half a hello", Buffer.from("160301020001000001fc0303", "hex")]])
		test(`a handshake that stops at ${what} is cut at the deadline`, async () => {
			const began = performance.now();
			const wire = await Wire.connect({ port, first: octets });

			await wire.untilEnd();
			const ms = performance.now() - began;
			assert.ok(ms > TIMEOUT - 50 && ms < TIMEOUT + 1500, `${ms} ms`);
			wire.destroy();
		});

	test("so is whoever says nothing after it, from the accept on", async () => {
		const began = performance.now();
		const plain = net.connect({ port, host: "127.0.0.1" });
		await once(plain, "connect");
		await sleep(TIMEOUT / 2);
		const socket = tls.connect({ socket: plain, rejectUnauthorized: false });
		socket.on("error", () => {});

		await within(once(socket, "close"), "the end");
		const ms = performance.now() - began;
		assert.ok(ms > TIMEOUT - 50 && ms < TIMEOUT + 1500, `${ms} ms`);
	});

	test("records of one octet", async (t) => {
		const ws = await Ws.connect(at);
		t.after(() => ws.destroy());

		await ws.trickle(Buffer.from(upgradeHead(target())));
		assert.equal((await ws.response()).status, 101);
		await ws.trickle(frame(OP.text, '["1","1","room:drip","phx_join",{}]'));
		assert.equal((await ws.nextMessage())[3], "phx_reply");
	});

	test("packets of one octet, the handshake's too", async (t) => {
		for (const version of ["TLSv1.2", "TLSv1.3"]) {
			const through = await relay(t, port, { drip: true });
			const ws = await Ws.open({ port: through.port, tls: { minVersion: version, maxVersion: version } });
			t.after(() => ws.destroy());

			await ws.join("room:drip");
		}
	});

	test("renegotiation is refused", async (t) => {
		const ws = await Ws.open({ port, tls: { maxVersion: "TLSv1.2" } });
		t.after(() => ws.destroy());
		const outcome = await within(new Promise((resolve) => {
			ws.socket.on("close", () => resolve("closed"));
			ws.socket.renegotiate({}, (e) => resolve(e === null ? "done" : "refused"));
			// It need not be answered.
			setTimeout(resolve, 1000, "unanswered");
		}), "an outcome");

		assert.notEqual(outcome, "done");
		assert.equal((await exchange(at, GET)).status, 200);
	});

	test("an end without close_notify ends a request, not completes it", async (t) => {
		const through = await relay(t, port);
		const wire = await Wire.connect({ port: through.port, tls: {} });
		const { http_requests_total: before } = await daemon.metrics();

		wire.write(GET.slice(0, -2));
		await wire.flushed();
		// Until it is there, as the rest never will be.
		await sleep(100);
		through.cut();
		await wire.untilEnd();
		assert.equal(wire.bytes.length, 0);
		// One for each look at the metrics.
		assert.equal((await daemon.metrics()).http_requests_total, before + 1);
		wire.destroy();
	});

	test("nor is a message completed by it; the channel's end is heard", async (t) => {
		const through = await relay(t, port);
		const ws = await Ws.open({ port: through.port, tls: {} }), other = await Ws.open(at);
		t.after(() => [ws, other].forEach((one) => one.destroy()));

		await ws.join("room:cut");
		await other.join("room:cut");
		const { channels } = await daemon.metrics();
		ws.write(frame(OP.text, '["1","2","room:cut","never",{}]').subarray(0, -1));
		await ws.flushed();
		await sleep(100);
		through.cut();
		await waitFor(async () => (await daemon.metrics()).channels === channels - 1, "its channel to end");
		await other.quiet();
	});

	test("nothing is left of any of them", async () => {
		await waitFor(async () => (await daemon.metrics()).connections <= 1, "all to be gone");
	});
});

describe("certificates", { concurrency: false }, () => {
	const config = (c) => `tls { cert = "${c["tls.cert"]}"  key = "${c["tls.key"]}" }`;
	const changing = (t) => serving(t, "127.0.0.1:PORT,tls", { options: { "tls.cert": path.join(dir, "live.crt"), "tls.key": path.join(dir, "live.key") } });

	function put({ "tls.cert": cert, "tls.key": key }) {
		copyFileSync(cert, path.join(dir, "live.crt"));
		copyFileSync(key, path.join(dir, "live.key"));
		chmodSync(path.join(dir, "live.key"), 0o600);
	}

	test("are read again on SIGHUP; who is connected stays", async (t) => {
		put(ONE);
		const { daemon, port } = await changing(t);
		const ws = await Ws.open({ port, tls: {} });
		t.after(() => ws.destroy());

		assert.equal(await nameAt(port), "one");
		put(TWO);
		assert.equal(await nameAt(port), "one");
		// A handshake that is under way goes on with what it began with.
		const early = net.connect({ port, host: "127.0.0.1" });
		await once(early, "connect");
		await waitFor(async () => (await daemon.metrics()).connections >= 3, "it to be accepted");
		await daemon.reload();
		const late = tls.connect({ socket: early, rejectUnauthorized: false });
		await within(once(late, "secureConnect"), "its handshake");
		assert.equal(late.getPeerCertificate().subject.CN, "one");
		late.destroy();
		assert.equal(await nameAt(port), "two");
		await ws.join("room:1");
		assert.equal(ws.socket.getPeerCertificate().subject.CN, "one");
	});

	for (const [what, spoil, reason] of [
		["a key of another certificate", () => copyFileSync(ONE["tls.key"], path.join(dir, "live.key")), /does not fit/],
		["a key that others may read", () => chmodSync(path.join(dir, "live.key"), 0o644), /must not be accessible to others/],
		["no key", () => rmSync(path.join(dir, "live.key")), /No such file/],
		["a broken certificate", () => writeFileSync(path.join(dir, "live.crt"), "-----BEGIN CERTIFICATE-----\nx\n"), /not a readable PEM certificate/],
	])
		test(`${what}: a reload changes nothing, and a start is refused`, async (t) => {
			put(ONE);
			const { daemon, port } = await changing(t);

			put(TWO);
			spoil();
			assert.match(await daemon.reload({ refused: true }), reason);
			assert.equal(await nameAt(port), "one");
			const { code, err } = await run(["-l", "127.0.0.1:0,tls", "--admin-listen", "none", "--tls-cert", path.join(dir, "live.crt"),
				"--tls-key", path.join(dir, "live.key"), "-T"]);
			assert.equal(code, 78);
			assert.match(err, reason);
		});

	test("one that is taken out of the file: a reload changes nothing", async (t) => {
		const [port] = await freePorts(1);
		const daemon = await start({ config: config(ONE), args: ["-l", `127.0.0.1:${port},tls`] });
		t.after(() => daemon.stop());

		daemon.configure("");
		assert.match(await daemon.reload({ refused: true }), /needs a certificate/);
		assert.equal(await nameAt(port), "one");
	});

	test("none for an address with TLS: it does not start", async () => {
		const { code, err } = await run(["-l", "127.0.0.1:0,tls", "-T"]);

		assert.equal(code, 78);
		assert.match(err, /127\.0\.0\.1:0,tls needs a certificate: set tls\.cert and tls\.key/);
	});
});

describe("limits of TLS", { concurrency: false }, () => {
	test("limits.tls_handshakes: more callers wait their turn", async (t) => {
		const { port } = await serving(t, "127.0.0.1:PORT,tls", { options: { "limits.tls_handshakes": "10" } });
		const began = performance.now();
		const all = await Promise.all(Array.from({ length: 30 }, () => Wire.connect({ port, tls: {} })));
		const ms = performance.now() - began;

		all.forEach((wire) => wire.destroy());
		assert.ok(ms > 1500 && ms < 6000, `30 handshakes in ${ms} ms`);
	});

	test("limits.max_connections: nothing is said in plain text", async (t) => {
		const { port } = await serving(t, "127.0.0.1:PORT,tls", { options: { "limits.max_connections": "1" } });
		// Whoever asked if the daemon is ready may still be here.
		const wire = await waitFor(() => Wire.connect({ port, tls: {} }).catch(() => null), "a place");
		t.after(() => wire.destroy());
		await fails(CLOSED, { port });
		const plain = await Wire.connect(port);
		await plain.untilEnd();
		assert.equal(plain.bytes.length, 0);
		plain.destroy();
	});
});

describe("TLS behind the PROXY protocol", { concurrency: false }, () => {
	const HEADER = "PROXY TCP4 192.0.2.1 127.0.0.1 5000 443\r\n";
	const V2 = Buffer.from("0d0a0d0a000d0a515549540a" + "2111000c" + "c00002027f0000011388" + "01bb", "hex");
	let daemon, port;

	before(async () => {
		[port] = await freePorts(1);
		daemon = await start({
			options: { ...ONE, "limits.handshake_timeout": "1s", "limits.connections_per_address": "1" },
			args: ["-l", `127.0.0.1:${port},proxy,tls`],
		});
	});
	after(() => daemon.stop());

	for (const [what, first, address] of [["version 1", HEADER, "192.0.2.1"], ["version 2", V2, "192.0.2.2"]])
		test(`${what}: the header in the clear, then the handshake`, async (t) => {
			const ws = await Ws.open({ port, first, tls: {} });
			t.after(() => ws.destroy());

			await ws.join("room:1");
			const { status } = await exchange({ port, first, tls: {} }, upgradeHead(target()));
			assert.equal(status, 429, "of the same client");
			await daemon.logged(new RegExp(`\\[${address}:5000\\] refused 429`));
		});

	test("octet by octet", async (t) => {
		const through = await relay(t, port, { drip: true });
		const ws = await Ws.open({ port: through.port, first: "PROXY TCP6 2001:db8::1 ::1 5000 443\r\n", tls: {} });
		t.after(() => ws.destroy());

		await ws.join("room:1");
	});

	test("header and hello in one packet", async (t) => {
		const through = await relay(t, port, { first: "PROXY TCP4 192.0.2.9 127.0.0.1 5000 443\r\n" });
		const ws = await Ws.open({ port: through.port, tls: {} });
		t.after(() => ws.destroy());

		await ws.join("room:1");
	});

	test("without the header, there is no handshake", async () => {
		await fails(CLOSED, { port });
	});

	test("the header inside of TLS is no header", async () => {
		const wire = await Wire.connect({ port, first: HEADER.replace("192.0.2.1", "192.0.2.5"), tls: {} });

		wire.write(`${HEADER}\r\n`);
		assert.equal((await wire.response()).status, 400);
		wire.destroy();
	});

	test("nor is plain HTTP behind it an upgrade", async () => {
		const wire = await Wire.connect({ port, first: HEADER });

		wire.write(upgradeHead(target()));
		await wire.untilEnd();
		assert.doesNotMatch(wire.bytes.toString("latin1"), /HTTP/);
		wire.destroy();
	});

	for (const [what, first] of [["no header", ""], ["half a header", HEADER.slice(0, 20)], ["a header and no hello", HEADER]])
		test(`${what}: cut at the deadline`, async () => {
			const began = performance.now();
			const wire = await Wire.connect({ port, first });

			await wire.untilEnd();
			const ms = performance.now() - began;
			assert.ok(ms > 900 && ms < 2500, `${ms} ms`);
			assert.equal(wire.bytes.length, 0);
			wire.destroy();
		});

	test("a reload while the header is awaited", async (t) => {
		const plain = net.connect({ port, host: "127.0.0.1" });
		await once(plain, "connect");
		await waitFor(async () => (await daemon.metrics()).connections >= 2, "it to be accepted");
		await daemon.reload();
		plain.write("PROXY TCP4 192.0.2.77 127.0.0.1 5000 443\r\n");
		const socket = tls.connect({ socket: plain, rejectUnauthorized: false });
		t.after(() => socket.destroy());
		await within(once(socket, "secureConnect"), "the handshake");
	});

	test("haproxy: send-proxy-v2 ssl verify none", { skip: noHaproxy }, async (t) => {
		const [front] = await freePorts(1);
		await haproxy(t, front, `
listen in
	mode tcp
	option httpchk GET /readyz
	bind 127.0.0.1:${front}
	server roost 127.0.0.1:${port} send-proxy-v2 ssl verify none check check-send-proxy check-ssl inter 100ms
`);
		const at = { port: front, localAddress: "127.0.0.61" };
		const [a, b] = [await Ws.open(at), await Ws.open({ ...at, localAddress: "127.0.0.62" })];
		t.after(() => [a, b].forEach((ws) => ws.destroy()));

		await a.join("room:1");
		await b.join("room:1");
		a.json(["1", "2", "room:1", "hello", {}]);
		assert.equal((await b.nextMessage())[3], "hello");
		assert.equal((await exchange(at, upgradeHead(target()))).status, 429);
		await daemon.logged(/\[127\.0\.0\.61:\d+\] refused 429/);
	});

	test("nothing is left of any of them", async () => {
		await waitFor(async () => (await daemon.metrics()).connections <= 1, "all to be gone");
	});
});

describe("other ways in", { concurrency: false }, () => {
	test("a unix socket", async (t) => {
		const { daemon } = await serving(t, "unix:roost.sock");
		const at = { path: daemon.file("roost.sock") };
		const ws = await Ws.open(at);
		t.after(() => ws.destroy());

		assert.equal(statSync(at.path).mode & 0o777, 0o660);
		await ws.join("room:1");
		assert.equal((await exchange(at, upgradeHead("/socket/websocket?vsn=2.0.0"))).status, 403);
		await daemon.logged(/\[unix\] refused 403/);
	});

	test("its file goes with the daemon, and one that was left is replaced", async (t) => {
		const file = path.join(dir, "left.sock");
		const [first, second] = [["-l", `unix:${file}`], ["-l", `unix:${file}`]];
		let daemon = await start({ args: first });

		const { code, err } = await run(["-l", `unix:${file}`, "--admin-listen", "none"]);
		assert.equal(code, 71);
		assert.match(err, /cannot listen on unix:.*left\.sock: Address already in use/);
		assert.ok(existsSync(file), "the other one's is left alone");
		daemon.signal("SIGKILL");
		await daemon.ended;
		assert.ok(existsSync(file));
		daemon = await start({ args: second });
		t.after(() => rmSync(file, { force: true }));
		(await Ws.open({ path: file })).destroy();
		await daemon.stop();
		assert.ok(!existsSync(file));
	});

	test("what is no socket is not replaced", async () => {
		const file = path.join(dir, "precious");

		writeFileSync(file, "precious");
		const { code } = await run(["-l", `unix:${file}`, "--admin-listen", "none"]);
		assert.equal(code, 71);
		assert.equal(statSync(file).size, 8);
	});

	test("TLS over a unix socket", async (t) => {
		const { daemon } = await serving(t, "unix:roost.sock,tls");
		const ws = await Ws.open({ path: daemon.file("roost.sock"), tls: {} });
		t.after(() => ws.destroy());

		await ws.join("room:1");
	});

	test("IPv6", async (t) => {
		const { daemon, port } = await serving(t, "[::1]:PORT");
		const at = { port, host: "::1" };
		const ws = await Ws.open(at);
		t.after(() => ws.destroy());

		await ws.join("room:1");
		await daemon.logged(new RegExp(`listening on \\[::1\\]:${port}\\n`));
		assert.equal((await exchange(at, upgradeHead("/socket/websocket?vsn=2.0.0"))).status, 403);
		await daemon.logged(/\[\[::1\]:\d+\] refused 403/);
	});

	test("IPv6 with TLS", async (t) => {
		const { port } = await serving(t, "[::1]:PORT,tls");
		const ws = await Ws.open({ port, host: "::1", tls: {} });
		t.after(() => ws.destroy());

		await ws.join("room:1");
	});

	test("both families at once", async (t) => {
		const { daemon, port } = await serving(t, "*:PORT");

		for (const host of ["127.0.0.1", "::1"]) {
			const ws = await Ws.open({ port, host });
			t.after(() => ws.destroy());

			await ws.join("room:1");
		}
		await exchange(port, upgradeHead("/socket/websocket?vsn=2.0.0"));
		await daemon.logged(/\[127\.0\.0\.1:\d+\] refused 403/);
		await assert.rejects(Ws.open({ port: daemon.port, host: "::1" }), /ECONNREFUSED/);
	});

	test("several at once meet in one room", async (t) => {
		const [plain, secure] = await freePorts(2);
		const daemon = await start({ options: ONE, args: ["-l", `127.0.0.1:${plain}`, "-l", `[::1]:${secure},tls`, "-l", "unix:r.sock"] });
		t.after(() => daemon.stop());
		const all = await Promise.all([plain, { port: secure, host: "::1", tls: {} }, { path: daemon.file("r.sock") }].map((at) => Ws.open(at)));
		t.after(() => all.forEach((ws) => ws.destroy()));

		for (const ws of all)
			await ws.join("room:1");
		all[0].json(["1", null, "room:1", "hello", {}]);
		for (const ws of all)
			assert.equal((await ws.nextMessage())[3], "hello");
	});
});
