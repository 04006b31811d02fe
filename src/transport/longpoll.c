/*
 * Long poll as a transport. Each session has one timer, set lazily, as a WebSocket has; its queue is flushed into the poll
 * that waits, or kept for the next.
 */
#include "transport/longpoll.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/b64.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/utf8.h"
#include "net/ws.h"
#include "wire/codec.h"
#include "wire/json.h"

#define MAX_MESSAGES	4096		/* in one answer: what more there is waits for the next poll */
#define MAX_ANSWER	(4u << 20)	/* bytes of them, but for one that is greater */
#define POST_MS		4000		/* a post is put off by pauses for so long, and then taken as it is */

/* In set->open and set->sessions until it ends; buried then. */
struct longpoll {
	struct session		 session;
	struct longpolls	*set;
	struct outq		 out;
	struct list		 in_set;
	struct timer		 timer;
	struct longpoll_request	*waiting;	/* the poll that gets what comes; NULL = none */
	struct longpoll_request *handing;	/* a poll's answer that is not settled; NULL = none */
	uint32_t		 handed;	/* bytes at the front of the queue that it has */
	struct list		 posts;		/* in the order they came */
	size_t			 posted;	/* bytes of their bodies */
	uint64_t		 polled;	/* ms: when a poll was here last */
	uint64_t		 paused_until;	/* ms: posts rest; 0 = they do not */
	struct addr		 peer;
	bool			 taking : 1;	/* posts are being taken: not again from inside that */
	longpoll_gone_fn	*on_gone;
	void			*arg;
	struct grave		 grave;
	struct slice		 id;		/* in the token, and so is the next */
	struct slice		 secret;
	size_t			 token_len;
	char			 token[LONGPOLL_MAX_TOKEN];
};

