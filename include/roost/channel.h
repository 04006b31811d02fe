/*
 * What a channel class may see of roost: everything, whether it is built in or loaded from a .so. A class is
 * a table of callbacks; a channel is one client's membership of one topic. All callbacks run in one thread,
 * one at a time, and must not block. See roost-module(3).
 */
#ifndef ROOST_CHANNEL_H
#define ROOST_CHANNEL_H

#include <stdint.h>

#include <roost/buf.h>
#include <roost/history.h>

/* Bumped when anything below changes in a way that a compiled module could notice. */
#define ROOST_CHANNEL_ABI	4

struct channel;
struct channel_presence;
struct channel_route;
struct channel_ref;

/* A payload: JSON text of an object, or raw bytes (which only Phoenix V2 clients can be sent). Always borrowed. */
struct channel_payload {
	struct slice	bytes;
	bool		binary;
};

static inline struct channel_payload
channel_json(struct slice text)
{
	return (struct channel_payload){ .bytes = text };
}

static inline struct channel_payload
channel_binary(struct slice bytes)
{
	return (struct channel_payload){ .bytes = bytes, .binary = true };
}

/* {} */
static inline struct channel_payload
channel_empty(void)
{
	return channel_json(SLICE("{}"));
}

/*
 * A client's message, or a broadcast on its way to a client; borrowed for the length of the callback. JSON is
 * valid UTF-8 and RFC 8259, its text as the client sent it.
 */
struct channel_message {
	struct slice		event;
	struct channel_payload	payload;
};

/*
 * What became of one key's presences. Texts are metas: JSON objects, phx_ref included. Before, there were
 * n - n_new + n_gone; an update shows its new meta among the new, its old one among the gone.
 */
struct channel_presence {
	struct slice	 key;
	const struct slice *metas;	/* all that there are now; the last n_new of them are new */
	unsigned	 n;
	unsigned	 n_new;
	const struct slice *gone;
	unsigned	 n_gone;
	struct channel	*by;		/* whose new one came last, of those of channels here; NULL: none of them has one */
	struct channel *const *owners;	/* whose the n_new new ones are, each: a channel here, or NULL */
};

/*
 * What callbacks return. A negative value is a failure of the class itself: a join is answered
 * {"reason":"join crashed"}, elsewhere the channel ends with phx_error.
 */
enum channel_result {
	CHANNEL_OK = 0,
	CHANNEL_REFUSED = 1,	/* join: no; the reason is what channel_reply_error() said, else {"reason":"unauthorized"} */
	CHANNEL_LATER = 2	/* join: channel_accept() or channel_refuse() follows */
};

/*
 * A setting of a route: `route "room:*" { class = "room" NAME = VALUE }`, or `options = { "NAME=VALUE" }` for
 * a loaded class.
 */
struct channel_option {
	const char	*name;
	const char	*fallback;	/* the value when it is not set */
	const char	*help;
};

/*
 * A channel class. Only abi, name, join and handle_in are required. `state_size` zeroed bytes live in each
 * channel (channel_state()).
 */
