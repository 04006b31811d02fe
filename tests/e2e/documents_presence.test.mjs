// Presence in the documents: of people in rooms, after "Phoenix Channels - WebSocket Real-time Features" (below: Features) and
// "Channels and Presence Reference" (Reference); and of a user's devices, after "Real-time Features" (Videos). Snippets stand
// here as they are written there.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Presence } from "phoenix18";
import { SLACK, TIMEOUT } from "./cluster.mjs";
import { everywhere, fresh, notebook } from "./documents.mjs";
import { PATIENCE, waitFor } from "./harness.mjs";

const CONFIG = `
route "limited:{user_id}" { class = "devices" device_limit = 2 }
route "evicting:{user_id}" { class = "devices" evict_oldest = yes }
`;

/* Follows a channel by the functions of Presence that the documents use; what it says is compared as JSON. */
class View {
	constructor(seat) {
		this.presences = {};
		seat.channel.on("presence_state", (state) => this.presences = Presence.syncState(this.presences, state));
		seat.channel.on("presence_diff", (diff) => this.presences = Presence.syncDiff(this.presences, diff));
		/* What came before we listened. */
		for (const state of seat.heard("presence_state"))
			this.presences = Presence.syncState(this.presences, state);
		for (const diff of seat.heard("presence_diff"))
			this.presences = Presence.syncDiff(this.presences, diff);
	}

	/* { KEY: [member of each meta] } */
	of(member) {
		return Object.fromEntries(Object.entries(this.presences).sort(([a], [b]) => a < b ? -1 : 1)
			.map(([key, { metas }]) => [key, metas.map((m) => m[member]).sort()]));
	}

	shows(member, wanted, timeout = PATIENCE) {
		return waitFor(() => JSON.stringify(this.of(member)) === JSON.stringify(wanted), `${JSON.stringify(wanted)} of ${member}`, timeout)
			.catch((e) => { throw new Error(`${e.message}; there is ${JSON.stringify(this.presences)}`); });
	}

	keys(...wanted) {
		return waitFor(() => Object.keys(this.presences).sort().join() === wanted.sort().join(), `the keys ${wanted}`)
			.catch((e) => { throw new Error(`${e.message}; there is ${JSON.stringify(this.presences)}`); });
	}
}

