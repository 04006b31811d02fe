// Guards: what tokens claim and who is asked decide over joins; and whoever is asked, and does not answer, keeps nobody else
// waiting.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import * as phoenix from "phoenix18";
import WebSocket from "ws";
import { PATIENCE, freePorts, mint, sleep, start, waitFor, within } from "./harness.mjs";
import { PusherClient } from "./pusher.mjs";

// The same for all who have it: the same question.
const TOKEN = mint();
const SIGNING_SECRET = "a-secret-to-sign-questions-with";

/* What a phoenix client's join is answered: [status, response]. */
async function joinPhoenix(t, daemon, topic, { claims, params = {}, token = mint(claims) } = {}) {
	const socket = new phoenix.Socket(daemon.socketUrl, { transport: WebSocket, params: token === null ? {} : { token }, reconnectAfterMs: () => 3_600_000 });

	t.after(() => socket.disconnect());
	socket.connect();
	const push = socket.channel(topic, params).join(PATIENCE);
	return within(new Promise((resolve) => {
		for (const status of ["ok", "error", "timeout"])
			push.receive(status, (response) => resolve([status, response]));
	}), "an answer to the join");
}

describe("allow", { concurrency: false }, () => {
	let daemon, client;

	before(async () => {
		daemon = await start({ options: { "auth.anonymous": "yes" }, config: `
route "private-team-{team}" { class = "pusher" allow = { "claim teams contains {team}", "claim role = admin" } }
route "presence-own-{id}" { class = "pusher" allow = { "claim sub = {id}" } }
route "private-inbox-{id}" { class = "pusher" allow = { "claim box.owner = {user}-{id}" } }
route "private-flag" { class = "pusher" allow = { "claim beta" } }
route "private-words" { class = "pusher" allow = { "claim scope contains chat:write" } }
route "public-members" { class = "pusher" public = yes allow = { "user" } }
route "public-all" { class = "pusher" public = yes allow = { "anyone" } }
route "private-all" { class = "pusher" allow = { "anyone" } }
route "team:{team}" { class = "room" allow = { "claim teams contains {team}" } }
` });
	});
	after(() => daemon.stop());
	afterEach(() => client?.cut());

	for (const [channel, claims, allowed] of [
		["private-team-7", { teams: ["7", "8"] }, true],
		["private-team-7", { teams: [7] }, true],
		["private-team-7", { teams: "6 7 8" }, true],
		["private-team-7", { teams: ["77"] }, false],
		["private-team-7", { teams: [] }, false],
		["private-team-7", {}, false],
		["private-team-7", { role: "admin" }, true],
		["private-team-7", { role: "administrator" }, false],
		["private-team-7", { role: ["admin"] }, false],
		["private-team-a,b", { teams: ["a", "b"] }, false],
		["private-team-a,b", { teams: ["a,b"] }, true],
		["presence-own-u7", { sub: "u7" }, true],
		["presence-own-u7", { sub: "u8" }, false],
		["private-inbox-3", { box: { owner: "u1-3" } }, true],
		["private-inbox-3", { box: { owner: "u2-3" } }, false],
		["private-inbox-3", { "box.owner": "u1-3", box: { owner: "u2-3" } }, true],
		["private-flag", { beta: true }, true],
		["private-flag", { beta: 0 }, true],
		["private-flag", { beta: false }, false],
		["private-flag", { beta: null }, false],
		["private-words", { scope: "chat:read chat:write" }, true],
		["private-words", { scope: "chat:writer" }, false],
		["public-members", {}, true],
		["public-members", null, false],
		["public-all", null, true],
		["private-all", null, false],
		["private-all", {}, true],
	])
		test(`${channel} and ${claims === null ? "nobody" : JSON.stringify(claims)}: ${allowed ? "yes" : "no"}`, async () => {
			client = await PusherClient.open(daemon, claims === null ? { user: null } : { claims });
			if (allowed)
				assert.equal((await client.ok("join", { channel })).type, "channel:joined");
			else
				await client.refused("FORBIDDEN", "join", { channel });
		});

	test("the same for phoenix clients, and for any class", async (t) => {
		assert.equal((await joinPhoenix(t, daemon, "team:7", { claims: { teams: ["7"] } }))[0], "ok");
		assert.deepEqual(await joinPhoenix(t, daemon, "team:7", { claims: { teams: ["8"] } }), ["error", { reason: "unauthorized" }]);
		assert.equal((await joinPhoenix(t, daemon, "private-team-7", { claims: { teams: ["7"] } }))[0], "ok");
		assert.deepEqual(await joinPhoenix(t, daemon, "private-team-7"), ["error", { reason: "unauthorized" }]);
	});

	test("a token of the channel's own counts, not the connection's", async (t) => {
		const good = mint({ teams: ["7"] }), poor = mint({});

		assert.equal((await joinPhoenix(t, daemon, "team:7", { token: poor, params: { token: good } }))[0], "ok");
		assert.deepEqual(await joinPhoenix(t, daemon, "team:7", { token: good, params: { token: poor } }), ["error", { reason: "unauthorized" }]);
	});

	test("a reload changes who may join", async (t) => {
		const other = await start({ config: 'route "private-a" { class = "pusher" allow = { "claim a" } }' });

		t.after(() => other.child.kill("SIGKILL"));
		const c = await PusherClient.open(other, { claims: { b: 1 } });
		await c.refused("FORBIDDEN", "join", { channel: "private-a" });
		other.configure('route "private-a" { class = "pusher" allow = { "claim b" } }');
		await other.reload();
		await c.ok("join", { channel: "private-a" });
		other.configure('route "private-a" { class = "pusher" allow = { "claim b = {nobody}" } }');
		await other.reload({ refused: true });
		await c.close();
		await other.stop();
	});
});

