/*
 * Requests of long-poll clients whose session is another node's: passed on to it over Redis, and its answers brought back.
 * A client may so be sent to any node by a balancer.
 */
#ifndef BACKPLANE_LONGPOLL_RELAY_H
#define BACKPLANE_LONGPOLL_RELAY_H

#include "cluster/cluster.h"
#include "backplane/longpoll_message.h"
#include "transport/longpoll.h"

struct longpoll_relay {
	struct loop		*loop;
	struct longpolls	*polls;		/* ours; borrowed */
	struct redis		*redis;		/* borrowed; NULL = a node alone: nothing can be passed on */
	const char		*prefix;	/* "roost:", borrowed */
	struct redis_sub	*sub;
	struct map		 asked;		/* by id: our clients' requests that others are to answer */
	struct map		 served;	/* by id: others' requests that our sessions are to answer */
	struct list		 flights;	/* publications whose end is not known */
	size_t			 posting;	/* bytes of posts among them */
	struct buf		 out;
	struct buf		 scratch;
};

/* A request that another node is to answer. Embedded in whoever asks, who fills `answer`. */
struct longpoll_ask {
	/* Told once: LONGPOLL_GONE where the session is not, or does not answer; LONGPOLL_ENDED where Redis is away. */
	void		(*answer)(struct longpoll_ask *, enum longpoll_status, struct slice messages);
	struct longpoll_relay *relay;	/* NULL = it is over */
	struct longpoll_flight *flight;
	struct timer	 timer;
	uint64_t	 give_up;	/* ms */
	bool		 post;
	unsigned	 unheard;	/* times in a row that nobody was there to be asked again */
	char		 id[ID_LEN + 1];
	char		 node[CLUSTER_MAX_NODE + 1];
};

void longpoll_relay_init(struct longpoll_relay *, struct loop *, struct longpolls *);
/* From here on it passes on, and answers what others pass on to us. Borrows all. */
void longpoll_relay_join(struct longpoll_relay *, struct redis *, const char *prefix);
/* When neither clients nor sessions are left, and before Redis goes. */
void longpoll_relay_done(struct longpoll_relay *);
/* Passes on a poll (body NULL) or a post to the token's node. 0; -ENOTCONN or -ENOBUFS, then nothing is told. */
int longpoll_relay_ask(struct longpoll_relay *, struct longpoll_ask *, const struct longpoll_token *, struct slice text,
    bool ndjson, const struct slice *body);
/* The client hung up. Harmless when it is over. */
void longpoll_relay_cancel(struct longpoll_ask *);
/* Answers all of our clients' polls with LONGPOLL_NOTHING, for they can be asked elsewhere. */
void longpoll_relay_release(struct longpoll_relay *);

#endif
