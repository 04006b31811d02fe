// The official phoenix client, both generations, unmodified, against a real daemon.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";
import { PATIENCE, SECRET, mint, start, waitFor, within } from "./harness.mjs";

/* Version 1.0.0 has no arrays: the client is given the old encoding, as its predecessors had it. */
const V1 = {
	vsn: "1.0.0",
	encode: (message, done) => done(JSON.stringify(message)),
	decode: (text, done) => done(JSON.parse(text)),
};

/* The answer to a push or join: { status, response }. */
function answer(push, what = "an answer") {
	return within(new Promise((resolve) => {
		for (const status of ["ok", "error", "timeout"])
			push.receive(status, (response) => resolve({ status, response }));
	}), what);
}

async function ok(push, what) {
	const { status, response } = await answer(push, what);

	assert.equal(status, "ok", `${what ?? "push"}: ${JSON.stringify(response)}`);
	return response;
}

/* Collects what comes for an event. */
function collect(channel, event) {
	const got = [];

	channel.on(event, (payload) => got.push(payload));
	return got;
}

for (const [version, phoenix] of [["1.7.14", phoenix17], ["1.8.16", phoenix18]]) {
	describe(`phoenix ${version}`, { concurrency: false }, () => {
		let daemon;
		let sockets = [];

		before(async () => { daemon = await start({ options: { "limits.message_rate": 0 } }); });
		after(() => daemon.stop());
		afterEach(async () => {
			await Promise.all(sockets.map((s) => new Promise((resolve) => s.disconnect(resolve))));
			sockets = [];
		});

		/* A socket that is connecting. */
		function dial(options = {}, at = daemon) {
			const socket = new phoenix.Socket(at.socketUrl, {
				transport: WebSocket,
				params: () => ({ token: mint() }),
				reconnectAfterMs: () => 50,
				rejoinAfterMs: () => 50,
				timeout: PATIENCE,
				...options,
			});
			socket.connect();
			sockets.push(socket);
			return socket;
		}

		async function connected(options, at) {
			const socket = dial(options, at);

			await waitFor(() => socket.isConnected(), "the socket to open");
			return socket;
		}

		async function joined(topic, { options, socket, params = {} } = {}) {
			const channel = (socket ?? await connected(options)).channel(topic, params);

			await ok(channel.join(), `joining ${topic}`);
			return channel;
		}

		test("connects and joins", async () => {
			const socket = await connected();
			const channel = socket.channel("room:lobby", { name: "x" });

			assert.deepEqual(await ok(channel.join()), {});
			assert.equal(channel.state, "joined");
		});

		test("a topic without a route is refused", async () => {
			const socket = await connected();
			const channel = socket.channel("nowhere:1", {});
			const { status, response } = await answer(channel.join());

			assert.equal(status, "error");
			assert.deepEqual(response, { reason: "unmatched topic" });
			channel.leave();
		});

		test("a push is answered", async () => {
			const channel = await joined("room:push");

			assert.deepEqual(await ok(channel.push("new_msg", { body: "hi" })), {});
		});

		test("pushes made before the join are sent after it", async () => {
			const channel = (await connected()).channel("room:early", {});
			const got = collect(channel, "new_msg");
			const joining = channel.join();
			const early = channel.push("new_msg", { n: 1 });

			await ok(joining);
			await ok(early);
			await waitFor(() => got.length === 1, "the broadcast");
		});

		test("a broadcast reaches everyone in the room, the sender too, and nobody else", async () => {
			const [a, b, stranger] = await Promise.all(["room:one", "room:one", "room:two"].map((t) => joined(t)));
			const [atA, atB, atStranger] = [a, b, stranger].map((c) => collect(c, "new_msg"));
			const message = { body: "hello", from: "a", nested: { list: [1, 2.5, null, true], text: "</script> é 😀 / \\ \"" } };

			await ok(a.push("new_msg", message));
			await waitFor(() => atA.length > 0 && atB.length > 0, "both to hear it");
			await ok(stranger.push("new_msg", { body: "mine" }));
			await waitFor(() => atStranger.length > 0, "the stranger to hear itself");
			assert.deepEqual(atA, [message]);
			assert.deepEqual(atB, [message]);
			assert.deepEqual(atStranger, [{ body: "mine" }]);
		});

		test("the sender gets its broadcast before the reply", async () => {
			const channel = await joined("room:program-order");
			const seen = [];

			channel.on("new_msg", () => seen.push("broadcast"));
			await ok(channel.push("new_msg", {}).receive("ok", () => seen.push("reply")));
			assert.deepEqual(seen, ["broadcast", "reply"]);
		});

		test("1,000 messages keep their order", async () => {
			const [a, b] = [await joined("room:order"), await joined("room:order")];
			const got = collect(b, "n");
			let last;

			for (let n = 0; n < 1000; n++)
				last = a.push("n", { n });
			await ok(last);
			await waitFor(() => got.length === 1000, "1,000 messages");
			assert.deepEqual(got.map(({ n }) => n), Array.from({ length: 1000 }, (_, n) => n));
		});

		test("who left hears nothing more", async () => {
			const [a, b] = [await joined("room:leave"), await joined("room:leave")];
			const got = collect(b, "new_msg");
			const closed = new Promise((resolve) => b.onClose(resolve));

			await ok(b.leave(), "the leave");
			await within(closed, "the channel to close");
			assert.equal(b.state, "closed");
			await ok(a.push("new_msg", { late: true }));
			await ok((await joined("room:other", { socket: b.socket })).push("new_msg", {}));
			assert.deepEqual(got, []);
		});

		test("who left may join again", async () => {
			const socket = await connected();
			const first = await joined("room:again", { socket });

			await ok(first.leave());
			const second = await joined("room:again", { socket });
			const got = collect(second, "new_msg");
			await ok(second.push("new_msg", { n: 2 }));
			assert.deepEqual(got, [{ n: 2 }]);
		});

		test("a second join of a topic takes over", async () => {
			const socket = await connected();
			const first = await joined("room:twice", { socket });
			const closed = new Promise((resolve) => first.onClose(resolve));
			const second = await joined("room:twice", { socket });
			const got = collect(second, "new_msg");

			await within(closed, "the first channel to close");
			await ok(second.push("new_msg", { n: 1 }));
			assert.deepEqual(got, [{ n: 1 }]);
			assert.equal(second.state, "joined");
		});

		test("binary payloads pass, to the sender and the others", async () => {
			const [a, b] = [await joined("room:binary"), await joined("room:binary")];
			const [atA, atB] = [collect(a, "blob"), collect(b, "blob")];
			const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);

			assert.deepEqual(await ok(a.push("blob", bytes.buffer)), {});
			await waitFor(() => atA.length > 0 && atB.length > 0, "both blobs");
			for (const got of [atA, atB]) {
				assert.ok(got[0] instanceof ArrayBuffer);
				assert.deepEqual(new Uint8Array(got[0]), bytes);
			}
		});

		test("versions 1.0.0 and 2.0.0 meet in one room", async () => {
			const [one, two] = [await joined("room:mixed", { options: V1 }), await joined("room:mixed")];
			const [atOne, atTwo] = [collect(one, "new_msg"), collect(two, "new_msg")];

			await ok(one.push("new_msg", { from: "one" }));
			await ok(two.push("new_msg", { from: "two" }));
			await waitFor(() => atOne.length === 2 && atTwo.length === 2, "both messages at both");
			assert.deepEqual(atOne, [{ from: "one" }, { from: "two" }]);
			assert.deepEqual(atTwo, atOne);
			await ok(one.leave());
		});

		test("a binary broadcast passes version 1.0.0 by", async () => {
			const [one, two] = [await joined("room:mixed-binary", { options: V1 }), await joined("room:mixed-binary")];
			const [atOne, atTwo] = [collect(one, "blob"), collect(two, "blob")];
			const text = collect(one, "new_msg");

			await ok(two.push("blob", Uint8Array.of(1, 2, 3).buffer));
			await ok(two.push("new_msg", { n: 1 }));
			await waitFor(() => text.length === 1, "the text behind it");
			assert.equal(atTwo.length, 1);
			assert.deepEqual(atOne, []);
		});

		test("one socket carries many channels", async () => {
			const socket = await connected();
			const topics = Array.from({ length: 60 }, (_, i) => `room:many-${i}`);
			const channels = await Promise.all(topics.map((topic) => joined(topic, { socket })));
			const got = channels.map((c) => collect(c, "n"));

			await Promise.all(channels.map((c, n) => ok(c.push("n", { n }))));
			assert.deepEqual(got, channels.map((_, n) => [{ n }]));
			await Promise.all(channels.filter((_, n) => n % 2 === 0).map((c) => ok(c.leave())));
			await ok(channels[1].push("n", { n: "still here" }));
			assert.equal(got[1].length, 2);
		});

		test("heartbeats are answered, in both versions", async () => {
			for (const options of [{}, V1]) {
				const socket = await connected({ heartbeatIntervalMs: 20, ...options });
				let answered = 0, closed = 0;

				socket.onClose(() => closed++);
				socket.onMessage(({ topic, event, payload }) => {
					if (topic === "phoenix" && event === "phx_reply" && payload.status === "ok")
						answered++;
				});
				await waitFor(() => answered >= 5, "five heartbeats");
				assert.equal(closed, 0);
			}
		});

		test("rejoins by itself after the daemon's restart", async (t) => {
			const first = await start();
			const socket = await connected({}, first);
			const channel = await joined("room:restart", { socket });
			const got = collect(channel, "new_msg");
			let opened = 0;

			socket.onOpen(() => opened++);
			await first.stop();
			await waitFor(() => !socket.isConnected(), "the loss of the connection");
			const second = await start({ port: first.port });
			t.after(() => second.stop());
			await waitFor(() => opened === 1 && channel.state === "joined", "the rejoin");
			await ok(channel.push("new_msg", { after: "restart" }));
			assert.deepEqual(got, [{ after: "restart" }]);
			socket.disconnect();
		});

		test("a drain sends clients away with 1012, and they come back", async (t) => {
			const first = await start({ options: { "drain.delay": "0", "drain.time": "100ms" } });
			const socket = await connected({}, first);
			const channel = await joined("room:drain", { socket });
			const codes = [];

			socket.onClose((event) => codes.push(event.code));
			first.signal("SIGTERM");
			await waitFor(() => codes.length > 0, "the close");
			assert.equal(codes[0], 1012);
			await first.exited();
			const second = await start({ port: first.port });
			t.after(() => second.stop());
			await waitFor(() => channel.state === "joined", "the rejoin");
			await ok(channel.push("new_msg", {}));
			socket.disconnect();
		});

		describe("a token that is not good never opens the socket, and the log says why", { concurrency: false }, () => {
			const now = Math.floor(Date.now() / 1000);
			const altered = () => mint().replace(/\.(.)/, (_, c) => `.${c === "e" ? "f" : "e"}`);
			const cases = [
				["none at all", () => undefined, /token/],
				["signed with another secret", () => mint({}, { key: `${SECRET}?` }), /bad signature/],
				["altered", altered, /malformed token|bad signature/],
				["of algorithm none", () => mint({}, { alg: "none" }), /algorithm none/],
				["of another algorithm than the key's", () => mint({}, { alg: "HS512" }), /algorithm HS512 does not match the key/],
				["expired", () => mint({ exp: now - 60 }), /expired/],
				["without exp", () => mint({ exp: undefined }), /no exp/],
				["not yet valid", () => mint({ nbf: now + 600 }), /not yet valid/],
				["of nobody", () => mint({ user_id: undefined }), /no user/],
				["not a token", () => "hello", /malformed token/],
			];

			for (const [name, token, reason] of cases)
				test(name, async () => {
					const before = daemon.log.length;
					let opened = 0, refused = 0;
					const socket = dial({ params: () => ({ token: token() }), reconnectAfterMs: () => 20 });

					socket.onOpen(() => opened++);
					socket.onError(() => refused++);
					await waitFor(() => refused >= 2, "two refusals");
					assert.equal(opened, 0);
					await waitFor(() => reason.test(daemon.log.slice(before)), `${reason} in the log`)
						.catch((e) => assert.fail(`${e.message}; the log is:\n${daemon.log.slice(before)}`));
					socket.disconnect();
				});
		});

		if (version.startsWith("1.8")) {
			test("the token may travel as a subprotocol", async () => {
				const socket = await connected({ params: {}, authToken: mint({ user_id: "quiet" }) });
				const channel = await joined("room:auth", { socket });

				await ok(channel.push("new_msg", {}));
				assert.equal(socket.conn.protocol, "phoenix");
			});

			test("a bad token as a subprotocol is refused", async () => {
				let opened = 0, refused = 0;
				const socket = dial({ params: {}, authToken: mint({}, { key: "another secret of thirty-two octets and more" }) });

				socket.onOpen(() => opened++);
				socket.onError(() => refused++);
				await waitFor(() => refused > 0, "a refusal");
				assert.equal(opened, 0);
			});
		}
	});
}
