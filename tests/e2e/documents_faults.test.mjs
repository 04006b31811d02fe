// What befalls a cluster while people chat, have their devices and call each other: what was answered stands, what cannot be
// done is said at once, nobody loses a connection, and all goes on as soon as it can.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BEAT, HEALED, SLACK, TIMEOUT } from "./cluster.mjs";
import { Ground, Seat, fresh } from "./documents.mjs";
import { PATIENCE, sleep, waitFor } from "./harness.mjs";
import { noRedis } from "./redis.mjs";

/* For a run that is to be seen again, as far as what is done goes. */
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const TYPING = 3000;

const UNAVAILABLE = { reason: "unavailable" };
const OFFER = { sdp: "v=0", type: "offer" }, ANSWER = { sdp: "v=0", type: "answer" };
const ice = (i) => ({ candidate: `candidate:${i}`, sdp_mid: "0", sdp_m_line_index: 0 });
/* Until what was lost is found and mended everywhere. */
const MENDED = TIMEOUT + HEALED + SLACK;

/* Ann, Bob and Cec, each at a node of their own: in a room, with a phone each, and Ann and Bob in a call. */
class Town {
	static async settle(t, options) {
		const ground = new Ground(3), town = new this();

		await ground.start(options);
		t.after(async () => {
			await ground.clear();
			await (t.passed === false ? ground.cluster.end({ orderly: false }) : ground.end());
		});
		town.ground = ground;
		town.cluster = ground.cluster;
		town.room = `chat:room:${fresh("faults")}`;
		town.call = `signaling:call:${fresh("faults")}`;
		const users = town.users = ["ann", "bob", "cec"].map((name) => fresh(name));
		const [ann, bob] = users;
		town.parties = { caller_id: ann, callee_id: bob };

		town.sockets = users.map((user, k) => ground.dial(user, k));
		town.chat = [];
		for (const [k, user] of users.entries()) {
			town.chat.push(await new Seat(town.sockets[k], town.room, {}).join());
			await Promise.all(town.chat.slice(0, -1).map((seat) => seat.hearsThat("user_joined", { user_id: user })));
		}
		town.devices = await Promise.all(users.map((user, k) =>
			new Seat(town.sockets[k], `presence:${user}`, { device_id: "phone" }).join()));
		town.calls = await Promise.all([0, 1].map((k) => new Seat(town.sockets[k], town.call, town.parties).join()));
		town.closed = 0;
		town.sockets.forEach((socket) => socket.onClose(() => town.closed++));
		await town.calls[0].push("call_initiate", { callee_id: bob, call_type: "video" });
		await town.calls[0].push("call_offer", OFFER);
		await town.calls[1].hears("call_offer");
		await town.calls[1].push("call_answer", ANSWER);
		await town.calls[0].hears("call_answer");
		return town;
	}

	/* What Redis has of a user's devices. */
	places(user) { return this.cluster.redis.command("XREVRANGE", `roost:history:{presence:${user}}`, "+", "-", "COUNT", 1); }

	enter(user, k, device) { return this.ground.join(user, k, `presence:${user}`, { params: { device_id: device } }); }
	enterRefused(user, k, device) { return this.ground.joinRefused(user, k, `presence:${user}`, { params: { device_id: device } }); }

	/* All of it works again, in due time. */
	async works() {
		const { chat, calls, users } = this;

		await this.cluster.met(3);
		for (const [k, seat] of chat.entries()) {
			const content = fresh(`by ${k}`);
			await waitFor(() => seat.push("new_message", { content }).then(() => true, (e) => {
				assert.deepEqual(e.answer, UNAVAILABLE);
			}), "a message to be taken", MENDED);
			await Promise.all(chat.map((other) => other.hearsThat("new_message", { content }, MENDED)));
		}
		await chat[0].push("typing_start");
		await Promise.all(chat.slice(1).map((seat) => seat.hearsThat("user_typing", { user_id: users[0], is_typing: true })));
		await chat[0].push("typing_stop");
		const candidate = fresh("candidate");
		await waitFor(() => calls[0].push("ice_candidate", { ...ice(1), candidate }).then(() => true, (e) => {
			assert.deepEqual(e.answer, UNAVAILABLE);
		}), "the call to go on", MENDED);
		await calls[1].hearsThat("ice_candidate", { candidate }, MENDED);
		/* Whose places were forgotten says so, as soon as it has found out. */
		for (const user of users)
			await waitFor(async () => JSON.stringify(await this.places(user)).includes("phone"), "the phone's place to be told again", MENDED);
		for (const [k, user] of users.entries())
			assert.deepEqual(await this.enterRefused(user, k + 1, "laptop"), { reason: "device_limit_reached" });
	}

