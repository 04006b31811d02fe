// Pusher-style clients at / and /ws: the protocol as its document shows it, on one node and across two, what is refused and
// how, and rooms where they meet the stock phoenix client.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import WebSocket from "ws";
import { CONVERGED, Cluster, SLACK } from "./cluster.mjs";
import { SECRET, mint, sleep, start, waitFor, within } from "./harness.mjs";
import { Member } from "./presence_model.mjs";
import { ISO, PusherClient } from "./pusher.mjs";
import { Ws, exchange, upgradeHead } from "./raw.mjs";
import { noRedis } from "./redis.mjs";

const GRACE = 2000;
const GRACEFUL = 'route "presence-grace-{name}" { class = "pusher" leave_grace = 2s }';

let n = 0;
/* A channel that no other test has. */
const fresh = (kind) => `${kind}-${++n}`;

/* The message without what differs each time, which must be a time. */
function timeless({ timestamp, ...rest }) {
	assert.match(timestamp, ISO);
	return rest;
}

function ageless({ joinedAt, updatedAt = joinedAt, ...rest }) {
	assert.match(joinedAt, ISO);
	assert.match(updatedAt, ISO);
	return rest;
}

describe("the way in", () => {
	let daemon;
	const clients = [];

	before(async () => {
		daemon = await start({ config: 'origins = { "https://app.example" }', options: { "limits.connections_per_user": 3 } });
	});
	after(() => daemon.stop());
	afterEach(() => clients.splice(0).forEach((client) => client.cut()));

	function dial(target, protocols, options) {
		const client = new PusherClient(`ws://127.0.0.1:${daemon.port}${target}`, protocols, options);

		clients.push(client);
		return client;
	}

	/* Refused with that status. */
	async function refused(status, ...how) {
		await assert.rejects(dial(...how).hears({ type: "connected" }), new RegExp(`server response: ${status}\\b`));
	}

	for (const path of ["/", "/ws"]) {
		test(`${path}: the first message says who one is`, async () => {
			const named = await dial(`${path}?token=${mint({ username: "Ann \"A\"" })}`).hears({ type: "connected" });
			const { clientId, ...rest } = timeless(named);

			assert.match(clientId, /^\S+$/);
			assert.deepEqual(rest, { type: "connected", user: { id: "u1", name: "Ann \"A\"" } });
			const nameless = await dial(`${path}?token=${mint()}`).hears(() => true);
			assert.deepEqual(nameless.user, { id: "u1" });
			assert.notEqual(nameless.clientId, clientId);
			const headers = { Authorization: `Bearer ${mint({ user_id: "u2" })}` };
			assert.deepEqual((await dial(path, [], { headers }).hears(() => true)).user, { id: "u2" });
			assert.equal((await dial(path).hears(() => true)).user, null);
		});

		test(`${path}: a token that is not taken is no token of nobody's`, async () => {
			await refused(403, `${path}?token=nonsense`);
			await refused(403, `${path}?token=${mint({ exp: 1 })}`);
			await refused(403, `${path}?token=${mint({}, { key: `${SECRET}!` })}`);
			await refused(403, path, [], { headers: { Authorization: "Bearer nonsense" } });
		});

		test(`${path}: origins`, async () => {
			await refused(403, path, [], { origin: "https://evil.example" });
			await dial(path, [], { origin: "https://app.example" }).hears({ type: "connected" });
		});

		test(`${path}: connections of a user are counted with all others`, async () => {
			const token = mint({ user_id: "many" }), phoenix = await Ws.open(daemon.port, { token });

			await dial(`${path}?token=${token}`).hears({ type: "connected" });
			const last = dial(`${path}?token=${token}`);
			await last.hears({ type: "connected" });
			await refused(429, `${path}?token=${token}`);
			await last.close();
			await waitFor(() => dial(`${path}?token=${token}`).hears({ type: "connected" }).catch(() => false), "room for one more");
			phoenix.destroy();
		});

		test(`${path}: no subprotocol is selected`, async () => {
			const answer = await new Promise((resolve) => dial(path, ["phoenix", "json"]).ws.on("upgrade", resolve));

			assert.equal(answer.statusCode, 101);
			assert.equal(answer.headers["sec-websocket-protocol"], undefined);
		});

		test(`${path}: a handshake as it should be`, async () => {
			await refused(426, path, [], { protocolVersion: 8 });
			for (const [fields, method, status] of [
				[{ "Sec-WebSocket-Key": undefined }, "GET", 400], [{ Connection: undefined }, "GET", 400], [{}, "HEAD", 405], [{}, "POST", 405],
			]) {
				const response = await exchange(daemon.port, upgradeHead(path, fields, { method }), { headOnly: true });
				assert.equal(response.status, status, method + JSON.stringify(fields));
			}
			const other = await exchange(daemon.port, upgradeHead(path, { Upgrade: "h2c" }), { headOnly: true });
			assert.equal(other.status, path === "/" ? 200 : 426);
		});
	}

	test("GET without an upgrade", async () => {
		const page = await daemon.get("/"), ws = await daemon.get("/ws");

		assert.equal(page.status, 200);
		assert.match(page.headers["content-type"], /^text\/html/);
		assert.deepEqual([ws.status, ws.headers.upgrade, ws.headers["sec-websocket-version"]], [426, "websocket", "13"]);
	});

	test("not where operators are", async () => {
		const admin = new PusherClient(`ws://127.0.0.1:${daemon.adminPort}/ws`);

		await assert.rejects(admin.hears({ type: "connected" }), /404/);
	});

	test("a drain closes them with 1012, and takes no more", async (t) => {
		const other = await start({ options: { "drain.time": "300ms", "drain.delay": "300ms" } });
		const client = await PusherClient.join(other, "public-x");

		t.after(() => other.child.kill("SIGKILL"));
		other.signal("SIGTERM");
		await waitFor(async () => (await other.get("/readyz").catch(() => ({}))).status === 503, "the drain");
		await assert.rejects(PusherClient.open(other), /503/);
		assert.equal(await within(client.closed, "the close"), 1012);
		await other.exited();
	});
});

