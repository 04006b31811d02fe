// The lobby: a chat over the official phoenix client, to see a roost at work. Data is shown as text, never as markup.

const TYPING_PAUSE = 2000;	// ms without a key until we say that we stopped
const TYPING_LIFE = 5000;	// ms until a sign of typing is forgotten, should its end never come
const KEPT_MESSAGES = 500;

const NAMES = ["Wren", "Heron", "Lark", "Rook", "Swift", "Plover", "Siskin", "Dunlin", "Martin", "Kite"];
const KINDS = ["Quiet", "Brave", "Early", "Gentle", "Merry", "Nimble", "Patient", "Sunny", "Wandering", "Witty"];

const $ = (id) => document.getElementById(id);
const pick = (list) => list[Math.floor(Math.random() * list.length)];

// Two windows may bear one name, so each has an id besides.
const me = { id: Math.random().toString(36).slice(2, 12), name: "" };
const typists = new Map();	// id → { name, timer }
let token = "";
let channel = null;

function setState(state, text) {
	$("state").dataset.state = state;
	$("state").textContent = text;
}

function showHint(text) {
	$("hint").textContent = text;
	$("hint").hidden = false;
}

function make(tag, className, text) {
	const element = document.createElement(tag);
	element.className = className;
	element.textContent = text;
	return element;
}

function hueOf(text) {
	let hue = 0;
	for (const c of text)
		hue = (hue * 31 + c.codePointAt(0)) % 360;
	return hue;
}

async function fetchToken() {
	const answer = await fetch(`token?user=${encodeURIComponent(me.name)}`, { cache: "no-store" });
	if (!answer.ok)
		throw new Error(`the server gave no token (status ${answer.status})`);
	token = (await answer.json()).token;
}

function showMessage({ body, from, id }) {
	const list = $("messages");
	const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
	const item = make("li", id === me.id ? "message mine" : "message", "");

	item.style.setProperty("--hue", hueOf(String(from)));
	item.append(make("span", "from", String(from)),
		make("time", "at", new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })),
		make("p", "body", String(body)));
	list.append(item);
	while (list.children.length > KEPT_MESSAGES)
		list.firstElementChild.remove();
	if (atEnd || id === me.id)
		list.scrollTop = list.scrollHeight;
}

function showTypists() {
	const names = [...typists.values()].map((t) => t.name);
	let text = "";

	if (names.length > 3)
		text = `${names.length} people are typing…`;
	else if (names.length > 0)
		text = `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…`;
	$("typing").textContent = text;
}

function noteTyping({ from, id, is_typing: isTyping }) {
	const key = id ?? from;

	if (id === me.id)
		return;
	clearTimeout(typists.get(key)?.timer);
	typists.delete(key);
	if (isTyping)
		typists.set(key, {
			name: String(from),
			timer: setTimeout(() => noteTyping({ from, id, is_typing: false }), TYPING_LIFE),
		});
	showTypists();
}

// Says that we type when we begin, and that we stopped after a pause.
const typing = {
	timer: 0,
	on: false,
	set(on) {
		clearTimeout(this.timer);
		if (on)
			this.timer = setTimeout(() => this.set(false), TYPING_PAUSE);
		if (on !== this.on)
			channel.push("typing", { from: me.name, id: me.id, is_typing: on });
		this.on = on;
	},
};

function say(event) {
	const body = $("body").value.trim();

	event.preventDefault();
	if (body === "")
		return;
	typing.set(false);
	channel.push("new_msg", { body, from: me.name, id: me.id })
		.receive("error", ({ reason }) => showHint(`The message was refused: ${reason}`))
		.receive("timeout", () => showHint("The message was not answered in time; it may be lost."));
	$("body").value = "";
}

function onJoined() {
	setState("joined", `joined as ${me.name}`);
	$("hint").hidden = true;
	$("enter").hidden = true;
	$("room").hidden = false;
	$("body").focus();
}

function connect(Socket) {
	const socket = new Socket("/socket", { authToken: () => token });

	socket.onOpen(() => setState("waiting", "connected, joining…"));
	socket.onClose(() => {
		setState("waiting", "connection lost, trying again…");
		typing.on = false;
		// A token does not live for ever, and the server may have a new key.
		fetchToken().catch(() => {});
	});
	channel = socket.channel("room:lobby", {});
	channel.on("new_msg", showMessage);
	channel.on("typing", noteTyping);
	channel.onError(() => setState("waiting", "the channel broke, joining again…"));
	channel.join()
		.receive("ok", onJoined)
		.receive("error", ({ reason }) => setState("refused", `refused: ${reason}`))
		.receive("timeout", () => setState("waiting", "no answer yet, trying again…"));
	socket.connect();
}

async function enter(event, Socket) {
	event.preventDefault();
	me.name = $("name").value.trim();
	if (me.name === "")
		return;
	setState("waiting", "connecting…");
	$("enter").querySelector("button").disabled = true;
	try {
		await fetchToken();
		connect(Socket);
	} catch (error) {
		setState("refused", "not connected");
		showHint(`${error.message}. Tokens are given out by roostd --dev only.`);
		$("enter").querySelector("button").disabled = false;
	}
}

async function start() {
	let Socket;

	try {
		({ Socket } = await import("./vendor/phoenix.mjs"));
	} catch {
		showHint("The phoenix client is missing: vendor/phoenix.mjs was not found beside this page. Run contrib/run, which fetches it "
			+ "from npm, or copy priv/static/phoenix.mjs of the npm package phoenix into the folder vendor beside this page.");
		$("enter").hidden = true;
		return;
	}
	$("name").value = new URLSearchParams(location.search).get("name") ?? `${pick(KINDS)} ${pick(NAMES)}`;
	$("name").select();
	$("enter").addEventListener("submit", (event) => enter(event, Socket));
	$("say").addEventListener("submit", say);
	$("body").addEventListener("input", () => typing.set($("body").value !== ""));
}

start();
