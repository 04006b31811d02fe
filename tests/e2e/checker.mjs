// A cluster under random operations and random faults, with a model of what clients must see. What is done follows from
// the seed; when it happens does not, so a seed may need several runs to fail again.

import assert from "node:assert/strict";
import { CONVERGED, HEALED, SLACK } from "./cluster.mjs";
import { sleep, waitFor } from "./harness.mjs";
import { Member, agreed } from "./presence_model.mjs";

const PRESENCE = ["presence:room:check", "grace:check"];
const GRACE = 3000;
const KEPT = "room:kept:check";
const USERS = 10;	// some are there several times
const MEMBERS = 16;
const READERS = 5;
const PATIENCE = 15_000;	// longer than any fault lasts

/* mulberry32 */
function random(seed) {
	return () => {
		seed = (seed + 0x6d2b79f5) | 0;
		let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
	};
}

const name = (payload) => `${payload.by}.${payload.n}`;

/* Somebody who reads the history: moves about, and goes on from where it was. */
class Reader {
	constructor(label) {
		this.label = label;
		this.runs = [];		// of names, each without a hole
		this.last = undefined;	// the newest id
		this.member = null;
		this.n = 0;
	}

	async join(node) {
		const member = new Member(node, KEPT, {
			user: this.label, patience: PATIENCE, params: this.last === undefined ? {} : { last_seen_id: this.last },
		});
		const early = [];
		let joined = false;
		/* What comes with the answer waits until that is looked at; and who has gone may still be told. */
		const later = (event, take) => member.channel.on(event, (payload) => {
			if (this.member === member)
				joined ? take(payload) : early.push(() => take(payload));
		});

		this.member = member;
		this.node = node.id;
		later("say", (payload) => this.hear(payload));
		later("system", ({ recovered }) => recovered === false && this.runs.push([]));
		const { messages, recovered, has_more: more } = await member.join();
		if (recovered !== true || more)
			this.runs.push([]);
		for (const m of messages)
			this.hear({ ...m.payload, id: m.id });
		joined = true;
		early.forEach((take) => take());
	}

	hear(payload) {
		this.runs.at(-1).push(name(payload));
		this.last = payload.id;
	}

	gone() {
		this.member?.disconnect();
		this.member = null;
	}
}

export class Checker {
	constructor(cluster, seed) {
		this.cluster = cluster;
		this.random = random(seed);
		this.members = [];
		this.readers = Array.from({ length: READERS }, (_, i) => new Reader(`r${i}`));
		this.acknowledged = [];
		this.order = [];	// names, of streams that were flushed
		this.afloat = new Set();	// what is being done
		this.broken = new Set();	// nodes, and "redis", that something is done to
		this.done = [];		// what was, for the report
		this.n = 0;
		this.begun = performance.now();
	}

	pick(list) { return list[Math.floor(this.random() * list.length)]; }
	between(low, high) { return Math.round(low + this.random() * (high - low)); }

	note(text) { this.done.push(`${((performance.now() - this.begun) / 1000).toFixed(2)} ${text}`); }

	/* Nodes that live; paused ones do. */
	get ids() { return this.cluster.nodes.map((node) => node.id).filter((id) => !this.broken.has(`dead ${id}`)); }

	/* Goes on by itself, and is waited for at the next rest. What fails because its node died is no failure. */
	float(what) {
		const going = what.finally(() => this.afloat.delete(going));

		this.afloat.add(going);
		going.catch(() => {});
	}

	// What clients do.

	join(topic = this.pick(PRESENCE), user = `u${this.between(0, USERS - 1)}`) {
		const id = this.pick(this.ids), status = `s${++this.n}`;
		const member = new Member(this.cluster.node(id), topic, { user, status, patience: PATIENCE });

		this.note(`${user} ${status} joins ${topic} at ${id}`);
		member.at = id;
		this.members.push(member);
		this.float(member.join().catch((e) => {
			this.drop(member);
			if (this.cluster.node(id).status === null && !this.broken.has(`dead ${id}`))
				throw e;
		}));
	}

	drop(member) {
		member.disconnect();
		this.members = this.members.filter((m) => m !== member);
	}

	update(member) {
		const status = `s${++this.n}`;

		this.note(`${member.user} ${member.status} becomes ${status}`);
		this.float(member.update(status).catch((e) => {
			if (member.in)
				throw e;
		}));
	}

