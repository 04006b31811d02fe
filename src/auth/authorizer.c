/*
 * Authorizers: questions that are the same share a call and, for a while, its answer; each URL has its calls, its queue, and a
 * breaker for when nobody answers there.
 */
#include "auth/authorizer.h"

#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/stats.h"
#include "net/fetch.h"
#include "net/utf8.h"
#include "wire/json.h"

#define IDLE_CONNECTIONS 64

struct authorizer {
	struct loop		*loop;
	struct fetcher		*fetcher;
	struct authorizer_options options;	/* the texts are ours */
	struct list		 authorities;
	struct map		 questions;	/* by key: those that others may share */
	struct list		 known;		/* of these, those that are answered; oldest first */
	unsigned		 n_known;
	struct timer		 forget;	/* the oldest of them */
};

/* A URL that is asked. */
struct authority {
	struct list		 in_authorizer;
	struct authorizer	*authorizer;
	char			*url;
	struct list		 queue;		/* questions that wait, oldest first */
	unsigned		 n_queue;
	size_t			 queue_bytes;
	struct list		 calls;		/* questions that are under way */
	unsigned		 n_calls;
	unsigned		 failures;	/* in a row */
	uint64_t		 rests_until;	/* ms of the loop's clock */
};

/* A question: in its authority's queue, among its calls, or known. */
struct question {
	struct list		 in_state;
	enum { WAITING, CALLING, KNOWN } state;
	struct authorizer	*authorizer;
	struct authority	*authority;	/* NULL once it is known */
	bool			 shared;	/* in the map */
	uint8_t			 key[SHA256_DIGEST_LENGTH];
	struct list		 waiters;	/* struct authorization */
	struct buf		 body;		/* while it waits */
	struct timer		 deadline;	/* while it waits */
	struct fetch		*call;
	bool			 fair;		/* at least half of the time was left for the call */
	uint64_t		 due;		/* ms: until then it must have its answer; once it is known, until then it holds */
	bool			 yes;		/* the answer */
	char			*reason;
	size_t			 n_reason;
};

/* Somebody who waits for an answer. */
struct authorization {
	struct list	 in_question;
	struct question	*question;	/* NULL: it is being told */
	authorized_fn	*fn;
	void		*arg;
};

/* What came of a question. */
struct verdict {
	bool		 known;		/* somebody has decided */
	bool		 yes;
	struct slice	 reason;
};

static const struct verdict nobody_knows = { .reason = { "", 0 } };

static void authority_go_on(struct authority *);

/* Questions. */

static struct slice
question_key(const void *item)
{
	const struct question *q = item;

	return slice((const char *)q->key, sizeof(q->key));
}

/* All that a decision may depend on, but for the connection. */
static void
key_of(const struct authorize_request *r, uint8_t *key)
{
	const struct slice parts[] = { slice_str(r->url), r->user, r->claims, r->channel, r->info };
	autobuf struct buf text = { 0 };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		buf_addf(&text, "%zu:", parts[i].n);
		buf_add_slice(&text, parts[i]);
	}
	SHA256((const unsigned char *)text.p, text.n, key);
}

static void
add_json(struct buf *out, const char *name, struct slice json, const char *otherwise)
{
	buf_addf(out, ",\"%s\":", name);
	if (json.n > 0)
		buf_add_slice(out, json);
	else
		buf_add_str(out, otherwise);
}

static void
add_text(struct buf *out, const char *name, struct slice text)
{
	buf_addf(out, ",\"%s\":", name);
	json_quote(out, text);
}

static void
compose(const struct authorize_request *r, struct buf *out)
{
	buf_add_str(out, "{\"user\":");
	if (r->user.n > 0)
		json_quote(out, r->user);
	else
		buf_add_str(out, "null");
	add_json(out, "claims", r->claims, "{}");
	add_text(out, "channel", r->channel);
	add_json(out, "userInfo", r->info, "null");
	add_text(out, "connection_id", r->connection);
	buf_add_char(out, '}');
}

/* Takes it out of where it is; the caller gives it another place, or frees it. */
static void
question_take_out(struct question *q)
{
	list_remove(&q->in_state);
	timer_stop(&q->deadline);
	if (q->state == KNOWN)
		q->authorizer->n_known--;
	if (q->state == CALLING)
		q->authority->n_calls--;
	if (q->state == WAITING) {
		q->authority->n_queue--;
		q->authority->queue_bytes -= q->body.n;
		buf_done(&q->body);
	}
}

/* Nobody waits for it any more. */
static void
question_free(struct question *q)
{
	question_take_out(q);
	if (q->shared)
		map_del(&q->authorizer->questions, question_key(q));
	if (q->call != NULL)
		fetch_cancel(q->call);
	free(q->reason);
	free(q);
}