/*
 * What the document shows, with a client on each of two nodes, or two on one.
 *   nodes()   the daemons of the first and the second client
 *   settle    (channel, text, i) waits until node i hears that channel, and Redis has a member with that text
 */
function documents({ nodes, settle }) {
	const clients = [];

	afterEach(() => clients.splice(0).forEach((client) => client.cut()));

	async function joined(i, channel, options = {}) {
		const client = await PusherClient.join(nodes()[i], channel, { user: `user-${i + 1}`, ...options });

		clients.push(client);
		await settle(channel, client.clientId, i);
		return client;
	}

	/* Both are in, and the first has heard of the second. */
	async function pair(channel, infos = [{ name: "John Doe" }, { name: "Jane Smith" }]) {
		const a = await joined(0, channel, { userInfo: infos[0] }), b = await joined(1, channel, { userInfo: infos[1] });

		if (channel.startsWith("presence-"))
			await a.hears({ type: "presence:member_joined" });
		return [a, b];
	}

	for (const kind of ["public", "private"]) {
		test(`join and leave: ${kind}`, async () => {
			const channel = fresh(kind), a = await joined(0, channel);

			assert.deepEqual(a.joined, { type: "channel:joined", channel, channelType: kind });
			assert.deepEqual(await a.ok("leave", { channel }), { type: "channel:left", channel });
			await a.refused("NOT_IN_CHANNEL", "channel:message", { channel, event: "e", data: {} });
			await a.hearsNothing();
		});

		test(`a message: ${kind}`, async () => {
			const channel = fresh(kind), [a, b] = await pair(channel), data = { text: "Hello everyone!", timestamp: Date.now() };

			await waitFor(async () => (await a.say(channel, "first", 1)).delivered === 1, "the other one to be counted");
			assert.deepEqual(await a.say(channel, "new-message", data), { type: "channel:sent", channel, delivered: 1 });
			const heard = timeless(await b.hears({ event: "new-message" }));
			assert.deepEqual(heard, { type: "channel:message", channel, event: "new-message", data,
				from: { clientId: a.clientId, userId: "user-1" } });
			await a.hearsNothing();
		});
	}

	test("join and leave: presence", async () => {
		const channel = fresh("presence-room"), userInfo = { name: "John Doe", avatar: "https://example.com/avatar.jpg", status: "online" };
		const a = await joined(0, channel, { userInfo }), { members, me, ...rest } = a.joined;

		assert.deepEqual(rest, { type: "channel:joined", channel, channelType: "presence" });
		assert.deepEqual(ageless(me), { id: "user-1", clientId: a.clientId, ...userInfo });
		assert.deepEqual(members, [me]);

		const b = await joined(1, channel, { userInfo: { name: "Jane Smith", customField: [1] } });
		assert.deepEqual(b.joined.members, [me, b.joined.me]);
		assert.deepEqual(ageless(b.joined.me), { id: "user-2", clientId: b.clientId, name: "Jane Smith", customField: [1] });
		assert.deepEqual(timeless(await a.hears(() => true)), { type: "presence:member_joined", channel, member: b.joined.me });

		assert.deepEqual(await b.ok("leave", { channel }), { type: "channel:left", channel });
		assert.deepEqual(timeless(await a.hears(() => true)), { type: "presence:member_left", channel, member: b.joined.me });
		await a.hearsNothing();
		await b.hearsNothing();
	});

	test("who loses its connection has left", async () => {
		const channel = fresh("presence"), [a, b] = await pair(channel);

		b.cut();
		assert.deepEqual((await a.hears({ type: "presence:member_left" })).member, b.joined.me);
	});

	test("a message to members is counted over all nodes", async () => {
		const channel = fresh("presence"), [a, b] = await pair(channel);

		assert.equal((await a.say(channel, "e", { x: 1 })).delivered, 1);
		assert.equal((await b.say(channel, "e", { x: 2 })).delivered, 1);
		await b.hears({ data: { x: 1 } });
		await a.hears({ data: { x: 2 } });
	});

	test("data is any value, and an event may be left out", async () => {
		const channel = fresh("public"), [a, b] = await pair(channel);

		for (const data of ["text", 1.5, true, null, [1, [2]], {}, { data: 1 }, { long: "lang ".repeat(20_000) }]) {
			await a.ok("channel:message", { channel, data });
			const heard = await b.hears({ type: "channel:message" });
			assert.deepEqual([heard.event, heard.data], ["message", data]);
		}
		a.send(`{"type":"channel:message","channel":"${channel}","event":"e","data":{"b":1.0,"a":12345678901234567890,"b2":"\\u00e9"}}`);
		await b.hears({ event: "e" });
		assert.match(b.raw.at(-1), /"data":\{"b":1\.0,"a":12345678901234567890,"b2":"\\u00e9"\}/);
	});

	test("who comes back within leave_grace has not left", async () => {
		const channel = fresh("presence-grace"), [a, b] = await pair(channel, [{}, { name: "back" }]);

		b.cut();
		const again = await joined(1, channel, { userInfo: { name: "again" } });
		assert.equal((await a.hears({ type: "presence:member_joined" })).member.clientId, again.clientId);
		await sleep(GRACE + 500);
		await a.hearsNothing();
		again.cut();
		const since = Date.now(), { member } = await a.hears({ type: "presence:member_left" });
		assert.ok(Date.now() - since >= GRACE - 100);
		assert.deepEqual(member, again.joined.me);
	});

	test("an update", async () => {
		const channel = fresh("presence"), [a, b] = await pair(channel), lastSeen = Date.now();
		const { member, ...rest } = await a.ok("channel:update", { channel, userInfo: { status: "away", lastSeen } });

		assert.deepEqual(rest, { type: "channel:updated", channel });
		assert.deepEqual(ageless(member), { id: "user-1", clientId: a.clientId, name: "John Doe", status: "away", lastSeen });
		assert.match(member.updatedAt, ISO);
		assert.deepEqual(timeless(await b.hears(() => true)), { type: "presence:member_updated", channel, member });
		await a.hearsNothing();
		/* Whoever comes later sees it. */
		await settle(channel, '"status":"away"', 0);
		const c = await joined(1, channel, { user: "user-3" });
		assert.deepEqual(c.joined.members.find(({ id }) => id === "user-1"), member);
	});

	test("the class ChatRoom", async () => {
		let port = nodes()[0].port;
		class HostedWebSocket extends WebSocket {
			constructor(url) { super(url.replace("localhost:3001", `127.0.0.1:${port}/`)); }
		}
		const ChatRoom = new Function("WebSocket", `return ${CHAT_ROOM}`)(HostedWebSocket);

		async function enter(user, userInfo) {
			const chat = new ChatRoom("general", mint({ user_id: user })), log = [];

			chat.log = log;
			chat.onMembersChanged = (members) => log.push(["members", members.map(({ name }) => name).sort()]);
			chat.onMemberJoined = ({ name }) => log.push(["joined", name]);
			chat.onMemberLeft = ({ name }) => log.push(["left", name]);
			chat.onMessage = (data, from) => log.push(["message", data.text, from.userId]);
			await within(new Promise((resolve) => chat.ws.on("open", resolve)), "the connection");
			chat.join(userInfo);
			await waitFor(() => log.length > 0, "the members");
			await settle("presence-chat-general", `"${userInfo.name}"`, 0);
			return chat;
		}
		const logged = (chat, ...want) => waitFor(() => JSON.stringify(chat.log.slice(-want.length)) === JSON.stringify(want), JSON.stringify(want))
			.catch((e) => { throw new Error(`${e.message}, but ${JSON.stringify(chat.log)}`); });

		const john = await enter("user-1", { name: "John", avatar: "..." });
		await logged(john, ["members", ["John"]]);
		port = nodes()[1].port;
		const jane = await enter("user-2", { name: "Jane", avatar: "..." });
		await logged(jane, ["members", ["Jane", "John"]]);
		await logged(john, ["members", ["Jane", "John"]], ["joined", "Jane"]);
		jane.send("hello");
		await logged(john, ["message", "hello", "user-2"]);
		john.send("hello yourself");
		await logged(jane, ["message", "hello yourself", "user-1"]);
		jane.ws.close();
		await logged(john, ["members", ["John"]], ["left", "Jane"]);
		john.ws.close();
	});

	test("typing, and cursors", async () => {
		const channel = fresh("presence-document"), [a, b] = await pair(channel);
		const indicators = [], cursors = [];

		b.ws.onmessage = (e) => {
			const msg = JSON.parse(e.data);
			if (msg.type === "channel:message" && msg.event === "typing")
				indicators.push([msg.data.isTyping ? "show" : "hide", msg.from.userId]);
			if (msg.type === "presence:member_updated")
				cursors.push([msg.member.id, msg.member.cursor, msg.member.name]);
		};
		for (const isTyping of [true, false])
			a.send({ type: "channel:message", channel, event: "typing", data: { isTyping } });
		await waitFor(() => indicators.length === 2, "the indicator");
		assert.deepEqual(indicators, [["show", "user-1"], ["hide", "user-1"]]);

		for (let x = 1; x <= 20; x++)
			a.send({ type: "channel:update", channel, userInfo: { cursor: { x, y: 2 * x }, selection: null } });
		await waitFor(() => cursors.at(-1)?.[1].x === 20, "the cursor");
		assert.deepEqual(cursors.at(-1), ["user-1", { x: 20, y: 40 }, "John Doe"]);
		assert.deepEqual(cursors.map(([, { x }]) => x), cursors.map(([, { x }]) => x).sort((p, q) => p - q));
	});

	test("a user with several tabs", async () => {
		const channel = fresh("presence"), watcher = await joined(1, channel, { user: "watcher" });
		const first = await joined(0, channel), second = await joined(1, channel, { user: "user-1" });

		const clients = [await watcher.hears({ type: "presence:member_joined" }), await watcher.hears({ type: "presence:member_joined" })];
		assert.deepEqual(clients.map(({ member }) => [member.id, member.clientId]), [["user-1", first.clientId], ["user-1", second.clientId]]);
		assert.equal(second.joined.members.filter(({ id }) => id === "user-1").length, 2);
		assert.equal((await watcher.say(channel, "e", {})).delivered, 2);
		await first.hears({ event: "e" });
		await second.hears({ event: "e" });
		await first.close();
		await waitFor(async () => (await watcher.say(channel, "e", {})).delivered === 1, "the first to be gone");
		await watcher.hearsNothing();
		await second.close();
		assert.equal((await watcher.hears({ type: "presence:member_left" })).member.id, "user-1");
	});

	test("a mixed room", async () => {
		const channel = fresh("presence"), a = await joined(0, channel, { userInfo: { name: "Plain" } });
		const m = new Member(nodes()[1], channel, { user: "user-2", params: { userInfo: { name: "Phoenix" } } });

		try {
			await m.join();
			assert.deepEqual([m.answer.channelType, m.answer.me.id, m.answer.me.name], ["presence", "user-2", "Phoenix"]);
			assert.deepEqual(m.answer.members[0], a.joined.me);
			const { member } = timeless(await a.hears({ type: "presence:member_joined" }));
			assert.deepEqual([member.id, member.name], ["user-2", "Phoenix"]);
			const state = () => JSON.stringify(m.presence.list((key, { metas }) => [key, metas.map(({ name }) => name)]).sort());
			await waitFor(() => state() === '[["user-1",["Plain"]],["user-2",["Phoenix"]]]', "presence_state");

			await a.say(channel, "hello", { text: "hi" });
			await a.say(channel, "bare", 7);
			await waitFor(() => m.got.some(([event]) => event === "bare"), "what was said");
			assert.deepEqual(m.got.filter(([event]) => !event.startsWith("presence_")), [["hello", { text: "hi" }], ["bare", { data: 7 }]]);

			assert.deepEqual(await m.push("shout", { body: "HI" }), { delivered: 1 });
			const heard = timeless(await a.hears({ type: "channel:message" }));
			assert.deepEqual([heard.event, heard.data, heard.from.userId], ["shout", { body: "HI" }, "user-2"]);

			await a.ok("channel:update", { channel, userInfo: { name: "Plainer" } });
			await waitFor(() => state() === '[["user-1",["Plainer"]],["user-2",["Phoenix"]]]', "the update");
			await m.push("channel:update", { userInfo: { name: "Phoenician" } });
			assert.equal((await a.hears({ type: "presence:member_updated" })).member.name, "Phoenician");

			m.disconnect();
			assert.equal((await a.hears({ type: "presence:member_left" })).member.name, "Phoenician");
			assert.deepEqual(m.wrong, []);
		} finally {
			m.disconnect();
		}
	});
}