struct channel_class {
	unsigned	 abi;			/* ROOST_CHANNEL_ABI */
	const char	*name;
	size_t		 state_size;
	const struct channel_option *options;	/* ends with a NULL name; may be NULL */
	/* Events that go to handle_out instead of to the client; ends with NULL; may be NULL. */
	const char *const *intercepts;
	/*
	 * Reads the route's options when the configuration is loaded; *data is kept with the route. Returns
	 * 0, or -1 with *why (static text): the configuration is refused.
	 */
	int	(*configure)(const struct channel_route *, void **data, const char **why);
	/* Frees what configure made. */
	void	(*unconfigure)(void *data);
	/*
	 * May this client join? channel_reply_ok() sets the response of an ok, {} without it. Nothing may be
	 * pushed or broadcast here: see joined.
	 */
	int	(*join)(struct channel *, const struct channel_message *params);
	/*
	 * The ok is on its way and the channel hears the topic: the place for first pushes. After channel_catch_up() it has
	 * heard already what came meanwhile, also by handle_out.
	 */
	int	(*joined)(struct channel *);
	/* The client pushed an event. Not for binary payloads the class does not expect: check payload.binary. */
	int	(*handle_in)(struct channel *, const struct channel_message *);
	/* A broadcast of an intercepted event, for this client: channel_push() it, changed or not, or leave it. */
	int	(*handle_out)(struct channel *, const struct channel_message *);
	/* A timer of channel_set_timer() is due. */
	int	(*handle_info)(struct channel *, int timer);
	/*
	 * A class that has this shows its topics' presences to nobody: no presence_state, no presence_diff. It is told instead
	 * what changed in one key within a window, once on each node, by way of any one of the topic's channels here; what
	 * clients are to hear of it is said with channel_tell_here().
	 */
	int	(*handle_presence)(struct channel *, const struct channel_presence *);
	/* With handle_presence: clients are shown presence_state and presence_diff as well. */
	bool	shows_presence;
	/*
	 * Broadcasts of this class' channels name who says them and when, to clients of the Pusher-style protocol: {"clientId",
	 * "userId"} and a timestamp.
	 */
	bool	names_senders;
	/*
	 * A client of that protocol joins where it is in already, and stays in: answers as the join was answered. NULL = ok, {}.
	 */
	int	(*rejoin)(struct channel *, const struct channel_message *params);
	/* The list of channel_open_list() changed, by whichever channel of the user's, on any node. */
	int	(*handle_list)(struct channel *);
	/*
	 * A channel is over for which join returned CHANNEL_OK or CHANNEL_LATER: "leave", "closed" (connection),
	 * "replaced" (joined anew), "stopped" (by the class), "expired" (token), "crashed"; or while it waited for
	 * channel_accept(): "refused", "timeout", "closed", "crashed". Nothing can be said to the client any more;
	 * broadcasts to others can, if it was joined.
	 */
	void	(*leave)(struct channel *, const char *why);
	/*
	 * Do topics of the route with this data keep history? Then true, with the same *limits that its channels pass to
	 * channel_keep_history(): for the HTTP API, which posts and reads where no channel is. NULL = they do not.
	 */
	bool	(*history)(const void *data, struct history_limits *limits);
	/*
	 * Is a kept message for this client? Pages of channel_catch_up() and channel_load() hold no others; where a page of the
	 * latter would hold none at all, it is read on. NULL = all are.
	 */
	bool	(*wants)(const struct channel *, const struct history_message *);
};

/* A loadable module defines this symbol: its classes, ending with NULL. */
#define ROOST_MODULE_SYMBOL	"roost_module_classes"
extern ROOST_API const struct channel_class *const roost_module_classes[];

/*
 * The channel and its client. All results are borrowed and live as long as the channel; what comes from its
 * token may change when the client renews that, so it lives for the length of the callback.
 */
ROOST_API void *channel_state(struct channel *);
/* What configure made for the channel's route. */
ROOST_API void *channel_route_data(const struct channel *);
ROOST_API struct slice channel_topic(const struct channel *);
/*
 * What {name} in the route's pattern stood for ("*" for the rest a final star matched); p == NULL if the
 * pattern has none.
 */
ROOST_API struct slice channel_capture(const struct channel *, const char *name);
/* The user of the channel's token (the join's own, else the connection's); empty for anonymous clients. */
ROOST_API struct slice channel_user(const struct channel *);
/* The connection's id, in the cluster: "clientId". */
ROOST_API struct slice channel_client(const struct channel *);
/* Claim username or name, else the user. */
ROOST_API struct slice channel_user_name(const struct channel *);
/* All claims of the token: JSON object text; {} for anonymous clients. */
ROOST_API struct slice channel_claims(const struct channel *);

