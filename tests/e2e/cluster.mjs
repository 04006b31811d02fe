// Several daemons that meet in a Redis of their own, and what can befall them.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { PATIENCE, start, waitFor, within } from "./harness.mjs";
import { Redis } from "./redis.mjs";

// Quicker than the defaults, so that tests do not wait long; slow enough for a sanitized daemon on a busy machine.
export const BEAT = 500;
export const TIMEOUT = 3000;
// What is promised: views agree so long after a node dies without a word, and after what was lost is back.
export const CONVERGED = TIMEOUT + 2 * BEAT;
export const HEALED = 2 * BEAT + 2000;
// The promises are for machines that are not busy with a whole test run.
export const SLACK = 4000;

/* Presence, history and what it takes for a client to be given back its place. */
export const ROUTES = `
route "presence:room:{room_id}" { class = "presence" }
route "grace:{room_id}" { class = "presence" leave_grace = "3s" }
route "room:kept:{room_id}" { class = "room" history = yes history_max = 2000 rate "limited" = 4/60s }
route "room:seen:{room_id}" { class = "room" presence = yes }
route "room:both:{room_id}" { class = "room" presence = yes history = yes }
`;

const OPTIONS = {
	"cluster.heartbeat": `${BEAT}ms`, "cluster.timeout": `${TIMEOUT}ms`, "cluster.ready_grace": "1s", "history.check": "1s",
	"limits.message_rate": 0, "redis.linger": "500ms", "drain.delay": "100ms", "drain.time": "1s",
};

export class Cluster {
	/*
	 * Starts Redis and nodes n1, n2 ..., and waits until they know each other.
	 *   nodes    how many
	 *   redis    options of Redis.start(), or a Redis
	 *   url      (id) => where that node finds Redis
	 *   options, config, and others as those of harness.start(), for each node
	 */
	static async start({ nodes = 3, redis = {}, url, ...rest } = {}) {
		const cluster = new this(redis instanceof Redis ? redis : await Redis.start(redis), url, rest);

		try {
			await Promise.all(Array.from({ length: nodes }, (_, i) => cluster.add(`n${i + 1}`)));
			await cluster.met();
		} catch (e) {
			await cluster.end({ orderly: false });
			throw e;
		}
		return cluster;
	}

	/* The same for one test, which it ends with. */
	static async serve(t, options) {
		const cluster = await this.start(options);

		t.after(() => cluster.end({ orderly: t.passed !== false }));
		return cluster;
	}

	constructor(redis, url, rest) {
		this.redis = redis;
		this.url = url ?? (() => redis.url);
		this.rest = rest;
		this.all = new Map();	// by id; those that have ended stay until they are started anew
	}

	/* Starts a node. */
	async add(id, { options, args = [], ...rest } = {}) {
		const node = await start({
			config: ROUTES, ...this.rest, ...rest,
			args: ["-n", id, ...args],
			options: { ...OPTIONS, "redis.url": this.url(id), ...this.rest.options, ...options },
		});

		node.id = id;
		this.all.set(id, node);
		return node;
	}

	/* The same node again, at its old address. */
	restart(id, rest) {
		return this.add(id, { port: this.all.get(id).port, ...rest });
	}

	node(id) { return this.all.get(id); }
	/* Those that live, n1 first. */
	get nodes() { return [...this.all.keys()].sort().map((id) => this.node(id)).filter((node) => node.status === null); }

	/* All who live have their place, and count each other. */
	async met(n = this.nodes.length, { timeout = TIMEOUT + PATIENCE, among = this.nodes } = {}) {
		await waitFor(async () => {
			const metrics = await Promise.all(among.map((node) => node.metrics()));
			return metrics.every((m) => m.nodes === n && m.redis_up === 1);
		}, `${among.length} nodes to see ${n}`, timeout).catch((e) => { throw new Error(`${e.message}\n${this.logs()}`); });
	}

	logs() {
		return [...this.all.values()].map((node) => node.log.split("\n").map((line) => `${node.id}: ${line}`).join("\n")).join("\n");
	}

	/* The sum of a counter over all nodes that live. */
	async sum(name) {
		const metrics = await Promise.all(this.nodes.map((node) => node.metrics()));

		return metrics.reduce((sum, m) => sum + m[name], 0);
	}

	pause(id) { this.node(id).signal("SIGSTOP"); }
	resume(id) { this.node(id).signal("SIGCONT"); }

	/* kill -9. */
	async kill(id) {
		const node = this.node(id);

		node.signal("SIGKILL");
		await within(node.ended, `${id} to end`);
		rmSync(node.dir, { recursive: true, force: true });
	}

	/*
	 * Ends all: nodes in order, with what sanitizers have to say. Behind nodes that left in order nothing remains in Redis
	 * but what is to be kept.
	 */
	async end({ orderly = true } = {}) {
		try {
			if (!orderly)
				await Promise.all(this.nodes.map((node) => this.kill(node.id)));
			for (const node of this.nodes)
				node.signal("SIGCONT");
			await Promise.all(this.nodes.map((node) => node.stop("SIGQUIT", { timeout: 2 * PATIENCE })));
			const left = orderly && this.redis.child.exitCode === null && this.redis.child.signalCode === null
				? (await this.redis.keys()).filter((key) => !/^roost:(history|rate|read|list):|^events$/.test(key)) : [];
			const what = await Promise.all(left.map((key) => this.redis.command("HGETALL", key).catch((e) => e.message)));
			assert.deepEqual(left, [], `keys that nodes left behind: ${JSON.stringify(what)}\n${left.length > 0 ? this.logs() : ""}`);
		} finally {
			await Promise.all(this.nodes.map((node) => this.kill(node.id)));
			await this.redis.end();
		}
	}
}
