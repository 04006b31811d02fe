/*
 * A world for tests of history: one topic's stream, a store that answers, and a bus that delivers, when and as the
 * test says; and listeners who write down what they got. Message number n stands at 10n-0 and says {"n":n}.
 */
#ifndef HISTORY_BENCH_H
#define HISTORY_BENCH_H

#include "base/mem.h"
#include "history/history.h"

#define BENCH_TOPIC	SLICE("t")
#define BENCH_MAX	512	/* messages of a stream, or got by a listener */
#define BENCH_CHECK_MS	4000
#define BENCH_RESYNC	0	/* instead of a number: was told that something is missing */

/* The stream: numbers [oldest, next) are kept; all that was published is on its way until the bus brings it. */
struct bench {
	struct loop	*loop;
	struct pubsub	 ps;
	struct history	*history;
	unsigned	 oldest;
	unsigned	 next;
	unsigned	 tip;		/* number of the last one */
	unsigned	 salt;		/* of all tails: another stream has another */
	struct list	 asked;		/* of the store, in order */
	unsigned	 n_asked;
	bool		 store_down;	/* it takes nothing */
	struct list	 bus;		/* on its way */
	bool		 subscribed;
	int		 interest;
	bool		 slow_subscribe;	/* bench_subscribed() says when */
};

struct listener {
	struct outq	  out;
	struct subscriber sub;
	struct feed	 *feed;
	struct catchup	 *catchup;
	unsigned	  got[BENCH_MAX];
	unsigned	  n;
	bool		  joined;
	bool		  recovered;
	bool		  more;
	int		  error;
	unsigned	  n_page;	/* messages of the page */
	unsigned	  intercepted;
};

extern struct bench bench;

void bench_start(void);
void bench_end(void);
/* With such limits from now on; a new history. */
void bench_limits(struct history_limits, size_t max_held);

/* Appended by another node, and published. */
void bench_append(unsigned count);
/* What was published meanwhile is lost. */
void bench_lose_bus(void);
/* The bus brings the oldest message that is on its way; false if there is none. */
bool bench_bus(void);
/* It brings all of them. */
void bench_bus_all(void);
/* It brings number n, with that prev; whatever is on its way stays so. */
void bench_bring(unsigned n, unsigned prev);
/* The store executes the oldest thing that is asked and not executed yet; it answers the oldest that is. */
bool bench_execute(void);
bool bench_answer(void);
/* Executes and answers everything that is asked, and what follows from it. */
void bench_answer_all(void);
/* All that is asked is answered with an error; what was not executed never is. */
void bench_store_lost(void);
/* The interest is in force. */
void bench_subscribed(void);
void bench_trim(unsigned oldest);
/* The stream is replaced by an empty one. */
void bench_flush(void);
/* Everything is answered and brought, and checks have come by. */
void bench_settle(void);

struct listener *listener_new(void);
/* Joins without a look at what was. */
void listener_join(struct listener *);
/* Joins behind number n; 0 = with the newest `newest`. */
void listener_catch_up(struct listener *, unsigned n, unsigned newest);
void listener_leave(struct listener *);
void listener_free(struct listener *);
/* Moves what it was sent to got[]. */
void listener_take(struct listener *);
/* It got precisely these, "3 4 5"; R = told of something missing. */
void listener_got(struct listener *, const char *numbers);

#endif