	/* Nobody came or went in anybody's eyes, no connection was lost, and no call has ended. */
	still() {
		assert.equal(this.closed, 0, "connections were lost");
		for (const seat of [...this.chat, ...this.calls, ...this.devices])
			assert.deepEqual(seat.got.filter(([event, p]) => ["phx_error", "phx_close", "call_end"].includes(event) ||
				(event === "user_left" && this.users.includes(p.user_id))), [], seat.channel.topic);
	}
}

/* mulberry32 */
function random(seed) {
	return () => {
		seed = (seed + 0x6d2b79f5) | 0;
		let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
	};
}

/* People in one room, on all nodes, some with several tabs. What each is told of the others has to make sense. */
class Crowd {
	constructor(ground) {
		this.ground = ground;
		this.random = random(SEED);
		this.topic = `chat:room:${fresh("crowd")}`;
		this.seats = [];	// with `user` and `at`
		this.afloat = new Set();
		this.dead = new Set();
		this.done = [];
		this.begun = performance.now();
	}

	get cluster() { return this.ground.cluster; }
	pick(list) { return list[Math.floor(this.random() * list.length)]; }
	note(text) { this.done.push(`${((performance.now() - this.begun) / 1000).toFixed(2)} ${text}`); }
	float(what) {
		const going = what.finally(() => this.afloat.delete(going));

		this.afloat.add(going);
		going.catch(() => {});
	}

	come() {
		const user = `u${Math.floor(this.random() * 6)}`, at = this.pick([0, 1, 2].filter((k) => !this.dead.has(k)));
		const seat = new Seat(this.ground.dial(user, at, { reconnectAfterMs: () => 3_600_000 }), this.topic, {});

		this.note(`${user} comes to ${at}`);
		Object.assign(seat, { user, at });
		this.seats.push(seat);
		this.float(seat.join().then(() => seat.in = true, (e) => {
			this.drop(seat);
			if (!this.dead.has(at))
				throw e;
		}));
	}

	drop(seat) {
		seat.in = false;
		this.seats = this.seats.filter((s) => s !== seat);
		seat.cut();
	}

	go(seat) {
		const lost = this.random() < 0.5;

		this.note(`${seat.user} at ${seat.at} ${lost ? "is lost" : "leaves"}`);
		if (lost)
			this.drop(seat);
		else {
			this.seats = this.seats.filter((s) => s !== seat);
			this.float(seat.leave().catch(() => {}).then(() => seat.cut()));
		}
	}

	async killNode(k) {
		this.note(`${k} is killed`);
		this.dead.add(k);
		this.seats.filter((seat) => seat.at === k).forEach((seat) => this.drop(seat));
		await this.cluster.kill(`n${k + 1}`);
		await sleep(this.random() * 4000);
		await this.cluster.restart(`n${k + 1}`, { until: "up" });
		this.dead.delete(k);
	}

	async pauseRedis() {
		this.note("Redis stands still");
		this.cluster.redis.pause();
		await sleep(this.random() * 4000);
		this.cluster.redis.resume();
	}

	/* A node that is killed before it has told all anew leaves in Redis what nobody knows of: so there is a rest behind it. */
	async flush() {
		this.note("FLUSHALL");
		await this.cluster.redis.command("FLUSHALL");
		await sleep(2 * BEAT);
	}

	async trouble() {
		const dice = this.random();

		if (this.troubled)
			return;
		if (dice < 0.3 && this.dead.size === 0)
			this.float(this.killNode(this.pick([0, 1, 2])));
		else if (dice < 0.7) {
			this.troubled = true;
			this.float((dice < 0.5 ? this.pauseRedis() : this.flush()).finally(() => this.troubled = false));
		} else {
			this.note("connections are killed");
			await this.cluster.redis.command("CLIENT", "KILL", "TYPE", dice < 0.85 ? "pubsub" : "normal");
		}
	}

	async live(ms) {
		for (const end = performance.now() + ms; performance.now() < end;) {
			const here = this.seats.filter((seat) => seat.in), dice = this.random();

			if (this.seats.length < 4 || (dice < 0.35 && this.seats.length < 12))
				this.come();
			else if (dice < 0.6 && here.length > 0)
				this.go(this.pick(here));
			else if (dice < 0.9 && here.length > 0)
				this.float(this.pick(here).push(this.pick(["typing_start", "typing_start", "typing_stop"])).catch(() => {}));
			else
				await this.trouble();
			await sleep(this.random() * 60);
		}
	}

