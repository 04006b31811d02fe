// The page of members and cursors in Chromium, as several people would use it: the Pusher-style protocol from a browser.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { PATIENCE, TOP, start, waitFor } from "./harness.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

describe("the page of members and cursors", { concurrency: false }, () => {
	let browser, daemon;

	const startDemo = (more) => start({ dev: true, options: { "dev.pages": path.join(TOP, "contrib/demo") }, ...more });

	before(async () => {
		browser = await chromium.launch({
			executablePath: CHROMIUM,
			// The sandbox refuses to run as root, which is who runs tests in a container.
			args: process.getuid() === 0 ? ["--no-sandbox"] : [],
		});
		daemon = await startDemo();
	});

	after(async () => {
		await browser?.close();
		await daemon?.stop();
	});

	/*
	 * Someone in a browser of their own, or in a tab of that one; `complaints` is what the console said, `asked` what the page
	 * asked the server.
	 */
	async function enter(name, { at = daemon, context, state = "joined" } = {}) {
		const page = await (context ?? await browser.newContext()).newPage();

		page.setDefaultTimeout(PATIENCE);
		page.complaints = [];
		page.asked = [];
		page.on("websocket", (ws) => ws.on("framesent", ({ payload }) => page.asked.push(JSON.parse(payload))));
		page.on("console", (m) => m.type() === "error" && page.complaints.push(m.text()));
		page.on("pageerror", (e) => page.complaints.push(String(e)));
		await page.goto(`${at.httpUrl}/demo/members.html`);
		await page.getByLabel("Your name").fill(name);
		await page.getByRole("button", { name: "Enter" }).click();
		await page.locator(`#state[data-state=${state}]`).waitFor();
		return page;
	}

	const field = (page) => page.getByLabel("Message", { exact: true });
	const typing = (page) => page.locator("#typing").textContent();
	const messages = (page) => page.locator("#messages .message").evaluateAll((all) => all.map((one) =>
		[one.querySelector(".from").textContent, one.querySelector(".body").textContent]));

	const updates = (page) => page.asked.filter(({ type }) => type === "channel:update").length;

	async function sees(page, ...names) {
		const list = () => page.locator("#members .member").allTextContents();

		await waitFor(async () => (await list()).join("|") === names.join("|"), `the members ${names}`)
			.catch(async (e) => { throw new Error(`${e.message}; there were ${await list()}`); });
	}

	async function say(page, text) {
		await field(page).fill(text);
		await field(page).press("Enter");
	}

	async function hears(page, ...all) {
		await waitFor(async () => (await messages(page)).length >= all.length, "the messages");
		assert.deepEqual(await messages(page), all);
	}

	/* To there, in parts of the board. */
	async function pointAt(page, x, y) {
		const box = await page.locator("#board").boundingBox();

		await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
	}

	/* That page shows one cursor, of that name, there. */
	async function seesCursor(page, name, x, y) {
		await waitFor(async () => {
			const all = await page.locator("#board .cursor").evaluateAll((list) => list.map(({ textContent, style }) =>
				[textContent, parseFloat(style.left), parseFloat(style.top)]));

			return all.length === 1 && all[0][0] === name && Math.abs(all[0][1] - x * 100) < 1 && Math.abs(all[0][2] - y * 100) < 1;
		}, `${name}'s cursor`);
	}

	async function leave(...pages) {
		for (const page of pages) {
			assert.deepEqual(page.complaints, []);
			await page.context().close();
		}
	}

	test("two people see each other, talk, and see each other type", async () => {
		const [ann, bob] = [await enter("Ann"), await enter("Bob")];

		await sees(ann, "Ann", "Bob");
		await sees(bob, "Ann", "Bob");
		await field(ann).pressSequentially("Hello");
		await waitFor(async () => await typing(bob) === "Ann is typing…", "Bob to see Ann type");
		assert.equal(await typing(ann), "");
		await waitFor(async () => await typing(bob) === "", "Ann's typing to end by itself");
		await field(ann).pressSequentially(" Bob");
		await waitFor(async () => await typing(bob) === "Ann is typing…", "Bob to see Ann type again");
		await field(ann).press("Enter");
		await hears(bob, ["Ann", "Hello Bob"]);
		await waitFor(async () => await typing(bob) === "", "Ann's typing to end");
		await say(bob, "Hi Ann");
		for (const page of [ann, bob])
			await hears(page, ["Ann", "Hello Bob"], ["Bob", "Hi Ann"]);
		assert.equal(await ann.locator("#messages .mine").count(), 1);

		await leave(bob);
		await sees(ann, "Ann");
		await leave(ann);
	});

	test("a mouse moves its cursor on the board of the other", async () => {
		const [ann, bob] = [await enter("Ann"), await enter("Bob")];

		await pointAt(ann, 0.25, 0.5);
		await seesCursor(bob, "Ann", 0.25, 0.5);

		/* However often it moves, it is told of ten times a second, and where it rests. */
		const since = Date.now(), before = updates(ann);
		for (let i = 0; i < 50; i++)
			await pointAt(ann, 0.3 + i / 125, 0.6);
		await pointAt(ann, 0.75, 0.25);
		await seesCursor(bob, "Ann", 0.75, 0.25);
		assert.ok(updates(ann) - before <= (Date.now() - since) / 100 + 2, `${updates(ann) - before} updates`);
		assert.equal(await ann.locator("#board .cursor").count(), 0);

		/* Who comes later sees it where it rests. */
		const cleo = await enter("Cleo");
		await seesCursor(cleo, "Ann", 0.75, 0.25);
		await ann.mouse.move(1, 1);
		await waitFor(async () => await bob.locator("#board .cursor").count() === 0, "the cursor to go");
		await pointAt(ann, 0.5, 0.5);
		await seesCursor(bob, "Ann", 0.5, 0.5);
		await leave(ann);
		await waitFor(async () => await bob.locator("#board .cursor").count() === 0, "the cursor to leave with its owner");
		await leave(bob, cleo);
	});

	test("tabs of one user are one member, who is there until the last is closed", async () => {
		const bob = await enter("Bob"), ann = await enter("Ann"), tab = await enter("Ann", { context: ann.context() });

		for (const page of [bob, ann, tab])
			await sees(page, "Ann", "Bob");
		await say(tab, "from a tab");
		await hears(ann, ["Ann", "from a tab"]);
		assert.equal(await ann.locator("#messages .mine").count(), 1);
		await ann.close();
		await say(tab, "still here");
		await hears(bob, ["Ann", "from a tab"], ["Ann", "still here"]);
		await sees(bob, "Ann", "Bob");
		await leave(tab);
		await sees(bob, "Bob");
		await leave(bob);
	});

	test("what people write is text, not markup", async () => {
		const evil = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> & 'quotes'";
		const [ann, bob] = [await enter("<i>Ann</i>"), await enter("Bob")];

		await pointAt(ann, 0.5, 0.5);
		await seesCursor(bob, "<i>Ann</i>", 0.5, 0.5);
		await say(ann, evil);
		await hears(bob, ["<i>Ann</i>", evil]);
		await sees(bob, "<i>Ann</i>", "Bob");
		assert.equal(await bob.locator("main :is(img, b, i)").count(), 0);
		assert.notEqual(await bob.title(), "owned");
		await leave(ann, bob);
	});

	test("a page finds its way back after a restart", async (t) => {
		const first = await startDemo();
		const ann = await enter("Ann", { at: first });

		await first.stop();
		await ann.locator("#state[data-state=waiting]").waitFor();
		const second = await startDemo({ port: first.port });
		t.after(() => second.stop());
		await ann.locator("#state[data-state=joined]").waitFor();
		await sees(ann, "Ann");
		await say(ann, "back again");
		await hears(ann, ["Ann", "back again"]);
		await ann.context().close();
	});

	test("who may not join is told why, and can try under another name", async (t) => {
		const at = await startDemo({ config: 'route "presence-*" { class = "pusher" allow = { "claim sub = Ann" } }' });
		t.after(() => at.stop());
		const page = await enter("Bob", { at, state: "refused" });

		assert.match(await page.locator("#hint").textContent(), /^Joining was refused: .+ \(FORBIDDEN\)$/);
		await page.getByLabel("Your name").fill("Ann");
		await page.getByRole("button", { name: "Enter" }).click();
		await page.locator("#state[data-state=joined]").waitFor();
		await sees(page, "Ann");
		assert.equal(await page.locator("#hint").isVisible(), false);
		await leave(page);
	});
});
