/*
 * WebSocket as a transport. Each connection has one timer, set lazily: activity only notes the time, and the
 * timer works out what is due when it fires.
 */
#include "transport/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/utf8.h"

#define INFLATED_PER_FRAME	16	/* bytes that cost as much as a frame to queue */

/* In set->open until it closes, then in set->closing. */
struct websocket {
	struct session		 session;
	struct websockets	*set;
	struct stream		*stream;
	struct list		 in_set;
	struct timer		 timer;
	struct ws_parser	 parser;
	struct buf		 message;	/* a message that came in pieces, as far as it is here */
	struct frame		*pong;		/* to be sent: the newest ping's answer */
	uint64_t		 heard;		/* ms: the last byte from the client */
	uint64_t		 asked;		/* ms: the ping that waits for an answer; 0 = none */
	uint64_t		 paused_until;	/* ms: reading rests; 0 = it does not */
	uint64_t		 close_by;	/* ms: the end, whatever the client does; 0 = open */
	struct addr		 peer;
	bool			 echo : 1;
	bool			 full : 1;	/* reading rests until the client has read */
	bool			 close_sent : 1;
	bool			 close_seen : 1;
	websocket_gone_fn	*on_gone;
	void			*arg;
	struct grave		 grave;
};

static uint64_t
websocket_now(const struct websocket *ws)
{
	return ws->set->env->loop->now;
}

/* The timer shall fire at `due` at the latest. */
static void
websocket_wake_by(struct websocket *ws, uint64_t due)
{
	if (!timer_is_set(&ws->timer) || due < ws->timer.due)
		loop_timer(ws->set->env->loop, &ws->timer, due);
}

static void
websocket_bury(struct grave *g)
{
	struct websocket *ws = container_of(g, struct websocket, grave);

	ws_parser_done(&ws->parser);
	buf_done(&ws->message);
	frame_unref(ws->pong);
	free(ws);
}

/* The channels leave; the connection may go on for its closing handshake. */
static void
websocket_leave(struct websocket *ws)
{
	if (ws->session.who == NULL)
		return;
	if (ws->on_gone != NULL)
		ws->on_gone(ws->arg, &ws->peer, session_user(&ws->session));
	session_done(&ws->session);
	list_remove(&ws->in_set);
	list_append(&ws->set->closing, &ws->in_set);
	ws->set->n--;
	stats->websockets--;
}

static void
websocket_free(struct websocket *ws, bool reset)
{
	if (ws->stream == NULL)
		return;
	websocket_leave(ws);
	timer_stop(&ws->timer);
	list_remove(&ws->in_set);
	ws->set->n_all--;
	stats->connections--;
	stream_free(ws->stream, reset);
	ws->stream = NULL;
	loop_bury(ws->set->env->loop, &ws->grave);
}

/* Our close frame goes last; then we wait for theirs, or for their FIN. */
static void
websocket_send_close(struct websocket *ws, unsigned code)
{
	struct frame *f = frame_new(WS_CLOSE, 2);

	if (ws->close_sent) {
		frame_unref(f);
		return;
	}
	frame_body(f)[0] = (char)(code >> 8);
	frame_body(f)[1] = (char)code;
	stream_send(ws->stream, f);
	ws->close_sent = true;
	ws->close_by = websocket_now(ws) + ws->set->options.close_ms;
	websocket_wake_by(ws, ws->close_by);
	/* Deaf clients and flooding ones must be read, so that we see their answer. */
	ws->paused_until = 0;
	ws->full = false;
	stream_set_reading(ws->stream, true);
}

static struct websocket *
websocket_of(struct session *s)
{
	return container_of(s, struct websocket, session);
}

static void
websocket_close(struct session *s, unsigned code, const char *why)
{
	struct websocket *ws = websocket_of(s);

	websocket_send_close(ws, code);
	websocket_leave(ws);
}

static void
websocket_pause(struct session *s, uint64_t ms)
{
	struct websocket *ws = websocket_of(s);

	ws->paused_until = websocket_now(ws) + ms;
	stream_set_reading(ws->stream, false);
	websocket_wake_by(ws, ws->paused_until);
}

static void
websocket_wake(struct session *s)
{
	struct websocket *ws = websocket_of(s);

	websocket_wake_by(ws, websocket_now(ws));
}

