// What the network does to a cluster: cut off, deaf, or lossy between a node and Redis; and clocks that jump. The kernel's own
// packet filter does it, in a network namespace that these tests have for themselves.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { BEAT, CONVERGED, Cluster, HEALED, SLACK, TIMEOUT } from "./cluster.mjs";
import { Talk } from "./cluster_talk.mjs";
import { sleep, waitFor } from "./harness.mjs";
import { Member, agreed } from "./presence_model.mjs";
import { Ws } from "./raw.mjs";
import { noRedis } from "./redis.mjs";

const inside = process.env.ROOST_E2E_NETWORK === "own";
const FAKETIME = ["x86_64", "aarch64"].map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketime.so.1`).find((file) => existsSync(file));

/* Why there can be no network of our own; false if there can. */
function noNetwork() {
	try {
		execFileSync("unshare", ["--net", "sh", "-c", "ip link set lo up && iptables -S"], { stdio: "pipe" });
		return false;
	} catch (e) {
		return `needs root, ip and iptables: ${String(e.stderr ?? e.message).trim()}`;
	}
}

/* This file once more, in a namespace. */
async function runInside() {
	const env = { ...process.env, ROOST_E2E_NETWORK: "own" };
	let said = "";

	delete env.NODE_TEST_CONTEXT;
	const child = spawn("unshare", ["--net", "sh", "-c", 'ip link set lo up && exec "$0" --test-reporter=spec "$1"', process.execPath, fileURLToPath(import.meta.url)],
		{ env, stdio: ["ignore", "pipe", "pipe"] });
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (text) => said += text);
	const [code] = await once(child, "close");
	return { code, said };
}

/* Node nK finds Redis at 127.0.0.(K+1), so that its packets can be told from others'. */
const addressOf = (id) => `127.0.0.${Number(id.slice(1)) + 1}`;

function filter(words) { execFileSync("iptables", words.split(" "), { stdio: "pipe" }); }

async function talking(t) {
	const c = await Cluster.start({
		redis: { args: ["--bind", "0.0.0.0", "--protected-mode", "no"] },
		nodes: 0,
	});

	t.after(() => c.end());
	t.after(() => filter("-F"));
	c.url = (id) => `redis://${addressOf(id)}:${c.redis.port}`;
	await Promise.all(["n1", "n2", "n3"].map((id) => c.add(id)));
	await c.met(3);
	const talk = await Talk.start(c);
	t.after(() => talk.end());
	return [c, talk];
}

/* What goes to Redis from that node, and what comes back. */
const out = (c, id) => `OUTPUT -p tcp -d ${addressOf(id)} --dport ${c.redis.port}`;
const back = (c, id) => `OUTPUT -p tcp -s ${addressOf(id)} --sport ${c.redis.port}`;

/* n1 cannot reach Redis for a while, by these rules. */
async function cutOff(t, rules) {
	const [c, talk] = await talking(t);
	const [gone, ...others] = talk.present;
	const join = (id, user) => Member.join(c.node(id), "presence:room:talk", { user });
	const leaver = await join("n1", "leaver");

	talk.present.push(leaver);
	t.after(() => talk.end());
	await agreed(talk.present);
	rules(c).forEach((rule) => filter(`-A ${rule} -j DROP`));
	const begun = performance.now();
	gone.in = leaver.in = false;
	await agreed(others, CONVERGED + SLACK);
	t.diagnostic(`left after ${Math.round(performance.now() - begun)} ms`);
	await waitFor(async () => (await c.node("n1").get("/readyz")).status === 503, "n1 to be unready", TIMEOUT + SLACK);
	assert.equal((await c.node("n2").get("/readyz")).status, 200);
	await c.met(2, { among: [c.node("n2"), c.node("n3")] });

	/* Life goes on at n1. */
	const here = await join("n1", "here");
	await waitFor(() => gone.presence.state.here, "a newcomer to be seen at home");
	await leaver.leave();
	await waitFor(() => !gone.presence.state.leaver, "who leaves to be seen at home");
	const mark = talk.live[0].heard("say").length;
	await waitFor(() => talk.live[0].heard("say").length > mark + 5, "messages at home");
	assert.ok(talk.refused.every((why) => why === "unavailable"), JSON.stringify(talk.refused));

	rules(c).forEach((rule) => filter(`-D ${rule} -j DROP`));
	const healed = performance.now();
	gone.in = true;
	talk.present = [gone, ...others, here];
	await c.met(3, { timeout: HEALED + SLACK });
	await agreed(talk.present, HEALED + SLACK);
	t.diagnostic(`back after ${Math.round(performance.now() - healed)} ms`);
	await sleep(1000);
	await talk.stop();
	await agreed(talk.present);
	for (const member of others)
		assert.ok(!member.changes(talk.marks.get(member)).joins.slice(1).some((who) => who.startsWith("leaver")), "a ghost");
	await talk.checkLive({ whole: [[1, 2], [2, 1]] });
	await talk.checkKept();
	talk.checkConnected();
}

