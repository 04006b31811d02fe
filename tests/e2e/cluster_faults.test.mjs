// What befalls nodes that are one: killed or stopped nodes, a Redis that is gone, empty, stopped or another one, and
// restarts. Behind each of them the views agree again, histories are whole or say so, and nobody hears anything twice.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BEAT, CONVERGED, Cluster, HEALED, ROUTES, SLACK, TIMEOUT } from "./cluster.mjs";
import { Talk } from "./cluster_talk.mjs";
import { Client, crowd } from "./crowd.mjs";
import { PATIENCE, freePorts, mint, sleep, waitFor } from "./harness.mjs";
import { haproxy, noHaproxy } from "./haproxy.mjs";
import { Member, agreed } from "./presence_model.mjs";
import { Proxy } from "./proxy.mjs";
import { Redis, noRedis } from "./redis.mjs";

/* A cluster that people talk on. */
async function talking(t, options, who) {
	const c = await Cluster.serve(t, options);
	const talk = await Talk.start(c, who);

	t.after(() => talk.end());
	return [c, talk];
}

/* Heartbeats of a client, one after the other, for as long as it is asked to; the longest that one took. */
async function heartbeats(port) {
	const client = await Client.open(port);
	let on = true, longest = 0;
	const going = (async () => {
		while (on) {
			const begun = performance.now();
			await client.ask("phoenix", "heartbeat");
			longest = Math.max(longest, performance.now() - begun);
			await sleep(50);
		}
	})();

	return async () => {
		on = false;
		await going;
		await client.cut();
		return longest;
	};
}

const deadKeys = (c, id) => c.redis.keys(`*${id}*`);

/* As contrib/haproxy.cfg. */
function frontend(port, nodes) {
	const servers = nodes.map((node) => `server ${node.id} 127.0.0.1:${node.port}`).join("\n\t");

	return `
defaults
	mode http
	option redispatch
	timeout connect 2s
	timeout client 30s
	timeout server 30s
	timeout tunnel 2m
frontend clients
	bind 127.0.0.1:${port}
	default_backend ready
backend ready
	balance leastconn
	option httpchk
	http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host roost
	http-check expect status 200
	default-server check inter 500ms fall 2 rise 1
	${servers}
`;
}

