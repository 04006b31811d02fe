// The command line, variables, the file and signals: what is said about each mistake, with which exit code, and what a reload does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { FIXTURE, ROOSTD, SECRET, freePorts, mint, run, start, waitFor, within } from "./harness.mjs";
import { Ws, exchange, upgradeHead } from "./raw.mjs";

const dir = mkdtempSync(path.join(tmpdir(), "roost-config-"));
after(() => rmSync(dir, { recursive: true, force: true }));

const ANYWHERE = ["-l", "127.0.0.1:0", "--admin-listen", "none"];
const NO_ROOT = process.getuid() === 0 ? false : "only root can become somebody else";
const NOBODY = 65534;

let files = 0;

/* A file with that text, its path. */
function keep(text, mode = 0o600) {
	const file = path.join(dir, `file-${++files}`);

	writeFileSync(file, text);
	chmodSync(file, mode);
	return file;
}

/* What --dump says of an option: its value and where it is from. */
async function dumped(name, args = [], env = {}) {
	const { code, out, err } = await run([...args, "--dump"], { env });

	assert.equal(code, 0, err);
	const [, value, from] = out.match(new RegExp(`^${name.replace(/\./g, "\\.")} = (.*?) +# (.*)$`, "m"));
	return [value, from];
}

describe("the command line", { concurrency: false }, () => {
	/* Exit code, standard error to the letter. */
	function complains(code, text, ...args) {
		test(`${args.join(" ").slice(0, 80)}: ${code}`, async () => {
			const { code: got, out, err } = await run(args);

			assert.equal(err, text === undefined ? err : `roostd: ${text}\n`);
			assert.equal(got, code, err);
			assert.equal(out, "");
		});
	}

	complains(2, "unknown flag '-x'", "-x");
	complains(2, "unknown flag '--lisen', did you mean '--listen'?", "--lisen", "x");
	complains(2, "-o needs an argument", "-o");
	complains(2, "--config needs an argument", "--config");
	complains(2, "unexpected argument 'extra'", "extra");
	complains(2, "-o: unknown option 'limits.max_mesage', did you mean 'limits.max_message'?", "-o", "limits.max_mesage=1k");
	complains(2, "-o: unknown option 'nothing.like_it'", "-o", "nothing.like_it=1");
	complains(2, undefined, "-o", "limits.max_message");
	complains(2, undefined, "-o", `auth.secret=${SECRET}`);
	complains(78, "-o limits.max_message: expected a size such as 64k or 1m, got 'big'", "-o", "limits.max_message=big");
	complains(78, undefined, "-o", "limits.max_topic=257");
	complains(78, undefined, "-o", "auth.leeway=10 parsecs");
	complains(78, undefined, "-o", "default_routes=perhaps");
	complains(78, undefined, "-o", "http.trusted_proxies=10.0.0.0/33");
	complains(78, undefined, "-l", "127.0.0.1");
	complains(78, undefined, "-l", "127.0.0.1:70000");
	complains(78, undefined, "-l", "::1:4000");
	complains(78, undefined, "-l", "127.0.0.1:4000,tsl");
	complains(78, undefined, "-l", "127.0.0.1:4000", "-l", "127.0.0.1:4000");
	complains(78, "-w: server.workers = 2 needs a broker to join the workers: set redis.url, or use one worker", "-w", "2");
	complains(78, undefined, "-w", "0");
	complains(78, "-r: redis.url: expected redis://HOST, rediss://HOST or unix:/PATH", "-r", "127.0.0.1");
	complains(78, undefined, "--dev", "-l", "0.0.0.0:4000");
	complains(78, undefined, "--tls-cert", "x");
	complains(78, undefined, "--tls-key", "x");
	complains(78, "/nowhere/roost.conf: No such file or directory", "-c", "/nowhere/roost.conf");
	complains(78, undefined, "-c", dir);

	test("-h, and --help", async () => {
		for (const flag of ["-h", "--help"]) {
			const { code, out, err } = await run([flag]);

			assert.equal(code, 0);
			assert.equal(err, "");
			for (const name of ["-c, --config", "-l, --listen", "-n, --node-id", "-r, --redis", "-w, --workers", "-k, --jwt-key-file", "-u, --user",
				"-o, --option", "-v, --verbose", "-T, --check-config", "-V, --version", "-h, --help", "--dump", "--log-format", "--pid-file",
				"--tls-cert", "--tls-key", "--admin-listen", "--dev"])
				assert.ok(out.includes(` ${name} `), name);
			for (const line of out.split("\n"))
				assert.ok(line.length <= 110, line);
		}
	});

	test("-V", async () => {
		const { code, out } = await run(["-V"]);

		assert.equal(code, 0);
		assert.match(out, /^roostd \d+\.\d+\.\d+\n$/);
	});

	test("-T of what is fine", async () => {
		const { code, out, err } = await run(["-T", "-c", keep('origins = { "https://a.example" }')]);

		assert.deepEqual({ code, out, err }, { code: 0, out: "roostd: the configuration is fine\n", err: "" });
	});

	test("-T looks at keys, certificates and modules, and takes no address", async (t) => {
		const [port] = await freePorts(1);
		const daemon = await start({ port });
		t.after(() => daemon.stop());

		for (const [args, pattern] of [[["-k", "/nowhere/key"], /\/nowhere\/key: No such file/], [["--tls-cert", "/nowhere/c", "--tls-key", "/nowhere/k"], /\/nowhere\/c/],
			[["-c", keep('route "x:*" { module = "/nowhere/m.so" }')], /\/nowhere\/m\.so/], [["-c", keep('route "x:*" { class = "nothing" }')], /nothing/],
			[["-c", keep('route "room:{" { class = "room" }')], /room:\{/], [["-c", keep(`route "x:*" { class = "fixture" module = "${FIXTURE}" options = { "slow=often" } }`)], /slow/]]) {
			const { code, err } = await run(["-T", ...args]);

			assert.equal(code, 78, `${args}`);
			assert.match(err, pattern);
		}
		assert.equal((await run(["-T", "-l", `127.0.0.1:${port}`])).code, 0);
	});
});

describe("the file", { concurrency: false }, () => {
	for (const [what, text, said] of [
		["an unknown option", "\nlimits {\n\tmax_mesage = 1k\n}\n", "3: unknown option 'limits.max_mesage', did you mean 'limits.max_message'?"],
		["an unknown section", "limit {\n}\n", "1: unknown option 'limit', did you mean 'limits'?"],
		["a wrong type", "limits {\n\tmax_message = big\n}\n", "2: limits.max_message: expected a size such as 64k or 1m, got 'big'"],
		["out of range", "limits { max_topic = 257 }", /^1: limits\.max_topic: .*256.*257/],
		["an option twice", "limits {\n\tmax_topic = 1\n\tmax_topic = 2\n}\n", /^3: limits\.max_topic is already set at .*:2$/],
		["no closing brace", "limits {\n\tmax_topic = 1\n", "1: this section has no end: } is missing"],
		["no equals sign", "limits {\n\tmax_topic 1\n}\n", /^[23]: expected/],
		["garbage", "\x01\x02\x03", /^1: /],
		["a rate that is none", 'rate "x" = often', /^1: .*often/],
		["a route without a class", 'route "x:*" {\n}\n', '1: route "x:*" needs a class or a module'],
		["an unknown option of a route", 'route "x:*" {\n\tclass = room\n\tpublik = yes\n}\n', /^3: .*publik.*public/],
		["a key without a file", 'key "k" {\n}\n', '1: key "k" needs a file'],
		["a secret in a file that all may read", { text: `auth { secret = "${SECRET}" }`, mode: 0o644 }, /auth\.secret: everybody may read this file/],
	])
		test(`${what}: its name, its line, and 78`, async () => {
			const file = typeof text === "string" ? keep(text) : keep(text.text, text.mode);

			for (const more of [[], ["-T"], ["--dump"]]) {
				const { code, out, err } = await run([...ANYWHERE, "-c", file, ...more]);

				assert.equal(code, 78, err);
				assert.equal(out, "");
				assert.ok(err.startsWith(`roostd: ${file}:`), err);
				const rest = err.slice(`roostd: ${file}:`.length).trimEnd();
				if (typeof said === "string")
					assert.equal(rest, said);
				else
					assert.match(rest, said);
				assert.ok(!err.includes(SECRET), err);
				assert.equal(err.trimEnd().split("\n").length, 1);
			}
		});

	test("all of it at once", async () => {
		const file = keep(`
			# A comment.
			listen = { "127.0.0.1:1", "[::1]:2,proxy", "unix:/tmp/x,tls" }	// another
			origins = { "https://a.example", 'self' }
			/* and one
			   more */
			limits { max_message = 64k  idle_timeout = 90s }
			tls { cert = c  key = k }
			auth { secret = "${SECRET}" }
			key "2026" { file = "/etc/key" alg = ES256 }
			rate "new_msg" = 30/60s
			route "news:{id}" { class = room  public = yes  echo = no  rate "x" = 1/s }
		`);
		const { code, out, err } = await run(["-c", file, "--dump"]);

		assert.equal(code, 0, err);
		for (const line of ['listen = { "127.0.0.1:1", "[::1]:2,proxy", "unix:/tmp/x,tls" }', 'origins = { "https://a.example", "self" }',
			"limits.max_message = 64k", "limits.idle_timeout = 90s", "auth.secret = (set)"])
			assert.ok(out.includes(`${line}   # ${file}:`), `${line} in\n${out}`);
		assert.ok(!out.includes(SECRET));
	});
});

describe("flags beat variables, which beat the file, which beats defaults", { concurrency: false }, () => {
	const FILE = "limits {\n\tmax_channels = 1\n}\n";
	const ENV = { ROOST_LIMITS_MAX_CHANNELS: "2" };
	const FLAG = ["-o", "limits.max_channels=3"];

	test("by --dump, with where it is from", async () => {
		const file = keep(FILE);

		assert.deepEqual(await dumped("limits.max_channels"), ["100", "default"]);
		assert.deepEqual(await dumped("limits.max_channels", ["-c", file]), ["1", `${file}:2`]);
		assert.deepEqual(await dumped("limits.max_channels", ["-c", file], ENV), ["2", "ROOST_LIMITS_MAX_CHANNELS"]);
		assert.deepEqual(await dumped("limits.max_channels", ["-c", file, ...FLAG], ENV), ["3", "-o limits.max_channels"]);
		assert.deepEqual(await dumped("limits.max_channels", FLAG), ["3", "-o limits.max_channels"]);
	});

	test("lists are replaced as a whole, and have commas in variables", async () => {
		const file = keep('origins = { "https://a.example", "https://b.example" }');

		assert.deepEqual(await dumped("origins", ["-c", file], { ROOST_ORIGINS: "https://c.example , https://d.example" }),
			['{ "https://c.example", "https://d.example" }', "ROOST_ORIGINS"]);
		assert.deepEqual(await dumped("listen", ["-l", "127.0.0.1:1,proxy", "-l", "127.0.0.1:2"], { ROOST_LISTEN: "127.0.0.1:3" }),
			['{ "127.0.0.1:1,proxy", "127.0.0.1:2" }', "-l"]);
		assert.deepEqual(await dumped("listen", [], { ROOST_LISTEN: "127.0.0.1:3,proxy,127.0.0.1:4" }), ['{ "127.0.0.1:3,proxy", "127.0.0.1:4" }', "ROOST_LISTEN"]);
	});

	test("the file may be named by a variable, and -c beats it", async () => {
		const [one, two] = [keep("limits { max_channels = 11 }"), keep("limits { max_channels = 12 }")];

		assert.deepEqual(await dumped("limits.max_channels", [], { ROOST_CONFIG: one }), ["11", `${one}:1`]);
		assert.deepEqual(await dumped("limits.max_channels", ["-c", two], { ROOST_CONFIG: one }), ["12", `${two}:1`]);
	});

	test("a variable that seems misspelt is refused, others are ignored", async () => {
		const misspelt = await run(["--dump"], { env: { ROOST_LIMITS_MAX_CHANELS: "2" } });

		assert.equal(misspelt.code, 78, misspelt.err);
		assert.match(misspelt.err, /ROOST_LIMITS_MAX_CHANELS.*ROOST_LIMITS_MAX_CHANNELS/);
		assert.equal((await run(["--dump"], { env: { ROOST_SERVICE_HOST: "10.0.0.1" } })).code, 0);
		const wrong = await run(["--dump"], { env: { ROOST_LIMITS_MAX_CHANNELS: "many" } });
		assert.equal(wrong.code, 78);
		assert.match(wrong.err, /^roostd: ROOST_LIMITS_MAX_CHANNELS: expected .*, got 'many'\n$/);
	});

	test("in a daemon, and still after a reload", async (t) => {
		const daemon = await start({ config: "limits { max_channels = 1  max_topic = 10 }", env: ENV });
		t.after(() => daemon.stop());
		const joins = async (topic) => {
			const ws = await Ws.open(daemon.port);
			const answers = [];

			for (let i = 0; i < 3; i++)
				answers.push((await ws.ask([`${i}`, `${i}`, `${topic}${i}`, "phx_join", {}]))[4].status);
			ws.destroy();
			return answers;
		};

		assert.deepEqual(await joins("room:a"), ["ok", "ok", "error"]);
		assert.deepEqual(await joins("room:much-too-long"), ["error", "error", "error"]);
		daemon.configure("limits { max_channels = 9  max_topic = 100 }");
		await daemon.reload();
		assert.deepEqual(await joins("room:much-too-long"), ["ok", "ok", "error"]);
	});
});

describe("exit codes at the start", { concurrency: false }, () => {
	test("71: the address is taken", async (t) => {
		const daemon = await start();
		t.after(() => daemon.stop());
		const { code, err } = await run(["-l", `127.0.0.1:${daemon.port}`, "--admin-listen", "none"]);

		assert.equal(code, 71);
		assert.ok(err.includes(`roostd: cannot listen on 127.0.0.1:${daemon.port}: Address already in use\n`), err);
		const admin = await run(["-l", "127.0.0.1:0", "--admin-listen", `127.0.0.1:${daemon.adminPort}`]);
		assert.equal(admin.code, 71);
	});

	test("71: the address is not this machine's", async () => {
		const { code, err } = await run(["-l", "192.0.2.1:4000", "--admin-listen", "none"]);

		assert.equal(code, 71);
		assert.match(err, /cannot listen on 192\.0\.2\.1:4000: Cannot assign requested address/);
	});

	/* As nobody, in a folder of root's. */
	async function asNobody(args) {
		const child = spawn(ROOSTD, args, { uid: NOBODY, gid: NOBODY, stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
		let err = "";

		child.stderr.setEncoding("utf8").on("data", (text) => err += text);
		const [code] = await within(once(child, "close"), "roostd to end");
		return { code, err };
	}

	for (const [what, args] of [
		["a socket in a folder of others", () => ["-l", `unix:${dir}/x.sock`, "--admin-listen", "none"]],
		["a pid file in a folder of others", () => [...ANYWHERE, "--pid-file", `${dir}/x.pid`]],
		["a log file in a folder of others", () => [...ANYWHERE, "-o", `log.file=${dir}/x.log`]],
		["to become somebody else", () => [...ANYWHERE, "-u", "root"]],
	])
		test(`77: ${what}`, { skip: NO_ROOT }, async () => {
			const { code, err } = await asNobody(args());

			assert.equal(code, 77, err);
			assert.match(err, /Permission denied|Operation not permitted/);
		});

	test("78: nobody of that name", async () => {
		const { code, err } = await run([...ANYWHERE, "-u", "no-such-user"]);

		assert.equal(code, 78);
		assert.match(err, /error user no-such-user: there is none of that name/);
	});

	test("78: no such folder for the log", async () => {
		const { code, err } = await run([...ANYWHERE, "-o", "log.file=/nowhere/log"]);

		assert.equal(code, 78);
		assert.match(err, /error cannot write the log to \/nowhere\/log: No such file or directory/);
	});

	for (const signal of ["SIGTERM", "SIGQUIT", "SIGINT"])
		test(`0: ${signal}`, async () => {
			const daemon = await start({ options: { "drain.time": "100ms", "drain.delay": "0" } });

			await daemon.stop(signal);
		});
});

describe("SIGHUP", { concurrency: false }, () => {
	let daemon, ws;

	before(async () => {
		daemon = await start({ config: 'limits { max_topic = 10 }\nroute "news:*" { class = room }' });
		ws = await Ws.open(daemon.port);
		await ws.join("room:1");
		await ws.join("news:1");
	});
	after(async () => {
		ws.destroy();
		await daemon.stop();
	});

	const limit = async () => {
		const other = await Ws.open(daemon.port);
		const [, , , , { status }] = await other.ask(["1", "1", "room:longer-than-ten", "phx_join", {}]);

		other.destroy();
		return status === "ok" ? "new" : "old";
	};

	for (const [what, text, said] of [
		["a broken file", "limits { max_topic = 100", /roost\.conf:\d+: /],
		["an unknown option", "limits {\n max_topik = 100 }", /roost\.conf:2: unknown option 'limits\.max_topik', did you mean 'limits\.max_topic'\?/],
		["a file that contradicts itself", "drain { time = 1s delay = 2s }", /drain\.delay = 2s is longer than drain\.time = 1s/],
		["a key that is not there", 'key "k" { file = "/nowhere/key" }', /\/nowhere\/key: No such file/],
		["a class that is not there", 'route "x:*" { class = "nothing" }', /nothing/],
		["more connections than descriptors", "limits { max_connections = 1000000000 }", /limits\.max_connections = 1000000000 needs/],
	])
		test(`${what}: the old one is kept, and counted`, async () => {
			const { reload_failed_total: before } = await daemon.metrics();

			daemon.configure(text);
			const log = await daemon.reload({ refused: true });
			assert.match(log, /error reload refused, nothing was changed: /);
			assert.match(log, said);
			assert.equal((await daemon.metrics()).reload_failed_total, before + 1);
			assert.equal(await limit(), "old");
			assert.equal((await ws.ask(["1", "2", "news:1", "hello", {}]))[3], "hello");
			assert.equal((await ws.nextMessage())[3], "phx_reply");
		});

	test("no file any more: the same", async () => {
		renameSync(daemon.file("roost.conf"), daemon.file("gone"));
		assert.match(await daemon.reload({ refused: true }), /roost\.conf: No such file/);
		assert.equal(await limit(), "old");
	});

	test("a good one is taken: limits at once, routes for those who join from then on", async () => {
		daemon.configure("limits { max_topic = 100 }");
		await daemon.reload();
		assert.equal(await limit(), "new");
		assert.equal((await daemon.metrics()).reloads_total, 1);
		// The channel of a route that is no more goes on.
		assert.equal((await ws.ask(["1", "3", "news:1", "hello", {}]))[3], "hello");
		assert.equal((await ws.nextMessage())[3], "phx_reply");
		assert.deepEqual((await ws.ask(["2", "4", "news:2", "phx_join", {}]))[4], { status: "error", response: { reason: "unmatched topic" } });
	});

	test("what needs a restart is named, and stays", async () => {
		daemon.configure(`limits { max_topic = 100 }\nserver { pid_file = "${dir}/later.pid" }\nwebsocket { compression_level = 9 }`);
		const mark = daemon.log.length;
		await daemon.reload();
		const [line] = await waitFor(() => daemon.log.slice(mark).match(/warn these changes need a restart: .*\n/), "the warning");
		for (const name of ["server.pid_file", "websocket.compression_level"])
			assert.ok(line.includes(name), line);
		assert.ok(!existsSync(`${dir}/later.pid`));
	});

	test("twenty in a row", async () => {
		const { reloads_total: before } = await daemon.metrics();

		for (let i = 0; i < 20; i++) {
			daemon.configure(`limits { max_topic = ${100 + i} }`);
			await daemon.reload();
		}
		assert.equal((await daemon.metrics()).reloads_total, before + 20);
		await ws.quiet();
	});
});

describe("the log", { concurrency: false }, () => {
	const refused = (daemon, path) => exchange(daemon.port, upgradeHead(path));

	test("in JSON: every line is an object of texts", async (t) => {
		const daemon = await start({ args: ["--log-format", "json", "-v"], options: { origins: "https://good.example" } });
		t.after(() => daemon.stop());
		const ws = await Ws.open(daemon.port, { token: mint({ user_id: 'a"b\\c é 😀' }) });

		ws.text("{oops");
		await ws.closedWith(1011);
		await exchange(daemon.port, upgradeHead("/socket/websocket?vsn=2.0.0", { Origin: 'https://x"\\\x7f\xff\u00e9' }));
		await refused(daemon, '/socket/websocket?vsn="\\%00%0a');
		await refused(daemon, `/socket/websocket?vsn=${"x".repeat(3000)}`);
		await daemon.reload();
		await waitFor(() => daemon.log.includes("closed with 1011") && daemon.log.includes("xxx"), "the lines");
		const lines = daemon.log.trimEnd().split("\n");

		assert.ok(lines.length >= 6);
		for (const line of lines) {
			const { time, level, peer, msg, ...more } = JSON.parse(line);

			assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
			assert.ok(["error", "warn", "info", "debug"].includes(level), level);
			assert.equal(typeof msg, "string");
			assert.ok(peer === undefined || /^127\.0\.0\.1:\d+$/.test(peer), peer);
			assert.deepEqual(more, {});
		}
		assert.ok(lines.map(JSON.parse).some(({ msg }) => msg.includes('user "a"b\\c é 😀"')));
	});

	test("its level, its form and its file change with a reload", async (t) => {
		const daemon = await start({ config: "log { level = warn }" });
		t.after(() => daemon.stop());
		const mark = daemon.log.length;

		await refused(daemon, "/socket/websocket?vsn=9");
		assert.equal(daemon.log.slice(mark), "");
		daemon.configure("log { level = info  format = json  file = roost.log }");
		daemon.signal("SIGHUP");
		const log = () => (existsSync(daemon.file("roost.log")) ? readFileSync(daemon.file("roost.log"), "utf8") : "");
		await waitFor(() => log().includes("configuration reloaded"), "the new file");
		await refused(daemon, "/socket/websocket?vsn=9");
		await waitFor(() => log().includes("refused 403"), "a line in it");
		log().trimEnd().split("\n").forEach(JSON.parse);
		assert.equal(statSync(daemon.file("roost.log")).mode & 0o777, 0o640 & ~0o077);
	});

	test("SIGUSR1 opens it again: no line is lost", async (t) => {
		const file = path.join(dir, "rotated.log");
		const daemon = await start({ options: { "log.file": file } });
		t.after(() => daemon.stop());
		const text = (name) => (existsSync(name) ? readFileSync(name, "utf8") : "");

		await refused(daemon, "/socket/websocket?vsn=1.5.0");
		await waitFor(() => text(file).includes("1.5.0"), "a line");
		renameSync(file, `${file}.1`);
		await refused(daemon, "/socket/websocket?vsn=1.6.0");
		await waitFor(() => text(`${file}.1`).includes("1.6.0"), "a line in the old file");
		daemon.signal("SIGUSR1");
		await waitFor(() => existsSync(file), "a new file");
		await refused(daemon, "/socket/websocket?vsn=1.7.0");
		await waitFor(() => text(file).includes("1.7.0"), "a line in the new file");
		assert.ok(!text(`${file}.1`).includes("1.7.0"));
		assert.equal(daemon.log, "", "nothing on standard error");
	});

	test("where it cannot be opened again, it goes on where it was", async (t) => {
		const folder = path.join(dir, "logs");
		mkdirSync(folder);
		const daemon = await start({ options: { "log.file": path.join(folder, "log") } });
		t.after(() => daemon.stop());

		renameSync(folder, `${folder}.old`);
		daemon.signal("SIGUSR1");
		await waitFor(() => /error cannot open the log again: No such file/.test(readFileSync(path.join(`${folder}.old`, "log"), "utf8")), "the complaint");
		await refused(daemon, "/socket/websocket?vsn=9");
		await waitFor(() => readFileSync(path.join(`${folder}.old`, "log"), "utf8").includes("refused 403"), "a line in the old file");
	});

	test("it follows no link", async () => {
		const link = path.join(dir, "link.log"), precious = keep("precious");

		symlinkSync(precious, link);
		const { code } = await run([...ANYWHERE, "-o", `log.file=${link}`]);
		assert.equal(code, 78);
		assert.equal(readFileSync(precious, "utf8"), "precious");
	});
});

describe("the pid file", { concurrency: false }, () => {
	test("holds the process id, and is locked as long as that lives", async (t) => {
		const file = path.join(dir, "roost.pid");
		let daemon = await start({ args: ["--pid-file", file] });

		assert.equal(readFileSync(file, "utf8"), `${daemon.pid}\n`);
		assert.equal(statSync(file).mode & 0o777, 0o644);
		const { code, err } = await run([...ANYWHERE, "--pid-file", file]);
		assert.equal(code, 71);
		assert.ok(err.includes(`error ${file}: another roostd runs with this file\n`), err);
		assert.equal(readFileSync(file, "utf8"), `${daemon.pid}\n`, "it was left alone");
		daemon.signal("SIGKILL");
		await daemon.ended;
		daemon = await start({ args: ["--pid-file", file] });
		t.after(() => daemon.stop());
		assert.equal(readFileSync(file, "utf8"), `${daemon.pid}\n`);
	});

	test("follows no link", async () => {
		const link = path.join(dir, "link.pid"), precious = keep("precious");

		symlinkSync(precious, link);
		assert.notEqual((await run([...ANYWHERE, "--pid-file", link])).code, 0);
		assert.equal(readFileSync(precious, "utf8"), "precious");
	});
});

describe("--user", { concurrency: false, skip: NO_ROOT }, () => {
	test("takes the addresses and keys as root, and serves as nobody", async (t) => {
		const folder = path.join(dir, "nobodys");
		mkdirSync(folder, { mode: 0o700 });
		chownSync(folder, NOBODY, NOBODY);
		chmodSync(dir, 0o711);
		const log = path.join(folder, "log"), key = keep(SECRET);
		const daemon = await start({ args: ["-u", "nobody", "-k", key], options: { "log.file": log }, keyless: true });
		t.after(() => daemon.stop());
		const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");

		assert.match(status, new RegExp(`^Uid:(\t${NOBODY}){4}$`, "m"));
		assert.match(status, new RegExp(`^Gid:(\t${NOBODY}){4}$`, "m"));
		assert.match(status, new RegExp(`^Groups:\t${NOBODY} *$`, "m"));
		assert.match(status, /^CapEff:\t0+$/m);
		assert.match(status, /^NoNewPrivs:\t1$/m);
		const ws = await Ws.open(daemon.port);
		t.after(() => ws.destroy());
		await ws.join("room:1");

		// The log goes on: as it is, and after it was rotated.
		const text = (name) => (existsSync(name) ? readFileSync(name, "utf8") : "");
		await exchange(daemon.port, upgradeHead("/socket/websocket?vsn=1.5.0"));
		await waitFor(() => text(log).includes("1.5.0"), "a line");
		assert.equal(statSync(log).uid, NOBODY);
		renameSync(log, `${log}.1`);
		daemon.signal("SIGUSR1");
		await waitFor(() => existsSync(log), "a new file");
		await exchange(daemon.port, upgradeHead("/socket/websocket?vsn=1.6.0"));
		await waitFor(() => text(log).includes("1.6.0"), "a line in the new file");
		assert.equal(statSync(log).uid, NOBODY);
	});

	test("a reload opens the log again, though root had made it; what cannot be read is said", async (t) => {
		const log = path.join(dir, "roots.log");
		chmodSync(dir, 0o711);
		const daemon = await start({ args: ["-u", "nobody", "-k", keep(SECRET)], options: { "log.file": log }, keyless: true });
		t.after(() => daemon.stop());
		const said = () => readFileSync(log, "utf8");

		daemon.signal("SIGHUP");
		await waitFor(() => /reload refused, nothing was changed: .*Permission denied\n/.test(said()), "the key to be out of reach");
		assert.equal((await daemon.metrics()).reload_failed_total, 1);
		(await Ws.open(daemon.port)).destroy();
		daemon.signal("SIGUSR1");
		await exchange(daemon.port, upgradeHead("/socket/websocket?vsn=1.5.0"));
		await waitFor(() => said().includes("1.5.0"), "a line");
		assert.doesNotMatch(said(), /cannot open the log again/);
	});

	test("a log file of somebody else's is not given away", async (t) => {
		const log = keep("", 0o666);
		chownSync(log, 1, 1);
		const daemon = await start({ args: ["-u", "nobody"], options: { "log.file": log } });
		t.after(() => daemon.stop());

		assert.equal(statSync(log).uid, 1);
	});

	test("nor is what is no file", async (t) => {
		const daemon = await start({ args: ["-u", "nobody"], options: { "log.file": "/dev/null" } });
		t.after(() => daemon.stop());

		assert.equal(statSync("/dev/null").uid, 0);
	});
});