// As it stands in the document.
const CHAT_ROOM = `class ChatRoom {
  constructor(roomId, token) {
    this.roomId = roomId;
    this.members = [];

    this.ws = new WebSocket(\`ws://localhost:3001?token=\${token}\`);
    this.ws.onmessage = (e) => this.handleMessage(JSON.parse(e.data));
  }

  join(userInfo) {
    this.ws.send(JSON.stringify({
      type: 'join',
      channel: \`presence-chat-\${this.roomId}\`,
      userInfo
    }));
  }

  handleMessage(msg) {
    switch (msg.type) {
      case 'channel:joined':
        this.members = msg.members;
        this.onMembersChanged(this.members);
        break;

      case 'presence:member_joined':
        this.members.push(msg.member);
        this.onMembersChanged(this.members);
        this.onMemberJoined(msg.member);
        break;

      case 'presence:member_left':
        this.members = this.members.filter(m => m.id !== msg.member.id);
        this.onMembersChanged(this.members);
        this.onMemberLeft(msg.member);
        break;

      case 'channel:message':
        this.onMessage(msg.data, msg.from);
        break;
    }
  }

  send(text) {
    this.ws.send(JSON.stringify({
      type: 'channel:message',
      channel: \`presence-chat-\${this.roomId}\`,
      event: 'message',
      data: { text }
    }));
  }
}`;

