/*
 * The inside of history: one topic's order (feed.c) and gaps (gap.c), who joins (catchup.c), what is appended (say.c,
 * transact.c), what is shown (page.c) and to whom first (turns.c), and up to where users have read (mark.c). For history/
 * alone.
 *
 * A feed has a position, the last message that was delivered here; everything behind it is still to come, in order:
 * over the bus, or, where that leaves a hole, by reading the stream. A message that does not follow the position is
 * held while the hole is read; since whatever is held stands in the stream, too, it may be dropped where it grows too
 * much. What cannot be proved to be whole is announced.
 */
#ifndef HISTORY_FEED_H
#define HISTORY_FEED_H

#include "base/map.h"
#include "base/mem.h"
#include "history/history.h"

#define FEED_READS	64	/* of all feeds, at a time */
#define FEED_PAGE	100	/* messages of one read */
#define FEED_RETRY_MS	1000	/* after a read that failed, at most */
#define HISTORY_RESYNC	"{\"status\":\"resync\",\"recovered\":false}"

struct history {
	struct loop	*loop;
	struct pubsub	*pubsub;
	struct store	*store;
	struct history_options options;
	struct map	 feeds;
	struct list	 queue;		/* of feeds that want to read */
	unsigned	 reading;	/* feeds */
	struct list	 reads;		/* struct read: under way */
	struct list	 turns;		/* struct turns: who waits for one */
	unsigned	 turning;	/* reads under way of those who take turns */
	struct list	 appends;	/* struct append */
	struct list	 pages;		/* struct asked_page */
	struct list	 marks;		/* struct asked_mark */
	struct list	 transactions;	/* under way, or over but for what the store is to tell */
};

/* A read under way, or one that waits for its turn. */
struct read {
	struct list	 in_history;	/* or in the turns, while it waits */
	struct history	*history;
	struct turns	*turns;		/* NULL = it is nobody's */
	const void	*owner;		/* of history_asker */
	bool		 waits;
	store_page_fn	*fn;		/* NULL: nobody wants to know any more */
	void		*arg;
	struct loop_task fail;		/* tells that the store could not be asked when its turn had come */
	struct store_read what;		/* its topic and reader lie in text */
	char		 text[];
};

/* A message, kept. Counted. */
struct kept_message {
	unsigned	 refs;
	struct store_entry entry;	/* its texts lie behind */
	char		 text[];
};

/* What the feed holds until it is its turn. */
struct held {
	struct list	 in_feed;
	struct kept_message *message;
	uint64_t	 round;		/* of the feed, when it came */
};

/* A subscriber whose page holds messages that the others are still to hear. */
struct late {
	struct list	 in_feed;
	struct subscriber *who;
	struct position	 upto;		/* they end here */
};

/* In history->feeds as long as it is open; then in memory until the end of the turn. */
struct feed {
	struct history	*history;
	struct slice	 topic;		/* in text */
	struct history_limits limits;
	unsigned	 opens;		/* of subscribers and of those who catch up; 0 = it is over */
	bool		 known;		/* the position is */
	bool		 has_tail;	/* of the message at the position */
	bool		 delivering;	/* what comes meanwhile is held */
	bool		 wants;		/* a read that is asked from now on */
	bool		 learning;	/* the read under way was asked when the position was not known */
	struct position	 at;		/* the position: 0-0 = before all */
	uint64_t	 tail;
	uint64_t	 sure_at;	/* history_clock(): nothing was missing then */
	uint64_t	 ends_at;	/* history_clock(): the stream may have ended of age then; 0 = it never does */
	struct read	*read;		/* under way; what it was asked: */
	struct position	 read_from;
	uint64_t	 read_at;	/* history_clock() */
	uint64_t	 round;		/* reads that were asked so far */
	uint64_t	 said_round;	/* the one that last found something lost */
	uint64_t	 answered;	/* the last of them that gave all there was behind the position */
	struct list	 held;		/* struct held, in the order they came */
	size_t		 held_bytes;
	struct list	 catchups;
	struct list	 lates;
	struct list	 excepting;	/* struct append: with somebody who is not to hear it */
	struct list	 in_queue;
	struct timer	 check;
	struct grave	 grave;
	char		 text[];
};

/* An append whose outcome is not known yet, or whose message leaves somebody out and has not come yet. */
struct append {
	struct list	 in_history;
	struct list	 in_feed;	/* feed->excepting */
	const struct feed *feed;	/* whose that is; NULL = it is in none */
	const struct subscriber *except;	/* NULL = nobody, or gone */
	uint64_t	 tag;
	bool		 stored;	/* the outcome was told */
	struct position	 at;
	uint64_t	 round;		/* of the feed, at that time */
	history_said_fn *fn;
	void		*arg;
};