	/* In order, or lost; `again` comes back elsewhere at once. */
	go(member, again) {
		this.note(`${member.user} ${member.status} at ${member.at} ${again ? "moves" : "goes"}`);
		member.cut();
		this.drop(member);
		if (again)
			this.join(member.topic, member.user);
	}

	leave(member) {
		this.note(`${member.user} ${member.status} at ${member.at} leaves`);
		this.members = this.members.filter((m) => m !== member);
		this.float(member.leave().catch(() => member.disconnect()));
	}

	say(reader) {
		const by = reader.label, n = reader.n++;

		this.float(reader.member.push("say", { by, n }).then(() => this.acknowledged.push(`${by}.${n}`), () => {}));
	}

	move(reader) {
		const id = this.pick(this.ids);

		this.note(`${reader.label} goes on at ${id}`);
		reader.gone();
		const going = reader.join(this.cluster.node(id));
		const { member } = reader;
		this.float(going.catch(() => member === reader.member ? reader.gone() : member.disconnect()));
	}

	// What befalls nodes and Redis.

	async harm(thing, begin, ms, end) {
		this.broken.add(thing);
		try {
			await begin();
			await sleep(ms);
			await end();
		} finally {
			this.broken.delete(thing);
		}
	}

	pauseNode(id) {
		const ms = this.between(100, 5000);

		this.note(`${id} stands still for ${ms} ms`);
		this.float(this.harm(id, () => this.cluster.pause(id), ms, () => this.cluster.resume(id)));
	}

	/* Its clients are not there any more. */
	forget(id) {
		this.broken.add(`dead ${id}`);
		this.members.filter((m) => m.at === id).forEach((m) => this.drop(m));
		this.readers.filter((r) => r.member !== null && r.node === id).forEach((r) => r.gone());
	}

	killNode(id) {
		const ms = this.between(0, 4000);

		this.note(`${id} is killed for ${ms} ms`);
		this.forget(id);
		this.float(this.harm(id, () => this.cluster.kill(id), ms, async () => {
			/* With Redis away it would not become ready. */
			await this.cluster.restart(id, { until: "up" });
			this.broken.delete(`dead ${id}`);
		}));
	}

	pauseRedis() {
		const ms = this.between(100, 4500), { redis } = this.cluster;

		this.note(`Redis stands still for ${ms} ms`);
		this.float(this.harm("redis", () => redis.pause(), ms, () => redis.resume()));
	}

	restartRedis() {
		const ms = this.between(0, 3000), { redis } = this.cluster;

		this.note(`Redis is killed for ${ms} ms`);
		this.float(this.harm("redis", () => redis.kill(), ms, () => redis.start()));
	}

	async flush() {
		const { redis } = this.cluster;

		this.note("FLUSHALL");
		await redis.command("MULTI");
		await redis.command("XRANGE", `roost:history:{${KEPT}}`, "-", "+");
		await redis.command("FLUSHALL");
		const [entries] = await redis.command("EXEC");
		this.order.push(...names(entries));
	}

	async killConnections(type) {
		this.note(`connections of type ${type} are killed`);
		await this.cluster.redis.command("CLIENT", "KILL", "TYPE", type);
	}

	// One after the other.

	async step() {
		const here = this.members.filter((m) => m.in), read = this.readers.filter((r) => r.member?.in);
		const dice = this.random();

		if (dice < 0.4 && read.length > 0)
			this.say(this.pick(read));
		else if (dice < 0.45)
			this.move(this.pick(this.readers));
		else if (dice < 0.6 || here.length < 4) {
			if (this.members.length < MEMBERS)
				this.join();
		} else if (dice < 0.76)
			this.update(this.pick(here));
		else if (dice < 0.85)
			this.go(this.pick(here), true);
		else if (dice < 0.91)
			this.go(this.pick(here), false);
		else if (dice < 0.97)
			this.leave(this.pick(here));
		else if (this.broken.size < 2)
			await this.trouble();
		await sleep(this.between(0, 25));
	}

	async trouble() {
		const whole = this.cluster.nodes.map((node) => node.id).filter((id) => !this.broken.has(id));
		const dice = this.random();

		/* One node is left alone, so that somebody can see. */
		if (dice < 0.25 && whole.length > 1)
			this.pauseNode(this.pick(whole));
		else if (dice < 0.45 && whole.length > 1)
			this.killNode(this.pick(whole));
		else if (this.broken.has("redis"))
			return;
		else if (dice < 0.6)
			this.pauseRedis();
		else if (dice < 0.68)
			this.restartRedis();
		else if (dice < 0.8)
			await this.flush();
		else
			await this.killConnections(dice < 0.93 ? "pubsub" : "normal");
	}

