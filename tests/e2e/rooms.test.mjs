// Rooms that show who is there and keep what was said, as the official phoenix client sees them; one node, with nothing but its memory.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";
import { PATIENCE, mint, sleep, start, waitFor, within } from "./harness.mjs";

const CONFIG = `
	route "shown:*" { class = "room"  presence = yes  leave_grace = 2s }
	route "kept:*" { class = "room"  history = yes  history_max = 100  rate "rare" = 1/1h }
	route "both:*" { class = "room"  presence = yes  history = yes }
`;
const WINDOWS = 200;	/* ms: several of presence's */

/* The answer to a push or join: [status, response]. */
function answer(push) {
	return within(new Promise((resolve) => {
		for (const status of ["ok", "error", "timeout"])
			push.receive(status, (response) => resolve([status, response]));
	}), "an answer");
}

async function ok(push) {
	const [status, response] = await answer(push);

	assert.equal(status, "ok", JSON.stringify(response));
	return response;
}

for (const [version, phoenix] of [["1.7.14", phoenix17], ["1.8.16", phoenix18]]) {
	describe(`rooms, phoenix ${version}`, { concurrency: false }, () => {
		let daemon;
		let sockets = [];

		before(async () => { daemon = await start({ config: CONFIG, options: { "limits.message_rate": 0 } }); });
		after(() => daemon.stop());
		afterEach(async () => {
			await Promise.all(sockets.map((s) => new Promise((resolve) => s.disconnect(resolve))));
			sockets = [];
		});

		function dial(user) {
			const socket = new phoenix.Socket(daemon.socketUrl, {
				transport: WebSocket, params: () => ({ token: mint({ user_id: user }) }), reconnectAfterMs: () => 50,
				rejoinAfterMs: () => 50, timeout: PATIENCE,
			});

			socket.connect();
			sockets.push(socket);
			return socket;
		}

		async function joined(user, topic, params = {}) {
			const channel = dial(user).channel(topic, params);

			return [channel, await ok(channel.join())];
		}

		/* A channel whose presences are kept up by the client. */
		async function present(user, topic, params) {
			const channel = dial(user).channel(topic, params), presence = new phoenix.Presence(channel), seen = { joins: 0, leaves: 0 };

			presence.onJoin(() => seen.joins++);
			presence.onLeave(() => seen.leaves++);
			await ok(channel.join());
			const shown = () => Object.fromEntries(presence.list((key, { metas }) => [key, metas.map((meta) => meta.status)]));
			return { channel, presence, seen, shown, shows: (want) => waitFor(() => JSON.stringify(shown()) === JSON.stringify(want), JSON.stringify(want)) };
		}

		/* The socket is cut off, and comes back by itself. */
		async function cut(channel) {
			channel.socket.conn.terminate();
			await waitFor(() => channel.state !== "joined", "the cut");
		}

		test("a room shows who is there", async () => {
			const a = await present("u1", `shown:a-${version}`, { status: "here" });
			const b = await present("u2", `shown:a-${version}`, {});

			await a.shows({ u1: ["here"], u2: [null] });
			await b.shows({ u1: ["here"], u2: [null] });
			await ok(a.channel.leave());
			await b.shows({ u2: [null] });
		});

		test("who is lost and comes back was never gone", async () => {
			const a = await present("u1", `shown:b-${version}`, { status: "here" }), b = await present("u2", `shown:b-${version}`, { status: "there" });

			await b.shows({ u1: ["here"], u2: ["there"] });
			const { joins, leaves } = b.seen, ref = b.presence.state.u1.metas[0].phx_ref;
			await cut(a.channel);
			await waitFor(() => a.channel.state === "joined", "the rejoin");
			await a.shows({ u1: ["here"], u2: ["there"] });
			await sleep(WINDOWS);
			/* Its online_at may be another second's: then it is an update. */
			assert.ok(b.presence.state.u1.metas.length === 1 && b.seen.leaves - leaves === b.seen.joins - joins);
			if (b.presence.state.u1.metas[0].phx_ref === ref)
				assert.deepEqual(b.seen, { joins, leaves });
		});

		test("the class presence", async () => {
			const a = await present("u1", "presence:room:7", { user_id: "u1", status: "online" });
			const b = await present("u2", "presence:room:7", {});

			await a.shows({ u1: ["online"], u2: ["online"] });
			assert.deepEqual(await ok(a.channel.push("update_status", { status: "away" })), {});
			await b.shows({ u1: ["away"], u2: ["online"] });
			assert.deepEqual(await answer(a.channel.push("update_status", { status: 7 })), ["error", { reason: "invalid_payload", field: "status" }]);
			assert.deepEqual(await answer(a.channel.push("other", {})), ["error", { reason: "unknown_event" }]);
			assert.deepEqual(await answer(dial("u3").channel("presence:room:7", { user_id: "u1" }).join()), ["error", { reason: "unauthorized" }]);
		});

		test("a room keeps what was said", async () => {
			const [a, first] = await joined("u1", `kept:a-${version}`);

			assert.deepEqual(first, { messages: [], has_more: false });
			const { id } = await ok(a.push("say", { text: "é \u2028", n: 1 }));
			assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
			const [, { messages: [message], has_more: more }] = await joined("u2", `kept:a-${version}`);
			assert.deepEqual({ ...message, timestamp: 0 }, { id, event: "say", payload: { text: "é \u2028", n: 1 }, user_id: "u1", timestamp: 0 });
			assert.ok(Math.abs(Date.parse(message.timestamp) - Date.now()) < 60_000 && message.timestamp.length === 24);
			assert.equal(more, false);
		});

		test("who was cut off misses nothing, and hears nothing twice", async () => {
			const [a] = await joined("u1", `kept:b-${version}`), heard = [];
			let last;
			const b = dial("u2").channel(`kept:b-${version}`, () => (last === undefined ? {} : { last_seen_id: last }));
			b.on("say", ({ n, id }) => {
				heard.push(n);
				last = id;
			});
			/* The join's own receive hooks run for each rejoin, too. */
			b.join().receive("ok", ({ messages, recovered }) => {
				assert.equal(recovered, last === undefined ? undefined : true);
				for (const message of messages) {
					heard.push(message.payload.n);
					last = message.id;
				}
			});
			await waitFor(() => b.state === "joined", "the join");
			for (let n = 0; n < 60; n++) {
				if (n % 20 === 10)
					await cut(b);
				await ok(a.push("say", { n }));
			}
			await waitFor(() => heard.length >= 60, "all messages");
			await sleep(50);
			assert.deepEqual(heard, Array.from({ length: 60 }, (_, n) => n));
		});

		test("pages, both ways", async () => {
			const [a] = await joined("u1", `kept:c-${version}`), ids = [];

			for (let n = 0; n < 120; n++)
				ids.push((await ok(a.push("say", { n }))).id);
			const numbers = ({ messages }) => messages.map((message) => message.payload.n);
			const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
			const newest = await ok(a.push("load_history", {}));
			assert.deepEqual([numbers(newest), newest.has_more], [range(70, 120), true]);
			const older = await ok(a.push("load_history", { before: ids[70], limit: 40 }));
			assert.deepEqual([numbers(older), older.has_more], [range(30, 70), true]);
			/* A hundred are kept. */
			const oldest = await ok(a.push("load_history", { before: ids[30], limit: 100 }));
			assert.deepEqual([numbers(oldest), oldest.has_more], [range(20, 30), false]);
			const newer = await ok(a.push("load_history", { after: ids[100] }));
			assert.deepEqual([numbers(newer), newer.has_more], [range(101, 120), false]);
			assert.deepEqual(await ok(a.push("load_history", { after: ids[0] })), { messages: [], has_more: false, recovered: false });
			assert.deepEqual(await answer(a.push("load_history", { limit: 101 })), ["error", { reason: "invalid_payload", field: "limit" }]);
		});

		test("a rate", async () => {
			const [a] = await joined("u1", `kept:d-${version}`);

			await ok(a.push("rare", {}));
			const [status, response] = await answer(a.push("rare", {}));
			assert.deepEqual([status, response.reason], ["error", "rate_limit"]);
			assert.ok(response.retry_after_ms > 3_000_000 && response.retry_after_ms <= 3_600_000);
		});

		test("both at once", async () => {
			const a = await present("u1", `both:a-${version}`, { status: "here" });

			await ok(a.channel.push("say", { n: 1 }));
			const b = await present("u2", `both:a-${version}`, { status: "there" });
			await b.shows({ u1: ["here"], u2: ["there"] });
		});
	});
}
