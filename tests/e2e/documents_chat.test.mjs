// The chat of the documents: "Phoenix Channels - WebSocket Real-time Features" (below: Features), "Channels and Presence
// Reference" (Reference) and "Realtime Market WebSocket Documentation" (Market). Their snippets stand here as they are written
// there, but for tokens and the console. What the documents leave open is roost-protocol(7).

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import WebSocket from "ws";
import { SLACK, TIMEOUT } from "./cluster.mjs";
import { Seat, everywhere, fresh, notebook } from "./documents.mjs";
import { PATIENCE, mint, sleep, waitFor } from "./harness.mjs";
import { Ws } from "./raw.mjs";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const TYPING = 3000;	// ms, "automatically stop after 3 seconds of inactivity"

/* A message as all documents together describe it. */
function isMessage(message, { content, user, username = user, room }) {
	const { id, timestamp, created_at: created, ...rest } = message;

	assert.match(id, UUID);
	assert.match(timestamp, TIME);
	assert.equal(created, timestamp);
	assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, timestamp);
	assert.deepEqual(rest, { content, user_id: user, username, room_id: room, sender_type: "user" });
}

const contents = (messages) => messages.map((m) => m.content);

everywhere("chat", {}, (ground) => {
	const claims = (user) => ({ claims: { username: `${user} the user` } });
	const name = (user) => `${user} the user`;

	/* Ann, Bob and whoever else, each at a node of their own, once all of them are seen by all. */
	async function room(topic, ...users) {
		const seats = [];

		for (const [k, user] of users.entries()) {
			const seat = await ground.join(user, k, topic, claims(user));
			await Promise.all(seats.map((other) => other.hearsThat("user_joined", { user_id: user })));
			seats.push(seat);
		}
		return seats;
	}

	describe("Features, Chat Channel", () => {
		test("Joining; Sending Messages; Receiving Messages; Message Format", async () => {
			const id = fresh("123"), token = mint({ user_id: "u-ann", username: "Ann" });
			const bob = await ground.join("u-bob", 1, `chat:room:${id}`);
			const Socket = ground.pageSocket(0), console = notebook();

			const socket = new Socket("/socket", {
				params: { token }
			});
			socket.connect();

			const channel = socket.channel(`chat:room:${id}`, {});
			channel.join()
				.receive("ok", resp => console.log("Joined", resp))
				.receive("error", resp => console.log("Failed", resp));

			channel.push("new_message", { content: "Hello, world!" })
				.receive("ok", msg => console.log("Message sent", msg))
				.receive("error", err => console.log("Error", err));

			channel.on("new_message", msg => {
				console.log("New message:", msg);
			});

			const [, joined] = await console.logged("Joined"), [, sent] = await console.logged("Message sent");
			const [, received] = await console.logged("New message:");
			assert.deepEqual([joined.messages, joined.has_more], [[], false]);
			isMessage(sent, { content: "Hello, world!", user: "u-ann", username: "Ann", room: id });
			assert.deepEqual(received, sent);
			assert.deepEqual(await bob.hears("new_message"), sent);
		});

		test("Typing Indicators: starting and stopping, told to the others, on a change only", async () => {
			const id = fresh("typing"), topic = `chat:room:${id}`;
			const [ann, bob, cec] = await room(topic, "ann", "bob", "cec");
			const { channel } = ann, console = notebook();

			channel.push("typing_start", {})
				.receive("ok", resp => console.log("Typing started", resp));
			const indicator = (is) => ({ user_id: "ann", username: name("ann"), room_id: id, is_typing: is });
			assert.deepEqual(await bob.hears("user_typing"), indicator(true));
			assert.deepEqual(await cec.hears("user_typing"), indicator(true));
			await ann.push("typing_start");

			channel.push("typing_stop", {})
				.receive("ok", resp => console.log("Typing stopped", resp));
			assert.deepEqual(await bob.hears("user_typing", 2), indicator(false));
			assert.deepEqual(await cec.hears("user_typing", 2), indicator(false));
			await console.logged("Typing started");
			await console.logged("Typing stopped");
			await ann.push("typing_stop");

			/* Nobody else was told anything else. */
			await bob.push("typing_start");
			await cec.hears("user_typing", 3);
			assert.deepEqual(ann.heard("user_typing").map((p) => p.user_id), ["bob"]);
			assert.deepEqual(bob.heard("user_typing").length, 2);
		});

		test("Receiving Typing Updates", async () => {
			const [ann, bob] = await room(`chat:room:${fresh("updates")}`, "ann", "bob");
			const { channel } = bob, console = notebook();

			channel.on("user_typing", payload => {
				if (payload.is_typing) {
					console.log(`User ${payload.user_id} is typing...`);
				} else {
					console.log(`User ${payload.user_id} stopped typing`);
				}
			});

			await ann.push("typing_start");
			await console.logged("User ann is typing...");
			await ann.push("typing_stop");
			await console.logged("User ann stopped typing");
			assert.equal(console.lines.length, 2);
		});

		test("Auto-Stop: three seconds after the last sign", async () => {
			const [ann, bob] = await room(`chat:room:${fresh("auto")}`, "ann", "bob");

			await ann.push("typing_start");
			assert.equal((await bob.hears("user_typing")).is_typing, true);
			await sleep(TYPING / 2);
			await ann.push("typing_start");
			const last = performance.now();
			assert.equal((await bob.hears("user_typing", 2)).is_typing, false);
			const took = performance.now() - last;
			assert.ok(took > TYPING - 300 && took < TYPING + SLACK, `it stopped after ${took.toFixed(0)} ms`);
		});

		test("typing ends with the message, with leaving, and with the connection", async () => {
			const [ann, bob] = await room(`chat:room:${fresh("ends")}`, "ann", "bob");

			await ann.push("typing_start");
			await bob.hears("user_typing");
			await ann.push("new_message", { content: "here it is" });
			const quick = performance.now();
			assert.equal((await bob.hears("user_typing", 2)).is_typing, false);
			assert.ok(performance.now() - quick < TYPING - 500, "it waited for its end");

			for (const end of [(seat) => seat.leave(), (seat) => seat.cut()]) {
				const dan = await ground.join("dan", 2, bob.channel.topic);

				bob.forget();
				await dan.push("typing_start");
				await bob.hearsThat("user_typing", { user_id: "dan", is_typing: true });
				await end(dan);
				await bob.hearsThat("user_left", { user_id: "dan" });
				/* Left or stopped: nobody is shown as typing who is not there. Both are said, in this order. */
				assert.deepEqual(bob.got.map(([event, p]) => [event, p.user_id, p.is_typing]).filter(([, user]) => user === "dan").slice(-3),
					[["user_typing", "dan", true], ["user_typing", "dan", false], ["user_left", "dan", undefined]]);
			}
		});

		test("WebSocket Connection: a client of four channels", async () => {
			const Socket = ground.pageSocket(0), id = fresh(""), console = notebook();
			const token = mint({ user_id: "user-123" });

			const socket = new Socket("/socket", {
				params: { token }
			});

			socket.connect();

			// Join channels
			const chatChannel = socket.channel(`chat:room:${id}`, {});
			chatChannel.join();

			const commentsChannel = socket.channel(`comments:stream:${id}`, {});
			commentsChannel.join();

			const presenceChannel = socket.channel(`presence:room:${id}`, {
				user_id: "user-123",
				status: "online"
			});
			presenceChannel.join();

			const signalingChannel = socket.channel(`signaling:call:${id}`, {
				caller_id: "user-123",
				callee_id: "user-456"
			});
			signalingChannel.join();

			socket.onOpen(() => console.log("Connected"));
			socket.onClose(() => console.log("Disconnected"));
			socket.onError(() => console.log("Error"));

			await waitFor(() => [chatChannel, commentsChannel, presenceChannel, signalingChannel].every((c) => c.state === "joined"), "four joins");
			assert.deepEqual(console.lines, [["Connected"]]);
			socket.disconnect();
			await console.logged("Disconnected");
		});
	});

	describe("Market, Chat Channel", () => {
		test("Example Flow; new_message in the other dialect", async () => {
			const id = fresh("abc123"), socket = ground.dial("ann", 0), console = notebook();
			const bob = await ground.join("bob", 1, `chat:room_${id}`);

			// Join chat room
			const chatChannel = socket.channel(`chat:room_${id}`, {})

			chatChannel.join()
				.receive("ok", ({messages}) => {
					console.log("Loaded", messages.length, "previous messages")
				})

			// Send message
			chatChannel.push("message", {
				content: "Hello everyone!"
			})

			// Listen for new messages
			chatChannel.on("new_message", (message) => {
				console.log("New message from", message.sender_type, ":", message.content)
			})

			// Typing indicator
			let typingTimeout
			chatChannel.push("typing", {is_typing: true})
			setTimeout(() => {
				chatChannel.push("typing", {is_typing: false})
			}, 2000)

			await waitFor(() => console.lines.length === 2, "the log");
			assert.deepEqual(console.lines, [["Loaded", 0, "previous messages"], ["New message from", "user", ":", "Hello everyone!"]]);
			isMessage(await bob.hears("new_message"), { content: "Hello everyone!", user: "ann", room: id });
			const begun = performance.now();
			assert.deepEqual(await bob.hears("user_typing"), { user_id: "ann", username: "ann", room_id: id, is_typing: true });
			assert.deepEqual(await bob.hears("user_typing", 2), { user_id: "ann", username: "ann", room_id: id, is_typing: false });
			assert.ok(performance.now() - begun < TYPING - 300, "typing {is_typing: false} was not taken");
			assert.equal(typingTimeout, undefined);
		});

		test("the rooms of both patterns are two", async () => {
			const id = fresh("");
			const [a, b] = [await ground.join("ann", 0, `chat:room:${id}`), await ground.join("ann", 1, `chat:room_${id}`)];

			await a.push("new_message", { content: "colon" });
			await b.push("new_message", { content: "underscore" });
			await b.hears("new_message");
			assert.deepEqual([contents(a.heard("new_message")), contents(b.heard("new_message"))], [["colon"], ["underscore"]]);
			assert.equal(a.heard("new_message")[0].room_id, id);
			assert.equal(b.heard("new_message")[0].room_id, id);
		});

		test("user_joined and user_left: once a person, however many tabs on however many nodes", async () => {
			const topic = `chat:room_${fresh("tabs")}`;
			const [zoe, ann, bob] = await room(topic, "zoe", "ann", "bob");
			const joined = await ann.hearsThat("user_joined", { user_id: "bob" });
			const seen = (seat) => seat.heard("user_joined").map((p) => p.user_id);

			assert.match(joined.timestamp, TIME);
			assert.deepEqual(joined, { user_id: "bob", username: name("bob"), timestamp: joined.timestamp });

			const second = await ground.join("bob", 2, topic, claims("bob"));
			const cec = await ground.join("cec", 2, topic, claims("cec"));
			await ann.hearsThat("user_joined", { user_id: "cec" });
			await bob.hearsThat("user_joined", { user_id: "cec" });
			assert.deepEqual(seen(zoe), ["ann", "bob", "cec"]);
			/* Bob came when Zoe and Ann had been there for a while: he is told of neither. */
			assert.deepEqual(seen(bob).filter((user) => user !== "ann"), ["cec"]);

			await bob.leave();
			const dan = await ground.join("dan", 1, topic, claims("dan"));
			await ann.hearsThat("user_joined", { user_id: "dan" });
			assert.deepEqual(ann.heard("user_left"), []);
			await second.leave();
			for (const seat of [zoe, ann, cec, dan]) {
				const left = await seat.hears("user_left");
				assert.deepEqual(left, { user_id: "bob", username: name("bob"), timestamp: left.timestamp });
				assert.match(left.timestamp, TIME);
			}
			/* Who does not say goodbye has left, too. */
			cec.cut();
			assert.equal((await dan.hears("user_left", 2)).user_id, "cec");
			assert.deepEqual(dan.heard("user_joined"), []);
		});

		test("two tabs of one user that type are one", async () => {
			const topic = `chat:room_${fresh("both")}`;
			const [ann, bob] = await room(topic, "ann", "bob"), tab = await ground.join("bob", 2, topic, claims("bob"));

			await bob.push("typing", { is_typing: true });
			assert.equal((await ann.hears("user_typing")).is_typing, true);
			await tab.push("typing", { is_typing: true });
			await bob.push("typing", { is_typing: false });
			/* The other tab still types. */
			const cec = await ground.join("cec", 1, topic);
			await ann.hearsThat("user_joined", { user_id: "cec" });
			assert.equal(ann.heard("user_typing").length, 1);
			await tab.push("typing", { is_typing: false });
			assert.equal((await ann.hears("user_typing", 2)).is_typing, false);
			cec.leave();
		});

		test("messages_history, and the same in the reply", async () => {
			const id = fresh("history"), topic = `chat:room_${id}`;
			const ann = await ground.join("ann", 0, topic);
			const sent = [await ann.push("message", { content: "one" }), await ann.push("message", { content: "two" })];

			assert.deepEqual(await ann.hears("messages_history"), { messages: [] });
			const bob = await ground.join("bob", 1, topic);
			assert.deepEqual(bob.answer.messages, sent);
			assert.equal(bob.answer.has_more, false);
			assert.deepEqual((await bob.hears("messages_history")).messages, sent);
			assert.deepEqual(bob.heard("new_message"), []);
		});

		test("mark_read: message_read to the others, kept for the user", async () => {
			const topic = `chat:room_${fresh("read")}`;
			const [ann, bob] = await room(topic, "ann", "bob");
			const [one, two] = [await ann.push("message", { content: "one" }), await ann.push("message", { content: "two" })];

			assert.equal(bob.answer.last_read_id ?? null, null);
			await bob.push("mark_read", { message_id: two.id });
			const read = await ann.hears("message_read");
			assert.match(read.timestamp, TIME);
			assert.deepEqual(read, { message_id: two.id, user_id: "bob", timestamp: read.timestamp });
			/* It is not moved back. */
			await bob.push("mark_read", { message_id: one.id });
			await bob.leave();
			const again = await ground.join("bob", 2, topic);
			assert.equal(again.answer.last_read_id, two.id);
			assert.equal((await ground.join("ann", 1, topic)).answer.last_read_id ?? null, null);
			assert.deepEqual(await again.refused("mark_read", { message_id: "01900000-0000-7000-8000-000000000000" }), { reason: "not_found" });
		});

		test("Testing with wscat: V1 without vsn", async () => {
			const id = fresh("12345"), token = mint({ user_id: "ann" });
			const bob = await ground.join("bob", 1, `chat:room_${id}`);
			const wire = await ground.wire(0, { target: `/socket/websocket?token=${token}` });

			wire.text(`{"topic":"chat:room_${id}","event":"phx_join","payload":{},"ref":"1"}`);
			const { payload, ...rest } = await wire.nextMessage();
			assert.deepEqual(rest, { topic: `chat:room_${id}`, event: "phx_reply", ref: "1" });
			assert.deepEqual([payload.status, payload.response.messages], ["ok", []]);
			assert.deepEqual(await wire.nextMessage(), { topic: `chat:room_${id}`, event: "messages_history", payload: { messages: [] }, ref: null });
			wire.text(`{"topic":"chat:room_${id}","event":"message","payload":{"content":"by hand"},"ref":"2"}`);
			isMessage(await bob.hears("new_message"), { content: "by hand", user: "ann", room: id });
		});

		test("Test Script with Node.js", async () => {
			const { port } = ground.at(0), id = fresh("test123"), console = notebook(), token = mint();

			const ws = new WebSocket(`ws://localhost:${port}/socket/websocket?token=${token}`)

			ws.on('open', () => {
				console.log('Connected')

				// Join chat channel
				const joinMsg = JSON.stringify({
					topic: `chat:room_${id}`,
					event: 'phx_join',
					payload: {},
					ref: '1'
				})
				ws.send(joinMsg)
			})

			ws.on('message', (data) => {
				console.log('Received:', data.toString())
			})

			ws.on('error', (error) => {
				console.error('WebSocket error:', error)
			})

			const [, text] = await console.logged("Received:");
			const { payload } = JSON.parse(text);
			assert.deepEqual([payload.status, payload.response.messages], ["ok", []]);
			ws.terminate();
		});

		/* The document passes them to join(), which with the stock client is the place of a timeout. */
		test("Channel Joining & Authentication: the token in channel params", async () => {
			const socket = ground.dial("somebody", 0), topic = `chat:room_${fresh("params")}`;
			const seat = await new Seat(socket, topic, { token: mint({ user_id: "ann", username: "Ann" }) }).join();

			assert.equal((await seat.push("message", { content: "as Ann" })).user_id, "ann");
		});

		test("Complete WebSocket Demo: RealtimeMarketClient, its chat", async () => {
			const Socket = ground.pageSocket(0), console = notebook();

			class RealtimeMarketClient {
				constructor(token) {
					this.token = token
					this.socket = null
					this.channels = {}
					this.callbacks = {}
				}

				connect() {
					this.socket = new Socket("ws://localhost:4000/socket", {
						params: { token: this.token }
					})

					this.socket.connect()

					this.socket.onOpen(() => console.log("Connected"))
					this.socket.onError(() => console.error("Connection error"))
					this.socket.onClose(() => console.log("Disconnected"))
				}

				joinChat(roomId, onMessage, onJoin, onLeave) {
					const channel = this.socket.channel(`chat:room_${roomId}`, {})

					channel.join()
						.receive("ok", resp => {
							console.log("Joined chat room", roomId)
							if (onJoin) onJoin(resp)
						})
						.receive("error", resp => {
							console.error("Failed to join chat", resp)
						})

					channel.on("new_message", onMessage)
					channel.on("user_joined", onJoin)
					channel.on("user_left", onLeave)

					this.channels[`chat_${roomId}`] = channel
					return channel
				}

				sendMessage(roomId, content) {
					const channel = this.channels[`chat_${roomId}`]
					if (channel) {
						channel.push("message", { content })
					}
				}

				getUserIdFromToken() {
					// Decode JWT token to get user ID
					const payload = this.token.split('.')[1]
					const decoded = JSON.parse(atob(payload))
					return decoded.user_id
				}

				disconnect() {
					Object.values(this.channels).forEach(channel => {
						channel.leave()
					})
					this.socket.disconnect()
				}
			}

			const id = fresh("room123");
			const client = new RealtimeMarketClient(mint({ user_id: "ann", username: "Ann" }))
			client.connect()

			// Join chat room
			client.joinChat(
				id,
				(message) => console.log("New message:", message.content),
				(user) => console.log(user.username, "joined"),
				(user) => console.log(user.username, "left")
			)

			await console.logged("Joined chat room");
			const bob = await ground.join("bob", 1, `chat:room_${id}`, { claims: { name: "Bob" } });
			await console.logged("Bob");
			client.sendMessage(id, "Hello");
			await console.logged("New message:");
			await bob.leave();
			await waitFor(() => console.lines.at(-1)[1] === "left", "Bob to leave");
			assert.deepEqual(console.lines, [["Connected"], ["Joined chat room", id], [undefined, "joined"], ["Bob", "joined"],
				["New message:", "Hello"], ["Bob", "left"]]);
			assert.equal(client.getUserIdFromToken(), "ann");
			client.disconnect();
			await console.logged("Disconnected");
		});
	});

	describe("Reference", () => {
		test("Client-Side Patterns", async () => {
			const Socket = ground.pageSocket(0), console = notebook(), window = { userToken: mint() }, rendered = [];
			const renderMessage = (body) => rendered.push(body);

			// Connect
			let socket = new Socket("/socket", { authToken: window.userToken, params: { token: window.userToken } })
			socket.connect()

			// Join channel
			let channel = socket.channel("room:lobby", {})
			channel.join()
				.receive("ok", resp => console.log("Joined", resp))
				.receive("error", resp => console.log("Failed", resp))

			// Send events
			channel.push("new_msg", { body: "hello" })

			// Receive events
			channel.on("new_msg", payload => {
				renderMessage(payload.body)
			})

			await console.logged("Joined");
			await waitFor(() => rendered.length === 1, "the message");
			assert.deepEqual(rendered, ["hello"]);
		});

		test("Message Delivery: the last-seen ID pattern", { timeout: 60_000 }, async () => {
			const topic = `chat:room:${fresh("seen")}`;
			const [ann, bob] = await room(topic, "ann", "bob");

			await ann.push("new_message", { content: "0" });
			const { id: last } = await bob.hears("new_message");
			bob.cut();
			await ann.hears("user_left");
			const missed = [];
			for (let i = 1; i <= 60; i++)
				missed.push(await ann.push("new_message", { content: `${i}` }));
			const back = await ground.join("bob", 2, topic, { params: { last_seen_id: last } });
			assert.equal(back.answer.recovered, true);
			assert.deepEqual(back.answer.messages, missed);
			assert.equal(back.answer.has_more, false);
			assert.deepEqual(await back.hears("messages_history").then((p) => p.messages), missed);
			await ann.push("new_message", { content: "live" });
			assert.equal((await back.hears("new_message")).content, "live");

			for (const lost of ["nonsense", "01900000-0000-7000-8000-000000000000"]) {
				const seat = await ground.join("bob", 1, topic, { params: { last_seen_id: lost } });
				assert.equal(seat.answer.recovered, false);
				assert.deepEqual(contents(seat.answer.messages), [...missed.slice(-49).map((m) => m.content), "live"]);
				assert.equal(seat.answer.has_more, true);
			}
		});

		test("and a client that does so by itself misses nothing, and hears nothing twice", async () => {
			const topic = `chat:room:${fresh("itself")}`;
			const ann = await ground.join("ann", 0, topic);
			const Socket = ground.pageSocket(1), socket = new Socket("/socket", { params: () => ({ token: mint({ user_id: "bob" }) }) });
			const seen = [];

			socket.connect();
			const channel = socket.channel(topic, () => seen.length > 0 ? { last_seen_id: seen.at(-1).id } : {});
			channel.join().receive("ok", ({ messages }) => seen.push(...messages));
			channel.on("new_message", (message) => seen.push(message));
			await waitFor(() => channel.state === "joined", "Bob to join");
			for (let i = 0; i < 40; i++) {
				await ann.push("new_message", { content: `${i}` });
				if (i % 10 === 5)
					socket.conn.terminate();
			}
			await waitFor(() => seen.at(-1)?.content === "39", "Bob to hear the last");
			assert.deepEqual(contents(seen), Array.from({ length: 40 }, (_, i) => `${i}`));
		});

		/* Bob and then Cec say something: is Bob heard? */
		async function isHeard(bob, cec, ear) {
			const n = fresh("");

			await bob.push("new_message", { content: `Bob ${n}` });
			await cec.push("new_message", { content: `Cec ${n}` });
			await ear.hearsThat("new_message", { content: `Cec ${n}` });
			return contents(ear.heard("new_message")).includes(`Bob ${n}`);
		}

		test("Core Callbacks, the intercept: a user whom somebody ignores", { timeout: 60_000 }, async () => {
			const [Ann, Bob, Cec] = ["ann", "bob", "cec"].map(fresh);
			const one = `chat:room:${fresh("one")}`, two = `chat:room_${fresh("two")}`;
			const [ann, bob, cec] = await room(one, Ann, Bob, Cec);
			const [cecThere, annThere, bobThere] = await room(two, Cec, Ann, Bob);
			const ofBob = (seat) => seat.got.filter(([, p]) => p.user_id === Bob).map(([event]) => event);

			assert.ok(await isHeard(bob, cec, ann));
			await ann.push("block_user", { user_id: Bob });
			assert.ok(!await isHeard(bob, cec, ann));
			assert.ok(await isHeard(cec, bob, cec), "it is Ann alone who does not hear him");
			/* In another room, in another tab, on another node: as soon as that has heard of it. */
			await waitFor(async () => !await isHeard(bobThere, cecThere, annThere), "the block to hold in the other room");

			/* Nor is anything else of his. */
			annThere.forget();
			await bobThere.push("typing_start");
			await bobThere.push("mark_read", { message_id: cecThere.heard("new_message")[0].id });
			await cecThere.hearsThat("user_typing", { user_id: Bob, is_typing: true });
			await bobThere.leave();
			await cecThere.hearsThat("user_left", { user_id: Bob });
			await (await ground.join(Bob, 1, two)).push("typing_start");
			await cecThere.hearsThat("user_joined", { user_id: Bob });
			await cecThere.push("typing_start");
			await annThere.hearsThat("user_typing", { user_id: Cec, is_typing: true });
			assert.deepEqual(ofBob(annThere), []);

			/* Also after a rejoin, and in what is told of before. */
			const again = await ground.join(Ann, 2, one);
			const told = [again.answer, await again.hears("messages_history"), await again.push("load_history", { limit: 100 })];
			for (const { messages } of told)
				assert.deepEqual([...new Set(messages.map((m) => m.user_id))], [Cec]);
			assert.ok(!await isHeard(bob, cec, again));

			/* And back. */
			await again.push("unblock_user", { user_id: Bob });
			assert.ok(await isHeard(bob, cec, again));
			await waitFor(() => isHeard(bob, cec, ann), "the block to end in the tab that asked for it");
			const { messages } = (await ground.join(Ann, 1, one)).answer;
			assert.deepEqual([...new Set(messages.map((m) => m.user_id))].sort(), [Bob, Cec].sort());
		});
	});

	test("load_history: older pages", { timeout: 60_000 }, async () => {
		const topic = `chat:room:${fresh("pages")}`;
		const ann = await ground.join("ann", 0, topic);
		const all = [];

		for (let i = 0; i < 120; i++)
			all.push(await ann.push("new_message", { content: `${i}` }));
		const bob = await ground.join("bob", 1, topic);
		assert.deepEqual(bob.answer.messages, all.slice(70));
		assert.equal(bob.answer.has_more, true);
		assert.deepEqual(await bob.push("load_history", { before: all[70].id, limit: 50 }), { messages: all.slice(20, 70), has_more: true });
		assert.deepEqual(await bob.push("load_history", { before: all[20].id, limit: 100 }), { messages: all.slice(0, 20), has_more: false });
		assert.deepEqual(await bob.push("load_history", { before: all[0].id }), { messages: [], has_more: false });
	});

	test("load_history goes on behind pages of somebody who is blocked", { timeout: 60_000 }, async () => {
		const topic = `chat:room:${fresh("behind")}`;
		const [Ann, Bob, Cec] = ["ann", "bob", "cec"].map(fresh);
		const [ann, bob, cec] = await room(topic, Ann, Bob, Cec);
		const wanted = [];

		for (let i = 0; i < 3; i++)
			wanted.push(await cec.push("new_message", { content: `${i}` }));
		for (let i = 0; i < 130; i++)
			await bob.push("new_message", { content: `noise ${i}` });
		await ann.push("block_user", { user_id: Bob });
		const again = await ground.join(Ann, 2, topic);
		let { messages, has_more: more } = again.answer;
		for (let asked = 0; more; asked++) {
			assert.ok(asked < 10, "there is more and more, and no way to it");
			const page = await again.push("load_history", { before: messages[0]?.id, limit: 50 });
			messages = [...page.messages, ...messages];
			more = page.has_more;
		}
		assert.deepEqual(messages, wanted);
	});

	test("who joins while others talk misses nothing, hears nothing twice, and the old before the new", { timeout: 60_000 }, async () => {
		const topic = `chat:room:${fresh("while")}`, seats = await room(topic, "ann", "bob"), late = [];
		let talking = true;
		const talk = Promise.all(seats.map(async (seat) => {
			for (let i = 0; talking && i < 300; i++)
				await seat.push("new_message", { content: `${i}` });
		}));

		for (let i = 0; i < 9; i++)
			late.push(await ground.join(`late${i}`, i, topic));
		talking = false;
		await talk;
		const { id: last } = await seats[0].push("new_message", { content: "last" });
		await Promise.all([...seats, ...late].map((seat) => seat.hearsThat("new_message", { id: last })));
		const order = seats[0].heard("new_message").map((m) => m.id);
		for (const seat of late) {
			const ids = [...seat.answer.messages, ...seat.heard("new_message")].map((m) => m.id);
			assert.deepEqual(ids, order.slice(order.indexOf(ids[0])));
			assert.equal(seat.got.findIndex(([event]) => event === "messages_history"), 0, "messages came before the history");
		}
	});

	test("a message has one place for all", async () => {
		const topic = `chat:room:${fresh("order")}`;
		const seats = await room(topic, "ann", "bob", "cec");

		await Promise.all(seats.flatMap((seat, k) => Array.from({ length: 20 }, (_, i) => seat.push("new_message", { content: `${k}.${i}` }))));
		await waitFor(() => seats.every((seat) => seat.heard("new_message").length === 60), "all to hear all");
		for (const seat of seats)
			assert.deepEqual(seat.heard("new_message"), seats[0].heard("new_message"));
		assert.deepEqual((await ground.join("dan", 1, topic)).answer.messages, seats[0].heard("new_message").slice(-50));
	});

	test("a node that is killed: its users leave, and type no more", { skip: ground.n === 1, timeout: 60_000 }, async () => {
		const topic = `chat:room:${fresh("kill")}`;
		const [ann, bob, cec] = await room(topic, "ann", "bob", "cec");
		const tab = await ground.join("bob", 2, topic, claims("bob"));

		await tab.push("typing_start");
		await cec.push("typing_start");
		await ann.hearsThat("user_typing", { user_id: "cec", is_typing: true });
		await ann.hearsThat("user_typing", { user_id: "bob", is_typing: true });
		await ground.cluster.kill("n3");
		const begun = performance.now();
		for (const seat of [ann, bob]) {
			await seat.hearsThat("user_typing", { user_id: "cec", is_typing: false }, TIMEOUT + SLACK);
			await seat.hearsThat("user_left", { user_id: "cec" }, TIMEOUT + SLACK);
		}
		await ann.hearsThat("user_typing", { user_id: "bob", is_typing: false }, TIMEOUT + SLACK);
		assert.ok(performance.now() - begun < TIMEOUT + SLACK);
		/* Bob has another tab. */
		assert.deepEqual(ann.heard("user_left").map((p) => p.user_id), ["cec"]);
		await Promise.all([cec, tab].map((seat) => seat.socket.disconnect()));
		await ground.cluster.restart("n3");
		await ground.cluster.met();
		const again = await ground.join("cec", 2, topic);
		await ann.hears("user_joined", 3);
		await bob.push("new_message", { content: "welcome back" });
		assert.equal((await again.hears("new_message")).content, "welcome back");
	});
});
