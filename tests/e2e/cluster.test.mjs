// Several nodes that are one: what reaches whom, who is seen where, and what is kept, on good days. Bad days are in
// cluster_faults.test.mjs.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { BEAT, CONVERGED, Cluster, ROUTES, SLACK, TIMEOUT } from "./cluster.mjs";
import { FIXTURE, PATIENCE, SECRET, freePorts, mint, run, sleep, start, waitFor } from "./harness.mjs";
import { Member, agreed } from "./presence_model.mjs";
import { OP, Ws } from "./raw.mjs";
import { Redis, noRedis } from "./redis.mjs";

const SEEN = 1000 + SLACK;	// on all nodes, without faults

let n = 0;
/* A topic that no other test has. */
const fresh = (kind) => `${kind}:${++n}`;

const pushV1 = (topic, event, payload, ref) => JSON.stringify({ topic, event, payload, ref, join_ref: "1" });

describe("three nodes", { skip: noRedis, concurrency: false }, () => {
	let c, members = [], sockets = [];

	before(async () => { c = await Cluster.start({ config: `${ROUTES}
route "fix:*" { module = "${FIXTURE}" }
` }); });
	after(() => c?.end());
	afterEach(() => {
		members.splice(0).forEach((m) => m.disconnect());
		sockets.splice(0).forEach((ws) => ws.destroy());
	});

	async function member(id, topic, options) {
		const m = new Member(c.node(id), topic, options);

		members.push(m);
		await m.join();
		return m;
	}

	/* One client on each node, or on those that are named. */
	function each(topic, { ids = ["n1", "n2", "n3"], ...options } = {}) {
		return Promise.all(ids.map((id, i) => member(id, topic, { user: `u${i + 1}`, ...options })));
	}

	async function wire(id, options) {
		const ws = await Ws.open(c.node(id).port, options);

		sockets.push(ws);
		return ws;
	}

	/* Broadcasts cross when a node has subscribed, which it does when its first client joins. */
	const subscribed = (topic, nodes) => waitFor(async () =>
		(await c.redis.command("PUBSUB", "NUMSUB", `roost:t:{${topic}}`))[1] === nodes, `${nodes} nodes to subscribe to ${topic}`);

	async function room(kind, options) {
		const topic = fresh(kind);
		const all = await each(topic, options);

		await subscribed(topic, all.length);
		return [topic, ...all];
	}

	describe("messages", () => {
		test("a bare PUBLISH reaches every client", async () => {
			const [topic, ...all] = await room("room:bare");

			await c.redis.command("PUBLISH", `roost:t:{${topic}}`, '{"event":"hello","payload":{}}');
			await waitFor(() => all.every((m) => m.heard("hello").length === 1), "everyone to hear it");
			await sleep(200);
			assert.deepEqual(all.map((m) => m.heard("hello")), [[{}], [{}], [{}]]);
		});

		test("broadcasts reach all once, in the order of each sender", { timeout: 60_000 }, async () => {
			const [topic, ...all] = await room("room:order");
			const N = 200;

			for (let i = 0; i < N; i++)
				all.forEach((m, k) => m.channel.push("say", { from: k, i }));
			await waitFor(() => all.every((m) => m.heard("say").length >= 3 * N), "everyone to hear all", 3 * PATIENCE);
			for (const m of all)
				for (const k of [0, 1, 2])
					assert.deepEqual(m.heard("say").filter((p) => p.from === k).map((p) => p.i), Array.from({ length: N }, (_, i) => i));
		});

		test("payloads arrive as they were sent, in both encodings", async () => {
			const topic = fresh("room:bytes");
			const text = '{ "b":1.0,"a":12345678901234567890, "e":"\\u00e9\\/é\\ud83d\\ude00", "n":[ ] }';
			const v2 = await wire("n1"), there = await wire("n2"), v1 = await wire("n3", { vsn: "1.0.0" });

			await v2.join(topic);
			await there.join(topic);
			v1.text(pushV1(topic, "phx_join", {}, "1"));
			await v1.nextText();
			await subscribed(topic, 3);
			v2.text(`[null,"2","${topic}","say",${text}]`);
			assert.equal(await there.nextText(), `[null,null,"${topic}","say",${text}]`);
			const old = await v1.nextText();
			assert.ok(old.includes(text), old);
			v1.text(`{"topic":"${topic}","event":"back","payload":${text},"ref":"2"}`);
			assert.equal(await there.nextText(), `[null,null,"${topic}","back",${text}]`);
		});

		test("raw bytes cross", async () => {
			const [topic, a, b] = await room("room:binary", { ids: ["n1", "n2"] });
			const bytes = randomBytes(70_000);

			a.channel.push("raw", new Uint8Array(bytes).buffer);
			const [got] = await waitFor(() => b.heard("raw").length === 1 && b.heard("raw"), "the bytes");
			assert.ok(Buffer.from(got).equals(bytes));
			const v1 = await wire("n3", { vsn: "1.0.0" });
			v1.text(pushV1(topic, "phx_join", {}, "1"));
			assert.match(await v1.nextText(), /"status":"ok"/);
		});

		test("who left hears nothing, and a topic without clients is given up", async () => {
			const [topic, a, b] = await room("room:gone", { ids: ["n1", "n2"] });

			await b.leave();
			await a.push("say", { n: 1 });
			await sleep(300);
			assert.deepEqual(b.heard("say"), []);
			await subscribed(topic, 1);
			await a.leave();
			await subscribed(topic, 0);
		});

		test("F26 garbage on the bus is dropped and counted, and the rest goes on", async () => {
			const [topic, a, b, d] = await room("room:seen");
			const bus = `roost:t:{${topic}}`, presence = `roost:p:{${topic}}`;
			const before = await c.sum("bus_malformed_total");
			const garbage = ["", "garbage", "{", "[]", "{}", '{"event":7,"payload":{}}', '{"event":"x","payload":3}', '{"v":1,"node":"n9"}',
				Buffer.from([0xff, 0xfe, 0]), '{"v":99,"node":"n1","event":"future","payload":{}}', '{"event":"phx_reply","payload":{}}',
				'{"event":"x","payload":{"a":"\ud800"}}', `{"event":"x","payload":${"[".repeat(5000)}}`, "x".repeat(1 << 20)];

			await agreed([a, b, d], SEEN);
			for (const text of garbage)
				for (const channel of [bus, presence, "roost:cluster"])
					await c.redis.command("PUBLISH", channel, text);
			/* Of nobody, about nobody; and of a node that lives, but of its past or of no sense. */
			for (const node of ["nobody", "n1", "n2", ""])
				for (const text of [`{"v":1,"node":"${node}","epoch":1,"from":0,"to":9,"joins":{"ghost":{"metas":[{"phx_ref":"x"}]}}}`,
					`{"v":1,"node":"${node}","epoch":-1,"from":1,"to":0}`, `{"v":1,"node":"${node}","epoch":"x","from":{},"to":[]}`,
					`{"v":1,"node":"${node}","epoch":5,"from":0,"to":1,"joins":{"g":{"metas":[{}]}},"leaves":{"g":7}}`])
					await c.redis.command("PUBLISH", presence, text);
			/* More than a node takes; Redis itself would not mind. */
			const resyncs = await c.sum("resyncs_total");
			await c.redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 64mb 0 0");
			await c.redis.command("PUBLISH", bus, Buffer.alloc(20 << 20, "x"));
			await a.push("say", { n: 1 });
			await waitFor(() => [a, b, d].every((m) => m.heard("say").length === 1), "a message behind the garbage")
				.catch((e) => { throw new Error(`${e.message}\n${c.logs().split("\n").filter((line) => !/malformed/.test(line)).join("\n")}`); });
			await c.redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60");
			assert.ok(await c.sum("bus_malformed_total") >= before + 3 * 10, "counted");
			await sleep(2 * BEAT);
			await agreed([a, b, d], SEEN);
			assert.equal(a.heard("phx_reply").length, 0);
			await c.met(3);
			assert.equal(await c.sum("resyncs_total"), resyncs, "the bus was lost");
			for (const node of c.nodes)
				assert.ok(node.log.split("\n").length < 200, "a line per message in the log");
		});

		test("F26 what is too large for Redis itself cuts the bus, which comes back", async () => {
			const [topic, a, b] = await room("room:seen", { ids: ["n1", "n2"] });

			await agreed([a, b], SEEN);
			await c.redis.command("PUBLISH", `roost:t:{${topic}}`, Buffer.alloc(100 << 20, "x"));
			await waitFor(() => [a, b].every((m) => m.heard("system").length === 1), "the gap to be announced");
			assert.deepEqual(a.heard("system"), [{ status: "resync" }]);
			await subscribed(topic, 2);
			await a.push("say", { n: 1 });
			await waitFor(() => b.heard("say").length === 1, "a message behind it");
			await agreed([a, b], SEEN);
			assert.deepEqual([a, b].map((m) => m.changes().leaves), [[], []]);
			await c.met(3);
		});
	});

	describe("presence", () => {
		test("R01 R02 R04 R09 who comes is seen everywhere, and who goes", async () => {
			const topic = fresh("presence:room");
			const [a, b, d] = await each(topic);

			await agreed([a, b, d], SEEN);
			const more = await each(topic, { status: "second" });
			await agreed([a, b, d, ...more], SEEN);
			assert.deepEqual(Object.values(a.presence.state).map((p) => p.metas.length), [2, 2, 2]);
			await more[1].leave();
			await agreed([a, b, d, ...more], SEEN);
			more[2].cut();
			await agreed([a, b, d, ...more], SEEN);
			const { joins, leaves } = d.changes();
			assert.equal(new Set(joins).size, joins.length, "a ref joined twice");
			assert.equal(leaves.length, 2);
		});

		test("R03 an update is one diff: the new one with the ref of the old", async () => {
			const topic = fresh("presence:room");
			const [a, b, d] = await each(topic);

			await agreed([a, b, d], SEEN);
			const marks = [a, b, d].map((m) => m.got.length);
			await a.update("away");
			await agreed([a, b, d], SEEN);
			[a, b, d].forEach((m, i) => {
				const [diff, ...others] = m.got.slice(marks[i]).filter(([event]) => event === "presence_diff").map(([, p]) => p);
				const [left] = diff.leaves.u1.metas, [joined] = diff.joins.u1.metas;

				assert.deepEqual(others, []);
				assert.deepEqual([left.status, joined.status, joined.phx_ref_prev], ["online", "away", left.phx_ref]);
			});
		});

		test("R05 an update that says nothing new is not told", async () => {
			const topic = fresh("presence:room");
			const [a, b] = await each(topic, { ids: ["n1", "n2"] });

			await agreed([a, b], SEEN);
			const mark = b.got.length;
			await a.update("online");
			await sleep(500);
			assert.deepEqual(b.got.slice(mark), []);
		});

		test("R06 several of one connection leave in one diff", async () => {
			const topic = "fix:pres";
			const a = await wire("n1"), b = await Ws.open(c.node("n2").port);

			sockets.push(b);
			a.json(["1", "1", topic, "phx_join", {}]);
			assert.equal((await a.nextMessage())[4].status, "ok");
			assert.deepEqual((await a.nextMessage()).slice(3), ["presence_state", {}]);
			b.json(["1", "1", topic, "phx_join", {}]);
			b.json(["1", "2", topic, "ptrack", { key: "k1", name: "x" }]);
			b.json(["1", "3", topic, "ptrack", { key: "k2", name: "y" }]);
			const seen = [];
			while (seen.length < 2) {
				const [, , , event, payload] = await a.nextMessage();
				assert.equal(event, "presence_diff");
				seen.push(...Object.keys(payload.joins));
			}
			b.destroy();
			const [, , , event, payload] = await a.nextMessage();
			assert.deepEqual([event, Object.keys(payload.leaves).sort(), payload.joins], ["presence_diff", ["k1", "k2"], {}]);
		});

		test("R07 a join anew: the old ref leaves, the new one comes", async () => {
			const topic = fresh("presence:room");
			const [a, b] = await each(topic, { ids: ["n1", "n2"] });

			await agreed([a, b], SEEN);
			const [old] = a.presence.state.u1.metas;
			const again = await member("n1", topic, { user: "u1", status: "again" });
			a.disconnect();
			await agreed([b, again], SEEN);
			assert.notEqual(b.presence.state.u1.metas[0].phx_ref, old.phx_ref);
		});

		test("R08 newcomers on all nodes at once", { timeout: 60_000 }, async () => {
			const topic = fresh("presence:room");
			const all = await Promise.all(Array.from({ length: 60 }, (_, i) =>
				member(`n${1 + i % 3}`, topic, { user: `u${i % 40}`, status: `s${i}` })));

			await agreed(all, SEEN + PATIENCE);
			all.slice(0, 30).forEach((m, i) => i % 2 ? m.cut() : m.leave());
			await agreed(all, SEEN + PATIENCE);
		});

		test("a newcomer's state holds what is on other nodes", async () => {
			const topic = fresh("presence:room");
			const [a, b] = await each(topic, { ids: ["n1", "n2"] });

			await agreed([a, b], SEEN);
			const d = await member("n3", topic, { user: "u3" });
			const [state] = await waitFor(() => d.heard("presence_state").length > 0 && d.heard("presence_state"), "the state");
			assert.deepEqual(Object.keys(state).filter((key) => key !== "u3").sort(), ["u1", "u2"]);
			await agreed([a, b, d], SEEN);
		});

		test("keys are as documented, and gone after all have left", async () => {
			const topic = fresh("presence:room"), set = `roost:presence:{${topic}}`;
			const [a, b] = await each(topic, { ids: ["n1", "n2"] });

			await agreed([a, b], SEEN);
			assert.deepEqual((await c.redis.command("SMEMBERS", set)).sort(), ["n1", "n2"]);
			const pairs = await c.redis.command("HGETALL", `${set}:n1`);
			const hash = Object.fromEntries(pairs.flatMap((name, i) => i % 2 ? [] : [[name, pairs[i + 1]]]));
			const [meta] = a.presence.state.u1.metas;
			assert.deepEqual(JSON.parse(hash[`u1/${meta.phx_ref}`]), meta);
			assert.ok(Number(hash["@epoch"]) > 1e12 && Number(hash["@version"]) >= 1);
			assert.equal(await c.redis.command("SISMEMBER", "roost:node:n1:topics", topic), 1);
			assert.ok(await c.redis.command("PTTL", `${set}:n1`) > 0);
			const node = await c.redis.command("HGETALL", "roost:node:n1");
			for (const name of ["epoch", "boot", "host", "pid", "version", "listen", "connections", "channels", "topics", "started"])
				assert.ok(node.includes(name), name);
			assert.deepEqual((await c.redis.command("ZRANGE", "roost:nodes", 0, -1)).sort(), ["n1", "n2", "n3"]);
			await Promise.all([a.leave(), b.leave()]);
			await waitFor(async () => (await c.redis.keys(`*${topic}*`)).length === 0, "the keys to be gone");
			await waitFor(async () => await c.redis.command("SISMEMBER", "roost:node:n1:topics", topic) === 0, "the topic to be gone");
		});
	});

	describe("leave_grace", () => {
		const GRACE = 3000;

		for (const [where, id] of [["the same node", "n1"], ["another node", "n2"]])
			test(`who is back in time, at ${where}, has not been away`, async () => {
				const topic = fresh("grace");
				const [a, b, d] = await each(topic);

				await agreed([a, b, d], SEEN);
				const marks = [b, d].map((m) => m.got.length);
				const [{ phx_ref: ref }] = b.presence.state.u1.metas;
				a.cut();
				await sleep(300);
				const again = await member(id, topic, { user: "u1" });
				await agreed([again, b, d], SEEN);
				await sleep(GRACE + 1000);
				await agreed([again, b, d], SEEN);
				assert.equal(b.presence.state.u1.metas[0].phx_ref, ref, "the ref has changed");
				assert.deepEqual([b, d].map((m, i) => m.got.slice(marks[i])), [[], []]);
			});

		test("who is not back leaves when the time is over, and who says so at once", async () => {
			const topic = fresh("grace");
			const [a, b, d] = await each(topic);

			await agreed([a, b, d], SEEN);
			const begun = performance.now();
			a.cut();
			await agreed([a, b, d], GRACE + SEEN);
			assert.ok(performance.now() - begun > GRACE - 50, "left too early");
			const then = performance.now();
			await b.leave();
			await agreed([b, d], SEEN);
			assert.ok(performance.now() - then < GRACE, "left late");
		});

		test("who is back with another status is an update", async () => {
			const topic = fresh("grace");
			const [a, b, d] = await each(topic);

			await agreed([a, b, d], SEEN);
			a.cut();
			await sleep(300);
			const again = await member("n2", topic, { user: "u1", status: "back" });
			await agreed([again, b, d], SEEN);
			await sleep(GRACE + 500);
			await agreed([again, b, d], SEEN);
		});
	});

	describe("history", () => {
		/* What the answer to a join or a load holds, as [id, n]. */
		const numbers = (messages) => messages.map((m) => m.payload.n);

		test("all nodes hear one order, the senders' too", { timeout: 60_000 }, async () => {
			const [topic, ...all] = await room("room:kept");
			const N = 60;
			const replies = await Promise.all(all.flatMap((m, k) => Array.from({ length: N }, (_, i) => m.push("say", { n: k * 1000 + i }))));

			await waitFor(() => all.every((m) => m.heard("say").length >= 3 * N), "everyone to hear all");
			const [first, ...others] = all.map((m) => m.heard("say").map((p) => p.id));
			assert.deepEqual(others, [first, first]);
			assert.equal(new Set(first).size, 3 * N);
			assert.deepEqual(replies.map((r) => r.id).sort(), [...first].sort());
			for (const k of [0, 1, 2])
				assert.deepEqual(all[0].heard("say").map((p) => p.n).filter((n) => Math.floor(n / 1000) === k), Array.from({ length: N }, (_, i) => k * 1000 + i));
			assert.equal(await c.redis.command("XLEN", `roost:history:{${topic}}`), 3 * N);
		});

		test("a client goes on from what another node told it", async () => {
			const [topic, a] = await room("room:kept", { ids: ["n1", "n2"] });
			const ids = [];

			for (let i = 0; i < 20; i++)
				ids.push((await a.push("say", { n: i })).id);
			const d = await member("n3", topic, { user: "u3", params: { last_seen_id: ids[11] } });
			assert.deepEqual([numbers(d.answer.messages), d.answer.recovered, d.answer.has_more], [[12, 13, 14, 15, 16, 17, 18, 19], true, false]);
			assert.deepEqual(d.answer.messages.map((m) => m.id), ids.slice(12));
			assert.deepEqual([d.answer.messages[0].event, d.answer.messages[0].user_id], ["say", "u1"]);
			const page = await d.push("load_history", { before: ids[5], limit: 3 });
			assert.deepEqual([numbers(page.messages), page.has_more], [[2, 3, 4], true]);
			const rest = await d.push("load_history", { after: ids[17] });
			assert.deepEqual([numbers(rest.messages), rest.has_more], [[18, 19], false]);
			for (const lost of ["nonsense", "01900000-0000-7000-8000-000000000000"]) {
				const e = await member("n2", topic, { user: "u4", params: { last_seen_id: lost } });
				assert.equal(e.answer.recovered, false);
				assert.equal(e.answer.messages.length, 20);
			}
		});

		test("who joins while others talk misses nothing, and hears nothing twice", { timeout: 60_000 }, async () => {
			const [topic, a, b] = await room("room:kept", { ids: ["n1", "n2"] });
			let talking = true, said = 0;
			const talk = Promise.all([a, b].map(async (m) => {
				while (talking && said < 400) {
					await m.push("say", { n: said++ });
					await sleep(2);
				}
			}));
			const late = [];

			for (let i = 0; i < 12; i++) {
				late.push(await member(`n${1 + i % 3}`, topic, { user: `l${i}`, params: i % 2 ? { last_seen_id: a.heard("say")[0]?.id } : {} }));
				await sleep(30);
			}
			talking = false;
			await talk;
			await waitFor(() => [a, b, ...late].every((m) => m.got.at(-1)?.[1].id === a.got.at(-1)[1].id), "all to hear the last");
			const order = a.heard("say").map((p) => p.id);
			for (const m of late) {
				const ids = [...m.answer.messages.map((x) => x.id), ...m.heard("say").map((p) => p.id)];
				assert.equal(ids.join("\n"), order.slice(order.indexOf(ids[0])).join("\n"), `${m.user} has holes or repeats`);
			}
		});

		test("a rate holds over all nodes", async () => {
			const [, ...all] = await room("room:kept", { user: "same" });
			const answers = await Promise.all(all.flatMap((m) => Array.from({ length: 4 }, (_, i) =>
				m.push("limited", { i }).then(() => "ok", (e) => e.answer))));

			assert.equal(answers.filter((a) => a === "ok").length, 4);
			for (const refused of answers.filter((a) => a !== "ok")) {
				assert.match(refused.reason, /rate_limit/);
				assert.ok(refused.retry_after_ms > 0 && refused.retry_after_ms <= 60_000);
			}
		});

		test("presence and history in one topic", async () => {
			const [, ...all] = await room("room:both");

			await agreed(all, SEEN);
			await all[0].push("say", { n: 1 });
			await waitFor(() => all.every((m) => m.heard("say").length === 1), "everyone to hear it");
		});
	});

	describe("nodes", () => {
		test("F25 an id that a living node has is refused, and nothing of its owner's is touched", async () => {
			const topic = fresh("presence:room");
			const [a, b] = await each(topic, { ids: ["n1", "n2"] });
			const [one, two] = await freePorts(2);

			await agreed([a, b], SEEN);
			const { code, err } = await run(["-l", `127.0.0.1:${one}`, "--admin-listen", `127.0.0.1:${two}`, "-n", "n1", "-r", c.redis.url,
				"-o", `cluster.heartbeat=${BEAT}ms`, "-o", `cluster.timeout=${TIMEOUT}ms`], { env: { ROOST_AUTH_SECRET: SECRET } });
			assert.equal(code, 69, err);
			assert.match(err, new RegExp(`n1.*${c.node("n1").pid}`));
			await agreed([a, b], SEEN);
			assert.deepEqual(a.changes().leaves, []);
			await c.met(3);
		});

		test("R12 a node that ends in order is gone at once", async () => {
			const topic = fresh("presence:room");
			const [a, b, d] = await each(topic);

			await agreed([a, b, d], SEEN);
			d.in = false;
			const begun = performance.now();
			await c.node("n3").stop("SIGQUIT");
			const took = performance.now() - begun + await agreed([a, b, d], SEEN);
			assert.ok(took < CONVERGED + SLACK);
			assert.equal(await c.redis.command("EXISTS", "roost:node:n3", "roost:node:n3:topics", `roost:presence:{${topic}}:n3`), 0);
			await c.met(2);
			await c.restart("n3");
			await c.met(3);
		});

		test("R11 a node that was killed and starts anew: its old presences leave at once, and never return", { timeout: 60_000 }, async () => {
			const topic = fresh("presence:room");
			const [a, b, d] = await each(topic);

			await agreed([a, b, d], SEEN);
			const old = a.presence.state.u3.metas[0].phx_ref;
			d.disconnect();
			await c.kill("n3");
			await c.restart("n3");
			const begun = performance.now();
			await agreed([a, b], SEEN);
			assert.ok(performance.now() - begun < TIMEOUT + SLACK, "waited for the timeout");
			const again = await member("n3", topic, { user: "u3" });
			await agreed([a, b, again], SEEN);
			await sleep(2 * BEAT);
			assert.notEqual(a.presence.state.u3.metas[0].phx_ref, old);
			assert.deepEqual(a.changes().leaves, [`u3/${old}`]);
		});
	});
});