/* Somebody who is asked: `answer(question, response)` decides. */
class Authority {
	static async listen(tls) {
		const authority = new this(tls);

		await once(authority.server.listen(0, "127.0.0.1"), "listening");
		return authority;
	}

	constructor(tls) {
		this.scheme = tls === undefined ? "http" : "https";
		this.asked = [];	// { headers, text, question }
		this.answer = () => ({ authorized: true });
		this.hanging = [];
		this.server = (tls === undefined ? http : https).createServer(tls ?? {}, (request, response) => {
			let text = "";
			request.setEncoding("utf8").on("data", (chunk) => text += chunk);
			request.on("end", () => {
				const question = JSON.parse(text);
				this.asked.push({ method: request.method, url: request.url, headers: request.headers, text, question });
				this.respond(response, this.answer(question));
			});
		});
	}

	/* An object, a text, chunks of one, a status; undefined: not at all. */
	respond(response, answer) {
		if (answer === undefined)
			this.hanging.push(response);
		else if (typeof answer === "number")
			response.writeHead(answer, answer === 302 ? { Location: this.url } : {}).end('{"authorized":true}');
		else if (answer.chunks !== undefined)
			answer.chunks.forEach((chunk, i) => i + 1 < answer.chunks.length ? response.write(chunk) : response.end(chunk));
		else
			response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
	}

	get url() { return `${this.scheme}://127.0.0.1:${this.server.address().port}/may?join=1`; }

	async end() {
		this.server.closeAllConnections();
		await new Promise((resolve) => this.server.close(resolve));
	}
}

