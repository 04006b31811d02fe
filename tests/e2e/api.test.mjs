// The HTTP API: who may call, what is refused and how, a node alone, several nodes, and Redis away.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, ROUTES, SLACK } from "./cluster.mjs";
import { Client } from "./crowd.mjs";
import { DEV_SECRET, PATIENCE, mint, start, waitFor, within } from "./harness.mjs";
import { OP, Wire, frame } from "./raw.mjs";
import { noRedis } from "./redis.mjs";

const DEV_KEY = "roost-dev-key";
const KEY = "a key of the API, but without blanks".replaceAll(" ", "-");
const JSON_TYPE = { "Content-Type": "application/json" };

/* { status, headers, body }, the body parsed. */
function ask(port, method, target, { key = DEV_KEY, body, headers = body === undefined ? {} : JSON_TYPE } = {}) {
	const authorization = key === null ? {} : { Authorization: `Bearer ${key}` };

	return within(new Promise((resolve, reject) => {
		const request = http.request({ host: "127.0.0.1", port, method, path: target, agent: false,
			headers: { ...authorization, ...headers } }, (answer) => {
			let text = "";
			answer.setEncoding("utf8").on("data", (chunk) => text += chunk);
			answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers,
				body: text === "" ? null : JSON.parse(text) }));
		});
		request.on("error", reject);
		request.end(typeof body === "object" ? JSON.stringify(body) : body);
	}), `an answer to ${method} ${target}`);
}

async function fine(...args) {
	const { status, headers, body } = await ask(...args);

	assert.equal(status, 200, JSON.stringify(body));
	assert.equal(headers["content-type"], "application/json");
	return body;
}

async function refused(status, code, ...args) {
	const got = await ask(...args);

	assert.deepEqual([got.status, got.body?.error?.code], [status, code], JSON.stringify(got.body));
	assert.equal(got.headers["content-type"], "application/json");
	assert.equal(typeof got.body.error.message, "string");
	return got;
}

const channel = (topic, rest = "") => `/api/channels/${encodeURIComponent(topic)}${rest}`;
const post = (port, topic, event, data, options) =>
	fine(port, "POST", channel(topic, "/messages"), { body: { event, data }, ...options });

/* What the class pusher adds to ROUTES, and the ids of the connections that are present in a topic of it. */
const PUSHER = ["public", "private", "presence"].map((kind) => `route "${kind}-*" { class = "pusher" }\n`).join("");
const connections = async (...args) => (await fine(...args)).members.map(({ clientId }) => clientId);

/* A joined client of that user, and the events it hears: [event, payload]. */
async function join(daemon, topic, { user = "u1", secret } = {}) {
	const heard = [];
	const token = mint({ user_id: user }, secret === undefined ? {} : { key: secret });
	const client = await Client.open(daemon.port, { token, onText: (bytes) => {
		const [, , , event, payload] = JSON.parse(bytes);
		heard.push([event, payload]);
	} });

	await client.join(topic);
	client.heard = (name) => heard.filter(([event]) => event === name).map(([, payload]) => payload);
	return client;
}

describe("who may call", { concurrency: false }, () => {
	test("without a key and --dev the API is closed", async () => {
		const d = await start();

		await refused(403, "FORBIDDEN", d.adminPort, "GET", "/api/nodes", { key: null });
		await refused(403, "FORBIDDEN", d.adminPort, "GET", "/api/nodes");
		assert.equal((await d.get("/api/nodes")).status, 404, "on a public address");
		await d.stop();
	});

	test("more calls a second than admin.max_rate", async () => {
		const d = await start({ dev: true, config: "admin { max_rate = 3 }\n" });
		const nodes = (key) => ask(d.adminPort, "GET", "/api/nodes", { key });
		const statuses = [];

		for (let i = 0; i < 10; i++)
			assert.equal((await nodes("no")).status, 401, "who may not call takes nothing from who may");
		for (let i = 0; i < 6; i++)
			statuses.push((await nodes(DEV_KEY)).status);
		assert.deepEqual(statuses.slice(0, 3), [200, 200, 200]);
		assert.ok(statuses.includes(429), statuses.join());
		await waitFor(async () => (await nodes(DEV_KEY)).status === 200, "a second to pass");
		for (let i = 0, got; got?.status !== 429; i++) {
			assert.ok(i < 10);
			got = await nodes(DEV_KEY);
			if (got.status === 429)
				assert.deepEqual([got.headers["retry-after"], got.body.error.code], ["1", "RATE_LIMITED"]);
		}
		d.configure("");
		await d.reload();
		for (let i = 0; i < 20; i++)
			assert.equal((await nodes(DEV_KEY)).status, 200);
		await d.stop();
	});

	test("a key from a file, and another one after a reload", async () => {
		const d = await start({ config: "" });
		const file = d.file("api.key");
		const nodes = (key) => ask(d.adminPort, "GET", "/api/nodes", { key }).then(({ status }) => status);

		writeFileSync(file, `${KEY}\n`, { mode: 0o600 });
		d.configure(`admin { api_key_file = "${file}" }\n`);
		await d.reload();
		assert.equal(await nodes(KEY), 200);
		for (const key of [null, "", `${KEY}x`, KEY.slice(1), DEV_KEY])
			assert.equal(await nodes(key), 401, key);
		const { headers } = await refused(401, "UNAUTHORIZED", d.adminPort, "GET", "/api/nodes", { key: "no" });
		assert.equal(headers["www-authenticate"], "Bearer");

		writeFileSync(file, `${KEY}-2\n`);
		assert.equal(await nodes(KEY), 200, "until the reload");
		await d.reload();
		assert.deepEqual([await nodes(KEY), await nodes(`${KEY}-2`)], [401, 200]);

		writeFileSync(file, "short\n");
		assert.match(await d.reload({ refused: true }), /admin\.api_key_file: .*16 to 1024/);
		assert.equal(await nodes(`${KEY}-2`), 200, "a reload that is refused changes nothing");
		assert.ok(!d.log.includes(KEY), "a key in the log");
		await d.stop();
	});
});

