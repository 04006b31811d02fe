// A call between two people in browsers: WebRTC with a data channel, signalled by the events of "Phoenix Channels - WebSocket
// Real-time Features", Signaling Channel, with the stock client; on one node, and through two.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { everywhere, fresh } from "./documents.mjs";
import { PATIENCE, mint } from "./harness.mjs";

const PHOENIX = path.join(path.dirname(createRequire(import.meta.url).resolve("phoenix18")), "phoenix.mjs");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SLOW = 3 * PATIENCE;	// two browsers on a busy machine

/*
 * What a page does, in the words of the documents: `caller_id` calls, the other answers. Then `peer.pipe` is a data channel that
 * is open, and `peer.said` what came through.
 */
function script() {
	window.begin = async ({ url, token, callId, caller, callee, me }) => {
		const socket = new Socket(url, { params: { token } });
		const signalingChannel = socket.channel(`signaling:call:${callId}`, { caller_id: caller, callee_id: callee });
		const peer = window.peer = { said: [], ended: [], rtc: new RTCPeerConnection(), early: [] };
		const use = (pipe) => {
			peer.pipe = pipe;
			pipe.onmessage = ({ data }) => peer.said.push(data);
		};
		const push = (event, payload) => new Promise((resolve, reject) => signalingChannel.push(event, payload)
			.receive("ok", resolve).receive("error", (e) => reject(new Error(`${event}: ${JSON.stringify(e)}`))));
		/* Candidates may overtake what they belong to. */
		const describe = async (description) => {
			await peer.rtc.setRemoteDescription(description);
			for (const candidate of peer.early.splice(0))
				await peer.rtc.addIceCandidate(candidate);
		};

		peer.channel = signalingChannel;
		peer.push = push;
		peer.rtc.onicecandidate = ({ candidate }) => candidate && push("ice_candidate", {
			candidate: candidate.candidate,
			sdp_mid: candidate.sdpMid,
			sdp_m_line_index: candidate.sdpMLineIndex,
		});
		signalingChannel.on("ice_candidate", ({ candidate, sdp_mid, sdp_m_line_index }) => {
			const it = { candidate, sdpMid: sdp_mid, sdpMLineIndex: sdp_m_line_index };
			if (peer.rtc.remoteDescription)
				peer.rtc.addIceCandidate(it);
			else
				peer.early.push(it);
		});
		signalingChannel.on("call_offer", async ({ sdp, type }) => {
			peer.rtc.ondatachannel = ({ channel }) => use(channel);
			await describe({ sdp, type });
			const answer = await peer.rtc.createAnswer();
			await push("call_answer", { sdp: answer.sdp, type: "answer" });
			await peer.rtc.setLocalDescription(answer);
		});
		signalingChannel.on("call_answer", ({ sdp, type }) => describe({ sdp, type }));
		signalingChannel.on("call_end", ({ reason }) => {
			peer.ended.push(reason);
			peer.rtc.close();
		});
		socket.connect();
		await new Promise((resolve, reject) => signalingChannel.join().receive("ok", resolve).receive("error", reject));
		if (me !== caller)
			return;
		use(peer.rtc.createDataChannel("talk"));
		await push("call_initiate", { callee_id: callee, call_type: "video" });
		const offer = await peer.rtc.createOffer();
		await push("call_offer", { sdp: offer.sdp, type: "offer" });
		await peer.rtc.setLocalDescription(offer);
	};
}

const PAGE = `<!doctype html><title>call</title><script type="module">
import { Socket } from "/phoenix.mjs";
window.Socket = Socket;
(${script})();
document.title = "ready";
</script>`;

everywhere("WebRTC", {}, (ground) => {
	let browser, server;

	before(async () => {
		server = http.createServer((request, response) => {
			const js = request.url === "/phoenix.mjs";

			response.setHeader("content-type", js ? "text/javascript" : "text/html");
			response.end(js ? readFileSync(PHOENIX) : PAGE);
		}).listen(0, "127.0.0.1");
		await once(server, "listening");
		browser = await chromium.launch({
			executablePath: CHROMIUM,
			/* Without a network there are no addresses but loopback's, and without their names they are told as they are. */
			args: ["--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
				...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
		});
	});
	after(async () => {
		await browser?.close();
		server?.closeAllConnections();
		server?.close();
	});

	/* A person's page. */
	async function visit(t) {
		const context = await browser.newContext(), page = await context.newPage();

		t.after(() => context.close());
		page.setDefaultTimeout(SLOW);
		page.complaints = [];
		page.on("pageerror", (e) => page.complaints.push(String(e)));
		await page.goto(`http://127.0.0.1:${server.address().port}/`);
		await page.waitForFunction(() => document.title === "ready");
		return page;
	}

	const begin = (page, k, me, callId) => page.evaluate((arg) => window.begin(arg),
		{ url: ground.at(k).socketUrl, token: mint({ user_id: me }), callId, caller: "ann", callee: "bob", me });
	const connected = (page) => page.waitForFunction(() => window.peer?.pipe?.readyState === "open");

	describe("Features, Signaling Channel", () => {
		for (const [when, late] of [["waits for the call", false], ["comes to it late", true]])
			test(`two pages talk through a data channel; the callee ${when}`, { timeout: 2 * SLOW }, async (t) => {
				const [ann, bob] = [await visit(t), await visit(t)], id = fresh("rtc");
				const order = late ? [[ann, 0, "ann"], [bob, 1, "bob"]] : [[bob, 1, "bob"], [ann, 0, "ann"]];

				for (const [page, k, me] of order)
					await begin(page, k, me, id);
				await Promise.all([connected(ann), connected(bob)]).catch(async (e) => {
					const states = await Promise.all([ann, bob].map((page) => page.evaluate(() => {
						const { rtc, said, ended } = window.peer;
						return [rtc.signalingState, rtc.iceConnectionState, rtc.iceGatheringState, rtc.localDescription?.sdp, said, ended];
					})));
					throw new Error(`${e.message}: ${JSON.stringify(states)}; ${ann.complaints} ${bob.complaints}`);
				});
				await ann.evaluate(() => window.peer.pipe.send("hello, Bob"));
				await bob.waitForFunction(() => window.peer.said.length === 1);
				await bob.evaluate(() => window.peer.pipe.send("hello, Ann"));
				await ann.waitForFunction(() => window.peer.said.length === 1);
				assert.deepEqual(await bob.evaluate(() => window.peer.said), ["hello, Bob"]);
				assert.deepEqual(await ann.evaluate(() => window.peer.said), ["hello, Ann"]);

				await ann.evaluate(() => window.peer.push("call_end", { reason: "user_hangup" }));
				await bob.waitForFunction(() => window.peer.ended.length === 1);
				assert.deepEqual(await bob.evaluate(() => window.peer.ended), ["user_hangup"]);
				assert.deepEqual([ann.complaints, bob.complaints], [[], []]);
			});
	});
});
