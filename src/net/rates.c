/*
 * Rate limits.
 */
#include "net/rates.h"

#include <stdlib.h>

#include "base/mem.h"

#define SWEEP_MS	1000

uint64_t
bucket_take(struct bucket *b, uint64_t now, uint32_t rate, uint32_t burst)
{
	uint64_t full = (uint64_t)(burst > 0 ? burst : 1) * 1000;
	uint64_t tokens = b->at == 0 ? full : b->tokens + (now - b->at) * rate;

	if (rate == 0)
		return 0;
	if (tokens > full)
		tokens = full;
	b->at = now > 0 ? now : 1;
	b->tokens = (uint32_t)tokens;
	if (tokens < 1000)
		return (1000 - tokens + rate - 1) / rate;
	b->tokens -= 1000;
	return 0;
}

/* The times of the last `cap` events, as a ring: next is where the oldest lies and the newest will. */
struct window {
	struct slice	key;
	uint64_t	idle_at;	/* ms: nothing counts any more */
	uint32_t	cap;
	uint32_t	n;
	uint32_t	next;
	uint64_t	at[];		/* cap times, then the key's bytes */
};

static struct slice
window_key(const void *item)
{
	const struct window *w = item;

	return w->key;
}

/* Forgets the windows that went idle. */
static void
rates_sweep(struct timer *t, uint64_t now)
{
	struct rates  *r = container_of(t, struct rates, sweep);
	struct window *w, *idle[64];
	unsigned       n = 0;
	size_t	       at = 0;

	while (n < 64 && (w = map_next(&r->windows, &at)) != NULL)
		if (w->idle_at <= now)
			idle[n++] = w;
	for (unsigned i = 0; i < n; i++) {
		map_del(&r->windows, idle[i]->key);
		free(idle[i]);
	}
	if (r->windows.n > 0)
		loop_timer(r->loop, t, now + (n == 64 ? 1 : SWEEP_MS));
}

void
rates_init(struct rates *r, struct loop *loop)
{
	*r = (struct rates){ .loop = loop, .sweep.fire = rates_sweep };
	map_init(&r->windows, window_key);
}

void
rates_done(struct rates *r)
{
	struct window *w;
	size_t	       at = 0;

	while ((w = map_next(&r->windows, &at)) != NULL)
		free(w);
	map_done(&r->windows);
	buf_done(&r->key);
	timer_stop(&r->sweep);
}

/* The three parts with NULs between them, which none of them but the last can hold; lent until the next call. */
static struct slice
rates_key(struct rates *r, struct slice user, struct slice topic, struct slice event)
{
	r->key.n = 0;
	buf_add_slice(&r->key, user);
	buf_add_char(&r->key, 0);
	buf_add_slice(&r->key, topic);
	buf_add_char(&r->key, 0);
	buf_add_slice(&r->key, event);
	return buf_slice(&r->key);
}

static struct window *
window_new(struct slice key, uint32_t cap)
{
	struct window *w = xmalloc(sizeof(*w) + cap * sizeof(uint64_t) + key.n);
	char	      *text = (char *)&w->at[cap];

	memcpy(text, key.p, key.n);
	*w = (struct window){ .key = slice(text, key.n), .cap = cap };
	return w;
}

uint64_t
rates_wait(struct rates *r, struct slice user, struct slice topic, struct slice event, const struct rate *rate)
{
	struct window *w = map_get(&r->windows, rates_key(r, user, topic, event));
	uint64_t       free_at;

	/* Another count was configured by a reload: the window will begin anew. */
	if (rate->count == 0 || w == NULL || w->n < w->cap || w->cap != rate->count)
		return 0;
	free_at = w->at[w->next] + rate->period_ms;
	return free_at > r->loop->now ? free_at - r->loop->now : 0;
}

void
rates_count(struct rates *r, struct slice user, struct slice topic, struct slice event, const struct rate *rate)
{
	struct slice   key = rates_key(r, user, topic, event);
	struct window *w = map_get(&r->windows, key);

	if (rate->count == 0)
		return;
	if (w != NULL && w->cap != rate->count) {
		map_del(&r->windows, key);
		free(w);
		w = NULL;
	}
	if (w == NULL) {
		w = window_new(key, rate->count);
		map_put(&r->windows, w);
	}
	w->at[w->next] = r->loop->now;
	w->next = (w->next + 1) % w->cap;
	w->n += w->n < w->cap;
	w->idle_at = r->loop->now + rate->period_ms;
	if (!timer_is_set(&r->sweep))
		loop_timer(r->loop, &r->sweep, r->loop->now + SWEEP_MS);
}