static void
authorizer_forget(struct authorizer *z, struct question *q)
{
	question_free(q);
	if (list_empty(&z->known))
		timer_stop(&z->forget);
}

static void
authorizer_on_forget(struct timer *t, uint64_t now)
{
	struct authorizer *z = container_of(t, struct authorizer, forget);

	list_each(link, &z->known) {
		struct question *q = list_entry(link, struct question, in_state);

		if (q->due > now) {
			loop_timer(z->loop, &z->forget, q->due);
			return;
		}
		question_free(q);
	}
}

static void
question_keep(struct question *q, const struct verdict *v)
{
	struct authorizer *z = q->authorizer;

	question_take_out(q);
	if (z->n_known >= z->options.known)
		authorizer_forget(z, list_entry(z->known.next, struct question, in_state));
	q->state = KNOWN;
	q->authority = NULL;
	q->yes = v->yes;
	q->reason = xstrndup(v->reason.p, v->reason.n);
	q->n_reason = v->reason.n;
	q->due = z->loop->now + z->options.cache_ms;
	list_append(&z->known, &q->in_state);
	z->n_known++;
	if (!timer_is_set(&z->forget))
		loop_timer(z->loop, &z->forget, q->due);
}

/* Kept where it is worth that, and told to all who wait for it. */
static void
question_end(struct question *q, const struct verdict *v)
{
	struct list  waiters, *next;

	list_init(&waiters);
	list_append_all(&waiters, &q->waiters);
	list_each(link, &waiters)
		list_entry(link, struct authorization, in_question)->question = NULL;
	if (v->known && q->shared && q->authorizer->options.cache_ms > 0)
		question_keep(q, v);
	else
		question_free(q);
	/* Who is told may cancel for others. */
	while ((next = list_take_link(&waiters)) != NULL) {
		struct authorization *a = list_entry(next, struct authorization, in_question);

		a->fn(a->arg, v->yes, v->reason);
		free(a);
	}
}

/* Answers. */

/* Returns why this is no answer; NULL if it is one. The reason may be put into scratch[AUTHORIZER_MAX_REASON]. */
static const char *
answer_read(struct slice text, char *scratch, struct verdict *v)
{
	struct slice   object, yes, reason;
	enum json_kind kind;

	*v = nobody_knows;
	if (!utf8_valid(text))
		return "the answer is not UTF-8";
	json_take_blanks(&text);
	if (json_take_value(&text, &object, &kind) < 0 || text.n > 0 || kind != JSON_OBJECT)
		return "the answer is no JSON object";
	yes = json_member(object, "authorized");
	v->yes = slice_is(yes, "true");
	if (!v->yes && !slice_is(yes, "false"))
		return "the answer has no \"authorized\" that is true or false";
	v->known = true;
	reason = json_member(object, "reason");
	if (!v->yes && reason.p != NULL && reason.p[0] == '"' &&
	    json_text(reason, scratch, AUTHORIZER_MAX_REASON, &v->reason) < 0)
		v->reason = SLICE("");
	return NULL;
}

static void
authority_log(const struct authority *w, const char *fault)
{
	stats->authorizer_failures_total++;
	log_peer(LOG_WARN_, NULL, "authorizer %s: %s: refused", w->url, fault);
}

/* Nobody is there: who waits, waits in vain. */
static void
authority_rest(struct authority *w)
{
	struct list *link;

	w->rests_until = w->authorizer->loop->now + AUTHORIZER_REST_MS;
	if (w->failures == AUTHORIZER_MAX_FAILURES)
		log_warn("authorizer %s has not answered %u times in a row: it is asked less", w->url, w->failures);
	while ((link = w->queue.next) != &w->queue)
		question_end(list_entry(link, struct question, in_state), &nobody_knows);
}

/*
 * Only silence counts, where there was time to break it: an answer that is none was at least quick, and a client may know
 * how to provoke one.
 */
static void
authority_note(struct authority *w, bool answered)
{
	const bool rested = w->failures >= AUTHORIZER_MAX_FAILURES;

	w->failures = answered ? 0 : w->failures + 1;
	if (answered)
		w->rests_until = 0;
	if (answered && rested)
		log_info("authorizer %s answers again", w->url);
}

static void
question_on_answer(void *arg, const struct fetch_answer *answer)
{
	struct question	 *q = arg;
	struct authority *w = q->authority;
	char		  scratch[AUTHORIZER_MAX_REASON], number[32];
	struct verdict	  v = nobody_knows;
	const char	 *fault = answer->fault;

	q->call = NULL;
	if (fault == NULL || q->fair)
		authority_note(w, fault == NULL);
	snprintf(number, sizeof(number), "status %u", answer->status);
	if (fault == NULL)
		fault = answer->status == 200 ? answer_read(answer->body, scratch, &v) : number;
	if (fault != NULL) {
		v = nobody_knows;
		authority_log(w, fault);
	}
	question_end(q, &v);
	if (w->failures >= AUTHORIZER_MAX_FAILURES)
		authority_rest(w);
	authority_go_on(w);
}

