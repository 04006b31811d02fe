// The demo page in Chromium, as two people would use it.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { PATIENCE, TOP, start, waitFor } from "./harness.mjs";

const PHOENIX = path.join(path.dirname(createRequire(import.meta.url).resolve("phoenix18")), "phoenix.mjs");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/* The pages with (or without) the client that contrib/run would have fetched. */
function pages({ client }) {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-demo-"));

	for (const name of ["index.html", "demo.css", "demo.js", "icon.svg"])
		cpSync(path.join(TOP, "contrib/demo", name), path.join(dir, name));
	if (client) {
		mkdirSync(path.join(dir, "vendor"));
		cpSync(PHOENIX, path.join(dir, "vendor/phoenix.mjs"));
	}
	return dir;
}

describe("the demo page", { concurrency: false }, () => {
	const dirs = [];
	let browser, daemon;

	const startDemo = (options = {}) => {
		const dir = pages({ client: options.client ?? true });

		dirs.push(dir);
		return start({ dev: true, options: { "dev.pages": dir }, port: options.port });
	};

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
		for (const dir of dirs)
			rmSync(dir, { recursive: true });
	});

	/* A visitor in a browser of their own; `complaints` is what the console said. */
	async function visit(at = daemon) {
		const context = await browser.newContext();
		const page = await context.newPage();

		page.setDefaultTimeout(PATIENCE);
		page.complaints = [];
		page.on("console", (m) => m.type() === "error" && page.complaints.push(m.text()));
		page.on("pageerror", (e) => page.complaints.push(String(e)));
		await page.goto(`${at.httpUrl}/demo/`);
		return page;
	}

	async function enter(name, at) {
		const page = await visit(at);

		await page.getByLabel("Your name").fill(name);
		await page.getByRole("button", { name: "Enter" }).click();
		await page.locator("#state[data-state=joined]").waitFor();
		return page;
	}

	const messages = (page) => page.locator("#messages .body").allTextContents();
	const typing = (page) => page.locator("#typing").textContent();

	test("two people talk and see each other's typing", async () => {
		const [ann, bob] = [await enter("Ann"), await enter("Bob")];
		const field = (page) => page.getByLabel("Message", { exact: true });

		await field(ann).pressSequentially("Hello Bo");
		await waitFor(async () => await typing(bob) === "Ann is typing…", "Bob to see Ann type");
		assert.equal(await typing(ann), "");
		await field(bob).pressSequentially("H");
		await waitFor(async () => await typing(ann) === "Bob is typing…", "Ann to see Bob type");

		await field(ann).pressSequentially("b");
		await field(ann).press("Enter");
		await waitFor(async () => (await messages(bob)).length === 1, "the message");
		assert.deepEqual(await messages(bob), ["Hello Bob"]);
		await waitFor(async () => await typing(bob) === "", "Ann's typing to end");

		await field(bob).pressSequentially("i Ann");
		await field(bob).press("Enter");
		await waitFor(async () => (await messages(ann)).length === 2, "the answer");
		assert.deepEqual(await messages(ann), ["Hello Bob", "Hi Ann"]);
		assert.equal(await ann.locator("#messages .mine").count(), 1);
		for (const page of [ann, bob]) {
			assert.deepEqual(page.complaints, []);
			await page.context().close();
		}
	});

	test("typing ends by itself after a pause", async () => {
		const [ann, bob] = [await enter("Ann"), await enter("Bob")];

		await ann.getByLabel("Message", { exact: true }).pressSequentially("x");
		await waitFor(async () => await typing(bob) === "Ann is typing…", "Bob to see Ann type");
		await waitFor(async () => await typing(bob) === "", "Ann's typing to end");
		for (const page of [ann, bob])
			await page.context().close();
	});

	test("what people write is text, not markup", async () => {
		const evil = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> & 'quotes'";
		const [ann, bob] = [await enter("<i>Ann</i>"), await enter("Bob")];

		await ann.getByLabel("Message", { exact: true }).fill(evil);
		await ann.getByRole("button", { name: "Send" }).click();
		await waitFor(async () => (await messages(bob)).length === 1, "the message");
		assert.deepEqual(await messages(bob), [evil]);
		assert.equal(await bob.locator("#messages .from").textContent(), "<i>Ann</i>");
		assert.equal(await bob.locator("#messages img, #messages b, #messages i").count(), 0);
		assert.notEqual(await bob.title(), "owned");
		for (const page of [ann, bob])
			await page.context().close();
	});

	test("a page finds its way back after a restart", async (t) => {
		const first = await startDemo();
		const ann = await enter("Ann", first);

		await first.stop();
		await ann.locator("#state[data-state=waiting]").waitFor();
		const second = await startDemo({ port: first.port });
		t.after(() => second.stop());
		await ann.locator("#state[data-state=joined]").waitFor();
		await ann.getByLabel("Message", { exact: true }).fill("back again");
		await ann.getByRole("button", { name: "Send" }).click();
		await waitFor(async () => (await messages(ann)).length === 1, "the message");
		await ann.context().close();
	});

	test("without the phoenix client the page says what to do", async (t) => {
		const bare = await startDemo({ client: false });
		t.after(() => bare.stop());
		const page = await visit(bare);

		await page.locator("#hint").waitFor();
		assert.match(await page.locator("#hint").textContent(), /contrib\/run/);
		await page.context().close();
	});

	test("pages and tokens are for --dev alone", async (t) => {
		const plain = await start();
		t.after(() => plain.stop());

		assert.equal((await plain.get("/demo/")).status, 404);
		assert.equal((await plain.get("/demo/token?user=x")).status, 404);
	});
});