/*
 * Options, in configure: the value as text, the class' fallback if it is not set, NULL if the class has no
 * such option. A list's elements are separated by commas.
 */
ROOST_API const char *channel_route_option(const struct channel_route *, const char *name);
/* The same as yes or no; 0 with *value, or -1 for another text. */
ROOST_API int channel_route_bool(const struct channel_route *, const char *name, bool *value);
/* A plain number; a duration such as "10s" in ms, 2^50 at most. The same results. */
ROOST_API int channel_route_number(const struct channel_route *, const char *name, uint64_t *value);
ROOST_API int channel_route_duration(const struct channel_route *, const char *name, uint64_t *ms);

/*
 * Answers to the message (or join) being handled: at most one counts, later ones are ignored. Outside of join
 * and handle_in they do nothing.
 */
ROOST_API void channel_reply_ok(struct channel *, struct channel_payload response);
ROOST_API void channel_reply_error(struct channel *, struct channel_payload response);
/* {"reason":REASON} as an error; REASON is plain text. */
ROOST_API void channel_reply_reason(struct channel *, const char *reason);
/*
 * The right to answer the message being handled later: the caller's, until channel_ref_reply(). NULL if the
 * message was answered already.
 */
ROOST_API struct channel_ref *channel_defer(struct channel *);
/* Answers and frees the reference; if the channel is over meanwhile, it only frees. status "ok" or "error". */
ROOST_API void channel_ref_reply(struct channel_ref *, bool ok, struct channel_payload response);
/*
 * In handle_in, where what the client pushed stands for another event: is it within the rate that holds for that one? Then it
 * is counted; else false, with an answer.
 */
ROOST_API bool channel_within_rate(struct channel *, struct slice event);

/*
 * After join returned CHANNEL_LATER; exactly one of them, else limits.join_timeout refuses with
 * {"reason":"timeout"}.
 */
ROOST_API void channel_accept(struct channel *, struct channel_payload response);
ROOST_API void channel_refuse(struct channel *, struct channel_payload response);

/* To this client alone. 0, or -EINVAL (not joined, or the payload is no object). */
ROOST_API int channel_push(struct channel *, struct slice event, struct channel_payload);
/* To everyone joined to the topic, on every node; the sender too. 0 or -EINVAL. */
ROOST_API int channel_broadcast(struct channel *, struct slice event, struct channel_payload);
/* To everyone but this channel. */
ROOST_API int channel_broadcast_from(struct channel *, struct slice event, struct channel_payload);
/* To the topic's channels on this node alone, but `except` (may be NULL): where each node finds out by itself. */
ROOST_API int channel_tell_here(struct channel *, struct slice event, struct channel_payload, const struct channel *except);
/*
 * Any JSON value as the data of a broadcast, to all but this channel: where it is no object, Phoenix' clients get {"data":VALUE}.
 */
ROOST_API int channel_broadcast_data_from(struct channel *, struct slice event, struct slice value);
/* As channel_tell_here(), to clients of the Pusher-style protocol alone: {"type":TYPE,"channel":TOPIC,…members of the payload}. */
ROOST_API int channel_tell_typed_here(struct channel *, struct slice type, struct slice payload, const struct channel *except);
/* The topic's channels on this node, this one included where it has joined. */
ROOST_API unsigned channel_count_here(const struct channel *);
/*
 * The topic's channels on all nodes: counted from channel_watch_audience() on, which all channels of the topic should call in
 * joined, or none. The other nodes' are those that they have told of, within a tenth of a second where there are many changes;
 * without it they are none.
 */
ROOST_API void channel_watch_audience(struct channel *);
ROOST_API unsigned channel_count_audience(const struct channel *);
/* Do the class' intercepts hold for this channel? They do at first; one that filters nothing yet is spared the detour. */
ROOST_API void channel_set_intercepting(struct channel *, bool on);

