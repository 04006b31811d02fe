/*
 * What several of the built-in classes read and say alike.
 */
#ifndef CHANNELS_COMMON_H
#define CHANNELS_COMMON_H

#include <roost/channel.h>

#define COMMON_MAX_META		4096	/* bytes of a presence's meta */
#define COMMON_NEWEST		50	/* messages that a newcomer is given */
#define COMMON_MAX_LOAD		100	/* messages that one may ask for */
#define COMMON_PAGE_BYTES	(256 * 1024)	/* of a page's text: a slow client's queue is to hold it */

/* Answers {"reason":"invalid_payload","field":FIELD}; the field's name is plain text. */
void common_invalid(struct channel *, struct slice field);
/* The payload's text; {} where it is raw bytes. */
struct slice common_fields(const struct channel_message *);
/*
 * A member that is text, decoded into scratch[size] where it has escapes: 1; 0 if it is missing or null; or as
 * channel_json_string().
 */
int common_text(struct slice object, const char *name, char *scratch, size_t size, struct slice *text);

/* "2026-01-02T03:04:05.678Z" as a JSON string. */
void common_add_time(struct buf *, int64_t ms);

/* Looks on, and is present under that key, if it can be: what cannot be shown is logged. */
void common_track(struct channel *, struct slice key, struct slice meta);
/* The user is present, as {"online_at":SECONDS,"status":STATUS}: a JSON token or NULL. Who has no name looks on. */
void common_appear(struct channel *, const char *status);

/* The options history_max and history_age. NULL, or what is wrong: static text. */
const char *common_limits_read(const struct channel_route *, struct history_limits *);

/* Pages: common_page.c */

/* The message as it was delivered: its payload with the member "id" behind its own. */
void common_add_message(struct buf *, const struct history_message *);

/*
 * Which of a page's messages are told, so that their text stays within COMMON_PAGE_BYTES: [*from, *to), one at least if
 * there is any; the first ones if forward, else the last. True if others are left out.
 */
bool common_page_fit(const struct history_page *, bool forward, unsigned *from, unsigned *to);

/* How a class shows what is kept. */
struct common_list {
	const char *name;	/* of the member that holds them */
	void	  (*add)(struct buf *, const struct history_message *);	/* one of them, as JSON */
};

/* "NAME":[…], with those that fit. Returns whether there are more, left out or beyond the page. */
bool common_add_list(struct buf *, const struct common_list *, const struct history_page *, bool forward);

typedef void common_caught_fn(struct channel *, const struct history_page *);
typedef void common_loaded_fn(struct channel *, struct channel_ref *, const struct history_page *);

/* In join, as channel_catch_up(): `since` is told where the client named a last_seen_id, else `newest`. */
int common_catch_up(struct channel *, struct slice params, common_caught_fn *newest, common_caught_fn *since);
/*
 * Lets the newcomer in with {"NAME":[…],"has_more":BOOL}, and "recovered" if it named a last_seen_id or the store cannot be
 * read: it may ask again.
 */
void common_accept(struct channel *, const struct common_list *, const struct history_page *, bool since);

/* In handle_in: asks for the page of {"before":ID} or {"after":ID}, and {"limit":n}, or answers what is wrong in it. */
int common_load(struct channel *, const struct channel_message *, common_loaded_fn *before, common_loaded_fn *after);
/* Answers with the page, or that there is none now. Takes the reference. */
void common_answer_page(struct channel_ref *, const struct common_list *, const struct history_page *, bool forward);

#endif
