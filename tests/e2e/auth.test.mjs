// Tokens over the real socket: what may in, what may not and why the log says so, where tokens may stand, keys from files, and what
// becomes of a connection whose token expires.

import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { PATIENCE, SECRET, base64url, mint, run, seal, sleep, start, waitFor } from "./harness.mjs";
import { OP, Ws, exchange, upgradeHead } from "./raw.mjs";

const now = () => Math.floor(Date.now() / 1000);
const OTHER_SECRET = "another secret that has more than thirty-two octets";

const dir = mkdtempSync(path.join(tmpdir(), "roost-auth-"));
after(() => rmSync(dir, { recursive: true, force: true }));

/* A file with that text, its path. */
function keep(name, text, mode = 0o600) {
	const file = path.join(dir, name);

	writeFileSync(file, text);
	chmodSync(file, mode);
	return file;
}

const pem = (key) => key.export({ type: "spki", format: "pem" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const otherRsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = Object.fromEntries([["ES256", "P-256"], ["ES384", "P-384"], ["ES512", "P-521"]]
	.map(([alg, namedCurve]) => [alg, generateKeyPairSync("ec", { namedCurve })]));

// Tokens that were shown to a daemon: none of them may be in a log.
const shown = new Set();

function noteTokens(text) {
	for (const [token] of String(text).matchAll(/[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g))
		shown.add(token);
}

// What clients cause is logged ten times a second from one place: tests ask a daemon more slowly than that.
const askedOf = new WeakMap();

async function breathe(daemon) {
	const asked = askedOf.get(daemon) ?? [];

	askedOf.set(daemon, asked);
	while (asked.length >= 9) {
		const wait = asked.shift() + 1100 - Date.now();
		if (wait > 0)
			await sleep(wait);
	}
	asked.push(Date.now());
}

async function ask(daemon, query, fields) {
	noteTokens(`${query} ${Object.values(fields ?? {}).join(" ")}`);
	await breathe(daemon);
	return exchange(daemon.port, upgradeHead(`/socket/websocket?vsn=2.0.0${query}`, fields));
}

/* An upgrade with this token as its parameter, or with these fields. */
function upgrade(daemon, token, fields) {
	return ask(daemon, token === undefined ? "" : `&token=${encodeURIComponent(token)}`, fields);
}

const bearer = (token) => `base64url.bearer.phx.${Buffer.from(token).toString("base64").replace(/=/g, "")}`;

async function taken(daemon, token, fields) {
	const { status, headers } = await upgrade(daemon, token, fields);

	assert.equal(status, 101, `the log is:\n${daemon.log}`);
	return headers;
}

/* Refused before the upgrade, without a body, and the log says why. */
async function refused(daemon, reason, token, fields) {
	const mark = daemon.log.length;
	const { status, headers, body } = await upgrade(daemon, token, fields);

	assert.equal(status, 403);
	assert.equal(body, "");
	assert.equal(headers.upgrade, undefined);
	await waitFor(() => daemon.log.slice(mark).includes("refused 403"), "a line in the log");
	const line = daemon.log.slice(mark).split("\n").find((text) => text.includes("refused 403"));
	assert.match(line, /^\S+ info \[127\.0\.0\.1:\d+\] refused 403 \/socket\/websocket: token: /);
	assert.equal(line.replace(/^.*: token: /, ""), reason);
}

/* Ends the daemon, whose log must not hold what it was shown. */
async function stop(daemon) {
	await daemon.stop();
	for (const token of shown)
		for (const part of token.split(".").slice(1))
			assert.ok(part.length < 16 || !daemon.log.includes(part.slice(0, 16)), `a token in the log:\n${daemon.log}`);
}

describe("tokens that are refused", { concurrency: false }, () => {
	const rows = (what, list) => describe(what, { concurrency: false }, () => {
		for (const [name, reason, make] of list)
			test(name, () => refused(daemon, reason, make()));
	});
	const claims = (more, options) => () => mint(more, options);
	const header = (more) => () => mint({}, { header: more });
	let daemon;

	before(async () => { daemon = await start({ args: ["-v"] }); });
	after(() => stop(daemon));

	rows("by their algorithm", [
		["none", "algorithm none", () => seal('{"alg":"none"}', JSON.stringify({ user_id: "u", exp: now() + 60 }), { alg: "none" })],
		["None, signed", "algorithm none", header({ alg: "None" })],
		["nOnE", "algorithm none", header({ alg: "nOnE" })],
		["HS512, with the right secret", "algorithm HS512 does not match the key", claims({}, { alg: "HS512" })],
		["RS256", "algorithm RS256 does not match the key", claims({}, { alg: "RS256", key: rsa.privateKey })],
		["hs256", "unknown algorithm", header({ alg: "hs256" })],
		["PS256", "unknown algorithm", header({ alg: "PS256" })],
		["an empty name", "unknown algorithm", header({ alg: "" })],
		["none named", "malformed token", header({ alg: undefined })],
		["a number", "malformed token", header({ alg: 256 })],
		["a long name", "unknown algorithm", header({ alg: "HS256".repeat(200) })],
		["two of them", "malformed token", () => seal('{"alg":"HS256","alg":"HS256"}', JSON.stringify({ user_id: "u", exp: now() + 60 }))],
		["b64 false", "critical header", header({ b64: false })],
		["an unknown critical header", "critical header", header({ crit: ["exp"] })],
		["another type", "type is not JWT", header({ typ: "JWE" })],
	]);

	rows("by their signature", [
		["another secret", "bad signature", claims({}, { key: OTHER_SECRET })],
		["altered claims", "bad signature", () => {
			const [head, , signature] = mint().split(".");
			return [head, base64url(JSON.stringify({ user_id: "root", exp: now() + 60 })), signature].join(".");
		}],
		["cut", "bad signature", () => mint().slice(0, -3)],
		["cut to an octet", "bad signature", () => `${mint().split(".").slice(0, 2).join(".")}.AA`],
		["none", "malformed token", () => `${mint().split(".").slice(0, 2).join(".")}.`],
	]);

	rows("by their times", [
		["expired", "expired", claims({ exp: now() - 31 })],
		["expired long ago", "expired", claims({ exp: 0 })],
		["nbf to come", "not yet valid", claims({ nbf: now() + 120 })],
		["iat to come", "not yet valid", claims({ iat: now() + 120 })],
		["no exp", "no exp", claims({ exp: undefined })],
		...[["text", '"2000000000"'], ["1e300", "1e300"], ["negative", "-1"], ["a fraction", "2000000000.5"], ["true", "true"], ["null", "null"],
			["a list", "[2000000000]"], ["beyond the year 9999", "253402300800"], ["2^63 - 1", "9223372036854775807"]]
			.map(([what, text]) => [`exp is ${what}`, "exp is not a time",
				() => seal('{"alg":"HS256"}', `{"user_id":"u","exp":${text}}`)]),
		// Numbers and text that the library's JSON does not know are refused along with the signature.
		["exp is 2^64", "bad signature", () => seal('{"alg":"HS256"}', '{"user_id":"u","exp":18446744073709551616}')],
		["nbf is text", "nbf is not a time", claims({ nbf: "0" })],
		["iat is text", "iat is not a time", claims({ iat: "0" })],
		["exp twice", "malformed token", () => seal('{"alg":"HS256"}', `{"user_id":"u","exp":${now() - 60},"exp":${now() + 60}}`)],
	]);

	rows("by their user", [
		["none", "no user", claims({ user_id: undefined })],
		["empty", "unfit user", claims({ user_id: "" })],
		["with NUL", "bad signature", claims({ user_id: "a\0b" })],
		["with a line end", "unfit user", claims({ user_id: "a\nb" })],
		["129 octets", "unfit user", claims({ user_id: "u".repeat(129) })],
		["null, though there is a subject", "unfit user", claims({ user_id: null, sub: "s" })],
		["an object", "unfit user", claims({ user_id: {} })],
		["twice", "malformed token", () => seal('{"alg":"HS256"}', `{"user_id":"a","user_id":"b","exp":${now() + 60}}`)],
	]);

	rows("as they name a key", [
		["jku", "key named by the token", header({ jku: "https://evil.example/keys" })],
		["x5u", "key named by the token", header({ x5u: "https://evil.example/keys" })],
		["x5c", "key named by the token", header({ x5c: ["MIIB"] })],
		["jwk", "key named by the token", header({ jwk: { kty: "oct", k: "AA" } })],
	]);

	rows("by their form", [
		["two parts", "malformed token", () => mint().split(".").slice(0, 2).join(".")],
		["four parts", "malformed token", () => `${mint()}.${mint().split(".")[2]}`],
		["five parts", "malformed token", () => "a.b.c.d.e"],
		["dots", "malformed token", () => ".."],
		["padding", "malformed token", () => `${mint()}=`],
		["the other alphabet", "malformed token", () => `${mint().slice(0, -2)}+/`],
		["a blank", "malformed token", () => ` ${mint()}`],
		["a line end", "malformed token", () => `${mint()}\n`],
		["no JSON", "malformed token", () => seal("HS256", "{}")],
		["JSON that is no object", "malformed token", () => seal('{"alg":"HS256"}', "[]")],
		["something behind the JSON", "malformed token", () => seal('{"alg":"HS256"}', '{"user_id":"u","exp":2000000000} {}')],
		["single quotes", "malformed token", () => seal('{"alg":"HS256"}', "{'user_id':'u','exp':2000000000}")],
		["what JavaScript sends without one", "malformed token", () => "undefined"],
	]);

	test("longer than 8 KiB", async () => {
		await refused(daemon, "token too long", undefined, { Authorization: `Bearer ${mint({ more: "x".repeat(7000) })}` });
		assert.equal((await upgrade(daemon, mint({ more: "x".repeat(7000) }))).status, 414);
	});

	test("none", async () => {
		await refused(daemon, "none", undefined);
		await refused(daemon, "none", "");
	});

	test("and counted", async () => {
		const before = (await daemon.metrics()).auth_failures_total;

		await refused(daemon, "malformed token", "x");
		assert.equal((await daemon.metrics()).auth_failures_total, before + 1);
	});

	test("what is good is taken meanwhile, within the leeway, and again", async () => {
		const token = mint();

		for (const good of [token, token, mint({ exp: now() - 20 }), mint({ nbf: now() + 20, iat: now() + 20 }), mint({ user_id: 7 }),
			mint({ user_id: undefined, sub: "s" }), mint({ user_id: "a", sub: 7 }), mint({ user_id: "u".repeat(128) }), mint({}, { header: { typ: undefined } }),
			mint({}, { header: { kid: "../../key" } }), mint({ user_id: "é ünï" })])
			await taken(daemon, good);
	});
});

describe("issuer, audience and age", { concurrency: false }, () => {
	let daemon;
	const fine = { iss: "https://issuer.example", aud: "roost", iat: now() };

	before(async () => {
		daemon = await start({ options: { "auth.issuer": "https://issuer.example", "auth.audience": "roost", "auth.max_age": "10m" } });
	});
	after(() => stop(daemon));

	for (const [what, claims] of [["fine", {}], ["among others", { aud: ["other", "roost"] }], ["alone in a list", { aud: ["roost"] }]])
		test(`${what}: taken`, () => taken(daemon, mint({ ...fine, ...claims })));
	for (const [what, reason, claims] of [
		["no issuer", "wrong issuer", { iss: undefined }],
		["another issuer", "wrong issuer", { iss: "https://issuer.example/" }],
		["a list of issuers", "wrong issuer", { iss: ["https://issuer.example"] }],
		["no audience", "wrong audience", { aud: undefined }],
		["another audience", "wrong audience", { aud: "Roost" }],
		["a list without us", "wrong audience", { aud: ["roos", "roosts"] }],
		["an empty list", "wrong audience", { aud: [] }],
		["a list in a list", "wrong audience", { aud: [["roost"]] }],
		["too old", "too old", { iat: now() - 700 }],
		["of unknown age", "no iat", { iat: undefined }],
	])
		test(`${what}: refused`, () => refused(daemon, reason, mint({ ...fine, ...claims })));
});

describe("where a token may stand", { concurrency: false }, () => {
	const BAD = mint({}, { key: OTHER_SECRET });
	let daemon;

	before(async () => { daemon = await start(); });
	after(() => stop(daemon));

	const query = (text) => ask(daemon, `&${text}`);
	const offering = (...offers) => ({ "Sec-WebSocket-Protocol": offers.join(", ") });

	test("as the last of several parameters", async () => {
		assert.equal((await query(`token=${BAD}&token=${mint()}`)).status, 101);
		assert.equal((await query(`token=${mint()}&token=${BAD}`)).status, 403);
		assert.equal((await query(`token=${mint()}&token=`)).status, 403);
		assert.equal((await query(`token%5B%5D=${mint()}`)).status, 403);
		assert.equal((await query(`Token=${mint()}`)).status, 403);
	});

	test("as a parameter with escapes", async () => {
		assert.equal((await query(`t%6fken=${mint().replace(/\./g, "%2E")}`)).status, 101);
		assert.equal((await query("token=%ff")).status, 400);
	});

	test("as a subprotocol", async () => {
		assert.equal((await taken(daemon, undefined, offering("phoenix", bearer(mint()))))["sec-websocket-protocol"], "phoenix");
		assert.equal((await taken(daemon, undefined, offering(bearer(mint()), "phoenix")))["sec-websocket-protocol"], "phoenix");
		assert.equal((await taken(daemon, undefined, offering(bearer(mint()))))["sec-websocket-protocol"], undefined);
		await refused(daemon, "bad signature", undefined, offering("phoenix", bearer(BAD)));
	});

	test("as a subprotocol in either alphabet, padded or not", async () => {
		// Enough claims for octets that the alphabets write differently, were they not of a token's own alphabet.
		for (const pad of [0, 1, 2]) {
			const octets = Buffer.from(mint({ pad: "x".repeat(pad) }));

			await taken(daemon, undefined, offering("phoenix", `base64url.bearer.phx.${octets.toString("base64")}`));
			await taken(daemon, undefined, offering("phoenix", `base64url.bearer.phx.${octets.toString("base64url")}`));
		}
	});

	test("not as a subprotocol that is not base64", async () => {
		for (const text of ["!!!!", "a", "ab=c", "é".repeat(8)])
			await refused(daemon, "not base64", undefined, offering("phoenix", `base64url.bearer.phx.${text}`));
		await refused(daemon, "malformed token", undefined, offering("phoenix", "base64url.bearer.phx."));
	});

	test("not as one of two such subprotocols", async () => {
		await refused(daemon, "none", undefined, offering("phoenix", bearer(mint()), bearer(mint())));
		// They are no token; the parameter is.
		assert.equal((await taken(daemon, mint(), offering("phoenix", bearer(BAD), bearer(BAD))))["sec-websocket-protocol"], "phoenix");
	});

	test("not beside a foreign subprotocol alone", async () => {
		assert.equal((await upgrade(daemon, undefined, offering("foo", bearer(mint())))).status, 403);
	});

	test("as HTTP's bearer", async () => {
		await taken(daemon, undefined, { Authorization: `Bearer ${mint()}` });
		await taken(daemon, undefined, { Authorization: `bearer ${mint()}` });
		await refused(daemon, "bad signature", undefined, { Authorization: `Bearer ${BAD}` });
		await refused(daemon, "malformed token", undefined, { Authorization: "Bearer" });
		await refused(daemon, "malformed token", undefined, { Authorization: "Bearer " });
	});

	test("not as two bearers", async () => {
		const { status } = await upgrade(daemon, undefined, { Authorization: [`Bearer ${mint()}`, `Bearer ${mint()}`] });

		assert.ok([400, 403].includes(status), `${status}`);
	});

	test("another scheme of HTTP says nothing of tokens", async () => {
		await taken(daemon, mint(), { Authorization: "Basic dXNlcjpwYXNzd29yZA==" });
		await refused(daemon, "none", undefined, { Authorization: "Basic dXNlcjpwYXNzd29yZA==" });
		await refused(daemon, "none", undefined, { Authorization: `Bearerish ${mint()}` });
	});

	test("the first of subprotocol, bearer and parameter counts, be it bad", async () => {
		await refused(daemon, "bad signature", mint(), offering("phoenix", bearer(BAD)));
		await refused(daemon, "bad signature", mint(), { Authorization: `Bearer ${BAD}` });
		await refused(daemon, "bad signature", undefined, { Authorization: `Bearer ${mint()}`, ...offering("phoenix", bearer(BAD)) });
		await taken(daemon, BAD, offering("phoenix", bearer(mint())));
	});
});

describe("anonymous clients and public routes", { concurrency: false }, () => {
	const CONFIG = `
		auth { anonymous = yes }
		route "news:*" { class = "room"  public = yes }
		route "club:*" { class = "room" }
	`;
	let daemon;

	before(async () => { daemon = await start({ config: CONFIG }); });
	after(() => stop(daemon));

	async function dial(t, token) {
		const ws = await Ws.open(daemon.port, { target: `/socket/websocket?vsn=2.0.0${token === undefined ? "" : `&token=${token}`}` });

		t.after(() => ws.destroy());
		return ws;
	}

	const join = async (ws, topic, payload = {}) => (await ws.ask(["1", "1", topic, "phx_join", payload]))[4];
	const OK = { status: "ok", response: {} };
	const NO = { status: "error", response: { reason: "unauthorized" } };

	test("without a token, public routes alone", async (t) => {
		const ws = await dial(t);

		assert.deepEqual(await join(ws, "news:1"), OK);
		for (const topic of ["room:1", "club:1"])
			assert.deepEqual(await join(ws, topic), NO);
	});

	test("with a token, all", async (t) => {
		const ws = await dial(t, mint());

		for (const topic of ["news:1", "room:1", "club:1"])
			assert.deepEqual(await join(ws, topic), OK);
	});

	test("a bad token is not none", () => refused(daemon, "bad signature", mint({}, { key: OTHER_SECRET })));

	test("a token in a join stands for that channel alone", async (t) => {
		const ws = await dial(t);
		const token = mint();

		noteTokens(token);
		assert.deepEqual(await join(ws, "room:1", { token }), OK);
		assert.deepEqual(await join(ws, "room:2"), NO);
		// A second join ends the first channel, and does not inherit from it.
		assert.deepEqual(await ws.ask(["2", "2", "room:1", "phx_join", {}]), ["1", "1", "room:1", "phx_close", {}]);
		assert.deepEqual((await ws.nextMessage())[4], NO);
	});

	test("in version 1, too", async (t) => {
		const ws = await Ws.open(daemon.port, { target: "/socket/websocket" });
		t.after(() => ws.destroy());

		for (const [payload, answer] of [[{ token: mint() }, OK], [{}, NO]]) {
			const { payload: got } = await ws.ask({ topic: `room:${answer.status}`, event: "phx_join", payload, ref: "1" });
			assert.deepEqual(got, answer);
		}
	});

	test("a bad one in a join is refused, though the connection's would do", async (t) => {
		const anonymous = await dial(t), known = await dial(t, mint());

		for (const [token, reason] of [[mint({}, { key: OTHER_SECRET }), /token refused: bad signature/], [mint({ exp: now() - 60 }), /token refused: expired/],
			["", /token refused: malformed token/], ["x.y.z", null], [7, null], [null, null], [{}, null]]) {
			const mark = daemon.log.length;

			noteTokens(token);
			for (const ws of [anonymous, known])
				assert.deepEqual(await join(ws, "news:1", { token }), NO, JSON.stringify(token));
			if (reason !== null)
				await waitFor(() => daemon.log.slice(mark).match(reason), `${reason} in the log`);
		}
		await anonymous.quiet();
	});
});

describe("keys in files", { concurrency: false }, () => {
	const serving = async (t, options, more = {}) => {
		const daemon = await start({ keyless: true, options, ...more });

		t.after(() => stop(daemon));
		return daemon;
	};

	for (const alg of ["RS256", "RS384", "RS512"])
		test(alg, async (t) => {
			const daemon = await serving(t, { "auth.key_file": keep("rsa.pem", pem(rsa.publicKey), 0o644), "auth.alg": alg });

			await taken(daemon, mint({}, { alg, key: rsa.privateKey }));
			await refused(daemon, "bad signature", mint({}, { alg, key: otherRsa.privateKey }));
			await refused(daemon, `algorithm ${alg === "RS256" ? "RS512" : "RS256"} does not match the key`,
				mint({}, { alg: alg === "RS256" ? "RS512" : "RS256", key: rsa.privateKey }));
		});

	for (const alg of ["ES256", "ES384", "ES512"])
		test(alg, async (t) => {
			const daemon = await serving(t, { "auth.key_file": keep(`${alg}.pem`, pem(ec[alg].publicKey)) });
			const other = alg === "ES256" ? "ES384" : "ES256";

			await taken(daemon, mint({}, { alg, key: ec[alg].privateKey }));
			await refused(daemon, `algorithm ${other} does not match the key`, mint({}, { alg: other, key: ec[other].privateKey }));
			await refused(daemon, "bad signature", seal(JSON.stringify({ alg }), JSON.stringify({ user_id: "u", exp: now() + 60 }),
				{ alg, key: generateKeyPairSync("ec", { namedCurve: { ES256: "P-256", ES384: "P-384", ES512: "P-521" }[alg] }).privateKey }));
		});

	for (const alg of ["HS256", "HS384", "HS512"])
		test(alg, async (t) => {
			const daemon = await serving(t, { "auth.key_file": keep("secret", `${SECRET}\n`), "auth.alg": alg });

			await taken(daemon, mint({}, { alg }));
			await refused(daemon, "bad signature", mint({}, { alg, key: `${SECRET}\n` }));
		});

	test("the public key is no secret, in any of its forms", async (t) => {
		const text = pem(rsa.publicKey);
		const daemon = await serving(t, { "auth.key_file": keep("rsa.pem", text, 0o644) });

		for (const key of [text, text.trimEnd(), text.replace(/-----.*-----|\n/g, ""), rsa.publicKey.export({ type: "spki", format: "der" }),
			rsa.publicKey.export({ type: "pkcs1", format: "pem" })])
			await refused(daemon, "algorithm HS256 does not match the key", mint({}, { key }));
	});

	test("octets that are no text", async (t) => {
		const key = Buffer.concat([Buffer.of(1, 0, 255), randomBytes(40), Buffer.of(1)]);
		const daemon = await serving(t, { "auth.key_file": keep("octets", key) });

		await taken(daemon, mint({}, { key }));
	});

	test("by -k, and from the environment", async (t) => {
		const byFlag = await serving(t, {}, { args: ["-k", keep("secret", SECRET)] });
		const byVariable = await serving(t, {}, { env: { ROOST_AUTH_SECRET: OTHER_SECRET } });

		await taken(byFlag, mint());
		await refused(byFlag, "bad signature", mint({}, { key: OTHER_SECRET }));
		await taken(byVariable, mint({}, { key: OTHER_SECRET }));
		await refused(byVariable, "bad signature", mint());
	});

	test("without any, all are refused, and the log says so at once", async (t) => {
		const daemon = await serving(t, {});

		await daemon.logged(/warn no JWT key is configured/);
		await refused(daemon, "no key is configured", mint());
	});

	test("by kid, replaced by a reload; who is connected stays", async (t) => {
		const key = (kid, file) => `key "${kid}" { file = "${file}" }\n`;
		const first = keep("first.pem", pem(rsa.publicKey)), second = keep("second.pem", pem(ec.ES256.publicKey));
		const third = keep("third", OTHER_SECRET);
		const byFirst = () => mint({}, { alg: "RS256", key: rsa.privateKey, header: { kid: "first" } });
		const bySecond = () => mint({}, { alg: "ES256", key: ec.ES256.privateKey, header: { kid: "second" } });
		const byThird = () => mint({}, { key: OTHER_SECRET, header: { kid: "third" } });
		const daemon = await serving(t, {}, { config: key("first", first) + key("second", second) });
		const ws = await Ws.open(daemon.port, { token: byFirst() });
		t.after(() => ws.destroy());

		await ws.join("room:1");
		await taken(daemon, bySecond());
		await refused(daemon, "unknown kid", byThird());
		for (const kid of ["../../key", "http://evil.example/key", "' OR 1=1 --", "x".repeat(1000), "", "FIRST", "first "])
			await refused(daemon, "unknown kid", mint({}, { alg: "RS256", key: rsa.privateKey, header: { kid } }));
		await refused(daemon, "unknown kid", mint({}, { alg: "RS256", key: rsa.privateKey }));
		await refused(daemon, "algorithm RS256 does not match the key", mint({}, { alg: "RS256", key: rsa.privateKey, header: { kid: "second" } }));
		await refused(daemon, "bad signature", mint({}, { alg: "RS256", key: otherRsa.privateKey, header: { kid: "first" } }));

		const old = byFirst();
		await taken(daemon, old);
		daemon.configure(key("second", second) + key("third", third));
		await daemon.reload();
		await taken(daemon, byThird());
		await taken(daemon, bySecond());
		// Not even one that was seen before.
		await refused(daemon, "unknown kid", old);
		assert.deepEqual((await ws.ask(["1", "2", "room:1", "hello", {}]))[3], "hello");
		assert.deepEqual((await ws.nextMessage())[4], { status: "ok", response: {} });
	});

	test("with a main key beside those of a kid", async (t) => {
		const daemon = await start({ config: `key "k" { file = "${keep("k", OTHER_SECRET)}" }` });
		t.after(() => stop(daemon));

		await taken(daemon, mint());
		await taken(daemon, mint({}, { key: OTHER_SECRET, header: { kid: "k" } }));
		await refused(daemon, "unknown kid", mint({}, { header: { kid: "other" } }));
		await refused(daemon, "bad signature", mint({}, { header: { kid: "k" } }));
	});

	test("a key file that a reload cannot read changes nothing", async (t) => {
		const file = keep("going", SECRET);
		const daemon = await serving(t, {}, { config: `auth { key_file = "${file}" }` });

		chmodSync(file, 0o644);
		assert.match(await daemon.reload({ refused: true }), /reload refused, nothing was changed: .*going: readable by others/);
		await taken(daemon, mint());
		assert.equal((await daemon.metrics()).reload_failed_total, 1);
	});
});

describe("keys that are not taken", { concurrency: false }, () => {
	const BASE = ["-l", "127.0.0.1:0", "--admin-listen", "none"];

	/* Exit code 78, at the start and for -T, with the file's name and the reason. */
	async function notTaken(reason, file, ...args) {
		for (const how of [[], ["-T"]]) {
			const { code, err } = await run([...BASE, "-k", file, ...args, ...how]);

			assert.equal(code, 78, err);
			assert.match(err, reason);
			assert.ok(err.includes(file), err);
			assert.equal(err.trimEnd().split("\n").length, 1, err);
		}
	}

	for (const mode of [0o644, 0o640, 0o604, 0o660, 0o601])
		test(`a secret of mode ${mode.toString(8)}`, () => notTaken(/readable by others \(mode \d+\); chmod 600 it/, keep("open", SECRET, mode)));

	for (const [what, reason, make] of [
		["a short secret", /secret shorter than 32 octets/, () => keep("short", "x".repeat(31))],
		["a short secret with its newline", /secret shorter than 32 octets/, () => keep("short", `${"x".repeat(31)}\n`)],
		["an empty file", /is empty/, () => keep("empty", "")],
		["no file", /No such file/, () => path.join(dir, "nowhere")],
		["a folder", /not a regular file|Is a directory/, () => dir],
		["a link", /is a symbolic link/, () => {
			rmSync(path.join(dir, "link"), { force: true });
			symlinkSync(keep("secret", SECRET), path.join(dir, "link"));
			return path.join(dir, "link");
		}],
		["a private key", /is a private key/, () => keep("private.pem", rsa.privateKey.export({ type: "pkcs8", format: "pem" }))],
		["a broken PEM file", /no PEM public key or certificate in it/, () => keep("broken.pem", pem(rsa.publicKey).replace(/\n[A-Za-z0-9]{8}/, "\n!!!!!!!!"))],
		["DER", /is a key in DER/, () => keep("key.der", rsa.publicKey.export({ type: "spki", format: "der" }))],
		["JSON", /is JSON/, () => keep("key.jwk", JSON.stringify(rsa.publicKey.export({ format: "jwk" })))],
		["a short RSA key", /2048/, () => keep("weak.pem", pem(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey))],
		["another curve", /curve other than/, () => keep("curve.pem", pem(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey))],
		["Ed25519", /neither an RSA nor an EC key/, () => keep("ed.pem", pem(generateKeyPairSync("ed25519").publicKey))],
		["a large file", /larger than 64 KiB/, () => keep("large", "x".repeat(70000))],
	])
		test(what, () => notTaken(reason, make()));

	test("an algorithm that does not fit", async () => {
		await notTaken(/good for RS256, RS384 and RS512 alone/, keep("rsa.pem", pem(rsa.publicKey)), "-o", "auth.alg=HS256");
		await notTaken(/good for HS256, HS384 and HS512 alone/, keep("secret", SECRET), "-o", "auth.alg=RS256");
		await notTaken(/does not fit the EC key's curve/, keep("ES256.pem", pem(ec.ES256.publicKey)), "-o", "auth.alg=ES384");
	});

	test("a short secret in the environment, but with --dev", async () => {
		const env = { ROOST_AUTH_SECRET: "short" };
		const { code, err } = await run([...BASE, "-T"], { env });

		assert.equal(code, 78);
		assert.match(err, /secret shorter than 32 octets/);
		assert.equal((await run([...BASE, "-T", "--dev"], { env })).code, 0);
	});

	test("a secret as a flag", async () => {
		const { code, err } = await run([...BASE, "-T", "-o", `auth.secret=${SECRET}`]);

		assert.equal(code, 2);
		assert.match(err, /auth\.secret/);
		assert.ok(!err.includes(SECRET));
	});

	test("two main keys", async () => {
		const { code, err } = await run([...BASE, "-T", "-k", keep("secret", SECRET)], { env: { ROOST_AUTH_SECRET: OTHER_SECRET } });

		assert.equal(code, 78);
		assert.match(err, /auth\.secret and auth\.key_file are both set/);
	});

	test("a secret is not dumped", async () => {
		const { code, out } = await run(["--dump"], { env: { ROOST_AUTH_SECRET: SECRET } });

		assert.equal(code, 0);
		assert.match(out, /^auth\.secret = \(set\) +# ROOST_AUTH_SECRET$/m);
		assert.ok(!out.includes(SECRET));
	});

	test("nor does a running daemon show its memory or environment", async (t) => {
		const daemon = await start();
		t.after(() => stop(daemon));

		assert.ok(!readFileSync(`/proc/${daemon.pid}/cmdline`, "latin1").includes(SECRET));
		assert.ok(!(await daemon.get("/healthz")).body.includes(SECRET));
	});
});

describe("a token expires", { concurrency: true }, () => {
	const OK = { status: "ok", response: {} };
	const NO = { status: "error", response: { reason: "unauthorized" } };
	let daemon;

	before(async () => {
		daemon = await start({
			config: `
				auth { anonymous = yes  leeway = 0  expiry_warning = 1s }
				route "news:*" { class = "room"  public = yes }
			`,
		});
	});
	after(() => stop(daemon));

	/* A connection whose token ends then. */
	async function dial(t, exp, { vsn, claims = {} } = {}) {
		const token = mint({ exp, ...claims });
		noteTokens(token);
		const ws = await Ws.open(daemon.port, { vsn, token });

		t.after(() => ws.destroy());
		return ws;
	}

	/* In two to three seconds; with 2, the warning may come at once. */
	const soon = (seconds = 3) => now() + seconds;
	/* When a frame came, in seconds before or after `exp`. */
	const lateness = (exp) => Date.now() / 1000 - exp;

	function about(what, got, wanted) {
		assert.ok(got >= wanted - 0.1 && got <= wanted + 1, `${what} came ${got.toFixed(2)} s from its end, not ${wanted}`);
	}

	test("each channel is warned, then ended; rejoins are refused, and the connection stays", async (t) => {
		const exp = soon();
		const ws = await dial(t, exp);

		await ws.join("room:a", "1");
		await ws.join("room:b", "2");
		const warnings = [await ws.nextMessage(), await ws.nextMessage()];
		about("the warning", lateness(exp), -1);
		assert.deepEqual(warnings.sort(), [
			["1", null, "room:a", "token_expiring", { expires_at: exp }],
			["2", null, "room:b", "token_expiring", { expires_at: exp }],
		]);
		const ends = [await ws.nextMessage(), await ws.nextMessage()];
		about("the end", lateness(exp), 0);
		assert.deepEqual(ends.sort(), [
			["1", "1", "room:a", "phx_error", { reason: "token_expired" }],
			["2", "2", "room:b", "phx_error", { reason: "token_expired" }],
		]);
		assert.deepEqual(await ws.ask(["3", "3", "room:a", "phx_join", {}]), ["3", "3", "room:a", "phx_reply", NO]);
		assert.deepEqual(await ws.ask(["3", "3", "news:a", "phx_join", {}]), ["3", "3", "news:a", "phx_reply", NO]);
		assert.deepEqual(await ws.ask([null, "4", "phoenix", "heartbeat", {}]), [null, "4", "phoenix", "phx_reply", OK]);
	});

	test("the others hear nothing of it", async (t) => {
		const exp = soon(2);
		const ws = await dial(t, exp), other = await dial(t, now() + 60);

		await ws.join("room:c");
		await other.join("room:c");
		for (let event; event !== "phx_error";)
			[, , , event] = await ws.nextMessage();
		ws.json([null, "2", "room:c", "late", {}]);
		assert.deepEqual((await ws.nextMessage())[4], { status: "error", response: { reason: "unmatched topic" } });
		await other.quiet();
	});

	test("in version 1", async (t) => {
		const exp = soon(2);
		const ws = await dial(t, exp, { vsn: "1.0.0" });

		await ws.ask({ topic: "room:d", event: "phx_join", payload: {}, ref: "1" });
		assert.deepEqual(await ws.nextMessage(), { topic: "room:d", event: "token_expiring", payload: { expires_at: exp }, ref: null });
		assert.deepEqual(await ws.nextMessage(), { topic: "room:d", event: "phx_error", payload: { reason: "token_expired" }, ref: null });
	});

	test("whoever joins when it is late is warned at once", async (t) => {
		const exp = soon(2);
		const ws = await dial(t, exp);

		await waitFor(() => lateness(exp) > -0.8, "the last second");
		await ws.join("room:e");
		assert.deepEqual(await ws.nextMessage(), ["1", null, "room:e", "token_expiring", { expires_at: exp }]);
		assert.deepEqual((await ws.nextMessage())[3], "phx_error");
		assert.ok(lateness(exp) < 1);
	});

	test("unless it is renewed", async (t) => {
		const exp = soon(2), longer = exp + 2;
		const ws = await dial(t, exp);
		const renewed = mint({ exp: longer });

		noteTokens(renewed);
		await ws.join("room:f");
		assert.deepEqual((await ws.nextMessage())[3], "token_expiring");
		assert.deepEqual(await ws.ask(["1", "2", "room:f", "access_token", { access_token: renewed }]), ["1", "2", "room:f", "phx_reply", OK]);
		assert.deepEqual(await ws.nextMessage(), ["1", null, "room:f", "token_expiring", { expires_at: longer }]);
		about("the second warning", lateness(longer), -1);
		assert.deepEqual(await ws.nextMessage(), ["1", "1", "room:f", "phx_error", { reason: "token_expired" }]);
		about("the end", lateness(longer), 0);
	});

	test("one renewal is good for all its channels, and not for a channel's own", async (t) => {
		const exp = soon(), own = mint({ exp });
		const ws = await dial(t, exp);

		noteTokens(own);
		await ws.join("room:g", "1");
		await ws.join("room:h", "2");
		await ws.join("room:i", "3", { token: own });
		assert.deepEqual(await ws.ask(["2", "4", "room:h", "access_token", { access_token: mint() }]), ["2", "4", "room:h", "phx_reply", OK]);
		assert.deepEqual(await ws.nextMessage(), ["3", null, "room:i", "token_expiring", { expires_at: exp }]);
		assert.deepEqual(await ws.nextMessage(), ["3", "3", "room:i", "phx_error", { reason: "token_expired" }]);
		await waitFor(() => lateness(exp) > 0.3, "the old token's end");
		await ws.quiet();
		assert.equal((await ws.ask(["1", "5", "room:g", "still", {}]))[3], "still");
	});

	test("a channel's own is renewed on that channel", async (t) => {
		const exp = soon();
		const ws = await dial(t, now() + 60);

		await ws.join("room:j", "1", { token: mint({ exp }) });
		await ws.ask(["1", "2", "room:j", "access_token", { access_token: mint() }]);
		await waitFor(() => lateness(exp) > 0.3, "the old token's end");
		await ws.quiet();
	});

	test("with a token of the same user that is good, and with nothing else", async (t) => {
		const ws = await dial(t, now() + 60);
		const field = { status: "error", response: { reason: "invalid_payload", field: "access_token" } };
		const tell = async (payload) => (await ws.ask(["1", "2", "room:k", "access_token", payload]))[4];

		await ws.join("room:k");
		assert.deepEqual(await tell({ access_token: mint({ user_id: "u2" }) }), NO);
		for (const [token, reason] of [[mint({}, { key: OTHER_SECRET }), /token refused: bad signature/], [mint({ exp: now() - 1 }), /token refused: expired/],
			["", /token refused: malformed token/]]) {
			const mark = daemon.log.length;

			noteTokens(token);
			assert.deepEqual(await tell({ access_token: token }), NO);
			await waitFor(() => daemon.log.slice(mark).match(reason), `${reason} in the log`);
		}
		for (const payload of [{}, { access_token: null }, { access_token: 7 }, { token: mint() }])
			assert.deepEqual(await tell(payload), field);
		assert.deepEqual(await ws.ask(["1", "3", "room:z", "access_token", { access_token: mint() }]),
			[null, "3", "room:z", "phx_reply", { status: "error", response: { reason: "unmatched topic" } }]);
		assert.equal((await ws.ask(["1", "4", "room:k", "still", {}]))[3], "still");
	});

	test("leeway: it is taken a little longer, and the warning is of its own time", async (t) => {
		const patient = await start({ options: { "auth.leeway": "2s", "auth.expiry_warning": "1s" } });
		t.after(() => stop(patient));
		const exp = soon(2), token = mint({ exp });
		const ws = await Ws.open(patient.port, { token });
		t.after(() => ws.destroy());

		await ws.join("room:l");
		assert.deepEqual((await ws.nextMessage())[3], "token_expiring");
		about("the warning", lateness(exp), -1);
		assert.deepEqual((await ws.nextMessage(PATIENCE))[3], "phx_error");
		about("the end", lateness(exp), 2);
	});

	test("no warning where none is wanted", async (t) => {
		const quiet = await start({ options: { "auth.leeway": "0", "auth.expiry_warning": "0" } });
		t.after(() => stop(quiet));
		const ws = await Ws.open(quiet.port, { token: mint({ exp: soon(2) }) });
		t.after(() => ws.destroy());

		await ws.join("room:m");
		assert.deepEqual(await ws.nextMessage(), ["1", "1", "room:m", "phx_error", { reason: "token_expired" }]);
	});

	test("the frames of all that hold no token", async (t) => {
		const token = mint();
		const ws = await dial(t, now() + 60);

		ws.json(["1", "1", "room:n", "phx_join", { token }]);
		const { opcode, payload } = await ws.next();
		assert.equal(opcode, OP.text);
		assert.ok(!payload.includes(token.split(".")[2]));
	});
});
