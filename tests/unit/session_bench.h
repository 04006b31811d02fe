/*
 * The session floor without a network: clients whose frames are taken from their queues, a class that does what a test tells it
 * to, and time that passes when it is told to.
 */
#ifndef SESSION_BENCH_H
#define SESSION_BENCH_H

#include <check.h>

#include "base/mem.h"
#include "history/history.h"
#include "history/userlists.h"
#include "net/loop.h"
#include "net/outq.h"
#include "presence/tracker.h"
#include "session/channel.h"
#include "session/classes.h"
#include "wire/message.h"

struct client {
	struct session	session;
	struct outq	out;
	struct addr	peer;
	unsigned	closed;		/* with that code; 0 = open */
	uint64_t	paused;		/* ms: the last pause */
	unsigned	wakes;
};

/* Made anew by bench_begin(). The routes: "room:*" and "{kind}:{name}:x" with the class "probe", "public:*" the same for anonymous clients. */
extern struct session_env bench;
/* The class: a test replaces what it wants otherwise. */
extern struct channel_class probe;
/* The channel that was joined (or wants to be) last, and the last answer that was put off by the event "defer". */
extern struct channel *probe_channel;
extern struct channel_ref *probe_ref;

/* For tcase_add_checked_fixture(). */
void bench_begin(void);
void bench_end(void);
/* A route behind the others; `rate` for the event "echo", or NULL. */
void bench_route(const char *pattern, const struct rate *);
/* Another one, of that class, with n of its options; `rate` for the event "say", or NULL. */
void bench_serve(const char *pattern, const struct channel_class *, struct route_setting *, unsigned n, const struct rate *);
/* The store's clock, ms since 1970: at first that of BENCH_TIME. */
extern int64_t bench_wall;
#define BENCH_TIME	"2027-01-15T08:00:00.123Z"
/* What the store answers from now on: 0, or -errno; at once, or (with `later`) when it is asked to tell. */
void bench_store_fails(int error, bool later);
/*
 * Reads are kept back from now on. Lets the oldest be made; false if there is none. So many have come that are not made yet.
 */
void bench_store_holds(void);
bool bench_store_reads(void);
unsigned bench_store_held(void);
/* What is appended from now on is kept, but its sender is told -EHOSTUNREACH. */
void bench_store_loses_answers(bool loses);
/* Another node appends to a topic, which is heard here, too; or changes a user's list, and tells us. */
void bench_other_says(const char *topic, const char *event, const char *payload);
void bench_other_lists(const char *user, const char *list, const char *name, bool listed);
/* We are BENCH_NODE under this epoch, at first 1. */
#define BENCH_NODE	"n1"
extern uint64_t bench_epoch;
/* All other nodes are up, under any epoch, until it is said of one that it is not. */
void bench_node_is_down(const char *node);
/* The window in which changes of presence are collected. */
#define BENCH_WINDOW	50

/* Of that user ("" = anonymous), whose token ends in so many seconds (0 = never). Lives until bench_end(). */
struct client *client_new(const struct codec *, const char *user, int64_t seconds);
struct client *client_v2(void);
/* The connection is gone. */
void client_gone(struct client *);
void client_says(struct client *, const char *text);
void client_joins(struct client *, const char *ref, const char *topic);

/* The next frame is that text. */
#define client_hears(c, text)	client_hears_at(c, text, __LINE__)
void client_hears_at(struct client *, const char *text, int line);
/* The same, where * stands for an id, a ref or a number. */
#define client_hears_like(c, text)	client_hears_like_at(c, text, __LINE__)
void client_hears_like_at(struct client *, const char *text, int line);
#define client_hears_nothing(c)	client_hears_at(c, NULL, __LINE__)
/* Drops what it was told. */
void client_forgets(struct client *);

/* Lets so much time pass: timers fire, and what is over is buried. */
void pass(uint64_t ms);

/* Notes something in the journal; the default callbacks note "join TOPIC;", "joined;", "info N;", "leave WHY;". */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The journal is that text; it is empty then. */
#define noted(text)	noted_at(text, __LINE__)
void noted_at(const char *text, int line);

/* Joins for probe.join: one that waits. */
int probe_join_later(struct channel *, const struct channel_message *);

#define OK		"{\"status\":\"ok\",\"response\":{}}"
#define REASON(text)	"{\"status\":\"error\",\"response\":{\"reason\":\"" text "\"}}"
#define REPLY(join_ref, ref, topic, payload) "[" join_ref "," ref ",\"" topic "\",\"phx_reply\"," payload "]"

#endif