describe("authorize_url", { concurrency: false }, () => {
	let daemon, authority, clients = [];

	before(async () => {
		const [closed] = await freePorts(1);

		authority = await Authority.listen();
		daemon = await start({
			env: { ROOST_AUTHORIZE_SECRET: SIGNING_SECRET },
			options: { "authorize.timeout": "2s", "authorize.cache": 0, "authorize.parallel": 4, "limits.message_rate": 0, "auth.anonymous": "yes" },
			config: `
route "private-dead-*" { class = "pusher" authorize_url = "http://127.0.0.1:${closed}/" }
route "private-both-{team}" { class = "pusher" allow = { "claim team = {team}" } authorize_url = "${authority.url}" }
route "private-*" { class = "pusher" authorize_url = "${authority.url}" }
route "presence-*" { class = "pusher" authorize_url = "${authority.url}" }
route "public-asked" { class = "pusher" public = yes authorize_url = "${authority.url}" }
route "asked:*" { class = "room" authorize_url = "${authority.url}" }
`,
		});
	});
	after(async () => {
		await daemon?.stop();
		await authority.end();
	});
	beforeEach(() => {
		authority.asked = [];
		authority.answer = () => ({ authorized: true });
	});
	afterEach(() => clients.splice(0).forEach((client) => client.cut()));

	async function open(options) {
		const client = await PusherClient.open(daemon, options);

		clients.push(client);
		return client;
	}

	test("what is asked, and that it is signed", async () => {
		const claims = { teams: ["é", 1.5], deep: { er: null } }, userInfo = { name: "Ann", n: 1.50 }, client = await open({ claims });

		await client.ok("join", { channel: "presence-a", userInfo });
		const [{ method, url, headers, text, question }] = authority.asked;
		assert.deepEqual([authority.asked.length, method, url, headers["content-type"]], [1, "POST", "/may?join=1", "application/json"]);
		assert.equal(headers["x-roost-signature"], createHmac("sha256", SIGNING_SECRET).update(text).digest("hex"));
		const { exp, ...told } = question.claims;
		assert.deepEqual(told, { user_id: "u1", ...claims });
		assert.deepEqual(question, { user: "u1", claims: question.claims, channel: "presence-a", userInfo, connection_id: client.clientId });
		assert.deepEqual(Object.keys(question).sort(), ["channel", "claims", "connection_id", "user", "userInfo"]);
	});

	test("nobody is asked for, too, where the route is public", async () => {
		const nobody = await open({ user: null });

		await nobody.ok("join", { channel: "public-asked" });
		const [{ question }] = authority.asked;
		assert.deepEqual([question.user, question.claims, question.userInfo], [null, {}, null]);
		await nobody.refused("FORBIDDEN", "join", { channel: "private-a" });
		assert.equal(authority.asked.length, 1);
	});

	test("no, with a reason and without", async () => {
		const client = await open();

		authority.answer = () => ({ authorized: false, reason: "Not in \"this\" room, é" });
		assert.equal(await client.refused("FORBIDDEN", "join", { channel: "private-a" }), "Not in \"this\" room, é");
		authority.answer = () => ({ authorized: false });
		assert.equal(await client.refused("FORBIDDEN", "join", { channel: "private-a" }), "Access denied");
		authority.answer = () => ({ authorized: false, reason: "x".repeat(300) });
		assert.equal(await client.refused("FORBIDDEN", "join", { channel: "private-a" }), "Access denied");
		await client.refused("NOT_IN_CHANNEL", "channel:message", { channel: "private-a", data: 1 });
	});

	test("the same for phoenix clients, and for any class", async (t) => {
		authority.answer = ({ userInfo }) => ({ authorized: userInfo?.ok === true, reason: "not ok" });
		assert.equal((await joinPhoenix(t, daemon, "asked:1", { params: { userInfo: { ok: true } } }))[0], "ok");
		const [status, response] = await joinPhoenix(t, daemon, "asked:1");
		assert.deepEqual([status, response.reason, response.message], ["error", "unauthorized", "not ok"]);
	});

	test("whatever is no answer is no", async () => {
		const client = await open();

		for (const answer of [
			"", "nonsense", "true", "null", "[]", "{}", '{"authorized":"true"}', '{"authorized":1}', '{"authorized":null}', '{"authorized":true',
			'{"authorized":true} x', '{"Authorized":true}', `{"authorized":true,"more":"${"x".repeat(20_000)}"}`, 201, 204, 302, 400, 401, 500, 503,
		]) {
			authority.answer = () => answer;
			assert.equal(await client.refused("FORBIDDEN", "join", { channel: "private-a" }), "Access denied", String(answer).slice(0, 50));
		}
		authority.answer = () => ({ authorized: true });
		await client.ok("join", { channel: "private-a" });
	});

	test("an answer in chunks", async () => {
		const client = await open();

		authority.answer = () => ({ chunks: ['{"author', 'ized":true', "}"] });
		await client.ok("join", { channel: "private-a" });
		authority.answer = () => ({ chunks: ['{"authorized":true,"more":"', "x".repeat(10_000), "x".repeat(10_000), '"}'] });
		await client.refused("FORBIDDEN", "join", { channel: "private-b" });
	});

	test("who is not allowed is not asked for", async () => {
		const client = await open({ claims: { team: "red" } });

		await client.refused("FORBIDDEN", "join", { channel: "private-both-blue" });
		assert.equal(authority.asked.length, 0);
		await client.ok("join", { channel: "private-both-red" });
		assert.equal(authority.asked.length, 1);
		authority.answer = () => ({ authorized: false });
		const other = await open({ user: "u2", claims: { team: "red" } });
		await other.refused("FORBIDDEN", "join", { channel: "private-both-red" });
	});

	test("a client that is gone is not waited for", async () => {
		const client = await open();

		authority.answer = () => undefined;
		client.send({ type: "join", channel: "private-gone" });
		await waitFor(() => authority.asked.length === 1, "the question");
		client.cut();
		authority.hanging.splice(0).forEach((response) => response.end('{"authorized":true}'));
		assert.equal((await daemon.get("/healthz")).status, 200);
	});

	test("one that is slow delays nobody else, and lets nobody in", async () => {
		const waiting = await open(), other = await open({ user: "u2" });
		const answers = [];

		authority.answer = ({ channel }) => channel.startsWith("private-slow") ? undefined : { authorized: true };
		const since = Date.now();
		for (let i = 0; i < 3; i++)
			answers.push(waiting.refused("FORBIDDEN", "join", { channel: `private-slow-${i}` }).then(() => Date.now() - since));
		await waitFor(() => authority.asked.length === 3, "the questions");
		/* Neither another client, nor the same one elsewhere; nor what the same authority answers at once. */
		await other.ok("join", { channel: "public-a" });
		await other.say("public-a", "e", 1);
		await waiting.ok("join", { channel: "public-b" });
		await waiting.say("public-b", "e", 1);
		await other.ok("join", { channel: "private-quick" });
		assert.ok(Date.now() - since < 1900, `${Date.now() - since} ms`);
		for (const took of await Promise.all(answers))
			assert.ok(took >= 1900, `${took} ms`);
		authority.hanging.splice(0).forEach((response) => response.destroy());
		await daemon.logged(/authorizer \S+: .*: refused/);
	});

	test("what is said while the answer is awaited waits with the join", async () => {
		const client = await open();

		authority.answer = () => undefined;
		client.send({ type: "join", requestId: "j", channel: "private-late" });
		client.send({ type: "channel:message", requestId: "m", channel: "private-late", data: 1 });
		await waitFor(() => authority.hanging.length === 1, "the question");
		await client.ok("ping");
		assert.deepEqual(client.told, []);
		authority.hanging.splice(0).forEach((response) => response.end('{"authorized":true}'));
		assert.equal((await client.hears({ requestId: "j" })).type, "channel:joined");
		assert.equal((await client.hears({ requestId: "m" })).type, "channel:sent");
	});

	test("one that is dead lets nobody in, and others are asked", async () => {
		const client = await open();

		for (let i = 0; i < 8; i++)
			await client.refused("FORBIDDEN", "join", { channel: `private-dead-${i}` });
		await daemon.logged(/has not answered 5 times in a row/);
		await client.ok("join", { channel: "private-alive" });
	});

	test("one that dies and comes back", async () => {
		const client = await open(), { port } = authority.server.address();

		await authority.end();
		for (let i = 0; i < 6; i++)
			await client.refused("FORBIDDEN", "join", { channel: "private-back" });
		await once(authority.server.listen(port, "127.0.0.1"), "listening");
		await waitFor(async () => (await client.ask("join", { channel: "private-back" })).type === "channel:joined", "it to be asked again");
	});

	test("an answer holds for a while", async (t) => {
		const other = await start({ env: { ROOST_AUTHORIZE_SECRET: SIGNING_SECRET }, options: { "authorize.cache": "500ms" },
			config: `route "private-*" { class = "pusher" authorize_url = "${authority.url}" }` });

		t.after(() => other.child.kill("SIGKILL"));
		const many = await Promise.all(Array.from({ length: 10 }, () => PusherClient.join(other, "private-a", { token: TOKEN })));
		assert.equal(authority.asked.length, 1);
		await PusherClient.join(other, "private-b", { token: TOKEN });
		assert.equal(authority.asked.length, 2);
		await sleep(600);
		await many[0].ok("leave", { channel: "private-a" });
		await many[0].ok("join", { channel: "private-a" });
		assert.equal(authority.asked.length, 3);
		many.forEach((client) => client.cut());
		await other.stop();
	});
});

