/*
 * The watch over this process.
 */
#include "server/watch.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/systemd.h"

#define WATCH_MS	1000

/* Resident memory in bytes; 0 if the kernel does not say. */
static uint64_t
watch_memory_now(const struct watch *w)
{
	char	text[128], *rest;
	ssize_t n = pread(w->statm, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	strtoull(text, &rest, 10);
	return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What the allocator only keeps for later is given back before anyone is turned away for it. */
static bool
watch_is_high(const struct watch *w)
{
	if (w->memory_high == 0 || watch_memory_now(w) <= w->memory_high)
		return false;
	malloc_trim(0);
	return watch_memory_now(w) > w->memory_high;
}

/* The reserve is set aside again; false if that cannot be. */
static bool
watch_reserve(void)
{
	if (!mem_is_short())
		return true;
	log_warn("memory was refused: the reserve was used");
	mem_reserve(MEM_RESERVE);
	return !mem_is_short();
}

static void
watch_memory(struct watch *w)
{
	bool was = w->endpoint->crowded, is = !watch_reserve() || watch_is_high(w);

	w->endpoint->crowded = is;
	if (is && !was)
		log_warn("memory is short: new clients get 503");
	if (!is && was)
		log_info("memory is no more short");
}

static void
watch_tick(struct timer *t, uint64_t now)
{
	struct watch *w = container_of(t, struct watch, timer);

	watch_memory(w);
	systemd_alive();
	loop_timer(w->endpoint->loop, t, now + WATCH_MS);
}

void
watch_init(struct watch *w, struct endpoint *e)
{
	*w = (struct watch){ .endpoint = e, .timer.fire = watch_tick, .statm = -1 };
}

void
watch_done(struct watch *w)
{
	timer_stop(&w->timer);
	if (w->statm >= 0)
		close(w->statm);
	w->statm = -1;
}

void
watch_ready(struct watch *w)
{
	/* Now, as there may be no descriptor left later. */
	w->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	mem_reserve(MEM_RESERVE);
	systemd_ready();
	watch_tick(&w->timer, w->endpoint->loop->now);
}