describe("an admin's token", { concurrency: false }, () => {
	const admin = (claims, options) => mint({ user_id: "op", ...claims }, options);
	const status = (d, key) => ask(d.adminPort, "GET", "/api/nodes", { key }).then((got) => got.status);

	test("is as good as the key, if it has the claim", async () => {
		const d = await start({ options: { "admin.claim": "role = admin" } });

		assert.equal(await status(d, admin({ role: "admin" })), 200);
		assert.equal((await ask(d.adminPort, "GET", "/api/nodes", { key: null })).status, 401);
		for (const token of [admin({}), admin({ role: "user" }), admin({ role: ["admin"] }), admin({ role: "{user}" }), admin({ role: null })])
			assert.equal(await status(d, token), 403, token);
		for (const token of [admin({ role: "admin", exp: 1 }), admin({ role: "admin" }, { key: "another secret of another server" }),
			`${admin({ role: "admin" })}x`, admin({ role: "admin" }).replace(/[^.]*$/, ""), "", "role = admin", DEV_KEY])
			assert.equal(await status(d, token), 401, token);
		assert.equal((await d.get("/api/nodes")).status, 404, "on a public address");
		await d.stop();
	});

	test("beside a key, and after a reload", async () => {
		const d = await start({ config: "" });
		const file = d.file("api.key"), token = admin({ app: { roles: ["ops", "admin"] } });

		writeFileSync(file, KEY, { mode: 0o600 });
		d.configure(`admin { api_key_file = "${file}" claim = "app.roles contains admin" }\n`);
		await d.reload();
		assert.deepEqual([await status(d, KEY), await status(d, token), await status(d, admin({}))], [200, 200, 403]);
		d.configure('admin { claim = "role is admin" }\n');
		assert.match(await d.reload({ refused: true }), /admin\.claim: /);
		assert.equal(await status(d, token), 200, "a reload that is refused changes nothing");
		d.configure(`admin { api_key_file = "${file}" }\n`);
		await d.reload();
		assert.deepEqual([await status(d, KEY), await status(d, token)], [200, 401]);
		await d.stop();
	});
});

