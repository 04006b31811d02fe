/*
 * What a long-poll client shows to be given its session's messages: the node that holds it, the session's id there, and
 * a secret. The node's table is what verifies it.
 */
#ifndef TRANSPORT_LONGPOLL_TOKEN_H
#define TRANSPORT_LONGPOLL_TOKEN_H

#include "base/id.h"
#include "cluster/cluster.h"

#define LONGPOLL_MAX_TOKEN	((CLUSTER_MAX_NODE * 4 + 2) / 3 + 2 * (1 + ID_LEN))

/* NODE.ID.SECRET: the node in base64url, two words of 128 random bits. Slices borrow the text, or the struct itself. */
struct longpoll_token {
	struct slice	node;
	struct slice	id;
	struct slice	secret;
	char		node_text[CLUSTER_MAX_NODE];
};

/* A new one into out[LONGPOLL_MAX_TOKEN]. Returns its length. */
size_t longpoll_token_new(struct slice node, char *out);
/* 0, or -EINVAL for what is no such text. */
int longpoll_token_read(struct longpoll_token *, struct slice text);

#endif