describe("the document, on one node", { concurrency: false }, () => {
	let daemon;

	before(async () => { daemon = await start({ config: GRACEFUL }); });
	after(() => daemon.stop());
	documents({ nodes: () => [daemon, daemon], settle: () => {} });
});

describe("the document, across two nodes", { skip: noRedis, concurrency: false }, () => {
	let c;

	before(async () => { c = await Cluster.start({ nodes: 2, config: GRACEFUL }); });
	after(() => c?.end());

	const metas = async (channel, id) => c.redis.command("HVALS", `roost:presence:{${channel}}:${id}`);

	async function settle(channel, text, i) {
		const subscribers = channel.startsWith("presence-") ? 1 : i + 1;

		await waitFor(async () => (await c.redis.command("PUBSUB", "NUMSUB", `roost:t:{${channel}}`))[1] >= subscribers, "a subscription");
		if (channel.startsWith("presence-"))
			await waitFor(async () => (await Promise.all(["n1", "n2"].map((id) => metas(channel, id)))).flat()
				.some((meta) => meta.includes(text)), `${text} in Redis`);
	}

	documents({ nodes: () => [c.node("n1"), c.node("n2")], settle });

	test("a node that dies takes its members with it", async () => {
		const channel = fresh("presence"), a = await PusherClient.join(c.node("n1"), channel, { user: "user-1" });
		const b = await PusherClient.join(c.node("n2"), channel, { user: "user-2", userInfo: { name: "lost" } });

		await a.hears({ type: "presence:member_joined" });
		await c.kill("n2");
		const since = Date.now(), { member } = await a.hears({ type: "presence:member_left" });
		assert.ok(Date.now() - since <= CONVERGED + SLACK);
		assert.deepEqual(member, b.joined.me);
		assert.equal((await a.say(channel, "e", {})).delivered, 0);
		await c.restart("n2");
		await c.met();
	});
});

