/*
 * The relay. A request is known by an id of its asker's at both ends until it is answered. Whether a publication reached
 * anybody is known by Redis' answer to it.
 */
#include "backplane/longpoll_relay.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/ws.h"

#define POST_MS		5000		/* an answer to a post is waited for so long */
#define POLL_SLACK_MS	5000		/* and one to a poll so much longer than its window */
#define STILL_MS	3000		/* who waits asks so often whether it still does: the other node may have died */
#define UNHEARD_MS	1000		/* or be away from Redis for a moment: asked once more */
#define MAX_POSTING	(8u << 20)	/* bytes of posts under way: more are refused, or clients could fill the queue to Redis */
#define MAX_KEPT	(256u << 10)	/* bytes of a buffer that is kept for the next message */

/* Another node's request. In the relay's `served` until it is answered, and that is settled. */
struct served {
	struct longpoll_request	 request;
	struct longpoll_relay	*relay;
	struct longpoll_flight	*flight;
	char			 id[ID_LEN + 1];
	char			 node[CLUSTER_MAX_NODE + 1];
};

/* A publication whose end is not known. Either end may be gone before that. */
struct longpoll_flight {
	struct list		 in_relay;
	struct longpoll_relay	*relay;
	struct longpoll_ask	*ask;		/* NULL = nobody asks any more */
	struct served		*served;	/* an answer with messages; NULL = another, or nobody waits */
	size_t			 posting;
	bool			 still;		/* the ask is known there already */
};

static struct slice
asked_key(const void *item)
{
	const struct longpoll_ask *a = item;

	return slice(a->id, ID_LEN);
}

static struct slice
served_key(const void *item)
{
	const struct served *s = item;

	return slice(s->id, ID_LEN);
}

/* Takes the ask out of everything, and tells. */
static void
ask_tell(struct longpoll_ask *a, enum longpoll_status status, struct slice messages)
{
	map_del(&a->relay->asked, asked_key(a));
	timer_stop(&a->timer);
	if (a->flight != NULL)
		a->flight->ask = NULL;
	a->flight = NULL;
	a->relay = NULL;
	if (a->answer != NULL)
		a->answer(a, status, messages);
}

static void
served_free(struct served *s)
{
	map_del(&s->relay->served, served_key(s));
	if (s->flight != NULL)
		s->flight->served = NULL;
	buf_done(&s->request.body);
	free(s);
}

static void
flight_free(struct longpoll_flight *f)
{
	if (f->ask != NULL)
		f->ask->flight = NULL;
	if (f->served != NULL)
		f->served->flight = NULL;
	f->relay->posting -= f->posting;
	list_remove(&f->in_relay);
	free(f);
}

/* What is known of a publication. */
enum reach { REACHED, NOBODY, REFUSED, UNKNOWN };

static enum reach
reach_of(const struct redisReply *reply)
{
	if (reply == NULL)
		return UNKNOWN;
	if (reply->type != REDIS_REPLY_INTEGER)
		return REFUSED;
	return reply->integer == 0 ? NOBODY : REACHED;
}

static void
ask_heard(struct longpoll_ask *a, enum reach reach)
{
	if (reach == NOBODY)
		ask_tell(a, LONGPOLL_GONE, SLICE(""));
	else if (reach != REACHED)
		ask_tell(a, LONGPOLL_ENDED, SLICE(""));
}

/* Once in a row may be the other node's new connection to Redis. */
static void
ask_heard_still(struct longpoll_ask *a, enum reach reach)
{
	if (reach != NOBODY)
		a->unheard = 0;
	else if (++a->unheard > 1)
		ask_tell(a, LONGPOLL_GONE, SLICE(""));
	else
		loop_timer(a->relay->loop, &a->timer, a->relay->loop->now + UNHEARD_MS);
}

