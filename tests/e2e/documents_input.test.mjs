// What clients may not say in the channels of the documents, and what they are answered: the tables of roost-protocol(7), as
// the stock client sees them. On one node; an answer like these comes before any other node is asked.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Ground, fresh } from "./documents.mjs";

const wrong = (field) => ({ reason: "invalid_payload", field });
const because = (reason) => ({ reason });
const NOT_OBJECTS = [[], [1], "text", 7, true];
const bytes = () => new Uint8Array([1, 2, 3]).buffer;

describe("bad input", { concurrency: false }, () => {
	const ground = new Ground(1);

	before(() => ground.start({}));
	after(() => ground.end());
	afterEach(() => ground.clear());

	/* Each row is [event, payload, answer]; afterwards the channel is as it was. */
	async function pushes(seat, rows) {
		for (const [event, payload, answer] of rows)
			assert.deepEqual(await seat.refused(event, payload), answer, `${event} ${JSON.stringify(payload).slice(0, 100)}`);
		assert.equal(seat.channel.state, "joined");
		assert.deepEqual(seat.heard("phx_error"), []);
	}

	/* For events that take fields: what is no object, and raw bytes. */
	const shapeless = (...events) => events.flatMap((event) => [...NOT_OBJECTS, bytes()].map((payload) => [event, payload, wrong("payload")]));
	const unknown = (...events) => events.map((event) => [event, {}, because("unknown_event")]);

	async function joins(user, rows) {
		for (const [topic, params, answer] of rows)
			assert.deepEqual(await ground.joinRefused(user, 0, topic, { params }).catch((e) => e.message), answer,
				`${topic} ${JSON.stringify(params).slice(0, 100)}`);
	}

	const texts = (event, field, max, rest = {}) => [undefined, null, 7, true, [], {}, "", " \t\r\n ", "x".repeat(max + 1)]
		.map((value) => [event, { ...rest, [field]: value }, wrong(field)]);
	const pages = (event) => [
		[event, { before: 7 }, wrong("before")],
		...[0, 101, -1, 1.5, "5", [], 1e30].map((limit) => [event, { limit }, wrong("limit")]),
	];

	test("chat", async () => {
		const seat = await ground.join("ann", 0, `chat:room:${fresh("bad")}`), bob = await ground.join("bob", 0, seat.channel.topic);

		await pushes(seat, [
			...texts("new_message", "content", 4096),
			...texts("message", "content", 4096),
			...[undefined, null, "true", 1, []].map((is) => ["typing", { is_typing: is }, wrong("is_typing")]),
			...[undefined, null, 7, []].map((id) => ["mark_read", { message_id: id }, wrong("message_id")]),
			["mark_read", { message_id: "nonsense" }, because("not_found")],
			["mark_read", { message_id: "01900000-0000-7000-8000-000000000000" }, because("not_found")],
			...pages("load_history"),
			...[undefined, null, 7, "", "x".repeat(129), "ann"].map((id) => ["block_user", { user_id: id }, wrong("user_id")]),
			...[undefined, null, 7, ""].map((id) => ["unblock_user", { user_id: id }, wrong("user_id")]),
			...shapeless("new_message", "message", "typing_start", "typing_stop", "typing", "mark_read", "load_history", "block_user", "unblock_user"),
			...unknown("new_comment", "user_joined", "user_typing", "messages_history", "update_status"),
		]);
		const usual = ["messages_history", "user_joined"];
		assert.deepEqual(bob.got.filter(([event]) => !usual.includes(event)), [], "others heard of it");
		assert.deepEqual((await seat.push("load_history")).messages, []);
		/* Characters are counted, not bytes; the largest is taken. */
		const longest = "😀".repeat(4096);
		assert.equal((await seat.push("new_message", { content: longest })).content, longest);
		await joins("ann", [["chat:room:", {}, because("unmatched topic")], ["chat:room:a:b", {}, because("unmatched topic")]]);
	});

	test("chat, a last_seen_id that is none", async () => {
		const topic = `chat:room:${fresh("seen")}`, ann = await ground.join("ann", 0, topic);

		await ann.push("new_message", { content: "one" });
		for (const last of ["", "x".repeat(5000), "😀", 7, {}, "01900000-0000-7000-8000-00000000000g"]) {
			const { answer } = await ground.join("bob", 0, topic, { params: { last_seen_id: last } });
			assert.deepEqual([answer.recovered, answer.messages.length], [false, 1], JSON.stringify(last));
		}
	});

	test("comments", async () => {
		for (const topic of [`comments:stream:${fresh("bad")}`, `comments:${fresh("bad")}`]) {
			const seat = await ground.join("ann", 0, topic);

			await pushes(seat, [
				...texts("new_comment", "content", 1024),
				...["now", 1.5, true, [], {}].map((timestamp) => ["new_comment", { content: "x", timestamp }, wrong("timestamp")]),
				...pages("load_comments"),
				...shapeless("new_comment", "load_comments"),
				...unknown("new_message", "typing_start", "mark_read"),
			]);
			assert.deepEqual((await seat.push("new_comment", { content: "😀".repeat(1024) })).content.length, 2048);
		}
		await joins("ann", [["comments:stream:a:b", {}, because("unmatched topic")]]);
	});

	test("presence", async () => {
		const seat = await ground.join("ann", 0, `presence:room:${fresh("bad")}`);

		await pushes(seat, [
			...[7, true, null, []].map((status) => ["update_status", { status }, wrong("status")]),
			...["yes", 1].map((typing) => ["update_status", { typing }, wrong("typing")]),
			["update_status", { online_at: 1 }, wrong("online_at")],
			["update_status", { phx_ref: "mine" }, wrong("phx_ref")],
			["update_status", { more: "x".repeat(4096) }, wrong("payload")],
			...[undefined, null, "yes", 1].map((typing) => ["typing", { typing }, wrong("typing")]),
			...shapeless("update_status", "typing"),
			...unknown("new_message", "presence"),
		]);
		await joins("ann", [
			["presence:room:x", { user_id: "bob" }, because("unauthorized")],
			["presence:room:x", { user_id: true }, wrong("user_id")],
			["presence:room:x", { user_id: "ann", status: 7 }, wrong("status")],
			["presence:room:x", { online_at: 7 }, wrong("online_at")],
			["presence:room:x", { phx_ref: "mine" }, wrong("phx_ref")],
			["presence:room:x", { more: "x".repeat(4096) }, wrong("payload")],
		]);
	});

	test("devices", async () => {
		await joins("ann", [
			...[undefined, null, 7, true, "", " ", "x".repeat(1000), "__proto__", "constructor"].map((device) =>
				["presence:ann", { device_id: device }, wrong("device_id")]),
			["presence:bob", { device_id: "phone" }, because("unauthorized")],
			["presence:ann:x", { device_id: "phone" }, because("unmatched topic")],
		]);
		await pushes(await ground.join("ann", 0, "presence:ann", { params: { device_id: "phone" } }), unknown("new_message", "anything"));
	});

	test("signaling", async () => {
		const parties = { caller_id: "ann", callee_id: "bob" }, topic = `signaling:call:${fresh("bad")}`;
		const seat = await ground.join("ann", 0, topic, { params: parties });
		const bob = await ground.join("bob", 0, topic, { params: parties });
		const ice = { candidate: "candidate:1", sdp_mid: "0", sdp_m_line_index: 0 };

		await joins("ann", [
			...[undefined, null, 7, ""].map((id) => ["signaling:call:x", { caller_id: id, callee_id: "bob" }, wrong("caller_id")]),
			...[undefined, null, 7, ""].map((id) => ["signaling:call:x", { caller_id: "ann", callee_id: id }, wrong("callee_id")]),
			["signaling:call:x", { caller_id: "ann", callee_id: "ann" }, wrong("callee_id")],
			["signaling:call:x", { caller_id: "bob", callee_id: "cec" }, because("unauthorized")],
			[topic, { caller_id: "ann", callee_id: "cec" }, because("unauthorized")],
		]);
		await pushes(seat, [
			...[undefined, null, 7, ""].map((id) => ["call_initiate", { callee_id: id, call_type: "video" }, wrong("callee_id")]),
			...[undefined, null, 7, "", "fax"].map((type) => ["call_initiate", { callee_id: "bob", call_type: type }, wrong("call_type")]),
			["call_initiate", { callee_id: "cec", call_type: "video" }, because("unauthorized")],
			...shapeless("call_initiate"),
			...unknown("new_message", "call_missed"),
		]);
		await seat.push("call_initiate", { callee_id: "bob", call_type: "voice" });
		await pushes(seat, [
			...[undefined, null, 7, ""].map((sdp) => ["call_offer", { sdp, type: "offer" }, wrong("sdp")]),
			...[undefined, null, 7, "answer", "x"].map((type) => ["call_offer", { sdp: "v=0", type }, wrong("type")]),
			...[undefined, null, 7].map((candidate) => ["ice_candidate", { ...ice, candidate }, wrong("candidate")]),
			...[7, true, {}].map((mid) => ["ice_candidate", { ...ice, sdp_mid: mid }, wrong("sdp_mid")]),
			...["0", -1, 1.5, true].map((index) => ["ice_candidate", { ...ice, sdp_m_line_index: index }, wrong("sdp_m_line_index")]),
			...[7, true, [], {}].map((reason) => ["call_end", { reason }, wrong("reason")]),
			["ice_candidate", { ...ice, candidate: "x".repeat(65 * 1024) }, wrong("payload")],
			...shapeless("call_offer", "ice_candidate", "call_end"),
		]);
		await seat.push("call_offer", { sdp: "v=0", type: "offer" });
		await bob.hears("call_offer");
		await pushes(bob, [
			...[undefined, null, 7, ""].map((sdp) => ["call_answer", { sdp, type: "answer" }, wrong("sdp")]),
			...[undefined, null, 7, "offer"].map((type) => ["call_answer", { sdp: "v=0", type }, wrong("type")]),
		]);
		assert.deepEqual(bob.got.map(([event]) => event), ["call_initiate", "call_offer"]);
		assert.deepEqual(seat.got, []);
	});

	test("the daemon is well afterwards", async () => {
		assert.equal((await ground.at(0).get("/readyz")).status, 200);
	});
});