describe("an authorize_url of https", { concurrency: false }, () => {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-guards-"));
	const file = (name) => path.join(dir, name);

	/* A certificate that vouches for itself: what a server shows. */
	function certify(name, host) {
		execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", `/CN=${name}`,
			"-addext", `subjectAltName=${host}`, "-keyout", file(`${name}.key`), "-out", file(`${name}.crt`)], { stdio: "ignore" });
		return { key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.crt`)) };
	}

	const shown = certify("shown", "IP:127.0.0.1"), elsewhere = certify("elsewhere", "DNS:auth.example.com");

	certify("stranger", "IP:127.0.0.1");
	after(() => rmSync(dir, { recursive: true, force: true }));

	async function serve(t, tls, ca) {
		const authority = await Authority.listen(tls);
		const daemon = await start({ env: { ROOST_AUTHORIZE_SECRET: SIGNING_SECRET },
			options: { "authorize.cache": 0, ...ca !== undefined && { "authorize.ca_file": ca } },
			config: `route "private-*" { class = "pusher" authorize_url = "${authority.url}" }` });
		const client = await PusherClient.open(daemon);

		t.after(async () => {
			client.cut();
			await daemon.stop();
			await authority.end();
		});
		return { authority, client, daemon };
	}

	test("with a certificate that is vouched for, over one connection", async (t) => {
		writeFileSync(file("many.crt"), ["stranger", "shown"].map((name) => readFileSync(file(`${name}.crt`))).join("by hand\n"));
		const { authority, client } = await serve(t, shown, file("many.crt"));
		let connections = 0;

		authority.server.on("secureConnection", () => connections++);
		for (let i = 0; i < 3; i++)
			await client.ok("join", { channel: `private-${i}` });
		authority.answer = () => ({ authorized: false, reason: "no" });
		assert.equal(await client.refused("FORBIDDEN", "join", { channel: "private-b" }), "no");
		assert.deepEqual([authority.asked.length, connections], [4, 1]);
	});

	for (const [what, tls, ca] of [
		["a stranger's certificate", shown, "stranger.crt"],
		["a certificate that only the system could vouch for", shown, undefined],
		["a certificate of another host", elsewhere, "elsewhere.crt"],
	])
		test(`${what} lets nobody in, and gets no question`, async (t) => {
			const { authority, client, daemon } = await serve(t, tls, ca && file(ca));

			assert.equal(await client.refused("FORBIDDEN", "join", { channel: "private-a" }), "Access denied");
			await daemon.logged(/authorizer https:\S+: SSL: .*: refused|authorizer https:\S+: .*certificate.*: refused/);
			assert.equal(authority.asked.length, 0);
		});

	test("a reload reads the file again", async (t) => {
		copyFileSync(file("stranger.crt"), file("ca.crt"));
		const { client, daemon } = await serve(t, shown, file("ca.crt"));

		await client.refused("FORBIDDEN", "join", { channel: "private-a" });
		writeFileSync(file("ca.crt"), "nothing\n");
		await daemon.reload({ refused: true });
		await daemon.logged(/authorize\.ca_file: \S+: expected certificates in PEM/);
		copyFileSync(file("shown.crt"), file("ca.crt"));
		await daemon.reload();
		await client.ok("join", { channel: "private-a" });
	});
});