describe("cluster faults", { skip: noRedis, concurrency: false }, () => {
	describe("nodes", () => {
		test("F1 kill -9: its presences leave once, others lose nothing, clients come back", { skip: noHaproxy, timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t, {}, { ids: ["n2", "n3"] });
			const [port] = await freePorts(1);

			await haproxy(t, port, frontend(port, c.nodes));
			await waitFor(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, "haproxy to find a node");
			const members = await Promise.all(Array.from({ length: 60 }, (_, i) =>
				Member.join(`ws://127.0.0.1:${port}/socket`, "presence:room:many", { user: `u${i}`, reconnect: true })));
			t.after(() => members.forEach((m) => m.disconnect()));
			await agreed(members, PATIENCE);

			await c.kill("n1");
			const begun = performance.now();
			await waitFor(() => members.every((m) => m.socket.isConnected() && m.channel.state === "joined"), "clients to be back", 5000 + SLACK);
			t.diagnostic(`back after ${Math.round(performance.now() - begun)} ms`);
			assert.ok(members.some((m) => m.closed > 0), "nobody was on n1");
			await agreed(members, CONVERGED + SLACK);
			t.diagnostic(`agreed after ${Math.round(performance.now() - begun)} ms`);
			await c.met(2);
			await waitFor(async () => (await deadKeys(c, "n1")).length === 0, "the keys of n1 to be gone");
			await talk.stop();
			await agreed(talk.present);
			talk.checkStill();
			await talk.checkLive({ whole: [[0, 1], [1, 0]] });
			await talk.checkKept();
			talk.checkConnected();
		});

		test("F2 stopped for longer than the timeout: leaves once, and back again", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t);

			c.pause("n1");
			await sleep(300);
			const gone = talk.present[0];
			gone.in = false;
			const took = await agreed(talk.present, CONVERGED + SLACK);
			t.diagnostic(`left after ${Math.round(took)} ms`);
			assert.ok(took > TIMEOUT - 2 * BEAT - 500, "left before the timeout");
			await sleep(BEAT);
			c.resume("n1");
			gone.in = true;
			t.diagnostic(`back after ${Math.round(await agreed(talk.present, HEALED + SLACK))} ms`);
			await c.met(3);
			await sleep(2 * BEAT);
			await agreed(talk.present);
			const [, ...others] = talk.changes();
			for (const { joins, leaves } of others)
				assert.deepEqual([joins.length, leaves.length], [1, 1]);
			await talk.stop();
			await agreed(talk.present);
			await talk.checkLive({ whole: [[1, 2], [2, 1]] });
			await talk.checkKept();
			talk.checkConnected();
		});

		test("F3 stopped for less: nothing is seen of it, and nothing lost", { timeout: 60_000 }, async (t) => {
			const [c, talk] = await talking(t);

			for (const id of ["n1", "n2"]) {
				c.pause(id);
				await sleep(TIMEOUT / 2);
				c.resume(id);
				await sleep(BEAT);
			}
			await talk.stop();
			await sleep(BEAT);
			await agreed(talk.present);
			talk.checkStill();
			await talk.checkLive({ whole: [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => [a, b])) });
			await talk.checkKept();
			talk.checkConnected();
		});

		test("all but one are killed, and come back under their names", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t, {}, { ids: ["n3"] });
			const members = await Promise.all(["n1", "n2", "n3"].map((id, i) => Member.join(c.node(id), "presence:room:x", { user: `u${i}` })));
			t.after(() => members.forEach((m) => m.disconnect()));

			await agreed(members);
			members.slice(0, 2).forEach((m) => m.disconnect());
			await Promise.all([c.kill("n1"), c.kill("n2")]);
			await agreed(members, CONVERGED + SLACK);
			await c.met(1);
			assert.deepEqual([await deadKeys(c, "n1"), await deadKeys(c, "n2")], [[], []]);
			await Promise.all([c.restart("n1"), c.restart("n2")]);
			await c.met(3);
			const back = await Promise.all(["n1", "n2"].map((id, i) => Member.join(c.node(id), "presence:room:x", { user: `u${i}` })));
			members.push(...back);
			await agreed(members);
			await talk.stop();
			talk.checkStill();
			await talk.checkKept();
		});
	});

	describe("Redis", () => {
		test("F4 killed, and back empty", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t);
			const before = talk.kept[0].heard("say").at(-1).id;
			await c.redis.kill();
			await sleep(4000);
			assert.deepEqual([...new Set(talk.refused)], ["unavailable"]);
			const late = await Member.join(c.node("n1"), "presence:room:talk", { user: "late" });
			t.after(() => late.disconnect());
			assert.equal((await c.node("n1").get("/readyz")).status, 503);
			assert.equal((await c.node("n1").get("/healthz")).status, 200);
			await waitFor(() => talk.present[0].presence.state.late, "the newcomer to be seen on its node");

			await c.redis.start({ empty: true });
			const begun = performance.now();
			await c.met(3, { timeout: HEALED + SLACK });
			await agreed([...talk.present, late], HEALED + SLACK);
			t.diagnostic(`agreed after ${Math.round(performance.now() - begun)} ms`);
			await waitFor(() => [...talk.live, ...talk.kept].every((m) => m.heard("system").length > 0), "the gap to be announced", 5000 + SLACK)
				.catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(talk.all.map((m) => [m.user, m.heard("system"), m.got.at(-1)]))}`); });
			await sleep(1000);
			await talk.stop();
			for (const m of talk.live)
				assert.deepEqual(m.heard("system"), [{ status: "resync" }], "once");
			for (const m of talk.kept)
				assert.deepEqual(m.heard("system").map((p) => [p.status, p.recovered]), [["resync", false]], "once");
			for (const { joins, leaves } of talk.changes())
				assert.deepEqual([joins.length, leaves.length], [1, 0], "the newcomer alone is seen");
			await talk.checkLive();
			await talk.checkKept({ told: true, lost: true });
			talk.checkConnected();
			const reader = await Member.join(c.node("n2"), "room:kept:talk", { user: "reader", params: { last_seen_id: before } });
			t.after(() => reader.disconnect());
			assert.equal(reader.answer.recovered, false);
			assert.equal((await c.node("n1").get("/readyz")).status, 200);
		});

		test("F5 killed, and back with what it had", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t, { redis: { append: true } });

			await sleep(500);
			await c.redis.kill();
			await sleep(3000);
			await c.redis.start();
			await c.met(3, { timeout: HEALED + SLACK });
			await agreed(talk.present, HEALED + SLACK);
			await sleep(1000);
			await talk.stop();
			talk.checkStill();
			await talk.checkLive();
			await talk.checkKept();
			talk.checkConnected();
		});

		test("F6 stopped for longer than the timeout: nobody waits, nobody leaves", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t, { options: { "redis.max_queue": "64k" } });
			const asked = await Promise.all(c.nodes.map((node) => heartbeats(node.port)));
			const flood = await Member.join(c.node("n1"), "room:flood", { user: "flood" });
			t.after(() => flood.disconnect());

			await sleep(300);
			c.redis.pause();
			/* Beyond what may wait for Redis. */
			for (let i = 0; i < 400; i++)
				flood.channel.push("pad", { i, pad: "x".repeat(1000) });
			await sleep(TIMEOUT + 3000);
			c.redis.resume();
			await c.met(3, { timeout: HEALED + SLACK });
			await agreed(talk.present, HEALED + SLACK);
			await sleep(1000);
			await talk.stop();
			const longest = await Promise.all(asked.map((stop) => stop()));
			t.diagnostic(`heartbeats took at most ${longest.map(Math.round)} ms`);
			assert.ok(Math.max(...longest) < 1500, "a node stood still");
			assert.deepEqual(flood.heard("pad").map((p) => p.i), Array.from({ length: 400 }, (_, i) => i), "heard at home");
			assert.ok(talk.refused.length > 0 && talk.refused.every((why) => why === "unavailable"), JSON.stringify(talk.refused));
			talk.checkStill();
			await talk.checkLive();
			await talk.checkKept();
			talk.checkConnected();
		});

		/* Nodes reach `old` through a proxy; `fresh` copies it. */
		async function replicated(t) {
			const old = await Redis.start(), next = await Redis.start();
			const proxy = await Proxy.start(old.port);

			t.after(() => { proxy.end(); return next.end(); });
			await next.command("REPLICAOF", "127.0.0.1", old.port);
			await waitFor(async () => /master_link_status:up/.test(await next.command("INFO", "replication")), "the replica to be one");
			const [c, talk] = await talking(t, { redis: old, url: () => proxy.url });
			t.after(() => old.end());
			return { old, next, proxy, c, talk };
		}

		test("F7 the replica takes over, and the old master is gone", { timeout: 120_000 }, async (t) => {
			const { old, next, proxy, c, talk } = await replicated(t);

			await sleep(500);
			/* What is acknowledged now is on both. */
			await c.redis.command("WAIT", 1, 1000);
			proxy.target = next.port;
			await next.command("REPLICAOF", "NO", "ONE");
			await old.kill();
			c.redis = next;
			await c.met(3, { timeout: HEALED + SLACK });
			await agreed(talk.present, HEALED + SLACK);
			await sleep(1000);
			await talk.stop();
			talk.checkStill();
			await talk.checkLive();
			talk.checkConnected();
		});

		test("F7 the old master becomes a replica: READONLY is as good as gone, and a rewind is told", { timeout: 120_000 }, async (t) => {
			const { old, next, proxy, c, talk } = await replicated(t);

			await sleep(300);
			await next.command("REPLICAOF", "NO", "ONE");
			/* Only the old one knows what is said now. */
			await sleep(700);
			proxy.target = next.port;
			await old.command("REPLICAOF", "127.0.0.1", next.port);
			c.redis = next;
			await c.met(3, { timeout: HEALED + SLACK });
			await agreed(talk.present, HEALED + SLACK);
			await waitFor(() => talk.kept.every((m) => m.heard("system").some((p) => p.recovered === false)), "the rewind to be told", 5000 + SLACK);
			await sleep(1000);
			await talk.stop();
			talk.checkStill();
			await talk.checkLive();
			await talk.checkKept({ told: true, lost: true });
			talk.checkConnected();
		});

		test("F8 FLUSHALL: what nodes know stands, and is written again", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t);

			await sleep(300);
			for (let i = 0; i < 2; i++) {
				await c.redis.command("FLUSHALL");
				await waitFor(async () => (await c.redis.keys("roost:presence:{presence:room:talk}:*")).length === 3 &&
					(await c.redis.command("ZCARD", "roost:nodes")) === 3, "the keys to be back", HEALED + SLACK);
				await sleep(BEAT);
			}
			await waitFor(() => talk.kept.every((m) => m.heard("system").some((p) => p.recovered === false)), "the loss to be told", 5000 + SLACK);
			await sleep(3000);
			await talk.stop();
			await agreed(talk.present);
			talk.checkStill();
			await talk.checkLive({ whole: [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => [a, b])) });
			await talk.checkKept({ told: true, lost: true });
			talk.checkConnected();
		});

		test("F9 subscriptions are killed again and again", { timeout: 120_000 }, async (t) => {
			const [c, talk] = await talking(t);

			for (let i = 0; i < 15; i++) {
				await c.redis.command("CLIENT", "KILL", "TYPE", "pubsub");
				await sleep(200 + (i % 5) * 200);
			}
			await waitFor(async () => (await c.redis.command("PUBSUB", "NUMSUB", "roost:t:{room:talk}"))[1] === 3, "the nodes to subscribe", 1000 + SLACK);
			const marks = talk.live.map((m) => m.heard("say").length);
			await waitFor(() => talk.live.every((m, i) => m.heard("say").slice(marks[i]).some((p) => p.from !== i)), "messages to cross");
			await talk.stop();
			await agreed(talk.present, HEALED);
			talk.checkStill();
			await talk.checkLive();
			for (const m of talk.live)
				assert.ok(m.heard("system").length > 0 && m.heard("system").every((p) => p.status === "resync"), "announced");
			await talk.checkKept();
			talk.checkConnected();
		});
	});

	describe("crowds", () => {
		const refsOf = (side) => Object.entries(side).flatMap(([key, { metas }]) => metas.map((m) => `${key}/${m.phx_ref}`));

		/* One of many. `views` gets what it sees, if it looks; `frames` counts. */
		async function guest(at, i, { looks, frames }) {
			const seen = looks ? { refs: null } : null;
			const client = await Client.open(at.port, {
				token: mint({ user_id: `u${i}` }),
				patience: 60_000,
				onText: (payload) => {
					const kind = ["presence_diff", "presence_state"].find((name) => payload.indexOf(name, 0, "latin1") >= 0);
					if (kind === undefined)
						return;
					frames[kind]++;
					if (seen !== null)
						look(seen, kind, JSON.parse(payload)[4]);
				},
			});

			await client.join("presence:room:storm", 60_000);
			return Object.assign(client, { seen });
		}

		function look(seen, kind, payload) {
			if (kind === "presence_state")
				seen.refs = new Set(refsOf(payload));
			else {
				refsOf(payload.joins).forEach((ref) => seen.refs.add(ref));
				refsOf(payload.leaves).forEach((ref) => seen.refs.delete(ref));
			}
		}

		/* `n` refs, and none of those that are `gone`. Returns what they see. */
		async function allSee(clients, n, { timeout, gone = [] }) {
			const views = clients.filter((client) => client.seen !== null).map((client) => client.seen);

			await waitFor(() => views.every((seen) => seen.refs?.size === n && !gone.some((ref) => seen.refs.has(ref))),
				`all to see ${n}`, timeout)
				.catch((e) => { throw new Error(`${e.message}: ${views.map((seen) => seen.refs?.size)}`); });
			const [first, ...others] = views.map((seen) => [...seen.refs].sort().join());
			assert.ok(others.every((view) => view === first), "views differ");
			return [...views[0].refs];
		}

		test("F16 storms of joins cost frames by how many come, not by their square", { timeout: 120_000 }, async (t) => {
			const N = 2000;
			const c = await Cluster.serve(t, { options: { "limits.connections_per_user": 0 } });
			const frames = { presence_state: 0, presence_diff: 0 };
			let begun = performance.now();

			const clients = await crowd(N, (i) => guest(c.nodes[i % 3], i, { looks: i % 31 === 0, frames }), 100);
			t.after(() => clients.forEach((client) => client.socket.destroy()));
			const joined = performance.now() - begun;
			const refs = await allSee(clients, N, { timeout: 30_000 });
			const took = performance.now() - begun, each = frames.presence_diff / N;
			t.diagnostic(`${N} joined in ${Math.round(joined)} ms, agreed after ${Math.round(took)}: ${frames.presence_state} states, ${each} diffs each`);
			assert.equal(frames.presence_state, N);
			assert.ok(each < took / 50 + 10 && each < N / 5, "too many frames");

			/* A third is thrown off, and comes to the other two at once. */
			const gone = refs.filter((ref) => Number(ref.match(/^u(\d+)/)[1]) % 3 === 0);
			await c.kill("n1");
			begun = performance.now();
			const back = await crowd(Math.ceil(N / 3), (i) => guest(c.nodes[i % 2], i * 3, { looks: false, frames }), 300);
			clients.push(...back);
			t.diagnostic(`${back.length} back after ${Math.round(performance.now() - begun)} ms`);
			await allSee(clients.filter((_, i) => i >= N || i % 3 !== 0), N, { timeout: CONVERGED + SLACK + 20_000, gone });
			t.diagnostic(`agreed after ${Math.round(performance.now() - begun)} ms, ${frames.presence_diff / N - each} more diffs each`);
			assert.deepEqual(await deadKeys(c, "n1"), []);
		});

		test("F23 reloads under talk lose nothing", { timeout: 60_000 }, async (t) => {
			const [c, talk] = await talking(t);

			for (let i = 0; i < 10; i++)
				for (const node of c.nodes) {
					node.configure(i % 2 ? `${ROUTES}\nlimits { max_channels = ${100 + i} }` : "nonsense {");
					await node.reload({ refused: i % 2 === 0 });
				}
			await talk.stop();
			await agreed(talk.present);
			talk.checkStill();
			await talk.checkLive({ whole: [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => [a, b])) });
			await talk.checkKept();
			talk.checkConnected();
		});
	});

	describe("restarts", () => {
		/* What a client in the wild does: it goes on from the last message that it knows, and remembers all of them. */
		async function reader(url, user) {
			const heard = [];
			const params = () => heard.length > 0 ? { last_seen_id: heard.at(-1).id } : {};
			const member = new Member(url, "room:kept:roll", { user, reconnect: true, params });
			let gaps = 0;

			member.channel.on("say", (payload) => heard.push(payload));
			member.channel.joinPush.receive("ok", ({ messages, recovered, has_more: more }) => {
				gaps += recovered === false || (heard.length > 0 && more) ? 1 : 0;
				heard.push(...messages.map((m) => ({ ...m.payload, id: m.id })));
			});
			await member.join();
			return { member, heard, get gaps() { return gaps; } };
		}

		test("F22 F24 one node after the other, behind haproxy, under talk", { skip: noHaproxy, timeout: 120_000 }, async (t) => {
			const c = await Cluster.serve(t, { options: { "drain.delay": "1s", "drain.time": "2s" } });
			const [port] = await freePorts(1);
			const url = `ws://127.0.0.1:${port}/socket`;

			await haproxy(t, port, frontend(port, c.nodes));
			await waitFor(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, "haproxy to find a node");
			const readers = await Promise.all(Array.from({ length: 30 }, (_, i) => reader(url, `r${i}`)));
			const members = await Promise.all(Array.from({ length: 30 }, (_, i) =>
				Member.join(url, "presence:room:roll", { user: `m${i}`, reconnect: true })));
			const everyone = [...readers.map((r) => r.member), ...members];
			t.after(() => everyone.forEach((m) => m.disconnect()));
			await agreed(members);
			let on = true, n = 0;
			const acknowledged = [];
			const going = (async () => {
				while (on) {
					const i = n++, { member } = readers[i % readers.length];
					await member.push("say", { i }).then((a) => acknowledged.push(a.id), () => {});
					await sleep(20);
				}
			})();

			for (const id of ["n1", "n2", "n3"]) {
				const node = c.node(id);
				const begun = performance.now();
				node.signal("SIGTERM");
				await waitFor(async () => (await node.get("/readyz").catch(() => ({}))).status !== 200, "the node to be unready");
				await node.exited({ timeout: 2 * PATIENCE });
				assert.deepEqual(await deadKeys(c, id), [], "keys left behind");
				assert.ok(performance.now() - begun < 3000 + SLACK, "drained for too long");
				await c.restart(id);
				await c.met(3);
				await waitFor(() => everyone.every((m) => m.socket.isConnected() && m.channel.state === "joined"), "all to be back", 5000 + SLACK);
				await agreed(members, HEALED + SLACK);
			}
			on = false;
			await going;
			await waitFor(() => readers.every(({ heard }) => heard.at(-1)?.id === acknowledged.at(-1)), "all to hear the last");
			const stream = readers[0].heard.map((m) => m.id);
			assert.equal(new Set(stream).size, stream.length, "heard twice");
			assert.deepEqual(acknowledged.filter((id) => !stream.includes(id)), [], "acknowledged, and lost");
			for (const { member, heard, gaps } of readers) {
				assert.equal(heard.map((m) => m.id).join("\n"), stream.join("\n"), `${member.user} has holes or repeats`);
				assert.equal(gaps, 0);
			}
			const moves = everyone.map((m) => m.closed);
			t.diagnostic(`${acknowledged.length} said; moves: ${moves.join(" ")}`);
			assert.ok(Math.max(...moves) <= 3, "moved too often");
		});
	});
});
