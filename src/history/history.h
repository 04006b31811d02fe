/*
 * History at work on one node: each topic's messages reach its local subscribers in the order of the stream, each
 * once, whatever the bus lost or repeated; and who joins or comes back gets what it missed without a hole between the
 * old and the live.
 */
#ifndef HISTORY_HISTORY_H
#define HISTORY_HISTORY_H

#include <roost/history.h>

#include "pubsub/pubsub.h"
#include "store/store.h"
#include "wire/envelope.h"

struct history;
struct feed;
struct catchup;

struct history_options {
	uint64_t	check_ms;	/* each topic's position is compared with the stream so often: 4 s; 0 = never (memory) */
	size_t		max_held;	/* bytes of live messages kept while a reader catches up: 1 MiB */
};

/* Takes the store (its user is set here); borrows pubsub, whose on_stored is set here. Never NULL. */
struct history *history_new(struct loop *, struct pubsub *, struct store *, const struct history_options *);
/* Feeds and catch-ups that are left end with it; nobody is told anything. NULL in, NULL out. */
struct history *history_free(struct history *);

/*
 * A subscriber's interest in a topic's history: the topic has a feed as long as there is one. The first open sets
 * the limits. Never NULL.
 */
struct feed *feed_open(struct history *, struct slice topic, const struct history_limits *);
void feed_close(struct feed *);

/* Borrowed for the length of the call. */
struct history_words {
	struct slice	event;
	struct slice	payload;	/* JSON object */
	struct slice	user;		/* may be empty */
	const struct subscriber *except;	/* NULL = nobody */
	const struct store_rate *rate;		/* NULL = none */
	const struct history_limits *limits;	/* NULL = the feed's */
	const struct position *after;		/* as in store_append */
};
/* What became of a message: `id` is its UUID where error is 0; the errors of store_appended_fn, at once or later. */
typedef void history_said_fn(void *arg, int error, struct slice id, uint64_t retry_ms);
/*
 * Stores and broadcasts to everyone on every node but `except`, in the order of the stream, which may be before or after `fn`
 * is told. Delivered payloads end in the member "id". Returns 0, or -errno and fn is not told.
 */
int history_say(struct feed *, const struct history_words *, history_said_fn *, void *arg);
/* The same for who has no interest of its own in the topic, to everyone; said by no user. */
int history_say_to(struct history *, struct slice topic, const struct history_limits *, struct slice event, struct slice payload,
    history_said_fn *, void *arg);
/*
 * The message of that id is no longer kept, and everyone is told so by HISTORY_DELETED {"id":ID}, which is kept as a message of
 * its own: who comes back later hears it, too. `fn` is told -ENOENT where there is no such message; the id is that of the
 * announcement. -EINVAL: it is no id.
 */
#define HISTORY_DELETED	"message_deleted"
int history_remove(struct history *, struct slice topic, const struct history_limits *, struct slice id, history_said_fn *, void *arg);
/*
 * The subscriber goes: appends under way that leave it out forget it, and the feed does not mind that it is behind its
 * page. To be said, before feed_close(), for everyone who was an `except` or has finished a catch-up.
 */
void feed_forget(struct feed *, const struct subscriber *);

/* See <roost/history.h>; the page is lent until the call returns. */
typedef void history_page_fn(void *arg, const struct history_page *);

/*
 * Whose pages are read one at a time: a client's. What it asks for meanwhile waits, in order; and where many clients wait,
 * each comes once before any comes again. The history outlives what is under way in it. Never NULL.
 */
struct turns;
struct turns *turns_new(struct history *);
/* It asks no more: what waits is told -EHOSTUNREACH, what is under way later. NULL is fine. */
void turns_end(struct turns *);
/* The same for the pages of that owner alone. NULL is fine. */
void turns_forget(struct turns *, const void *owner);

/* Who asks for pages; NULL instead of it = nobody who needs to wait. */
struct history_asker {
	struct turns	*turns;
	const void	*owner;		/* for turns_forget() */
};

/*
 * For a joiner (`reader`, who may be nobody: page->mark is his): reads all that follows `last_seen` (a UUID; p == NULL: none),
 * at most `limit`, or the newest `newest` where there is none or it is not known (STORE_MAX_PAGE of them: however many bytes
 * they are); and keeps what arrives meanwhile. In `fn`, or right behind it, the joiner
 * either subscribes and catchup_finish() gives it what was kept, or catchup_cancel() ends it. A page with `more`
 * after a last_seen leaves a gap that the joiner is to read by further pages: what arrives from now on is live. The
 * feed stays open meanwhile by itself. Never NULL.
 */
struct catchup *history_catch_up(struct feed *, const struct history_asker *, struct slice last_seen, unsigned limit,
    unsigned newest, struct slice reader, history_page_fn *, void *arg);
void catchup_finish(struct catchup *, struct subscriber *);
/* Before or after fn was told; it is not told then. NULL is fine. */
void catchup_cancel(struct catchup *);

/*
 * A further page: before (or after) the message of that id; with p == NULL the newest (oldest). What was before a message can
 * be read when that is gone; an id that is malformed, or of none that is kept, and what follows it is asked for: an empty page
 * with recovered false. `fn` is told once, later, unless history_free() comes first; -errno and it is not:
 * -ENOTCONN, -ENOBUFS (too many of the asker's pages wait).
 */
int history_page(struct history *, const struct history_asker *, struct slice topic, const struct history_limits *, bool forward,
    struct slice id, unsigned limit, history_page_fn *, void *arg);

/*
 * As <roost/channel.h> says of marks. 0, or -errno and fn is not told, which otherwise it is once, unless history_free() comes
 * first.
 */
int history_mark(struct history *, struct slice topic, const struct history_limits *, struct slice user, struct slice id,
    store_marked_fn *, void *arg);

/*
 * Transactions: see channel_transact(). Keeps the feed open by itself. `decide` is told the newest message (NULL = none) and
 * returns whether something is to be posted; `done` is told once, later: 0 with the id (p == NULL = nothing was posted) or
 * -EHOSTUNREACH; unless transaction_cancel() or history_free() comes first.
 */
struct transaction;
struct transaction_user {
	bool	(*decide)(void *arg, struct history_change *);
	void	(*done)(void *arg, int error, struct slice id);
	void	*arg;
};
struct transaction *history_transact(struct feed *, const struct transaction_user *, struct slice user, bool insist);
/* Nothing is asked nor told from here on. NULL is fine. */
void transaction_cancel(struct transaction *);
/* Is any under way? A node that ends waits for them, for a while. */
bool history_is_transacting(const struct history *);

/* The object with the member "id" behind its own; its bytes are not touched otherwise. */
void history_add_id(struct buf *out, struct slice object, struct slice id);
/*
 * Messages may have been missed in all topics: each feed reads what follows its position, and delivers it in order;
 * where the stream no longer reaches back to it, its subscribers get `system` {"status":"resync","recovered":false}.
 * Without a connection the feeds remember it, for the next call.
 */
void history_resync(struct history *);

#endif
