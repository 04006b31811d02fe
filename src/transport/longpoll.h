/*
 * Long poll as a transport (protocol/phoenix.md section 4): sessions without a connection of their own. What is said to a
 * client waits until it asks; what it says comes in requests. Where the requests come from is not known here.
 */
#ifndef TRANSPORT_LONGPOLL_H
#define TRANSPORT_LONGPOLL_H

#include "base/map.h"
#include "net/loop.h"
#include "session/session.h"
#include "transport/longpoll_token.h"

struct longpoll;
struct longpoll_request;

struct longpoll_options {
	uint64_t	window_ms;	/* so long a poll waits; a session without one for half as long again ends */
	uint64_t	max_queue;	/* bytes that may wait for a poll; more, and the session ends */
	uint64_t	max_message;	/* bytes of a post's body: for who reads it */
};

/* All long-poll sessions of a process. */
struct longpolls {
	struct session_env	*env;
	struct longpoll_options	 options;
	struct slice		 node;		/* our id, borrowed: it stands in the tokens */
	struct map		 sessions;	/* by the id in their token */
	struct list		 open;		/* the same, longest open first */
	unsigned		 n;
};

/* How a request ends: the status of protocol/phoenix.md 4.2. */
enum longpoll_status {
	LONGPOLL_OK = 200,	/* a poll: with messages; a post: taken */
	LONGPOLL_NOTHING = 204,	/* a poll: nothing came, or another one has taken its place */
	LONGPOLL_GONE = 410,	/* a post: the session has ended */
	LONGPOLL_ENDED = 500	/* a poll: so it has, and every stock client begins anew */
};

/* A poll or a post under way. Embedded in whoever asks, who fills the upper part. */
struct longpoll_request {
	/* Told once, unless it is cancelled: `messages` is the text of a JSON array, lent; empty for all but LONGPOLL_OK. */
	void		(*answer)(struct longpoll_request *, enum longpoll_status, struct slice messages);
	bool		 unsure;	/* whether an answer with messages arrives is told by longpoll_settle() */
	bool		 ndjson;	/* a post: lines, each a message */
	struct buf	 body;		/* a post's, freed by whoever filled it */
	struct longpoll	*session;	/* NULL = it is over */
	struct list	 in_posts;
	struct slice	 rest;		/* of the body: not taken yet */
	bool		 taken;		/* all of it is */
	uint64_t	 since;		/* ms */
};

/* Who is told when a session is gone, with what it was opened with. */
typedef void longpoll_gone_fn(void *arg, const struct addr *peer, struct slice user);

struct longpoll_open {
	const struct addr	*peer;		/* copied */
	const struct codec	*codec;
	struct identity		*who;		/* the reference is taken */
	longpoll_gone_fn	*on_gone;	/* may be NULL */
	void			*arg;
};

void longpolls_init(struct longpolls *, struct session_env *, struct slice node);
/* Ends every session at once. */
void longpolls_done(struct longpolls *);
struct longpoll *longpoll_open(struct longpolls *, const struct longpoll_open *);
/* Borrowed. */
struct slice longpoll_token(const struct longpoll *);
/* The session of that token, or NULL. The token must be one of this node's. */
struct longpoll *longpolls_find(const struct longpolls *, const struct longpoll_token *);
/* Asks for messages; answered at the end of the turn if there are any. An earlier poll gets LONGPOLL_NOTHING. */
void longpoll_poll(struct longpoll *, struct longpoll_request *);
/* Brings messages. Posts are taken one behind the other, and answered when theirs are. */
void longpoll_post(struct longpoll *, struct longpoll_request *);
/* Whoever asked is gone, and is not told. Harmless behind the answer, unless that is not settled: then its messages stay. */
void longpoll_cancel(struct longpoll_request *);
/* An answer with messages has arrived, or has not, and they wait for another poll. */
void longpoll_settle(struct longpoll_request *, bool arrived);
/* Ends one, with that code in the log. */
void longpoll_drop(struct longpoll *, unsigned code, const char *why);
/* Ends all of that user. Returns how many. */
unsigned longpolls_close_user(struct longpolls *, struct slice user, unsigned code, const char *why);
/* Ends the one of that session's id (session.h; no token). False: there is none. */
bool longpolls_close_id(struct longpolls *, struct slice id, unsigned code, const char *why);
/* Ends up to `n`, longest open first. Returns how many. */
unsigned longpolls_close_some(struct longpolls *, unsigned n, unsigned code, const char *why);

#endif
