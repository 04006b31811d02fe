// Messages as nobody should send them: each gets an answer where its ref can be read, else the end of the connection; and
// nobody else ever hears of it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FIXTURE, start } from "./harness.mjs";
import { OP, Ws, frame } from "./raw.mjs";

const R = (response) => `{"status":"ok","response":${response}}`;
const OK = R("{}");
const reason = (text) => `{"status":"error","response":{"reason":"${text}"}}`;
const INVALID_PAYLOAD = '{"status":"error","response":{"reason":"invalid_payload","field":"payload"}}';

const nested = (depth) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;
const members = (n) => `{${Array.from({ length: n }, (_, i) => `"${i}":0`).join()}}`;

describe("message input", { concurrency: false }, () => {
	let daemon;

	before(async () => {
		daemon = await start({
			config: `
				default_routes = no
				limits {
					max_channels = 5
					message_rate = 0
					join_queue = 4
					close_timeout = 1s
				}
				route "room:*" { module = "${FIXTURE}" }
				route "*" { class = "fixture" }
			`,
		});
	});
	after(() => daemon.stop());

	async function dial(t, options) {
		const ws = await Ws.open(daemon.port, options);

		t.after(() => ws.destroy());
		return ws;
	}

	async function hears(ws, ...texts) {
		for (const text of texts)
			assert.equal(await ws.nextText(), text);
	}

	async function asks(ws, text, ...answers) {
		ws.text(text);
		await hears(ws, ...answers);
	}

	async function joined(t, topic = "room:a") {
		const ws = await dial(t);

		await asks(ws, `["1","1","${topic}","phx_join",{}]`, `["1","1","${topic}","phx_reply",${OK}]`);
		return ws;
	}

	/* The message gets the answer, a witness in the topic hears nothing, and the channel is as it was. */
	function answered(what, text, ...answers) {
		test(what, async (t) => {
			const witness = await joined(t), ws = await joined(t);

			ws.text(text);
			await hears(ws, ...answers);
			await asks(ws, '["1","z","room:a","echo",{}]', `["1","z","room:a","phx_reply",${OK}]`);
			await witness.quiet();
		});
	}

	/* The message ends the connection. */
	function fatal(what, text, options, code = 1011) {
		test(what, async (t) => {
			const witness = await joined(t), ws = await dial(t, options);

			ws.text(text);
			await ws.closedWith(code);
			await witness.quiet();
			assert.equal((await daemon.get("/healthz")).status, 200);
		});
	}

	describe("what is not JSON", { concurrency: false }, () => {
		const message = (payload) => `["1","2","room:a","bcast",${payload}]`;

		for (const [what, text] of [
			["trailing bytes", `${message("{}")} x`],
			["two values", `${message("{}")}${message("{}")}`],
			["a byte order mark", `\ufeff${message("{}")}`],
			["NaN", message('{"a":NaN}')],
			["Infinity", message('{"a":-Infinity}')],
			["a comment", message("{/**/}")],
			["a comment to the end of the line", `// hello\n${message("{}")}`],
			["single quotes", "['1','2','room:a','bcast',{}]"],
			["a comma too much", message("{},")],
			["a comma too much in the payload", message('{"a":1,}')],
			["a comma missing", message('{"a":1 "b":2}')],
			["a leading zero", message('{"a":01}')],
			["a plus", message('{"a":+1}')],
			["a point without digits", message('{"a":1.}')],
			["a bare word", message("{a:1}")],
			["a control character in a string", message('{"a":"\u0001"}')],
			["a tab in a string", message('{"a":"\t"}')],
			["an escape that is none", message('{"a":"\\x41"}')],
			["half an escape", message('{"a":"\\u00"}')],
			["an end in the middle", message('{"a":')],
			["an open string", message('{"a":"')],
			["brackets that do not match", '["1","2","room:a","bcast",{]'],
			["blanks", "   "],
			["a string", '"phx_join"'],
			["null", "null"],
			["a NUL", "\0"],
		])
			fatal(what, text);

		test("blanks around and inside are fine", async (t) => {
			const ws = await joined(t);

			await asks(ws, '\r\n [ "1" , "2" ,\t"room:a" , "echo" , { "a" : 1 } ] \n', `["1","2","room:a","phx_reply",${R('{ "a" : 1 }')}]`);
		});
	});

	describe("what V1 does not take", { concurrency: false }, () => {
		const V1 = { vsn: "1.0.0" };

		for (const key of ["topic", "event", "payload", "ref"]) {
			const all = { topic: '"room:a"', event: '"phx_join"', payload: "{}", ref: '"1"' };
			const text = (keys) => `{${keys.map((k) => `"${k}":${all[k]}`).join()}}`;

			fatal(`without ${key}`, text(Object.keys(all).filter((k) => k !== key)), V1);
			fatal(`${key} twice`, text([...Object.keys(all), key]), V1);
		}
		fatal("a key twice, once with escapes", '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","\\u0074opic":"room:b"}', V1);
		fatal("join_ref twice", '{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","join_ref":"1","join_ref":"2"}', V1);

		test("other keys are passed over", async (t) => {
			const ws = await dial(t, V1);

			await asks(ws, '{"x":[1],"topic":"room:a","event":"phx_join","payload":{},"ref":"1","x":2}',
				`{"topic":"room:a","event":"phx_reply","payload":${OK},"ref":"1"}`);
		});
	});

	describe("payloads", { concurrency: false }, () => {
		for (const payload of ["[]", '"x"', "5", "true", "[1,2]"]) {
			answered(`${payload} in an event`, `["1","2","room:a","bcast",${payload}]`, `["1","2","room:a","phx_reply",${INVALID_PAYLOAD}]`);
			answered(`${payload} in a join`, `["2","2","room:b","phx_join",${payload}]`, `["2","2","room:b","phx_reply",${INVALID_PAYLOAD}]`);
		}
		answered("null is {}", '["1","2","room:a","push",null]', '["1",null,"room:a","pushed",{}]');
		answered("64 levels", `["1","2","room:a","push",${nested(64)}]`, `["1",null,"room:a","pushed",${nested(64)}]`);
		answered("65 levels", `["1","2","room:a","bcast",${nested(65)}]`, `["1","2","room:a","phx_reply",${INVALID_PAYLOAD}]`);
		answered("100,000 levels", `["1","2","room:a","bcast",${"[".repeat(100_000)}]`, `["1","2","room:a","phx_reply",${INVALID_PAYLOAD}]`);
		answered("65 levels in a join", `["2","2","room:b","phx_join",${nested(65)}]`, `["2","2","room:b","phx_reply",${INVALID_PAYLOAD}]`);
		answered("10,000 members", `["1","2","room:a","push",${members(10_000)}]`, `["1",null,"room:a","pushed",${members(10_000)}]`);
		answered("10,001 members", `["1","2","room:a","bcast",${members(10_001)}]`, `["1","2","room:a","phx_reply",${INVALID_PAYLOAD}]`);
		answered("NUL, lone surrogates and keys twice go through untouched", '["1","2","room:a","push",{"a":"\\u0000\\ud800","a":"\\/"}]',
			'["1",null,"room:a","pushed",{"a":"\\u0000\\ud800","a":"\\/"}]');
		fatal("a message beyond limits.max_message", `["1","2","room:a","bcast",{"x":"${"x".repeat(1 << 20)}"}]`, {}, 1009);

		test("a message just within limits.max_message", async (t) => {
			const ws = await joined(t);
			const head = '["1","2","room:a","push",{"x":"', tail = '"}]';
			const x = "x".repeat((1 << 20) - head.length - tail.length);

			await asks(ws, `${head}${x}${tail}`, `["1",null,"room:a","pushed",{"x":"${x}"}]`);
		});
	});

	describe("topics", { concurrency: false }, () => {
		for (const [what, topic] of [
			["a NUL", "room:\\u0000"],
			["a line feed", "room:\\n"],
			["CR LF", "room:a\\r\\nSET x 1"],
			["an escape character", "room:\\u001b[31m"],
			["DEL", "room:\\u007f"],
			["a lone surrogate", "room:\\ud800"],
			["257 octets", `room:${"x".repeat(252)}`],
			["a hundred thousand octets", `room:${"x".repeat(100_000)}`],
		]) {
			/* A topic that is over what is given back is null in the answer. */
			const echoed = topic.length > 2000 ? "null" : `"${topic}"`;

			answered(`a join of ${what}`, `["2","2","${topic}","phx_join",{}]`, `[null,"2",${echoed},"phx_reply",${reason("invalid topic")}]`);
			answered(`an event on ${what}`, `["2","3","${topic}","bcast",{}]`, `[null,"3",${echoed},"phx_reply",${reason("invalid topic")}]`);
			answered(`a leave of ${what}`, `["2","4","${topic}","phx_leave",{}]`, `[null,"4",${echoed},"phx_reply",${reason("invalid topic")}]`);
		}
		for (const topic of ["null", "true", "7", '""', "[]", "{}"])
			answered(`the topic ${topic}`, `["2","2",${topic},"phx_join",{}]`, `[null,"2",${topic},"phx_reply",${reason("unmatched topic")}]`);

		for (const topic of ["*", "room:*", "[a-z]?", "r??m:a", "__redis__:x", "roost:t:{room:a}", "roost:cluster", "%s%n%s", "room:a b", "{room:a}", "../room:a"])
			test(`the topic ${topic} is a name, no pattern`, async (t) => {
				const witness = await joined(t), ws = await dial(t);

				await asks(ws, `["2","2","${topic}","phx_join",{}]`, `["2","2","${topic}","phx_reply",${OK}]`);
				await asks(witness, '["1","3","room:a","bcast",{}]', '[null,null,"room:a","bcast",{}]', `["1","3","room:a","phx_reply",${OK}]`);
				await ws.quiet();
				await asks(ws, `["2","4","${topic}","bcast",{}]`, `[null,null,"${topic}","bcast",{}]`, `["2","4","${topic}","phx_reply",${OK}]`);
				await witness.quiet();
			});

		test("256 octets", async (t) => {
			const topic = `room:${"é".repeat(125)}x`;
			const ws = await joined(t, topic);

			await asks(ws, `["1","2","${topic}","bcast",{}]`, `[null,null,"${topic}","bcast",{}]`, `["1","2","${topic}","phx_reply",${OK}]`);
		});

		test("a topic with escapes is the same topic", async (t) => {
			const plain = await joined(t, "room:é/😀"), ws = await dial(t);

			await asks(ws, '["2","2","room:\\u00e9\\/\\ud83d\\ude00","phx_join",{}]', `["2","2","room:é/😀","phx_reply",${OK}]`);
			await asks(ws, '["2","3","\\u0072oom:é\\/😀","bcast_from",{}]', `["2","3","room:é/😀","phx_reply",${OK}]`);
			await hears(plain, '[null,null,"room:é/😀","bcast_from",{}]');
		});

		test("too many channels", async (t) => {
			const ws = await joined(t);

			for (const n of [2, 3, 4, 5])
				await asks(ws, `["${n}","${n}","room:${n}","phx_join",{}]`, `["${n}","${n}","room:${n}","phx_reply",${OK}]`);
			await asks(ws, '["6","6","room:6","phx_join",{}]', `["6","6","room:6","phx_reply",${reason("too many channels joined")}]`);
			await asks(ws, '["2","7","room:2","phx_leave",{}]', `["2","7","room:2","phx_reply",${OK}]`, '["2","2","room:2","phx_close",{}]');
			await asks(ws, '["8","8","room:6","phx_join",{}]', `["8","8","room:6","phx_reply",${OK}]`);
		});

		test("joins that wait count, too", async (t) => {
			const ws = await dial(t);

			for (const n of [1, 2, 3, 4, 5])
				ws.text(`["${n}","${n}","${n === 1 ? "room" : `x${n}`}:${n === 1 ? "slow" : n}","phx_join",{}]`);
			await hears(ws, ...[2, 3, 4, 5].map((n) => `["${n}","${n}","x${n}:${n}","phx_reply",${OK}]`));
			await asks(ws, '["6","6","room:6","phx_join",{}]', `["6","6","room:6","phx_reply",${reason("too many channels joined")}]`);
			await hears(ws, `["1","1","room:slow","phx_reply",${OK}]`);
		});

		test("more topics than the node takes", async (t) => {
			const small = await start({ options: { "limits.max_topics": 2 } });
			t.after(() => small.stop());
			const [a, b] = [await Ws.open(small.port), await Ws.open(small.port)];

			await a.join("room:1");
			await a.join("room:2", "2");
			await asks(b, '["3","3","room:3","phx_join",{}]', `["3","3","room:3","phx_reply",${reason("too many topics")}]`);
			await b.join("room:2", "4");
			a.destroy();
			b.destroy();
		});
	});

	describe("events", { concurrency: false }, () => {
		for (const event of ["phx_reply", "phx_close", "phx_error", "phx_", "phx_anything", "presence_state", "presence_diff", "pusher_internal:x"])
			answered(`${event} is not for clients`, `["1","2","room:a","${event}",{"status":"ok"}]`, `["1","2","room:a","phx_reply",${reason("unknown_event")}]`);
		for (const [what, event] of [
			["a NUL", '"a\\u0000"'],
			["a line feed", '"a\\nb"'],
			["a lone surrogate", '"\\udfff"'],
			["129 octets", `"${"e".repeat(129)}"`],
			["a hundred thousand octets", `"${"e".repeat(100_000)}"`],
			["nothing", '""'],
			["null", "null"],
			["a number", "5"],
			["an object", "{}"],
		]) {
			answered(`an event of ${what}`, `["1","2","room:a",${event},{}]`, `["1","2","room:a","phx_reply",${reason("unknown_event")}]`);
			answered(`an event of ${what} on a topic not joined`, `["1","2","room:b",${event},{}]`, `[null,"2","room:b","phx_reply",${reason("unmatched topic")}]`);
		}
		answered("an event of 128 octets", `["1","2","room:a","${"e".repeat(128)}",{}]`, `["1","2","room:a","phx_reply",${reason("unknown_event")}]`);
		answered("an event that the class does not know", '["1","2","room:a","__proto__",{}]', `["1","2","room:a","phx_reply",${reason("unknown_event")}]`);
		answered("phx_join with escapes is phx_join", '["2","2","room:b","phx\\u005fjoin",{}]', `["2","2","room:b","phx_reply",${OK}]`);
		answered("phx_reply with escapes is phx_reply", '["1","2","room:a","phx\\u005freply",{}]', `["1","2","room:a","phx_reply",${reason("unknown_event")}]`);
		answered("a heartbeat elsewhere is an event like others", '["1","2","room:a","heartbeat",{}]', `["1","2","room:a","phx_reply",${reason("unknown_event")}]`);
	});

	describe("refs", { concurrency: false }, () => {
		const echo = (ref) => `["1",${ref},"room:a","echo",{}]`;
		const invalid = `[null,null,"room:a","phx_reply",${reason("invalid ref")}]`;

		for (const ref of ["0", "-1.5e300", "123456789012345678901234567890", "true", '{"a":[1,"\\/"]}', '"\\u00e9 é 😀"', `"${"r".repeat(126)}"`])
			answered(`${ref.slice(0, 40)} comes back as it was`, echo(ref), `["1",${ref},"room:a","phx_reply",${OK}]`);
		for (const [what, ref] of [["129 octets", `"${"r".repeat(127)}"`], ["a hundred thousand octets", "1".repeat(100_000)], ["a NUL", '"\\u0000"']]) {
			answered(`a ref of ${what}`, echo(ref), invalid);
			answered(`a join_ref of ${what}`, `[${ref},"2","room:a","echo",{}]`, invalid);
			answered(`a join with a ref of ${what}`, `[null,${ref},"room:b","phx_join",{}]`, invalid.replace("room:a", "room:b"));
			answered(`a heartbeat with a ref of ${what}`, `[null,${ref},"phoenix","heartbeat",{}]`, invalid.replace("room:a", "phoenix"));
		}

		answered("an old join_ref is dropped", '["0","2","room:a","bcast",{}]');
		answered("a join_ref of another type is dropped", '[1,"2","room:a","bcast",{}]');
		answered("a join_ref with escapes is another one", '["\\u0031","2","room:a","bcast",{}]');
	});

	describe("joins that wait", { concurrency: false }, () => {
		test("more messages than are kept are refused", async (t) => {
			const ws = await dial(t);

			ws.text('["1","1","room:slow","phx_join",{}]');
			for (let n = 2; n <= 7; n++)
				ws.text(`["1","${n}","room:slow","echo",{}]`);
			await hears(ws,
				`["1","6","room:slow","phx_reply",${reason("join_pending")}]`,
				`["1","7","room:slow","phx_reply",${reason("join_pending")}]`,
				`["1","1","room:slow","phx_reply",${OK}]`,
				...[2, 3, 4, 5].map((n) => `["1","${n}","room:slow","phx_reply",${OK}]`));
		});

		test("a connection that ends meanwhile", async (t) => {
			const ws = await dial(t);

			ws.text('["1","1","room:slow","phx_join",{}]');
			ws.text('["1","2","room:slow","bcast",{}]');
			ws.close(1000);
			await ws.closedWith(1000);
			assert.equal((await daemon.get("/healthz")).status, 200);
		});
	});

	describe("floods", { concurrency: false }, () => {
		test("more messages than the rate are refused, and it is told when to come back", async (t) => {
			const strict = await start({ options: { "limits.message_rate": 1, "limits.message_burst": 5 } });
			t.after(() => strict.stop());
			const ws = await Ws.open(strict.port);

			await ws.join("room:a");
			ws.write(Buffer.concat(Array.from({ length: 5 }, (_, n) => frame(OP.text, `["1","${n}","room:b","bcast",{}]`))));
			for (const n of [0, 1, 2, 3])
				await hears(ws, `[null,"${n}","room:b","phx_reply",${reason("unmatched topic")}]`);
			const [, ref, , , { status, response }] = await ws.nextMessage();
			assert.deepEqual([ref, status, response.reason], ["4", "error", "rate_limited"]);
			assert.ok(response.retry_after_ms > 0 && response.retry_after_ms <= 1000, `${response.retry_after_ms} ms`);
			/* What is a sign of life alone is answered ok, if not at once. */
			await asks(ws, '[null,"6","phoenix","heartbeat",{}]', `[null,"6","phoenix","phx_reply",${OK}]`);
			ws.destroy();
		});

		test("more events than the route's rate are refused, and the refused do not count", async (t) => {
			const strict = await start({
				config: `
					rate "bcast" = 1/1h
					route "room:*" { module = "${FIXTURE}" rate "echo" = 2/500ms rate "err" = 1/1h }
				`,
			});
			t.after(() => strict.stop());
			const ws = await Ws.open(strict.port);

			await ws.join("room:a");
			await asks(ws, '["1","2","room:a","echo",{}]', `["1","2","room:a","phx_reply",${OK}]`);
			await asks(ws, '["1","3","room:a","echo",{}]', `["1","3","room:a","phx_reply",${OK}]`);
			const [, , , , { status, response }] = await ws.ask(["1", "4", "room:a", "echo", {}]);
			assert.equal(status, "error");
			assert.equal(response.reason, "rate_limit");
			assert.ok(response.retry_after_ms > 0 && response.retry_after_ms <= 500);
			for (const ref of [5, 6])
				await asks(ws, `["1","${ref}","room:a","err",{}]`, `["1","${ref}","room:a","phx_reply",{"status":"error","response":{}}]`);
			await new Promise((resolve) => setTimeout(resolve, response.retry_after_ms + 20));
			await asks(ws, '["1","7","room:a","echo",{}]', `["1","7","room:a","phx_reply",${OK}]`);
			await asks(ws, '["1","8","room:a","bcast",{}]', '[null,null,"room:a","bcast",{}]', `["1","8","room:a","phx_reply",${OK}]`);
			assert.equal((await ws.ask(["1", "9", "room:a", "bcast", {}]))[4].response.reason, "rate_limit");
			ws.destroy();
		});
	});
});
