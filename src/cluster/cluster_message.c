/*
 * Reading what travels on the cluster's channel.
 */
#include "cluster/cluster_message.h"

#include <errno.h>

#include "net/utf8.h"
#include "wire/json.h"

#define NUMBER_MAX	(UINT64_C(1) << 53)

bool
cluster_is_id(struct slice id)
{
	if (id.n == 0 || id.n > CLUSTER_MAX_NODE)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i], lower = ascii_lower(c);
		bool is_plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');

		if (!is_plain && (c == '\0' || strchr("._:@-", c) == NULL))
			return false;
	}
	return true;
}

int
cluster_number(struct slice text, uint64_t *out)
{
	uint64_t n = 0;

	if (text.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(text.p[i] - '0');
		if (n > NUMBER_MAX)
			return -EINVAL;
	}
	*out = n;
	return 0;
}

/* A member that must be a number from 1 on. */
static int
read_number(struct slice object, const char *name, uint64_t *out)
{
	struct slice token = json_member(object, name);

	if (token.p == NULL || cluster_number(token, out) < 0 || *out == 0)
		return -EBADMSG;
	return 0;
}

/* A member that must be a string of 1 to `size` bytes. */
static int
read_text(struct slice object, const char *name, char *scratch, size_t size, struct slice *out)
{
	struct slice token = json_member(object, name);

	if (token.p == NULL || *token.p != '"' || json_text(token, scratch, size, out) < 0 || out->n == 0)
		return -EBADMSG;
	return 0;
}

static int
read_id(struct slice object, const char *name, char scratch[CLUSTER_MAX_NODE], struct slice *out)
{
	int r = read_text(object, name, scratch, CLUSTER_MAX_NODE, out);

	if (r < 0)
		return r;
	return cluster_is_id(*out) ? 0 : -EBADMSG;
}

static enum cluster_type
type_of(struct slice name)
{
	if (slice_is(name, "beat"))
		return CLUSTER_BEAT;
	if (slice_is(name, "leave"))
		return CLUSTER_LEAVE;
	return slice_is(name, "down") ? CLUSTER_DEAD : CLUSTER_OTHER;
}

/* What every message has. */
static int
read_head(struct cluster_message *m, struct slice object)
{
	uint64_t version;
	int	 r;

	r = read_number(object, "v", &version);
	if (r < 0)
		return r;
	if (version > CLUSTER_VERSION)
		return -EPROTONOSUPPORT;
	r = read_text(object, "type", m->name_text, sizeof(m->name_text), &m->name);
	if (r < 0)
		return r;
	m->type = type_of(m->name);
	return read_id(object, "node", m->node_text, &m->node);
}

static int
read_beat(struct cluster_message *m, struct slice text)
{
	if (json_member(text, "since").p != NULL &&
	    (read_number(text, "since", &m->since) < 0 || m->since > m->epoch))
		return -EBADMSG;
	return read_number(text, "seq", &m->seq);
}

int
cluster_message_read(struct cluster_message *m, struct slice text)
{
	enum json_kind kind;
	int	       r;

	*m = (struct cluster_message){ .type = CLUSTER_OTHER };
	if (!utf8_valid(text) || json_scan(text, &kind) != (ssize_t)text.n || kind != JSON_OBJECT)
		return -EBADMSG;
	r = read_head(m, text);
	if (r < 0 || m->type == CLUSTER_OTHER)
		return r;
	r = read_number(text, "epoch", &m->epoch);
	if (r == 0 && m->epoch >= CLUSTER_MAX_EPOCH)
		return -EBADMSG;
	if (r < 0 || m->type == CLUSTER_LEAVE)
		return r;
	if (m->type == CLUSTER_BEAT)
		return read_beat(m, text);
	return read_id(text, "dead", m->dead_text, &m->dead);
}
