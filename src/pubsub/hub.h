/*
 * Topics and who hears them on this node: dense arrays of queues, one per wire format, so that a broadcast
 * touches one cache line per subscriber.
 */
#ifndef PUBSUB_HUB_H
#define PUBSUB_HUB_H

#include "base/map.h"
#include "net/deflate.h"
#include "net/loop.h"
#include "net/outq.h"
#include "wire/message.h"

struct hub;
struct subscriber;

/* One lane per codec for those who take broadcasts as they are; one more for those who intercept some. */
#define HUB_LANES	(MESSAGE_CODECS + 1)
#define HUB_INTERCEPT	MESSAGE_CODECS

struct hub_entry {
	struct outq		*out;
	struct subscriber	*who;
};

struct hub_lane {
	struct hub_entry *entries;
	uint32_t	  n;
	uint32_t	  cap;
};

/* Exists iff it has a local subscriber. */
struct topic {
	struct slice	name;
	struct slice	token;		/* the name as a JSON string */
	int64_t		since;		/* ms since 1970: when its first subscriber came */
	uint32_t	n;		/* subscribers, all lanes */
	struct hub_lane	lanes[HUB_LANES];
	struct grave	grave;
	char		text[];		/* name and token */
};

/* A place in exactly one lane of one topic, or none (topic NULL, or deaf). Embedded in what subscribes. */
struct subscriber {
	struct topic		*topic;
	struct outq		*out;		/* where its frames go; borrowed, outlives the subscription */
	const struct codec	*codec;
	const char *const	*intercepts;	/* events told to hub->on_intercept instead; NULL = none */
	uint32_t		 place;		/* in its lane */
	bool			 deaf;		/* it has a topic, but no place in it */
};

struct hub_options {
	struct deflate	*deflate;	/* NULL = no compression; borrowed */
	uint32_t	 deflate_min;	/* smaller bodies are sent as they are */
};

struct hub {
	struct loop		*loop;
	struct map		 topics;
	struct hub_options	 options;
	/* A broadcast of an event that `who` intercepts. It may subscribe and unsubscribe anyone. */
	void		       (*on_intercept)(struct subscriber *who, struct slice event, const struct message *);
	/* A topic got its first, or lost its last, local subscriber. */
	void		       (*on_topic)(struct topic *, bool exists, void *arg);
	void			*arg;
};

void hub_init(struct hub *, struct loop *);
/* There must be no subscribers left. */
void hub_done(struct hub *);
/* NULL if nobody here hears it. */
struct topic *hub_topic(const struct hub *, struct slice name);
/*
 * Subscribes to the topic, making it if need be. `who` has out, codec and intercepts set, and no topic yet.
 * The name is at most WIRE_MAX_TOPIC bytes.
 */
void hub_subscribe(struct hub *, struct subscriber *who, struct slice name);
void hub_unsubscribe(struct hub *, struct subscriber *who);
/* From now on it intercepts those; NULL = none. Also from inside on_intercept. */
void hub_set_intercepts(struct hub *, struct subscriber *who, const char *const *intercepts);
/* The half of it: hears nothing any more, but keeps the topic alive until hub_unsubscribe(). */
void hub_deafen(struct subscriber *who);
/*
 * Queues the message for all local subscribers but `except` (may be NULL). Encodes at most once per wire format. Returns
 * how many got it; those who intercept it are asked instead, and not counted.
 */
unsigned hub_deliver(struct hub *, struct topic *, struct message *, const struct subscriber *except);
/* The same, but for those `n`, each of which is subscribed to the topic. */
unsigned hub_deliver_sparing(struct hub *, struct topic *, struct message *, struct subscriber *const *spared,
    unsigned n);
/* To one subscriber, as if it were a broadcast: where it intercepts that, it is asked instead. */
void hub_deliver_to(struct hub *, struct subscriber *who, struct message *);
/* Queues one message for one receiver, deflated where agreed. False if the format cannot carry it. */
bool hub_send(struct hub *, struct outq *, const struct codec *, struct message *);

#endif
