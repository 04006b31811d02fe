/*
 * One session's membership of one topic. What classes may do with it is in <roost/channel.h>; this is the
 * inside, for session/ alone.
 */
#ifndef SESSION_CHANNEL_H
#define SESSION_CHANNEL_H

#include "session/session.h"

struct presence_member;
struct presence_peek;
struct channel_list;
struct catchup;
struct feed;

enum channel_phase {
	CHANNEL_JOINING,	/* join has not answered yet */
	CHANNEL_JOINED,
	CHANNEL_OVER
};

/* A message that came while the join was pending. */
struct pending_message {
	struct list	in_channel;
	bool		binary;
	size_t		n;
	char		data[];
};

struct channel_timer {
	struct list	in_channel;
	struct timer	timer;
	struct channel *channel;
	int		number;
};

/* A meta that stands for a while, and the one that stands again after it. The texts lie behind the struct. */
struct channel_lease {
	struct list	in_channel;
	struct timer	timer;
	struct channel *channel;
	struct slice	key;
	struct slice	meta;
	char		text[];
};

/* The right to answer later; `channel` becomes NULL when it is over. The tokens lie behind the struct. */
struct channel_ref {
	struct list	 in_channel;
	struct channel	*channel;
	struct slice	 ref;
	char		 text[];
};

/* A push that another room is to answer, in env->asked: it may outlive its channel. */
struct asked {
	struct list	    in_env;
	struct channel_ref *ref;
	/* Of a page; of a mark. */
	void		  (*loaded)(struct channel *, struct channel_ref *, const struct history_page *);
	void		  (*marked)(struct channel *, struct channel_ref *, int error, struct slice id);
	bool		    forward;	/* of a page, which holds so many at most */
	unsigned	    limit;
	size_t		    n;
	char		    text[];	/* n bytes: a post's response, a mark's id */
};

/* Of a channel whose topic keeps messages. */
struct channel_history {
	struct feed		*feed;
	struct history_limits	 limits;
	struct catchup		*catchup;	/* while the join is pending */
	void			(*caught_up)(struct channel *, const struct history_page *);
	struct list		 changes;	/* struct change, but for those begun in leave: see channel_transact.c */
};

/* What is rarely there: allocated at the first need. */
struct channel_extra {
	struct list	pending;	/* struct pending_message */
	unsigned	n_pending;
	struct list	timers;		/* struct channel_timer */
	struct list	leases;		/* struct channel_lease */
	struct list	refs;		/* struct channel_ref */
	struct timer	join_timer;
	struct channel *channel;
	char	       *topic;		/* of a pending join, like its tokens */
	char	       *ref;
	char	       *join_ref;
	struct pending_message *join;	/* it came so: kept while its authorizer is asked */
	struct authorization *asking;
	struct presence_peek *peek;	/* it waits to know who is present */
	void	      (*known)(struct channel *);
	char	       *fail_reason;	/* what phx_error will say */
	struct buf	refusal;	/* of a join, said in a callback that is still running */
};

/* In exactly one session's list; subscribed iff JOINED; its class never changes. */
struct channel {
	struct subscriber	 sub;
	struct session		*session;
	struct channel		*next;		/* in session->channels */
	const struct channel_route *route;	/* keeps its table alive */
	struct identity		*who;		/* the join's own token, or NULL: the session's */
	struct channel_extra	*extra;
	struct presence_member	*member;	/* NULL until it looks on or tracks: see channel_presence.c */
	struct channel_history	*history;	/* NULL unless its topic keeps messages: see channel_history.c */
	struct channel_list	*list;		/* NULL unless it looks at one of its user's: see channel_list.c */
	struct slice		 join_ref;	/* token; the join's ref where it had no join_ref */
	uint8_t			 phase;
	bool			 bare : 1;	/* joined without a join_ref */
	bool			 stopping : 1;	/* ends when the callback under way returns */
	bool			 failing : 1;	/* the same, with phx_error */
	bool			 warned : 1;	/* token_expiring was said */
	bool			 counted : 1;	/* its topic's channels are, on all nodes */
	bool			 unasked : 1;	/* its class knows nothing of it yet: see join.c */
	uint8_t			 depth;		/* callbacks of this channel under way */
	uint32_t		 leave_grace;	/* ms that its presences outlive its connection */
	struct grave		 grave;
	/* Then the class' state, then the join_ref's bytes. */
	max_align_t		 state[];
};

/* The message under way, and what became of it: on the stack of session_receive(). */
struct dispatch {
	struct channel		*channel;	/* NULL before one was found */
	const struct inbound	*in;
	bool			 answered;
	bool			 ok;		/* of a join: what it said so far */
	bool			 binary;
	bool			 posted;	/* its rate is counted where it is stored */
	struct buf		 response;
};

/* session.c */
/* ms until what stands on that token ends, leeway included; 0 = it has ended, UINT64_MAX = it never does. */
uint64_t session_token_left(const struct session *, const struct identity *);
/* So much before it the client is warned. */
uint64_t session_token_early(const struct session *);
void session_reply(struct session *, struct slice join_ref, struct slice ref, struct slice topic_token, bool ok,
    struct channel_payload response);
