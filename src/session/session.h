/*
 * One client's conversation: who it is, what it joined, and how its messages find their channel. A session
 * does not know how its bytes travel.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "net/addr.h"
#include "net/rates.h"
#include "pubsub/pubsub.h"
#include "session/identity.h"
#include "session/routes.h"

struct history;
struct inbound;
struct session;
struct tracker;
struct turns;
struct userlists;

/* The nodes, ours too, for what must end with the node that holds it. */
struct session_peers {
	/* Our name, borrowed, and the epoch under which we began: 0 = no place now. */
	struct slice (*self)(void *arg, uint64_t *epoch);
	bool	     (*is_up)(void *arg, struct slice node, uint64_t epoch);
};

struct authorization;

/* What is asked of an authorize_url; borrowed for the length of the call. */
struct authorize_request {
	const char	*url;
	struct slice	user, claims, channel;	/* channel = the topic */
	struct slice	info;		/* JSON: the join's userInfo; empty = null */
	struct slice	connection;	/* the session's id */
};
/* Told once, later or at once: may it join? `reason` is the authoriser's, for the client; empty = none. */
typedef void authorized_fn(void *arg, bool yes, struct slice reason);

struct session_authorizer {
	/* NULL: fn was told at once. Else it is told later, unless cancel() comes first. */
	struct authorization *(*ask)(void *arg, const struct authorize_request *, authorized_fn *, void *fn_arg);
	void		      (*cancel)(struct authorization *);
};

/*
 * Who is told what happens to clients: see backplane/happenings.h. A client ends for the reason of session_close(), else
 * "closed"; a channel that had joined ends as the class is told in `leave`. NULL at the start. Nothing may be closed from here.
 */
struct session_watcher {
	void (*client)(void *arg, const struct session *, bool connected, const char *why);
	void (*channel)(void *arg, const struct session *, struct slice topic, struct slice user, bool joined, const char *why);
};

/* How bytes reach a session's client. */
struct transport {
	const char	*name;
	/*
	 * Ends the connection with that code, after what is queued; idempotent. It calls session_done()
	 * before it returns.
	 */
	void	(*close)(struct session *, unsigned code, const char *why);
	/* Take nothing from the client for so long. */
	void	(*pause)(struct session *, uint64_t ms);
	/* session_tick() has something to do: call it soon. */
	void	(*wake)(struct session *);
};

struct session_limits {
	uint32_t	max_channels;		/* of one session */
	uint32_t	max_topics;		/* of the node; 0 = unlimited */
	uint32_t	max_topic;		/* bytes of a topic's name */
	uint32_t	message_rate;		/* a second; 0 = unlimited */
	uint32_t	message_burst;
	uint32_t	join_queue;		/* messages kept while a join is pending */
	uint64_t	join_ms;		/* until a pending join is refused */
	uint64_t	leeway_ms;		/* a token is taken so long after its exp */
	uint64_t	expiry_warning_ms;	/* "token_expiring" comes so long before it */
};

/* What all sessions of a node share. */
struct session_env {
	struct loop		*loop;
	struct pubsub		 pubsub;
	struct tracker		*tracker;	/* presence; borrowed */
	struct history		*history;	/* borrowed */
	struct userlists	*userlists;	/* borrowed */
	const struct session_peers *peers;
	void			*peers_arg;
	struct list		 asked;		/* pushes that history is to answer: see channel_history.c */
	struct list		 changes;	/* struct change: under way, see channel_transact.c */
	struct routes		*routes;
	uint32_t		 run;		/* of this process, random: the first half of its sessions' ids */
	uint64_t		 n_begun;	/* sessions so far: the second half */
	const struct session_authorizer *authorizer;	/* NULL = none: routes with authorize_url deny */
	void			*authorizer_arg;
	const struct session_watcher *watcher;	/* NULL = nobody wants to know */
	void			*watcher_arg;
	struct rates		 rates;
	const struct route_rate *event_rates;	/* for all routes; borrowed */
	unsigned		 n_event_rates;
	struct session_limits	 limits;
	/* Verifies a token: 0 with a reference, or -EACCES with *why (static text, for the log). */
	int		       (*verify)(void *arg, struct slice token, struct identity **who, const char **why);
	void			*arg;
};

#define SESSION_ID_LEN	25

/* Embedded in its transport's connection. In `channels`, each topic at most once. */
struct session {
	struct session_env	*env;
	const struct transport	*transport;
	const struct codec	*codec;
	struct outq		*out;		/* borrowed from the transport */
	struct identity		*who;		/* our reference */
	struct channel		*channels;	/* most recently used first */
	struct dispatch		*current;	/* the message being handled */
	const struct addr	*peer;		/* borrowed from the transport */
	struct turns		*turns;		/* of its reads; NULL before the first */
	struct bucket		 bucket;
	char			 id[SESSION_ID_LEN + 1];	/* which no other connection in the cluster has or had */
	uint32_t		 n_channels;
	size_t			 pending_bytes;	/* of messages that wait for a join, and joins that wait, in all channels */
	const char		*closing;	/* why, while session_close() is at work */
	bool			 expiring;	/* the connection's token: channels are warned of it */
	bool			 expired;	/* and so it has: rejoins are refused */
	bool			 closed;	/* session_close() was called: nothing is handled any more */
};

/*
 * The env's pubsub, routes and rates are set up and torn down with the node; this wires intercepted
 * broadcasts to channels. Tracker, history, userlists and peers are set behind it, before the first session, and
 * freed before session_env_done().
 */
void session_env_init(struct session_env *, struct loop *, struct broker *);
void session_env_done(struct session_env *);
/* Borrowed. Its news are told to channels. */
void session_env_set_tracker(struct session_env *, struct tracker *);

/* Takes the reference to `who`. */
void session_init(struct session *, struct session_env *, const struct transport *, const struct codec *, struct outq *,
    const struct addr *peer, struct identity *who);
/*
 * Queues the first message, in a dialect in which that is the server's: "connected" {clientId, user, timestamp}. To be called
 * once, before anything is received.
 */
void session_greet(struct session *);
/* The connection is gone: every channel ends ("closed"). */
void session_done(struct session *);
/* One message from the client. `data` may be anything; text is valid UTF-8. */
void session_receive(struct session *, bool binary, struct slice data);
/*
 * One way out: logs the reason and asks the transport to end the connection with that code (RFC 6455 section
 * 7.4). Idempotent.
 */
void session_close(struct session *, unsigned code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/*
 * Looks after tokens: warns before they expire, and closes the channels that stood on them. Returns when it
 * wants to be called again (ms of the loop's clock), UINT64_MAX = never; or earlier, when transport->wake()
 * says so. To be called first when the session is new.
 */
uint64_t session_tick(struct session *, uint64_t now);

/* For the transport's log lines. */
struct slice session_user(const struct session *);

#endif