describe("delivered, across three nodes", { skip: noRedis, concurrency: false }, () => {
	const here = [];
	let c;

	before(async () => { c = await Cluster.start(); });
	after(() => c?.end());
	afterEach(() => here.splice(0).forEach((client) => client.cut()));

	async function enter(id, channel) {
		const client = Object.assign(await PusherClient.join(c.node(id), channel), { node: id });

		here.push(client);
		return client;
	}

	const gone = (client) => here.splice(here.indexOf(client), 1);

	/* From each of those that are here, it is right as soon as the nodes have told each other; and then who was counted hears it. */
	async function counted(channel, more = 0, timeout = 3000 + SLACK) {
		const want = here.length - 1 + more;

		for (const client of here) {
			let last;

			await waitFor(async () => (last = (await client.say(channel, "counting", 1)).delivered) === want, `${want} from ${client.node}`, timeout)
				.catch((e) => { throw new Error(`${e.message}, but ${last}\n${c.logs()}`); });
			for (const client of here)
				client.told.length = 0;
		}
		for (const client of here) {
			assert.equal((await client.say(channel, "counted", client.clientId)).delivered, want);
			for (const other of here)
				if (other !== client)
					await other.hears({ event: "counted", data: client.clientId });
		}
	}

	for (const kind of ["public", "private"]) {
		test(`those who come and go: ${kind}`, async () => {
			const channel = fresh(kind), first = await enter("n1", channel);

			await counted(channel);
			for (const id of ["n1", "n2", "n3", "n3"])
				await enter(id, channel);
			await counted(channel);
			const phoenix = new Member(c.node("n2"), channel, { user: "user-2" });
			await phoenix.join();
			await counted(channel, 1);
			await waitFor(async () => (await phoenix.push("shout", {})).delivered === here.length, "the same for the other protocol");
			phoenix.disconnect();
			await first.ok("leave", { channel });
			gone(first);
			first.cut();
			await counted(channel);
			/* The last of its node, and back again at once. */
			const last = here.find(({ node }) => node === "n2");
			for (let i = 0; i < 5; i++) {
				await last.ok("leave", { channel });
				await last.ok("join", { channel });
			}
			await counted(channel);
			await last.ok("leave", { channel });
			gone(last);
			await counted(channel);
			last.cut();
		});
	}

	test("nothing is said of topics that do not want it", async () => {
		const members = fresh("presence"), counts = fresh("public"), said = await c.redis.tap(...[members, counts, "room:quiet"].map((topic) => `roost:t:{${topic}}`));
		const m = new Member(c.node("n1"), "room:quiet", { user: "user-1" });

		await enter("n1", members);
		await enter("n2", members);
		await m.join();
		m.disconnect();
		await sleep(500);
		assert.deepEqual(said, []);
		await enter("n3", counts);
		await waitFor(() => said.length > 0, "a number");
		assert.deepEqual(said.map(({ text }) => JSON.parse(text)), [{ v: 1, node: "n3", count: 1, ask: true }]);
	});

	test("a node that is killed", async () => {
		const channel = fresh("public");

		for (const id of ["n1", "n2", "n2", "n3"])
			await enter(id, channel);
		await counted(channel);
		await c.kill("n2");
		here.filter(({ node }) => node === "n2").forEach((client) => gone(client));
		await counted(channel, 0, CONVERGED + SLACK);
		await c.restart("n2");
		await c.met();
		await enter("n2", channel);
		await counted(channel);
	});

	test("a node that stood still", async () => {
		const channel = fresh("public");

		for (const id of ["n1", "n2", "n2", "n3"])
			await enter(id, channel);
		await counted(channel);
		c.pause("n2");
		const stopped = here.filter(({ node }) => node === "n2");
		stopped.forEach((client) => gone(client));
		await counted(channel, 0, CONVERGED + SLACK);
		c.resume("n2");
		here.push(...stopped);
		await c.met();
		await counted(channel);
	});

	test("Redis is killed, and back", async () => {
		const channel = fresh("private");

		for (const id of ["n1", "n2", "n2", "n3"])
			await enter(id, channel);
		await counted(channel);
		await c.redis.kill();
		const [left, lost] = here.filter(({ node }) => node !== "n1");
		await left.ok("leave", { channel });
		gone(left);
		gone(lost);
		lost.cut();
		await enter("n3", channel);
		await enter("n1", channel);
		await sleep(500);
		await c.redis.start({ empty: true });
		await c.met(3);
		await counted(channel);
		left.cut();
	});

	test("the subscriptions are cut, and what was said meanwhile is lost", async () => {
		const channel = fresh("public");

		for (const id of ["n1", "n2", "n3"])
			await enter(id, channel);
		await counted(channel);
		for (let i = 0; i < 3; i++) {
			await c.redis.command("CLIENT", "KILL", "TYPE", "pubsub");
			await enter(`n${i + 1}`, channel);
		}
		await counted(channel);
		await c.redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
		await enter("n1", channel);
		await counted(channel);
	});

	test("what is no number", async () => {
		const channel = fresh("public"), publish = (text) => c.redis.command("PUBLISH", `roost:t:{${channel}}`, text);

		await enter("n1", channel);
		await enter("n2", channel);
		await counted(channel);
		for (const text of ['{"node":"x","count":-1}', '{"node":"x","count":1e9}', '{"node":"x","count":9999999999}', '{"count":3}', '{"node":"","count":3}',
			'{"node":"n3"}', '{"node":"x","count":"3"}', '{"node":"x","count":3,"ask":7}', '{"node":"n3","count":0}'])
			await publish(text);
		await sleep(100);
		await counted(channel);
		await publish('{"node":"x","count":3}');
		await sleep(100);
		await counted(channel, 3);
		await publish('{"node":"x","count":0}');
		await sleep(100);
		await counted(channel);
	});
});

