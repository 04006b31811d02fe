/*
 * What nodes say to each other of their long-poll clients: JSON objects on the channel of the node that is meant, documented
 * in roost-redis(7).
 */
#ifndef BACKPLANE_LONGPOLL_MESSAGE_H
#define BACKPLANE_LONGPOLL_MESSAGE_H

#include "base/buf.h"
#include "transport/longpoll_token.h"

#define LONGPOLL_VERSION	1
#define LONGPOLL_MAX_TEXT	(16 * 1024 * 1024)	/* bytes of a message; more are refused */

enum longpoll_message_type {
	LONGPOLL_POLL,		/* session: a client asks */
	LONGPOLL_POST,		/* session, lines, body: a client brings messages */
	LONGPOLL_STILL,		/* is that request still known to you? */
	LONGPOLL_LEFT,		/* "gone": that client hung up */
	LONGPOLL_ANSWER,	/* status, messages */
	LONGPOLL_TYPES
};

/* Slices borrow the text, scratch, or the struct itself: it must not be copied. What a type lacks is empty. */
struct longpoll_message {
	enum longpoll_message_type type;
	struct slice	node;		/* who says it; a valid id */
	struct slice	id;		/* of the request: ID_LEN bytes, its asker's choice */
	struct slice	session;	/* a token */
	bool		ndjson;
	struct slice	body;		/* UTF-8 without NUL */
	unsigned	status;		/* an enum longpoll_status */
	struct slice	messages;	/* JSON text of an array of strings; empty = none */
	char		node_text[CLUSTER_MAX_NODE];
	char		id_text[ID_LEN];
	char		session_text[LONGPOLL_MAX_TOKEN];
};

void longpoll_message_write(struct buf *out, const struct longpoll_message *);
/* 0; -EBADMSG; -EPROTONOSUPPORT for a newer version. The scratch is emptied first. */
int longpoll_message_read(struct longpoll_message *, struct slice text, struct buf *scratch);

#endif
