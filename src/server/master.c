/*
 * The master. It handles no signal: they are blocked all the time and waited for one by one, so nothing can come
 * between a fork and its bookkeeping.
 */
#include "server/master.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"

#define EXIT_USAGE	2	/* of roostd, and not sysexits' */
#define NEVER		UINT64_MAX
#define HASTE_MS	5000	/* for workers that were told to stop at once */

/* On cache lines of its own: each has another writer. */
struct slot {
	struct stats stats;
} __attribute__((aligned(64)));

/* Runs (pid > 0), or waits to be started at `due`. */
struct worker {
	unsigned index;
	pid_t	 pid;
	uint64_t started;	/* ms */
	uint64_t due;		/* ms */
	uint64_t backoff;	/* ms, before the next restart */
};

struct master {
	struct master_options options;
	struct worker	     *workers;
	sigset_t	      signals;
	bool		      stopping;		/* nobody is started any more */
	uint64_t	      kill_at;		/* ms: who is left then is killed */
	bool		      reloaded;		/* what we were started with is not the last word */
	int		      result;
};

static const int passed_on[] = { SIGHUP, SIGUSR1, SIGTERM, SIGQUIT, SIGINT };
#define N_PASSED_ON	(sizeof(passed_on) / sizeof(passed_on[0]))

static struct slot *slots;	/* shared; n_slots of them */
static unsigned	    n_slots;
static pid_t	    master_pid;	/* in a worker: whom it serves; else 0 */

static int
slots_map(unsigned n)
{
	void *p = mmap(NULL, n * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	slots = p;
	n_slots = n;
	return 0;
}

static void
slots_unmap(void)
{
	munmap(slots, n_slots * sizeof(struct slot));
	slots = NULL;
	n_slots = 0;
}

struct stats *
master_slot(unsigned index)
{
	return index < n_slots ? &slots[index].stats : NULL;
}

void
master_sum(struct stats *sum)
{
	*sum = (struct stats){ 0 };
	if (n_slots == 0)
		stats_merge(sum, stats);
	for (unsigned i = 0; i < n_slots; i++)
		stats_merge(sum, &slots[i].stats);
}

/* What a dead worker had is gone; what it did is not. */
static void
slot_clear_gauges(struct stats *s)
{
	enum { counter, gauge, level };

#define X(name, kind, help) s->name = kind == counter ? s->name : 0;
	STATS(X)
#undef X
}

/* A change of user takes the death signal away again; and the master may be gone already. */
static void
worker_share_fate(void)
{
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != master_pid)
		raise(SIGQUIT);
}

void
master_worker_ready(void)
{
	sigset_t held;

	if (master_pid == 0)
		return;
	worker_share_fate();
	sigemptyset(&held);
	for (size_t i = 0; i < N_PASSED_ON; i++)
		sigaddset(&held, passed_on[i]);
	sigprocmask(SIG_UNBLOCK, &held, NULL);
}

/* Nobody's handlers but the worker's own; what is ignored in every process stays so. */
static void
worker_reset_signals(void)
{
	sigset_t child;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGPIPE && i != SIGXFSZ)
			signal(i, SIG_DFL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &child, NULL);
}

static _Noreturn void
worker_run(const struct master_options *o, unsigned index, pid_t parent)
{
	master_pid = parent;
	worker_reset_signals();
	worker_share_fate();
	exit(o->worker(index, o->arg));
}

/* Decides when it is tried again. */
static void
worker_back_off(struct worker *w, const struct master_options *o, uint64_t now)
{
	w->due = now + w->backoff;
	w->backoff = w->backoff * 2 < o->backoff_max_ms ? w->backoff * 2 : o->backoff_max_ms;
}