	// At rest.

	async rest() {
		this.note("rest");
		while (this.afloat.size > 0)
			await Promise.all(this.afloat);
		await this.cluster.met(3);
		if (this.random() < 0.4)
			await this.restWithout(this.pick(this.ids));
		for (const reader of this.readers)
			if (!reader.member?.in)
				await reader.join(this.cluster.node(this.pick(this.ids)));
		await this.checkPresence();
		await this.checkHistory();
		const lost = [...this.members, ...this.readers.map((r) => r.member)].filter((m) => m.closed > 0);
		assert.deepEqual(lost.map((m) => m.user), [], "connections were lost");
		this.note("all agree");
	}

	/* One is dead, and stays it until the others agree about it. */
	async restWithout(id) {
		this.note(`${id} is killed`);
		this.forget(id);
		await this.cluster.kill(id);
		await this.checkPresence();
		await this.cluster.met(2);
		await this.cluster.restart(id);
		this.broken.delete(`dead ${id}`);
		await this.cluster.met(3);
	}

	async checkPresence() {
		for (const topic of PRESENCE) {
			const members = this.members.filter((m) => m.topic === topic);

			await agreed(members, CONVERGED + HEALED + GRACE + SLACK).catch((e) => { throw new Error(`${topic}: ${e.message}`); });
			await waitFor(async () => (await this.written(topic)) === (members[0]?.view() ?? []).map((line) => line.split(" ")[0]).join("\n"),
				`Redis to hold what ${topic} shows`, HEALED + GRACE + SLACK)
				.catch(async (e) => { throw new Error(`${e.message}: ${await this.written(topic)}\nand\n${members[0]?.view().join("\n")}`); });
		}
	}

	/* The KEY/REFs of all nodes. */
	async written(topic) {
		const { redis } = this.cluster;
		const nodes = await redis.command("SMEMBERS", `roost:presence:{${topic}}`);
		const fields = await Promise.all(nodes.map((id) => redis.command("HKEYS", `roost:presence:{${topic}}:${id}`)));

		return fields.flat().filter((field) => !field.startsWith("@")).sort().join("\n");
	}

	async checkHistory() {
		const [speaker] = this.readers, last = `${speaker.label}.${speaker.n}`;

		await speaker.member.push("say", { by: speaker.label, n: speaker.n++ });
		this.acknowledged.push(last);
		await waitFor(() => this.readers.every((r) => r.runs.at(-1).at(-1) === last), `all to hear ${last}`)
			.catch((e) => { throw new Error(`${e.message}: ${this.readers.map((r) => r.runs.at(-1).at(-1))}`); });
		const entries = await this.cluster.redis.command("XRANGE", `roost:history:{${KEPT}}`, "-", "+");
		const order = [...this.order, ...names(entries)], place = new Map(order.map((key, i) => [key, i]));

		assert.equal(place.size, order.length, "stored twice");
		assert.deepEqual(this.acknowledged.filter((key) => !place.has(key)), [], "acknowledged, and not kept");
		for (const { label, runs } of this.readers)
			for (const run of runs)
				for (let i = 1; i < run.length; i++)
					assert.equal(place.get(run[i]), place.get(run[i - 1]) + 1, `${label} heard ${run[i]} behind ${run[i - 1]}; the order is ${order.slice(-40)}`);
	}

	/* For so long. Fails with the operations that led to it. */
	async run(ms) {
		try {
			const end = performance.now() + ms;

			for (const reader of this.readers)
				await reader.join(this.cluster.node(this.pick(this.ids)));
			while (performance.now() < end) {
				for (const until = performance.now() + 7000; performance.now() < until;)
					await this.step();
				await this.rest();
			}
		} catch (e) {
			throw new Error(`${e.message}\nwhat was done:\n${this.done.join("\n")}\nthe logs:\n${this.cluster.logs()}`, { cause: e });
		} finally {
			this.members.forEach((m) => m.disconnect());
			this.readers.forEach((r) => r.gone());
			await Promise.allSettled(this.afloat);
		}
	}
}

function names(entries) {
	return entries.map(([, fields]) => name(JSON.parse(fields[fields.indexOf("payload") + 1])));
}