if (!inside)
	test("a network of its own", { skip: noRedis || noNetwork(), timeout: 240_000 }, async (t) => {
		const { code, said } = await runInside();

		for (const [line] of said.matchAll(/^.*[✔✖ℹ].*$/gm))
			t.diagnostic(line.trim());
		assert.equal(code, 0, said);
	});
else
	describe("the network", { skip: noRedis, concurrency: false }, () => {
		test("F10 a node that is cut off from Redis", { timeout: 60_000 }, (t) =>
			cutOff(t, (c) => [out(c, "n1"), back(c, "n1")]));

		test("F11 a node that is not answered by Redis", { timeout: 60_000 }, (t) =>
			cutOff(t, (c) => [back(c, "n1")]));

		test("F12 one packet in ten is lost: slower, and nothing else", { timeout: 60_000 }, async (t) => {
			const [c, talk] = await talking(t);

			for (const rule of [out(c, "n1"), back(c, "n1"), out(c, "n2"), back(c, "n2")])
				filter(`-A ${rule} -m statistic --mode random --probability 0.1 -j DROP`);
			await sleep(10_000);
			filter("-F");
			await sleep(2 * BEAT);
			await talk.stop();
			await agreed(talk.present);
			talk.checkStill();
			await talk.checkLive();
			await talk.checkKept();
			talk.checkConnected();
			await c.met(3);
		});
	});

test("F13 a clock that jumps", { skip: noRedis || inside || (FAKETIME === undefined && "libfaketime is not installed"), timeout: 60_000 }, async (t) => {
	const c = await Cluster.serve(t, { nodes: 2 });
	const file = path.join(c.redis.dir, "clock");

	writeFileSync(file, "+0");
	await c.add("n3", { env: {
		LD_PRELOAD: FAKETIME, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1", DONT_FAKE_MONOTONIC: "1",
		ASAN_OPTIONS: "detect_leaks=1:abort_on_error=0:exitcode=99:verify_asan_link_order=0",
	} });
	await c.met(3);
	const talk = await Talk.start(c);
	t.after(() => talk.end());
	for (const offset of ["-3600", "+86400", "+0"]) {
		writeFileSync(file, offset);
		await sleep(TIMEOUT / 2);
		const late = await Member.join(c.node("n3"), "room:talk", { user: "late" });
		late.disconnect();
		/* It did jump: tomorrow, tokens of today have expired. */
		const open = Ws.open(c.node("n3").port).then((ws) => ws.destroy());
		await (offset === "+86400" ? assert.rejects(open, /403|401/) : open);
	}
	await sleep(TIMEOUT);
	await talk.stop();
	await agreed(talk.present);
	talk.checkStill();
	await talk.checkLive({ whole: [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => [a, b])) });
	await talk.checkKept();
	talk.checkConnected();
	await c.met(3);
});