static const struct transport websocket_transport = {
	.name = "websocket",
	.close = websocket_close,
	.pause = websocket_pause,
	.wake = websocket_wake,
};

/* The client broke the protocol. */
static void
websocket_fail(struct websocket *ws, unsigned code, const char *why)
{
	stats->protocol_errors_total++;
	session_close(&ws->session, code, "%s", why);
}

static const char *
close_reason(unsigned code)
{
	switch (code) {
	case WS_BAD_DATA:
		return "invalid UTF-8 or compressed data";
	case WS_TOO_BIG:
		return "message too big";
	case WS_POLICY:
		return "too many fragments";
	default:
		return "WebSocket protocol error";
	}
}

static void
websocket_send_pong(struct websocket *ws)
{
	if (ws->pong == NULL || ws->stream->stuck || ws->close_sent)
		return;
	stream_send(ws->stream, ws->pong);
	ws->pong = NULL;
}

/* An older ping that is not answered yet need not be (RFC 6455 section 5.5.3): a flood of pings queues one pong. */
static void
websocket_on_ping(struct websocket *ws, struct slice data)
{
	frame_unref(ws->pong);
	ws->pong = frame_new(WS_PONG, data.n);
	memcpy(frame_body(ws->pong), data.p, data.n);
}

static void
websocket_on_close(struct websocket *ws, unsigned code)
{
	ws->close_seen = true;
	websocket_send_close(ws, code == WS_NO_STATUS ? WS_NORMAL : code);
	websocket_leave(ws);
	stream_shutdown(ws->stream);
}

static void
websocket_echo(struct websocket *ws, bool binary, struct slice data)
{
	struct frame *f = frame_new(binary ? WS_BINARY : WS_TEXT, data.n), *out = f;

	memcpy(frame_body(f), data.p, data.n);
	if (ws->stream->out.window != 0)
		out = deflate_frame(ws->set->deflate, f, ws->stream->out.window);
	stream_send(ws->stream, frame_ref(out));
	frame_unref(f);
}

/* A whole message as it was meant. */
static void
websocket_deliver(struct websocket *ws, bool binary, struct slice data)
{
	websocket_send_pong(ws);
	if (ws->echo)
		websocket_echo(ws, binary, data);
	else
		session_receive(&ws->session, binary, data);
}

static void
websocket_inflate(struct websocket *ws, bool binary, struct slice data)
{
	struct buf *out = &ws->set->inflated;
	int	    r = deflate_inflate(ws->set->deflate, data, ws->set->options.limits.max_message, out);

	loop_worked(ws->set->env->loop, (unsigned)(out->n / INFLATED_PER_FRAME));
	if (r == -EMSGSIZE)
		websocket_fail(ws, WS_TOO_BIG, "message too big when inflated");
	else if (r < 0)
		websocket_fail(ws, WS_BAD_DATA, "invalid compressed data");
	else if (!binary && !utf8_valid(buf_slice(out)))
		websocket_fail(ws, WS_BAD_DATA, "invalid UTF-8");
	else
		websocket_deliver(ws, binary, buf_slice(out));
}

static void
websocket_on_data(struct websocket *ws, const struct ws_event *ev)
{
	struct slice data = ev->data;

	if (!ev->first || !ev->last) {
		buf_add_slice(&ws->message, data);
		if (!ev->last)
			return;
		data = buf_slice(&ws->message);
	}
	if (ev->compressed)
		websocket_inflate(ws, ev->binary, data);
	else
		websocket_deliver(ws, ev->binary, data);
	/* An idle connection holds no buffer. */
	if (ws->message.p != NULL)
		buf_done(&ws->message);
}

static void
websocket_event(struct websocket *ws, const struct ws_event *ev)
{
	switch (ev->kind) {
	case WS_EV_DATA:
		websocket_on_data(ws, ev);
		break;
	case WS_EV_PING:
		websocket_on_ping(ws, ev->data);
		break;
	case WS_EV_CLOSE:
		websocket_on_close(ws, ev->code);
		break;
	case WS_EV_PONG:
	case WS_EV_NONE:
		break;
	}
}

