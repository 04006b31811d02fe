// roostctl: its tables and its JSON, what it says when the server says no or is not there, and its tokens.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, ROUTES } from "./cluster.mjs";
import { Client } from "./crowd.mjs";
import { DEV_SECRET, ROOSTD, SECRET, base64url, freePorts, mint, start, waitFor, within } from "./harness.mjs";
import { PusherClient } from "./pusher.mjs";
import { noRedis } from "./redis.mjs";

const ROOSTCTL = process.env.ROOSTCTL ?? path.join(path.dirname(ROOSTD), "roostctl");
const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}";

const dir = mkdtempSync(path.join(tmpdir(), "roostctl-"));
after(() => rmSync(dir, { recursive: true, force: true }));

function keep(name, text, mode = 0o600) {
	const file = path.join(dir, name);

	writeFileSync(file, text, { mode });
	return file;
}

/* Runs it to its end: { code, out, err }. */
async function ctl(args, env = {}) {
	const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ROOST_")));
	const child = spawn(ROOSTCTL, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...inherited, ...env } });
	let out = "", err = "";

	child.stdout.setEncoding("utf8").on("data", (text) => out += text);
	child.stderr.setEncoding("utf8").on("data", (text) => err += text);
	const [code] = await within(once(child, "close"), "roostctl to end");
	assert.doesNotMatch(err, /Sanitizer|runtime error/);
	return { code, out, err };
}

/* What it prints where all is well. */
async function said(args, env) {
	const { code, out, err } = await ctl(args, env);

	assert.deepEqual([code, err], [0, ""]);
	return out;
}

async function join(daemon, topic, user = "u1") {
	const client = await Client.open(daemon.port, { token: mint({ user_id: user }, { key: DEV_SECRET }) });

	return client.join(topic);
}

