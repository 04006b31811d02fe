// Faults: clients that do not read, floods, and a system that has run out of something. What one of them does must not
// reach the others, and what ended must leave nothing behind.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
	closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, readdirSync, renameSync, rmSync,
	unlinkSync, writeFileSync, writeSync,
} from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { constants as zlib, deflateRawSync } from "node:zlib";
import * as phoenix from "phoenix18";
import WebSocket from "ws";
import { Client, crowd, probe, ready } from "./crowd.mjs";
import { ROOSTD, TOP, freePorts, mint, sleep, start, waitFor, within } from "./harness.mjs";
import { OP, frame } from "./raw.mjs";

const KIB = 1024, MIB = 1024 * KIB;

// What the system says of a process.

const proc = (pid, name) => readFileSync(`/proc/${pid}/${name}`, "latin1");
const rss = (pid) => Number(proc(pid, "status").match(/VmRSS:\s+(\d+) kB/)[1]) * KIB;
const cpuMs = (pid) =>
	proc(pid, "stat").split(") ")[1].split(" ").slice(11, 13).reduce((sum, t) => sum + Number(t) * 10, 0);

function descriptors(pid) {
	try {
		return readdirSync(`/proc/${pid}/fd`).length;
	} catch (e) {
		return e.code === "EACCES" ? null : assert.fail(e);
	}
}

const libraries = execFileSync("ldd", [ROOSTD], { encoding: "utf8" });

/* Its own allocator gives nothing back for a while. */
const sanitized = /lib[at]san/.test(libraries);

/* Other clients must not wait longer for their messages, whatever happens. */
const LATENCY_MS = sanitized ? 500 : 100;

function assertGrowth(bytes, bound) {
	assert.ok(sanitized || bytes < bound, `grew by ${mib(bytes)}, not ${mib(bound)} at most`);
}

const mib = (bytes) => `${Math.round(bytes / MIB * 10) / 10} MiB`;

/* A program, or with -shared a library, of a file of ours. */
const compile = (out, source, ...flags) =>
	execFileSync(process.env.CC ?? "cc", ["-O1", ...flags, "-o", out, path.join(TOP, "tests/e2e", source)],
		{ stdio: "pipe" });

/* A daemon that does not outlive the test. */
async function serve(t, options) {
	const daemon = await start(options);

	t.after(() => daemon.status ?? daemon.signal("SIGKILL"));
	return daemon;
}

const reached = (daemon, name, value, timeout) =>
	waitFor(async () => (await daemon.metrics())[name] === value, `${name} to be ${value}`, timeout);

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
const heartbeat = ready('[null,"h","phoenix","heartbeat",{}]');
const message = (topic, bytes, n = 0) => ready(pushed(topic, "blob", { n, pad: "x".repeat(bytes) }));