void session_reply_reason(struct session *, struct slice join_ref, const struct inbound *, const char *reason);

/* channel.c: the life of a channel */
struct channel *channel_find(struct session *, struct slice topic);
/* A channel in phase JOINING, in the session's list. Takes the reference to `who` (may be NULL). */
struct channel *channel_new(struct session *, const struct channel_route *, const struct inbound *join, struct identity *who);
/* Whose it is: its own token's, or the session's. Borrowed. */
struct identity *channel_identity(const struct channel *);
/*
 * The ok reply, the subscription, the class' joined(), then what waited. `ref` and `join_ref` are the join's
 * tokens.
 */
void channel_enter(struct channel *, struct slice join_ref, struct slice ref, struct channel_payload response);
/*
 * Says phx_close or phx_error as the flags ask (nothing for "closed"), then ends it: leaves the topic, tells
 * the class. Of a pending join it says nothing.
 */
void channel_end(struct channel *, const char *why);
/* It will say phx_error with that reason when it ends. */
void channel_set_failing(struct channel *, const char *reason);
/* Answers a pending join with an error, and tells the class why; what waited is unmatched then. */
void channel_refuse_join(struct channel *, struct channel_payload response, const char *why);
/* After a callback: ends the channel if the class failed (result < 0) or asked for it. */
void channel_settle(struct channel *, int result);
/* A message that is kept for a join; NULL when this client has too much of that. */
struct pending_message *pending_new(struct session *, bool binary, struct slice data);
/* Takes NULL, returns NULL. */
struct pending_message *pending_free(struct session *, struct pending_message *);
/* Keeps a message until the join is decided. -ENOBUFS when there are too many. */
int channel_hold(struct channel *, bool binary, struct slice data);
struct channel_extra *channel_extra(struct channel *);
/* Its join was decided: what that alone needed is freed. */
void channel_trim(struct channel *);
/* Frees a channel whose join was refused at once: the class knows. */
void channel_drop(struct channel *);
/* The warning, or the end, when its token's time has come. Returns when to look again: ms, UINT64_MAX = never. */
uint64_t channel_tick(struct channel *, uint64_t now);
/* Wires hub->on_intercept. */
void channel_intercept(struct subscriber *, struct slice event, const struct message *);

/* channel_api.c */
/* The message of this channel that is being handled, answered or not; NULL if there is none. */
struct dispatch *channel_current(const struct channel *);
/* Class code is trusted, but a payload that is no object would break every client. */
bool payload_is_object(struct channel_payload);

/* channel_presence.c */
/* It ends; its presences stay for the grace if its connection was lost without a word. */
void channel_presence_end(struct channel *, bool lost);
/* It has entered, or its join is over. */
void channel_await_end(struct channel *);

/* channel_history.c */
/* It is subscribed: what came since its page was read follows. */
void channel_history_entered(struct channel *);
/* It ends, or its join does. */
void channel_history_end(struct channel *);
struct asked *asked_new(struct channel *, struct channel_ref *, struct slice text);
void asked_free(struct asked *);
/* Ends what was asked and was not answered: history is gone, and so are the channels. */
void channel_history_drop(struct list *asked);
/* {"reason":"unavailable"} */
void channel_ref_unavailable(struct channel_ref *);

/* channel_transact.c */
/* Its channel ends. */
void channel_changes_end(struct channel_history *);
/* Tells those that nobody will decide any more: history is gone, and so are the channels. */
void channel_changes_drop(struct list *changes);

/* channel_list.c: it ends. */
void channel_list_end(struct channel *);

/* join.c */
/* A phx_join of a topic that the session has no channel of. `data` is what `in` was decoded from. */
void join_dispatch(struct session *, const struct inbound *, bool binary, struct slice data);
/* Its join is over: nobody is asked about it any more. */
void join_forget(struct channel *);

/* dispatch.c */
/* The token in a join's payload or an access_token push, decoded into scratch; p == NULL if there is none. 0 or -EINVAL. */
int dispatch_token(const struct inbound *, const char *name, struct buf *scratch, struct slice *token);
/* Whose it is. 0 with a reference, or -EACCES. */
int dispatch_verify(struct session *, struct slice token, struct identity **who);
/* Can a class be given it? */
bool dispatch_is_usable(const struct inbound *);
void dispatch_invalid_payload(struct session *, struct slice join_ref, const struct inbound *);
/* The rate that holds for an event here: the route's, else the one for all routes. NULL = none. */
const struct rate *dispatch_rate(const struct channel *, struct slice event);
/*
 * Whose events are counted together: a user's, or those of an address where there is no user; host[ADDR_LEN] may hold
 * it.
 */
struct slice dispatch_rate_owner(const struct channel *, char *host);
/* {"reason":REASON,"retry_after_ms":WAIT}, with the route's reason; one more is counted. */
#define RATE_LIMIT_LEN	144
struct channel_payload dispatch_rate_limit(const struct channel_route *, char text[RATE_LIMIT_LEN], uint64_t wait);
bool dispatch_is_heartbeat(const struct inbound *);
void dispatch_message(struct session *, const struct inbound *, bool binary, struct slice data);
/* What waited for the join, in order. */
void dispatch_pending(struct session *, struct list *pending);

#endif
