// The HTTP API as operators ask it: a real curl, three nodes, and clients of both protocols on each of them. Whichever node is
// asked, the answer is the cluster's; also where a node stands still or dies, or Redis is away.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { CONVERGED, Cluster, ROUTES, SLACK } from "./cluster.mjs";
import { Client } from "./crowd.mjs";
import { PATIENCE, start, waitFor, within } from "./harness.mjs";
import { Member } from "./presence_model.mjs";
import { ISO, PusherClient } from "./pusher.mjs";
import { noRedis } from "./redis.mjs";

const KEY = "a-key-of-the-API-but-without-blanks";
const MAX_BODY = 4096;
const IDS = ["n1", "n2", "n3"];
const NO_MESSAGE = "019aa7b2-0000-7000-8000-000000000000";
const PUSHER = ["public", "private", "presence"].map((kind) => `route "${kind}-*" { class = "pusher" }\n`).join("");

// What counts may take where a node is silent, and kicks.
const COUNT_MS = 500;
const KICK_MS = 1000;

const running = new Set();

after(() => running.forEach((child) => child.kill("SIGKILL")));

const MARK = "\n--- written by curl ";

/* curl, run to its end: { status, headers, text, ms }; names of headers in lower case. */
async function run(args, input) {
	const child = spawn("curl", ["-q", "-sS", "-g", "--path-as-is", "--noproxy", "*", "--max-time", String(PATIENCE / 1000),
		"-w", `${MARK}%{http_code} %{time_total} %{header_json}`, ...args], { stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
	let out = "", err = "";

	running.add(child);
	child.on("close", () => running.delete(child));
	child.stdout.setEncoding("utf8").on("data", (text) => out += text);
	child.stderr.setEncoding("utf8").on("data", (text) => err += text);
	// It may be answered before it has read all of it.
	child.stdin?.on("error", () => {}).end(input);
	const [code] = await within(once(child, "close"), "curl to end", 2 * PATIENCE);
	assert.equal(code, 0, `curl ${args.join(" ")}: ${err}`);
	const at = out.lastIndexOf(MARK);
	const [, status, seconds, headers] = /^(\d+) ([\d.]+) (.*)$/s.exec(out.slice(at + MARK.length));
	return { status: Number(status), ms: Number(seconds) * 1000, text: out.slice(0, at),
		headers: Object.fromEntries(Object.entries(JSON.parse(headers)).map(([name, [value]]) => [name.toLowerCase(), value])) };
}

/*
 * One call: { status, headers, body, ms }, the body parsed.
 *   body  what is to be JSON, or the text or bytes themselves
 *   key   null: none
 *   args  further arguments
 */
async function ask(port, method, target, { key = KEY, body, type = "application/json", args = [] } = {}) {
	const input = typeof body === "object" && !Buffer.isBuffer(body) ? JSON.stringify(body) : body;
	const { text, ...answer } = await run([...(method === "HEAD" ? ["-I", "-o", "/dev/null"] : ["-X", method]),
		...(key === null ? [] : ["-H", `Authorization: Bearer ${key}`]),
		...(input === undefined ? [] : ["-H", `Content-Type: ${type}`, "--data-binary", "@-"]),
		...args, `http://127.0.0.1:${port}${target}`], input);

	assert.equal(answer.headers["content-type"], "application/json", `${method} ${target}: ${answer.status} ${text}`);
	return { ...answer, body: text === "" ? null : JSON.parse(text) };
}

async function fine(...args) {
	const { status, headers, body } = await ask(...args);

	assert.equal(status, 200, JSON.stringify(body));
	assert.equal(headers["cache-control"], "no-store");
	return body;
}

async function refused(status, code, ...args) {
	const got = await ask(...args);

	assert.deepEqual([got.status, got.body?.error?.code], [status, code], JSON.stringify(got.body));
	assert.deepEqual(Object.keys(got.body), ["error"]);
	assert.equal(typeof got.body.error.message, "string");
	return got;
}

const channel = (topic, rest = "") => `/api/channels/${encodeURIComponent(topic)}${rest}`;

/* Members without what differs from one to the next, in the same order everywhere. */
const sorted = (members) => [...members].sort((a, b) => a.clientId < b.clientId ? -1 : 1);

describe("who may call", { concurrency: false }, () => {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-api-"));
	const file = path.join(dir, "api.key");
	let d;

	before(async () => {
		writeFileSync(file, KEY, { mode: 0o600 });
		d = await start({ config: "", options: { "admin.api_key_file": file } });
	});
	after(async () => {
		await d?.stop();
		rmSync(dir, { recursive: true, force: true });
	});

	test("401 without the key", async () => {
		for (const key of [null, "no", `${KEY}x`, KEY.slice(1)]) {
			const { headers } = await refused(401, "UNAUTHORIZED", d.adminPort, "GET", "/api/nodes", { key });
			assert.equal(headers["www-authenticate"], "Bearer");
		}
		for (const args of [["-u", `api:${KEY}`], ["-H", `Authorization: Bearer ${KEY}`, "-H", `Authorization: Bearer ${KEY}`]])
			await refused(401, "UNAUTHORIZED", d.adminPort, "GET", "/api/nodes", { key: null, args });
		await refused(401, "UNAUTHORIZED", d.adminPort, "GET", "/api/no/such/path", { key: null });
		assert.equal((await fine(d.adminPort, "GET", "/api/nodes")).nodes.length, 1);
	});

	test("403 where no key is configured", async () => {
		const closed = await start();

		await refused(403, "FORBIDDEN", closed.adminPort, "GET", "/api/nodes");
		await refused(403, "FORBIDDEN", closed.adminPort, "POST", "/api/broadcast", { body: {} });
		await closed.stop();
	});

	test("429 for more calls a second than there may be", async () => {
		const slow = await start({ options: { "admin.api_key_file": file, "admin.max_rate": 1 } });
		let got;

		await waitFor(async () => (got = await ask(slow.adminPort, "GET", "/api/nodes")).status === 429, "a refusal");
		assert.deepEqual([got.body.error.code, got.headers["retry-after"]], ["RATE_LIMITED", "1"]);
		await waitFor(async () => (await ask(slow.adminPort, "GET", "/api/nodes")).status === 200, "a second to pass");
		await slow.stop();
	});
});

describe("three nodes", { skip: noRedis, concurrency: false }, () => {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-api-"));
	const file = path.join(dir, "api.key");
	const clients = [];
	let c, last = 0;
	const fresh = (kind) => `${kind}${++last}`;
	const port = (id) => c.node(id).adminPort;
	const call = (id, ...args) => fine(port(id), ...args);
	/* The same question to each of them. */
	const each = (...args) => Promise.all(IDS.map((id) => call(id, ...args)));
	const no = (id, status, code, ...args) => refused(status, code, port(id), ...args);

	before(async () => {
		writeFileSync(file, KEY, { mode: 0o600 });
		c = await Cluster.start({ config: ROUTES + PUSHER, options: { "admin.api_key_file": file, "limits.max_message": MAX_BODY } });
	});
	afterEach(() => clients.splice(0).forEach((client) => client.cut()));
	after(async () => {
		await c?.end();
		rmSync(dir, { recursive: true, force: true });
	});

	const heard = (topic, nodes) => waitFor(async () =>
		(await c.redis.command("PUBSUB", "NUMSUB", `roost:t:{${topic}}`))[1] === nodes, `${nodes} nodes to hear ${topic}`);

	/* Both of a node's connections to Redis are back. */
	async function answering(topic) {
		for (const id of IDS)
			await waitFor(async () => (await ask(port(id), "GET", channel(topic))).status === 200, `${id} to answer again`);
	}

	/* A stock Phoenix client, and one of the Pusher-style protocol. */
	async function phoenix(id, topic, user = `px-${id}`) {
		const client = await Member.join(c.node(id), topic, { user });

		clients.push(client);
		return client;
	}
	async function pusher(id, topic, user = `pu-${id}`, userInfo) {
		const client = await PusherClient.join(c.node(id), topic, { user, userInfo });

		clients.push(client);
		return client;
	}

	/* One of each on each node, six in all. */
	async function everywhere(topic) {
		const phoenixes = await Promise.all(IDS.map((id) => phoenix(id, topic)));
		const pushers = await Promise.all(IDS.map((id) => pusher(id, topic)));

		await heard(topic, 3);
		return { phoenixes, pushers };
	}

	/* Each has heard that event so often, with these data, and no more. */
	async function allHear({ phoenixes, pushers }, event, data) {
		await waitFor(() => phoenixes.every((m) => m.heard(event).length >= data.length), `all to hear ${event}`);
		for (const m of phoenixes)
			assert.deepEqual(m.heard(event), data);
		for (const p of pushers)
			for (const wanted of data) {
				const { data: given, from, timestamp } = await p.hears({ type: "channel:message", event });
				assert.deepEqual([given, from], [wanted, null]);
				assert.match(timestamp, ISO);
			}
		await Promise.all(pushers.map((p) => p.ok("ping")));
		for (const p of pushers)
			assert.ok(!p.told.some((message) => message.event === event), "nothing twice");
	}

	test("the nodes", async () => {
		for (const { nodes } of await each("GET", "/api/nodes"))
			assert.deepEqual(nodes.map(({ node, up, pid, listen }) => [node, up, pid, listen]).sort(),
				IDS.map((id) => [id, true, c.node(id).pid, `127.0.0.1:${c.node(id).port}`]));
	});

	for (const [kind, type] of [["public-a", "public"], ["private-a", "private"], ["room:a", "topic"]])
		test(`a channel: ${kind}`, async () => {
			const topic = fresh(kind), began = Date.now();
			const members = type === "topic" ? await Promise.all(IDS.map((id) => phoenix(id, topic)))
				: Object.values(await everywhere(topic)).flat();
			const answers = await each("GET", channel(topic));

			for (const { createdAt, ...rest } of answers) {
				assert.deepEqual(rest, { name: topic, type, memberCount: members.length, nodes: 3, members: [] });
				assert.match(createdAt, ISO);
				assert.ok(Date.parse(createdAt) >= began && Date.parse(createdAt) <= Date.now(), createdAt);
				assert.equal(createdAt, answers[0].createdAt);
			}
			for (const id of IDS)
				await no(id, 404, "NOT_FOUND", "GET", channel(`${topic}x`));
		});

	test("since when it is there: as long as the longest of those who still are", async () => {
		const topic = fresh("public-since"), first = await pusher("n1", topic);
		const [{ createdAt }] = await each("GET", channel(topic));

		await waitFor(() => Date.now() > Date.parse(createdAt) + 1, "another millisecond");
		await pusher("n3", topic);
		for (const got of await each("GET", channel(topic)))
			assert.deepEqual([got.memberCount, got.nodes, got.createdAt], [2, 2, createdAt]);
		await first.close();
		await waitFor(async () => (await call("n2", "GET", channel(topic))).memberCount === 1, "the first to be gone");
		const answers = await each("GET", channel(topic));
		for (const got of answers) {
			assert.deepEqual([got.memberCount, got.nodes, got.createdAt], [1, 1, answers[0].createdAt]);
			assert.ok(got.createdAt > createdAt);
		}
	});

	test("members who tell as much of themselves as they may, in depth and number", async () => {
		const topic = fresh("presence-much");
		let deep = "x";

		for (let i = 0; i < 62; i++)
			deep = [deep];
		await pusher("n1", topic, "a-deep", { deep });
		for (let tab = 0; tab < 8; tab++)
			await pusher(IDS[tab % IDS.length], topic, "b-wide", { wide: Array(1900).fill(1) });
		await pusher("n2", topic, "c-last", {});
		for (const id of IDS) {
			await waitFor(async () => (await call(id, "GET", channel(topic))).memberCount === 10, `${id} to see all`);
			const { members } = await call(id, "GET", channel(topic, "/members"));
			assert.deepEqual(members.map((m) => m.id).sort(), ["a-deep", ...Array(8).fill("b-wide"), "c-last"]);
			assert.deepEqual(members.find((m) => m.id === "a-deep").deep, deep);
		}
	});

	test("a presence channel: a member for each client, two tabs of one user are two", async () => {
		const topic = fresh("presence-a"), { pushers } = await everywhere(topic);
		const tab = await pusher("n2", topic, "pu-n1");
		const seen = async (id) => (await call(id, "GET", channel(topic))).members.length === 7;

		for (const id of IDS)
			await waitFor(() => seen(id), `${id} to see all`);
		const answers = await each("GET", channel(topic));
		const lists = await each("GET", channel(topic, "/members"));
		for (const [i, { members, createdAt, ...rest }] of answers.entries()) {
			assert.deepEqual(rest, { name: topic, type: "presence", memberCount: members.length, nodes: 3 });
			assert.equal(createdAt, answers[0].createdAt);
			assert.deepEqual(sorted(members), sorted(answers[0].members));
			assert.deepEqual(sorted(lists[i].members), sorted(members));
			assert.deepEqual(Object.keys(lists[i].presences).sort(), IDS.flatMap((id) => [`px-${id}`, `pu-${id}`]).sort());
			assert.equal(lists[i].presences["pu-n1"].metas.length, 2);
			assert.deepEqual(members.filter(({ id }) => id === "pu-n1").map((m) => m.clientId).sort(),
				[pushers[0].clientId, tab.clientId].sort());
		}
		await tab.close();
		for (const id of IDS)
			await waitFor(async () => (await call(id, "GET", channel(topic))).memberCount === 6, `${id} to see it leave`);
	});

	test("presences of a topic that Phoenix clients alone have", async () => {
		const topic = fresh("room:seen:");

		await Promise.all(IDS.map((id) => phoenix(id, topic, "px")));
		for (const id of IDS)
			await waitFor(async () => {
				const { members, presences } = await call(id, "GET", channel(topic, "/members"));
				return members.length === 3 && members.every((who) => who.id === "px") && presences.px.metas.length === 3;
			}, `${id} to see all`);
	});

	test("the list: by type and prefix, in pages", async () => {
		const prefix = fresh("private-list"), names = Array.from({ length: 7 }, (_, i) => `${prefix}-${i}`);
		const other = fresh(`public-${prefix}`);

		for (const [i, name] of names.entries()) {
			await pusher(IDS[i % 3], name);
			if (i % 2 === 0)
				await phoenix(IDS[(i + 1) % 3], name);
		}
		await pusher("n1", other);
		const wanted = names.map((name, i) => ({ name, type: "private", memberCount: 2 - i % 2, nodes: 2 - i % 2 }));
		for (const id of IDS) {
			const found = [];
			let pages = 0;

			await waitFor(async () => (await call(id, "GET", `/api/channels?prefix=${prefix}`)).channels.length === 7, "all to be heard");
			for (let cursor = ""; cursor !== null; pages++) {
				const { channels, next, ...rest } = await call(id, "GET",
					`/api/channels?type=private&prefix=${prefix}&limit=3&cursor=${encodeURIComponent(cursor)}`);
				assert.deepEqual(rest, {});
				assert.ok(channels.length <= 3);
				found.push(...channels);
				cursor = next;
			}
			assert.equal(pages, 3);
			assert.deepEqual(found, wanted);
			assert.deepEqual(await call(id, "GET", `/api/channels?prefix=public-${prefix}&type=public`),
				{ channels: [{ name: other, type: "public", memberCount: 1, nodes: 1 }], next: null });
			assert.deepEqual(await call(id, "GET", `/api/channels?prefix=${prefix}&type=public`), { channels: [], next: null });
			assert.deepEqual(await call(id, "GET", `/api/channels?prefix=${encodeURIComponent("*")}`), { channels: [], next: null });
		}
	});

	test("a page of a thousand channels with long names", async () => {
		const prefix = fresh("room:thousand-"), n = 1000;
		const names = Array.from({ length: n }, (_, i) => `${prefix}:${String(i).padStart(3, "0")}${'"'.repeat(220)}`);

		for (let i = 0; i < n; i += 100) {
			const client = await Client.open(c.node(IDS[i / 100 % 3]).port);
			clients.push(client);
			await Promise.all(names.slice(i, i + 100).map((name) => client.join(name)));
		}
		for (const id of IDS) {
			const list = () => call(id, "GET", `/api/channels?limit=${n}&prefix=${encodeURIComponent(prefix)}`);
			await waitFor(async () => (await list()).channels.length === n, "all to be heard");
			assert.deepEqual(await list(), { channels: names.map((name) => ({ name, type: "topic", memberCount: 1, nodes: 1 })), next: null });
		}
	});

	test("a message reaches all clients, and all are counted", async () => {
		const topic = fresh("public-say"), all = await everywhere(topic);

		for (const [i, id] of IDS.entries())
			assert.deepEqual(await call(id, "POST", channel(topic, "/messages"), { body: { event: "note", data: { i } } }), { delivered: 6 });
		await allHear(all, "note", [{ i: 0 }, { i: 1 }, { i: 2 }]);
		for (const id of IDS)
			assert.deepEqual(await call(id, "POST", channel(fresh("public-nobody"), "/messages"), { body: { event: "note", data: {} } }),
				{ delivered: 0 });
	});

	test("a message to clients of one other node", async () => {
		const topic = fresh("public-far"), pushers = [await pusher("n3", topic)], phoenixes = [await phoenix("n3", topic)];

		await heard(topic, 1);
		assert.deepEqual(await call("n1", "POST", channel(topic, "/messages"), { body: { event: "note", data: { i: 0 } } }), { delivered: 2 });
		await allHear({ phoenixes, pushers }, "note", [{ i: 0 }]);
	});

	test("one message to many channels", async () => {
		const names = [fresh("public-many"), fresh("presence-many"), fresh("private-many")];
		const all = await Promise.all(names.map(everywhere));
		const far = fresh("public-many"), none = fresh("private-many");
		const one = await pusher("n2", far);

		await heard(far, 1);
		for (const id of IDS)
			assert.deepEqual(await call(id, "POST", "/api/broadcast",
				{ body: { channels: [...names, far, none], event: `to-${id}`, data: { id } } }),
			{ delivered: { ...Object.fromEntries(names.map((name) => [name, 6])), [far]: 1, [none]: 0 } });
		for (const id of IDS) {
			for (const clients of all)
				await allHear(clients, `to-${id}`, [{ id }]);
			await one.hears({ type: "channel:message", event: `to-${id}`, channel: far });
		}
		const many = Array.from({ length: 100 }, (_, i) => `public-${i}`);
		assert.deepEqual(Object.keys((await call("n1", "POST", "/api/broadcast", { body: { channels: many, event: "note" } })).delivered), many);
		await no("n1", 422, "INVALID", "POST", "/api/broadcast", { body: { channels: [...many, "public-x"], event: "note" } });
	});

	test("history, and a message that is deleted", async () => {
		const topic = fresh("room:kept:"), all = await Promise.all(IDS.map((id) => phoenix(id, topic)));
		const said = [];

		await heard(topic, 3);
		for (const [i, id] of IDS.entries()) {
			const { delivered, id: given } = await call(id, "POST", channel(topic, "/messages"), { body: { event: "note", data: { i } } });
			assert.equal(delivered, 3);
			said.push(given);
		}
		for (const m of all) {
			await waitFor(() => m.heard("note").length === 3, "all to hear all");
			assert.deepEqual(m.heard("note").map(({ id }) => id), said);
		}
		for (const { messages, has_more: more } of await each("GET", channel(topic, "/history")))
			assert.deepEqual([messages.map(({ id, event, payload }) => [id, event, payload]), more],
				[said.map((id, i) => [id, "note", { i }]), false]);
		for (const { messages, has_more: more } of await each("GET", channel(topic, `/history?limit=1&before=${said[2]}`)))
			assert.deepEqual([messages.map(({ id }) => id), more], [[said[1]], true]);
		assert.deepEqual(await call("n3", "DELETE", channel(topic, `/messages/${said[0]}`)), { deleted: true });
		for (const m of all) {
			await waitFor(() => m.heard("message_deleted").length === 1, "all to be told");
			assert.deepEqual(m.heard("message_deleted"), [{ id: said[0] }]);
		}
		for (const id of IDS) {
			await no(id, 404, "NOT_FOUND", "DELETE", channel(topic, `/messages/${said[0]}`));
			assert.deepEqual((await call(id, "GET", channel(topic, "/history"))).messages.map(({ event, payload }) => [event, payload]),
				[["note", { i: 1 }], ["note", { i: 2 }], ["message_deleted", { id: said[0] }]]);
		}
	});

	test("the numbers add up", async () => {
		await waitFor(async () => (await each("GET", "/api/stats")).every((s) => s.clients === 0 && s.channels === 0),
			"the clients of other tests to be gone");
		const topics = ["public-n", "public-m", "private-n", "presence-n"].map(fresh);

		for (const topic of topics)
			await everywhere(topic);
		await phoenix("n1", fresh("room:n"));
		for (const id of IDS)
			await waitFor(async () => (await call(id, "GET", "/api/stats")).clients === 25, `${id} to count all`);
		for (const stats of await each("GET", "/api/stats")) {
			assert.deepEqual(stats, { channels: 5, totalMembers: 25, byType: { topic: 1, public: 2, private: 1, presence: 1 },
				clients: 25, nodes: 3 });
			const { channels } = await call("n2", "GET", "/api/channels");
			assert.equal(channels.length, stats.channels);
			assert.equal(channels.reduce((sum, { memberCount }) => sum + memberCount, 0), stats.totalMembers);
		}
	});

	test("a user is disconnected, wherever it is", async () => {
		const topic = fresh("public-kick"), user = "ann/é 🐦";
		const gone = [...await Promise.all(IDS.map((id) => pusher(id, topic, user))), await phoenix("n2", topic, user)];
		const stays = await pusher("n1", topic);

		assert.deepEqual(await call("n3", "DELETE", `/api/users/${encodeURIComponent(user)}/connections`), { disconnected: 4 });
		for (const client of gone.slice(0, 3))
			assert.equal(await within(client.closed, "it to be closed"), 1001);
		await waitFor(() => gone[3].closed > 0, "the Phoenix client to be closed");
		assert.deepEqual(await each("DELETE", `/api/users/${encodeURIComponent(user)}/connections`), IDS.map(() => ({ disconnected: 0 })));
		await stays.ok("ping");
		for (const got of await each("GET", channel(topic)))
			assert.equal(got.memberCount, 1);
	});

	test("a connection is disconnected, wherever it is", async () => {
		const topic = fresh("presence-kick"), all = await Promise.all(IDS.map((id) => pusher(id, topic, "bob")));

		for (const [i, client] of all.entries()) {
			assert.deepEqual(await call(IDS[(i + 1) % 3], "DELETE", `/api/connections/${client.clientId}`), { disconnected: 1 });
			assert.equal(await within(client.closed, "it to be closed"), 1001);
			assert.equal(all.filter(({ code }) => code !== null).length, i + 1);
			assert.deepEqual(await call(IDS[i], "DELETE", `/api/connections/${client.clientId}`), { disconnected: 0 });
		}
		for (const id of IDS)
			await waitFor(async () => (await ask(port(id), "GET", channel(topic))).status === 404, "nobody to be there");
	});

	test("names with slashes, blanks and UTF-8", async () => {
		const topic = "room:a/b c?d#e%2F é🐦", client = await phoenix("n1", topic);

		await heard(topic, 1);
		for (const id of IDS) {
			assert.equal((await call(id, "GET", channel(topic))).name, topic);
			assert.deepEqual(await call(id, "GET", channel(topic, "/members")), { members: [], presences: {} });
			assert.deepEqual(await call(id, "POST", channel(topic, "/messages"), { body: { event: "é", data: { id } } }), { delivered: 1 });
			assert.deepEqual((await call(id, "GET", `/api/channels?prefix=${encodeURIComponent(topic)}`)).channels,
				[{ name: topic, type: "topic", memberCount: 1, nodes: 1 }]);
		}
		await waitFor(() => client.heard("é").length === 3, "all to be heard");
		/* Whatever is encoded, and however: it is the same name. */
		const all = [...Buffer.from(topic)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
		for (const name of [all, all.toUpperCase()])
			assert.equal((await call("n2", "GET", `/api/channels/${name}`)).name, topic);
		for (const name of ["%00", "a%0Ab", "%7F", "%ff", "%c3", "%zz", "%", "%2", "x".repeat(257)])
			await no("n2", 422, "INVALID", "GET", `/api/channels/${name}`);
		/* A slash that is not encoded is the path's. */
		await no("n2", 404, "NOT_FOUND", "GET", "/api/channels/room:a/b");
	});

	test("HEAD says the same without a body", async () => {
		const topic = fresh("public-head");

		await pusher("n1", topic);
		await waitFor(async () => (await call("n2", "GET", channel(topic))).memberCount === 1, "it to be heard");
		for (const target of ["/api/channels?prefix=public-head", channel(topic), channel(topic, "/members"), channel("room:kept:none", "/history"),
			channel("public-nobody-is-here"), "/api/nothing"]) {
			const got = await ask(port("n2"), "GET", target), head = await ask(port("n2"), "HEAD", target);
			assert.equal(head.status, got.status, target);
			assert.equal(head.headers["content-length"], got.headers["content-length"], target);
		}
		for (const target of [channel(topic, "/messages"), "/api/broadcast", "/api/users/u1/connections"])
			assert.equal((await ask(port("n2"), "HEAD", target)).status, 405);
	});

	test("what is refused, and how", async () => {
		const messages = channel("public-x", "/messages"), body = { event: "note", data: {} };

		for (const [allow, method, target] of [["POST", "GET", messages], ["POST", "DELETE", "/api/broadcast"],
			["GET, HEAD", "POST", "/api/stats"], ["GET, HEAD", "PUT", "/api/nodes"], ["GET, HEAD", "DELETE", channel("public-x")],
			["DELETE", "GET", "/api/users/u1/connections"], ["DELETE", "POST", "/api/connections/1-1"],
			["DELETE", "PATCH", channel("room:kept:x", `/messages/${NO_MESSAGE}`)]]) {
			const { headers } = await no("n1", 405, "METHOD_NOT_ALLOWED", method, target);
			assert.equal(headers.allow, allow, `${method} ${target}`);
		}
		for (const target of ["/api", "/api/", "/api/nodes/", "/api/nodes/n1", "/api/../api/nodes", "/api//nodes", "/api/channels//members"])
			await no("n1", 404, "NOT_FOUND", "GET", target);
		await no("n1", 404, "NOT_FOUND", "POST", channel("nowhere:1", "/messages"), { body });
		await no("n1", 404, "NOT_FOUND", "POST", "/api/broadcast", { body: { ...body, channels: ["public-x", "nowhere:1"] } });
		await no("n1", 404, "NOT_FOUND", "GET", channel("public-x", "/history"));
		await no("n1", 404, "NOT_FOUND", "DELETE", channel("room:kept:x", `/messages/${NO_MESSAGE}`));
		for (const type of ["application/x-www-form-urlencoded", "text/json", "application/json-seq", ""])
			await no("n1", 415, "UNSUPPORTED_MEDIA_TYPE", "POST", messages, { body, type });
		await no("n1", 411, "LENGTH_REQUIRED", "POST", messages, { body, args: ["-H", "Transfer-Encoding: chunked"] });
		await no("n1", 413, "TOO_LARGE", "POST", messages, { body: { event: "note", data: "x".repeat(MAX_BODY) } });
		for (const text of ["", "{", "{} {}", "{'event':1}", '{"event":NaN}', '\ufeff{"event":"note"}', Buffer.from('{"event":"\xff"}', "latin1")])
			await no("n1", 400, "INVALID_JSON", "POST", messages, { body: text });
		for (const wrong of [[], 1, null, {}, { event: 1 }, { event: "" }, { event: "x".repeat(129) }, { event: "phx_reply" }, { event: "presence_diff" }])
			await no("n1", 422, "INVALID", "POST", messages, { body: JSON.stringify(wrong) });
		for (const channels of [undefined, [], "public-x", [1], [""], ["public-x", "public-x"]])
			await no("n1", 422, "INVALID", "POST", "/api/broadcast", { body: { event: "note", channels } });
		for (const query of ["type=x", "limit=0", "limit=1001", "limit=x", "prefix=%ff", "cursor=%ff"])
			await no("n1", 422, "INVALID", "GET", `/api/channels?${query}`);
		for (const query of ["limit=0", "limit=101", "before=x"])
			await no("n1", 422, "INVALID", "GET", channel("room:kept:x", `/history?${query}`));
	});

	test("a large body: curl asks before it sends it", async () => {
		const body = { event: "note", data: "x".repeat(3 << 20) };

		await no("n2", 413, "TOO_LARGE", "POST", channel("public-x", "/messages"), { body });
		await no("n2", 401, "UNAUTHORIZED", "POST", channel("public-x", "/messages"), { body, key: null });
	});

	test("several calls on one connection", async () => {
		const { text, status } = await run(["-H", `Authorization: Bearer ${KEY}`, ...IDS.map(() => `http://127.0.0.1:${port("n1")}/api/stats`)]);

		assert.equal(status, 200);
		assert.equal(text.match(/"nodes":3/g).length, 3);
		assert.equal(text.match(/written by curl/g).length, 2);
	});

	test("a node that has just started counts the others, too", async () => {
		const topic = fresh("public-new"), all = await everywhere(topic);

		await c.add("n4");
		const answers = await Promise.all([call("n4", "GET", channel(topic)), call("n4", "GET", `/api/channels?prefix=${topic}`),
			call("n4", "POST", channel(topic, "/messages"), { body: { event: "note", data: {} } })]);
		assert.deepEqual([answers[0].memberCount, answers[0].silent], [6, undefined]);
		assert.deepEqual(answers[1], { channels: [{ name: topic, type: "public", memberCount: 6, nodes: 3 }], next: null });
		assert.deepEqual(answers[2], { delivered: 6 });
		await allHear(all, "note", [{}]);
		await c.node("n4").stop();
		await c.met(3);
	});

	test("a node stands still: it is missed, said so, and waited for no longer than half a second", async () => {
		const topic = fresh("public-still"), alone = fresh("public-alone"), presence = fresh("presence-still");
		const all = await everywhere(topic);

		await everywhere(presence);
		await pusher("n3", alone);
		await heard(alone, 1);
		for (const id of IDS)
			await waitFor(async () => (await call(id, "GET", channel(presence))).memberCount === 6, `${id} to see all`);
		c.pause("n3");
		const timed = async (least, ...args) => {
			const { status, body, ms } = await ask(port("n1"), ...args);
			assert.equal(status, 200, JSON.stringify(body));
			assert.ok(ms >= least - 50 && ms < least + SLACK, `${args}: ${ms} ms`);
			return body;
		};
		const [info, list, post, many, seen, single, kick] = await Promise.all([
			timed(COUNT_MS, "GET", channel(topic)), timed(COUNT_MS, "GET", "/api/channels"),
			timed(COUNT_MS, "POST", channel(topic, "/messages"), { body: { event: "note", data: { n: 1 } } }),
			timed(COUNT_MS, "POST", "/api/broadcast", { body: { channels: [topic, alone], event: "many", data: { n: 2 } } }),
			timed(COUNT_MS, "GET", channel(presence)), timed(COUNT_MS, "GET", channel(alone)),
			timed(KICK_MS, "DELETE", "/api/users/nobody/connections"),
		]);
		const nobody = await ask(port("n1"), "GET", channel("public-nobody-is-here"));
		c.resume("n3");
		assert.deepEqual([info.memberCount, info.nodes, info.silent], [4, 2, 1]);
		/* Channels of tests before may still be heard. */
		assert.deepEqual({ ...list, channels: list.channels.filter(({ name }) => [topic, alone, presence].includes(name)) }, { channels: [
			{ name: presence, type: "presence", memberCount: 4, nodes: 2 }, { name: alone, type: "public", memberCount: 0, nodes: 0 },
			{ name: topic, type: "public", memberCount: 4, nodes: 2 },
		].sort((a, b) => a.name < b.name ? -1 : 1), next: null, silent: 1 });
		assert.deepEqual(post, { delivered: 4, silent: 1 });
		assert.deepEqual(many, { delivered: { [topic]: 4, [alone]: 0 }, silent: 1 });
		assert.deepEqual([seen.memberCount, seen.members.length, seen.silent], [6, 6, 1]);
		assert.deepEqual([single.memberCount, single.createdAt, single.silent], [0, null, 1]);
		assert.deepEqual(kick, { disconnected: 0, silent: 1 });
		assert.equal(nobody.status, 404);
		await c.met();
		await allHear(all, "note", [{ n: 1 }]);
		await allHear(all, "many", [{ n: 2 }]);
		for (const got of await each("GET", channel(topic)))
			assert.deepEqual([got.memberCount, got.nodes, got.silent], [6, 3, undefined]);
		for (const id of IDS)
			assert.deepEqual(await call(id, "POST", channel(topic, "/messages"), { body: { event: "again", data: {} } }), { delivered: 6 });
		assert.deepEqual(await call("n1", "DELETE", "/api/users/nobody/connections"), { disconnected: 0 });
	});

	test("who asks does not wait, or whom it asked ends first", async () => {
		const topic = fresh("public-gone"), calls = [["GET", channel(topic)], ["GET", "/api/channels"], ["DELETE", "/api/users/nobody/connections"],
			["POST", channel(topic, "/messages"), { body: { event: "note" } }]];

		await everywhere(topic);
		await c.add("n4");
		await c.met(4);
		c.pause("n3");
		const impatient = calls.map(([method, target, rest]) => assert.rejects(ask(port("n1"), method, target, { ...rest, args: ["--max-time", "0.1"] }),
			/timed out/));
		const { http_requests_total: before } = await c.node("n4").metrics();
		let looks = 0;
		/* On a slow machine they may have been answered before it ends. */
		const lost = calls.map(([method, target, rest]) => ask(port("n4"), method, target, rest)
			.then(({ status }) => assert.equal(status, 200), (e) => assert.match(e.message, /Empty reply|reset by peer/)));
		await waitFor(async () => (await c.node("n4").metrics()).http_requests_total >= before + ++looks + calls.length, "n4 to be asked");
		await c.node("n4").stop();
		await Promise.all([...impatient, ...lost]);
		c.resume("n3");
		await c.met(3);
		for (const got of await each("GET", channel(topic)))
			assert.deepEqual([got.memberCount, got.nodes, got.silent], [6, 3, undefined]);
	});

	test("Redis is away: 503, and when to come again", async () => {
		const topic = fresh("public-away"), all = await everywhere(topic);
		const away = async (id, ...args) => {
			const { headers } = await no(id, 503, "UNAVAILABLE", ...args);
			assert.equal(headers["retry-after"], "1", args.join(" "));
		};

		await c.redis.kill();
		for (const id of IDS)
			await waitFor(async () => (await ask(port(id), "GET", "/api/nodes")).status === 503, `${id} to know`);
		for (const id of IDS)
			await Promise.all([
				away(id, "GET", "/api/nodes"), away(id, "GET", "/api/stats"), away(id, "GET", "/api/channels"), away(id, "GET", channel(topic)),
				away(id, "GET", channel("presence-elsewhere", "/members")), away(id, "GET", channel("room:kept:x", "/history")),
				away(id, "POST", channel(topic, "/messages"), { body: { event: "note", data: {} } }),
				away(id, "POST", channel("room:kept:x", "/messages"), { body: { event: "note", data: {} } }),
				away(id, "POST", "/api/broadcast", { body: { channels: [topic, "room:kept:x"], event: "note" } }),
				away(id, "DELETE", channel("room:kept:x", `/messages/${NO_MESSAGE}`)),
				away(id, "DELETE", "/api/users/u1/connections"), away(id, "DELETE", "/api/connections/1-1"),
			]);
		await no("n1", 422, "INVALID", "POST", "/api/broadcast", { body: { channels: [], event: "note" } });
		await c.redis.start();
		await c.met();
		await heard(topic, 3);
		await answering(topic);
		for (const got of await each("GET", channel(topic)))
			assert.deepEqual([got.memberCount, got.nodes, got.silent], [6, 3, undefined]);
		assert.deepEqual(await call("n2", "POST", channel(topic, "/messages"), { body: { event: "back", data: {} } }), { delivered: 6 });
		await allHear(all, "back", [{}]);
		for (const m of all.phoenixes)
			assert.deepEqual(m.heard("note"), [], "what was refused was said to nobody");
	});

	test("a node that hears nobody does not answer for all", async () => {
		const topic = fresh("public-deaf");

		await everywhere(topic);
		/* What subscribes is thrown out, and not let in again. */
		await c.redis.command("CONFIG", "SET", "maxclients", "1");
		await c.redis.command("CLIENT", "KILL", "TYPE", "pubsub");
		for (const id of IDS)
			for (const args of [["GET", channel(topic)], ["GET", "/api/channels"], ["GET", "/api/stats"], ["DELETE", "/api/users/u1/connections"]])
				await waitFor(async () => {
					const { status, headers, body } = await ask(port(id), ...args);
					return status === 503 && headers["retry-after"] === "1" && body.error.code === "UNAVAILABLE";
				}, `${id} to refuse ${args.join(" ")}`);
		await c.redis.command("CONFIG", "SET", "maxclients", "1000");
		await c.met();
		await heard(topic, 3);
		await answering(topic);
		for (const got of await each("GET", channel(topic)))
			assert.deepEqual([got.memberCount, got.nodes, got.silent], [6, 3, undefined]);
	});

	test("a node is killed: what it alone had is gone", async () => {
		const topic = fresh("presence-killed"), alone = [fresh("public-lost"), fresh("presence-lost"), fresh("room:seen:lost")];
		const left = ["n1", "n2"];

		await everywhere(topic);
		await pusher("n3", alone[0]);
		await pusher("n3", alone[1]);
		await phoenix("n3", alone[2]);
		for (const id of IDS)
			for (const name of [topic, ...alone])
				await waitFor(async () => (await call(id, "GET", channel(name, "/members"))).members.length ===
					(name === topic ? 6 : name === alone[0] ? 0 : 1), `${id} to see all of ${name}`);
		await c.kill("n3");
		for (const id of left) {
			for (const name of alone)
				await waitFor(async () => (await ask(port(id), "GET", channel(name))).status === 404, `${name} to be gone`, CONVERGED + SLACK);
			await waitFor(async () => (await call(id, "GET", channel(topic))).memberCount === 4, "its members to be gone", CONVERGED + SLACK);
		}
		await c.met(2);
		for (const id of left) {
			const { channels, ...rest } = await call(id, "GET", "/api/channels");
			assert.deepEqual(rest, { next: null });
			assert.deepEqual(channels.filter(({ name }) => alone.includes(name)), []);
			assert.deepEqual(channels.filter(({ name }) => name === topic), [{ name: topic, type: "presence", memberCount: 4, nodes: 2 }]);
			const { members, nodes, silent } = await call(id, "GET", channel(topic));
			assert.deepEqual([members.length, nodes, silent], [4, 2, undefined]);
			assert.equal((await call(id, "GET", "/api/stats")).nodes, 2);
			assert.deepEqual((await call(id, "GET", "/api/nodes")).nodes.filter(({ up }) => up).map(({ node }) => node).sort(), left);
			assert.deepEqual(await call(id, "POST", channel(topic, "/messages"), { body: { event: "note", data: {} } }), { delivered: 4 });
		}
	});
});
