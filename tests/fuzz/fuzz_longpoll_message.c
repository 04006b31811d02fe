/*
 * What nodes say of long-poll clients: what is taken can be written, and is read the same again.
 */
#include <assert.h>

#include "cluster/cluster_message.h"
#include "backplane/longpoll_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autobuf struct buf	scratch = { 0 }, text = { 0 }, scratch_again = { 0 };
	struct longpoll_message m, again;

	if (longpoll_message_read(&m, slice((const char *)data, size), &scratch) < 0)
		return 0;
	assert(cluster_is_id(m.node));
	assert(m.id.n == ID_LEN);
	longpoll_message_write(&text, &m);
	assert(longpoll_message_read(&again, buf_slice(&text), &scratch_again) == 0);
	assert(again.type == m.type && again.ndjson == m.ndjson && again.status == m.status);
	assert(slice_eq(again.id, m.id) && slice_eq(again.session, m.session) && slice_eq(again.body, m.body));
	assert(slice_eq(again.messages, m.messages));
	return 0;
}
