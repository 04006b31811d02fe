/*
 * Messages of a call's stream: what is taken for a state is sound, and stays so whatever is done to it.
 */
#include <assert.h>

#include "channels/call.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Written and read, it is the same. */
static void
check_same(const struct call *c)
{
	autobuf struct buf text = { 0 }, again = { 0 };
	struct call	   read;
	int		   r;

	call_write(c, &text);
	r = call_read(&read, buf_slice(&text));
	assert(r == 0);
	call_write(&read, &again);
	assert(slice_eq(buf_slice(&text), buf_slice(&again)));
}

static void
check_act(const struct call *c, struct call_act a)
{
	static const struct call_limits limits = { .keep_ms = 60000, .max_kept = 262144 };
	struct call  next = *c;
	uint64_t     retry = 0;
	enum call_verdict v;

	a.channel = a.by == 0 && c->party[0].channel.n > 0 ? c->party[0].channel : SLICE("new");
	v = call_apply(&next, &a, &limits, &retry);
	assert(v != CALL_TOO_MUCH || (retry > 0 && retry < 140000));
	assert((v == CALL_DONE) || (next.phase == c->phase && next.since == c->since));
	check_same(&next);
}

static void
check_state(struct slice text)
{
	struct call c;

	if (call_read(&c, text) < 0)
		return;
	check_same(&c);
	for (int event = CALL_INITIATE; event <= CALL_BACK; event++)
		for (unsigned i = 0; i < 4; i++)
			check_act(&c, (struct call_act){
				.event = (enum call_event)event, .by = i & 1, .device = SLICE("\"d\""), .node = SLICE("n1"), .epoch = 3, .call = c.since,
				.now = INT64_C(1800000000000), .bytes = 100, .heard = SLICE("x"), .gone = i >> 1,
			});
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice	    in = slice((const char *)data, size);
	enum json_kind	    type;
	struct call_message m;

	/* Whatever comes over the bus has passed this. */
	if (json_scan(in, &type) != (ssize_t)size || type != JSON_OBJECT)
		return 0;
	check_state(in);
	if (call_message_read(&m, in) < 0)
		return 0;
	assert(m.data.n >= 2 && m.channel.n <= CALL_MAX_NAME);
	check_state(m.state);
	return 0;
}