	async rest() {
		let why;

		this.note("rest");
		while (this.afloat.size > 0)
			await Promise.all(this.afloat);
		await this.cluster.met(3);
		await waitFor(() => (why = this.nonsense()) === null, "what people were told to make sense", MENDED + TYPING)
			.catch((e) => { throw new Error(`${e.message}: ${why}`); });
	}

	/* What is wrong with what somebody was told; null if nothing is. */
	nonsense() {
		const there = new Set(this.seats.filter((seat) => seat.in).map((seat) => seat.user));

		for (const seat of this.seats)
			for (let i = 0; i < 6; i++) {
				const user = `u${i}`, of = seat.got.filter(([, p]) => p.user_id === user);
				const moves = of.filter(([event]) => event !== "user_typing").map(([event]) => event);
				const typing = of.filter(([event]) => event === "user_typing").map(([, p]) => p.is_typing);
				const say = (what) => `${seat.user} at ${seat.at}: ${user} ${what}: ${JSON.stringify(of.map(([event, p]) => [event, p.is_typing]))}`;

				if (user === seat.user)
					continue;
				if (moves.some((move, at) => at > 0 && move === moves[at - 1]))
					return say("came or went twice");
				if (typing.some((is, at) => at > 0 && is === typing[at - 1]))
					return say("typed, or stopped, twice");
				if (moves.length > 0 && there.has(user) !== (moves.at(-1) === "user_joined"))
					return say(there.has(user) ? "is there" : "is not there");
				if (typing.at(-1))
					return say("types for ever");
			}
		return null;
	}
}

