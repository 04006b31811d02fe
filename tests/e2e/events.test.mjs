// The stream of events: who comes and goes is told once in the cluster, whatever becomes of nodes and of Redis.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Cluster, SLACK, TIMEOUT } from "./cluster.mjs";
import { PATIENCE, run, sleep, waitFor } from "./harness.mjs";
import { PusherClient } from "./pusher.mjs";
import { noRedis } from "./redis.mjs";

const STREAM = "events";
const serve = (t, options = {}, rest = {}) =>
	Cluster.serve(t, { nodes: 2, ...rest, options: { "events.stream": STREAM, ...options } });

/* The entries, as objects. */
async function entries(c) {
	const list = await c.redis.command("XRANGE", STREAM, "-", "+");

	return list.map(([, words]) => Object.fromEntries(Array.from({ length: words.length / 2 }, (_, i) => words.slice(2 * i, 2 * i + 2))));
}

/* Those of a client, once there are so many, and no more than these a while later. */
async function told(c, { clientId }, n, timeout = PATIENCE) {
	const of = async () => (await entries(c)).filter((e) => e.clientId === clientId);

	await waitFor(async () => (await of()).length >= n, `${n} events`, timeout);
	await sleep(200);
	return (await of()).map(({ event, channel, cause }) => [event, channel, cause].filter((word) => word !== undefined).join(" "));
}

const HERE = ["client.connected", "channel.joined presence-a"];

describe("events", { skip: noRedis, concurrency: false }, () => {
	test("what a client does, and on which node", async (t) => {
		const c = await serve(t);
		const client = await PusherClient.join(c.node("n2"), "presence-a", { user: "ann" });

		assert.deepEqual(await told(c, client, 2), HERE);
		await client.ok("leave", { channel: "presence-a" });
		await client.close();
		const all = await told(c, client, 4);
		assert.deepEqual(all.slice(0, 2), HERE);
		assert.match(all[2], /^channel\.left presence-a \S/);
		assert.match(all[3], /^client\.disconnected \S/);
		for (const { event, at, node, userId, type } of await entries(c)) {
			assert.ok(Math.abs(Date.now() - Number(at)) < 60_000, at);
			assert.deepEqual([node, userId, type], ["n2", "ann", event.startsWith("channel.") ? "presence" : undefined]);
		}
	});

	test("kill -9: a survivor tells its clients as lost, once", async (t) => {
		const c = await serve(t, {}, { nodes: 3 });
		const lost = await PusherClient.join(c.node("n1"), "presence-a", { user: "ann" });
		const other = await PusherClient.join(c.node("n2"), "presence-a", { user: "bob" });

		await told(c, lost, 2);
		await c.kill("n1");
		assert.deepEqual(await told(c, lost, 4, TIMEOUT + SLACK + PATIENCE),
			[...HERE, "channel.left presence-a node_lost", "client.disconnected node_lost"]);
		assert.deepEqual(await told(c, other, 2), HERE);
		await c.restart("n1");
		await c.met();
		assert.equal((await told(c, lost, 4)).length, 4);
		await other.close();
		await told(c, other, 4);
	});

	test("killed and back before anybody noticed: its next process tells them", async (t) => {
		const c = await serve(t);
		const lost = await PusherClient.join(c.node("n1"), "presence-a", { user: "ann" });

		await told(c, lost, 2);
		await c.kill("n1");
		await c.restart("n1");
		assert.deepEqual(await told(c, lost, 4, TIMEOUT + SLACK + PATIENCE),
			[...HERE, "channel.left presence-a node_lost", "client.disconnected node_lost"]);
	});

	test("a node that was taken for dead tells its clients again", async (t) => {
		const c = await serve(t);
		const client = await PusherClient.join(c.node("n1"), "presence-a", { user: "ann" });

		await told(c, client, 2);
		c.pause("n1");
		await told(c, client, 4, TIMEOUT + SLACK + PATIENCE);
		c.resume("n1");
		const all = await told(c, client, 6);
		assert.deepEqual(all, [...HERE, "channel.left presence-a node_lost", "client.disconnected node_lost", ...HERE]);
		assert.deepEqual((await entries(c)).map((e) => e.again === "1"), [false, false, false, false, true, true]);
		await client.close();
		await told(c, client, 8);
	});

	test("what happens while Redis is away is told when it is back", async (t) => {
		const c = await serve(t, {}, { redis: { append: true } });
		const stays = await PusherClient.join(c.node("n1"), "public-a", { user: "ann" });
		const goes = await PusherClient.join(c.node("n2"), "public-a", { user: "bob" });

		await told(c, goes, 2);
		await told(c, stays, 2);
		await c.redis.kill();
		await waitFor(() => c.nodes.every((node) => /lost Redis/.test(node.log)), "Redis to be missed");
		const fresh = await PusherClient.open(c.node("n1"), { user: "carl" });
		await goes.close();
		await c.redis.start();
		assert.deepEqual(await told(c, fresh, 1, TIMEOUT + SLACK + PATIENCE), ["client.connected"]);
		const all = await told(c, goes, 4);
		assert.equal(all.length, 4);
		assert.match(all[3], /^client\.disconnected/);
		assert.equal((await told(c, stays, 2)).length, 2);
		assert.equal(await c.sum("events_dropped_total"), 0);
		await fresh.close();
		await stays.close();
	});

	test("beyond the bound the oldest are dropped, and that is told", async (t) => {
		const c = await serve(t, { "events.max_queue": 5 });
		const node = c.node("n1");

		await c.redis.kill();
		await waitFor(() => /lost Redis/.test(node.log), "Redis to be missed");
		const clients = await Promise.all(Array.from({ length: 12 }, () => PusherClient.open(node)));
		assert.equal((await node.metrics()).events_dropped_total, 7);
		assert.equal(node.log.match(/the oldest are dropped/g).length, 1);
		await c.redis.start();
		await waitFor(async () => (await entries(c)).length >= 13, "events", TIMEOUT + SLACK + PATIENCE);
		await sleep(200);
		const all = await entries(c);
		assert.deepEqual([all[0].event, all[0].n], ["events.lost", "7"]);
		assert.deepEqual(all.slice(1).map((e) => e.clientId).sort(), clients.map((client) => client.clientId).sort());
		for (const client of clients)
			await client.close();
	});

	test("an orderly end tells all its clients' ends", async (t) => {
		const c = await serve(t);
		const client = await PusherClient.join(c.node("n1"), "presence-a", { user: "ann" });

		await told(c, client, 2);
		await c.node("n1").stop("SIGQUIT");
		const all = await told(c, client, 4);
		assert.equal(all.length, 4);
		assert.doesNotMatch(all.join(), /node_lost/);
	});

	test("without redis.url there is nobody to tell", async () => {
		const { code, err } = await run(["-T", "-o", `events.stream=${STREAM}`]);

		assert.equal(code, 78);
		assert.match(err, /events\.stream needs a Redis/);
	});
});