describe("starting", { skip: noRedis, concurrency: false }, () => {
	test("workers are nodes of their own", { timeout: 60_000 }, async (t) => {
		const redis = await Redis.start();

		t.after(() => redis.end());
		const node = await start({ config: ROUTES, args: ["-n", "many", "-w", "3"], options: { "redis.url": redis.url, "limits.message_rate": 0 } });
		t.after(() => node.status ?? node.signal("SIGKILL"));
		await waitFor(async () => (await node.metrics()).nodes === 3, "three workers to meet");
		assert.deepEqual((await redis.command("ZRANGE", "roost:nodes", 0, -1)).sort(), ["many.1", "many.2", "many.3"]);
		const members = await Promise.all(Array.from({ length: 12 }, (_, i) => Member.join(node, "room:both:w", { user: `u${i}` })));
		await agreed(members, SEEN);
		await members[0].push("say", { n: 1 });
		await waitFor(() => members.every((m) => m.heard("say").length === 1), "all to hear it");
		members.forEach((m) => m.disconnect());
		await node.stop("SIGQUIT");
		assert.deepEqual(await redis.keys(), ["roost:history:{room:both:w}"]);
	});

	test("a password that Redis does not take: 69, and why", async (t) => {
		const redis = await Redis.start({ password: "sesame" });

		t.after(() => redis.end());
		for (const password of [undefined, "wrong"]) {
			const [one, two] = await freePorts(2);
			const { code, err } = await run(["-l", `127.0.0.1:${one}`, "--admin-listen", `127.0.0.1:${two}`, "-n", "n1", "-r", redis.url],
				{ env: { ROOST_AUTH_SECRET: SECRET, ...(password ? { ROOST_REDIS_PASSWORD: password } : {}) } });

			assert.equal(code, 69, err);
			assert.match(err, /WRONGPASS|NOAUTH|password|[Aa]uthentication/);
			assert.doesNotMatch(err, /wrong\b/, "the password is in the log");
		}
		const node = await start({ args: ["-n", "n1"], options: { "redis.url": redis.url }, env: { ROOST_AUTH_SECRET: SECRET, ROOST_REDIS_PASSWORD: "sesame" } });
		await node.stop();
	});

	test("without Redis: not ready, but there; ready when Redis comes", { timeout: 60_000 }, async (t) => {
		const redis = await Redis.start();

		t.after(() => redis.end());
		await redis.kill();
		const c = await Cluster.start({ redis, nodes: 0 });
		const node = await c.add("n1", { until: "up" });
		t.after(() => c.end());
		const { status, body } = await node.get("/readyz");
		assert.deepEqual([status, /Redis/.test(body)], [503, true], body);
		const a = await Member.join(node, "room:both:x", { user: "u1" });
		assert.equal(a.answer.recovered, false);
		await assert.rejects(a.push("say", {}), (e) => e.answer.reason === "unavailable");
		await redis.start();
		await waitFor(async () => (await node.get("/readyz")).status === 200, "the node to be ready");
		await a.push("say", { n: 1 });
		await c.add("n2");
		await c.met(2);
		const b = await Member.join(c.node("n2"), "room:both:x", { user: "u2" });
		await agreed([a, b], SEEN);
		a.disconnect();
		b.disconnect();
	});
});