/* An answer that reached nobody leaves its messages for the next poll; of one that may have, they are gone. */
static void
flight_ended(void *arg, const struct redisReply *reply)
{
	struct longpoll_flight *f = arg;
	struct longpoll_ask    *ask = f->ask;
	struct served	       *served = f->served;
	enum reach		reach = reach_of(reply);
	bool			still = f->still;

	if (f->relay == NULL) {
		free(f);
		return;
	}
	flight_free(f);
	if (served != NULL) {
		longpoll_settle(&served->request, reach == REACHED || reach == UNKNOWN);
		served_free(served);
	}
	if (ask != NULL && still)
		ask_heard_still(ask, reach);
	else if (ask != NULL)
		ask_heard(ask, reach);
}

/* Publishes it on that node's channel. With a flight, its end will be told; it is freed if this fails. */
static int
relay_say(struct longpoll_relay *r, const char *node, struct longpoll_message *m, struct longpoll_flight *f)
{
	autobuf struct buf channel = { 0 };
	struct slice	   argv[3] = { SLICE("PUBLISH") };
	int		   e;

	m->node = r->polls->node;
	r->out.n = 0;
	longpoll_message_write(&r->out, m);
	buf_addf(&channel, "%sn:%s", r->prefix, node);
	argv[1] = buf_slice(&channel);
	argv[2] = buf_slice(&r->out);
	e = r->out.n > LONGPOLL_MAX_TEXT ? -EMSGSIZE : redis_command(r->redis, f != NULL ? flight_ended : NULL, f, argv, 3);
	if (r->out.cap > MAX_KEPT)
		buf_done(&r->out);
	if (e < 0 && f != NULL)
		flight_free(f);
	return e;
}

static struct longpoll_flight *
flight_new(struct longpoll_relay *r, struct longpoll_ask *ask, struct served *served, size_t posting)
{
	struct longpoll_flight *f = xmalloc(sizeof(*f));

	*f = (struct longpoll_flight){ .relay = r, .ask = ask, .served = served, .posting = posting };
	if (ask != NULL)
		ask->flight = f;
	if (served != NULL)
		served->flight = f;
	r->posting += posting;
	list_append(&r->flights, &f->in_relay);
	return f;
}

/* Our clients' side. */

/* Whoever does not know of it any more says so. */
static void
ask_again(struct longpoll_ask *a)
{
	struct longpoll_message m = { .type = LONGPOLL_STILL, .id = asked_key(a) };
	struct longpoll_flight *f;

	if (a->flight != NULL)
		return;
	f = flight_new(a->relay, a, NULL, 0);
	f->still = true;
	relay_say(a->relay, a->node, &m, f);
}

static void
ask_tick(struct timer *t, uint64_t now)
{
	struct longpoll_ask *a = container_of(t, struct longpoll_ask, timer);
	uint64_t	     due = now + STILL_MS;

	if (now >= a->give_up) {
		ask_tell(a, redis_is_up(a->relay->redis) ? LONGPOLL_GONE : LONGPOLL_ENDED, SLICE(""));
		return;
	}
	loop_timer(a->relay->loop, t, due < a->give_up ? due : a->give_up);
	ask_again(a);
}

/* Where the session is that node must be told before it gives messages to a client that is not there. */
void
longpoll_relay_cancel(struct longpoll_ask *a)
{
	struct longpoll_message m = { .type = LONGPOLL_LEFT, .id = asked_key(a) };

	if (a->relay == NULL)
		return;
	relay_say(a->relay, a->node, &m, NULL);
	a->answer = NULL;
	ask_tell(a, LONGPOLL_NOTHING, SLICE(""));
}