describe("a node alone, with --dev", { concurrency: false }, () => {
	let d;

	before(async () => { d = await start({ dev: true, config: ROUTES + PUSHER, options: { "limits.max_message": 4096 } }); });
	after(() => d?.stop());

	test("the public address answers, too", async () => {
		const { nodes: [node] } = await fine(d.port, "GET", "/api/nodes");

		assert.equal(node.pid, d.pid);
		assert.equal(node.up, true);
		assert.equal(node.listen, `127.0.0.1:${d.port}`);
	});

	test("what is refused, and how", async () => {
		const messages = channel("room:a", "/messages");
		const no = (status, code, method, target, options) => refused(status, code, d.adminPort, method, target, options);

		await no(404, "NOT_FOUND", "GET", "/api");
		await no(404, "NOT_FOUND", "GET", "/api/");
		await no(404, "NOT_FOUND", "GET", "/api/nodes/");
		await no(404, "NOT_FOUND", "GET", "/api/channels//members");
		await no(404, "NOT_FOUND", "GET", channel("room:a", "/nothing"));
		assert.equal((await no(405, "METHOD_NOT_ALLOWED", "GET", messages)).headers.allow, "POST");
		assert.equal((await no(405, "METHOD_NOT_ALLOWED", "POST", "/api/nodes")).headers.allow, "GET, HEAD");
		assert.equal((await no(405, "METHOD_NOT_ALLOWED", "PUT", "/api/users/u1/connections")).headers.allow, "DELETE");
		await no(415, "UNSUPPORTED_MEDIA_TYPE", "POST", messages, { body: "{}", headers: {} });
		await no(415, "UNSUPPORTED_MEDIA_TYPE", "POST", messages, { body: "{}", headers: { "Content-Type": "text/json" } });
		await no(411, "LENGTH_REQUIRED", "POST", messages, { body: "{}", headers: { ...JSON_TYPE, "Transfer-Encoding": "chunked" } });
		await no(413, "TOO_LARGE", "POST", messages, { body: { event: "x", data: { a: "x".repeat(5000) } } });
		for (const body of ["", "{", "{} {}", "{'event':1}", '{"event":NaN}'])
			await no(400, "INVALID_JSON", "POST", messages, { body, headers: JSON_TYPE });
		for (const body of [[], {}, { event: 1 }, { event: "" }, { event: "x".repeat(129) }, { event: "a\nb" }])
			await no(422, "INVALID", "POST", messages, { body });
		for (const event of ["phx_join", "phx_close", "presence_state", "presence_diff", "system", "token_expiring", "message_deleted"])
			await no(422, "INVALID", "POST", messages, { body: { event, data: {} } });
		for (const name of ["%00", "a%0Ab", "%7F", "%ff", "%zz", "x".repeat(257)])
			await no(422, "INVALID", "GET", `/api/channels/${name}/members`);
		await no(404, "NOT_FOUND", "POST", channel("nowhere:1", "/messages"), { body: { event: "x", data: {} } });
		await no(404, "NOT_FOUND", "GET", channel("room:a", "/history"));
		await no(405, "METHOD_NOT_ALLOWED", "GET", "/api/broadcast");
		await no(405, "METHOD_NOT_ALLOWED", "POST", "/api/stats");
		await no(405, "METHOD_NOT_ALLOWED", "GET", "/api/connections/1-1");
		for (const channels of [undefined, null, {}, [], "room:a", [1], [null], [""], ["a\nb"], ["x".repeat(257)], ["room:a", "room:a"],
			Array.from({ length: 101 }, (_, i) => `room:${i}`)])
			await no(422, "INVALID", "POST", "/api/broadcast", { body: { event: "x", channels } });
		await no(422, "INVALID", "POST", "/api/broadcast", { body: { channels: ["room:a"] } });
		await no(404, "NOT_FOUND", "POST", "/api/broadcast", { body: { event: "x", channels: ["room:a", "nowhere:1"] } });
		await no(400, "INVALID_JSON", "POST", "/api/broadcast", { body: '{"channels":["room:a"', headers: JSON_TYPE });
		await no(422, "INVALID", "GET", channel("room:kept:a", "/history?limit=101"));
		await no(422, "INVALID", "GET", channel("room:kept:a", "/history?limit=0"));
		await no(422, "INVALID", "GET", channel("room:kept:a", "/history?before=x"));
		for (const id of ["x", "019aa7b2-0000-7000-8000-000000000000"])
			await no(404, "NOT_FOUND", "DELETE", channel("room:kept:a", `/messages/${id}`));
		await no(404, "NOT_FOUND", "DELETE", channel("room:a", "/messages/019aa7b2-0000-7000-8000-000000000000"));
		await no(404, "NOT_FOUND", "DELETE", channel("nowhere:1", "/messages/019aa7b2-0000-7000-8000-000000000000"));
		await no(404, "NOT_FOUND", "DELETE", channel("room:kept:a", "/messages/"));
		await no(422, "INVALID", "DELETE", channel("room:kept:a", "/messages/%00"));
		await no(405, "METHOD_NOT_ALLOWED", "GET", channel("room:kept:a", "/messages/x"));
		await no(422, "INVALID", "GET", "/api/channels?type=x");
		await no(422, "INVALID", "GET", "/api/channels?limit=-1");
	});

	test("a body that is not UTF-8", async () => {
		const wire = await Wire.connect(d.adminPort);

		wire.write(Buffer.concat([Buffer.from(`POST ${channel("room:a", "/messages")} HTTP/1.1\r\nHost: a\r\n` +
			`Authorization: bearer ${DEV_KEY}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 13\r\n\r\n` +
			'{"event":"'), Buffer.from([0xff]), Buffer.from('"}')]));
		assert.equal((await wire.response()).status, 400);
		wire.destroy();
	});

	test("a message reaches all clients as it was written", async () => {
		const began = Date.now();
		const [a, b] = await Promise.all(["u1", "u2"].map((user) => join(d, "room:a/b é", { user, secret: DEV_SECRET })));

		assert.deepEqual(await fine(d.adminPort, "POST", channel("room:a/b é", "/messages"), {
			body: ' {"event":"note","data":{"n":1.10,"s":"\\u00e9"}} ' }), { delivered: 2 });
		await waitFor(() => a.heard("note").length === 1 && b.heard("note").length === 1, "both to hear it");
		assert.deepEqual(a.heard("note"), [{ n: 1.1, s: "é" }]);
		const { createdAt, ...rest } = await fine(d.adminPort, "GET", channel("room:a/b é"));
		assert.deepEqual(rest, { name: "room:a/b é", type: "topic", memberCount: 2, nodes: 1, members: [] });
		assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
		assert.ok(Date.parse(createdAt) >= began && Date.parse(createdAt) <= Date.now(), createdAt);
		await Promise.all([a.cut(), b.cut()]);
		await waitFor(async () => (await ask(d.adminPort, "GET", channel("room:a/b é"))).status === 404, "nobody to be there");
	});

	test("data of any kind, which is wrapped where it is no object", async () => {
		const a = await join(d, "room:any", { secret: DEV_SECRET });
		const any = [[1, { a: [] }], "text", 1.5, true, null];

		for (const data of any)
			await post(d.adminPort, "room:any", "note", data);
		await fine(d.adminPort, "POST", channel("room:any", "/messages"), { body: { event: "note" } });
		await waitFor(() => a.heard("note").length === any.length + 1, "all of them");
		assert.deepEqual(a.heard("note"), [...any.map((data) => ({ data })), {}]);
		await a.cut();
	});

	test("one message to several topics", async () => {
		const [a, b] = [await join(d, "room:b:1", { secret: DEV_SECRET }), await join(d, "room:kept:b2", { secret: DEV_SECRET })];
		const channels = ["room:b:1", "room:kept:b2", "room:b:\u00e9", ...Array.from({ length: 97 }, (_, i) => `room:many:${i}`)];
		const { delivered, failed } = await fine(d.adminPort, "POST", "/api/broadcast", { body: { channels, event: "note", data: { n: 1 } } });

		assert.equal(failed, undefined);
		assert.deepEqual(Object.keys(delivered), channels);
		assert.deepEqual(channels.map((name) => delivered[name]), [1, 1, ...Array(98).fill(0)]);
		await waitFor(() => a.heard("note").length === 1 && b.heard("note").length === 1, "both to hear it");
		assert.deepEqual([a.heard("note")[0].n, b.heard("note")[0].n], [1, 1]);
		assert.equal((await fine(d.adminPort, "GET", channel("room:kept:b2", "/history"))).messages.length, 1);
		await Promise.all([a.cut(), b.cut()]);
	});

	test("a connection is disconnected, and no other one of its user", async () => {
		const [a, b] = [await join(d, "presence-kick", { secret: DEV_SECRET }), await join(d, "presence-kick", { secret: DEV_SECRET })];
		const ids = () => connections(d.adminPort, "GET", channel("presence-kick", "/members"));

		await waitFor(async () => (await ids()).length === 2, "both to be there");
		const [first] = await ids();
		assert.match(first, /^[0-9a-f]{8}-[0-9a-f]+$/);
		assert.deepEqual(await fine(d.adminPort, "DELETE", `/api/connections/${first}`), { disconnected: 1 });
		await within(Promise.race([a.closed, b.closed]), "one to be closed");
		assert.deepEqual([a.code, b.code].sort(), [1001, null]);
		assert.deepEqual(await fine(d.adminPort, "DELETE", `/api/connections/${first}`), { disconnected: 0 });
		for (const id of ["x", "u1", `${first}0`, first.slice(0, -1), "%20"])
			assert.deepEqual(await fine(d.adminPort, "DELETE", `/api/connections/${id}`), { disconnected: 0 }, id);
		await Promise.all([a.cut(), b.cut()]);
	});

	test("a long poll is disconnected by its id, too", async () => {
		const at = (rest) => `${d.httpUrl}/socket/longpoll?vsn=2.0.0&token=${rest}`;
		const { token } = await (await fetch(at(mint({ user_id: "lp" }, { key: DEV_SECRET })))).json();
		const ids = () => connections(d.adminPort, "GET", channel("presence-poll", "/members"));

		await fetch(at(encodeURIComponent(token)), { method: "POST", headers: { "Content-Type": "application/x-ndjson" },
			body: '["1","1","presence-poll","phx_join",{}]' });
		await waitFor(async () => (await ids()).length === 1, "it to be there");
		assert.deepEqual(await fine(d.adminPort, "DELETE", `/api/connections/${(await ids())[0]}`), { disconnected: 1 });
		await waitFor(async () => (await ids()).length === 0, "it to be gone");
	});

	test("the numbers", async () => {
		const m = await join(d, "public-s", { secret: DEV_SECRET });

		await Promise.all(["private-s", "presence-s", "presence-t", "room:s"].map((topic) => m.join(topic)));
		await waitFor(async () => (await fine(d.adminPort, "GET", "/api/stats")).clients === 1, "the others to be gone");
		assert.deepEqual(await fine(d.adminPort, "GET", "/api/stats"), { channels: 5, totalMembers: 5,
			byType: { topic: 1, public: 1, private: 1, presence: 2 }, clients: 1, nodes: 1 });
		await m.cut();
	});

	test("topics in pages, by prefix", async () => {
		const names = Array.from({ length: 7 }, (_, i) => `room:page:${i}`);
		const client = await join(d, "room:other", { secret: DEV_SECRET });
		const found = [];

		for (const name of [...names].reverse())
			await client.join(name);
		for (let cursor = ""; cursor !== null;) {
			const page = await fine(d.adminPort, "GET",
				`/api/channels?prefix=room%3Apage%3A&limit=3&cursor=${encodeURIComponent(cursor)}`);
			assert.ok(page.channels.length <= 3);
			found.push(...page.channels);
			cursor = page.next;
		}
		assert.deepEqual(found, names.map((name) => ({ name, type: "topic", memberCount: 1, nodes: 1 })));
		assert.deepEqual(await fine(d.adminPort, "GET", "/api/channels?type=private"), { channels: [], next: null });
		await client.cut();
	});

	test("members, with their metas", async () => {
		const client = await join(d, "room:seen:a", { user: "u7", secret: DEV_SECRET });
		const read = () => fine(d.adminPort, "GET", channel("room:seen:a", "/members"));

		await waitFor(async () => (await read()).members.length === 1, "the member");
		const { members: [member], presences } = await read();
		assert.equal(member.id, "u7");
		assert.equal(typeof member.online_at, "number");
		assert.ok(!("phx_ref" in member));
		assert.deepEqual(Object.keys(presences), ["u7"]);
		assert.equal(typeof presences.u7.metas[0].phx_ref, "string");
		assert.equal((await fine(d.adminPort, "GET", channel("room:seen:a"))).memberCount, 1);
		await client.cut();
		assert.deepEqual(await fine(d.adminPort, "GET", channel("room:nobody", "/members")), { members: [], presences: {} });
	});

	test("no meta stands for another's id, however it is spelt", async () => {
		const topic = "presence:room:ids", client = await join(d, topic, { user: "u7", secret: DEV_SECRET });
		const read = async () => (await fine(d.adminPort, "GET", channel(topic, "/members"))).members;

		client.write(frame(OP.text, `[null,"9","${topic}","update_status",{"\\u0069d":"u1","mood":"fine"}]`));
		await waitFor(async () => (await read())[0]?.mood === "fine", "the update");
		assert.deepEqual((await read()).map((who) => who.id), ["u7"]);
		await client.cut();
	});

	test("a topic that keeps messages", async () => {
		const client = await join(d, "room:kept:h", { secret: DEV_SECRET });
		const ids = [];

		for (let i = 0; i < 5; i++) {
			const { delivered, id } = await post(d.adminPort, "room:kept:h", "note", { i });
			assert.equal(delivered, 1);
			ids.push(id);
		}
		await waitFor(() => client.heard("note").length === 5, "all to be heard");
		assert.deepEqual(client.heard("note").map(({ id }) => id), ids);
		const read = (query) => fine(d.adminPort, "GET", channel("room:kept:h", `/history${query}`));
		const all = await read("");
		assert.deepEqual(all.messages.map(({ id, event, payload, user_id }) => ({ id, event, payload, user_id })),
			ids.map((id, i) => ({ id, event: "note", payload: { i }, user_id: null })));
		assert.equal(all.has_more, false);
		const page = await read("?limit=2");
		assert.deepEqual([page.messages.map(({ id }) => id), page.has_more], [ids.slice(3), true]);
		const older = await read(`?limit=5&before=${ids[3]}`);
		assert.deepEqual([older.messages.map(({ id }) => id), older.has_more], [ids.slice(0, 3), false]);
		assert.deepEqual(await fine(d.adminPort, "DELETE", channel("room:kept:h", `/messages/${ids[4]}`)), { deleted: true });
		await waitFor(() => client.heard("message_deleted").length === 1, "word of it");
		assert.deepEqual(client.heard("message_deleted"), [{ id: ids[4] }]);
		assert.deepEqual((await read("")).messages.map(({ event }) => event), [...Array(4).fill("note"), "message_deleted"]);
		await refused(404, "NOT_FOUND", d.adminPort, "DELETE", channel("room:kept:h", `/messages/${ids[4]}`));
		const { id } = await post(d.adminPort, "room:kept:h", "note", { i: 5 });
		await waitFor(() => client.heard("note").at(-1).id === id, "the next one");
		assert.deepEqual(client.heard("system"), []);
		await client.cut();
	});

	test("a user is disconnected with 1001", async () => {
		const [a, b, c] = await Promise.all(["kick/me", "kick/me", "stay"].map((user) => join(d, "room:k", { user, secret: DEV_SECRET })));

		assert.deepEqual(await fine(d.adminPort, "DELETE", "/api/users/kick%2Fme/connections"), { disconnected: 2 });
		await within(Promise.all([a.closed, b.closed]), "both to be closed");
		assert.deepEqual([a.code, b.code, c.code], [1001, 1001, null]);
		assert.deepEqual(await fine(d.adminPort, "DELETE", "/api/users/kick%2Fme/connections"), { disconnected: 0 });
		await c.cut();
	});

	test("HEAD, and requests on one connection", async () => {
		const wire = await Wire.connect(d.adminPort);
		const head = (method) => `${method} /api/nodes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${DEV_KEY}\r\n\r\n`;

		wire.write(head("GET") + head("GET"));
		assert.equal((await wire.response()).status, 200);
		assert.equal((await wire.response()).status, 200);
		wire.destroy();
		assert.deepEqual([(await ask(d.adminPort, "HEAD", "/api/nodes")).status], [200]);
	});
});

