// Talk that goes on while nodes and Redis suffer: on each node clients of a live topic, of one with history and of one with
// presence. Afterwards it is looked at who heard what.

import assert from "node:assert/strict";
import { SLACK } from "./cluster.mjs";
import { sleep, waitFor } from "./harness.mjs";
import { Member, agreed } from "./presence_model.mjs";

const name = (payload) => `${payload.from}.${payload.i}`;

export class Talk {
	/* `every` ms each client says something; it is remembered as `{from, i}` */
	static async start(cluster, { ids = cluster.nodes.map((node) => node.id), every = 40, at, reconnect = false } = {}) {
		const talk = new this(cluster, every);
		const join = (id, topic) => Member.join(at ?? cluster.node(id), topic, { user: `${id}-${topic.split(":")[1]}`, reconnect });

		for (const id of ids) {
			talk.live.push(await join(id, "room:talk"));
			talk.kept.push(await join(id, "room:kept:talk"));
			talk.present.push(await join(id, "presence:room:talk"));
		}
		await waitFor(async () => (await cluster.redis.command("PUBSUB", "NUMSUB", "roost:t:{room:talk}"))[1] === new Set(ids).size,
			"the nodes to subscribe");
		await agreed(talk.present);
		talk.marks = new Map(talk.present.map((m) => [m, m.got.length]));
		talk.going = Promise.all([...talk.live.map((m, k) => talk.chat(m, k)), ...talk.kept.map((m, k) => talk.keep(m, k))]);
		await waitFor(() => talk.kept.every((m) => m.heard("say").length > 5), "something to be kept");
		return talk;
	}

	constructor(cluster, every) {
		this.cluster = cluster;
		this.every = every;
		this.live = [];
		this.kept = [];
		this.present = [];
		this.said = [];		// in the live topic, by speaker
		this.acknowledged = [];	// of those kept
		this.refused = [];	// reasons, of those kept
		this.on = true;
	}

	get all() { return [...this.live, ...this.kept, ...this.present]; }

	async chat(member, from) {
		for (let i = 0; this.on; i++) {
			if (!member.socket.isConnected() || member.channel.state !== "joined")
				i--;
			else {
				member.channel.push("say", { from, i });
				this.said[from] = i;
			}
			await sleep(this.every);
		}
	}

	async keep(member, from) {
		for (let i = 0; this.on; i++) {
			await member.push("say", { from, i }).then(
				() => this.acknowledged.push(`${from}.${i}`),
				(e) => this.refused.push(e.answer?.reason ?? e.status ?? e.message));
			await sleep(this.every);
		}
	}

	async stop() {
		this.on = false;
		await this.going;
	}

	/* What the stream holds. */
	async stream() {
		const entries = await this.cluster.redis.command("XRANGE", "roost:history:{room:kept:talk}", "-", "+");

		return entries.map(([, fields]) => name(JSON.parse(fields[fields.indexOf("payload") + 1])));
	}

	/*
	 * Nobody was told twice, all in the order of each speaker, and who missed something was told that this may be. `whole`:
	 * [from, to] by numbers, who missed nothing.
	 */
	async checkLive({ whole = [] } = {}) {
		for (let to = 0; to < this.live.length; to++)
			for (let from = 0; from < this.live.length; from++) {
				const heard = this.live[to].heard("say").filter((p) => p.from === from).map((p) => p.i);

				heard.forEach((i, at) => assert.ok(at === 0 || i > heard[at - 1],
					`${this.live[to].user} heard ${from}.${i} behind ${from}.${heard[at - 1]}`));
				if (from === to || whole.some(([a, b]) => a === from && b === to))
					assert.deepEqual(heard, Array.from({ length: this.said[from] + 1 }, (_, i) => i), `what ${this.live[to].user} heard of ${from}`);
			}
		await waitFor(() => this.live.every((_, to) => this.secretGap(to) === null), "gaps to be announced", 5000 + SLACK)
			.catch((e) => { throw new Error(`${e.message}: ${this.live.map((_, to) => this.secretGap(to))}`); });
	}

	/* Something that was missed without a word behind what came before it; null if nothing was. */
	secretGap(to) {
		const { got, user } = this.live[to];
		const told = got.findLastIndex(([event]) => event === "system");

		for (let from = 0; from < this.live.length; from++) {
			let next = 0, behind = -1;

			for (const [at, [event, payload]] of [...got, ["say", { from, i: this.said[from] + 1 }]].entries()) {
				if (event !== "say" || payload.from !== from)
					continue;
				if (payload.i !== next && told < behind)
					return `${user} lacks ${from}.${next}`;
				next = payload.i + 1;
				behind = at;
			}
		}
		return null;
	}

	/*
	 * Everyone heard the stream whole, in its order and once, from its first message on, or was told of a gap (`told`: they
	 * must, or must not, have been). What was acknowledged is in the stream, unless Redis lost it.
	 */
	async checkKept({ told = false, lost = false } = {}) {
		const stream = await this.stream(), place = new Map(stream.map((key, i) => [key, i]));

		await waitFor(() => this.kept.every((m) => m.heard("say").some((p) => name(p) === stream.at(-1))), "all to hear the last")
			.catch((e) => { throw new Error(`${e.message} (${stream.at(-1)}): ${JSON.stringify(this.kept.map((m) => m.got.slice(-2)))}`); });
		if (!lost)
			assert.deepEqual(this.acknowledged.filter((key) => !place.has(key)), [], "acknowledged, and not kept");
		for (const member of this.kept) {
			const heard = member.heard("say").map(name);
			const gaps = member.heard("system").filter((p) => p.recovered === false).length;

			assert.equal(new Set(heard).size, heard.length, `${member.user} heard something twice`);
			assert.equal(gaps > 0, told, `${member.user} was told of ${gaps} gaps: ${JSON.stringify(member.heard("system"))}`);
			if (!told)
				assert.deepEqual(heard, stream.slice(place.get(heard[0])), `${member.user} has holes`);
			else
				this.checkOrder(member, heard.filter((key) => place.has(key)).map((key) => place.get(key)));
		}
	}

	checkOrder(member, places) {
		places.forEach((at, i) => assert.ok(i === 0 || at > places[i - 1], `${member.user} heard them out of order`));
	}

	/* What presence told since the talk began, of all members. */
	changes() {
		return this.present.map((m) => m.changes(this.marks.get(m)));
	}

	/* Nobody came or went in anybody's eyes. */
	checkStill() {
		for (const { joins, leaves } of this.changes())
			assert.deepEqual([joins, leaves], [[], []]);
	}

	checkConnected() {
		assert.deepEqual(this.all.filter((m) => m.closed > 0).map((m) => m.user), [], "connections were lost");
	}

	end() {
		this.on = false;
		this.all.forEach((m) => m.disconnect());
	}
}