describe("F14 clients that do not read", () => {
	const config = 'route "slow:*" {\n\tclass = "room"\n\techo = no\n}\n';

	test("are closed with 1013, or reset, and slow nobody down", async (t) => {
		const daemon = await serve(t, { config, options: {
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
		while ((await daemon.metrics()).slow_consumer_total < readers.length) {
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
		assertGrowth(most - before, readers.length * MIB + 64 * MIB);
		assert.equal((await daemon.metrics()).slow_consumer_total, readers.length);
		assert.ok(lines(daemon.log, /closed with 1013: reads too slowly/) >= 10, "a line each, up to ten a second");
		await publisher.cut();
		await daemon.stop();
	});

	test("have so long to read anything at all", async (t) => {
		const unix = "slow.sock";
		const daemon = await serve(t, { config, args: ["-l", `unix:${unix}`], options: {
			"limits.message_rate": 0, "limits.stall_timeout": "1s", "limits.close_timeout": "1s",
		} });
		const at = { path: path.join(daemon.dir, unix) };
		const publisher = await (await Client.open(daemon.port)).join("slow:1");
		const [deaf, slow] = await crowd(2, async () => (await Client.open(at)).join("slow:1"));
		const began = performance.now();

		deaf.pause();
		slow.pause();
		/* One reads a little now and then. */
		const sips = setInterval(() => slow.resume().socket.once("data", () => slow.pause()), 200).unref();
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
		assert.equal((await daemon.metrics()).slow_consumer_total, 1);
		t.diagnostic(`found after ${Math.round(after)} ms`);
		await Promise.all([slow.cut(), publisher.cut()]);
		await daemon.stop();
	});

	test("1000 of them share the bytes that wait", async (t) => {
		const unix = "slow.sock";
		const daemon = await serve(t, { config, args: ["-l", `unix:${unix}`], options: {
			"limits.message_rate": 0, "limits.stall_timeout": "60s", "limits.close_timeout": "1s",
		} });
		const at = { path: path.join(daemon.dir, unix) };
		const publisher = await (await Client.open(daemon.port)).join("slow:1");
		const readers = await crowd(1000, async () => (await (await Client.open(at)).join("slow:1")).pause());
		const before = rss(daemon.pid);

		for (let n = 0; n < 15; n++)
			assert.equal((await publisher.ask("slow:1", "blob", { n, pad: "x".repeat(64 * KIB) })).status, "ok");
		const shared = rss(daemon.pid) - before;
		assert.equal((await daemon.metrics()).slow_consumer_total, 0);
		assertGrowth(shared, 16 * MIB);

		/* More than fits, for all of them at once. */
		const watch = await probe(daemon.port);
		for (let n = 0; n < 7; n++)
			await publisher.ask("slow:1", "blob", { n, pad: "x".repeat(64 * KIB) });
		await reached(daemon, "slow_consumer_total", 1000);
		await reached(daemon, "connections", 3 + 1);
		const figures = await watch.stop();
		const { loop_lag_ms: lag } = await daemon.metrics();
		t.diagnostic(`RSS ${mib(before)} + ${mib(shared)} while about 700 MiB wait; longest turn ${lag} ms`);
		assertQuick(figures, t);
		await Promise.all(readers.map((r) => r.cut()));
		await publisher.cut();
		await daemon.stop();
	});
});

describe("F15 a flood", () => {
	test("of messages beyond the rate is refused, and then not heard", async (t) => {
		const daemon = await serve(t);
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
		const daemon = await serve(t, { options: { "limits.message_rate": 0 } });
		const audience = await crowd(50, async () => (await Client.open(daemon.port)).join("room:flood"));
		const watch = await probe(daemon.port);
		const flooder = await (await Client.open(daemon.port)).join("room:flood");
		const burst = Buffer.concat(Array(100).fill(ready(pushed("room:flood", "m", {}))));
		const before = await daemon.metrics(), began = performance.now();

		while (performance.now() - began < 3000) {
			if (flooder.socket.writableLength < MIB)
				flooder.write(burst);
			await new Promise((resolve) => setImmediate(resolve));
		}
		const figures = await watch.stop(), now = await daemon.metrics();
		const rate = Math.round((now.frames_out_total - before.frames_out_total) / 3);
		t.diagnostic(`${rate} deliveries/s; longest turn ${now.loop_lag_ms} ms`);
		assertQuick(figures, t);
		await Promise.all([flooder, ...audience].map((c) => c.cut()));
		await daemon.stop();
	});

	test("of messages that a few bytes inflate to is worked off bit by bit", async (t) => {
		const daemon = await serve(t);
		const fields = { "Sec-WebSocket-Extensions": "permessage-deflate" };
		const flooders = await crowd(4, async (i) => (await Client.open(daemon.port, { fields })).join(`room:${i}`));
		const watch = await probe(daemon.port);
		const bursts = flooders.map((_, i) => {
			const text = pushed(`room:${i}`, "m", { pad: "x".repeat(MIB - 200) });
			const small = deflateRawSync(text, { finishFlush: zlib.Z_SYNC_FLUSH }).subarray(0, -4);
			return Buffer.concat(Array(60).fill(frame(OP.text, small, { rsv: 4, mask: [0, 0, 0, 0] })));
		});
		const before = rss(daemon.pid), told = flooders.map((f) => f.texts);

		flooders.forEach((f, i) => f.write(bursts[i]));
		await waitFor(() => flooders.every((f, i) => f.texts === told[i] + 120), "all messages, and their answers");
		const figures = await watch.stop(), { loop_lag_ms: lag } = await daemon.metrics();
		const more = rss(daemon.pid) - before;
		t.diagnostic(`${bursts[0].length} bytes each became 60 MiB; RSS ${mib(before)} + ${mib(more)}; longest turn ${lag} ms`);
		assertQuick(figures, t);
		await Promise.all(flooders.map((f) => f.cut()));
		await daemon.stop();
	});
});

describe("F17 no descriptors left", () => {
	const limit = (pid, n) => execFileSync("prlimit", ["--pid", String(pid), `--nofile=${n}:`], { stdio: "pipe" });

	test("accepting rests, the others go on, and it is over when there are some again", async (t) => {
		const daemon = await serve(t);
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
		const { accept_rests_total: rests, refused_total: told } = await daemon.metrics();
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
		const daemon = await serve(t, { options: { "log.file": file } });
		try {
			assert.throws(() => writeFileSync(filler, Buffer.alloc(64 * KIB)), { code: "ENOSPC" });
			/* What is left of the log's own page. */
			for (let i = 0; (await daemon.metrics()).log_dropped_total === 0; i++) {
				assert.ok(i < 60, "the disk is not full");
				await provoke(daemon);
				await sleep(300);
			}
			await works(daemon);
			unlinkSync(filler);
			await sleep(1000);
			await provoke(daemon, 1);
			const text = readFileSync(file, "utf8"), { log_dropped_total: dropped } = await daemon.metrics();
			assert.match(text, new RegExp(`warn ${dropped} log lines could not be written\\n.* refused 403 .*\\n$`));
			const torn = text.split("\n").slice(0, -1).filter((line) => !/^\S+Z (info|warn) .+/.test(line));
			assert.ok(torn.length <= 1, `torn lines: ${torn}`);
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

	test("reader gone", async (t) => {
		const daemon = await serve(t);
		daemon.child.stderr.destroy();
		await provoke(daemon);
		await works(daemon);
		assert.ok((await daemon.metrics()).log_dropped_total >= 10);
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
			const daemon = await serve(t, kind.startsWith("log") ? { options: { "log.file": fifo } }
				: { wrap: ["sh", "-c", 'exec "$@" 2>"$0"', fifo] });
			assert.throws(() => { for (;;) writeSync(fd, Buffer.alloc(KIB)); }, { code: "EAGAIN" });
			await provoke(daemon);
			await works(daemon);
			assert.ok((await daemon.metrics()).log_dropped_total >= 10);
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

describe("F19 no memory", () => {
	test("above limits.memory_high, new clients get 503", async (t) => {
		if (sanitized)
			return t.skip("a sanitizer has its own malloc");
		const unix = "hog.sock";
		const daemon = await serve(t, { args: ["-l", `unix:${unix}`], options: {
			"limits.message_rate": 0, "limits.max_queue": "4m", "limits.stall_timeout": "60s", "limits.memory_high": "48m",
		} });
		const watch = await probe(daemon.port);
		const before = rss(daemon.pid);
		const at = { path: daemon.file(unix) };
		const hogs = await crowd(30, async (i) => (await (await Client.open(at)).join(`room:${i}`)).pause());

		/* Each talks to itself, and does not listen. */
		for (let n = 0; rss(daemon.pid) < 50 * MIB; n++) {
			assert.ok(n < 60, "nothing waits for them");
			for (const [i, hog] of hogs.entries())
				hog.write(message(`room:${i}`, 64 * KIB, n));
			await sleep(20);
		}
		await daemon.logged(/memory is short: new clients get 503/);
		const most = rss(daemon.pid);
		await assert.rejects(Client.open(daemon.port), { status: 503 });
		assert.equal((await daemon.get("/healthz")).status, 200);
		await Promise.all(hogs.map((hog) => hog.cut()));
		await daemon.logged(/memory is no more short/);
		const after = rss(daemon.pid);
		await (await Client.open(daemon.port)).cut();
		assertQuick(await watch.stop(), t);
		t.diagnostic(`RSS ${mib(before)}, then ${mib(most)}, then ${mib(after)}`);
		await daemon.stop();
	});

	/* A library that lets the n-th allocation fail, or a reason why there is none. */
	function failingMalloc(dir) {
		if (sanitized)
			return "a sanitizer has its own malloc";
		try {
			compile(path.join(dir, "fail.so"), "failing_malloc.c", "-shared", "-fPIC");
			execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
				"-days", "2", "-subj", "/CN=localhost", "-keyout", path.join(dir, "key.pem"),
				"-out", path.join(dir, "cert.pem")], { stdio: "pipe" });
			return null;
		} catch (e) {
			return `no compiler, or no openssl: ${e.message}`;
		}
	}

	class Page {
		constructor(file) {
			writeFileSync(file, Buffer.alloc(24));
			this.fd = openSync(file, "r+");
		}

		get() {
			const b = Buffer.alloc(24);
			readSync(this.fd, b, 0, 24, 0);
			return { left: Number(b.readBigInt64LE(0)), calls: Number(b.readBigInt64LE(16)) };
		}

		/* Of the calls from now on, the n-th fails, and those behind it up to `run` in all. */
		arm(n, run = 1) {
			const b = Buffer.alloc(24);
			b.writeBigInt64LE(BigInt(n === 0 ? 0 : n + run - 1), 0);
			b.writeBigInt64LE(BigInt(run), 8);
			writeSync(this.fd, b, 0, 24, 0);
		}

		close() { closeSync(this.fd); }
	}

	const setup = (t) => {
		const dir = mkdtempSync(path.join(tmpdir(), "roost-malloc-"));
		t.after(() => rmSync(dir, { recursive: true }));
		const reason = failingMalloc(dir);
		return { dir, reason, preload: (page) => ({ LD_PRELOAD: path.join(dir, "fail.so"), FAIL_PAGE: page }) };
	};

	/* A bit of everything that allocates. Any part of it may fail. */
	async function everything(daemon, tlsPort) {
		const may = (promise) => within(promise, "a part", 1000).catch(() => {});
		const one = async (at, fields) => {
			const c = await Client.open(at, { fields, patience: 1000 });
			try {
				await c.join("room:a", 1000);
				await c.join("room:b", 1000);
				await within(c.ask("room:a", "m", { a: 1 }), "a reply", 1000);
				await within(c.ask("room:b", "m", { pad: "pad ".repeat(700) }), "a reply", 1000);
				c.write(frame(OP.text, '[null,"7","room:a",', { fin: false })).write(frame(OP.ping, "?"));
				c.write(frame(OP.cont, `"m",{"pad":"${"x".repeat(70_000)}"}]`));
				c.write(frame(OP.binary, Buffer.concat([Buffer.of(0, 0, 1, 6, 1), Buffer.from("8room:amBINARY")])));
				await within(c.ask("room:a", "access_token", { access_token: mint() }), "a reply", 1000);
				await within(c.ask("room:a", "phx_leave"), "a reply", 1000);
				c.bye();
				await within(c.closed, "the end", 1000);
			} finally {
				await c.cut();
			}
		};

		await may(one(daemon.port, { "Sec-WebSocket-Extensions": "permessage-deflate" }));
		await may(one({ port: tlsPort, tls: true }));
		await Promise.all([
			may(Client.open(daemon.port, { token: "no.token.atall" })),
			may(Client.open(daemon.port, { token: mint({}, { key: "not the key" }) })),
			may(Client.open(daemon.port).then((c) => c.write(frame(OP.text, "{")).closed)),
			may(daemon.get("/nowhere")),
			may(daemon.metrics()),
		]);
	}

	test("any single allocation may fail", async (t) => {
		const { dir, reason, preload } = setup(t);
		if (reason !== null)
			return t.skip(reason);
		const seconds = Number(process.env.SWEEP_SECONDS ?? 20), lanes = Number(process.env.SWEEP_LANES ?? 8);
		const ports = await freePorts(lanes), died = [];
		let tried = 0;

		const launch = async (lane) => {
			const file = path.join(dir, `page${lane}`), page = new Page(file);
			const daemon = await serve(t, { args: ["-l", `127.0.0.1:${ports[lane]},tls`], env: preload(file), options: {
				"tls.cert": path.join(dir, "cert.pem"), "tls.key": path.join(dir, "key.pem"),
			} });
			await everything(daemon, ports[lane]);
			return { daemon, page, port: ports[lane] };
		};
		/* One failure, somewhere. The reserve that it cost is back within a second. */
		const sample = async ({ daemon, page, port }, n) => {
			page.arm(n);
			await everything(daemon, port);
			page.arm(0);
			tried++;
			await sleep(1050);
			const c = await (await Client.open(daemon.port)).join("room:after");
			assert.equal((await c.ask("room:after", "m")).status, "ok");
			await c.cut();
		};
		const end = async ({ daemon, page }) => {
			await daemon.stop();
			page.close();
		};
		const first = await launch(0), { calls: before } = first.page.get();
		await everything(first.daemon, first.port);
		const calls = first.page.get().calls - before, step = Math.max(1, Math.round(calls * 1.2 / (lanes * seconds)));
		await end(first);
		const until = performance.now() + seconds * 1000;
		await Promise.all(ports.map(async (_, lane) => {
			let it = await launch(lane);
			for (let n = 1 + lane * step; performance.now() < until && n <= calls; n += lanes * step) {
				try {
					await sample(it, n);
				} catch (e) {
					await sleep(50);
					const { status, log } = it.daemon;
					died.push(`${n}: ${status === null ? e.message : JSON.stringify(status)} ${log.slice(-300)}`);
					it.daemon.signal("SIGKILL");
					it.page.close();
					it = await launch(lane);
				}
			}
			await end(it);
		}));
		t.diagnostic(`of ${calls} allocations, ${tried} failed in turn, every ${step}th`);
		assert.deepEqual(died, []);
	});

	test("many in a row are the end, with 71", async (t) => {
		const { dir, reason, preload } = setup(t);
		if (reason !== null)
			return t.skip(reason);
		const codes = {}, file = path.join(dir, "page"), [port] = await freePorts(1);

		for (let n = 1; n < 4000; n += 399) {
			const page = new Page(file);
			const daemon = await serve(t, { args: ["-l", `127.0.0.1:${port},tls`], env: preload(file), options: {
				"tls.cert": path.join(dir, "cert.pem"), "tls.key": path.join(dir, "key.pem"),
			} });
			page.arm(n, 50);
			await everything(daemon, port);
			page.arm(0);
			page.close();
			daemon.signal("SIGQUIT");
			await within(daemon.ended, "the daemon to end");
			const { code, signal } = daemon.status;
			codes[signal ?? code] = (codes[signal ?? code] ?? 0) + 1;
			if (code === 71)
				assert.match(daemon.log, /out of memory \(\d+ bytes\)/);
			rmSync(daemon.dir, { recursive: true });
		}
		t.diagnostic(`exit codes: ${JSON.stringify(codes)}`);
		assert.deepEqual(Object.keys(codes).filter((code) => code !== "0" && code !== "71"), []);
	});
});

describe("F28 a loop that stands still", () => {
	test("says so, and blames no client", async (t) => {
		const daemon = await serve(t, { options: {
			"websocket.ping_interval": "500ms", "websocket.pong_timeout": "500ms", "limits.idle_timeout": "2s",
		} });
		const clients = await crowd(300, async () => (await Client.open(daemon.port)).join("room:1"));
		const beats = setInterval(() => clients.forEach((c) => c.write(heartbeat)), 250).unref();

		daemon.signal("SIGSTOP");
		await sleep(3000);
		daemon.signal("SIGCONT");
		const { loop_lag_ms: lag } = await daemon.metrics();
		await sleep(1000);
		clearInterval(beats);
		const { timeouts_total: blamed, websockets } = await daemon.metrics();
		t.diagnostic(`loop_lag_ms ${lag} after 3 s; ${blamed} of ${clients.length} were closed`);
		assert.ok(lag >= 2000 && lag < 3500, `loop_lag_ms ${lag}`);
		assert.equal(blamed, 0);
		assert.equal(websockets, clients.length);
		await Promise.all(clients.map((c) => c.cut()));
		await daemon.stop();
	});

	test("tells the service manager that it is ready, alive and stopping", async (t) => {
		if (!/libsystemd/.test(libraries))
			return t.skip("built without libsystemd");
		const dir = mkdtempSync(path.join(tmpdir(), "roost-notify-")), file = path.join(dir, "socket");
		t.after(() => rmSync(dir, { recursive: true }));
		try {
			compile(path.join(dir, "datagrams"), "datagrams.c");
		} catch (e) {
			return t.skip(`no compiler: ${e.message}`);
		}
		const sink = spawn(path.join(dir, "datagrams"), [file], { stdio: ["ignore", "pipe", "inherit"] });
		let said = "";
		t.after(() => sink.kill());
		sink.stdout.setEncoding("utf8").on("data", (text) => said += text);
		await waitFor(() => said === "bound\n", "the socket");
		const daemon = await serve(t, { env: { NOTIFY_SOCKET: file }, options: { "drain.delay": "100ms" } });
		const began = performance.now();
		await waitFor(() => /^bound\nREADY=1\nWATCHDOG=1\n(WATCHDOG=1\n){2}/.test(said), "signs of life");
		assert.ok(performance.now() - began < 3500, "one a second");
		daemon.signal("SIGSTOP");
		await sleep(1500);
		const mark = said.length;
		await sleep(1500);
		assert.equal(said.length, mark, "who stands still shows no sign of life");
		daemon.signal("SIGCONT");
		await daemon.stop("SIGTERM");
		await waitFor(() => /\nSTOPPING=1\n(WATCHDOG=1\n)*$/.test(said), "the end");
	});
});

describe("F22 a drain", () => {
	const drain = { "drain.time": "3s", "drain.delay": "500ms", "limits.close_timeout": "1s", "limits.message_rate": 0 };

	test("under load loses nothing that was answered, and spreads the closes", async (t) => {
		const daemon = await serve(t, { options: drain });
		const rooms = 20, answered = new Set(), seen = new Set();
		const clients = await crowd(200, async (i) => {
			const c = await (await Client.open(daemon.port)).join(`room:${i % rooms}`);
			c.closed.then(() => c.gone = performance.now());
			return c;
		});
		/* Who came last goes last. */
		const observer = await Client.open(daemon.port, { onText: (payload) => {
			const [, , , event, { id }] = JSON.parse(payload);
			if (event === "m")
				seen.add(id);
		} });
		for (let i = 0; i < rooms; i++)
			await observer.join(`room:${i}`);
		let next = 0;
		const pushing = setInterval(() => clients.forEach((c, i) => {
			if (c.code === null && next % 10 === i % 10) {
				const id = `${next}-${i}`;
				c.ask(`room:${i % rooms}`, "m", { id }).then(({ status }) => { if (status === "ok") answered.add(id); });
			}
		}) || next++, 20).unref();
		await sleep(300);

		daemon.signal("SIGTERM");
		const began = performance.now();
		await daemon.logged(/draining for up to 3000 ms/);
		assert.equal((await daemon.get("/healthz")).status, 503);
		assert.equal((await daemon.get("/readyz")).status, 503);
		const told = performance.now() - began;
		await assert.rejects(Client.open(daemon.port), { status: 503 });
		await sleep(300);
		assert.ok(clients.every((c) => c.code === null), "nobody is closed before drain.delay is over");
		await waitFor(() => daemon.get("/healthz").then(() => false, (e) => e.code === "ECONNREFUSED"), "the doors to close");
		const doors = performance.now() - began;
		await Promise.all([...clients, observer].map((c) => within(c.closed, "the end of a client")));
		clearInterval(pushing);
		await daemon.exited();
		const ended = performance.now() - began;

		assert.ok(told < 100 && doors >= 490 && doors < 900, `health after ${told} ms, doors after ${doors} ms`);
		assert.deepEqual([...new Set([...clients, observer].map((c) => c.code))], [1012]);
		assert.deepEqual([...answered].filter((id) => !seen.has(id)), [], "answered, but not delivered");
		assert.deepEqual([...seen].filter((id) => !answered.has(id)), [], "delivered, but not answered");
		const times = clients.map((c) => c.gone - began).sort((a, b) => a - b);
		const steps = [0.25, 0.5, 0.75].map((q) => Math.round(times[times.length * q]));
		t.diagnostic(`503 after ${told.toFixed()} ms, doors closed after ${doors.toFixed()}, quarters gone after ` +
			`${steps.join(", ")}, exit after ${ended.toFixed()}; ${answered.size} pushes answered`);
		for (const [i, at] of steps.entries())
			assert.ok(Math.abs(at - (500 + 2500 * (i + 1) / 4)) < 300, `quarter ${i + 1} was gone after ${at} ms`);
		assert.ok(ended < 3500);
	});

	test("of nobody ends with drain.delay", async () => {
		const daemon = await start({ options: { "drain.time": "30s", "drain.delay": "300ms" } });
		const began = performance.now();

		await daemon.stop("SIGTERM");
		const took = performance.now() - began;
		assert.ok(took >= 290 && took < 1000, `${took} ms`);
	});

	test("waits for those who do not answer, and not for ever", async (t) => {
		const unix = "deaf.sock";
		const daemon = await serve(t, { args: ["-l", `unix:${unix}`], options: {
			...drain, "drain.time": "1s", "drain.delay": "100ms",
		} });
		const mute = await (await Client.open(daemon.port)).join("room:1");
		const deaf = await (await Client.open({ path: daemon.file(unix) })).join("room:1");
		mute.socket.end = () => {};
		deaf.pause();
		for (let n = 0; n < 10; n++)
			mute.write(message("room:1", 64 * KIB, n));
		await waitFor(() => mute.texts >= 10, "the messages");
		const began = performance.now();
		await daemon.stop("SIGTERM");
		const took = performance.now() - began;
		assert.equal(mute.code, 1012);
		assert.ok(took >= 1000 && took < 2500, `${took} ms`);
		await Promise.all([mute.cut(), deaf.cut()]);
	});

	for (const signals of [["SIGTERM", "SIGTERM"], ["SIGTERM", "SIGINT"], ["SIGQUIT"], ["SIGINT"]])
		test(`${signals.join(" and ")}: the end at once`, async (t) => {
			const daemon = await serve(t, { options: { "drain.time": "30s", "drain.delay": "10s" } });
			const clients = await crowd(50, async () => (await Client.open(daemon.port)).join("room:1"));
			const last = signals.pop();

			for (const name of signals)
				daemon.signal(name);
			if (signals.length > 0)
				await daemon.logged(/draining/);
			assert.ok(clients.every((c) => c.code === null));
			const began = performance.now();
			await daemon.stop(last);
			await Promise.all(clients.map((c) => c.closed));
			assert.deepEqual([...new Set(clients.map((c) => c.code))], [1012]);
			assert.ok(performance.now() - began < 1000);
		});
});

describe("F23 reloads", () => {
	test("100 in 10 s, every second one of a broken file, disturb nobody", async (t) => {
		const good = (rate) => `limits {\n\tmessage_rate = ${rate}\n}\nroute "quick:*" {\n\tclass = "room"\n}\n`;
		const bad = [
			"limits {\n", "limits { message_rate = many }\n", 'route "x" { class = "nobody" }\n', 'key "a" { file = "missing" }\n',
		];
		const daemon = await serve(t, { config: good(0) });
		const watch = await probe(daemon.port, { topic: "quick:probe" });
		let got = 0, asked = 0, ok = 0;
		const clients = await crowd(30, async (i) => (await Client.open(daemon.port, { onText: (payload) => {
			if (payload.indexOf('"m"') > 0)
				got++;
		} })).join(`${i % 2 ? "room" : "quick"}:${i >> 1}`));
		const pushing = setInterval(() => clients.forEach((c, i) => {
			asked++;
			c.ask(`${i % 2 ? "room" : "quick"}:${i >> 1}`, "m").then(({ status }) => ok += status === "ok");
		}), 50).unref();

		for (let n = 0; n < 100; n++) {
			daemon.configure(n % 2 ? good(1000 + n) : bad[(n >> 1) % bad.length]);
			daemon.signal("SIGHUP");
			await sleep(100);
		}
		clearInterval(pushing);
		await waitFor(() => ok === asked && got === asked, "all answers").catch(() => {});
		const { reloads_total: taken, reload_failed_total: refused, ...now } = await daemon.metrics();
		const figures = await watch.stop();
		t.diagnostic(`${taken} taken, ${refused} refused; ${ok} of ${asked} pushes answered`);
		assert.deepEqual([ok, got], [asked, asked]);
		assert.equal(now.connections, clients.length + 2 + 1);
		assert.equal(now.accepted_total, clients.length + 2 + 1 + 1);
		assert.deepEqual([taken, refused], [50, 50]);
		assert.equal(lines(daemon.log, /error reload refused, nothing was changed: /), 50);
		assertQuick(figures, t);
		await Promise.all(clients.map((c) => c.cut()));
		await daemon.stop();
	});
});

describe("the master", () => {
	const worker = (daemon) => Number([...daemon.log.matchAll(/worker 1 is process (\d+)/g)].at(-1)[1]);

	test("restarts a worker that was killed, while callers wait", async (t) => {
		const daemon = await serve(t, { options: { "server.supervise": "yes" } });
		const socket = new phoenix.Socket(daemon.socketUrl, {
			transport: WebSocket, params: { token: mint() }, reconnectAfterMs: () => 50, rejoinAfterMs: () => 50,
		});
		const channel = socket.channel("room:1");
		let joins = 0, calls = 0, refused = 0;
		t.after(() => socket.disconnect());
		socket.connect();
		channel.join().receive("ok", () => joins++);
		await waitFor(() => joins === 1, "the first join");
		const calling = setInterval(() => {
			calls++;
			daemon.get("/healthz").then(({ status }) => refused += status !== 200, (e) => refused += e.code === "ECONNREFUSED");
		}, 5).unref();

		for (let n = 1; n <= 3; n++) {
			const pid = worker(daemon), { joins_total: before } = await daemon.metrics();
			const began = performance.now();
			process.kill(pid, "SIGKILL");
			await daemon.logged(new RegExp(`error worker 1 \\(process ${pid}\\) died of signal 9 \\(Killed\\) ` +
				`after \\d+ ms; again in ${100 << (n - 1)} ms`));
			await waitFor(() => joins === n + 1, "the client to be back");
			t.diagnostic(`back after ${Math.round(performance.now() - began)} ms`);
			assert.notEqual(worker(daemon), pid);
			const now = await daemon.metrics();
			assert.equal(now.joins_total, before + 1, "counters go on");
			assert.equal(now.channels, 1, "gauges begin anew");
		}
		clearInterval(calling);
		assert.ok(calls > 50);
		assert.equal(refused, 0, "a call was refused");
		await new Promise((resolve) => socket.disconnect(resolve));
		await daemon.stop();
	});

	test("passes signals on", async (t) => {
		const daemon = await serve(t, { config: "", options: {
			"server.supervise": "yes", "drain.time": "1s", "drain.delay": "200ms", "log.file": "log",
		} });
		const log = () => readFileSync(daemon.file("log"), "utf8");
		const client = await (await Client.open(daemon.port)).join("room:1");

		daemon.signal("SIGHUP");
		await waitFor(() => /configuration reloaded/.test(log()), "a reload");
		renameSync(daemon.file("log"), daemon.file("log.1"));
		daemon.signal("SIGUSR1");
		daemon.signal("SIGHUP");
		await waitFor(() => existsSync(daemon.file("log")) && /configuration reloaded/.test(log()), "a new log");
		daemon.signal("SIGTERM");
		await waitFor(() => /draining/.test(log()), "a drain");
		assert.equal((await daemon.get("/healthz")).status, 503);
		await client.closed;
		assert.equal(client.code, 1012);
		await daemon.exited();
	});
});

describe("churn", () => {
	test("leaves nothing behind", async (t) => {
		const daemon = await serve(t, { options: { "limits.handshake_timeout": "1s", "limits.close_timeout": "500ms" } });
		const settled = async () => {
			await reached(daemon, "connections", 1);
			await sleep(50);
			return { descriptors: descriptors(daemon.pid), rss: rss(daemon.pid), ...await daemon.metrics() };
		};
		const lives = [
			async (c) => {
				await c.join("room:a");
				await c.ask("room:a", "m", { pad: "x".repeat(1000) });
				c.bye();
				await c.closed;
			},
			async (c) => {
				await c.join("room:a");
				await c.join("room:b");
				await c.ask("room:a", "phx_leave");
				await c.cut();
			},
			async (c, i) => {
				await c.join(`room:${i}`);
				c.write(message("room:a", 40_000).subarray(0, 20_000));
				await c.cut();
			},
			async (c, i) => {
				await c.join(`room:${i}`);
				for (let n = 0; n < 20; n++)
					c.write(message(`room:${i}`, 10_000, n));
				await c.cut();
			},
			async (c) => {
				c.write(frame(OP.text, "not json"));
				await c.closed;
			},
		];
		const round = async () => {
			await crowd(500, async (i) => lives[i % lives.length](await Client.open(daemon.port), i));
			/* And those who never get that far. */
			await crowd(50, async () => {
				const socket = net.connect({ host: "127.0.0.1", port: daemon.port });
				await once(socket, "connect");
				socket.write("GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: a");
				socket.destroy();
			});
		};
		const start = await settled(), after = [];

		for (let n = 0; n < 4; n++) {
			await round();
			after.push(await settled());
		}
		const [first, last] = [after[0], after.at(-1)];
		t.diagnostic(`${last.handshakes_total} WebSockets; descriptors ${start.descriptors}, then ${last.descriptors}; ` +
			`RSS ${[start, ...after].map((s) => mib(s.rss)).join(", ")}`);
		for (const gauge of ["websockets", "channels", "topics"])
			assert.equal(last[gauge], 0, gauge);
		assert.equal(last.descriptors, start.descriptors);
		assert.equal(last.handshakes_total, 2000);
		assertGrowth(last.rss - first.rss, MIB);
		await daemon.stop();
	});
});

describe("F20 a peer that vanished", () => {
	const ip = (...args) => execFileSync("ip", args, { stdio: "pipe" });

	/* A network with one host in it, which can be cut off. */
	function network(t) {
		const name = `roost${process.pid}`, [a, b] = [`ra${process.pid}`, `rb${process.pid}`];
		const subnet = `10.233.${process.pid % 250}`;
		const undo = (...args) => { try { ip(...args); } catch {} };

		t.after(() => { undo("link", "del", a); undo("netns", "del", name); });
		ip("netns", "add", name);
		ip("link", "add", a, "type", "veth", "peer", "name", b, "netns", name);
		ip("addr", "add", `${subnet}.1/30`, "dev", a);
		ip("link", "set", a, "up");
		ip("-n", name, "addr", "add", `${subnet}.2/30`, "dev", b);
		ip("-n", name, "link", "set", b, "up");
		return { name, host: `${subnet}.1`, cut: () => ip("-n", name, "link", "set", b, "down") };
	}

	/* A joined client in there. */
	async function inmate(t, { name, host }, port) {
		const script = `import { Client } from ${JSON.stringify(new URL("crowd.mjs", import.meta.url))};
			const client = await Client.open(${JSON.stringify({ host, port })}, { token: "${mint()}" });
			await client.join("room:1");
			console.log("joined");`;
		const child = spawn("ip", ["netns", "exec", name, process.execPath, "--input-type=module", "-e", script],
			{ stdio: ["ignore", "pipe", "inherit"] });

		t.after(() => child.kill("SIGKILL"));
		await within(once(child.stdout, "data"), "the client to join");
		return child;
	}

	test("is found by silence, and by unacknowledged bytes", async (t) => {
		let there;
		try {
			there = network(t);
		} catch (e) {
			return t.skip(`ip: ${e.message}`);
		}
		const [p1, p2] = await freePorts(2);
		const listening = (port) => ["-l", `${there.host}:${port}`];
		const silent = await serve(t, { args: listening(p1), options: {
			"limits.idle_timeout": "2s", "limits.close_timeout": "1s",
			"websocket.ping_interval": "500ms", "websocket.pong_timeout": "1h",
		} });
		const unacked = await serve(t, { args: listening(p2), options: {
			"limits.idle_timeout": "1h", "websocket.ping_interval": 0, "limits.stall_timeout": "1h",
		} });
		await Promise.all([inmate(t, there, p1), inmate(t, there, p2)]);
		const other = await (await Client.open(unacked.port)).join("room:1");
		const gone = async (daemon, left) => {
			const began = performance.now();
			await waitFor(async () => (await daemon.metrics()).websockets === left, "the peer to be missed", 40_000);
			return Math.round(performance.now() - began);
		};
		there.cut();
		assert.equal((await other.ask("room:1", "m")).status, "ok");
		const [a, b] = await Promise.all([gone(silent, 0), gone(unacked, 1)]);
		t.diagnostic(`found after ${a} ms of silence (idle_timeout 2 s), after ${b} ms without an acknowledgement`);
		assert.ok(a < 2000 + 5000, `silence: ${a} ms`);
		assert.ok(b > 15_000 && b < 25_000, `unacknowledged: ${b} ms`);
		await other.cut();
		await Promise.all([silent.stop(), unacked.stop()]);
	});
});
