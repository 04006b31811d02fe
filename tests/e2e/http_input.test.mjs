// HTTP as nobody should send it, and what it gets: a status and the end of the connection, never a second meaning.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mint, start, waitFor } from "./harness.mjs";
import { KEY, OP, Wire, Ws, acceptOf, exchange, frame, upgradeHead } from "./raw.mjs";

const HELLO = '[null,"1","phoenix","heartbeat",{}]';
const HELLO_REPLY = [null, "1", "phoenix", "phx_reply", { status: "ok", response: {} }];

describe("HTTP input", { concurrency: false }, () => {
	let daemon;
	const target = () => `/socket/websocket?vsn=2.0.0&token=${mint()}`;

	before(async () => {
		daemon = await start({
			options: { "limits.handshake_timeout": "2s", "limits.close_timeout": "1s", "http.trusted_proxies": "10.0.0.0/8" },
		});
	});
	after(() => daemon.stop());

	/* Whatever came before, the daemon serves the next client. */
	const alive = async () => assert.equal((await daemon.get("/healthz")).status, 200);

	/* Sends the bytes and expects one of the statuses and then, for errors, the end of the connection. */
	async function gets(bytes, ...statuses) {
		const response = await exchange(daemon.port, bytes, { expectClose: statuses[0] >= 400 });

		assert.ok(statuses.includes(response.status), `${response.status} ${response.reason}, expected ${statuses.join(" or ")}`);
		if (response.status >= 400) {
			assert.equal(response.headers.connection, "close");
			assert.equal(response.rest.length, 0, "bytes behind the response");
		}
		return response;
	}

	/* No response, or an error; but never an upgrade, and an end in time. */
	async function refused(bytes, ...statuses) {
		const wire = await Wire.connect(daemon.port);

		wire.write(bytes);
		await wire.untilEnd();
		const text = wire.bytes.toString("latin1");
		const status = Number(text.match(/^HTTP\/1\.1 (\d{3}) /)?.[1] ?? 0);
		wire.destroy();
		assert.ok(status === 0 ? text === "" : statuses.includes(status), `answered: ${text.slice(0, 80)}`);
	}

	const head = (line, ...fields) => `${[line, ...fields].join("\r\n")}\r\n\r\n`;
	const plain = (...fields) => head("GET /healthz HTTP/1.1", "Host: x", ...fields);
	const upgrade = (fields, options) => upgradeHead(target(), fields, options);

	function table(name, rows) {
		describe(name, { concurrency: false }, () => {
			for (const [what, bytes, ...statuses] of rows)
				test(what, () => gets(typeof bytes === "function" ? bytes() : bytes, ...statuses));
			after(alive);
		});
	}

	table("what is right", [
		["a plain GET", plain(), 200],
		["field names in any case, blanks around values", head("GET /healthz HTTP/1.1", "hOsT:   x  ", "aCCEPT:\t*/*\t"), 200],
		["an empty value", plain("X-Empty:"), 200],
		["HTTP/1.0", "GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n", 200],
	]);

	table("methods", [
		["POST to the socket", () => upgrade({}, { method: "POST" }), 405],
		["HEAD to the socket", () => upgrade({}, { method: "HEAD" }), 405],
		["OPTIONS to the socket", () => upgrade({}, { method: "OPTIONS" }), 405],
		["DELETE of a page", head("DELETE /healthz HTTP/1.1", "Host: x"), 405],
		["lower case", head("get /healthz HTTP/1.1", "Host: x"), 400, 405],
		["a tab behind it", "GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, 405],
		["5 KB of it", head(`${"A".repeat(5000)} / HTTP/1.1`, "Host: x"), 400, 405, 414, 501],
	]);

	test("405 names the methods allowed", async () => {
		const response = await gets(upgrade({}, { method: "POST" }), 405);

		assert.match(response.headers.allow, /\bGET\b/);
	});

	test("HEAD of a page has a page's header and no body", async () => {
		const response = await exchange(daemon.port, head("HEAD /healthz HTTP/1.1", "Host: x", "Connection: close"), { expectClose: true, headOnly: true });

		assert.equal(response.status, 200);
		assert.equal(response.rest.length, 0);
	});

	test("a path that is not there", () => gets(head("GET /nowhere HTTP/1.1", "Host: x"), 404));
	test("the socket without its transport", () => gets(head("GET /socket HTTP/1.1", "Host: x"), 404));

	table("an upgrade that is not one", [
		["no Upgrade", () => upgrade({ Upgrade: undefined }), 400, 426],
		["no Connection", () => upgrade({ Connection: undefined }), 400, 426],
		["neither", () => upgrade({ Upgrade: undefined, Connection: undefined }), 400, 426],
		["Upgrade to something else", () => upgrade({ Upgrade: "h2c" }), 400, 426],
		["Connection: close", () => upgrade({ Connection: "close" }), 400, 426],
		["websocket as part of a token", () => upgrade({ Upgrade: "xwebsocket" }), 400, 426],
		["version 8", () => upgrade({ "Sec-WebSocket-Version": "8" }), 426],
		["version 13.0", () => upgrade({ "Sec-WebSocket-Version": "13.0" }), 426],
		["version 013", () => upgrade({ "Sec-WebSocket-Version": "013" }), 426],
		["no version", () => upgrade({ "Sec-WebSocket-Version": undefined }), 426],
		["no key", () => upgrade({ "Sec-WebSocket-Key": undefined }), 400],
		["two keys", () => upgrade({ "Sec-WebSocket-Key": [KEY, KEY] }), 400],
		["an empty key", () => upgrade({ "Sec-WebSocket-Key": "" }), 400],
		["a key of 15 octets", () => upgrade({ "Sec-WebSocket-Key": Buffer.alloc(15).toString("base64") }), 400],
		["a key of 17 octets", () => upgrade({ "Sec-WebSocket-Key": Buffer.alloc(17).toString("base64") }), 400],
		["a key that is not base64", () => upgrade({ "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" }), 400],
		["HTTP/1.0", () => upgrade({}, { version: "HTTP/1.0" }), 400, 505],
	]);

	test("426 names the version", async () => {
		const response = await gets(upgrade({ "Sec-WebSocket-Version": "7" }), 426);

		assert.equal(response.headers["sec-websocket-version"], "13");
	});

	describe("an upgrade that is one", { concurrency: false }, () => {
		for (const [what, fields] of [
			["plainly", {}],
			["in a list of tokens", { Connection: "keep-alive, Upgrade", Upgrade: "h2c, websocket" }],
			["in any case", { Connection: "uPGRADE", Upgrade: "WebSocket" }],
			["over repeated fields", { Connection: ["keep-alive", "Upgrade"] }],
		])
			test(what, async () => {
				const ws = await Ws.open(daemon.port, { fields });
				const { headers } = ws.handshake;

				assert.equal(headers.upgrade.toLowerCase(), "websocket");
				assert.equal(headers.connection.toLowerCase(), "upgrade");
				assert.equal(headers["sec-websocket-accept"], acceptOf(KEY));
				assert.equal(headers["sec-websocket-protocol"], undefined);
				assert.equal(headers["sec-websocket-extensions"], undefined);
				assert.deepEqual(await ws.ask(JSON.parse(HELLO)), HELLO_REPLY);
				ws.destroy();
			});

		for (const path of ["/socket/websocket", "/socket//websocket/"])
			test(`at ${path}`, async () => {
				const ws = await Ws.open(daemon.port, { target: `${path}?a=1&&vsn=2.0.0&token=${mint()}&` });

				assert.deepEqual(await ws.ask(JSON.parse(HELLO)), HELLO_REPLY);
				ws.destroy();
			});
	});

	describe("versions of the protocol", { concurrency: false }, () => {
		const V1 = [null, "vsn=1.0.0", "vsn=1.0.7", "vsn=2.0.0&vsn=1.0.0"];
		const V2 = ["vsn=2.0.0", "vsn=2.0.5", "vsn=2.0.0%2Bx", "vsn=2.0.1-rc.1"];
		const BAD = ["vsn=3.0.0", "vsn=2.1.0", "vsn=2.0", "vsn=2", "vsn=v2.0.0", "vsn=abc", "vsn=", "vsn=2.0.0-rc.1", "vsn[]=2.0.0", "vsn%5B%5D=2.0.0"];

		for (const query of V1)
			test(`${query ?? "none"} is V1`, async () => {
				const ws = await Ws.open(daemon.port, { target: `/socket/websocket?token=${mint()}${query === null ? "" : `&${query}`}` });

				assert.deepEqual(await ws.ask({ topic: "phoenix", event: "heartbeat", payload: {}, ref: "1" }),
					{ topic: "phoenix", event: "phx_reply", payload: { status: "ok", response: {} }, ref: "1" });
				ws.destroy();
			});
		for (const query of V2)
			test(`${query} is V2`, async () => {
				const ws = await Ws.open(daemon.port, { target: `/socket/websocket?token=${mint()}&${query}` });

				assert.deepEqual(await ws.ask(JSON.parse(HELLO)), HELLO_REPLY);
				ws.destroy();
			});
		for (const query of BAD)
			test(`${query} is refused`, async () => {
				assert.equal((await gets(upgradeHead(`/socket/websocket?token=${mint()}&${query}`), 403)).body, "");
			});
		test("without Upgrade a bad one is 403 as well", () =>
			gets(head(`GET /socket/websocket?vsn=9.9.9&token=${mint()} HTTP/1.1`, "Host: x"), 403));
	});

	table("hosts", [
		["none", "GET /healthz HTTP/1.1\r\n\r\n", 400],
		["two", head("GET /healthz HTTP/1.1", "Host: a", "Host: b"), 400],
		["two alike", head("GET /healthz HTTP/1.1", "Host: a", "Host: a"), 400],
		["with a path", head("GET /healthz HTTP/1.1", "Host: a/b"), 400],
		["with user information", head("GET /healthz HTTP/1.1", "Host: a@b"), 400],
		["with a blank", head("GET /healthz HTTP/1.1", "Host: a b"), 400],
		["with a control character", head("GET /healthz HTTP/1.1", "Host: a\x01b"), 400],
	]);

	table("heads that two parsers might read differently", [
		["obs-fold", plain("X-A: 1", " folded"), 400],
		["obs-fold by a tab", plain("X-A: 1", "\tfolded"), 400],
		["a blank before the colon", plain("X-A : 1"), 400],
		["a bare CR in a value", plain("X-A: 1\rX-B: 2"), 400],
		["NUL in a value", plain("X-A: 1\x002"), 400],
		["NUL in the target", head("GET /heal\x00thz HTTP/1.1", "Host: x"), 400],
		["a bad field name", plain("X(A): 1"), 400],
		["an empty field name", plain(": 1"), 400],
		["no colon", plain("X-A 1"), 400],
		["bare LF", "GET /healthz HTTP/1.1\nHost: x\n\n", 400],
		["bare LF once", "GET /healthz HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", 400],
		["two blanks in the request line", head("GET  /healthz HTTP/1.1", "Host: x"), 400],
		["a blank in the target", head("GET /heal thz HTTP/1.1", "Host: x"), 400],
		["a blank before the first line", head(" GET /healthz HTTP/1.1", "Host: x"), 400],
		["a fragment in the target", head("GET /healthz#x HTTP/1.1", "Host: x"), 400],
		["no version", head("GET /healthz", "Host: x"), 400],
		["HTTP/1.2", head("GET /healthz HTTP/1.2", "Host: x"), 400, 505],
		["HTTP/3.0", head("GET /healthz HTTP/3.0", "Host: x"), 400, 505],
		["http/1.1", head("GET /healthz http/1.1", "Host: x"), 400, 505],
	]);

	const second = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	table("bodies where none may be, and lengths that lie: nothing behind them is read as a request", [
		["Transfer-Encoding on an upgrade", () => upgrade({ "Transfer-Encoding": "chunked" }) + second, 400],
		["Content-Length on an upgrade", () => `${upgrade({ "Content-Length": "5" })}hello${second}`, 400],
		["both lengths", plain("Content-Length: 5", "Transfer-Encoding: chunked") + second, 400],
		["two lengths", plain("Content-Length: 5", "Content-Length: 6") + second, 400],
		["two lengths in one field", plain("Content-Length: 4, 5") + second, 400],
		["a signed length", plain("Content-Length: +4") + second, 400],
		["a negative length", plain("Content-Length: -1") + second, 400],
		["a length in hexadecimal", plain("Content-Length: 0x4") + second, 400],
		["an empty length", plain("Content-Length:") + second, 400],
		["a length of 2^64 + 4", plain("Content-Length: 18446744073709551620") + second, 400, 413],
		["a length too big", plain("Content-Length: 99999999999") + second, 400, 413],
		["a coding unknown", plain("Transfer-Encoding: xchunked") + second, 400, 501],
		["chunked not last", plain("Transfer-Encoding: chunked, gzip") + second, 400, 501],
		["chunked twice", plain("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + second, 400, 501],
	]);

	table("too much", [
		["a target of 9 KB", head(`GET /${"a".repeat(9 * 1024)} HTTP/1.1`, "Host: x"), 414],
		["a head of 20 KB", plain(`X-A: ${"a".repeat(20 * 1024)}`), 431],
		["a head without end", `GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(64 * 1024)}`, 431],
		["101 fields", plain(...Array.from({ length: 101 }, (_, i) => `X-${i}: 1`)), 431],
	]);

	describe("what is not HTTP", { concurrency: false }, () => {
		const hello = Buffer.from("16030100c8010000c40303" + "00".repeat(190), "hex");
		const rows = [
			["HTTP/0.9", "GET /healthz\r\n\r\n"],
			["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
			["a TLS hello", hello],
			["garbage", Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 151 + 7) & 0xff))],
			["a WebSocket frame without a handshake", frame(OP.text, "hello")],
			["an unasked PROXY header", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + plain()],
			["a CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"],
			["an absolute target", "GET http://example.com/healthz HTTP/1.1\r\nHost: example.com\r\n\r\n"],
			["an asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"],
		];

		for (const [what, bytes] of rows)
			test(what, () => refused(bytes, 400, 404, 405, 505));
		after(alive);
	});

	describe("slowness is bounded from the moment of accept", { concurrency: false }, () => {
		const LIMIT = 2000, SLACK = 3000;

		async function cutInTime(feed) {
			const wire = await Wire.connect(daemon.port);
			const since = Date.now();
			const timer = setInterval(() => feed?.(wire), 200);

			try {
				await wire.untilEnd();
			} finally {
				clearInterval(timer);
				wire.destroy();
			}
			const took = Date.now() - since;
			assert.ok(took >= LIMIT - 500, `cut after ${took} ms already`);
			assert.ok(took <= LIMIT + SLACK, `cut after ${took} ms only`);
			if (wire.bytes.length > 0)
				assert.match(wire.bytes.toString(), /^HTTP\/1\.1 408 /);
		}

		test("a connection that says nothing", () => cutInTime());
		test("a head octet by octet", () => {
			const octets = Buffer.from(plain(`X-Slow: ${"a".repeat(1000)}`));
			let at = 0;

			return cutInTime((wire) => wire.write(octets.subarray(at, ++at)));
		});
		test("a body that does not come", async () => {
			const wire = await Wire.connect(daemon.port);

			wire.write(plain("Content-Length: 10"));
			await wire.untilEnd();
			wire.destroy();
		});
	});

	describe("pieces", { concurrency: false }, () => {
		test("a request in pieces of one octet", async () => {
			const wire = await Wire.connect(daemon.port);

			await wire.trickle(Buffer.from(plain()));
			assert.equal((await wire.response()).status, 200);
			wire.destroy();
		});

		test("two requests in one packet get two answers, in order", async () => {
			const wire = await Wire.connect(daemon.port);

			wire.write(plain() + head("GET /readyz HTTP/1.1", "Host: x", "Connection: close"));
			assert.equal((await wire.response()).status, 200);
			assert.equal((await wire.response()).status, 200);
			await wire.untilEnd();
			wire.destroy();
		});

		test("frames in the packet of the upgrade are not lost", async () => {
			const wire = await Ws.connect(daemon.port);

			wire.write(Buffer.concat([Buffer.from(upgrade()), frame(OP.text, HELLO), frame(OP.ping, "x")]));
			assert.equal((await wire.response()).status, 101);
			assert.deepEqual(await wire.nextMessage(), HELLO_REPLY);
			assert.equal((await wire.nextFrame()).payload.toString(), "x");
			wire.destroy();
		});

		test("an upgrade and a frame, cut in two at every octet", async () => {
			const whole = Buffer.concat([Buffer.from(upgrade()), frame(OP.text, HELLO)]);

			for (let cut = 1; cut < whole.length; cut++) {
				const wire = await Ws.connect(daemon.port);

				wire.write(whole.subarray(0, cut));
				await wire.flushed();
				await new Promise((resolve) => setImmediate(resolve));
				wire.write(whole.subarray(cut));
				assert.equal((await wire.response()).status, 101, `cut at ${cut}`);
				assert.deepEqual(await wire.nextMessage(), HELLO_REPLY, `cut at ${cut}`);
				wire.destroy();
			}
		});
	});

	describe("nothing that a client says forges a header or a line of the log", { concurrency: false }, () => {
		const EVIL = "%0d%0aX-Evil:%201%0d%0a2026-01-01T00:00:00.000Z%20info%20forged";

		test("CR LF in the query", async () => {
			for (const target of [`/healthz?x=${EVIL}`, `/nowhere?${EVIL}`, `/socket/websocket?vsn=2.0.0&token=${EVIL}`]) {
				const response = await exchange(daemon.port, upgradeHead(target));

				assert.equal(response.headers["x-evil"], undefined);
			}
		});

		for (const [name, value] of [["Sec-WebSocket-Protocol", "phoenix\rX-Evil: 1"], ["Origin", "http://x\rX-Evil: 1"]])
			test(`CR in ${name}`, async () => {
				const response = await gets(upgrade({ [name]: value }), 400, 403);

				assert.equal(response.headers["x-evil"], undefined);
			});

		test("escape codes in what is logged", async () => {
			await gets(upgradeHead(`/socket/websocket?vsn=2.0.0&token=%1b%5b31m`, { "User-Agent": "\x1b[31mred" }), 400, 403);
		});

		after(() => {
			assert.doesNotMatch(daemon.log, /^2026-01-01T00:00:00.000Z/m);
			// eslint-disable-next-line no-control-regex
			assert.doesNotMatch(daemon.log, /\x1b/);
		});
	});

	test("tokens in the query string do not reach the log", async () => {
		const token = mint({}, { key: "one more secret of more than thirty-two octets" });

		await gets(upgradeHead(`/socket/websocket?vsn=2.0.0&token=${token}`), 403);
		await daemon.logged(/bad signature/);
		assert.ok(!daemon.log.includes(token.slice(0, 40)));
	});

	test("no answer names a version", async () => {
		for (const path of ["/healthz", "/nowhere"]) {
			const { headers } = await exchange(daemon.port, head(`GET ${path} HTTP/1.1`, "Host: x"));

			assert.doesNotMatch(headers.server ?? "", /\d/);
		}
	});

	describe("origins", { concurrency: false }, () => {
		const host = () => `127.0.0.1:${daemon.port}`;
		const from = (origin) => upgradeHead(target(), { Host: host(), Origin: origin });

		test("are not looked at where no list is set", async () => {
			for (const origin of [undefined, `http://${host()}`, "http://elsewhere.example", "null"])
				await gets(from(origin), 101);
		});

		describe("of the same host alone", { concurrency: false }, () => {
			let own;

			before(async () => { own = await start({ options: { origins: "self" } }); });
			after(() => own.stop());
			const asks = async (origin) => (await exchange(own.port, upgradeHead(target(), { Host: `127.0.0.1:${own.port}`, Origin: origin }))).status;

			test("none, as of a program, may", async () => assert.equal(await asks(undefined), 101));
			test("the same host may", async () => assert.equal(await asks(`http://127.0.0.1:${own.port}`), 101));
			for (const origin of ["http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1.evil.example", "nonsense"])
				test(`'${origin}' may not`, async () => assert.equal(await asks(origin), 403));
			test("two of them may not", async () => assert.ok([400, 403].includes(await asks([`http://127.0.0.1:${own.port}`, "http://evil.example"]))));
		});

		describe("from a list", { concurrency: false }, () => {
			let strict;

			before(async () => { strict = await start({ options: { origins: "https://good.example, https://*.w.example:8443", "http.require_origin": "yes" } }); });
			after(() => strict.stop());
			for (const [origin, status] of [
				["https://good.example", 101], ["https://good.example:443", 101], ["https://a.b.w.example:8443", 101], ["https://w.example:8443", 101],
				["http://good.example", 403], ["https://good.example:444", 403], ["https://good.example.evil", 403], ["https://evil-good.example", 403],
				["https://good.example@evil.example", 403], ["https://good@evil.example", 403], ["https://a.w.example", 403], ["null", 403], [undefined, 403],
			])
				test(`${origin} gets ${status}`, async () =>
					assert.equal((await exchange(strict.port, from(origin))).status, status));
		});
	});

	describe("subprotocols", { concurrency: false }, () => {
		const offering = (offer) => exchange(daemon.port, upgrade({ "Sec-WebSocket-Protocol": offer }));
		const bearer = (token) => `base64url.bearer.phx.${Buffer.from(token).toString("base64").replace(/=/g, "")}`;

		test("phoenix is chosen where it is offered", async () => {
			for (const offer of ["phoenix", "foo, phoenix", ["foo", "phoenix"]]) {
				const { status, headers } = await offering(offer);

				assert.equal(status, 101);
				assert.equal(headers["sec-websocket-protocol"], "phoenix");
			}
		});

		test("no other is ever answered", async () => {
			for (const offer of ["foo", "Phoenix2", "graphql-ws, mqtt"]) {
				const { status, headers } = await offering(offer);

				assert.ok([101, 403].includes(status));
				assert.equal(headers["sec-websocket-protocol"], undefined);
			}
		});

		test("the token is taken out and never echoed", async () => {
			const { status, headers } = await exchange(daemon.port,
				upgradeHead("/socket/websocket?vsn=2.0.0", { "Sec-WebSocket-Protocol": `phoenix, ${bearer(mint())}` }));

			assert.equal(status, 101);
			assert.equal(headers["sec-websocket-protocol"], "phoenix");
		});

		test("a token that is none is refused", async () => {
			for (const token of ["base64url.bearer.phx.", "base64url.bearer.phx.!!!!", bearer("x.y.z")]) {
				const { status } = await exchange(daemon.port,
					upgradeHead("/socket/websocket?vsn=2.0.0", { "Sec-WebSocket-Protocol": `phoenix, ${token}` }));

				assert.ok([400, 403].includes(status), `${token}: ${status}`);
			}
		});

		test("a token may come as a bearer of HTTP", async () => {
			const { status } = await exchange(daemon.port,
				upgradeHead("/socket/websocket?vsn=2.0.0", { Authorization: `Bearer ${mint()}` }));

			assert.equal(status, 101);
		});
	});

	describe("who is calling", { concurrency: false }, () => {
		const bad = () => `/socket/websocket?vsn=2.0.0&token=${mint({}, { key: "not the secret, but long enough to be one" })}`;

		test("X-Forwarded-For of a stranger is ignored", async () => {
			await exchange(daemon.port, upgradeHead(bad(), { "X-Forwarded-For": "192.0.2.77" }));
			await daemon.logged(/127\.0\.0\.1.*bad signature/);
			assert.doesNotMatch(daemon.log, /192\.0\.2\.77/);
		});

		test("X-Forwarded-For of a trusted proxy is the client", async (t) => {
			const trusting = await start({ options: { "http.trusted_proxies": "127.0.0.0/8" } });
			t.after(() => trusting.stop());

			await exchange(trusting.port, upgradeHead(bad(), { "X-Forwarded-For": "203.0.113.9, 192.0.2.77" }));
			await trusting.logged(/192\.0\.2\.77/);
		});

		describe("by the PROXY protocol", { concurrency: false }, () => {
			const V2 = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
			const v2 = (rest) => Buffer.concat([V2, Buffer.from(rest, "hex")]);
			const request = () => Buffer.from(upgradeHead(bad()));
			let port, proxied;

			before(async () => {
				proxied = await start();
				port = proxied.port;
				await proxied.stop();
				// The listener for the tests demands the header; the one that start() asks for /readyz does not.
				proxied = await start({ args: ["-l", `127.0.0.1:${port},proxy`], options: { "limits.handshake_timeout": "2s" } });
			});
			after(() => proxied.stop());

			for (const [what, header, address] of [
				["version 1", Buffer.from("PROXY TCP4 198.51.100.1 127.0.0.1 5000 80\r\n"), /198\.51\.100\.1/],
				["version 1 over IPv6", Buffer.from("PROXY TCP6 2001:db8::7 ::1 5000 80\r\n"), /2001:db8::7/],
				["version 2", v2("2111000cc63364027f00000113880050"), /198\.51\.100\.2/],
			])
				test(`${what} names the client`, async () => {
					assert.equal((await exchange(port, Buffer.concat([header, request()]))).status, 403);
					await proxied.logged(address);
				});

			for (const [what, header] of [
				["no header", Buffer.alloc(0)],
				["a broken address", Buffer.from("PROXY TCP4 198.51.100.999 127.0.0.1 5000 80\r\n")],
				["a port too big", Buffer.from("PROXY TCP4 198.51.100.1 127.0.0.1 70000 80\r\n")],
				["a header without end", Buffer.from(`PROXY TCP4 ${"1".repeat(120)}`)],
				["a bad version", v2("3111000cc63364027f00000113880050")],
				["a length too short", v2("21110004c6336402")],
			])
				test(`${what}: closed without an answer`, async () => {
					const wire = await Wire.connect(port);

					wire.write(Buffer.concat([header, request()]));
					await wire.untilEnd();
					assert.doesNotMatch(wire.bytes.toString(), /101 /);
					wire.destroy();
				});
		});
	});

	describe("pages", { concurrency: false }, () => {
		let dev;

		before(async () => { dev = await start({ dev: true, options: { "dev.pages": new URL("../../contrib/demo", import.meta.url).pathname } }); });
		after(() => dev.stop());

		test("the demo is there", async () => {
			const { status, headers, body } = await dev.get("/demo/");

			assert.equal(status, 200);
			assert.match(headers["content-type"], /^text\/html/);
			assert.match(body, /<title>roost/);
			assert.match((await dev.get("/demo/demo.js")).headers["content-type"], /javascript/);
			assert.match((await dev.get("/demo/demo.css")).headers["content-type"], /^text\/css/);
		});

		for (const path of ["/demo/../../README", "/demo/%2e%2e/%2e%2e/README", "/demo/..%2f..%2fREADME", "/demo/..%5c..%5cREADME", "/demo/%252e%252e/README",
			"/demo/index.html%00.txt", "/demo//etc/passwd", "/demo/%c0%ae%c0%ae/README", "/demo/.hidden", "/demo/vendor/", "/demo/./index.html", "/demo/vendor/../index.html"])
			test(`${path} is not`, async () => {
				const wire = await Wire.connect(dev.port);

				wire.write(head(`GET ${path} HTTP/1.1`, "Host: x"));
				assert.ok([400, 404].includes((await wire.response()).status));
				wire.destroy();
			});
	});

	test("404s do not pile up: 300 connections come and go", async () => {
		await Promise.all(Array.from({ length: 300 }, () => exchange(daemon.port, head("GET /nowhere HTTP/1.1", "Host: x"), { expectClose: true })));
		await alive();
		await waitFor(async () => (await daemon.get("/healthz")).status === 200, "the daemon to be well");
	});
});
