// Tokens in joins, after "Realtime Market WebSocket Documentation", Channel Joining & Authentication ("In channel params"), in the
// channels of the documents: one that ends is warned of, renewed, or over for its channel alone. What holds for all
// channels alike is in auth.test.mjs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Seat, everywhere, fresh } from "./documents.mjs";
import { PATIENCE, mint, waitFor } from "./harness.mjs";

const now = () => Math.floor(Date.now() / 1000);
const CONFIG = `auth { leeway = 0  expiry_warning = 1s }`;
/* Until a token that is minted now ends: time enough to be warned, and not more than it takes. */
const LIFE = 3;

everywhere("tokens", { config: CONFIG }, (ground) => {
	/* As the stock client would: where a token is refused it tries on and on, which is not what we look at. */
	const quiet = { rejoinAfterMs: () => 3_600_000 };

	test("a channel's own ends: it is warned, and over; the others of the connection stay", async () => {
		const socket = ground.dial("ann", 0, quiet), exp = now() + LIFE, id = fresh("own");
		const bob = await ground.join("bob", 1, `chat:room:${id}`);
		const own = await new Seat(socket, `chat:room:${id}`, { token: mint({ user_id: "ann", exp }) }).join();
		const other = await new Seat(socket, `comments:${id}`, {}).join();

		await bob.hearsThat("user_joined", { user_id: "ann" });
		await own.push("typing_start");
		assert.deepEqual(await own.hears("token_expiring"), { expires_at: exp });
		assert.ok(Date.now() / 1000 < exp, "the warning came late");
		await waitFor(() => own.channel.state === "errored", "the channel's end");
		assert.ok(Date.now() / 1000 >= exp, "it ended early");
		assert.deepEqual(own.heard("phx_error"), [{ reason: "token_expired" }]);
		/* Who may not be here is not shown as being here. */
		await bob.hearsThat("user_left", { user_id: "ann" });
		assert.equal(bob.heard("user_typing").at(-1)?.is_typing ?? false, false);
		assert.equal((await other.push("new_comment", { content: "still here" })).user_id, "ann");
		assert.deepEqual(other.heard("token_expiring"), []);
		assert.ok(socket.isConnected());
	});

	test("the user of a channel is its token's", async () => {
		const socket = ground.dial("ann", 0, quiet), topic = `chat:room_${fresh("user")}`;
		const bob = await ground.join("bob", 1, topic);
		const seat = await new Seat(socket, topic, { token: mint({ user_id: "cec", username: "Cec" }) }).join();
		const { timestamp, ...joined } = await bob.hears("user_joined");

		assert.deepEqual(joined, { user_id: "cec", username: "Cec" });
		assert.ok(timestamp);
		const message = await seat.push("message", { content: "who am I?" });
		assert.deepEqual([message.user_id, message.username], ["cec", "Cec"]);
	});

	test("a bad one in a join is refused, though the connection's would do", async () => {
		const token = mint({ user_id: "ann", exp: now() - 60 });

		for (const topic of ["chat:room:x", "comments:stream:x", "comments:x", "presence:room:x", "presence:ann", "signaling:call:x"])
			assert.deepEqual(await ground.joinRefused("ann", 0, topic, { params: { token, device_id: "d", caller_id: "ann", callee_id: "bob" } }),
				{ reason: "unauthorized" }, topic);
	});

	test("a channel's own is renewed on that channel", async () => {
		const socket = ground.dial("ann", 0, quiet), exp = now() + LIFE;
		const seat = await new Seat(socket, `chat:room:${fresh("renew")}`, { token: mint({ user_id: "ann", exp }) }).join();

		await seat.hears("token_expiring");
		await seat.push("access_token", { access_token: mint({ user_id: "ann", exp: exp + 3600 }) });
		assert.deepEqual(await seat.refused("access_token", { access_token: mint({ user_id: "bob" }) }), { reason: "unauthorized" });
		await waitFor(() => Date.now() / 1000 > exp + 0.5, "the old one's end");
		await seat.push("new_message", { content: "still here" });
		assert.equal(seat.channel.state, "joined");
		assert.equal(seat.heard("token_expiring").length, 1);
	});

	test("the connection's is renewed on any of its channels, for all of them", async () => {
		const exp = now() + LIFE, id = fresh("all");
		const socket = ground.dial("ann", 0, { ...quiet, claims: { exp } });
		const params = { device_id: "phone", caller_id: "ann", callee_id: "bob" };
		const seats = await Promise.all([`chat:room:${id}`, `comments:${id}`, "presence:ann", `presence:room:${id}`, `signaling:call:${id}`]
			.map((topic) => new Seat(socket, topic, params).join()));

		await Promise.all(seats.map((seat) => seat.hears("token_expiring")));
		await seats[1].push("access_token", { access_token: mint({ user_id: "ann", exp: exp + 3600 }) });
		await waitFor(() => Date.now() / 1000 > exp + 0.5, "the old one's end");
		assert.equal((await seats[0].push("new_message", { content: "still here" })).user_id, "ann");
		for (const { channel, got } of seats)
			assert.equal(channel.state, "joined", `${channel.topic}: ${JSON.stringify(got)}`);
	});

	test("not renewed, it ends all of the connection's channels, their devices and calls", async () => {
		const exp = now() + LIFE, id = fresh("end");
		const socket = ground.dial("ann", 0, { ...quiet, claims: { exp } });
		const params = { device_id: "phone", caller_id: "ann", callee_id: "bob" };
		const bob = await ground.join("bob", 1, `signaling:call:${id}`, { params });
		const [phone, call] = await Promise.all(["presence:ann", `signaling:call:${id}`].map((topic) => new Seat(socket, topic, params).join()));

		await call.push("call_initiate", { callee_id: "bob", call_type: "voice" });
		await bob.hears("call_initiate");
		for (const seat of [phone, call]) {
			await waitFor(() => seat.channel.state === "errored", "the end");
			assert.deepEqual(seat.heard("phx_error"), [{ reason: "token_expired" }]);
		}
		await waitFor(() => ground.join("ann", 1, "presence:ann", { params: { device_id: "laptop" } }).then(() => true, () => false),
			"the phone's place", PATIENCE);
		assert.ok(socket.isConnected());
	});
});
