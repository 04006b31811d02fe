// The checker: SEED for a run that is to be seen again, CHECKER_SECONDS for longer ones.

import { test } from "node:test";
import { Checker } from "./checker.mjs";
import { Cluster } from "./cluster.mjs";
import { noRedis } from "./redis.mjs";

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const seconds = Number(process.env.CHECKER_SECONDS ?? 60);

test(`the checker, seed ${seed}`, { skip: noRedis, timeout: (seconds + 120) * 1000 }, async (t) => {
	const c = await Cluster.serve(t, { redis: { append: true } });
	const checker = new Checker(c, seed);

	await checker.run(seconds * 1000);
	t.diagnostic(`${checker.done.length} operations, ${checker.acknowledged.length} messages`);
});
