/*
 * A long-poll session as a program of steps: posts of any bytes, polls that wait, hang up or never hear whether their answer
 * arrived, and time. Each request is told once; when the session has ended, all of them are.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "history/history.h"
#include "presence/tracker.h"
#include "transport/longpoll.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_ASKERS	8

struct asker {
	struct longpoll_request	request;
	bool			asked;
	bool			told;
};

static struct session_env env;
static struct longpolls set;
static struct longpoll *lp;
static struct asker askers[MAX_ASKERS];

static void
on_answer(struct longpoll_request *r, enum longpoll_status status, struct slice messages)
{
	struct asker  *a = container_of(r, struct asker, request);
	enum json_kind kind;

	assert(a->asked && !a->told);
	a->told = true;
	assert(messages.n == 0 || (json_scan(messages, &kind) == (ssize_t)messages.n && kind == JSON_ARRAY));
}

static bool
is_free(const struct asker *a)
{
	return !a->asked || (a->told && a->request.session == NULL);
}

/* One that asks nothing, or NULL. */
static struct asker *
asker_take(bool unsure, bool ndjson)
{
	for (unsigned i = 0; i < MAX_ASKERS; i++) {
		struct asker *a = &askers[i];

		if (!is_free(a))
			continue;
		buf_done(&a->request.body);
		*a = (struct asker){ .asked = true, .request = { .answer = on_answer, .unsure = unsure, .ndjson = ndjson } };
		return a;
	}
	return NULL;
}

static void
pass(uint64_t ms)
{
	env.loop->now += ms;
	env.loop->work = 0;
	loop_end_turn(env.loop);
}

static void
on_gone(void *arg, const struct addr *peer, struct slice user)
{
	lp = NULL;
}

static void
open_session(void)
{
	static const struct addr from = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };

	lp = longpoll_open(&set, &(struct longpoll_open){
		.peer = &from, .codec = &codec_phoenix_v2,
		.who = identity_new(SLICE("u"), SLICE("u"), SLICE("{}"), INT64_MAX), .on_gone = on_gone,
	});
}

/* A body ends at a NUL. */
static void
post(struct slice *program, bool ndjson)
{
	struct asker *a = asker_take(false, ndjson);
	const char   *end = memchr(program->p, '\0', program->n);
	size_t	      n = end != NULL ? (size_t)(end - program->p) : program->n;

	if (a != NULL)
		buf_add(&a->request.body, program->p, n);
	*program = slice_from(*program, n);
	if (a != NULL)
		longpoll_post(lp, &a->request);
}

static void
cancel(struct longpoll_request *r)
{
	struct asker *a = container_of(r, struct asker, request);

	longpoll_cancel(r);
	a->told = true;
}

static void
step(struct slice *program)
{
	unsigned      op = (unsigned char)program->p[0], which = op / 8 % MAX_ASKERS;
	struct asker *a;

	*program = slice_from(*program, 1);
	if (lp == NULL)
		open_session();
	switch (op % 8) {
	case 0:
	case 1:
		a = asker_take(op % 8 == 1, false);
		if (a != NULL)
			longpoll_poll(lp, &a->request);
		break;
	case 2:
	case 3:
		post(program, op % 8 == 2);
		break;
	case 4:
		pass(which * 1000);
		break;
	case 5:
		cancel(&askers[which].request);
		break;
	case 6:
		if (askers[which].told)
			longpoll_settle(&askers[which].request, op >= 128);
		break;
	default:
		pass(0);
	}
}

static void
begin(void)
{
	static const struct tracker_options presence = { .window_ms = 50 };
	static const struct history_options keeping = { 0 };

	log_open(&(struct log_options){ .level = LOG_ERROR_ });
	session_env_init(&env, loop_new(), broker_local_new());
	env.tracker = tracker_new(env.loop, &env.pubsub, "n", &presence, NULL, NULL);
	env.history = history_new(env.loop, &env.pubsub, store_memory_new(env.loop, 1024, NULL), &keeping);
	env.routes = routes_new();
	env.limits = (struct session_limits){ .max_channels = 4, .max_topic = 100, .message_rate = 20, .message_burst = 10 };
	longpolls_init(&set, &env, SLICE("n1"));
	set.options = (struct longpoll_options){ .window_ms = 10000, .max_queue = 4096 };
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice program = slice((const char *)data, size);

	if (env.loop == NULL)
		begin();
	while (program.n > 0)
		step(&program);
	if (lp != NULL)
		longpoll_drop(lp, 1001, "end");
	pass(0);
	assert(set.n == 0 && stats->longpolls == 0);
	for (unsigned i = 0; i < MAX_ASKERS; i++) {
		assert(!askers[i].asked || (askers[i].told && askers[i].request.session == NULL));
		buf_done(&askers[i].request.body);
		askers[i] = (struct asker){ 0 };
	}
	return 0;
}