static void
master_start(struct master *m, struct worker *w, uint64_t now)
{
	pid_t self = getpid(), pid = fork();

	if (pid == 0)
		worker_run(&m->options, w->index, self);
	if (pid < 0) {
		log_error("cannot start worker %u: %s", w->index + 1, strerror(errno));
		worker_back_off(w, &m->options, now);
		return;
	}
	w->pid = pid;
	w->started = now;
	log_info("worker %u is process %ld", w->index + 1, (long)pid);
	/* Held back until it is ready, this makes it read what the others have read since we started. */
	if (m->reloaded)
		kill(pid, SIGHUP);
}

static void
master_start_due(struct master *m)
{
	uint64_t now = clock_ms();

	for (unsigned i = 0; i < m->options.workers && !m->stopping; i++)
		if (m->workers[i].pid == 0 && m->workers[i].due <= now)
			master_start(m, &m->workers[i], now);
}

static void
master_kill(const struct master *m, int sig)
{
	for (unsigned i = 0; i < m->options.workers; i++)
		if (m->workers[i].pid > 0)
			kill(m->workers[i].pid, sig);
}

static bool
is_stop(int sig)
{
	return sig == SIGTERM || sig == SIGQUIT || sig == SIGINT;
}

static void
master_reopen_log(void)
{
	int r = log_reopen();

	if (r < 0)
		log_error("cannot open the log again: %s", strerror(-r));
}

static void
master_set_deadline(struct master *m, uint64_t ms)
{
	uint64_t at = clock_ms() + ms;

	if (at < m->kill_at)
		m->kill_at = at;
}

static void
master_on_signal(struct master *m, const siginfo_t *info)
{
	int sig = info->si_signo;

	/* A terminal has told the whole group; told twice, a worker would not drain. */
	if (info->si_code != SI_KERNEL)
		master_kill(m, sig);
	if (sig == SIGUSR1)
		master_reopen_log();
	m->reloaded = m->reloaded || sig == SIGHUP;
	if (is_stop(sig))
		master_set_deadline(m, m->stopping ? HASTE_MS : m->options.stop_ms);
	m->stopping = m->stopping || is_stop(sig);
}

/* A worker that hangs would keep us for ever. */
static void
master_kill_late(struct master *m, uint64_t now)
{
	if (now < m->kill_at)
		return;
	log_error("workers do not end: killed");
	master_kill(m, SIGKILL);
	m->kill_at = NEVER;
}

/* The codes of a fault that is still there at the next try. */
static bool
is_hopeless(int code)
{
	return code == EXIT_USAGE || code == EX_UNAVAILABLE || code == EX_NOPERM || code == EX_CONFIG;
}

static bool
master_serves(const struct master *m, uint64_t now)
{
	for (unsigned i = 0; i < m->options.workers; i++)
		if (m->workers[i].pid > 0 && now - m->workers[i].started >= m->options.early_ms)
			return true;
	return false;
}

/* "died of signal 9 (Killed)" or "ended with code 1"; the caller frees it. */
static char *
describe_end(int status)
{
	if (WIFSIGNALED(status))
		return xasprintf("died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	return xasprintf("ended with code %d", WEXITSTATUS(status));
}

/* The exit code; who died of being told to stop did so in order, any other signal is a failure. */
static int
code_of(int status)
{
	if (WIFSIGNALED(status))
		return is_stop(WTERMSIG(status)) ? 0 : 1;
	return WEXITSTATUS(status);
}

static void
master_on_end(struct master *m, struct worker *w, int status)
{
	autofree char *how = describe_end(status);
	uint64_t       now = clock_ms(), lived = now - w->started;
	pid_t	       pid = w->pid;
	int	       code = code_of(status);

	w->pid = 0;
	slot_clear_gauges(&slots[w->index].stats);
	if (m->stopping) {
		log_info("worker %u (process %ld) %s", w->index + 1, (long)pid, how);
		m->result = m->result != 0 ? m->result : code;
		return;
	}
	if (lived < m->options.early_ms && is_hopeless(code) && !master_serves(m, now)) {
		log_error("worker %u (process %ld) %s at once: giving up", w->index + 1, (long)pid, how);
		m->result = code;
		m->stopping = true;
		master_set_deadline(m, HASTE_MS);
		master_kill(m, SIGQUIT);
		return;
	}
	if (lived >= m->options.settled_ms)
		w->backoff = m->options.backoff_ms;
	log_error("worker %u (process %ld) %s after %llu ms; again in %llu ms", w->index + 1, (long)pid, how,
	    (unsigned long long)lived, (unsigned long long)w->backoff);
	worker_back_off(w, &m->options, now);
}

static struct worker *
master_find(const struct master *m, pid_t pid)
{
	for (unsigned i = 0; i < m->options.workers; i++)
		if (m->workers[i].pid == pid)
			return &m->workers[i];
	return NULL;
}

/* One SIGCHLD may stand for several. */
static void
master_reap(struct master *m)
{
	struct worker *w;
	pid_t	       pid;
	int	       status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		w = master_find(m, pid);
		if (w != NULL)
			master_on_end(m, w, status);
	}
}