/*
 * Presence: who is in this topic, on all nodes. A channel that looks on is pushed `presence_state` (within
 * presence.window after it joined), and gets `presence_diff` with each later change; it looks on from channel_watch() or its
 * first channel_track(), in joined or later. All channels of a topic should, or none.
 *
 * A presence is a key (the user's id, mostly) with a meta: a JSON object's text, to which phx_ref is added. Several
 * channels may hold the same key: each adds a meta. They all leave with the channel. Errors: -EINVAL (not joined; no
 * object; a key that is empty, too long or a member of Object.prototype), -E2BIG (the meta), -ENOSPC (too many metas of the key),
 * -EEXIST (track: this channel has it already), -ENOENT (update: it has not).
 */
ROOST_API void channel_watch(struct channel *);
ROOST_API int channel_track(struct channel *, struct slice key, struct slice meta);
/* Is that a key at all? */
ROOST_API bool channel_is_key(struct slice key);
/* Old and new meta travel in one diff; an equal one changes nothing. */
ROOST_API int channel_update(struct channel *, struct slice key, struct slice meta);
/*
 * A lease: the meta stands for `ms`, then the one that was tracked or updated last stands again, unless this is said anew.
 * channel_update() ends it. The same errors.
 */
ROOST_API int channel_update_for(struct channel *, struct slice key, struct slice meta, uint64_t ms);
ROOST_API int channel_untrack(struct channel *, struct slice key);
/* What this channel tracks under the key, phx_ref included; p == NULL if nothing. Borrowed until the next change. */
ROOST_API struct slice channel_meta(const struct channel *, struct slice key);
/*
 * When the connection is lost, its presences stay for so long, and who comes back with the same key, to any node, takes
 * them over: nobody sees a leave. 0 at first. A client that says phx_leave leaves at once.
 */
ROOST_API void channel_set_leave_grace(struct channel *, uint64_t ms);
/*
 * As the last act of join: `return channel_await_presence(…)`. Learns who is present in the topic, on all nodes, and calls fn,
 * which accepts or refuses; behind the accepted join every change that channel_presences() did not show there comes as news, and
 * none that it did.
 */
ROOST_API int channel_await_presence(struct channel *, void (*fn)(struct channel *));
/* Keys present. Known from presence_state on. */
ROOST_API unsigned channel_presence_count(const struct channel *);
/* Presences whose clients are there, on all nodes, as far as is known: those, too, of which nobody was told yet. */
ROOST_API unsigned channel_count_present(const struct channel *);
/* Each presence in the topic, as clients see it now; fn returns false to stop. */
ROOST_API void channel_presences(const struct channel *, bool (*fn)(void *arg, struct slice key, struct slice meta), void *arg);

/*
 * History: messages of the topic that are kept, in one order for all nodes. To be said in join, by every channel of the
 * topic alike.
 */
ROOST_API void channel_keep_history(struct channel *, const struct history_limits *);
/*
 * Stores a message, broadcasts it to everyone (the sender too if `to_self`) in the stream's order, and answers the push being
 * handled when that is decided: ok with `response` (an object's text; p == NULL: the payload), or error
 * {"reason":"unavailable"} where the store cannot be reached, {"reason":"rate_limit","retry_after_ms":n} where the rate of the
 * event that the client pushed, counted over all nodes, is used up. To the delivered payload and to the response the member
 * "id" is added. Out of turn, or where the push was answered, nobody is told the outcome. 0 or -EINVAL (not joined, no
 * history, no object).
 */
ROOST_API int channel_post(struct channel *, struct slice event, struct slice payload, struct slice response, bool to_self);
/*
 * As the last act of join: `return channel_catch_up(…)`, or of a callback while the join is pending. Reads what follows
 * last_seen (an id; p == NULL: the newest `newest` messages) and calls fn, which answers with channel_accept() or
 * channel_refuse(). Behind the accepted join come live messages: none that the page holds, and all that it does not, but for
 * a page with `more`, whose rest is asked for by channel_load(). page->error != 0: the store cannot be read now. Where fn
 * decides nothing, the join has failed. A page has at most 512 KiB (or one message), but for the newest 500, which are given
 * whatever their size: a class that needs them all bounds what is kept. CHANNEL_LATER, or -EINVAL (no history, not joining,
 * the second time).
 */
