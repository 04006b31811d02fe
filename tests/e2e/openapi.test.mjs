// share/openapi.json describes the API: the paths and methods that the server's table has, no more and no less, with what they
// really answer.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start } from "./harness.mjs";

const TOP = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const api = JSON.parse(readFileSync(path.join(TOP, "share/openapi.json"), "utf8"));
const METHODS = ["get", "post", "put", "patch", "delete"];

/* "GET /api/channels/*", sorted. */
const described = Object.entries(api.paths).flatMap(([name, item]) => METHODS.filter((method) => method in item)
	.map((method) => `${method.toUpperCase()} ${name.replace(/\{\w+\}/g, "*")}`)).sort();

function served() {
	const table = /\bpaths\[\] = \{\n(.*?)\n\};/s.exec(readFileSync(path.join(TOP, "src/api/api.c"), "utf8"))[1];

	return table.split("\n").flatMap((row) => {
		const pattern = /^\t\{ "([^"]+)", "Allow: /.exec(row)?.[1];
		assert.ok(pattern !== undefined, `not a row: ${row}`);
		return [...row.matchAll(/ \.(\w+) = /g)].map(([, method]) => `${method.toUpperCase()} /api/${pattern}`);
	}).sort();
}

const resolve = (thing) => thing.$ref === undefined ? thing
	: thing.$ref.slice(2).split("/").reduce((at, name) => at[name], api);

/* Asserts that a value is of that schema: the keywords that are used, and no others. */
function conforms(value, given, where) {
	const schema = resolve(given);
	const types = schema.type === undefined ? [] : [schema.type].flat();
	const type = value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;

	assert.ok(types.length === 0 || types.includes(type), `${where}: ${type}, expected ${types}`);
	assert.ok(schema.enum === undefined || schema.enum.includes(value), `${where}: ${value}`);
	if (type === "array")
		value.forEach((item, i) => conforms(item, schema.items, `${where}[${i}]`));
	if (type !== "object")
		return;
	for (const name of schema.required ?? [])
		assert.ok(name in value, `${where}.${name} is missing`);
	for (const [name, member] of Object.entries(value)) {
		const its = schema.properties?.[name] ?? schema.additionalProperties;
		assert.ok(its !== undefined || schema.properties === undefined, `${where}.${name} is not described`);
		if (typeof its === "object")
			conforms(member, its, `${where}.${name}`);
	}
}

describe("the API's description", { concurrency: false }, () => {
	test("its paths and methods are those of the server", () => {
		assert.equal(api.openapi, "3.1.0");
		assert.deepEqual(described, served());
	});

	test("every reference has something to refer to, and every operation a name of its own", () => {
		const names = Object.values(api.paths).flatMap((item) => METHODS.flatMap((method) => item[method]?.operationId ?? []));
		const look = (thing) => {
			if (thing === null || typeof thing !== "object")
				return;
			assert.notEqual(resolve(thing), undefined, thing.$ref);
			Object.values(thing).forEach(look);
		};

		look(api);
		assert.equal(new Set(names).size, described.length);
	});

	test("what is answered is what it says", async () => {
		const d = await start({ dev: true, config: 'route "kept:*" { class = "room" history = yes }\nroute "room:*" { class = "room" }\n' });
		const bodies = { post: { event: "note", data: [1] }, broadcast: { channels: ["room:1", "kept:1"], event: "note" } };
		const ids = { name: "kept:1", id: "nobody" };

		for (const [name, item] of Object.entries(api.paths))
			for (const method of METHODS.filter((one) => one in item)) {
				const { operationId, requestBody, responses } = item[method];
				const answer = await fetch(d.httpUrl + name.replace(/\{(\w+)\}/g, (_, which) => encodeURIComponent(ids[which])), {
					method: method.toUpperCase(),
					headers: { Authorization: "Bearer roost-dev-key", ...requestBody && { "Content-Type": "application/json" } },
					body: requestBody && JSON.stringify(bodies[operationId]),
				});
				const described = resolve(responses[answer.status] ?? assert.fail(`${operationId}: ${answer.status}`));
				assert.ok(answer.status === 200 || operationId === "channel" && answer.status === 404, `${operationId}: ${answer.status}`);
				const body = await answer.json();
				conforms(body, described.content["application/json"].schema, operationId);
				if (operationId === "post")
					ids.message = body.id;
			}
		await d.stop();
	});
});
