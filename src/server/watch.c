/*
 * The watch over this process.
 */
#include "server/watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/systemd.h"

#define WATCH_MS	1000
#define RESERVE_BYTES	(1024 * 1024)

/* Resident memory in bytes; 0 if the kernel does not say. */
static uint64_t
memory_now(void)
{
	char	text[128], *rest;
	int	fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	strtoull(text, &rest, 10);
	return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
watch_memory(struct watch *w)
{
	bool was = w->endpoint->crowded, is;

	if (mem_is_short())
		mem_reserve(RESERVE_BYTES);
	is = mem_is_short() || (w->memory_high > 0 && memory_now() > w->memory_high);
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
	*w = (struct watch){ .endpoint = e, .timer.fire = watch_tick };
}

void
watch_done(struct watch *w)
{
	timer_stop(&w->timer);
}

void
watch_ready(struct watch *w)
{
	mem_reserve(RESERVE_BYTES);
	systemd_ready();
	watch_tick(&w->timer, w->endpoint->loop->now);
}
