// Members and cursors: a presence channel over a bare WebSocket, in the Pusher-style protocol of roost-protocol(7). Data is
// shown as text, never as markup.

const CHANNEL = "presence-lobby";
const TYPING_PAUSE = 2000;	// ms without a key until we say that we stopped
const TYPING_LIFE = 5000;	// ms until a sign of typing is forgotten, should its end never come
const CURSOR_PAUSE = 100;	// ms between two places of our cursor
const PING_EVERY = 20_000;	// ms; the server closes what is silent, and we what does not answer
const FIRST_RETRY = 500;	// ms
const LAST_RETRY = 15_000;
const KEPT_MESSAGES = 500;

const $ = (id) => document.getElementById(id);

const me = { name: "", id: null };
const members = new Map();	// user id → member, as the server last told of them: the tabs of a user are one
const cursors = new Map();	// user id → element
const typists = new Map();	// user id → timer
const unsaid = new Map();	// requestId → text of a message that is not yet sent
let socket = null;
let joined = false;
let answered = true;		// anything, since our last ping
let retries = 0;
let lastId = 0;
let joinId = 0;

function setState(state, text) {
	joined = state === "joined";
	$("state").dataset.state = state;
	$("state").textContent = text;
	$("say").querySelector("button").disabled = !joined;
}

function showHint(text) {
	$("hint").textContent = text;
	$("hint").hidden = text === "";
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

/* Others may have sent anything. */
const textOf = (value) => typeof value === "string" ? value : JSON.stringify(value) ?? "";

function nameOf(id) {
	const name = members.get(id)?.name;

	return typeof name === "string" && name !== "" ? name : textOf(id);
}

/* Returns the requestId of what was asked. */
function ask(type, request = {}) {
	const requestId = ++lastId;

	socket.send(JSON.stringify({ type, requestId, ...request }));
	return requestId;
}

/* Members. */

function showMembers() {
	const ids = [...members.keys()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));

	$("members").replaceChildren(...ids.map((id) => {
		const item = make("li", id === me.id ? "member mine" : "member", nameOf(id));

		item.style.setProperty("--hue", hueOf(id));
		return item;
	}));
}

const isPlace = (place) => Number.isFinite(place?.x) && Number.isFinite(place?.y);
const percent = (n) => `${Math.min(Math.max(n, 0), 1) * 100}%`;

function removeCursor(id) {
	cursors.get(id)?.remove();
	cursors.delete(id);
}

/* Where they point, in parts of the board; who points elsewhere has no cursor. */
function showCursor({ id, cursor: place }) {
	if (id === me.id)
		return;
	if (!isPlace(place)) {
		removeCursor(id);
		return;
	}
	if (!cursors.has(id)) {
		cursors.set(id, make("span", "cursor", ""));
		$("board").append(cursors.get(id));
	}
	const element = cursors.get(id);

	element.textContent = nameOf(id);
	element.style.setProperty("--hue", hueOf(id));
	element.style.left = percent(place.x);
	element.style.top = percent(place.y);
}

const changedAt = ({ joinedAt, updatedAt = joinedAt }) => textOf(updatedAt);

/* All who are there; of a user's tabs, the one that moved last. */
function takeMembers(list) {
	const old = new Set(cursors.keys());

	members.clear();
	list.sort((a, b) => changedAt(a).localeCompare(changedAt(b)));
	for (const member of list)
		members.set(member.id, member);
	for (const id of old)
		removeCursor(id);
	members.forEach(showCursor);
	showMembers();
}

function dropMember({ id }) {
	members.delete(id);
	removeCursor(id);
	noteTyping(id, false);
	showMembers();
}

/* Mostly a cursor has moved, and the list is as before. */
function updateMember(member) {
	const old = members.get(member.id);

	members.set(member.id, member);
	showCursor(member);
	if (old === undefined || old.name !== member.name)
		showMembers();
}

/* Another tab of one who is there is nothing new. */
function addMember(member) {
	if (!members.has(member.id))
		updateMember(member);
}

// Our own cursor: told of as soon as that may be, and at last where it rests.
const pointer = {
	place: null,
	timer: 0,
	toldAt: 0,
	move(place) {
		this.place = place;
		if (this.timer === 0)
			this.timer = setTimeout(() => this.tell(), Math.max(0, this.toldAt + CURSOR_PAUSE - Date.now()));
	},
	tell() {
		this.timer = 0;
		this.toldAt = Date.now();
		if (joined)
			ask("channel:update", { channel: CHANNEL, userInfo: { cursor: this.place } });
	},
};

function point(event) {
	const box = $("board").getBoundingClientRect();

	pointer.move({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
}

/* Messages. */

function showMessage(id, name, body, timestamp) {
	const list = $("messages");
	const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
	const item = make("li", id === me.id ? "message mine" : "message", "");

	item.style.setProperty("--hue", hueOf(textOf(id)));
	item.append(make("span", "from", name),
		make("time", "at", new Date(timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })),
		make("p", "body", body));
	list.append(item);
	while (list.children.length > KEPT_MESSAGES)
		list.firstElementChild.remove();
	if (atEnd || id === me.id)
		list.scrollTop = list.scrollHeight;
}

function showTypists() {
	const names = [...typists.keys()].map(nameOf);
	let text = "";

	if (names.length > 3)
		text = `${names.length} people are typing…`;
	else if (names.length > 0)
		text = `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…`;
	$("typing").textContent = text;
}

function noteTyping(id, isTyping) {
	clearTimeout(typists.get(id));
	typists.delete(id);
	if (isTyping && id !== me.id)
		typists.set(id, setTimeout(() => noteTyping(id, false), TYPING_LIFE));
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
		if (on !== this.on && joined)
			ask("channel:message", { channel: CHANNEL, event: "typing", data: { isTyping: on } });
		this.on = on && joined;
	},
};

