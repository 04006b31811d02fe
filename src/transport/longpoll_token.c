/*
 * Tokens of long-poll sessions.
 */
#include "transport/longpoll_token.h"

#include <assert.h>
#include <errno.h>

#include "base/b64.h"
#include "cluster/cluster_message.h"

#define MAX_NODE_TEXT	((CLUSTER_MAX_NODE * 4 + 2) / 3)
#define TAIL		(2 * (1 + ID_LEN))

size_t
longpoll_token_new(struct slice node, char *out)
{
	char   text[B64_LEN(CLUSTER_MAX_NODE)], word[ID_LEN + 1];
	size_t n;

	assert(node.n <= CLUSTER_MAX_NODE);
	n = b64url_encode(node.p, node.n, text);
	memcpy(out, text, n);
	for (unsigned i = 0; i < 2; i++) {
		out[n++] = '.';
		memcpy(out + n, id_new(word), ID_LEN);
		n += ID_LEN;
	}
	return n;
}

static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return true;
}

int
longpoll_token_read(struct longpoll_token *t, struct slice text)
{
	uint8_t	     node[MAX_NODE_TEXT / 4 * 3 + 3];
	struct slice tail;
	ssize_t	     n;

	if (text.n <= TAIL || text.n > MAX_NODE_TEXT + TAIL)
		return -EINVAL;
	tail = slice_from(text, text.n - TAIL);
	if (tail.p[0] != '.' || tail.p[1 + ID_LEN] != '.')
		return -EINVAL;
	n = b64_decode(B64_URL, slice(text.p, text.n - TAIL), node);
	if (n <= 0 || n > CLUSTER_MAX_NODE)
		return -EINVAL;
	memcpy(t->node_text, node, (size_t)n);
	t->node = slice(t->node_text, (size_t)n);
	t->id = slice(tail.p + 1, ID_LEN);
	t->secret = slice(tail.p + 2 + ID_LEN, ID_LEN);
	return cluster_is_id(t->node) && is_word(t->id) && is_word(t->secret) ? 0 : -EINVAL;
}