static void
question_on_deadline(struct timer *t, uint64_t now)
{
	struct question	 *q = container_of(t, struct question, deadline);
	struct authority *w = q->authority;

	authority_log(w, "too many calls before this one");
	question_end(q, &nobody_knows);
	authority_go_on(w);
}

/* Asking. */

/* "X-Roost-Signature: " and the HMAC in hexadecimal digits. */
static void
sign(const struct authorizer *z, const struct buf *body, struct buf *line)
{
	uint8_t	 mac[SHA256_DIGEST_LENGTH];
	unsigned n = sizeof(mac);

	HMAC(EVP_sha256(), z->options.secret.p, (int)z->options.secret.n, (const unsigned char *)body->p, body->n, mac, &n);
	buf_add_str(line, "X-Roost-Signature: ");
	for (unsigned i = 0; i < n; i++)
		buf_addf(line, "%02x", mac[i]);
	buf_add_char(line, '\0');
}

static void
question_call(struct question *q)
{
	struct authorizer *z = q->authorizer;
	struct authority  *w = q->authority;
	const uint64_t	   left_ms = q->due - z->loop->now;
	autobuf struct buf body = q->body, signature = { 0 };
	const char	  *headers[] = { "Content-Type: application/json", NULL, NULL };

	sign(z, &body, &signature);
	headers[1] = signature.p;
	w->queue_bytes -= body.n;
	q->body = (struct buf){ 0 };
	question_take_out(q);
	q->state = CALLING;
	q->fair = left_ms >= z->options.timeout_ms / 2;
	list_append(&w->calls, &q->in_state);
	w->n_calls++;
	stats->authorizer_calls_total++;
	q->call = fetch_post(z->fetcher, &(struct fetch_request){
		.url = w->url, .headers = headers, .body = buf_slice(&body), .authorities = z->options.authorities,
		.timeout_ms = left_ms, .max_body = AUTHORIZER_MAX_ANSWER,
	}, question_on_answer, q);
}

/* One call at a time shows whether a silent one is back. */
static bool
authority_is_free(const struct authority *w)
{
	return w->n_calls < (w->failures >= AUTHORIZER_MAX_FAILURES ? 1 : w->authorizer->options.parallel);
}

/* Who is past his time has a deadline that is about to say so. */
static void
authority_go_on(struct authority *w)
{
	while (!list_empty(&w->queue) && authority_is_free(w)) {
		struct question *q = list_entry(w->queue.next, struct question, in_state);

		if (q->due <= w->authorizer->loop->now)
			return;
		question_call(q);
	}
}

static struct authority *
authority_find(struct authorizer *z, const char *url)
{
	struct authority *w;

	list_each(link, &z->authorities) {
		w = list_entry(link, struct authority, in_authorizer);
		if (strcmp(w->url, url) == 0)
			return w;
	}
	w = xmalloc(sizeof(*w));
	*w = (struct authority){ .authorizer = z, .url = xstrdup(url) };
	list_init(&w->queue);
	list_init(&w->calls);
	list_append(&z->authorities, &w->in_authorizer);
	return w;
}

/* Is there no use in asking it now? */
static bool
authority_is_deaf(const struct authority *w, size_t bytes)
{
	if (w->authorizer->loop->now < w->rests_until)
		return true;
	if (w->failures >= AUTHORIZER_MAX_FAILURES)
		return w->n_calls > 0;
	return w->n_queue >= AUTHORIZER_MAX_QUEUE || w->queue_bytes + bytes > AUTHORIZER_MAX_WAITING;
}

/* NULL: it cannot be asked now. */
static struct question *
question_new(struct authorizer *z, const struct authorize_request *r, const uint8_t *key)
{
	struct authority  *w = authority_find(z, r->url);
	autobuf struct buf body = { 0 };
	struct question	  *q;

	compose(r, &body);
	if (z->options.secret.n == 0 || authority_is_deaf(w, body.n)) {
		authority_log(w, z->options.secret.n == 0 ? "no secret to sign with" : "not asked for now");
		return NULL;
	}
	q = xmalloc(sizeof(*q));
	*q = (struct question){
		.state = WAITING, .authorizer = z, .authority = w, .shared = z->options.cache_ms > 0, .body = body,
		.deadline.fire = question_on_deadline, .due = z->loop->now + z->options.timeout_ms,
	};
	memcpy(q->key, key, sizeof(q->key));
	list_init(&q->waiters);
	list_append(&w->queue, &q->in_state);
	w->n_queue++;
	w->queue_bytes += body.n;
	body = (struct buf){ 0 };
	loop_timer(z->loop, &q->deadline, q->due);
	if (q->shared)
		map_put(&z->questions, q);
	return q;
}

