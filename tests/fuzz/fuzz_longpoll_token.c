/*
 * Tokens of long-poll sessions: what is taken names a node, and its parts are what was read.
 */
#include <assert.h>

#include "base/b64.h"
#include "cluster/cluster_message.h"
#include "transport/longpoll_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct longpoll_token t;
	struct slice	      text = slice((const char *)data, size);
	char		      node[B64_LEN(CLUSTER_MAX_NODE)];
	size_t		      n;

	if (longpoll_token_read(&t, text) < 0)
		return 0;
	assert(cluster_is_id(t.node));
	n = b64url_encode(t.node.p, t.node.n, node);
	assert(slice_starts(text, slice(node, n)));
	assert(text.n == n + 2 * (1 + ID_LEN));
	assert(t.id.n == ID_LEN && t.secret.n == ID_LEN);
	return 0;
}
