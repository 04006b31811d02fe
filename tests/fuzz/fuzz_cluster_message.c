/*
 * Messages of the cluster's channel: what is taken has valid ids and numbers within their bounds.
 */
#include <assert.h>

#include "cluster/cluster_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cluster_message m;

	if (cluster_message_read(&m, slice((const char *)data, size)) < 0)
		return 0;
	assert(cluster_is_id(m.node));
	assert(m.name.n > 0 && m.name.n <= CLUSTER_MAX_TYPE);
	assert((m.type == CLUSTER_OTHER) == (m.epoch == 0));
	assert((m.type == CLUSTER_BEAT) == (m.seq != 0));
	assert(m.type == CLUSTER_DEAD ? cluster_is_id(m.dead) : m.dead.n == 0);
	return 0;
}