/* history.c */
/*
 * Asks the store; NULL if that cannot be done now. `fn` is told later, unless read_cancel() or history_free() comes
 * first.
 */
struct read *history_read(struct history *, const struct store_read *, store_page_fn *fn, void *arg);
void read_cancel(struct read *);
/* One that is not asked yet; copies what it is about. */
struct read *read_new(struct history *, const struct store_read *, store_page_fn *fn, void *arg);
/* Asks the store. It is freed, and NULL given, if that cannot be done now. */
struct read *read_ask(struct read *);
/* The same, but `fn` is told that it cannot be done, later. */
void read_begin(struct read *);
/* Lets waiting feeds read, as many as may at a time. */
void history_pump(struct history *);
/* ms on a clock that also goes while the process stands. */
uint64_t history_clock(const struct history *);
struct kept_message *kept_message_new(const struct store_entry *);
struct kept_message *kept_message_ref(struct kept_message *);
struct kept_message *kept_message_unref(struct kept_message *);
size_t kept_message_size(const struct kept_message *);
/* The payload as it is delivered: with its id as last member. */
void history_add_entry_id(struct buf *out, const struct store_entry *);

/* feed.c */
struct feed *feed_new(struct history *, struct slice topic, const struct history_limits *);
/* It is over: whatever it had under way. Buried at the end of the turn. */
void feed_end(struct feed *);
/* `who`, just subscribed, is not to hear what stands at or before `upto`. */
void feed_add_late(struct feed *, struct subscriber *who, struct position upto);
void late_free(struct late *);
/* A message that came over the bus, or that was stored here. */
void feed_fresh(struct feed *, const struct store_entry *);
/* A message that can only be the next one. */
void feed_next(struct feed *, const struct store_entry *);
/* NULL = nothing is held. */
struct held *feed_first_held(const struct feed *);
/* Delivers what is held, as far as it can be; reads where that is not all. */
void feed_settle(struct feed *);
/* The next message. Classes are called: the feed may be over behind it. */
void feed_deliver(struct feed *, const struct store_entry *);
/* That something was lost is said. */
void feed_announce(struct feed *);
/* The position changes, but not by way of a message. */
void feed_move(struct feed *, struct position to);
/* Whom the feed has caught up with is late no more; or nobody is. */
void feed_drop_lates(struct feed *, bool all);

/* gap.c */
/* A read is to be made, asked from now on; as soon as it is this feed's turn. */
void feed_want(struct feed *);
/* Asks now: it is this feed's turn. */
void feed_ask(struct feed *);
/* The position is learnt from a page, if it is not known yet. */
void feed_learn(struct feed *, const struct store_page *, uint64_t asked_at);

/* catchup.c */
/* The message is being delivered, and so is kept for those who catch up. */
void catchup_keep(struct feed *, const struct store_entry *);
/* Messages were lost in front of the feed's position: nothing that was kept joins on to what follows. */
void catchup_cut(struct feed *);
/* The feed's position is known now. */
void catchup_learn(struct feed *);
/* The feed ends, and they with it. */
void catchup_end_all(struct feed *);

/* page.c */
/* Shows the newest `most` of the store's page. */
void page_show(history_page_fn *, void *arg, const struct store_page *, unsigned most, bool recovered);
/* The page that is none. */
void page_fail(history_page_fn *, void *arg, int error);
void page_end_all(struct history *);

/* turns.c */
/* As history_read(), when it is their turn; at once where `who` is NULL. */
struct read *turns_read(struct history *, const struct history_asker *who, const struct store_read *, store_page_fn *fn, void *arg);
/* So many wait that no page is to be asked for. */
bool turns_are_full(const struct turns *);
/* A read that waits is forgotten. */
void turns_cancel(struct read *);
/* A read begins; it was told. The turns may be over behind it. */
void turns_begin(struct read *);
void turns_told(struct turns *);
/* Lets those read whose turn it is. */
void turns_pump(struct history *);
/* What waits is freed; nobody is told. */
void turns_end_all(struct history *);

/* mark.c */
void mark_end_all(struct history *);

/* say.c */
/* Who is not to hear this message, which is being delivered: NULL = nobody. */
const struct subscriber *append_take_except(struct feed *, const struct store_entry *);
/* The feed has moved, or read all there is: whoever waits for a message that cannot come any more waits in vain. */
void append_passed(struct feed *);
/* The stream is not the one it was: nobody waits for what stood in it. */
void append_forget_stored(struct feed *);
/* The feed ends. */
void append_forget_feed(struct feed *);
void append_free(struct append *);

/* transact.c */
/* History ends, and they with it; nobody is told. */
void transaction_end_all(struct history *);

#endif