ROOST_API int channel_catch_up(struct channel *, struct slice last_seen, unsigned newest,
    void (*fn)(struct channel *, const struct history_page *page));
/*
 * In handle_in: a page of messages before (forward: after) the one of that id, p == NULL: from the end (the start). fn
 * answers by channel_ref_reply(), which takes the reference; it is not called if the channel ends first, and at once where
 * the store cannot be asked. 0 or -EINVAL (no history, the push was answered, limit 0). At most 500 messages come at a time,
 * and 512 KiB of them (or one): page->more says that there are others. A client's pages are read one after another.
 */
ROOST_API int channel_load(struct channel *, bool forward, struct slice id, unsigned limit,
    void (*fn)(struct channel *, struct channel_ref *, const struct history_page *page));

/*
 * Marks: up to where a user has read, kept with the topic's history. A mark never moves back; page->mark tells it at
 * channel_catch_up(). In handle_in: fn answers by channel_ref_reply(), which takes the reference; error 0, -ENOENT (no such
 * message is kept), -EHOSTUNREACH. It is not called if the channel ends first. 0 or -EINVAL, as channel_load(), and for
 * anonymous clients.
 */
ROOST_API int channel_mark(struct channel *, struct slice id,
    void (*fn)(struct channel *, struct channel_ref *, int error, struct slice id));

/*
 * A change that is decided once for all nodes: a message that is posted only where the topic's newest one is still that
 * on which it was decided; else `decide` is asked again. So the newest message can carry the state of the whole topic, and
 * all channels hear of its changes in one order. The topic keeps history (limits.last_ms: the newest lives longer).
 */
struct channel_transaction {
	/* Fills the change and returns true; false: nothing is to be posted. `ch` NULL: see channel_transact(). */
	bool	(*decide)(struct channel *ch, void *arg, struct history_change *);
	/*
	 * Told once, later: 0 and the message's id (p == NULL: nothing was posted); -EHOSTUNREACH: it may have been, or not;
	 * -EINVAL: what was decided is no message. The posted message may have been heard (as any is, as a broadcast:
	 * handle_out) before, or will be after. `ch` NULL: it has ended; arg is to be freed even so.
	 */
	void	(*done)(struct channel *ch, void *arg, int error, struct slice id);
	void	*arg;
	bool	 insist;	/* while the store cannot be reached, try on */
};
/*
 * From join (which keeps history, and returns CHANNEL_LATER) on. Of a channel that ends, what is under way is not decided any
 * more, and done is told with NULL; but one that is begun in `leave` goes on, with NULL for the channel. 0 or -EINVAL, and
 * nothing is told.
 */
ROOST_API int channel_transact(struct channel *, const struct channel_transaction *);

/*
 * A list of names that the channel's user keeps ("blocks"): the same in all topics and on all nodes. Opened in join, which
 * returns CHANNEL_LATER: fn goes on with the join when it has been read (error 0), or cannot be (-EHOSTUNREACH); it is
 * called when join has returned. -EINVAL: no user, not in join, the second list, a name that is not 1 to 32 of a-z.
 */
ROOST_API int channel_open_list(struct channel *, const char *list, void (*fn)(struct channel *, int error));
ROOST_API bool channel_list_has(const struct channel *, struct slice name);
ROOST_API unsigned channel_list_count(const struct channel *);
/*
 * In handle_in: adds a name of 1 to 128 bytes, or takes it out, and answers the push when that is kept: ok {}, or error
 * {"reason":"unavailable"}, or {"reason":"too_many"} beyond 1,000 names. 0 or -EINVAL.
 */