/* The question of that key, if others may share it. */
static struct question *
question_find(const struct authorizer *z, const uint8_t *key)
{
	return z->options.cache_ms > 0 ? map_get(&z->questions, slice((const char *)key, SHA256_DIGEST_LENGTH)) : NULL;
}

static struct authorization *
authorization_new(struct question *q, authorized_fn *fn, void *arg)
{
	struct authorization *a = xmalloc(sizeof(*a));

	*a = (struct authorization){ .question = q, .fn = fn, .arg = arg };
	list_append(&q->waiters, &a->in_question);
	return a;
}

static struct authorization *
authorizer_ask(void *arg, const struct authorize_request *r, authorized_fn *fn, void *fn_arg)
{
	struct authorizer    *z = arg;
	uint8_t		      key[SHA256_DIGEST_LENGTH];
	struct question	     *q;
	struct authorization *a;

	key_of(r, key);
	q = question_find(z, key);
	if (q != NULL && q->state == KNOWN) {
		autofree char *reason = xstrndup(q->reason, q->n_reason);

		fn(fn_arg, q->yes, slice(reason, q->n_reason));
		return NULL;
	}
	if (q == NULL)
		q = question_new(z, r, key);
	if (q == NULL) {
		fn(fn_arg, false, SLICE(""));
		return NULL;
	}
	a = authorization_new(q, fn, fn_arg);
	authority_go_on(q->authority);
	return a;
}

/* A call that is under way goes on: its answer may be of use, and its silence is to be counted. */
static void
authorizer_cancel(struct authorization *a)
{
	struct question *q = a->question;

	list_remove(&a->in_question);
	free(a);
	if (q != NULL && q->state == WAITING && list_empty(&q->waiters))
		question_free(q);
}

const struct session_authorizer authorizer_ops = { .ask = authorizer_ask, .cancel = authorizer_cancel };

/* The whole. */

struct authorizer *
authorizer_new(struct loop *loop)
{
	struct authorizer *z = xmalloc(sizeof(*z));

	*z = (struct authorizer){ .loop = loop, .forget.fire = authorizer_on_forget };
	list_init(&z->authorities);
	list_init(&z->known);
	map_init(&z->questions, question_key);
	z->fetcher = fetcher_new(loop, &(struct fetcher_options){ .idle = IDLE_CONNECTIONS });
	return z->fetcher != NULL ? z : authorizer_free(z);
}

static void
authority_free(struct authority *w)
{
	list_remove(&w->in_authorizer);
	free(w->url);
	free(w);
}

static void
authorizer_forget_all(struct authorizer *z)
{
	while (!list_empty(&z->known))
		authorizer_forget(z, list_entry(z->known.next, struct question, in_state));
}

static void
text_set(struct slice *text, struct slice to)
{
	secret_wipe((char *)(uintptr_t)text->p, text->n);
	*text = slice(to.n > 0 ? xstrndup(to.p, to.n) : NULL, to.n);
}

void
authorizer_configure(struct authorizer *z, const struct authorizer_options *o)
{
	struct slice secret = z->options.secret, authorities = z->options.authorities;

	text_set(&secret, o->secret);
	text_set(&authorities, o->authorities);
	z->options = *o;
	z->options.secret = secret;
	z->options.authorities = authorities;
	authorizer_forget_all(z);
	list_each(link, &z->authorities) {
		struct authority *w = list_entry(link, struct authority, in_authorizer);

		/* No route may know it any more. */
		if (list_empty(&w->queue) && list_empty(&w->calls))
			authority_free(w);
	}
}

/* Nobody is told. */
static void
question_drop(struct question *q)
{
	struct list *link;

	while ((link = list_take_link(&q->waiters)) != NULL)
		free(list_entry(link, struct authorization, in_question));
	question_free(q);
}

struct authorizer *
authorizer_free(struct authorizer *z)
{
	if (z == NULL)
		return NULL;
	authorizer_forget_all(z);
	list_each(link, &z->authorities) {
		struct authority *w = list_entry(link, struct authority, in_authorizer);

		while (!list_empty(&w->queue))
			question_drop(list_entry(w->queue.next, struct question, in_state));
		while (!list_empty(&w->calls))
			question_drop(list_entry(w->calls.next, struct question, in_state));
		authority_free(w);
	}
	map_done(&z->questions);
	fetcher_free(z->fetcher);
	text_set(&z->options.secret, SLICE(""));
	text_set(&z->options.authorities, SLICE(""));
	free(z);
	return NULL;
}