/* When someone is to be started; NEVER if nobody waits for it. */
static uint64_t
master_next_start(const struct master *m)
{
	uint64_t due = NEVER;

	for (unsigned i = 0; i < m->options.workers && !m->stopping; i++)
		if (m->workers[i].pid == 0 && m->workers[i].due < due)
			due = m->workers[i].due;
	return due;
}

static void
master_wait(struct master *m)
{
	uint64_t	due = m->stopping ? m->kill_at : master_next_start(m);
	uint64_t	now = clock_ms(), wait = due > now ? due - now : 0;
	struct timespec ts = { .tv_sec = (time_t)(wait / 1000), .tv_nsec = (long)(wait % 1000) * 1000000 };
	siginfo_t	info;
	int		sig = sigtimedwait(&m->signals, &info, due != NEVER ? &ts : NULL);

	if (sig == SIGCHLD)
		master_reap(m);
	else if (sig > 0)
		master_on_signal(m, &info);
	master_kill_late(m, clock_ms());
}

/* A SIGCHLD that our parent left ignored would let the dead go without telling us their codes. */
static void
master_hold_signals(struct master *m)
{
	sigemptyset(&m->signals);
	sigaddset(&m->signals, SIGCHLD);
	for (size_t i = 0; i < N_PASSED_ON; i++)
		sigaddset(&m->signals, passed_on[i]);
	sigprocmask(SIG_BLOCK, &m->signals, NULL);
	signal(SIGCHLD, SIG_DFL);
}

static bool
master_has_workers(const struct master *m)
{
	for (unsigned i = 0; i < m->options.workers; i++)
		if (m->workers[i].pid > 0)
			return true;
	return false;
}

static void
master_init(struct master *m, const struct master_options *o)
{
	*m = (struct master){ .options = *o, .workers = xcalloc(o->workers, sizeof(*m->workers)) };
	m->options.backoff_ms = o->backoff_ms > 0 ? o->backoff_ms : 100;
	m->options.backoff_max_ms = o->backoff_max_ms > 0 ? o->backoff_max_ms : 10000;
	m->options.settled_ms = o->settled_ms > 0 ? o->settled_ms : 60000;
	m->options.early_ms = o->early_ms > 0 ? o->early_ms : 1000;
	m->options.stop_ms = o->stop_ms > 0 ? o->stop_ms : 60000;
	m->kill_at = NEVER;
	for (unsigned i = 0; i < o->workers; i++)
		m->workers[i] = (struct worker){ .index = i, .backoff = m->options.backoff_ms };
}

int
master_run(const struct master_options *o)
{
	struct master m;
	int	      r = slots_map(o->workers);

	if (r < 0) {
		log_error("no memory to share with workers: %s", strerror(-r));
		return EX_OSERR;
	}
	master_init(&m, o);
	master_hold_signals(&m);
	while (!m.stopping || master_has_workers(&m)) {
		master_start_due(&m);
		master_wait(&m);
	}
	free(m.workers);
	slots_unmap();
	return m.result;
}
