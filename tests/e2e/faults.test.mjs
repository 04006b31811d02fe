// Faults: clients that do not read, floods, and a system that has run out of something. What one of them does must not
// reach the others, and what ended must leave nothing behind.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
	closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, readdirSync, renameSync, rmSync, unlinkSync,
	writeFileSync, writeSync,
} from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { Client, crowd, probe, ready } from "./crowd.mjs";
import { ROOSTD, mint, sleep, start, waitFor, within } from "./harness.mjs";

const KIB = 1024, MIB = 1024 * KIB;

/* Other clients must not wait longer for their messages, whatever happens. */
const LATENCY_MS = Number(process.env.LATENCY_MS ?? 100);

// What the system says of a process.

const proc = (pid, name) => readFileSync(`/proc/${pid}/${name}`, "latin1");
const rss = (pid) => Number(proc(pid, "status").match(/VmRSS:\s+(\d+) kB/)[1]) * KIB;
const cpuMs = (pid) => proc(pid, "stat").split(") ")[1].split(" ").slice(11, 13).reduce((sum, t) => sum + Number(t) * 10, 0);

function descriptors(pid) {
	try {
		return readdirSync(`/proc/${pid}/fd`).length;
	} catch (e) {
		return e.code === "EACCES" ? null : assert.fail(e);
	}
}

const mib = (bytes) => `${Math.round(bytes / MIB * 10) / 10} MiB`;