describe("three nodes", { skip: noRedis, concurrency: false }, () => {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-api-"));
	const file = path.join(dir, "api.key");
	let c;
	const port = (id) => c.node(id).adminPort;
	const call = (id, method, target, options) => fine(port(id), method, target, { key: KEY, ...options });
	const say = (id, topic, event, data) => post(port(id), topic, event, data, { key: KEY });

	before(async () => {
		writeFileSync(file, KEY, { mode: 0o600 });
		c = await Cluster.start({ config: ROUTES + PUSHER, options: { "admin.api_key_file": file, "redis.timeout": "1s" } });
	});
	after(async () => {
		await c?.end();
		rmSync(dir, { recursive: true, force: true });
	});

	const subscribed = (topic, nodes) => waitFor(async () =>
		(await c.redis.command("PUBSUB", "NUMSUB", `roost:t:{${topic}}`))[1] === nodes, `${nodes} nodes to hear ${topic}`);

	async function everywhere(topic, users = ["u1", "u2", "u3"]) {
		const all = await Promise.all(["n1", "n2", "n3"].map((id, i) => join(c.node(id), topic, { user: users[i] })));

		await subscribed(topic, 3);
		return all;
	}

	test("the nodes", async () => {
		const { nodes } = await call("n2", "GET", "/api/nodes");

		assert.deepEqual(nodes.map(({ node, up, pid }) => [node, up, pid]).sort(),
			["n1", "n2", "n3"].map((id) => [id, true, c.node(id).pid]));
	});

	test("a message reaches clients of all nodes, once", async () => {
		const all = await everywhere("room:api");

		assert.deepEqual(await say("n1", "room:api", "note", { n: 1 }), { delivered: 3 });
		assert.deepEqual(await say("n2", "room:api", "note", { n: 2 }), { delivered: 3 });
		await waitFor(() => all.every((m) => m.heard("note").length === 2), "everyone to hear both");
		await Promise.all(all.map((m) => m.cut()));
	});

	test("a message is kept, and the same everywhere", async () => {
		const all = await everywhere("room:kept:api");
		const said = [await say("n1", "room:kept:api", "note", { n: 1 }), await say("n3", "room:kept:api", "note", { n: 2 })];

		await waitFor(() => all.every((m) => m.heard("note").length === 2), "everyone to hear both");
		for (const m of all)
			assert.deepEqual(m.heard("note").map(({ id }) => id), said.map(({ id }) => id));
		for (const id of ["n1", "n2", "n3"])
			assert.deepEqual((await call(id, "GET", channel("room:kept:api", "/history"))).messages.map((m) => m.id),
				said.map((m) => m.id));
		await Promise.all(all.map((m) => m.cut()));
	});

	test("a message is deleted: everyone is told, and nobody has missed anything", async () => {
		const all = await everywhere("room:kept:gone");
		const said = [];

		for (let n = 0; n < 3; n++)
			said.push((await say("n1", "room:kept:gone", "note", { n })).id);
		await waitFor(() => all.every((m) => m.heard("note").length === 3), "everyone to hear all");
		for (const id of [said[2], said[0]])
			assert.deepEqual(await call("n2", "DELETE", channel("room:kept:gone", `/messages/${id.toUpperCase()}`)), { deleted: true });
		await refused(404, "NOT_FOUND", port("n3"), "DELETE", channel("room:kept:gone", `/messages/${said[0]}`), { key: KEY });
		said.push((await say("n3", "room:kept:gone", "note", { n: 3 })).id);
		await waitFor(() => all.every((m) => m.heard("note").length === 4), "everyone to hear the next");
		for (const m of all) {
			assert.deepEqual(m.heard("message_deleted"), [{ id: said[2] }, { id: said[0] }]);
			assert.deepEqual(m.heard("system"), []);
		}
		for (const id of ["n1", "n2", "n3"])
			assert.deepEqual((await call(id, "GET", channel("room:kept:gone", "/history"))).messages
				.map((m) => m.event === "note" ? m.id : m.payload), [said[1], { id: said[2] }, { id: said[0] }, said[3]]);
		await Promise.all(all.map((m) => m.cut()));
	});

	test("a topic without clients here takes messages, too", async () => {
		const m = await join(c.node("n1"), "room:far");

		await subscribed("room:far", 1);
		assert.deepEqual(await say("n2", "room:far", "note", {}), { delivered: 1 });
		await waitFor(() => m.heard("note").length === 1, "the message");
		await m.cut();
	});

	test("topics and members of all nodes, seen from any", async () => {
		const m = await join(c.node("n1"), "room:seen:*[api]?", { user: "u9" });

		for (const id of ["n1", "n2", "n3"]) {
			await waitFor(async () =>
				(await call(id, "GET", channel("room:seen:*[api]?", "/members"))).members.some((who) => who.id === "u9"),
			`${id} to see it`, PATIENCE);
			const { channels } = await call(id, "GET", `/api/channels?prefix=${encodeURIComponent("room:seen:*[")}`);
			assert.deepEqual(channels, [{ name: "room:seen:*[api]?", type: "topic", memberCount: 1, nodes: 1 }]);
			const { members, memberCount, createdAt } = await call(id, "GET", channel("room:seen:*[api]?"));
			assert.deepEqual([members.length, memberCount, createdAt !== null], [1, 1, true]);
		}
		await m.cut();
	});

	test("a user is disconnected on all nodes within a second", async () => {
		const all = await everywhere("room:kick", ["gone", "gone", "stays"]);
		const began = Date.now();

		assert.deepEqual(await call("n3", "DELETE", "/api/users/gone/connections"), { disconnected: 2 });
		assert.ok(Date.now() - began < 1000 + SLACK);
		await within(Promise.all([all[0].closed, all[1].closed]), "both to be closed");
		assert.deepEqual(all.map((m) => m.code), [1001, 1001, null]);
		await all[2].cut();
	});

	test("a node that does not answer is counted", async () => {
		const m = await join(c.node("n3"), "presence-silent");
		const ids = () => connections(port("n1"), "GET", channel("presence-silent", "/members"), { key: KEY });

		await waitFor(async () => (await ids()).length === 1, "n1 to see the connection");
		const [id] = await ids();
		c.pause("n2");
		const { disconnected, silent } = await call("n1", "DELETE", "/api/users/nobody/connections");
		const found = await call("n1", "DELETE", `/api/connections/${id}`);
		const lost = await call("n1", "DELETE", `/api/connections/${id}`);
		c.resume("n2");
		assert.deepEqual([disconnected, silent], [0, 1]);
		assert.deepEqual(found, { disconnected: 1 }, "nobody else could have had it");
		assert.deepEqual(lost, { disconnected: 0, silent: 1 });
		await within(m.closed, "it to be closed");
		await c.met();
	});

	test("one message to several topics of all nodes", async () => {
		const all = await everywhere("public-all");
		const kept = await join(c.node("n2"), "room:kept:all");
		const published = await c.redis.tap("roost:t:{public-all}");

		await subscribed("room:kept:all", 1);
		assert.deepEqual(await call("n1", "POST", "/api/broadcast",
			{ body: { channels: ["public-all", "room:kept:all", "room:nobody"], event: "note", data: [1] } }),
		{ delivered: { "public-all": 3, "room:kept:all": 1, "room:nobody": 0 } });
		await waitFor(() => [...all, kept].every((m) => m.heard("note").length === 1), "everyone to hear it");
		assert.deepEqual(all.map((m) => m.heard("note")[0]), all.map(() => ({ data: [1] })));
		assert.deepEqual(kept.heard("note")[0].data, [1]);
		assert.deepEqual(published.map(({ text }) => JSON.parse(text)).map(({ event, payload, value, from }) =>
			({ event, payload, value, from })), [{ event: "note", payload: { data: [1] }, value: true, from: undefined }]);
		await Promise.all([...all, kept].map((m) => m.cut()));
	});

	test("the numbers of all nodes, from any", async () => {
		const all = await everywhere("public-stats");

		await all[0].join("presence-stats");
		await all[1].join("room:stats");
		for (const id of ["n1", "n2", "n3"])
			await waitFor(async () => {
				const { channels, totalMembers, byType, clients, nodes } = await call(id, "GET", "/api/stats");
				return channels === 3 && totalMembers === 5 && clients === 3 && nodes === 3 &&
					byType.public === 1 && byType.private === 0 && byType.presence === 1 && byType.topic === 1;
			}, `${id} to count them`, PATIENCE);
		await Promise.all(all.map((m) => m.cut()));
	});

	test("Redis stands still, and is gone: 503, with nothing said to anybody", async () => {
		const m = await join(c.node("n1"), "room:away");
		const k = await join(c.node("n1"), "room:kept:away");
		const away = async (method, target, options) => {
			const { status, headers, body } = await ask(port("n1"), method, target, { key: KEY, ...options });
			assert.ok(status === 503 || status === 504, `${method} ${target}: ${status}`);
			assert.ok(["UNAVAILABLE", "TIMEOUT"].includes(body.error.code));
			if (status === 503)
				assert.equal(headers["retry-after"], "1");
		};
		const note = { body: { event: "note", data: {} } };

		await subscribed("room:away", 1);
		c.redis.child.kill("SIGSTOP");
		await Promise.all([
			away("POST", channel("room:away", "/messages"), note), away("POST", channel("room:kept:away", "/messages"), note),
			away("GET", "/api/nodes"), away("GET", "/api/channels"), away("GET", channel("room:kept:away", "/history")),
			away("GET", channel("room:elsewhere", "/members")), away("DELETE", "/api/users/u1/connections"),
			away("GET", "/api/stats"), away("DELETE", "/api/connections/1-1"),
			away("POST", "/api/broadcast", { body: { channels: ["room:away", "room:kept:away"], event: "note" } }),
		]);
		const asked = Array.from({ length: 3 }, () => ask(port("n1"), "POST", channel("room:away", "/messages"), { key: KEY, ...note }));
		await Promise.all(asked);
		await away("POST", channel("room:away", "/messages"), note);
		assert.deepEqual([m.heard("note"), k.heard("note")], [[], []]);
		assert.deepEqual([m.code, k.code], [null, null]);
		c.redis.child.kill("SIGCONT");
		await c.met();
		await waitFor(async () => (await ask(port("n1"), "POST", channel("room:away", "/messages"), { key: KEY, ...note })).status === 200,
			"messages to be taken again");
		await Promise.all([m.cut(), k.cut()]);
	});

	test("callers that do not wait, and too many who do", async () => {
		c.redis.child.kill("SIGSTOP");
		const asked = Array.from({ length: 80 }, () => ask(port("n3"), "GET", "/api/nodes", { key: KEY }));
		const wires = await Promise.all(Array.from({ length: 10 }, async () => {
			const wire = await Wire.connect(port("n2"));
			wire.write(`GET /api/nodes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${KEY}\r\n\r\n`);
			return wire;
		}));
		wires.forEach((wire) => wire.destroy());
		const answers = await Promise.all(asked);
		assert.ok(answers.every(({ status }) => status === 503 || status === 504));
		assert.ok(answers.some(({ body }) => /too many calls/.test(body.error.message)));
		c.redis.child.kill("SIGCONT");
		for (const id of ["n1", "n2", "n3"])
			await waitFor(async () => (await ask(port(id), "GET", "/api/nodes", { key: KEY })).status === 200, `${id} to answer`);
		await c.met();
	});
});