static uint64_t
longpoll_now(const struct longpoll *lp)
{
	return lp->set->env->loop->now;
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The timer shall fire at `due` at the latest. */
static void
longpoll_wake_by(struct longpoll *lp, uint64_t due)
{
	if (!timer_is_set(&lp->timer) || due < lp->timer.due)
		loop_timer(lp->set->env->loop, &lp->timer, due);
}

static struct slice
longpoll_key(const void *item)
{
	const struct longpoll *lp = item;

	return lp->id;
}

static void
longpoll_bury(struct grave *g)
{
	free(container_of(g, struct longpoll, grave));
}

/* The frames at the front of the queue as a JSON array of strings. Returns how many bytes of the queue they are. */
static uint32_t
longpoll_compose(const struct longpoll *lp, struct buf *text)
{
	uint32_t bytes = 0;

	buf_add_char(text, '[');
	for (unsigned i = 0; i < lp->out.n && i < MAX_MESSAGES; i++) {
		struct frame *f = outq_at(&lp->out, i);

		if (i > 0 && bytes + f->len > MAX_ANSWER)
			break;
		if (i > 0)
			buf_add_char(text, ',');
		json_quote(text, slice(frame_body(f), frame_body_len(f)));
		bytes += f->len;
	}
	buf_add_char(text, ']');
	return bytes;
}

/* The poll that waits gets an answer without messages. */
static void
longpoll_answer_poll(struct longpoll *lp, enum longpoll_status status)
{
	struct longpoll_request *r = lp->waiting;

	if (r == NULL)
		return;
	lp->waiting = NULL;
	lp->polled = longpoll_now(lp);
	r->session = NULL;
	r->answer(r, status, SLICE(""));
}

/* The poll that waits gets what is there. All is in order before it is told: the next request may come from inside that. */
static void
longpoll_hand_over(struct longpoll *lp)
{
	autobuf struct buf	 text = { 0 };
	struct longpoll_request *r = lp->waiting;
	uint32_t		 bytes = longpoll_compose(lp, &text);

	lp->waiting = NULL;
	lp->polled = longpoll_now(lp);
	if (r->unsure) {
		lp->handing = r;
		lp->handed = bytes;
	} else {
		r->session = NULL;
		outq_drop(&lp->out, bytes);
	}
	r->answer(r, LONGPOLL_OK, buf_slice(&text));
}

/* As websocket_is_slow(): one great message is nobody's fault. */
static bool
longpoll_is_full(const struct longpoll *lp)
{
	uint64_t max = lp->set->options.max_queue;

	return lp->out.lost || (lp->out.bytes > max && lp->out.bytes > max + outq_greatest(&lp->out));
}

static void
longpoll_flush(struct outq *q)
{
	struct longpoll *lp = container_of(q, struct longpoll, out);

	if (q->n > 0 && lp->waiting != NULL && lp->handing == NULL)
		longpoll_hand_over(lp);
	if (lp->session.closed || !longpoll_is_full(lp))
		return;
	stats->slow_consumer_total++;
	session_close(&lp->session, WS_TRY_LATER, "polls too slowly: more than %llu bytes wait",
	    (unsigned long long)lp->set->options.max_queue);
}

/* The session is over: everyone who asks is told. What is queued goes to the poll that waits. */
static void
longpoll_part(struct longpoll *lp)
{
	struct list *link;

	if (lp->handing != NULL)
		lp->handing->session = NULL;
	else if (lp->waiting != NULL && lp->out.n > 0) {
		lp->waiting->unsure = false;
		longpoll_hand_over(lp);
	}
	longpoll_answer_poll(lp, LONGPOLL_ENDED);
	while ((link = list_take_link(&lp->posts)) != NULL) {
		struct longpoll_request *r = list_entry(link, struct longpoll_request, in_posts);

		r->session = NULL;
		r->answer(r, LONGPOLL_GONE, SLICE(""));
	}
}

/* It is found no more before anybody is told. */
static void
longpoll_end(struct longpoll *lp)
{
	struct longpolls *set = lp->set;

	map_del(&set->sessions, lp->id);
	list_remove(&lp->in_set);
	set->n--;
	stats->longpolls--;
	timer_stop(&lp->timer);
	if (lp->on_gone != NULL)
		lp->on_gone(lp->arg, &lp->peer, session_user(&lp->session));
	session_done(&lp->session);
	longpoll_part(lp);
	outq_done(&lp->out);
	loop_bury(set->env->loop, &lp->grave);
}

static struct longpoll *
longpoll_of(struct session *s)
{
	return container_of(s, struct longpoll, session);
}

static void
longpoll_close(struct session *s, unsigned code, const char *why)
{
	longpoll_end(longpoll_of(s));
}

static void
longpoll_pause(struct session *s, uint64_t ms)
{
	struct longpoll *lp = longpoll_of(s);

	lp->paused_until = longpoll_now(lp) + ms;
	longpoll_wake_by(lp, lp->paused_until);
}

static void
longpoll_wake(struct session *s)
{
	struct longpoll *lp = longpoll_of(s);

	longpoll_wake_by(lp, longpoll_now(lp));
}

static const struct transport longpoll_transport = {
	.name = "longpoll",
	.close = longpoll_close,
	.pause = longpoll_pause,
	.wake = longpoll_wake,
};

static void
longpoll_take_text(struct longpoll *lp, struct slice text)
{
	if (utf8_valid(text)) {
		session_receive(&lp->session, false, text);
		return;
	}
	stats->protocol_errors_total++;
	session_close(&lp->session, WS_BAD_DATA, "invalid UTF-8");
}

static void
longpoll_take_base64(struct longpoll *lp, struct slice line)
{
	autobuf struct buf bytes = { 0 };
	ssize_t		   n = b64_decode(B64_STRICT, line, (uint8_t *)buf_room(&bytes, line.n / 4 * 3 + 3));

	if (n >= 0) {
		session_receive(&lp->session, true, slice(bytes.p, (size_t)n));
		return;
	}
	stats->protocol_errors_total++;
	session_close(&lp->session, WS_BAD_DATA, "a line is neither an array nor base64");
}

/* Takes a line from the front, without what ends it. */
static struct slice
take_line(struct slice *rest)
{
	const char  *end = memchr(rest->p, '\n', rest->n);
	struct slice line = slice(rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n);

	*rest = slice_from(*rest, line.n + (end != NULL));
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* Takes one message. */
static void
longpoll_take(struct longpoll *lp, struct longpoll_request *r)
{
	struct slice line;

	if (!r->ndjson) {
		r->taken = true;
		longpoll_take_text(lp, r->rest);
		return;
	}
	line = r->rest.n > 0 ? take_line(&r->rest) : SLICE("");
	r->taken = r->rest.n == 0;
	if (line.n > 0 && line.p[0] == '[')
		longpoll_take_text(lp, line);
	else if (line.n > 0)
		longpoll_take_base64(lp, line);
}

/* Until when nothing is taken of it; 0 = something may be. A client's requests are not put off for longer than it waits for them. */
static uint64_t
longpoll_rest_until(const struct longpoll *lp, const struct longpoll_request *r)
{
	uint64_t now = longpoll_now(lp), until = sooner(lp->paused_until, r->since + POST_MS);

	if (loop_is_tired(lp->set->env->loop))
		return now + 1;
	return now < until ? until : 0;
}

/*
 * Posts in their order, until one has to wait: UINT64_MAX, or when to go on. A post behind whose last message nothing is to be
 * taken is answered late, which holds the client's next one.
 */
static uint64_t
longpoll_take_posts(struct longpoll *lp)
{
	while (!lp->session.closed && !list_empty(&lp->posts)) {
		struct longpoll_request *r = list_entry(lp->posts.next, struct longpoll_request, in_posts);
		uint64_t		 until = longpoll_rest_until(lp, r);

		if (until > 0)
			return until;
		if (!r->taken) {
			longpoll_take(lp, r);
			continue;
		}
		list_remove(&r->in_posts);
		lp->posted -= r->body.n;
		r->session = NULL;
		r->answer(r, LONGPOLL_OK, SLICE(""));
	}
	return UINT64_MAX;
}

static uint64_t
longpoll_tick_posts(struct longpoll *lp)
{
	uint64_t due;

	if (lp->taking)
		return UINT64_MAX;
	lp->taking = true;
	due = longpoll_take_posts(lp);
	lp->taking = false;
	return due;
}

/* The window of the poll that waits, or the life of a session that has none. */
static uint64_t
longpoll_tick_window(struct longpoll *lp, uint64_t now)
{
	uint64_t window = lp->set->options.window_ms, due;

	if (lp->waiting != NULL && now >= lp->waiting->since + window)
		longpoll_answer_poll(lp, LONGPOLL_NOTHING);
	if (lp->waiting != NULL)
		return lp->waiting->since + window;
	due = lp->polled + window + window / 2;
	if (now < due || lp->session.closed)
		return due;
	stats->timeouts_total++;
	session_close(&lp->session, WS_AWAY, "no poll for %llu ms", (unsigned long long)(now - lp->polled));
	return UINT64_MAX;
}

static void
longpoll_tick(struct timer *t, uint64_t now)
{
	struct longpoll *lp = container_of(t, struct longpoll, timer);
	uint64_t	 due = session_tick(&lp->session, now);

	if (!lp->session.closed)
		due = sooner(due, longpoll_tick_posts(lp));
	if (!lp->session.closed)
		due = sooner(due, longpoll_tick_window(lp, now));
	/* A request that came behind an answer may have set it. */
	if (!lp->session.closed)
		longpoll_wake_by(lp, due);
}

void
longpolls_init(struct longpolls *set, struct session_env *env, struct slice node)
{
	*set = (struct longpolls){ .env = env, .node = node };
	list_init(&set->open);
	map_init(&set->sessions, longpoll_key);
}

void
longpolls_done(struct longpolls *set)
{
	while (!list_empty(&set->open))
		longpoll_end(list_entry(set->open.next, struct longpoll, in_set));
	map_done(&set->sessions);
}

struct longpoll *
longpoll_open(struct longpolls *set, const struct longpoll_open *o)
{
	struct longpoll	     *lp = xmalloc(sizeof(*lp));
	struct longpoll_token token;
	char		      peer[ADDR_LEN];

	*lp = (struct longpoll){
		.set = set, .peer = *o->peer, .polled = set->env->loop->now, .timer.fire = longpoll_tick,
		.on_gone = o->on_gone, .arg = o->arg, .grave.bury = longpoll_bury,
	};
	list_init(&lp->posts);
	lp->token_len = longpoll_token_new(set->node, lp->token);
	longpoll_token_read(&token, longpoll_token(lp));
	lp->id = token.id;
	lp->secret = token.secret;
	log_peer(LOG_DEBUG_, addr_text(o->peer, peer), "open: long poll, %s (user \"%.*s\")", o->codec->name,
	    SLICE_ARG(o->who->user));
	outq_init(&lp->out, set->env->loop, longpoll_flush);
	session_init(&lp->session, set->env, &longpoll_transport, codec_text_only(o->codec), &lp->out, &lp->peer, o->who);
	map_put(&set->sessions, lp);
	list_append(&set->open, &lp->in_set);
	set->n++;
	stats->longpolls++;
	longpoll_tick(&lp->timer, lp->polled);
	return lp;
}

struct slice
longpoll_token(const struct longpoll *lp)
{
	return slice(lp->token, lp->token_len);
}

struct longpoll *
longpolls_find(const struct longpolls *set, const struct longpoll_token *token)
{
	struct longpoll *lp = map_get(&set->sessions, token->id);

	if (lp == NULL || CRYPTO_memcmp(lp->secret.p, token->secret.p, ID_LEN) != 0)
		return NULL;
	return lp;
}

/* It has its place before an earlier one is told: requests behind that one may come, and be taken, from inside its answer. */
void
longpoll_poll(struct longpoll *lp, struct longpoll_request *r)
{
	struct longpoll_request *earlier = lp->waiting;

	r->session = lp;
	r->since = lp->polled = longpoll_now(lp);
	lp->waiting = r;
	longpoll_wake_by(lp, r->since + lp->set->options.window_ms);
	if (lp->out.n > 0)
		outq_want_flush(&lp->out);
	if (earlier == NULL)
		return;
	earlier->session = NULL;
	earlier->answer(earlier, LONGPOLL_NOTHING, SLICE(""));
}

void
longpoll_post(struct longpoll *lp, struct longpoll_request *r)
{
	bool	 others = !list_empty(&lp->posts);
	uint64_t due;

	r->session = lp;
	r->since = longpoll_now(lp);
	r->rest = buf_slice(&r->body);
	r->taken = false;
	list_append(&lp->posts, &r->in_posts);
	lp->posted += r->body.n;
	if (others && lp->posted > lp->set->options.max_queue) {
		session_close(&lp->session, WS_TRY_LATER, "posts too much: %zu bytes wait", lp->posted);
		return;
	}
	due = longpoll_tick_posts(lp);
	if (!lp->session.closed)
		longpoll_wake_by(lp, due);
}

void
longpoll_cancel(struct longpoll_request *r)
{
	struct longpoll *lp = r->session;

	if (lp == NULL)
		return;
	if (lp->handing == r) {
		longpoll_settle(r, false);
		return;
	}
	r->session = NULL;
	if (lp->waiting == r) {
		lp->waiting = NULL;
		lp->polled = longpoll_now(lp);
		return;
	}
	list_remove(&r->in_posts);
	lp->posted -= r->body.n;
}

void
longpoll_settle(struct longpoll_request *r, bool arrived)
{
	struct longpoll *lp = r->session;

	if (lp == NULL)
		return;
	r->session = NULL;
	lp->handing = NULL;
	if (arrived)
		outq_drop(&lp->out, lp->handed);
	if (lp->out.n > 0)
		outq_want_flush(&lp->out);
}

void
longpoll_drop(struct longpoll *lp, unsigned code, const char *why)
{
	session_close(&lp->session, code, "%s", why);
}

/* They are set apart first: what follows from an end may be another one. */
unsigned
longpolls_close_user(struct longpolls *set, struct slice user, unsigned code, const char *why)
{
	struct list leaving;
	unsigned    n = 0;

	list_init(&leaving);
	list_each(link, &set->open) {
		struct longpoll *lp = list_entry(link, struct longpoll, in_set);

		if (!slice_eq(session_user(&lp->session), user))
			continue;
		list_remove(&lp->in_set);
		list_append(&leaving, &lp->in_set);
		n++;
	}
	while (!list_empty(&leaving))
		session_close(&list_entry(leaving.next, struct longpoll, in_set)->session, code, "%s", why);
	return n;
}

bool
longpolls_close_id(struct longpolls *set, struct slice id, unsigned code, const char *why)
{
	list_each(link, &set->open) {
		struct longpoll *lp = list_entry(link, struct longpoll, in_set);

		if (!slice_is(id, lp->session.id))
			continue;
		longpoll_drop(lp, code, why);
		return true;
	}
	return false;
}

unsigned
longpolls_close_some(struct longpolls *set, unsigned n, unsigned code, const char *why)
{
	unsigned closed = 0;

	while (closed < n && !list_empty(&set->open)) {
		session_close(&list_entry(set->open.next, struct longpoll, in_set)->session, code, "%s", why);
		closed++;
	}
	return closed;
}
