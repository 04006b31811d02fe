/*
 * The supervising process: keeps the workers running, passes signals on to them, and holds the page with
 * everyone's counters.
 */
#ifndef SERVER_MASTER_H
#define SERVER_MASTER_H

#include <stdint.h>

struct stats;

struct master_options {
	unsigned	 workers;
	/* Runs in a process of its own, where its result is the exit code. */
	int		(*worker)(unsigned index, void *arg);
	void		*arg;
	uint64_t	 backoff_ms;		/* before a restart, doubled each time; 0 = 100 ms */
	uint64_t	 backoff_max_ms;	/* 0 = 10 s */
	uint64_t	 settled_ms;		/* who lived that long starts over with backoff_ms; 0 = 60 s */
	uint64_t	 early_ms;		/* see below; 0 = 1 s */
	uint64_t	 stop_ms;		/* from a stop signal until workers that are left are killed; 0 = 60 s */
};

/*
 * Starts the workers and starts them again when they end, until SIGTERM, SIGQUIT or SIGINT; these, SIGHUP and
 * SIGUSR1 are passed on. Then waits for all of them. Returns the first code other than 0 that one ended with (1 for
 * one that crashed), else 0; or EX_OSERR.
 *
 * A worker that ends within early_ms with 2 (usage), 69, 77 or 78 (sysexits.h) ends us with that code, as
 * another try would not help; unless some worker has lived longer: then it is tried again, as the others
 * serve.
 *
 * The signals stay blocked in the caller: it is to exit with the result.
 */
int master_run(const struct master_options *);
/*
 * For a worker that has set its signal handlers and has become the user that it is to be. Until then the
 * signals above are held back, at their default actions; now those that came meanwhile are let in, and from
 * now on the master's death is a SIGQUIT. Without a master it does nothing.
 */
void master_worker_ready(void);
/*
 * A worker's counters, seen by all processes. Counters go on when it is started again, gauges start at 0.
 * NULL behind the last, or without a master.
 */
struct stats *master_slot(unsigned index);
/* All workers' together; without a master, our own. */
void master_sum(struct stats *);

#endif
