// What the end-to-end tests stand on: a real daemon on free ports, tokens, and waiting for facts instead of sleeping.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac, sign as signature } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

const HERE = path.dirname(fileURLToPath(import.meta.url));
export const TOP = path.resolve(HERE, "../..");
export const ROOSTD = process.env.ROOSTD ?? path.join(TOP, "build/src/roostd");
// The class of tests/modules/fixture.c, which `make check` builds beside the daemon.
export const FIXTURE = process.env.FIXTURE ?? path.resolve(path.dirname(ROOSTD), "../tests/modules/fixture.so");

export const SECRET = "an end-to-end secret of more than thirty-two octets";
export const DEV_SECRET = "roost-dev-secret";

// Generous, as a sanitized daemon on a busy machine is slow; a test that passes does not wait that long.
export const PATIENCE = 10_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Polls until the predicate holds, and returns its value. */
export async function waitFor(predicate, what = "a condition", timeout = PATIENCE) {
	const end = Date.now() + timeout;

	for (;;) {
		const value = await predicate();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`waited ${timeout} ms in vain for ${what}`);
		await sleep(5);
	}
}

/* The promise, or a failure that says what did not come. */
export function within(promise, what, timeout = PATIENCE) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`waited ${timeout} ms in vain for ${what}`)), timeout);
	});

	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function freePorts(n) {
	const servers = Array.from({ length: n }, () => net.createServer().listen(0, "127.0.0.1"));

	await Promise.all(servers.map((s) => once(s, "listening")));
	const ports = servers.map((s) => s.address().port);
	await Promise.all(servers.map((s) => new Promise((resolve) => s.close(resolve))));
	return ports;
}

function get(port, target) {
	return new Promise((resolve, reject) => {
		http.get({ host: "127.0.0.1", port, path: target, agent: false }, (answer) => {
			let body = "";
			answer.on("data", (chunk) => body += chunk);
			answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
		}).on("error", reject);
	});
}

// Daemons that a failed test has left behind would keep us.
const running = new Set();

if (isMainThread)
	after(() => running.forEach((child) => child.kill("SIGKILL")));

const SANITIZER = /ERROR: (Address|Leak|Undefined\w*)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer/;

class Daemon {
	constructor(child, ports, dir) {
		this.child = child;
		this.pid = child.pid;
		[this.port, this.adminPort] = ports;
		this.dir = dir;
		this.log = "";		// standard error
		this.out = "";		// standard output
		this.status = null;	// { code, signal } once it has ended
		child.stderr.setEncoding("utf8").on("data", (text) => this.log += text);
		child.stdout.setEncoding("utf8").on("data", (text) => this.out += text);
		this.ended = once(child, "close").then(([code, signal]) => this.status = { code, signal });
	}

	get socketUrl() { return `ws://127.0.0.1:${this.port}/socket`; }
	get httpUrl() { return `http://127.0.0.1:${this.port}`; }

	get(target) { return get(this.port, target); }