/* The counters, by their names without the prefix. */
async function metrics(daemon) {
	const text = await new Promise((resolve, reject) => {
		http.get({ host: "127.0.0.1", port: daemon.adminPort, path: "/metrics", agent: false }, (answer) => {
			let body = "";
			answer.on("data", (chunk) => body += chunk).on("end", () => resolve(body));
		}).on("error", reject);
	});

	return Object.fromEntries([...text.matchAll(/^roost_(\w+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]));
}

const reached = (daemon, name, value, timeout) =>
	waitFor(async () => (await metrics(daemon))[name] === value, `${name} to be ${value}`, timeout);

function assertQuick(figures, t) {
	t.diagnostic(`others: ${JSON.stringify(figures)}`);
	assert.equal(figures.lost, 0, "messages of others were lost");
	assert.ok(figures.p99 < LATENCY_MS, `others waited: ${JSON.stringify(figures)}`);
}

/* How many lines say this, with those that were left out. */
function lines(log, pattern) {
	return log.split("\n").filter((line) => pattern.test(line))
		.reduce((sum, line) => sum + 1 + Number(line.match(/\(and (\d+) like it left out\)/)?.[1] ?? 0), 0);
}

const pushed = (topic, event, payload, ref = "0") => JSON.stringify([null, ref, topic, event, payload]);
const message = (topic, bytes, n = 0) => ready(pushed(topic, "blob", { n, pad: "x".repeat(bytes) }));

describe("F14 clients that do not read", () => {
	const config = 'route "slow:*" {\n\tclass = "room"\n\techo = no\n}\n';

	test("are closed with 1013, or reset, and slow nobody down", async (t) => {
		const daemon = await start({ config, options: {
			"limits.message_rate": 0, "limits.max_queue": "1m", "limits.stall_timeout": "3s", "limits.close_timeout": "2s",
		} });
		const watch = await probe(daemon.port);
		const publisher = await (await Client.open(daemon.port)).join("slow:1");
		const readers = await crowd(20, async () => {
			const reader = await Client.open(daemon.port, { onText: (payload) => {
				const [, , , event, { n }] = JSON.parse(payload);
				if (event === "blob") {
					reader.torn ||= n !== reader.seen;
					reader.seen = n + 1;
				}
			} });
			reader.seen = 0;
			return (await reader.join("slow:1")).pause();
		});
		const before = rss(daemon.pid), began = performance.now();
		let sent = 0, most = before;

		/* 50 MB a second, until all are found out. */
		while ((await metrics(daemon)).slow_consumer_total < readers.length) {
			for (let i = 0; i < 40; i++)
				publisher.write(message("slow:1", 64 * KIB, sent++));
			await sleep(50);
			most = Math.max(most, rss(daemon.pid));
			assert.ok(performance.now() - began < 20_000, "slow readers are not closed");
		}
		const rate = sent * 64 * KIB / MIB / (performance.now() - began) * 1000;
		for (const reader of readers.slice(0, 10))
			reader.resume();
		await Promise.all(readers.slice(0, 10).map((r) => within(r.closed, "the end of a reader")));
		await reached(daemon, "connections", 3 + 1);	// us, the probe, and who asks
		for (const reader of readers.slice(10))
			reader.resume();
		await Promise.all(readers.map((r) => within(r.closed, "the end of a reader")));
		assertQuick(await watch.stop(), t);

		t.diagnostic(`${sent} messages of 64 KiB, ${rate.toFixed(0)} MiB/s; RSS ${mib(before)} + ${mib(most - before)}`);
		assert.ok(readers.every((r) => !r.torn), "a reader that is closed got all that came before");
		assert.deepEqual(readers.slice(0, 10).map((r) => r.code), Array(10).fill(1013));
		assert.deepEqual(readers.slice(10).map((r) => r.code), Array(10).fill(null));
		assert.ok(most - before < readers.length * MIB + 64 * MIB, `grew by ${mib(most - before)}`);
		assert.equal((await metrics(daemon)).slow_consumer_total, readers.length);
		assert.ok(lines(daemon.log, /closed with 1013: reads too slowly/) >= 10, "a line each, up to ten a second");
		await publisher.cut();
		await daemon.stop();
	});

	test("have so long to read anything at all", async (t) => {
		const unix = "slow.sock";
		const daemon = await start({ config, args: ["-l", `unix:${unix}`], options: {
			"limits.message_rate": 0, "limits.stall_timeout": "1s", "limits.close_timeout": "1s",
		} });
		const at = { path: path.join(daemon.dir, unix) };
		const publisher = await (await Client.open(daemon.port)).join("slow:1");
		const [deaf, slow] = await crowd(2, async () => (await Client.open(at)).join("slow:1"));
		const began = performance.now();

		deaf.pause();
		slow.pause();
		/* One reads a little now and then. */
		const sips = setInterval(() => slow.resume().socket.once("data", () => slow.pause()), 200);
		for (let n = 0; n < 8; n++)
			publisher.write(message("slow:1", 64 * KIB, n));
		await reached(daemon, "slow_consumer_total", 1);
		const after = performance.now() - began;
		await daemon.logged(/closed with 1013: reads nothing for 1000 ms/);
		assert.ok(after >= 1000 && after < 2500, `closed after ${after} ms`);
		deaf.resume();
		await within(deaf.closed, "the deaf client's end");
		await waitFor(() => slow.texts === 8 + 1, "the slow one's messages");
		clearInterval(sips);
		slow.resume();
		assert.equal(slow.code, null);
		assert.equal((await metrics(daemon)).slow_consumer_total, 1);
		t.diagnostic(`found after ${Math.round(after)} ms`);
		await Promise.all([slow.cut(), publisher.cut()]);
		await daemon.stop();
	});

	test("1000 of them share the bytes that wait", async (t) => {
		const unix = "slow.sock";
		const daemon = await start({ config, args: ["-l", `unix:${unix}`], options: {
			"limits.message_rate": 0, "limits.stall_timeout": "60s", "limits.close_timeout": "1s",
		} });
		const at = { path: path.join(daemon.dir, unix) };
		const publisher = await (await Client.open(daemon.port)).join("slow:1");
		const readers = await crowd(1000, async () => (await (await Client.open(at)).join("slow:1")).pause());
		const before = rss(daemon.pid);

		for (let n = 0; n < 15; n++)
			assert.equal((await publisher.ask("slow:1", "blob", { n, pad: "x".repeat(64 * KIB) })).status, "ok");
		const shared = rss(daemon.pid) - before;
		assert.equal((await metrics(daemon)).slow_consumer_total, 0);
		assert.ok(shared < 16 * MIB, `grew by ${mib(shared)}`);

		/* One message more than fits, for all of them at once. */
		const watch = await probe(daemon.port);
		for (let n = 0; n < 5; n++)
			await publisher.ask("slow:1", "blob", { n, pad: "x".repeat(64 * KIB) });
		await reached(daemon, "slow_consumer_total", 1000);
		await reached(daemon, "connections", 3 + 1);
		const figures = await watch.stop();
		const { loop_lag_ms: lag } = await metrics(daemon);
		t.diagnostic(`RSS ${mib(before)} + ${mib(shared)} while about 700 MiB wait; longest turn ${lag} ms`);
		assertQuick(figures, t);
		await Promise.all(readers.map((r) => r.cut()));
		await publisher.cut();
		await daemon.stop();
	});
});

describe("F15 a flood", () => {
	test("of messages beyond the rate is refused, and then not heard", async (t) => {
		const daemon = await start();
		const watch = await probe(daemon.port, { every: 50 });
		const answers = new Map();
		const flooder = await Client.open(daemon.port, { onText: (payload) => {
			const [, ref, , event, { status, response }] = JSON.parse(payload);
			if (event === "phx_reply" && ref === "0") {
				const what = response?.reason ?? status;
				answers.set(what, (answers.get(what) ?? 0) + 1);
			}
		} });
		await flooder.join("room:flood");
		const burst = Buffer.concat(Array(2000).fill(ready(pushed("room:flood", "m", {}))));
		const began = performance.now(), cpu = cpuMs(daemon.pid);

		/* 100,000 a second, as far as the daemon takes them. */
		while (performance.now() - began < 3000) {
			if (flooder.socket.writableLength < 4 * MIB)
				flooder.write(burst);
			await sleep(20);
		}
		const figures = await watch.stop(), used = cpuMs(daemon.pid) - cpu;
		t.diagnostic(`answers: ${JSON.stringify(Object.fromEntries(answers))}; CPU ${Math.round(used / 30)} %`);
		assertQuick(figures, t);
		assert.ok(answers.get("ok") >= 200 && answers.get("ok") <= 200 + 100 * 4, `taken: ${answers.get("ok")}`);
		assert.ok(answers.get("rate_limited") > 0);
		await flooder.cut();
		await daemon.stop();
	});

	test("within the rate delays no other topic", async (t) => {
		const daemon = await start({ options: { "limits.message_rate": 0 } });
		const audience = await crowd(50, async () => (await Client.open(daemon.port)).join("room:flood"));
		const watch = await probe(daemon.port);
		const flooder = await (await Client.open(daemon.port)).join("room:flood");
		const burst = Buffer.concat(Array(100).fill(ready(pushed("room:flood", "m", {}))));
		const before = await metrics(daemon), began = performance.now();

		while (performance.now() - began < 3000) {
			if (flooder.socket.writableLength < MIB)
				flooder.write(burst);
			await new Promise((resolve) => setImmediate(resolve));
		}
		const figures = await watch.stop(), now = await metrics(daemon);
		t.diagnostic(`${Math.round((now.frames_out_total - before.frames_out_total) / 3)} deliveries/s; longest turn ${now.loop_lag_ms} ms`);
		assertQuick(figures, t);
		await Promise.all([flooder, ...audience].map((c) => c.cut()));
		await daemon.stop();
	});
});

describe("F17 no descriptors left", () => {
	const limit = (pid, n) => execFileSync("prlimit", ["--pid", String(pid), `--nofile=${n}:`], { stdio: "pipe" });

	test("accepting rests, the others go on, and it is over when there are some again", async (t) => {
		const daemon = await start();
		const watch = await probe(daemon.port);
		try {
			limit(daemon.pid, 48);
		} catch (e) {
			await watch.stop();
			await daemon.stop();
			return t.skip(`prlimit: ${e.message}`);
		}
		const dial = () => Client.open(daemon.port, { patience: 60_000 });
		const opened = [], refused = [];
		const calls = Array.from({ length: 100 }, () => dial().then((c) => opened.push(c), (e) => refused.push(e)));
		await daemon.logged(/cannot accept on .*Too many open files; trying again every 100 ms/);
		const cpu = cpuMs(daemon.pid), began = performance.now();
		await sleep(2000);
		const share = (cpuMs(daemon.pid) - cpu) / (performance.now() - began) * 100;
		const starved = { opened: opened.length, refused: refused.length };

		assert.ok(share < 10, `CPU ${share} %`);
		assert.ok(starved.opened >= 10 && starved.opened < 48);
		assert.ok(refused.length >= 10 && refused.every((e) => e.status === 503), "from the reserve: 503");
		/* Those who leave make room, at once. */
		for (const c of opened.splice(0, 10))
			await c.cut();
		await waitFor(() => opened.length >= starved.opened - 5, "callers to be let in");
		limit(daemon.pid, 1000);
		await within(Promise.all(calls), "all calls to be answered");
		assertQuick(await watch.stop(), t);
		assert.equal(opened.length + refused.length + 10, calls.length);
		assert.equal(lines(daemon.log, /cannot accept/), 1);
		const { accept_rests_total: rests, refused_total: told } = await metrics(daemon);
		t.diagnostic(`${JSON.stringify(starved)} after 2 s with CPU ${share.toFixed(1)} %; ${rests} rests, ${told} told 503`);
		assert.ok(rests >= 10);
		await Promise.all(opened.map((c) => c.cut()));
		await daemon.stop();
	});
});

describe("F18 a log that cannot be written", () => {
	/* Makes lines: a refused upgrade logs one, ten a second of which are written. */
	const provoke = async (daemon, n = 12) => {
		for (let i = 0; i < n; i++)
			await assert.rejects(Client.open(daemon.port, { token: "no.token.atall" }), { status: 403 });
	};
	const works = async (daemon) => {
		const client = await (await Client.open(daemon.port)).join("room:log");
		assert.equal((await client.ask("room:log", "m")).status, "ok");
		await client.cut();
	};

	test("disk full", async (t) => {
		const dir = mkdtempSync(path.join(tmpdir(), "roost-full-"));
		try {
			execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", dir], { stdio: "pipe" });
		} catch (e) {
			rmSync(dir, { recursive: true });
			return t.skip(`mount: ${e.message}`);
		}
		const file = path.join(dir, "log"), filler = path.join(dir, "filler");
		const daemon = await start({ options: { "log.file": file } });
		try {
			assert.throws(() => writeFileSync(filler, Buffer.alloc(64 * KIB)), { code: "ENOSPC" });
			/* What is left of the log's own page. */
			for (let i = 0; (await metrics(daemon)).log_dropped_total === 0; i++) {
				assert.ok(i < 60, "the disk is not full");
				await provoke(daemon);
				await sleep(300);
			}
			await works(daemon);
			unlinkSync(filler);
			await sleep(1000);
			await provoke(daemon, 1);
			const text = readFileSync(file, "utf8"), { log_dropped_total: dropped } = await metrics(daemon);
			assert.match(text, new RegExp(`warn ${dropped} log lines could not be written\\n.* refused 403 .*\\n$`));
			assert.ok(text.split("\n").slice(0, -1).filter((line) => !/^\S+Z (info|warn) .+/.test(line)).length <= 1, "one line is torn");
			/* Rotation. */
			renameSync(file, `${file}.1`);
			daemon.signal("SIGUSR1");
			await waitFor(() => existsSync(file), "a new file");
			await sleep(1000);
			await provoke(daemon, 1);
			assert.match(readFileSync(file, "utf8"), /^\S+ info .*refused 403/);
			t.diagnostic(`${dropped} lines dropped`);
			await daemon.stop();
		} finally {
			execFileSync("umount", ["-l", dir]);
			rmSync(dir, { recursive: true });
		}
	});

	test("reader gone", async () => {
		const daemon = await start();
		daemon.child.stderr.destroy();
		await provoke(daemon);
		await works(daemon);
		assert.ok((await metrics(daemon)).log_dropped_total >= 10);
		daemon.signal("SIGUSR1");
		daemon.signal("SIGHUP");
		await works(daemon);
		await daemon.stop();
	});

	for (const kind of ["standard error is a pipe", "log.file is a FIFO"])
		test(`nobody reads: ${kind}`, async (t) => {
			const dir = mkdtempSync(path.join(tmpdir(), "roost-fifo-")), fifo = path.join(dir, "fifo");
			execFileSync("mkfifo", [fifo]);
			const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
			const daemon = await start(kind.startsWith("log") ? { options: { "log.file": fifo } }
				: { wrap: ["sh", "-c", 'exec "$@" 2>"$0"', fifo] });
			assert.throws(() => { for (;;) writeSync(fd, Buffer.alloc(KIB)); }, { code: "EAGAIN" });
			await provoke(daemon);
			await works(daemon);
			assert.ok((await metrics(daemon)).log_dropped_total >= 10);
			daemon.signal("SIGUSR1");
			await works(daemon);
			assert.throws(() => { for (;;) readSync(fd, Buffer.alloc(64 * KIB)); }, { code: "EAGAIN" });
			await sleep(1000);
			await provoke(daemon, 1);
			const got = Buffer.alloc(64 * KIB), text = got.toString("utf8", 0, readSync(fd, got));
			assert.match(text, /warn \d+ log lines could not be written\n.*refused 403/);
			await daemon.stop();
			closeSync(fd);
			rmSync(dir, { recursive: true });
		});
});