ROOST_API int channel_list_set(struct channel *, struct slice name, bool listed);

/*
 * Nodes, for what must end with the node that holds it: the name of this one, and the epoch under which its process began (0 =
 * it has no place among the others now); and is that node up, and has not begun anew since?
 */
ROOST_API struct slice channel_node(const struct channel *, uint64_t *epoch);
ROOST_API bool channel_node_is_up(const struct channel *, struct slice node, uint64_t epoch);

/* A UUIDv7 as text: for messages that history does not number, and whatever else needs a name of its own. Returns out. */
#define CHANNEL_ID_LEN	36
ROOST_API char *channel_new_id(const struct channel *, char out[CHANNEL_ID_LEN + 1]);

/*
 * Ends the channel: phx_close, after which stock clients stay away, or phx_error, after which they rejoin. It
 * goes when the callback returns.
 */
ROOST_API void channel_stop(struct channel *);
ROOST_API void channel_fail(struct channel *, const char *reason);

/* One timer per number: (re)sets it to call handle_info in `ms`. They end with the channel. */
ROOST_API void channel_set_timer(struct channel *, int timer, uint64_t ms);
ROOST_API void channel_stop_timer(struct channel *, int timer);

/* Milliseconds: of a monotonic clock, for intervals; and since 1970 UTC, for stamps. */
ROOST_API uint64_t channel_now(const struct channel *);
ROOST_API int64_t channel_wall(const struct channel *);

/* A line in the log, with the client's address: level 0 error, 1 warning, 2 info, 3 debug. Rate-limited. */
ROOST_API void channel_log(const struct channel *, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Payloads against a table of their fields. Of several members of one name the last counts; those that no table names are
 * left alone; null is as good as missing.
 */
enum channel_type {
	CHANNEL_TEXT,		/* string of min to max characters (code points), not of white space alone where min > 0 */
	CHANNEL_BOOL,
	CHANNEL_INTEGER,	/* from min to max, written without fraction and exponent */
	CHANNEL_OBJECT,
	CHANNEL_ANY		/* any value of at most max bytes, as text */
};

struct channel_field {
	const char	*name;
	enum channel_type type;
	bool		 required;
	int64_t		 min, max;
};

struct channel_value {
	bool		given;
	struct slice	token;		/* as it was sent; p == NULL unless given */
	struct slice	text;		/* CHANNEL_TEXT: decoded */
	int64_t		number;		/* CHANNEL_INTEGER; CHANNEL_BOOL: 0 or 1 */
};

/*
 * In join and handle_in: fills values[n]; what has to be decoded goes into scratch (initialised by the caller, and his to
 * free). For the first field that is wrong it answers {"reason":"invalid_payload","field":NAME} ("payload" for raw bytes),
 * and returns false.
 */
ROOST_API bool channel_read(struct channel *, const struct channel_message *, const struct channel_field *fields, unsigned n,
    struct channel_value *values, struct buf *scratch);

/*
 * Looking into JSON: the raw value of an object's member (the last of that name), p == NULL if there is none;
 * the text of a string token, decoded into scratch[size] where it has escapes: 0, -EINVAL for another type,
 * -EILSEQ, -ENAMETOOLONG. And the other way: text as a string token, into out[size]: its length, or
 * -ENAMETOOLONG.
 */
ROOST_API struct slice channel_json_member(struct slice object, const char *name);
ROOST_API int channel_json_string(struct slice token, char *scratch, size_t size, struct slice *text);
ROOST_API int channel_json_quote(struct slice text, char *out, size_t size);
/* The same at the end of a buffer. */
ROOST_API void channel_json_add(struct buf *out, struct slice text);
/*
 * Walks an object's members, *at = 0 at first: the raw tokens of a name and its value. 1, or 0 at the end.
 */
ROOST_API int channel_json_next(struct slice object, size_t *at, struct slice *name, struct slice *value);

#endif
