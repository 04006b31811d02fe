/*
 * A world for tests of history: one topic's stream, a store that answers, and a bus that delivers, when and as the
 * test says; and hearers who write down what they got. Message number n stands at 10n-0 and says {"n":n}.
 */
#ifndef HISTORY_BENCH_H
#define HISTORY_BENCH_H

#include "base/mem.h"
#include "history/history.h"

#define WORLD_TOPIC	SLICE("t")
#define WORLD_MAX	512	/* messages of a stream, or got by a hearer */
#define WORLD_CHECK_MS	4000
#define WORLD_RESYNC	0	/* instead of a number: was told that something is missing */

/* The stream: numbers [oldest, next) are kept; all that was published is on its way until the bus brings it. */
struct world {
	struct loop	*loop;
	struct pubsub	 ps;
	struct history	*history;
	unsigned	 oldest;
	unsigned	 next;
	unsigned	 tip;		/* number of the last one */
	unsigned	 salt;		/* of all tails: another stream has another */
	uint64_t	 ends_ms;	/* as pages tell it */
	struct list	 asked;		/* of the store, in order */
	unsigned	 n_asked;
	bool		 store_down;	/* it takes nothing */
	unsigned	 fit;		/* so many fill a page that may not be of any size; 0 = any number */
	struct list	 bus;		/* on its way */
	bool		 subscribed;
	int		 interest;
	bool		 slow_subscribe;	/* world_subscribed() says when */
};

struct hearer {
	struct outq	  out;
	struct subscriber sub;
	struct feed	 *feed;
	struct catchup	 *catchup;
	unsigned	  got[WORLD_MAX];
	unsigned	  n;
	bool		  joined;
	bool		  recovered;
	bool		  more;
	int		  error;
	unsigned	  n_page;	/* messages of the page */
	unsigned	  intercepted;
	const char	 *reader;	/* who asks for the page; NULL = nobody */
	char		  mark[32];	/* of the page; "" = none */
};

extern struct world world;

void world_start(void);
void world_end(void);
/* With such limits from now on; a new history. */
void world_limits(struct history_limits, size_t max_held);

/* Appended by another node, and published. */
void world_append(unsigned count);
/* What was published meanwhile is lost. */
void world_lose_bus(void);
/* The bus brings the oldest message that is on its way; false if there is none. */
bool world_bus(void);
/* It brings all of them. */
void world_bus_all(void);
/* It brings number n, with that prev; whatever is on its way stays so. */
void world_bring(unsigned n, unsigned prev);
/* The store executes the oldest thing that is asked and not executed yet; it answers the oldest that is. */
bool world_execute(void);
bool world_answer(void);
/* Executes and answers everything that is asked, and what follows from it. */
void world_answer_all(void);
/* All that is asked is answered with an error; what was not executed never is. */
void world_store_lost(void);
/* The interest is in force. */
void world_subscribed(void);
void world_trim(unsigned oldest);
/* The stream is replaced by an empty one. */
void world_flush(void);
/* Everything is answered and brought, and checks have come by. */
void world_settle(void);

struct hearer *hearer_new(void);
/* Joins without a look at what was. */
void hearer_join(struct hearer *);
/* Joins behind number n; 0 = with the newest `newest`. */
void hearer_catch_up(struct hearer *, unsigned n, unsigned newest);
void hearer_leave(struct hearer *);
void hearer_free(struct hearer *);
/* Moves what it was sent to got[]. */
void hearer_take(struct hearer *);
/* It got precisely these, "3 4 5"; R = told of something missing. */
void hearer_got(struct hearer *, const char *numbers);

#endif
