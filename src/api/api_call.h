/*
 * One call of the API, from its request to its answer, which may come later: the client may be gone by then, or have
 * been told that it takes too long.
 */
#ifndef API_API_CALL_H
#define API_API_CALL_H

#include "api/api.h"
#include "wire/topic_type.h"

/* Of the cluster. */
struct totals {
	unsigned	types[TOPIC_TYPES];	/* topics of each */
	bool		counted;		/* `members` are, each topic's; else they are the nodes' sums */
	uint64_t	members;
	uint64_t	clients;
	unsigned	nodes;
};

/* Exists until it is answered, or its client gone, and nobody is left who was asked something for it. */
struct api_call {
	struct list	  in_api;
	struct api	 *api;
	struct http_conn *conn;		/* NULL: answered, or the client is gone */
	unsigned	  asked;	/* answers from elsewhere that are still to come */
	struct timer	  deadline;
	struct buf	  name;		/* what stands for NAME or ID in the path, decoded */
	struct buf	  id;		/* the same behind a NAME */
	struct buf	  event;	/* of a message */
	struct buf	  data;		/* an object's text */
	bool		  value;	/* it is {"data":V}, for V's sake */
	struct post	 *posts;	/* what is said: see api_messages.c */
	unsigned	  n_posts;
	struct buf	  cursor;	/* of a list */
	struct buf	  type;
	unsigned	  limit;
	struct buf	  names;	/* of its page, each with a NUL behind it */
	struct headcount  count;	/* of a topic */
	unsigned	  silent;	/* nodes that are not in it */
	struct totals	  totals;
	bool		  more;		/* the list goes on */
};

/* Each handler answers the call, or asks somebody. `query` and `body` are lent until it returns. */
typedef void api_fn(struct api_call *, struct slice query, struct slice body);

/* NULL if too many wait. */
struct api_call *api_call_new(struct api *, struct http_conn *);
/* Their connections are over. */
void api_call_drop_all(struct api *);
/* Somebody is about to be asked, whose answer comes to api_call_resume(); api_call_unask() if that could not be done. */
void api_call_ask(struct api_call *);
void api_call_unask(struct api_call *);
/* The answer is here. False: nobody waits for it any more, and the call may be gone. */
bool api_call_resume(struct api_call *);

/* All of these end the call. */
void api_answer(struct api_call *, struct slice json);
void api_error(struct api_call *, unsigned status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* 503, and when to try again. */
void api_unavailable(struct api_call *, const char *why);
/* 422 */
void api_invalid(struct api_call *, const char *what);

/* A number in the query from 1 to `max`, `fallback` if it is not there. False: answered with 422. */
bool api_limit(struct api_call *, struct slice query, unsigned fallback, unsigned max);
/* A text in the query: appended to *out, which is empty if it is not there. False: answered. */
bool api_text(struct api_call *, struct slice query, const char *name, struct buf *out);
/* Could it be a topic's name, or a user's? */
bool api_is_name(struct slice);
static inline struct slice
api_name(const struct api_call *call)
{
	return buf_slice(&call->name);
}
/* PREFIXt:{TOPIC} */
void api_add_channel(const struct api *, struct buf *out, struct slice topic);

/* Asks how many clients topics have; false if that cannot be done. Else, the call may be over. */
bool api_headcount(struct api_call *, const struct slice *topics, unsigned n, headcount_fn *);
/* True: no node has answered, and the call is over. */
bool api_unanswered(struct api_call *, unsigned silent);
/* ,"silent":n where nodes have not answered. */
void api_add_silent(struct buf *, unsigned silent);

/* Asks; the call is over if that cannot be done. */
void api_ask_redis(struct api_call *, redis_reply_fn *, const struct slice *argv, unsigned argc);
/* For the topics that somebody hears, which are told as PREFIXt:{TOPIC}; and the topic in one of these, or nothing. */
void api_ask_topics(struct api_call *, struct slice prefix, redis_reply_fn *);
struct slice api_topic(const struct api *, const struct redisReply *);

/* api_nodes.c, api_stats.c, api_channels.c, api_messages.c */
api_fn api_nodes, api_kick, api_kick_connection, api_list, api_stats, api_channel, api_members, api_post, api_broadcast,
    api_history, api_delete;

#endif
