// The comments of the documents: "Phoenix Channels - WebSocket Real-time Features" (below: Features) with its streams, and
// "Real-time Features" (below: Videos) with its videos. Snippets stand here as they are written there.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everywhere, fresh, notebook } from "./documents.mjs";
import { mint, sleep, waitFor } from "./harness.mjs";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const contents = (comments) => comments.map((c) => c.content);
const CLEAR = 30;	// ms, behind the time of which we were told

everywhere("comments", {}, (ground) => {
	/* Each tries at once: how many are let through, and the others' answers. */
	async function race(seats, make) {
		const answers = await Promise.all(seats.map((seat, k) => seat.push("new_comment", make(k)).then(() => null, (e) => e.answer)));

		return { passed: answers.filter((a) => a === null).length, refusals: answers.filter((a) => a !== null) };
	}

	describe("Features, Comments Channel", () => {
		test("Joining; Sending Comments; Rate Limiting; Comment Format", async () => {
			const id = fresh("456"), socket = ground.dial("ann", 0), console = notebook();
			const bob = await ground.join("bob", 1, `comments:stream:${id}`);

			const channel = socket.channel(`comments:stream:${id}`, {});
			channel.join();

			const send = () => channel.push("new_comment", {
				content: "Great stream!",
				timestamp: Date.now()
			})
				.receive("ok", comment => console.log("Comment sent", comment))
				.receive("error", err => {
					if (err.reason === "rate_limit") {
						console.log("Too many comments, please slow down");
					}
				});
			send();
			send();

			const [, sent] = await console.logged("Comment sent");
			await console.logged("Too many comments, please slow down");
			assert.match(sent.id, UUID);
			assert.equal(typeof sent.timestamp, "number");
			assert.ok(Math.abs(sent.timestamp - Date.now()) < 60_000);
			assert.deepEqual(sent, { id: sent.id, content: "Great stream!", user_id: "ann", stream_id: id, timestamp: sent.timestamp });
			assert.deepEqual(await bob.hears("new_comment"), sent);
			/* One's own comment comes back to one, too. */
			const ann = await ground.join("ann", 2, `comments:stream:${id}`);
			assert.deepEqual(ann.answer.comments, [sent]);
			assert.equal(ann.answer.has_more, false);
			assert.equal(bob.heard("new_comment").length, 1);
		});

		test("without a timestamp it is the server's", async () => {
			const ann = await ground.join("ann", 0, `comments:stream:${fresh("")}`);
			const { timestamp } = await ann.push("new_comment", { content: "now" });

			assert.ok(Number.isInteger(timestamp) && Math.abs(timestamp - Date.now()) < 60_000, `${timestamp}`);
			assert.deepEqual((await ann.hears("new_comment")).content, "now");
		});

		test("one a second from a user, wherever it comes in", async () => {
			const topic = `comments:stream:${fresh("rate")}`;
			const tabs = await Promise.all([0, 1, 2].map((k) => ground.join("ann", k, topic)));
			const bob = await ground.join("bob", 1, topic);

			for (let round = 0; round < 3; round++) {
				const { passed, refusals } = await race(tabs, (k) => ({ content: `${round} from ${k}` }));
				assert.equal(passed, 1);
				for (const { reason, retry_after_ms: ms, ...rest } of refusals) {
					assert.deepEqual([reason, rest], ["rate_limit", {}]);
					assert.ok(Number.isInteger(ms) && ms > 0 && ms <= 1000, `${ms}`);
				}
				/* Nobody else has to wait. */
				if (round === 0)
					await bob.push("new_comment", { content: "Bob's" });
				await sleep(Math.max(...refusals.map((r) => r.retry_after_ms)) + CLEAR);
			}
			await bob.hears("new_comment", 4);
			assert.deepEqual(contents(bob.heard("new_comment")).filter((text) => text !== "Bob's").map((text) => text[0]), ["0", "1", "2"]);
		});

		test("what is refused or wrong does not count, and another stream is another budget", async () => {
			const topic = `comments:stream:${fresh("counts")}`;
			const ann = await ground.join("ann", 0, topic), other = await ground.join("ann", 1, `${topic}-other`);

			for (const payload of [{}, { content: "" }, { content: 7 }, { content: "x".repeat(1025) }, { content: "x", timestamp: "now" }])
				assert.equal((await ann.refused("new_comment", payload)).reason, "invalid_payload");
			await ann.push("new_comment", { content: "first" });
			const begun = performance.now();
			await other.push("new_comment", { content: "elsewhere" });
			/* Asking all the time does not put it off. */
			await waitFor(() => ann.push("new_comment", { content: "second" }).then(() => true, () => false), "the second", 3000);
			const took = performance.now() - begun;
			assert.ok(took < 2000, `it took ${took.toFixed(0)} ms`);
		});
	});

	describe("Videos, Comment Channel", () => {
		test("Client Usage", async () => {
			const videoId = fresh("video"), socket = ground.dial("ann", 0), console = notebook();
			const bob = await ground.join("bob", 1, `comments:${videoId}`);

			// Join comment channel
			const channel = socket.channel(`comments:${videoId}`, {});
			channel.join().receive("ok", (response) => {
				console.log("Joined comment channel", response);
			});
			// Send new comment
			channel
				.push("new_comment", { content: "Great video!" })
				.receive("ok", (response) => {
					console.log("Comment sent", response);
				});

			const [, joined] = await console.logged("Joined comment channel"), [, sent] = await console.logged("Comment sent");
			assert.deepEqual([joined.comments, joined.has_more], [[], false]);
			assert.deepEqual(sent, { id: sent.id, content: "Great video!", user_id: "ann", video_id: videoId, timestamp: sent.timestamp });
			assert.deepEqual(await bob.hears("new_comment"), sent);
		});

		test("Rate Limiting: thirty in a minute from a user, wherever they come in", async () => {
			const topic = `comments:${fresh("thirty")}`;
			const tabs = await Promise.all([0, 1, 2].map((k) => ground.join("ann", k, topic)));
			const bob = await ground.join("bob", 1, topic);

			for (let i = 0; i < 5; i++)
				await tabs[0].refused("new_comment", { content: " \t" });
			const { passed, refusals } = await race(Array.from({ length: 45 }, (_, i) => tabs[i % 3]), (k) => ({ content: `${k}` }));
			assert.equal(passed, 30);
			for (const { reason, retry_after_ms: ms } of refusals) {
				assert.equal(reason, "rate_limit_exceeded");
				assert.ok(Number.isInteger(ms) && ms > 50_000 && ms <= 60_000, `${ms}`);
			}
			await bob.hears("new_comment", 30);
			await bob.push("new_comment", { content: "Bob's" });
			await bob.hears("new_comment", 31);
			assert.equal(new Set(contents(bob.heard("new_comment"))).size, 31);
		});

		test("Error Handling: Connection Management", async () => {
			const socket = ground.dial("ann", 0), console = notebook();
			const channel = socket.channel(`comments:${fresh("error")}`, {});

			// Socket error handling
			socket.onError((error) => {
				console.error("Socket error", error);
				// Implement reconnection logic
			});
			// Channel error handling
			channel.onError((error) => {
				console.error("Channel error", error);
				// Handle channel-specific errors
			});

			channel.join();
			await waitFor(() => channel.state === "joined", "the join");
			socket.conn.terminate();
			await console.logged("Channel error");
			await waitFor(() => channel.state === "joined", "the rejoin");
		});
	});

	test("load_comments: older pages; last_seen_id: what was missed", { timeout: 60_000 }, async () => {
		const topic = `comments:${fresh("pages")}`;
		const users = await Promise.all(["ann", "bob", "cec", "dan"].map((user, k) => ground.join(user, k, topic)));

		for (let i = 0; i < 30; i++)
			await Promise.all(users.map((seat, k) => seat.push("new_comment", { content: `${i}.${k}` })));
		await waitFor(() => users.every((seat) => seat.heard("new_comment").length === 120), "all to hear all");
		const all = users[0].heard("new_comment");
		const late = await ground.join("eve", 1, topic);
		assert.deepEqual(late.answer.comments, all.slice(70));
		assert.equal(late.answer.has_more, true);
		assert.deepEqual(await late.push("load_comments", { before: all[70].id, limit: 50 }), { comments: all.slice(20, 70), has_more: true });
		assert.deepEqual(await late.push("load_comments", { before: all[20].id, limit: 100 }), { comments: all.slice(0, 20), has_more: false });

		const back = await ground.join("eve", 2, topic, { params: { last_seen_id: all[9].id } });
		assert.deepEqual([back.answer.recovered, back.answer.has_more], [true, false]);
		assert.deepEqual(back.answer.comments, all.slice(10));
		const lost = await ground.join("eve", 0, topic, { params: { last_seen_id: "nonsense" } });
		assert.deepEqual([lost.answer.recovered, lost.answer.has_more], [false, true]);
		assert.deepEqual(lost.answer.comments, all.slice(70));
	});

	test("the old encoding", async () => {
		const id = fresh("v1"), bob = await ground.join("bob", 1, `comments:stream:${id}`);
		const wire = await ground.wire(0, { target: `/socket/websocket?token=${mint({ user_id: "ann" })}` });

		wire.json({ topic: `comments:stream:${id}`, event: "phx_join", payload: {}, ref: "1" });
		assert.deepEqual((await wire.nextMessage()).payload, { status: "ok", response: { comments: [], has_more: false } });
		wire.json({ topic: `comments:stream:${id}`, event: "new_comment", payload: { content: "old", timestamp: 1234567890 }, ref: "2" });
		const comment = await bob.hears("new_comment");
		assert.deepEqual([comment.content, comment.timestamp], ["old", 1234567890]);
	});
});