everywhere("presence", { config: CONFIG }, (ground) => {
	describe("Features, Presence Channel", () => {
		test("Joining; Receiving Presence Updates; Updating Status; Presence Format", async () => {
			const id = fresh("789"), socket = ground.dial("your-user-id", 0), console = notebook();

			const channel = socket.channel(`presence:room:${id}`, {
				user_id: "your-user-id",
				status: "online"
			});
			channel.join();

			// Initial presence state
			channel.on("presence_state", presences => {
				console.log("Current users:", presences);
			});

			// Presence changes (user joined/left/updated)
			channel.on("presence_diff", diff => {
				console.log("Presence changed:", diff);
			});

			await console.logged("Current users:");
			const bob = await ground.join("bob", 1, `presence:room:${id}`, { params: { user_id: "bob", status: "busy" } });
			const view = new View(bob);
			await view.shows("status", { "bob": ["busy"], "your-user-id": ["online"] });

			channel.push("update_status", { status: "away" })
				.receive("ok", resp => console.log("Status updated", resp));

			await console.logged("Status updated");
			await view.shows("status", { "bob": ["busy"], "your-user-id": ["away"] });
			const [meta] = view.presences["your-user-id"].metas;
			assert.ok(Number.isInteger(meta.online_at) && Math.abs(meta.online_at - Date.now() / 1000) < 60, `${meta.online_at}`);
			assert.deepEqual(Object.keys(meta).sort().filter((name) => name !== "phx_ref_prev"), ["online_at", "phx_ref", "status"]);
			await console.logged("Presence changed:");
			await bob.leave();
			await waitFor(() => console.lines.some(([what, diff]) => what === "Presence changed:" && diff.leaves.bob), "Bob to leave");
		});

		test("Security Considerations: user_id is the socket's, or left out", async () => {
			const topic = `presence:room:${fresh("own")}`;

			assert.deepEqual(await ground.joinRefused("ann", 0, topic, { params: { user_id: "bob" } }), { reason: "unauthorized" });
			const view = new View(await ground.join("ann", 1, topic));
			await view.shows("status", { ann: ["online"] });
		});

		test("several tabs are several metas of one key", async () => {
			const topic = `presence:room:${fresh("tabs")}`;
			const tab = (k, status) => ground.join("ann", k, topic, { params: { user_id: "ann", status } });
			const bob = new View(await ground.join("bob", 1, topic));
			const [one, two] = [await tab(0, "first"), await tab(2, "second")];

			await bob.shows("status", { ann: ["first", "second"], bob: ["online"] });
			await two.push("update_status", { status: "third" });
			await bob.shows("status", { ann: ["first", "third"], bob: ["online"] });
			await one.leave();
			await bob.shows("status", { ann: ["third"], bob: ["online"] });
			two.cut();
			await bob.shows("status", { bob: ["online"] });
		});
	});

	describe("Reference, Presence", () => {
		test("Client-Side Presence; Update Presence Metadata", async () => {
			const topic = `presence:room:${fresh("sync")}`, rendered = [];
			const renderOnlineUsers = (presences) => rendered.push(structuredClone({ ...presences }));
			const channel = ground.dial("ann", 0).channel(topic, {});

			let presences = {}

			channel.on("presence_state", state => {
				presences = Presence.syncState(presences, state)
				renderOnlineUsers(presences)
			})

			channel.on("presence_diff", diff => {
				presences = Presence.syncDiff(presences, diff)
				renderOnlineUsers(presences)
			})

			channel.join();
			await waitFor(() => rendered.length > 0, "something to render");

			const bob = await ground.join("bob", 1, topic);
			const typing = () => rendered.at(-1).bob?.metas.map((m) => m.typing);
			await bob.push("typing", { typing: true });
			await waitFor(() => typing()?.[0] === true, "Bob to type");
			const [meta] = rendered.at(-1).bob.metas;
			assert.deepEqual([meta.status, typeof meta.online_at], ["online", "number"]);
			/* Others in the meta, too; and each by itself. */
			await bob.push("update_status", { typing: false, mood: { is: ["fine"] } });
			await waitFor(() => typing()?.[0] === false, "Bob to type no more");
			await bob.push("update_status", { status: "away" });
			await waitFor(() => rendered.at(-1).bob.metas[0].status === "away", "Bob to be away");
			assert.deepEqual(rendered.at(-1).bob.metas[0].mood, { is: ["fine"] });
			assert.equal(rendered.at(-1).bob.metas.length, 1);
			await bob.leave();
			await waitFor(() => rendered.at(-1).bob === undefined, "Bob to be gone");
		});
	});

	describe("Videos, Presence Channel: devices", () => {
		const NO = { reason: "device_limit_reached" };
		const enter = (user, k, device, { route = "presence", ...params } = {}) =>
			ground.join(user, k, `${route}:${user}`, { params: { device_id: device, ...params } });
		const enterRefused = (user, k, device) => ground.joinRefused(user, k, `presence:${user}`, { params: { device_id: device } });

		test("Client Implementation", async () => {
			const user = fresh("ann"), socket = ground.dial(user, 0), console = notebook();
			const channel = socket.channel(`presence:${user}`, { device_id: "phone" });

			// Track presence changes
			channel.on("presence_state", (state) => {
				console.log("Initial presence state", state);
			});

			channel.on("presence_diff", (diff) => {
				console.log("Presence changed", diff);
			});

			channel.join();
			const seen = () => console.lines.flatMap(([, it]) => Object.entries(it.joins ?? it));
			await waitFor(() => seen().length > 0, "the device");
			const [[key, { metas: [meta] }]] = seen();
			assert.equal(key, "phone");
			assert.ok(Number.isInteger(meta.online_at), JSON.stringify(meta));
		});

		test("track_user_device: one at a time, and its place is free when it goes", async () => {
			const user = fresh("ann"), phone = await enter(user, 0, "phone");

			assert.deepEqual(await enterRefused(user, 1, "laptop"), NO);
			assert.deepEqual(await enterRefused(user, 0, "laptop"), NO);
			await phone.leave();
			const laptop = await enter(user, 1, "laptop");
			assert.deepEqual(await enterRefused(user, 2, "phone"), NO);
			laptop.cut();
			await waitFor(() => enter(user, 2, "phone").then(() => true, () => false), "the place of a lost device");
		});

		test("of two at once, on two nodes, exactly one gets in", { timeout: 60_000 }, async () => {
			for (let round = 0; round < 8; round++) {
				const user = fresh("ann");
				const got = await Promise.allSettled([enter(user, 0, "phone"), enter(user, 1, "laptop"), enter(user, 2, "watch")]);
				const refusals = got.filter((g) => g.status === "rejected").map((g) => g.reason.answer);

				assert.deepEqual(refusals, [NO, NO]);
				await ground.clear();
			}
		});

		test("the same device again takes its place over", async () => {
			const user = fresh("ann");

			const first = await enter(user, 0, "phone");
			const again = await enter(user, 1, "phone"), view = new View(again);
			assert.deepEqual(await first.hears("device_evicted"), { reason: "replaced", device_id: "phone" });
			await waitFor(() => first.channel.state === "closed", "the older one to be put out");
			await view.keys("phone");
			assert.deepEqual(await enterRefused(user, 2, "laptop"), NO);
			await again.leave();
			await waitFor(() => enter(user, 2, "laptop").then(() => true, () => false), "the phone's place");
		});

		test("device_limit: as many as the route has", async () => {
			const user = fresh("ann"), at = { route: "limited" };
			const [a, b] = [await enter(user, 0, "phone", at), await enter(user, 1, "laptop", at)];

			await new View(a).keys("laptop", "phone");
			await new View(b).keys("laptop", "phone");
			assert.deepEqual(await ground.joinRefused(user, 2, `limited:${user}`, { params: { device_id: "watch" } }), NO);
			await b.leave();
			await enter(user, 2, "watch", at);
			await new View(a).keys("phone", "watch");
		});

		test("evict_oldest: the newest gets in, and the oldest is told why it goes", { timeout: 60_000 }, async () => {
			const user = fresh("ann"), at = { route: "evicting" };
			const phone = await enter(user, 0, "phone", at);
			const laptop = await enter(user, 1, "laptop", at);

			assert.deepEqual(await phone.hears("device_evicted"), { reason: "device_limit_reached", device_id: "phone" });
			await waitFor(() => phone.channel.state === "closed", "the phone to be put out");
			await new View(laptop).keys("laptop");
		});

		test("only one's own", async () => {
			const user = fresh("ann");

			assert.deepEqual(await ground.joinRefused("bob", 0, `presence:${user}`, { params: { device_id: "phone" } }),
				{ reason: "unauthorized" });
		});

		test("a node that is killed frees its places", { skip: ground.n === 1, timeout: 60_000 }, async () => {
			const user = fresh("ann"), phone = await enter(user, 2, "phone");

			assert.deepEqual(await enterRefused(user, 1, "laptop"), NO);
			await ground.cluster.kill("n3");
			const begun = performance.now();
			phone.socket.disconnect();
			const laptop = await waitFor(() => enter(user, 1, "laptop").catch(() => null), "the place", TIMEOUT + SLACK);
			assert.ok(performance.now() - begun < TIMEOUT + SLACK);
			assert.ok(performance.now() - begun > TIMEOUT / 2, "it did not wait for the node");
			await new View(laptop).keys("laptop");
			await ground.cluster.restart("n3");
			await ground.cluster.met();
			assert.deepEqual(await enterRefused(user, 2, "phone"), NO);
		});
	});
});
