// haproxy in front of daemons, for tests.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { waitFor, within } from "./harness.mjs";

const HAPROXY = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].find((file) => existsSync(file));

/* For the option `skip` of a test. */
export const noHaproxy = HAPROXY === undefined ? "haproxy is not installed" : false;

function listens(port) {
	return new Promise((resolve) => {
		const socket = net.connect({ port, host: "127.0.0.1" });

		socket.on("connect", () => { socket.destroy(); resolve(true); });
		socket.on("error", () => resolve(false));
	});
}

/* Runs haproxy with these sections of its configuration until the test ends; returns once it listens on the port. */
export async function haproxy(t, port, config) {
	const dir = mkdtempSync(path.join(tmpdir(), "roost-haproxy-"));
	const file = path.join(dir, "haproxy.cfg");
	let said = "";

	writeFileSync(file, `defaults
	timeout connect 5s
	timeout client 1m
	timeout server 1m
	timeout check 2s
${config}`);
	const child = spawn(HAPROXY, ["-db", "-f", file], { stdio: ["ignore", "pipe", "pipe"] });
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (text) => said += text);
	const ended = once(child, "close");
	t.after(async () => {
		child.kill("SIGKILL");
		await within(ended, "haproxy to end");
		rmSync(dir, { recursive: true });
	});
	await waitFor(() => {
		if (child.exitCode !== null)
			throw new Error(`haproxy ended:\n${said}`);
		return listens(port);
	}, "haproxy to listen");
}