static void
websocket_on_bytes(struct stream *s, char *p, size_t n)
{
	struct websocket *ws = s->owner;
	struct ws_event	  ev;

	ws->heard = websocket_now(ws);
	ws->asked = 0;
	while (n > 0 && !ws->close_seen) {
		ssize_t used = ws_parse(&ws->parser, &ws->set->options.limits, p, n, &ev);

		if (used < 0) {
			websocket_fail(ws, (unsigned)-used, close_reason((unsigned)-used));
			/* What follows cannot be told apart: their close frame will not be seen. */
			ws->close_seen = true;
			stream_shutdown(s);
			return;
		}
		p += used;
		n -= (size_t)used;
		/* After our close frame only theirs counts. */
		if (!ws->close_sent || ev.kind == WS_EV_CLOSE)
			websocket_event(ws, &ev);
		if (loop_is_tired(ws->set->env->loop) && !ws->close_seen) {
			stream_put_back(s, p, n);
			break;
		}
	}
	websocket_send_pong(ws);
}

static void
websocket_on_end(struct stream *s, int error)
{
	websocket_free(s->owner, false);
}

/*
 * One great message, such as the presences of a great topic, is nobody's fault: it waits beside what counts, for as long as
 * the client goes on reading.
 */
static bool
websocket_is_slow(const struct websocket *ws, const struct outq *q)
{
	uint64_t max = ws->set->options.max_queue;

	return q->lost || (q->bytes > max && q->bytes > max + outq_greatest(q));
}

/* The client does not read. Half a queue stops us from reading what it sends; a whole one ends it. */
static void
websocket_on_stuck(struct stream *s)
{
	struct websocket *ws = s->owner;

	if (ws->close_sent)
		return;
	if (websocket_is_slow(ws, &s->out)) {
		stats->slow_consumer_total++;
		outq_clear_unsent(&s->out);
		session_close(&ws->session, WS_TRY_LATER, "reads too slowly: more than %llu bytes wait",
		    (unsigned long long)ws->set->options.max_queue);
		return;
	}
	if (s->out.bytes > ws->set->options.max_queue / 2 && !ws->full) {
		ws->full = true;
		stream_set_reading(s, false);
	}
	websocket_wake_by(ws, s->progress + ws->set->options.stall_ms);
}

static void
websocket_on_flushed(struct stream *s)
{
	struct websocket *ws = s->owner;

	if (ws->full) {
		ws->full = false;
		stream_set_reading(s, ws->paused_until == 0);
	}
	websocket_send_pong(ws);
}

static const struct stream_user websocket_user = {
	.on_bytes = websocket_on_bytes,
	.on_end = websocket_on_end,
	.on_stuck = websocket_on_stuck,
	.on_flushed = websocket_on_flushed,
};

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Silence: first we ask, then we end it. Returns when to look again. */
static uint64_t
websocket_tick_silence(struct websocket *ws, uint64_t now)
{
	const struct websocket_options *o = &ws->set->options;

	/* Who may not be heard cannot be blamed for silence. */
	if (ws->full || ws->paused_until != 0) {
		ws->heard = now;
		ws->asked = 0;
	}
	if (now >= ws->heard + o->idle_ms || (ws->asked != 0 && now >= ws->asked + o->pong_ms)) {
		stats->timeouts_total++;
		session_close(&ws->session, WS_AWAY, "%s", ws->asked != 0 ? "no answer to a ping" : "idle");
		return ws->close_by;
	}
	if (o->ping_ms != 0 && ws->asked == 0 && now >= ws->heard + o->ping_ms) {
		ws->asked = now;
		stream_send(ws->stream, frame_ref(ws->set->ping));
	}
	if (ws->asked != 0)
		return sooner(ws->heard + o->idle_ms, ws->asked + o->pong_ms);
	return sooner(ws->heard + o->idle_ms, o->ping_ms != 0 ? ws->heard + o->ping_ms : UINT64_MAX);
}

/* A client that takes nothing, though not much waits for it. */
static uint64_t
websocket_tick_stall(struct websocket *ws, uint64_t now)
{
	uint64_t due = ws->stream->progress + ws->set->options.stall_ms;

	if (!ws->stream->stuck)
		return UINT64_MAX;
	if (now < due)
		return due;
	stats->slow_consumer_total++;
	outq_clear_unsent(&ws->stream->out);
	session_close(&ws->session, WS_TRY_LATER, "reads nothing for %llu ms",
	    (unsigned long long)ws->set->options.stall_ms);
	return ws->close_by;
}