int
longpoll_relay_ask(struct longpoll_relay *r, struct longpoll_ask *a, const struct longpoll_token *token, struct slice text,
    bool ndjson, const struct slice *body)
{
	struct longpoll_message m = { .type = body != NULL ? LONGPOLL_POST : LONGPOLL_POLL, .session = text, .ndjson = ndjson };
	size_t			posting = body != NULL ? body->n : 0;
	int			e;

	if (r->posting > 0 && r->posting + posting > MAX_POSTING)
		return -ENOBUFS;
	a->relay = r;
	a->flight = NULL;
	a->post = body != NULL;
	a->unheard = 0;
	a->timer = (struct timer){ .fire = ask_tick };
	a->give_up = r->loop->now + (a->post ? POST_MS : r->polls->options.window_ms + POLL_SLACK_MS);
	memcpy(a->node, token->node.p, token->node.n);
	a->node[token->node.n] = '\0';
	m.id = slice(id_new(a->id), ID_LEN);
	m.body = body != NULL ? *body : SLICE("");
	e = relay_say(r, a->node, &m, flight_new(r, a, NULL, posting));
	if (e < 0) {
		a->relay = NULL;
		return e;
	}
	stats->longpolls_forwarded_total++;
	map_put(&r->asked, a);
	loop_timer(r->loop, &a->timer, r->loop->now + STILL_MS);
	return 0;
}

void
longpoll_relay_release(struct longpoll_relay *r)
{
	struct longpoll_message m = { .type = LONGPOLL_LEFT };
	struct longpoll_ask    *a;
	size_t			at = 0;

	while ((a = map_next(&r->asked, &at)) != NULL) {
		if (a->post)
			continue;
		m.id = asked_key(a);
		relay_say(r, a->node, &m, NULL);
		ask_tell(a, LONGPOLL_NOTHING, SLICE(""));
		/* The map has changed. */
		at = 0;
	}
}

static void
relay_on_answer(struct longpoll_relay *r, const struct longpoll_message *m)
{
	struct longpoll_ask *a = map_get(&r->asked, m->id);

	if (a == NULL || !slice_is(m->node, a->node))
		return;
	/* A poll without messages to show is none, whatever it says. */
	if (!a->post && m->status == LONGPOLL_OK && m->messages.n == 0)
		ask_tell(a, LONGPOLL_NOTHING, m->messages);
	else
		ask_tell(a, (enum longpoll_status)m->status, m->messages);
}

/* Our sessions' side. */

static void
relay_answer(struct longpoll_relay *r, const char *node, struct slice id, unsigned status)
{
	struct longpoll_message m = { .type = LONGPOLL_ANSWER, .id = id, .status = status };

	relay_say(r, node, &m, NULL);
}

/* Messages that cannot travel cannot wait for a poll that comes here, either: who knows whether one does. */
static void
served_cannot(struct served *s, int error)
{
	struct longpoll_relay *r = s->relay;
	struct longpoll	      *lp = s->request.session;

	longpoll_settle(&s->request, false);
	if (error == -EMSGSIZE && lp != NULL) {
		relay_answer(r, s->node, slice(s->id, ID_LEN), LONGPOLL_ENDED);
		longpoll_drop(lp, WS_TOO_BIG, "a message is too big for another node");
	}
	served_free(s);
}

static void
served_answer(struct longpoll_request *request, enum longpoll_status status, struct slice messages)
{
	struct served	       *s = container_of(request, struct served, request);
	struct longpoll_message m = {
		.type = LONGPOLL_ANSWER, .id = slice(s->id, ID_LEN), .status = status, .messages = messages,
	};
	int			e;

	if (messages.n == 0) {
		relay_say(s->relay, s->node, &m, NULL);
		served_free(s);
		return;
	}
	e = relay_say(s->relay, s->node, &m, flight_new(s->relay, NULL, s, 0));
	if (e < 0)
		served_cannot(s, e);
}

static struct served *
served_new(struct longpoll_relay *r, const struct longpoll_message *m)
{
	struct served *s = xmalloc(sizeof(*s));

	*s = (struct served){
		.relay = r, .request = { .answer = served_answer, .unsure = m->type == LONGPOLL_POLL, .ndjson = m->ndjson },
	};
	memcpy(s->id, m->id.p, ID_LEN);
	memcpy(s->node, m->node.p, m->node.n);
	buf_add_slice(&s->request.body, m->body);
	map_put(&r->served, s);
	return s;
}

