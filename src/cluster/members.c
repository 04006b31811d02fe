/*
 * The other nodes.
 */
#include "cluster/members.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static struct slice
member_key(const void *item)
{
	const struct member *m = item;

	return m->node;
}

void
members_init(struct members *m, uint64_t timeout_ms)
{
	*m = (struct members){ .timeout_ms = timeout_ms };
	map_init(&m->by_node, member_key);
}

void
members_done(struct members *m)
{
	struct member *one;
	size_t	       at = 0;

	while ((one = map_next(&m->by_node, &at)) != NULL)
		free(one);
	map_done(&m->by_node);
}

struct member *
members_get(const struct members *m, struct slice node)
{
	return map_get(&m->by_node, node);
}

/* The one door to a member's state. */
static void
member_set_state(struct members *m, struct member *one, enum member_state to)
{
	m->n_up += to == MEMBER_UP;
	m->n_up -= one->state == MEMBER_UP;
	m->n_expected += to == MEMBER_EXPECTED;
	m->n_expected -= one->state == MEMBER_EXPECTED;
	one->state = to;
}

/* Forgets whoever has been down the longest; false if nobody is. */
static bool
members_make_room(struct members *m)
{
	struct member *one, *oldest = NULL;
	size_t	       at = 0;

	while ((one = map_next(&m->by_node, &at)) != NULL)
		if (one->state == MEMBER_DOWN && one != m->claimed && (oldest == NULL || one->heard < oldest->heard))
			oldest = one;
	if (oldest == NULL)
		return false;
	map_del(&m->by_node, oldest->node);
	free(oldest);
	return true;
}

/* NULL where there is no room for it. */
static struct member *
members_add(struct members *m, struct slice node, uint64_t epoch, uint64_t now)
{
	struct member *one;

	if (m->by_node.n >= MEMBERS_MAX && !members_make_room(m))
		return NULL;
	one = xmalloc(sizeof(*one) + node.n);
	*one = (struct member){
		.state = MEMBER_EXPECTED, .epoch = epoch, .heard = now, .node = slice(one->text, node.n),
	};
	memcpy(one->text, node.p, node.n);
	m->n_expected++;
	map_put(&m->by_node, one);
	return one;
}

/* Numbers begin anew, too: what we did not hear is not a gap of theirs. */
void
members_bus(struct members *m, bool up, uint64_t now)
{
	struct member *one;
	size_t	       at = 0;

	m->bus = up;
	m->since = m->echo = now;
	while ((one = map_next(&m->by_node, &at)) != NULL)
		one->seq = 0;
}

static bool
members_is_deaf(const struct members *m, uint64_t now)
{
	return !m->bus || now - m->echo > m->timeout_ms / 2;
}

void
members_echo(struct members *m, uint64_t now)
{
	if (members_is_deaf(m, now))
		m->since = now;
	m->echo = now;
}

/* A beat or two may have been on their way while we learned of the new epoch elsewhere. */
static enum members_news
member_stale(struct member *one)
{
	if (one->stale++ < MEMBERS_GAP)
		return MEMBERS_STALE;
	one->stale = 0;
	return MEMBERS_BEHIND;
}

enum members_news
members_beat(struct members *m, struct slice node, uint64_t epoch, uint64_t seq, uint64_t now)
{
	struct member *one = members_get(m, node);
	bool	       was_up, renewed;

	if (one == NULL)
		one = members_add(m, node, epoch, now);
	if (one == NULL)
		return MEMBERS_FULL;
	if (epoch < one->epoch)
		return member_stale(one);
	was_up = one->state == MEMBER_UP;
	renewed = epoch > one->epoch || (one->seq != 0 && seq > one->seq + MEMBERS_GAP);
	one->epoch = epoch;
	one->seq = seq;
	one->stale = 0;
	one->heard = now;
	member_set_state(m, one, MEMBER_UP);
	if (!was_up)
		return MEMBERS_UP;
	return renewed ? MEMBERS_RENEWED : MEMBERS_SAME;
}

bool
members_expect(struct members *m, struct slice node, uint64_t epoch, uint64_t now)
{
	struct member *one = members_get(m, node);

	if (one == NULL)
		return members_add(m, node, epoch, now) != NULL;
	if (one->state != MEMBER_DOWN)
		return true;
	one->heard = now;
	member_set_state(m, one, MEMBER_EXPECTED);
	return true;
}

bool
members_left(struct members *m, struct slice node, uint64_t epoch, uint64_t now)
{
	struct member *one = members_get(m, node);
	bool	       news;

	if (one == NULL || epoch < one->epoch || one->state == MEMBER_DOWN)
		return false;
	news = one->state != MEMBER_LEFT;
	one->epoch = epoch;
	one->heard = now;
	member_set_state(m, one, MEMBER_LEFT);
	return news;
}

/* Up to that epoch, which is its own or a later one. */
static bool
member_die(struct members *m, struct member *one, uint64_t epoch)
{
	bool news = one->state == MEMBER_UP || one->state == MEMBER_EXPECTED;

	one->epoch = epoch;
	member_set_state(m, one, MEMBER_DOWN);
	return news;
}

bool
members_dead(struct members *m, struct slice node, uint64_t epoch)
{
	struct member *one = members_get(m, node);

	return one != NULL && epoch >= one->epoch && member_die(m, one, epoch);
}

static uint64_t
silent_since(const struct members *m, const struct member *one)
{
	return one->heard > m->since ? one->heard : m->since;
}

struct member *
members_claim(struct members *m, uint64_t now)
{
	struct member *one, *worst = NULL;
	size_t	       at = 0;

	if (m->claimed != NULL || members_is_deaf(m, now))
		return NULL;
	while ((one = map_next(&m->by_node, &at)) != NULL) {
		if (one->state == MEMBER_DOWN || now - silent_since(m, one) < m->timeout_ms)
			continue;
		if (worst == NULL || one->heard < worst->heard)
			worst = one;
	}
	if (worst == NULL)
		return NULL;
	m->claimed = worst;
	m->claimed_epoch = worst->epoch;
	m->claimed_at = now;
	return worst;
}

/*
 * Who was heard since the claim began lives: whatever we claimed had died before. Who had no place, and of whose death
 * nobody has told, may be cleaned by nobody but us: Redis was emptied, and it died before it noticed; or we took its
 * place out ourselves, by a claim whose answer was lost. To clean once more than needed does no harm.
 */
struct members_verdict
members_answered(struct members *m, enum members_answer answer, uint64_t epoch, uint64_t now, struct slice *who)
{
	struct member	      *one = m->claimed;
	struct members_verdict v = { .epoch = m->claimed_epoch };
	bool		       heard;

	assert(one != NULL);
	heard = one->heard >= m->claimed_at;
	m->claimed = NULL;
	*who = one->node;
	if (answer == MEMBERS_ALIVE && !heard)
		one->heard = now;
	if (answer != MEMBERS_OURS && answer != MEMBERS_GONE)
		return v;
	if (answer == MEMBERS_OURS)
		v.epoch = epoch;
	v.down = !heard && one->epoch <= v.epoch && member_die(m, one, v.epoch);
	v.clean = answer == MEMBERS_OURS || (v.down && v.epoch != 0);
	return v;
}
