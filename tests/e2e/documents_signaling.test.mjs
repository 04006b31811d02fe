// Calls as "Phoenix Channels - WebSocket Real-time Features" has them (below: Features), whose snippets stand here as they are
// written there. What it leaves open (who may do what when, and how calls end) is roost-protocol(7). Real browsers that call each
// other are in rtc.test.mjs.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SLACK, TIMEOUT } from "./cluster.mjs";
import { Seat, everywhere, fresh } from "./documents.mjs";
import { waitFor } from "./harness.mjs";

const GRACE = 1000, RING = 1000;
const CONFIG = `
route "quick:call:{call_id}" { class = "signaling" ring_timeout = 1s grace = 1s }
`;

const OFFER = { sdp: "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n", type: "offer" };
const ANSWER = { sdp: "v=0\r\no=- 3 4 IN IP4 127.0.0.1\r\n", type: "answer" };
const ice = (i) => ({ candidate: `candidate:${i} 1 udp 2113937151 192.0.2.${i} 54400 typ host`, sdp_mid: "0", sdp_m_line_index: 0 });

everywhere("signaling", { config: CONFIG }, (ground) => {
	const parties = { caller_id: "ann", callee_id: "bob" };
	const enter = (user, k, topic) => ground.join(user, k, topic, { params: parties });
	const call = (name = "signaling") => `${name}:call:${fresh("call")}`;

	/* Ann at the first node and Bob at the second. */
	const both = async (topic) => [await enter("ann", 0, topic), await enter("bob", 1, topic)];
	const initiate = (seat, callee = "bob") => seat.push("call_initiate", { callee_id: callee, call_type: "video" });

	/* Bob is rung. */
	async function ringing(topic = call()) {
		const [ann, bob] = await both(topic);

		await initiate(ann);
		await bob.hears("call_initiate");
		return [ann, bob];
	}

	/* They talk. */
	async function talking(topic) {
		const [ann, bob] = await ringing(topic);

		await ann.push("call_offer", OFFER);
		await bob.hears("call_offer");
		await bob.push("call_answer", ANSWER);
		await ann.hears("call_answer");
		return [ann, bob];
	}

	const reason = (seat, timeout) => seat.hears("call_end", 1, timeout).then((p) => p.reason);

	describe("Features, Signaling Channel", () => {
		test("Joining; Initiating Call; SDP Offer/Answer; ICE Candidates; Ending Call", async () => {
			const id = fresh("call-uuid-123"), heard = { ann: [], bob: [] };
			const person = (user, k) => {
				const socket = ground.dial(user, k);
				const callId = id;
				const signalingChannel = socket.channel(`signaling:call:${callId}`, {
					caller_id: "user-123",
					callee_id: "user-456"
				});
				return [signalingChannel, signalingChannel.join()];
			};
			const [ann, , bob] = [...person("user-123", 0), ...person("user-456", 1)];
			await waitFor(() => ann.state === "joined" && bob.state === "joined", "both to join");
			bob.on("call_initiate", (p) => heard.bob.push(["call_initiate", p]));
			bob.on("call_offer", (p) => heard.bob.push(["call_offer", p]));
			bob.on("call_end", (p) => heard.bob.push(["call_end", p]));

			{
				const signalingChannel = ann, offer = OFFER;

				signalingChannel.push("call_initiate", {
					callee_id: "user-456",
					call_type: "video"  // or "voice"
				});

				// Send offer
				signalingChannel.push("call_offer", {
					sdp: offer.sdp,
					type: "offer"
				});

				// Receive answer
				signalingChannel.on("call_answer", ({ sdp, type }) => {
					// Handle SDP answer
					heard.ann.push({ sdp, type });
				});

				// Receive ICE candidate
				signalingChannel.on("ice_candidate", ({ candidate, sdp_mid, sdp_m_line_index }) => {
					// Handle ICE candidate
					heard.ann.push({ candidate, sdp_mid, sdp_m_line_index });
				});
			}
			await waitFor(() => heard.bob.length === 2, "the offer");
			{
				const signalingChannel = bob;

				signalingChannel.push("call_answer", ANSWER);
				for (const candidate of [
					{ candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 },
					{ candidate: "", sdpMid: null, sdpMLineIndex: null },
				])
					// Send ICE candidate
					signalingChannel.push("ice_candidate", {
						candidate: candidate.candidate,
						sdp_mid: candidate.sdpMid,
						sdp_m_line_index: candidate.sdpMLineIndex
					});
			}
			await waitFor(() => heard.ann.length === 3, "the answer and candidates");
			{
				const signalingChannel = ann;

				signalingChannel.push("call_end", {
					reason: "user_hangup"
				});
			}
			await waitFor(() => heard.bob.length === 3, "the end");
			assert.deepEqual(heard.ann, [ANSWER, { candidate: "candidate:1", sdp_mid: "0", sdp_m_line_index: 0 },
				{ candidate: "", sdp_mid: null, sdp_m_line_index: null }]);
			assert.deepEqual(heard.bob, [
				["call_initiate", { callee_id: "user-456", call_type: "video", from: "user-123" }],
				["call_offer", { ...OFFER, from: "user-123" }],
				["call_end", { reason: "user_hangup", from: "user-123" }],
			]);
		});

		test("just the two", async () => {
			const topic = call();

			await both(topic);
			assert.deepEqual(await ground.joinRefused("cec", 2, topic, { params: parties }), { reason: "unauthorized" });
			assert.deepEqual(await ground.joinRefused("cec", 1, topic, { params: { caller_id: "ann", callee_id: "cec" } }), { reason: "unauthorized" });
			assert.deepEqual(await ground.joinRefused("cec", 0, topic, { params: { caller_id: "cec", callee_id: "bob" } }), { reason: "unauthorized" });
		});

		test("candidates both ways stay in order", async () => {
			const [ann, bob] = await talking();

			await Promise.all(Array.from({ length: 20 }, (_, i) => [ann.push("ice_candidate", ice(i)), bob.push("ice_candidate", ice(100 + i))]).flat());
			await ann.hears("ice_candidate", 20);
			await bob.hears("ice_candidate", 20);
			assert.deepEqual(bob.heard("ice_candidate"), Array.from({ length: 20 }, (_, i) => ({ ...ice(i), from: "ann" })));
			assert.deepEqual(ann.heard("ice_candidate"), Array.from({ length: 20 }, (_, i) => ({ ...ice(100 + i), from: "bob" })));
		});

		test("a callee who joins late is told all of it, in order", async () => {
			const topic = call(), ann = await enter("ann", 0, topic);

			await initiate(ann);
			await ann.push("call_offer", OFFER);
			for (let i = 0; i < 5; i++)
				await ann.push("ice_candidate", ice(i));
			const bob = await enter("bob", 1, topic);
			await bob.hears("ice_candidate", 5);
			assert.deepEqual(bob.got, [
				["call_initiate", { callee_id: "bob", call_type: "video", from: "ann" }],
				["call_offer", { ...OFFER, from: "ann" }],
				...[0, 1, 2, 3, 4].map((i) => ["ice_candidate", { ...ice(i), from: "ann" }]),
			]);
			await bob.push("call_answer", ANSWER);
			assert.deepEqual(await ann.hears("call_answer"), { ...ANSWER, from: "bob" });
			await ann.push("ice_candidate", ice(5));
			assert.deepEqual(await bob.hears("ice_candidate", 6), { ...ice(5), from: "ann" });
		});

		test("glare: both call at once, and both are told of the same call", { timeout: 60_000 }, async () => {
			for (let round = 0; round < 5; round++) {
				const [ann, bob] = await both(call());
				const answers = await Promise.allSettled([initiate(ann), initiate(bob, "ann")]);

				/* One calls, and the other is called. */
				const heard = await waitFor(() => {
					const n = [ann, bob].map((seat) => seat.heard("call_initiate").length);
					return n[0] + n[1] === 1 && n;
				}, "one of them to be called");
				const [caller, callee] = heard[1] === 1 ? [ann, bob] : [bob, ann];
				assert.equal(answers[heard[1] === 1 ? 0 : 1].status, "fulfilled");
				const lost = answers[heard[1] === 1 ? 1 : 0];
				assert.deepEqual([lost.status, lost.reason?.answer], ["rejected", { reason: "invalid_state" }]);

				await caller.push("call_offer", OFFER);
				await callee.hears("call_offer");
				await callee.push("call_answer", ANSWER);
				await caller.hears("call_answer");
				await ground.clear();
			}
		});

		test("several devices of the callee: the first to answer has it", async () => {
			const topic = call(), [ann, phone] = await ringing(topic), laptop = await enter("bob", 2, topic);

			await laptop.hears("call_initiate");
			await ann.push("call_offer", OFFER);
			await phone.hears("call_offer");
			await laptop.hears("call_offer");
			await laptop.push("call_answer", ANSWER);
			await ann.hears("call_answer");
			assert.equal(await reason(phone), "answered_elsewhere");
			await ann.push("ice_candidate", ice(1));
			await laptop.hears("ice_candidate");
			assert.deepEqual(phone.heard("ice_candidate"), []);
			assert.deepEqual(await phone.refused("call_answer", ANSWER), { reason: "invalid_state" });
			assert.equal(ann.heard("call_answer").length, 1);
			assert.deepEqual([ann, laptop].map((seat) => seat.heard("call_end")), [[], []]);
		});

		test("several devices that answer at once", { timeout: 60_000 }, async () => {
			for (let round = 0; round < 5; round++) {
				const topic = call(), [ann, phone] = await ringing(topic), laptop = await enter("bob", 2, topic);

				await ann.push("call_offer", OFFER);
				await Promise.all([phone, laptop].map((seat) => seat.hears("call_offer")));
				const answers = await Promise.allSettled([phone, laptop].map((seat) => seat.push("call_answer", ANSWER)));
				assert.deepEqual(answers.map((a) => a.status).sort(), ["fulfilled", "rejected"]);
				const loser = [phone, laptop][answers.findIndex((a) => a.status === "rejected")];
				assert.equal(await reason(loser), "answered_elsewhere");
				await ann.hears("call_answer");
				await ann.push("call_end", { reason: "user_hangup" });
				await ground.clear();
				assert.equal(ann.heard("call_answer").length, 1);
			}
		});

		test("missed: nobody answers", async () => {
			const topic = call("quick"), [ann, bob] = await both(topic), begun = performance.now();

			await initiate(ann);
			await Promise.all([ann, bob].map((seat) => reason(seat))).then((reasons) => assert.deepEqual(reasons, ["missed", "missed"]));
			const took = performance.now() - begun;
			assert.ok(took > RING - 100 && took < RING + SLACK, `it rang for ${took.toFixed(0)} ms`);
			assert.deepEqual(await bob.refused("call_answer", ANSWER), { reason: "invalid_state" });
			/* And a new call may begin, the other way round. */
			await initiate(bob, "ann");
			await ann.hears("call_initiate");
		});

		test("missed, though nobody was there to hear it", async () => {
			const ann = await enter("ann", 0, call("quick"));

			await initiate(ann);
			assert.equal(await reason(ann), "missed");
		});

		test("declined, busy, and in one's own words", async () => {
			const topic = call(), [ann, bob] = await both(topic);

			for (const [i, why] of ["declined", "busy", "gone fishing"].entries()) {
				await initiate(ann);
				await bob.hears("call_initiate", i + 1);
				await bob.push("call_end", { reason: why });
				assert.deepEqual(await ann.hears("call_end", i + 1), { reason: why, from: "bob" });
			}
			assert.deepEqual(await ann.refused("call_end", { reason: "user_hangup" }), { reason: "invalid_state" });
		});

		test("disconnected: a party that is lost for longer than the grace, and one that comes back in time", async () => {
			const topic = call("quick"), [ann, bob] = await talking(topic);

			/* Back in time. */
			bob.cut();
			const back = await enter("bob", 2, topic);
			await ann.push("ice_candidate", ice(1));
			assert.deepEqual(await back.hearsThat("ice_candidate", { candidate: ice(1).candidate }), { ...ice(1), from: "ann" });
			const begun = performance.now();
			back.cut();
			assert.equal(await reason(ann), "disconnected");
			const took = performance.now() - begun;
			assert.ok(took > GRACE - 100 && took < GRACE + SLACK, `after ${took.toFixed(0)} ms`);
		});

		test("a node that is killed takes its party with it, after the grace", { skip: ground.n === 1, timeout: 60_000 }, async () => {
			const topic = call("quick"), ann = await enter("ann", 0, topic), bob = await enter("bob", 2, topic);

			await initiate(ann);
			await ann.push("call_offer", OFFER);
			await bob.hears("call_offer");
			await bob.push("call_answer", ANSWER);
			await ann.hears("call_answer");
			await ground.cluster.kill("n3");
			bob.socket.disconnect();
			assert.equal(await reason(ann, TIMEOUT + GRACE + SLACK), "disconnected");
			await ground.cluster.restart("n3");
			await ground.cluster.met();
			const back = await enter("bob", 2, topic);
			await initiate(ann);
			await back.hears("call_initiate");
		});

		test("what is not to be had in a state, and by whom", async () => {
			const [ann, bob] = await both(call());
			const no = async (seat, event, payload, reason = "invalid_state") => assert.deepEqual(await seat.refused(event, payload), { reason }, event);

			/* Nobody has called. */
			await no(bob, "call_answer", ANSWER);
			await no(ann, "call_offer", OFFER);
			await no(ann, "call_end", { reason: "user_hangup" });
			await initiate(ann);
			await bob.hears("call_initiate");
			/* It rings, and there is no offer. */
			await no(bob, "call_answer", ANSWER);
			await no(ann, "call_initiate", { callee_id: "bob", call_type: "video" });
			await ann.push("call_offer", OFFER);
			await bob.hears("call_offer");
			await no(ann, "call_answer", ANSWER, "unauthorized");
			await bob.push("call_answer", ANSWER);
			await no(bob, "call_answer", ANSWER);
			await no(ann, "call_initiate", { callee_id: "bob", call_type: "voice" });
			await ann.hears("call_answer");
			await ann.push("call_end", { reason: "user_hangup" });
			await no(ann, "ice_candidate", ice(1));
		});

		test("an event of 64 KiB is relayed, and one beyond is refused", async () => {
			const [ann, bob] = await ringing();
			const sdp = "x".repeat(65_536 - 200);

			await ann.push("call_offer", { sdp, type: "offer" });
			assert.equal((await bob.hears("call_offer")).sdp, sdp);
			assert.deepEqual(await ann.refused("ice_candidate", { ...ice(1), candidate: "x".repeat(65 * 1024) }), { reason: "invalid_payload", field: "payload" });
			await ann.push("ice_candidate", ice(1));
			await bob.hears("ice_candidate");
		});
	});

	describe("roost-protocol(7), signaling", () => {
		test("a client that comes back is told what was said meanwhile, in order and once", { timeout: 60_000 }, async () => {
			const [ann, first] = await talking();
			const heard = [], sent = [];
			let bob = first, i = 0;
			const say = async () => {
				await ann.push("ice_candidate", ice(i));
				sent.push(ice(i++).candidate);
			};

			for (let round = 0; round < 4; round++) {
				const node = ground.at(1 + round), { connections } = await node.metrics();

				for (let n = 0; n < 5; n++)
					await say();
				await bob.hearsThat("ice_candidate", { candidate: sent.at(-1) });
				bob.cut();
				heard.push(...bob.heard("ice_candidate"));
				/* What is on its way as a connection breaks is lost. */
				await waitFor(async () => (await node.metrics()).connections < connections, "the node to notice");
				for (let n = 0; n < 5; n++)
					await say();
				bob = await enter("bob", 2 + round, ann.channel.topic);
			}
			await bob.hearsThat("ice_candidate", { candidate: sent.at(-1) });
			heard.push(...bob.heard("ice_candidate"));
			assert.deepEqual(heard.map((p) => p.candidate), sent);
			/* It goes on as if nothing had been. */
			await bob.push("ice_candidate", ice(100));
			await ann.hears("ice_candidate");
			assert.deepEqual([ann, bob].map((seat) => seat.heard("call_end")), [[], []]);
		});

		test("what a client had to say while it was away is taken as soon as it is back", { timeout: 60_000 }, async () => {
			const [ann, bob] = await talking();

			for (let round = 0; round < 5; round++) {
				bob.socket.conn.terminate();
				await waitFor(() => bob.channel.state !== "joined", "the connection to be lost");
				/* The stock client keeps these, and sends them behind the join. */
				await Promise.all([0, 1, 2].map((i) => bob.push("ice_candidate", ice(3 * round + i))));
			}
			await ann.hears("ice_candidate", 15);
			assert.deepEqual(ann.heard("ice_candidate").map((p) => p.candidate), Array.from({ length: 15 }, (_, i) => ice(i).candidate));
		});

		test("a caller that loses its connection while it rings hears the answer when it is back", async () => {
			const topic = call(), [ann, bob] = await ringing(topic);

			await ann.push("call_offer", OFFER);
			await bob.hears("call_offer");
			ann.cut();
			await bob.push("call_answer", ANSWER);
			await bob.push("ice_candidate", ice(1));
			const back = await enter("ann", 2, topic);
			await back.hears("ice_candidate");
			assert.deepEqual(back.got, [["call_answer", { ...ANSWER, from: "bob" }], ["ice_candidate", { ...ice(1), from: "bob" }]]);
		});

		test("the same device on another connection takes its place over, though the old one seems to be there", async () => {
			const topic = call(), join = (k) => ground.join("bob", k, topic, { params: { ...parties, device_id: "phone" } });
			const ann = await enter("ann", 0, topic), old = await join(1);

			await initiate(ann);
			await ann.push("call_offer", OFFER);
			await old.hears("call_offer");
			await old.push("call_answer", ANSWER);
			await ann.hears("call_answer");
			const next = await join(2);
			assert.equal((await next.hears("call_offer")).sdp, OFFER.sdp);
			await next.push("ice_candidate", ice(1));
			await ann.hears("ice_candidate");
			await ann.push("ice_candidate", ice(2));
			await next.hearsThat("ice_candidate", { candidate: ice(2).candidate });
			assert.deepEqual(await old.refused("ice_candidate", ice(3)), { reason: "invalid_state" });
			assert.deepEqual([ann, next].map((seat) => seat.heard("call_end")), [[], []]);
		});

		test("the media may change in the middle of a call, from either side", async () => {
			const [ann, bob] = await talking();

			await bob.push("call_offer", { ...OFFER, sdp: "v=0 again" });
			assert.equal((await ann.hears("call_offer")).sdp, "v=0 again");
			assert.deepEqual(await bob.refused("call_answer", ANSWER), { reason: "unauthorized" });
			assert.deepEqual(await ann.refused("call_offer", OFFER), { reason: "invalid_state" });
			await ann.push("call_answer", ANSWER);
			await bob.hears("call_answer");
			await ann.push("call_offer", OFFER);
			await bob.hears("call_offer", 2);
			await bob.push("call_answer", ANSWER);
			await ann.hears("call_answer", 2);
		});

		test("who offers at once with the other: one of them does", { timeout: 60_000 }, async () => {
			for (let round = 0; round < 5; round++) {
				const [ann, bob] = await talking();
				const answers = await Promise.allSettled([ann, bob].map((seat) => seat.push("call_offer", OFFER)));

				assert.deepEqual(answers.map((a) => a.status).sort(), ["fulfilled", "rejected"]);
				assert.deepEqual(answers.find((a) => a.status === "rejected").reason.answer, { reason: "invalid_state" });
				await ground.clear();
			}
		});

		test("busy: the callee talks to somebody else", async () => {
			const one = call(), two = call(), others = { caller_id: "cec", callee_id: "bob" };
			const ann = await enter("ann", 0, one), socket = ground.dial("bob", 1);
			const bob = await new Seat(socket, one, parties).join(), second = await new Seat(socket, two, others).join();
			const cec = await ground.join("cec", 2, two, { params: others });

			await initiate(ann);
			await ann.push("call_offer", OFFER);
			await bob.hears("call_offer");
			await bob.push("call_answer", ANSWER);
			await initiate(cec);
			assert.equal(await reason(cec), "busy");
			await ann.push("ice_candidate", ice(1));
			await bob.hears("ice_candidate");
			assert.deepEqual(bob.heard("call_end"), []);
			await bob.push("call_end", { reason: "user_hangup" });
			await initiate(cec);
			await cec.push("call_offer", OFFER);
			await second.hears("call_offer");
		});

		test("a party that leaves has hung up; one that watches has not", async () => {
			const topic = call(), [ann, phone] = await ringing(topic), laptop = await enter("bob", 2, topic);

			await laptop.hears("call_initiate");
			await ann.push("call_offer", OFFER);
			await Promise.all([phone, laptop].map((seat) => seat.hears("call_offer")));
			await laptop.leave();
			await phone.push("call_answer", ANSWER);
			await ann.hears("call_answer");
			await phone.leave();
			assert.deepEqual(await ann.hears("call_end"), { reason: "user_hangup", from: "bob" });
		});

		test("a callee who comes when it is over hears nothing of it; of a new call it does", async () => {
			const topic = call(), ann = await enter("ann", 0, topic);

			await initiate(ann);
			await ann.push("call_offer", { ...OFFER, sdp: "v=0 old" });
			await ann.push("call_end", {});
			const bob = await enter("bob", 1, topic);
			await initiate(ann);
			await ann.push("call_offer", { ...OFFER, sdp: "v=0 new" });
			await bob.hears("call_offer");
			assert.deepEqual(bob.got.map(([event, p]) => [event, p.sdp]), [["call_initiate", undefined], ["call_offer", "v=0 new"]]);
		});

		test("more than 256 KiB in a minute have to wait", async () => {
			const [ann, bob] = await ringing();

			for (let i = 0; i < 4; i++)
				await ann.push("call_offer", { sdp: `${i}${"x".repeat(63_000)}`, type: "offer" });
			const { reason: why, retry_after_ms: ms } = await ann.refused("call_offer", { sdp: "x".repeat(63_000), type: "offer" });
			assert.equal(why, "rate_limit");
			assert.ok(Number.isInteger(ms) && ms > 0 && ms <= 80_000, `${ms}`);
			await bob.hears("call_offer", 4);
			/* It can be ended all the same. */
			await ann.push("call_end", {});
			assert.equal(await reason(bob), "user_hangup");
		});
	});

	test("one connection with several calls", async () => {
		const socket = ground.dial("ann", 0), [one, two] = [call(), call()];
		const [a, b] = await Promise.all([one, two].map((topic) => new Seat(socket, topic, parties).join()));
		const [x, y] = [await enter("bob", 1, one), await enter("bob", 2, two)];

		await initiate(a);
		await x.hears("call_initiate");
		assert.deepEqual(y.got, []);
		await a.push("call_end", { reason: "user_hangup" });
		await initiate(b);
		await y.hears("call_initiate");
		assert.equal(await reason(x), "user_hangup");
	});
});