describe("what is refused", { concurrency: false }, () => {
	let daemon, client, nobody;

	before(async () => {
		daemon = await start({ config: 'route "kept-*" { class = "room" }\nroute "public-team-{team}" { class = "pusher" }',
			options: { "limits.message_rate": 0 } });
	});
	after(() => daemon.stop());
	afterEach(() => [client, nobody].forEach((c) => c?.cut()));

	for (const id of ['"req-1"', '""', '"\\u0041\\"\\\\"', "7", "1.50", "-1e3", "true", "false", "null", '[1, {"a": [2]}]', '{"k":"v","requestId":2}'])
		test(`the requestId ${id} comes back as it was`, async () => {
			const channel = fresh("public");

			client = await PusherClient.open(daemon);
			for (const [request, type] of [
				[`"type":"join","channel":"${channel}"`, "channel:joined"], [`"type":"channel:message","channel":"${channel}","data":1`, "channel:sent"],
				[`"type":"channel:update","channel":"${channel}","userInfo":{}`, "error"], [`"type":"leave","channel":"${channel}"`, "channel:left"],
				[`"type":"leave","channel":"${channel}"`, "error"], ['"type":"ping"', "pong"], ['"type":"what"', "error"], ['"type":"join"', "error"],
			]) {
				client.send(`{"requestId":${id},${request}}`);
				await client.hears({ type }, `${type} for ${request}`);
				assert.ok(client.raw.at(-1).includes(`"requestId":${id},`) || client.raw.at(-1).endsWith(`"requestId":${id}}`), client.raw.at(-1));
			}
		});

	test("no request, and the connection stays", async () => {
		client = await PusherClient.open(daemon);
		for (const [text, code] of [
			["nonsense", "INVALID_JSON"], ["", "INVALID_JSON"], ['{"type":"ping"', "INVALID_JSON"], ['{"type":"ping"} {}', "INVALID_JSON"],
			["{'type':'ping'}", "INVALID_JSON"], ["[".repeat(100) + "]".repeat(100), "INVALID_JSON"],
			["null", "INVALID_REQUEST"], ["[]", "INVALID_REQUEST"], ['"ping"', "INVALID_REQUEST"], ["{}", "INVALID_REQUEST"],
			['{"type":7}', "INVALID_REQUEST"], ['{"type":"join"}', "INVALID_REQUEST"], ['{"type":"join","channel":7}', "INVALID_REQUEST"],
			['{"type":"phx_join","channel":"public-a"}', "UNKNOWN_MESSAGE_TYPE"], ['{"type":"PING"}', "UNKNOWN_MESSAGE_TYPE"],
		]) {
			client.send(text);
			const { code: got, message, ...rest } = await client.hears({ type: "error" }, `an error for ${text}`);
			assert.equal(got, code, text);
			assert.equal(typeof message, "string");
			assert.deepEqual(rest, { type: "error" });
		}
		client.ws.send(Buffer.from('{"type":"ping"}'));
		await client.hears({ type: "error", code: "INVALID_JSON" });
		assert.deepEqual(await client.ok("ping"), { type: "pong" });
	});

	test("channels that are none", async () => {
		client = await PusherClient.open(daemon);
		for (const channel of ["", "lobby", "kept-1", "room:lobby", "phoenix", "public", "Public-a", "public-é", "public- a", "public-a/b", "public-{a}",
			`public-${"a".repeat(158)}`, "presence_a"])
			await client.refused("INVALID_REQUEST", "join", { channel });
		await client.ok("join", { channel: `public-${"a".repeat(157)}` });
		await client.ok("join", { channel: "public-A_-=@,.;:9" });
	});

	test("members that are not what they should be", async () => {
		const channel = fresh("presence");

		client = await PusherClient.open(daemon);
		for (const userInfo of [7, "name", [], null, true])
			await client.refused("INVALID_REQUEST", "join", { channel, userInfo });
		await client.refused("INVALID_REQUEST", "join", { channel, userInfo: { text: "a".repeat(5000) } });
		await client.ok("join", { channel, userInfo: { id: "forged", clientId: "forged", joinedAt: "never", phx_ref: "1", ok: true } });
		const { me } = await client.ok("join", { channel });
		assert.deepEqual(ageless(me), { id: "u1", clientId: client.clientId, ok: true });
		await client.refused("INVALID_REQUEST", "channel:update", { channel });
		await client.refused("INVALID_REQUEST", "channel:update", { channel, userInfo: { text: "a".repeat(5000) } });
		for (const event of ["", 7, null, "phx_join", "presence_diff", "presence:member_left", "channel:joined", "pusher_internal:x", "system", "token_expiring", "message_deleted",
			"access_token", "a".repeat(129), "a\u0000b", "a\nb"])
			await client.refused("INVALID_REQUEST", "channel:message", { channel, event, data: 1 });
		client.send(`{"type":"channel:message","requestId":"twice","channel":"${channel}","channel":"public-x","data":1}`);
		assert.equal((await client.hears({ requestId: "twice" })).code, "INVALID_REQUEST");
	});

	test("who is not in", async () => {
		client = await PusherClient.open(daemon);
		for (const channel of ["public-none", "private-none", "presence-none"]) {
			await client.refused("NOT_IN_CHANNEL", "channel:message", { channel, event: "e", data: {} });
			await client.refused("NOT_IN_CHANNEL", "leave", { channel });
			await client.refused("NOT_MEMBER", "channel:update", { channel, userInfo: {} });
		}
		await client.ok("join", { channel: "private-none" });
		await client.refused("UPDATE_FAILED", "channel:update", { channel: "private-none", userInfo: {} });
	});

	test("nobody may join public channels alone", async () => {
		const channel = fresh("public");

		nobody = await PusherClient.join(daemon, channel, { user: null });
		client = await PusherClient.join(daemon, channel);
		assert.equal(nobody.user, null);
		for (const other of ["private-a", "presence-a", "public-team-a"])
			await nobody.refused("FORBIDDEN", "join", { channel: other });
		await client.ok("join", { channel: "public-team-a" });
		await nobody.say(channel, "hello", 1);
		assert.deepEqual((await client.hears({ event: "hello" })).from, { clientId: nobody.clientId, userId: null });
	});

	test("a second join changes nothing", async () => {
		const channel = fresh("presence");

		client = await PusherClient.join(daemon, channel, { userInfo: { name: "first" } });
		const other = await PusherClient.join(daemon, channel, { user: "u2" });
		await client.hears({ type: "presence:member_joined" });
		const again = await client.ok("join", { channel, userInfo: { name: "second" } });
		assert.deepEqual(again.me, client.joined.me);
		assert.deepEqual(again.members.map(({ id }) => id).sort(), ["u1", "u2"]);
		await sleep(200);
		await other.hearsNothing();
		await client.ok("leave", { channel });
		assert.equal((await other.hears({ type: "presence:member_left" })).member.name, "first");
		await client.refused("NOT_IN_CHANNEL", "leave", { channel });
		other.cut();
	});

	test("too many messages", async (t) => {
		const strict = await start({ options: { "limits.message_rate": 5, "limits.message_burst": 5, "limits.max_channels": 2 } });

		t.after(() => strict.child.kill("SIGKILL"));
		const c = await PusherClient.join(strict, "public-a");
		const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => c.ask("channel:message", { channel: "public-a", data: i })));
		const limited = answers.filter(({ type }) => type === "error");
		assert.ok(limited.length > 0 && limited.every(({ code }) => code === "RATE_LIMIT_EXCEEDED"), JSON.stringify(limited));
		assert.ok(limited.every(({ retryAfterMs }) => retryAfterMs > 0), JSON.stringify(limited));
		await sleep(1000);
		await c.ok("join", { channel: "public-b" });
		await c.refused("JOIN_FAILED", "join", { channel: "public-c" });
		await c.close();
		await strict.stop();
	});

	test("a token that expires ends its channels", async (t) => {
		const short = await start({ options: { "auth.leeway": "0", "auth.expiry_warning": "1s" } });
		const exp = Math.floor(Date.now() / 1000) + 3;

		t.after(() => short.child.kill("SIGKILL"));
		const c = await PusherClient.join(short, "private-a", { claims: { exp } });
		assert.deepEqual(await c.hears({ type: "token_expiring" }), { type: "token_expiring", channel: "private-a", expires_at: exp });
		const { message, ...ended } = await c.hears({ type: "error" });
		assert.deepEqual(ended, { type: "error", channel: "private-a", code: "FORBIDDEN" });
		await c.refused("FORBIDDEN", "join", { channel: "private-a" });
		await c.close();
		await short.stop();
	});

	test("a token may be renewed before", async (t) => {
		const short = await start({ options: { "auth.leeway": "0", "auth.expiry_warning": "2s" } });
		const exp = Math.floor(Date.now() / 1000) + 3, channel = "private-a";

		t.after(() => short.child.kill("SIGKILL"));
		const c = await PusherClient.join(short, channel, { claims: { exp } }), other = await PusherClient.join(short, channel);
		await c.hears({ type: "token_expiring" });
		await c.refused("INVALID_REQUEST", "access_token", { channel });
		await c.refused("FORBIDDEN", "access_token", { channel, access_token: "nonsense" });
		await c.refused("FORBIDDEN", "access_token", { channel, access_token: mint({ user_id: "u2" }) });
		await c.refused("NOT_IN_CHANNEL", "access_token", { channel: "private-b", access_token: mint() });
		assert.deepEqual(await c.ok("access_token", { channel, access_token: mint() }), { type: "token_renewed", channel });
		await sleep((exp + 1) * 1000 - Date.now());
		await c.ok("join", { channel: "private-b" });
		await c.hearsNothing();
		await other.hearsNothing();
		await c.close();
		await other.close();
		await short.stop();
	});
});