static uint64_t
websocket_tick_pause(struct websocket *ws, uint64_t now)
{
	if (ws->paused_until == 0 || now < ws->paused_until)
		return ws->paused_until == 0 ? UINT64_MAX : ws->paused_until;
	ws->paused_until = 0;
	stream_set_reading(ws->stream, !ws->full);
	return UINT64_MAX;
}

static void
websocket_tick(struct timer *t, uint64_t now)
{
	struct websocket *ws = container_of(t, struct websocket, timer);
	uint64_t	  due = UINT64_MAX;

	if (!ws->close_sent)
		due = sooner(websocket_tick_pause(ws, now), websocket_tick_stall(ws, now));
	if (!ws->close_sent)
		due = sooner(due, websocket_tick_silence(ws, now));
	if (!ws->close_sent && !ws->echo)
		due = sooner(due, session_tick(&ws->session, now));
	if (ws->close_sent) {
		due = ws->close_by;
		if (now >= due) {
			websocket_free(ws, ws->stream->out.n > 0);
			return;
		}
	}
	loop_timer(ws->set->env->loop, t, due);
}

void
websockets_init(struct websockets *set, struct session_env *env, struct deflate *deflate)
{
	*set = (struct websockets){ .env = env, .deflate = deflate, .ping = frame_new(WS_PING, 0) };
	list_init(&set->open);
	list_init(&set->closing);
}

void
websockets_done(struct websockets *set)
{
	list_each(link, &set->open)
		websocket_free(list_entry(link, struct websocket, in_set), false);
	/* What the kernel has of our last words it may still deliver. */
	list_each(link, &set->closing) {
		struct websocket *ws = list_entry(link, struct websocket, in_set);

		websocket_free(ws, ws->stream->out.n > 0);
	}
	set->ping = frame_unref(set->ping);
	buf_done(&set->inflated);
}

unsigned
websockets_close_some(struct websockets *set, unsigned n, unsigned code, const char *why)
{
	unsigned closed = 0;

	while (closed < n && !list_empty(&set->open)) {
		session_close(&list_entry(set->open.next, struct websocket, in_set)->session, code, "%s", why);
		closed++;
	}
	return closed;
}

unsigned
websockets_close_user(struct websockets *set, struct slice user, unsigned code, const char *why)
{
	unsigned closed = 0;

	list_each(link, &set->open) {
		struct session *s = &list_entry(link, struct websocket, in_set)->session;

		if (!slice_eq(session_user(s), user))
			continue;
		session_close(s, code, "%s", why);
		closed++;
	}
	return closed;
}

bool
websockets_close_id(struct websockets *set, struct slice id, unsigned code, const char *why)
{
	list_each(link, &set->open) {
		struct session *s = &list_entry(link, struct websocket, in_set)->session;

		if (!slice_is(id, s->id))
			continue;
		session_close(s, code, "%s", why);
		return true;
	}
	return false;
}

void
websocket_open(struct websockets *set, const struct websocket_open *o)
{
	struct websocket *ws = xmalloc(sizeof(*ws));
	char		  peer[ADDR_LEN];

	log_peer(LOG_DEBUG_, addr_text(o->peer, peer), "open: %s (user \"%.*s\")", o->codec != NULL ? o->codec->name : "echo",
	    SLICE_ARG(o->who->user));
	*ws = (struct websocket){
		.set = set, .stream = o->stream, .peer = *o->peer, .echo = o->codec == NULL, .heard = set->env->loop->now,
		.parser.deflate = o->deflate.server_bits != 0, .timer.fire = websocket_tick, .on_gone = o->on_gone,
		.arg = o->arg, .grave.bury = websocket_bury,
	};
	session_init(&ws->session, set->env, &websocket_transport, o->codec, &o->stream->out, &ws->peer, o->who);
	o->stream->out.window = o->deflate.server_bits;
	stream_set_user(o->stream, &websocket_user, ws);
	list_append(&set->open, &ws->in_set);
	set->n++;
	set->n_all++;
	stats->websockets++;
	stats->handshakes_total++;
	session_greet(&ws->session);
	websocket_tick(&ws->timer, ws->heard);
	if (o->rest.n > 0)
		websocket_on_bytes(o->stream, (char *)(uintptr_t)o->rest.p, o->rest.n);
}