static void
relay_on_request(struct longpoll_relay *r, const struct longpoll_message *m)
{
	struct longpoll_token token;
	struct longpoll	     *lp = NULL;
	struct served	     *s;
	char		      node[CLUSTER_MAX_NODE + 1] = "";

	if (map_get(&r->served, m->id) != NULL)
		return;
	memcpy(node, m->node.p, m->node.n);
	if (longpoll_token_read(&token, m->session) == 0 && slice_eq(token.node, r->polls->node))
		lp = longpolls_find(r->polls, &token);
	if (lp == NULL) {
		relay_answer(r, node, m->id, LONGPOLL_GONE);
		return;
	}
	s = served_new(r, m);
	if (m->type == LONGPOLL_POST)
		longpoll_post(lp, &s->request);
	else
		longpoll_poll(lp, &s->request);
}

static void
relay_on_still(struct longpoll_relay *r, const struct longpoll_message *m)
{
	char node[CLUSTER_MAX_NODE + 1] = "";

	memcpy(node, m->node.p, m->node.n);
	if (map_get(&r->served, m->id) == NULL)
		relay_answer(r, node, m->id, LONGPOLL_GONE);
}

static void
relay_on_left(struct longpoll_relay *r, const struct longpoll_message *m)
{
	struct served *s = map_get(&r->served, m->id);

	if (s == NULL || !slice_is(m->node, s->node))
		return;
	longpoll_cancel(&s->request);
	served_free(s);
}

static void
relay_on_message(void *arg, struct slice text)
{
	struct longpoll_relay  *r = arg;
	struct longpoll_message m;
	int			e = longpoll_message_read(&m, text, &r->scratch);

	if (e < 0) {
		stats->bus_malformed_total++;
		log_peer(LOG_WARN_, NULL, "a message on this node's channel is %s: dropped",
		    e == -EPROTONOSUPPORT ? "of a newer version" : "malformed");
		return;
	}
	switch (m.type) {
	case LONGPOLL_POLL:
	case LONGPOLL_POST:
		relay_on_request(r, &m);
		break;
	case LONGPOLL_STILL:
		relay_on_still(r, &m);
		break;
	case LONGPOLL_LEFT:
		relay_on_left(r, &m);
		break;
	default:
		relay_on_answer(r, &m);
	}
	if (r->scratch.cap > MAX_KEPT)
		buf_done(&r->scratch);
}

void
longpoll_relay_init(struct longpoll_relay *r, struct loop *loop, struct longpolls *polls)
{
	*r = (struct longpoll_relay){ .loop = loop, .polls = polls };
	map_init(&r->asked, asked_key);
	map_init(&r->served, served_key);
	list_init(&r->flights);
}

void
longpoll_relay_join(struct longpoll_relay *r, struct redis *redis, const char *prefix)
{
	autobuf struct buf channel = { 0 };

	r->redis = redis;
	r->prefix = prefix;
	buf_addf(&channel, "%sn:%.*s", prefix, SLICE_ARG(r->polls->node));
	r->sub = redis_subscribe(redis, buf_slice(&channel), relay_on_message, NULL, r);
}

/* Publications whose end is still due find nobody: they free themselves. */
void
longpoll_relay_done(struct longpoll_relay *r)
{
	struct served *s;
	size_t	       at = 0;

	redis_unsubscribe(r->sub);
	while ((s = map_next(&r->served, &at)) != NULL) {
		longpoll_cancel(&s->request);
		served_free(s);
		at = 0;
	}
	list_each(link, &r->flights) {
		struct longpoll_flight *f = list_entry(link, struct longpoll_flight, in_relay);

		list_remove(&f->in_relay);
		f->relay = NULL;
		f->ask = NULL;
		f->served = NULL;
	}
	map_done(&r->asked);
	map_done(&r->served);
	buf_done(&r->out);
	buf_done(&r->scratch);
}