describe("faults with the documents' channels in use", { skip: noRedis, concurrency: false }, () => {
	test("Redis is killed, and back with what it had", { timeout: 120_000 }, async (t) => {
		const town = await Town.settle(t, { redis: { append: true } });
		const { chat, calls, ground, users: [ann, bob], cluster: { redis } } = town;
		const nuisance = fresh("nuisance"), pest = await ground.join(nuisance, 2, town.room);
		const said = [];

		for (let i = 0; i < 5; i++)
			said.push(await chat[0].push("new_message", { content: `${i}` }));
		await chat[0].push("mark_read", { message_id: said[2].id });
		await chat[0].push("block_user", { user_id: nuisance });

		await redis.kill();
		await waitFor(async () => await town.cluster.sum("redis_up") === 0, "the nodes to notice");
		/* What cannot be kept is refused, at once. */
		const begun = performance.now();
		for (const [seat, event, payload] of [
			[chat[1], "new_message", { content: "lost" }],
			[chat[0], "mark_read", { message_id: said[4].id }],
			[chat[0], "block_user", { user_id: bob }],
			[chat[2], "load_history", {}],
			[calls[0], "ice_candidate", ice(7)],
		])
			assert.deepEqual(await seat.refused(event, payload), UNAVAILABLE, event);
		assert.ok(performance.now() - begun < PATIENCE / 2, "refused too late");
		/* Who comes meanwhile is in without what was said (and joins anew for it), or is told why not. */
		const guest = await ground.join("guest", 1, town.room);
		assert.deepEqual([guest.answer.messages, guest.answer.recovered], [[], false]);
		assert.deepEqual(await town.enterRefused("guest", 1, "phone"), UNAVAILABLE);
		await sleep(TIMEOUT);	// so that all would be taken for dead if it were for the time alone
		await redis.start();

		await town.works();
		town.still();
		await pest.push("new_message", { content: "unheard" });
		const again = await ground.join(ann, 2, town.room);
		assert.equal(again.answer.last_read_id, said[2].id);
		assert.deepEqual(again.answer.messages.slice(0, 5), said);
		assert.equal(again.answer.messages.filter((m) => ["lost", "unheard"].includes(m.content)).length, 0);
		assert.equal((await ground.join(bob, 0, town.room)).answer.messages.at(-1).content, "unheard");
	});

	test("Redis comes back empty: places and calls are what they were", { timeout: 120_000 }, async (t) => {
		const town = await Town.settle(t), { chat, calls, cluster: { redis } } = town;

		await redis.kill();
		await redis.start({ empty: true });
		await town.cluster.met(3);
		await waitFor(() => chat[1].push("new_message", { content: "after" }).then(() => true, () => false), "a message to be taken", MENDED);
		await Promise.all(chat.map((seat) => seat.hearsThat("new_message", { content: "after" }, MENDED)));
		await town.works();
		assert.equal(town.closed, 0, "connections were lost");
		assert.deepEqual(chat.flatMap((seat) => seat.heard("user_left")), []);
		await calls[1].push("call_end", { reason: "user_hangup" });
		assert.equal((await calls[0].hears("call_end")).reason, "user_hangup");
	});

	test("FLUSHALL under it", { timeout: 120_000 }, async (t) => {
		const town = await Town.settle(t);

		await town.cluster.redis.command("FLUSHALL");
		await town.works();
		assert.equal(town.closed, 0, "connections were lost");
		assert.deepEqual(town.chat.flatMap((seat) => seat.heard("user_left")), []);
	});

	test("Redis stands still for longer than the timeout: nobody leaves, and no call ends", { timeout: 120_000 }, async (t) => {
		const town = await Town.settle(t), { redis } = town.cluster;

		redis.pause();
		const late = town.chat[0].push("new_message", { content: "while it stood" }).then(() => "ok", (e) => e.answer);
		await sleep(TIMEOUT + 1000);
		redis.resume();
		const answer = await late;
		assert.ok(answer === "ok" || answer.reason === "unavailable", JSON.stringify(answer));
		await town.works();
		town.still();
	});

	test("the nodes' connections to Redis are cut again and again", { timeout: 120_000 }, async (t) => {
		const town = await Town.settle(t), { chat, cluster: { redis } } = town;
		const taken = [];
		let going = true;
		const talk = (async () => {
			for (let i = 0; going; i++) {
				await chat[i % 3].push("new_message", { content: `talk ${i}` })
					.then((m) => taken.push(m.content), (e) => assert.deepEqual(e.answer, UNAVAILABLE));
				await sleep(20);
			}
		})();

		for (let i = 0; i < 6; i++) {
			await sleep(400);
			await redis.command("CLIENT", "KILL", "TYPE", i % 2 ? "pubsub" : "normal");
		}
		going = false;
		await talk;
		await town.works();
		town.still();
		/* What was answered is there, once, in one order for all. */
		const orders = chat.map((seat) => seat.heard("new_message").map((m) => m.id).join());
		assert.deepEqual(orders.map((order) => order === orders[0]), [true, true, true]);
		const heard = chat[0].heard("new_message").map((m) => m.content);
		assert.equal(new Set(heard).size, heard.length, "something was heard twice");
		assert.deepEqual(taken.filter((content) => !heard.includes(content)), []);
	});

	test("a node is killed, and comes back: places, people, calls", { timeout: 120_000 }, async (t) => {
		const town = await Town.settle(t), { ground, users: [, , cec], chat } = town;

		await town.cluster.kill("n3");
		town.sockets[2].disconnect();
		await chat[0].hearsThat("user_left", { user_id: cec }, TIMEOUT + SLACK);
		await chat[1].hearsThat("user_left", { user_id: cec }, TIMEOUT + SLACK);
		await waitFor(() => town.enter(cec, 0, "laptop").then(() => true, () => false), "the place", TIMEOUT + SLACK);
		await town.cluster.restart("n3");
		await town.cluster.met(3);
		assert.deepEqual(await town.enterRefused(cec, 2, "phone"), { reason: "device_limit_reached" });
		const again = await ground.join(cec, 2, town.room);
		await chat[0].hears("user_joined", 3);
		const { id } = await again.push("new_message", { content: "back" });
		assert.equal((await chat[1].hears("new_message")).id, id);
		await town.calls[0].push("ice_candidate", ice(1));
		await town.calls[1].hears("ice_candidate");
		assert.equal(town.closed, 1);
	});

	test(`people come and go while this and that breaks, seed ${SEED}`, { timeout: 180_000 }, async (t) => {
		const ground = new Ground(3), crowd = new Crowd(ground);

		await ground.start({ redis: { append: true } });
		t.after(async () => {
			await ground.clear();
			await (t.passed === false ? ground.cluster.end({ orderly: false }) : ground.end());
		});
		try {
			for (let round = 0; round < 3; round++) {
				await crowd.live(4000);
				await crowd.rest();
			}
		} catch (e) {
			throw new Error(`${e.message}\nwhat was done:\n${crowd.done.join("\n")}`, { cause: e });
		}
		t.diagnostic(`${crowd.done.length} operations`);
	});
});