describe("a node alone", { concurrency: false }, () => {
	let d, url;
	const ask = (...args) => said(["-a", url, ...args]);
	const refused = (...args) => ctl(["-a", url, ...args]);

	before(async () => {
		d = await start({ dev: true, config: ROUTES });
		url = `http://127.0.0.1:${d.adminPort}`;
	});
	after(() => d?.stop());

	test("nodes, as a table and as JSON", async () => {
		const [head, row, ...rest] = (await ask("nodes")).split("\n");

		assert.match(head, /^NODE +UP +HOST +PID +VERSION +LISTEN +CONNECTIONS +CHANNELS +TOPICS +IN\/S +OUT\/S$/);
		assert.match(row, new RegExp(`^\\S+ +true +\\S+ +${d.pid} +\\S+ +127\\.0\\.0\\.1:${d.port} +\\d+ +0 +0 +- +-$`));
		assert.equal(head.indexOf("PID") + 3, row.indexOf(` ${d.pid} `) + 1 + String(d.pid).length, "numbers end below their title");
		assert.deepEqual(rest, [""]);
		assert.equal(JSON.parse(await ask("--json", "nodes")).nodes[0].pid, d.pid);
		assert.equal(JSON.parse(await said(["nodes", "-j"], { ROOST_ADMIN_URL: `${url}/` })).nodes[0].pid, d.pid);
	});

	test("topics, by pattern", async () => {
		const client = await join(d, "room:one");

		await client.join("room:two");
		await client.join("room:three[x]");
		const names = async (...args) => (await ask("topics", ...args)).trimEnd().split("\n").slice(1).map((line) => line.split(" ")[0]);
		assert.deepEqual(await names(), ["room:one", "room:three[x]", "room:two"]);
		assert.deepEqual(await names("room:t*"), ["room:three[x]", "room:two"]);
		assert.deepEqual(await names("*o"), ["room:two"]);
		assert.deepEqual(await names("room:three\\[x]"), ["room:three[x]"]);
		assert.deepEqual(await names("room:one?"), []);
		assert.deepEqual(JSON.parse(await ask("-j", "topics", "room:o*")),
			{ channels: [{ name: "room:one", type: "topic", memberCount: 1, nodes: 1 }] });
		await client.cut();
	});

	test("what clients say may be deep", async () => {
		const deep = `${'{"a":'.repeat(62)}{}${"}".repeat(62)}`, client = await PusherClient.open(d, { token: mint({}, { key: DEV_SECRET }) });

		client.send(`{"type":"join","channel":"presence-deep","userInfo":${deep}}`);
		await client.hears({ type: "channel:joined" });
		await waitFor(async () => (await ask("presence", "presence-deep")).split("\n").length === 3, "it to be there");
		await client.close();
	});

	test("more topics than a page of the API holds", async () => {
		const clients = await Promise.all(Array.from({ length: 11 }, () => join(d, "room:crowd")));

		await Promise.all(clients.map(async (client, k) => {
			for (let i = 0; i < 95; i++)
				await client.join(`room:many:${k}:${i}`);
		}));
		assert.equal((await ask("topics", "room:many:*")).trimEnd().split("\n").length, 1 + 11 * 95);
		await Promise.all(clients.map((client) => client.cut()));
	});

	test("presence", async () => {
		const a = await join(d, "room:seen:p", "ann"), b = await join(d, "room:seen:p", "bob");

		await waitFor(async () => (await ask("presence", "room:seen:p")).split("\n").length === 4, "both to be there");
		const [head, ...rows] = (await ask("presence", "room:seen:p")).trimEnd().split("\n");
		assert.match(head, /^KEY +REF +META$/);
		assert.deepEqual(rows.map((row) => row.match(/^(\S+) +\S+ +(\{"online_at":\d+\})$/)?.[1]).sort(), ["ann", "bob"]);
		assert.deepEqual(Object.keys(JSON.parse(await ask("--json", "presence", "room:seen:p")).presences).sort(), ["ann", "bob"]);
		await Promise.all([a.cut(), b.cut()]);
	});

	test("publish, and history", async () => {
		const client = await join(d, "room:kept:c");

		assert.equal(await ask("publish", "room:live", "note", "{}"), "delivered to 0 on that node\n");
		assert.match(await ask("publish", "room:kept:c", "note", ' {"text":"a\\u0007b", "n": 1} '),
			new RegExp(`^delivered to 1 on that node, id ${UUID}\n$`));
		const [head, row] = (await ask("history", "room:kept:c")).trimEnd().split("\n");
		assert.match(head, /^TIME +ID +USER +EVENT +PAYLOAD$/);
		assert.match(row, new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z +${UUID} +- +note +\\{"text":"a\\\\u0007b","n":1\\}$`));
		assert.equal(JSON.parse(await ask("--json", "history", "room:kept:c")).messages[0].payload.n, 1);
		await client.cut();
	});

	test("kick", async () => {
		const client = await join(d, "room:k", "a user/é");

		assert.equal(await ask("kick", "a user/é"), "disconnected 1\n");
		await within(client.closed, "the client to be closed");
		assert.equal(client.code, 1001);
		assert.deepEqual(JSON.parse(await ask("--json", "kick", "a user/é")), { disconnected: 0 });
	});

	test("the server says no", async () => {
		const no = async (pattern, ...args) => {
			const { code, out, err } = await refused(...args);
			assert.deepEqual([code, out], [1, ""]);
			assert.match(err, pattern);
		};

		await no(/^roostctl: this topic keeps no history\n$/, "history", "room:a");
		await no(/reserved/, "publish", "room:a", "phx_close", "{}");
		await no(/no route/, "publish", "nowhere", "a", "{}");
		await no(/1 to 256 bytes/, "presence", "a\nb");
		await no(/Authorization/, "-K", keep("wrong.key", "no-key-of-this-server\n"), "nodes");
		const { code, err } = await ctl(["-a", `http://127.0.0.1:${d.port}/demo`, "nodes"]);
		assert.equal(code, 1);
		assert.match(err, /not as roostd does/);
	});

	test("what it does not understand", async () => {
		for (const args of [[], ["nothing"], ["nodes", "x"], ["presence"], ["publish", "a", "b"], ["publish", "a", "b", "[]"],
			["publish", "a", "b", "{"], ["--nonsense"], ["-a"], ["token", "--claim", "x"], ["token", "--ttl", "soon"],
			["-K", path.join(dir, "missing"), "nodes"], ["token", "-k", path.join(dir, "missing")]]) {
			const { code, out, err } = await refused(...args);
			assert.deepEqual([code, out], [2, ""], args.join(" "));
			assert.notEqual(err, "");
		}
		assert.match(await said(["-h"]), /^usage: roostctl/);
		assert.match(await said(["--version"]), /^roostctl \d/);
	});

	test("nobody there", async () => {
		const [free] = await freePorts(1);

		for (const at of [`http://127.0.0.1:${free}`, `unix:${path.join(dir, "nobody")}`]) {
			const { code, out, err } = await ctl(["-a", at, "nodes"]);
			assert.deepEqual([code, out], [69, ""]);
			assert.ok(err.startsWith(`roostctl: ${at}: `), err);
		}
	});
});

test("a unix socket, and keys from a file or the environment", async () => {
	const socket = path.join(dir, "admin.sock"), key = "the-key-of-this-very-server";
	const file = keep("api.key", `${key}\n`);
	const d = await start({ args: ["--admin-listen", `unix:${socket}`], options: { "admin.api_key_file": file } });

	await waitFor(() => existsSync(socket), "the socket");
	const pid = async (args, env) => JSON.parse(await said(["-a", `unix:${socket}`, "-j", ...args, "nodes"], env)).nodes[0].pid;
	assert.equal(await pid(["-K", file]), d.pid);
	assert.equal(await pid([], { ROOST_API_KEY: key }), d.pid);
	assert.equal(await pid([`--api-key-file=${file}`], { ROOST_API_KEY: "another", http_proxy: "http://127.0.0.1:1" }), d.pid);
	await d.stop();
});

describe("tokens", () => {
	/* Head and claims of a token, whose signature is right. */
	function opened(token, secret) {
		const [head, body, signature] = token.trimEnd().split(".");

		assert.equal(signature, base64url(createHmac("sha256", secret).update(`${head}.${body}`).digest()));
		assert.deepEqual(JSON.parse(Buffer.from(head, "base64url")), { alg: "HS256", typ: "JWT" });
		return JSON.parse(Buffer.from(body, "base64url"));
	}

	test("what is in them", async () => {
		const { iat, exp, ...rest } = opened(await said(["token", "--user", "é 7", "--ttl", "90", "--claim", "role=admin",
			"--claim", 'teams=["a","b"]', "--claim", "n=1", "--claim", "text=1 2"]), DEV_SECRET);

		assert.equal(exp - iat, 90);
		assert.ok(Math.abs(Date.now() / 1000 - iat) < 60);
		assert.deepEqual(rest, { user_id: "é 7", sub: "é 7", role: "admin", teams: ["a", "b"], n: 1, text: "1 2" });
		assert.equal(opened(await said(["token", "--claim", "sub=x"]), DEV_SECRET).sub, "x");
		const { code, out, err } = await ctl(["--json", "token"]);
		assert.deepEqual([code, err], [0, "roostctl: the token names no user (--user ID), so servers refuse it\n"]);
		const nobody = opened(JSON.parse(out).token, DEV_SECRET);
		assert.deepEqual([Object.keys(nobody).sort(), nobody.exp - nobody.iat], [["exp", "iat"], 12 * 3600]);
	});

	test("the secret from a file or the environment; the server takes them", async () => {
		const file = keep("secret", `${SECRET}\n`);
		const d = await start();

		for (const token of [await said(["token", "--user", "u", "-k", file]), await said(["token", "--user", "u"], { ROOST_AUTH_SECRET: SECRET })]) {
			assert.equal(opened(token, SECRET).user_id, "u");
			const client = await Client.open(d.port, { token: token.trimEnd() });
			await client.join("room:a");
			await client.cut();
		}
		await d.stop();
	});

	test("a file that is no secret", async () => {
		const pem = await ctl(["token", "-k", keep("key.pem", "-----BEGIN PUBLIC KEY-----\n")]);
		const open = await ctl(["token", "-k", keep("open", SECRET, 0o644)]);

		assert.deepEqual([pem.code, open.code, pem.out, open.out], [2, 2, "", ""]);
		assert.match(pem.err, /HMAC/);
		assert.match(open.err, /readable by others/);
	});
});

test("three nodes, seen from one", { skip: noRedis }, async (t) => {
	const key = keep("cluster.key", "one-key-for-all-of-them\n");
	const c = await Cluster.serve(t, { options: { "admin.api_key_file": key } });
	const ask = (...args) => said(["-a", `http://127.0.0.1:${c.node("n1").adminPort}`, "-K", key, ...args]);
	const client = await Client.open(c.node("n3").port, { token: mint({ user_id: "far" }) });

	await client.join("room:far");
	assert.deepEqual((await ask("nodes")).match(/^n\d/gm).sort(), ["n1", "n2", "n3"]);
	assert.match(await ask("topics", "room:f*"), /^room:far +topic +1 +1$/m);
	c.pause("n2");
	const url = `http://127.0.0.1:${c.node("n1").adminPort}`, silent = "roostctl: nodes that have not answered: 1\n";
	const [topics, kick] = await Promise.all([ctl(["-a", url, "-K", key, "topics"]), ctl(["-a", url, "-K", key, "kick", "nobody"])]);
	c.resume("n2");
	assert.match(topics.out, /^room:far +topic +1 +1$/m);
	assert.deepEqual([topics.code, topics.err, kick], [0, silent, { code: 0, out: "disconnected 0\n", err: silent }]);
	await c.met();
	assert.equal(await ask("kick", "far"), "disconnected 1\n");
	await within(client.closed, "the client to be closed");
	assert.equal(client.code, 1001);
});
