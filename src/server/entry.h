/*
 * Who wants in: the checks that every client passes, whatever its transport. Protocol/phoenix.md sections 1.2 to 1.5.
 */
#ifndef SERVER_ENTRY_H
#define SERVER_ENTRY_H

#include "server/endpoint.h"

/* One client at the door: what was found out so far. */
struct entry {
	struct endpoint		  *endpoint;
	struct http_conn	  *conn;
	const struct http_request *req;
	/* Answers; the reason is in the log by then. `extra` as for http_respond(). */
	void			 (*refuse)(struct entry *, unsigned status, const char *extra);
	struct addr		   client;
	bool			   open;	/* it may come without a token, whatever auth.anonymous says */
	const struct codec	  *codec;
	struct buf		   token;
	bool			   has_token;
	struct identity		  *who;
};

/* The upper part is filled. */
void entry_init(struct entry *);
void entry_done(struct entry *);
/* Logs why and answers. Returns false. */
bool entry_refuse(struct entry *, unsigned status, const char *extra, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Each of these returns true, or has refused. */
bool entry_check_room(struct entry *);
bool entry_check_origin(struct entry *);
/* Sets the codec. */
bool entry_check_version(struct entry *);
/* A token in the field Authorization; returns whether there is one. */
bool entry_find_bearer(struct entry *);
/* Sets `who` by the token, if there is one. */
bool entry_check_token(struct entry *);
/* Counts it: from here on entry_on_gone() has to follow. */
bool entry_count(struct entry *);
/* A client that was counted is gone; `arg` is the endpoint. */
void entry_on_gone(void *arg, const struct addr *client, struct slice user);

#endif