	/* The counters of /metrics, without their prefix: { connections: 3, ... }. */
	async metrics() {
		const { body } = await get(this.adminPort, "/metrics");

		return Object.fromEntries([...body.matchAll(/^roost_(\w+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]));
	}

	file(name) { return path.join(this.dir, name); }

	/* Writes the configuration file anew. */
	configure(text) { writeFileSync(this.file("roost.conf"), text, { mode: 0o600 }); }

	/* SIGHUP, and what the log said about it since. */
	async reload({ refused = false } = {}) {
		const mark = this.log.length;

		this.signal("SIGHUP");
		return waitFor(() => {
			const said = this.log.slice(mark);
			return said.match(refused ? /reload refused.*\n/ : /configuration reloaded/) && said;
		}, `a reload to be ${refused ? "refused" : "done"}`).catch((e) => { throw new Error(`${e.message}; the log is:\n${this.log}`); });
	}

	async ready(target = "/readyz") {
		await waitFor(async () => {
			if (this.status !== null)
				throw new Error(`roostd ended at once (${JSON.stringify(this.status)}):\n${this.log}`);
			return (await get(this.port, target).catch(() => ({}))).status === 200;
		}, "roostd to be ready");
	}

	/* Waits for a line of the log. */
	logged(pattern, timeout = PATIENCE) {
		return waitFor(() => this.log.match(pattern), `${pattern} in the log`, timeout)
			.catch((e) => { throw new Error(`${e.message}; the log is:\n${this.log}`); });
	}

	signal(name) { this.child.kill(name); }

	/* Ends the daemon: it must exit in order, and no sanitizer may have found anything. */
	async stop(name = "SIGQUIT", { code = 0, timeout = PATIENCE } = {}) {
		if (this.status === null)
			this.signal(name);
		await this.exited({ code, timeout });
	}

	async exited({ code = 0, timeout = PATIENCE } = {}) {
		try {
			await within(this.ended, "roostd to end", timeout);
		} catch (e) {
			this.child.kill("SIGKILL");
			await this.ended;
			throw new Error(`${e.message}; its log:\n${this.log}`);
		}
		rmSync(this.dir, { recursive: true, force: true });
		assert.doesNotMatch(this.log, SANITIZER);
		assert.deepEqual(this.status, { code, signal: null }, `its log:\n${this.log}`);
	}
}

/*
 * Starts a daemon and waits until it is ready.
 *   port     a port to take again, after a restart
 *   args     further arguments
 *   options  { "limits.max_message": "200" } becomes -o limits.max_message=200
 *   config   the text of a configuration file
 *   wrap     a command that executes what follows it
 *   env      further variables; by default the secret is SECRET, unless `dev` or `keyless`
 *   until    "ready", or "up": when it listens, be it without Redis
 */
export async function start({
	port, args = [], options = {}, config, wrap = [], env = {}, dev = false, keyless = false, until = "ready",
} = {}) {
	const [free, adminPort] = await freePorts(2);
	const ports = [port ?? free, adminPort];
	const dir = mkdtempSync(path.join(tmpdir(), "roost-e2e-"));
	const pairs = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
	const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ROOST_")));

	if (config !== undefined)
		writeFileSync(path.join(dir, "roost.conf"), config, { mode: 0o600 });
	const [command, ...words] = [...wrap, ROOSTD];
	const child = spawn(command, [...words, "-l", `127.0.0.1:${ports[0]}`, "--admin-listen", `127.0.0.1:${ports[1]}`,
		...(config !== undefined ? ["-c", "roost.conf"] : []), ...(dev ? ["--dev"] : []), ...pairs, ...args], {
		cwd: dir,
		stdio: ["ignore", "pipe", "pipe"],
		env: {
			...inherited,
			ASAN_OPTIONS: "detect_leaks=1:abort_on_error=0:exitcode=99",
			UBSAN_OPTIONS: "print_stacktrace=1",
			...(dev || keyless ? {} : { ROOST_AUTH_SECRET: SECRET }),
			...env,
		},
	});
	running.add(child);
	child.on("exit", () => running.delete(child));
	await once(child, "spawn");
	const daemon = new Daemon(child, ports, dir);
	try {
		await daemon.ready(until === "up" ? "/healthz" : "/readyz");
	} catch (e) {
		child.kill("SIGKILL");
		throw e;
	}
	return daemon;
}

/* A program run to its end: { code, out, err }. For -T, --dump and refusals to start. */
export async function run(args, { env = {} } = {}) {
	const child = spawn(ROOSTD, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
	let out = "", err = "";

	running.add(child);
	child.on("exit", () => running.delete(child));
	child.stdout.setEncoding("utf8").on("data", (text) => out += text);
	child.stderr.setEncoding("utf8").on("data", (text) => err += text);
	const [code] = await within(once(child, "close"), "roostd to end");
	return { code, out, err };
}

// Tokens.

export const base64url = (bytes) => Buffer.from(bytes).toString("base64url");
const HASH = { 256: "sha256", 384: "sha384", 512: "sha512" };

function sign(alg, key, text) {
	const hash = HASH[alg.slice(2)];

	switch (alg.slice(0, 2)) {
	case "HS": return createHmac(hash, key).update(text).digest();
	case "RS": return signature(hash, text, key);
	case "ES": return signature(hash, text, { key, dsaEncoding: "ieee-p1363" });
	default: return Buffer.alloc(0);
	}
}

/*
 * A signed token. `claims` are added to { user_id: "u1", exp: in an hour }; a claim of undefined is left out.
 * `header` is added to { alg, typ }, so a token may say one algorithm and be signed by another.
 */
export function mint(claims = {}, { alg = "HS256", key = SECRET, header = {} } = {}) {
	return seal(JSON.stringify({ alg, typ: "JWT", ...header }),
		JSON.stringify({ user_id: "u1", exp: Math.floor(Date.now() / 1000) + 3600, ...claims }), { alg, key });
}

/* Any two texts as a token. */
export function seal(head, body, { alg = "HS256", key = SECRET } = {}) {
	const text = `${base64url(head)}.${base64url(body)}`;

	return `${text}.${base64url(sign(alg, key, text))}`;
}
