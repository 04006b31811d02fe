// A call between two windows: WebRTC, signalled through a roost with the official phoenix client. What goes through the
// channel is in roost-protocol(7), "The class signaling".

const $ = (id) => document.getElementById(id);

let channel = null;
let names = null;		// { me, other }
let peer = null;		// RTCPeerConnection of the call under way
let pipe = null;		// its data channel
let called = false;		// the other calls
let offer = null;		// of a call that rings here
let early = [];			// candidates that came before we could use them

function setState(state, text) {
	$("state").dataset.state = state;
	$("state").textContent = text;
}

function showHint(text) {
	$("hint").textContent = text;
	$("hint").hidden = text === "";
}

/* What can be done now: "idle", "calling", "ringing" or "talking". */
function setPhase(phase, text) {
	setState("joined", text);
	$("dial").hidden = phase !== "idle";
	$("answer").hidden = phase !== "ringing";
	$("end").hidden = phase === "idle";
	$("body").disabled = phase !== "talking";
}

function show(from, text) {
	const item = document.createElement("li");

	item.className = from === names.me ? "message mine" : "message";
	item.style.setProperty("--hue", from === names.me ? 160 : 30);
	for (const [className, content] of [["from", from], ["body", text]]) {
		const part = document.createElement("span");

		part.className = className;
		part.textContent = content;
		item.append(part);
	}
	$("messages").append(item);
	item.scrollIntoView();
}

function push(event, payload) {
	return new Promise((resolve, reject) => channel.push(event, payload)
		.receive("ok", resolve)
		.receive("error", ({ reason }) => reject(new Error(`${event} was refused: ${reason}`)))
		.receive("timeout", () => reject(new Error(`${event} was not answered`))));
}

function usePipe(fresh) {
	pipe = fresh;
	pipe.onopen = () => setPhase("talking", `talking with ${names.other}`);
	pipe.onmessage = ({ data }) => show(names.other, String(data));
}

/* A camera is welcome, and not needed. */
async function addMedia() {
	try {
		const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });

		$("mine").srcObject = media;
		media.getTracks().forEach((track) => peer.addTrack(track, media));
	} catch {
		showHint("No camera or microphone here: this call is text alone.");
	}
}

async function makePeer() {
	showHint("");
	peer = new RTCPeerConnection();
	peer.ontrack = ({ streams }) => { $("theirs").srcObject = streams[0]; };
	peer.ondatachannel = (event) => usePipe(event.channel);
	peer.onicecandidate = ({ candidate }) => candidate && push("ice_candidate", {
		candidate: candidate.candidate, sdp_mid: candidate.sdpMid, sdp_m_line_index: candidate.sdpMLineIndex,
	}).catch((error) => showHint(error.message));
	await addMedia();
}

function hangUp(text) {
	peer?.close();
	$("mine").srcObject?.getTracks().forEach((track) => track.stop());
	$("mine").srcObject = $("theirs").srcObject = null;
	peer = pipe = offer = null;
	called = false;
	early = [];
	setPhase("idle", text);
}

async function addCandidate({ candidate, sdp_mid: sdpMid, sdp_m_line_index: sdpMLineIndex }) {
	const init = { candidate, sdpMid, sdpMLineIndex };

	if (peer?.remoteDescription)
		await peer.addIceCandidate(init);
	else
		early.push(init);
}

async function takeEarly() {
	for (const init of early.splice(0))
		await peer.addIceCandidate(init);
}

async function dial() {
	setPhase("calling", `calling ${names.other}…`);
	try {
		await push("call_initiate", { callee_id: names.other, call_type: "video" });
	} catch (error) {
		if (called)
			return;		// both called at once, and the other was first: an offer comes
		throw error;
	}
	await makePeer();
	usePipe(peer.createDataChannel("talk"));
	await peer.setLocalDescription();
	await push("call_offer", { sdp: peer.localDescription.sdp, type: "offer" });
}

async function answer() {
	setPhase("calling", "answering…");
	await makePeer();
	await peer.setRemoteDescription(offer);
	await takeEarly();
	await peer.setLocalDescription();
	await push("call_answer", { sdp: peer.localDescription.sdp, type: "answer" });
}

/* A step of a call: what goes wrong in it ends it. */
function step(fn) {
	return async (payload) => {
		try {
			await fn(payload);
		} catch (error) {
			showHint(error.message);
			channel.push("call_end", { reason: "failed" });
			hangUp(`with ${names.other}, no call`);
		}
	};
}

function connect(Socket, token) {
	const socket = new Socket("/socket", { authToken: token });
	const [caller_id, callee_id] = [names.me, names.other].sort();

	channel = socket.channel(`signaling:call:${caller_id}+${callee_id}`, { caller_id, callee_id });
	channel.on("call_initiate", () => {
		called = true;
		setState("waiting", `${names.other} calls…`);
	});
	channel.on("call_offer", ({ sdp, type }) => {
		offer = { sdp, type };
		setPhase("ringing", `${names.other} calls`);
	});
	channel.on("call_answer", step(async ({ sdp, type }) => {
		await peer.setRemoteDescription({ sdp, type });
		await takeEarly();
	}));
	channel.on("ice_candidate", step(addCandidate));
	channel.on("call_end", ({ reason }) => hangUp(`the call has ended: ${reason}`));
	channel.join()
		.receive("ok", () => {
			$("enter").hidden = true;
			$("call").hidden = false;
			if (!peer && !offer)	// not when the connection came back in a call
				setPhase("idle", `ready for ${names.other}`);
		})
		.receive("error", ({ reason }) => setState("refused", `refused: ${reason}`));
	socket.connect();
}

async function enter(event, Socket) {
	event.preventDefault();
	names = { me: $("me").value.trim(), other: $("other").value.trim() };
	if (names.me === "" || names.other === "" || names.me === names.other) {
		showHint("Two different names are needed.");
		return;
	}
	showHint("");
	const reply = await fetch(`token?user=${encodeURIComponent(names.me)}`, { cache: "no-store" });

	if (reply.ok)
		connect(Socket, (await reply.json()).token);
	else
		showHint("Tokens are given out by roostd --dev only.");
}

async function start() {
	const wanted = new URLSearchParams(location.search);
	let Socket;

	try {
		({ Socket } = await import("./vendor/phoenix.mjs"));
	} catch {
		showHint("The phoenix client is missing: vendor/phoenix.mjs was not found beside this page. contrib/run fetches it from npm.");
		return;
	}
	$("me").value = wanted.get("me") ?? "alice";
	$("other").value = wanted.get("other") ?? "bob";
	$("enter").addEventListener("submit", (event) => enter(event, Socket));
	$("dial").addEventListener("click", step(dial));
	$("answer").addEventListener("click", step(answer));
	$("end").addEventListener("click", () => {
		channel.push("call_end", {});
		hangUp(`ready for ${names.other}`);
	});
	/* A page that is reloaded forgets its call. At pagehide the client closes the connection, and it is too late. */
	window.addEventListener("beforeunload", () => peer && channel.push("call_end", {}));
	$("say").addEventListener("submit", (event) => {
		event.preventDefault();
		pipe.send($("body").value);
		show(names.me, $("body").value);
		$("body").value = "";
	});
}

start();