/* Whoever has no `from` speaks for the server. */
function hear({ event, data, from, timestamp }) {
	const id = from?.userId ?? null;

	if (event === "typing") {
		noteTyping(id, data?.isTyping === true);
		return;
	}
	noteTyping(id, false);
	showMessage(id, id === null ? "the server" : nameOf(id), textOf(data?.text ?? data), timestamp);
}

function say(event) {
	const text = $("body").value.trim();

	event.preventDefault();
	if (text === "" || !joined)
		return;
	typing.set(false);
	unsaid.set(ask("channel:message", { channel: CHANNEL, event: "message", data: { text } }), text);
	$("body").value = "";
}

/* What we say is not told to us: it is shown when it was sent. */
function onSent({ requestId }) {
	if (unsaid.has(requestId))
		showMessage(me.id, me.name, unsaid.get(requestId), Date.now());
	unsaid.delete(requestId);
}

/* The connection. */

function join() {
	setState("waiting", "connected, joining…");
	joinId = ask("join", { channel: CHANNEL, userInfo: { name: me.name } });
}

function onJoined(answer) {
	retries = 0;
	me.id = answer.me.id;
	takeMembers(answer.members);
	setState("joined", `joined as ${me.name}`);
	$("enter").hidden = true;
	if ($("room").hidden) {
		$("room").hidden = false;
		$("body").focus();
	}
}

function drop() {
	if (socket === null)
		return;
	socket.onmessage = socket.onclose = null;
	socket.close();
	socket = null;
	typing.on = false;
	for (const id of [...typists.keys()])
		noteTyping(id, false);
}

/* For the user to try again. */
function refuse(text) {
	drop();
	setState("refused", "not joined");
	showHint(text);
	$("room").hidden = true;
	$("enter").hidden = false;
	$("enter").querySelector("button").disabled = false;
}

function onError({ requestId, channel, code, message, retryAfterMs }) {
	const text = `${textOf(message)} (${textOf(code)})`;

	unsaid.delete(requestId);
	if (requestId === joinId && retryAfterMs === undefined)
		refuse(`Joining was refused: ${text}`);
	else
		showHint(`The server says: ${text}`);
	/* What was not asked for is the end of our membership. */
	if (requestId === joinId ? retryAfterMs !== undefined : requestId === undefined && channel === CHANNEL)
		again(join, retryAfterMs);
}

const handlers = {
	"connected": join,
	"channel:joined": onJoined,
	"channel:left": () => refuse("The server has closed the channel."),
	"channel:sent": onSent,
	"channel:message": hear,
	"presence:member_joined": ({ member }) => addMember(member),
	"presence:member_updated": ({ member }) => updateMember(member),
	"presence:member_left": ({ member }) => dropMember(member),
	"error": onError,
};

/* Later each time, and not all at once; not if the connection is another one by then. */
function again(fn, least = 0) {
	const present = socket;
	const pause = Math.min(FIRST_RETRY * 2 ** retries++, LAST_RETRY) * (0.5 + Math.random() / 2);

	setState("waiting", "trying again…");
	setTimeout(() => present === socket && fn(), Math.max(pause, least));
}

function lose() {
	drop();
	if (unsaid.size > 0)
		showHint("The connection was lost, and with it perhaps what you said last.");
	unsaid.clear();
	again(reconnect);
}

function keepAlive() {
	if (socket?.readyState !== WebSocket.OPEN)
		return;
	if (!answered) {
		lose();
		return;
	}
	answered = false;
	ask("ping");
}

/* A token does not live for ever, and the server may have a new key: each connection has its own. */
async function connect() {
	const reply = await fetch(`token?user=${encodeURIComponent(me.name)}`, { cache: "no-store" });

	if (!reply.ok)
		throw new Error(`The server gave no token (status ${reply.status}). Tokens are given out by roostd --dev only.`);
	const { token } = await reply.json();

	socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?token=${encodeURIComponent(token)}`);
	answered = true;
	socket.onmessage = ({ data }) => {
		const message = JSON.parse(data);

		answered = true;
		handlers[message.type]?.(message);
	};
	socket.onclose = lose;
}

function reconnect() {
	connect().catch(() => again(reconnect));
}

async function enter(event) {
	event.preventDefault();
	me.name = $("name").value.trim();
	if (me.name === "")
		return;
	showHint("");
	setState("waiting", "connecting…");
	$("enter").querySelector("button").disabled = true;
	await connect().catch((error) => refuse(error.message));
}

$("name").value = new URLSearchParams(location.search).get("name") ?? "alice";
$("name").select();
$("enter").addEventListener("submit", enter);
$("say").addEventListener("submit", say);
$("body").addEventListener("input", () => {
	showHint("");
	typing.set($("body").value !== "");
});
$("board").addEventListener("pointermove", point);
$("board").addEventListener("pointerleave", () => pointer.move(null));
setInterval(keepAlive, PING_EVERY);
